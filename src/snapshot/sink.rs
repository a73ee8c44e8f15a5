//! Where everything comes together again, in order: chunks go to the writer, entries into the pages of their
//! directories, problems into the list.

use std::collections::HashMap;
use std::sync::Arc;

use super::list::ListBuilder;
use super::pages::TreeBuilder;
use super::put::{Put, Putter};
use super::read::{Attributes, Found, Payload};
use crate::error::{Error, Kind, Result};
use crate::format::entry::{Content, Directory, Entry, LinkGroup, Node, Xattr, XattrValue};
use crate::format::page::Hint;
use crate::format::snapshot::{Counters, PathBytes, Problem};
use crate::fs::owners::Owners;
use crate::id::ChunkId;
use crate::limits;
use crate::progress::Progress;
use crate::repository::ChunkKind;
use crate::source::{RawXattr, Stat, StatKind};

/// What a walk came to.
pub struct Tree {
    /// The directory `/`.
    pub root: Entry,
    /// Names of its owners; empty where there is none.
    pub owner: [PathBytes; 2],
    /// Its topmost hint page.
    pub hints: Option<ChunkId>,
}

/// Assembles the tree.
pub struct Sink<'r> {
    /// Where chunks go.
    pub putter: Putter<'r>,
    /// Work done.
    pub counters: Counters,
    /// The first problems.
    pub problems: Vec<Problem>,
    /// All problems.
    pub problem_count: u64,
    /// Whether a file is a recipe.
    pub recipes: bool,
    problem_bytes: usize,
    progress: &'r dyn Progress,
    stack: Vec<Draft>,
    content: ListBuilder,
    owners: Owners,
    links: HashMap<(u64, u64), Links>,
    tree: Option<Tree>,
}

/// A hard-linked inode of which some names are still to come.
struct Links {
    group: u64,
    left: u32,
}

/// A directory whose members are coming.
struct Draft {
    name: Vec<u8>,
    stat: Stat,
    xattrs: Vec<Xattr>,
    previous: Option<Box<Entry>>,
    fresh: bool,
    pages: TreeBuilder,
    entries: u64,
    files: u64,
    bytes: u64,
}

impl<'r> Sink<'r> {
    /// An empty one.
    pub fn new(putter: Putter<'r>, progress: &'r dyn Progress) -> Self {
        Self {
            putter,
            counters: Counters::default(),
            problems: Vec::new(),
            problem_count: 0,
            recipes: false,
            problem_bytes: 0,
            progress,
            stack: Vec::new(),
            content: ListBuilder::default(),
            owners: Owners::default(),
            links: HashMap::new(),
            tree: None,
        }
    }

    /// Takes what comes next.
    ///
    /// # Errors
    /// Whatever the storage says.
    pub fn take(&mut self, found: Found) -> Result<()> {
        match found {
            Found::Enter {
                name,
                stat,
                xattrs,
                previous,
                fresh,
            } => {
                let xattrs = self.attributes(xattrs, previous.as_deref())?;
                let pages = TreeBuilder::default();
                self.stack.push(Draft {
                    name,
                    stat,
                    xattrs,
                    previous,
                    fresh,
                    pages,
                    entries: 0,
                    files: 0,
                    bytes: 0,
                });
                Ok(())
            }
            Found::Leave => self.leave(),
            Found::Keep { entry, stat } => self.keep(*entry, &stat),
            Found::Data { id, bytes } => {
                self.putter.writer.put(ChunkKind::Data, id, &bytes)?;
                self.progress.advance(0, bytes.len() as u64);
                self.content.data(&mut self.putter, id, bytes.len() as u32)
            }
            Found::New { id, bytes } => self
                .putter
                .writer
                .put(ChunkKind::Data, id, &bytes)
                .map(drop),
            Found::Piece(piece) => {
                self.progress.advance(0, piece.len());
                self.content.piece(&mut self.putter, piece)
            }
            Found::Hole(len) => {
                self.progress.advance(0, len);
                self.content.hole(len);
                Ok(())
            }
            Found::Dropped => {
                self.content = ListBuilder::default();
                Ok(())
            }
            Found::Member {
                name,
                stat,
                path,
                xattrs,
                payload,
                known,
                fresh,
                read,
            } => {
                self.counters.bytes_read += read;
                let xattrs = self.attributes(xattrs, None)?;
                self.member((name, stat, path), xattrs, payload, known, fresh)
            }
            Found::Problem { path, error } => {
                self.problem(path, &error);
                Ok(())
            }
            Found::End => Ok(()),
        }
    }

    fn problem(&mut self, path: Vec<u8>, error: &Error) {
        self.progress.problem(error);
        self.problem_count += 1;
        if self.problems.len() < limits::PROBLEMS_LISTED_MAX {
            let what = error.detail();
            // The record has a maximum: what does not fit is counted.
            let bytes = self.problem_bytes + path.len() + what.len();
            if bytes > limits::SNAPSHOT_WORDS_MAX {
                return;
            }
            self.problem_bytes = bytes;
            self.problems.push(Problem {
                path: PathBytes(path),
                what,
            });
        }
    }

    fn attributes(
        &mut self,
        attributes: Attributes,
        previous: Option<&Entry>,
    ) -> Result<Vec<Xattr>> {
        let raw = match attributes {
            Attributes::Previous => {
                return Ok(previous
                    .map(|entry| entry.xattrs.clone())
                    .unwrap_or_default());
            }
            Attributes::Raw(raw) => raw,
        };
        let mut room = limits::INLINE_XATTRS_BYTES;
        let mut stored = Vec::with_capacity(raw.len());
        for (name, value) in raw {
            stored.push(Xattr {
                name: name.clone(),
                value: self.value((name, value), &mut room)?,
            });
        }
        Ok(stored)
    }

    fn value(&mut self, (name, value): RawXattr, room: &mut usize) -> Result<XattrValue> {
        if value.len() <= limits::INLINE_XATTR_BYTES.min(*room) {
            *room -= value.len();
            return Ok(XattrValue::Inline(value));
        }
        if value.len() > limits::XATTR_BYTES_MAX {
            return Err(Error::new(
                Kind::Limit,
                format!("attribute {} is too long to store", name.escape_ascii()),
            ));
        }
        let len = value.len() as u32;
        Ok(XattrValue::Chunk {
            id: self.putter.put(ChunkKind::Xattr, &value)?,
            len,
        })
    }

    /// The group of a hard-linked inode: always of its first name in *this* walk. A group of the parent may by now
    /// belong to another inode (a directory renamed leaves the inodes in it as they were), so none is carried over.
    fn link(&mut self, stat: &Stat, path: impl FnOnce() -> Vec<u8>) -> Option<LinkGroup> {
        if stat.links < 2 || stat.inode == 0 {
            return None;
        }
        let keys = self.putter.repository.keys();
        let key = (stat.device, stat.inode);
        let links = self.links.entry(key).or_insert_with(|| Links {
            group: keys.link_group(&path()),
            left: stat.links,
        });
        links.left -= 1;
        let group = links.group;
        if links.left == 0 {
            // All names have come; nobody will ask again.
            self.links.remove(&key);
        }
        Some(LinkGroup {
            group,
            count: stat.links,
        })
    }

    fn member(
        &mut self,
        (name, stat, path): (Vec<u8>, Stat, Vec<u8>),
        xattrs: Vec<Xattr>,
        payload: Payload,
        known: bool,
        fresh: bool,
    ) -> Result<()> {
        let mut size = 0;
        let node = match (stat.kind, payload) {
            (StatKind::File, Payload::Inline(bytes)) => {
                size = bytes.len() as u64;
                self.progress.advance(0, size);
                Node::File {
                    size,
                    content: Content::Inline(bytes),
                }
            }
            (StatKind::File, Payload::Known(content)) => {
                size = stat.size;
                self.progress.advance(0, size);
                Node::File { size, content }
            }
            (StatKind::File, Payload::Recipe(key)) => {
                let list = std::mem::take(&mut self.content);
                size = list.bytes();
                let content = list.recipe(&mut self.putter, key)?;
                Node::File { size, content }
            }
            (StatKind::File, _) => {
                let list = std::mem::take(&mut self.content);
                size = list.bytes();
                Node::File {
                    size,
                    content: list.finish(&mut self.putter)?,
                }
            }
            (StatKind::Symlink, Payload::Target(target)) => Node::Symlink { target },
            (StatKind::Fifo, _) => Node::Fifo,
            (StatKind::Socket, _) => Node::Socket,
            (StatKind::CharDevice { major, minor }, _) => Node::CharDevice { major, minor },
            (StatKind::BlockDevice { major, minor }, _) => Node::BlockDevice { major, minor },
            (StatKind::Symlink | StatKind::Directory, _) => {
                return Err(Error::new(Kind::Failed, "a member without what it is")
                    .subject(path.escape_ascii().to_string()));
            }
        };
        let link = self.link(&stat, || path.clone());
        let entry = Entry {
            name,
            mode: stat.mode,
            uid: stat.uid,
            gid: stat.gid,
            mtime: stat.mtime,
            node,
            xattrs,
            link,
            extensions: Vec::new(),
        };
        // What no reader would accept would take its whole page with it.
        if let Err(error) = entry.check() {
            self.problem(path, &error);
            return Ok(());
        }
        if known {
            self.counters.files_changed += 1;
        } else {
            self.counters.files_new += 1;
        }
        self.progress.advance(1, 0);
        self.push(&entry, hint(&stat, fresh, None), 1, size)
    }

    fn keep(&mut self, mut entry: Entry, stat: &Stat) -> Result<()> {
        self.counters.files_unmodified += 1;
        let size = match &entry.node {
            Node::File { size, .. } => *size,
            _ => 0,
        };
        if entry.link.is_some() {
            let mut path = Vec::new();
            for name in self
                .stack
                .iter()
                .skip(1)
                .map(|draft| &draft.name)
                .chain([&entry.name])
            {
                path.push(b'/');
                path.extend_from_slice(name);
            }
            entry.link = self.link(stat, || path);
        }
        self.progress.advance(1, size);
        self.push(&entry, hint(stat, false, None), 1, size)
    }

    fn push(&mut self, entry: &Entry, hint: Hint, files: u64, bytes: u64) -> Result<()> {
        if let Node::File { content, .. } = &entry.node {
            self.recipes |= matches!(content, Content::Recipe { .. });
        }
        let (user, group) = (self.owners.user(entry.uid), self.owners.group(entry.gid));
        let draft = self
            .stack
            .last_mut()
            .ok_or_else(|| Error::new(Kind::Failed, "an entry outside of any directory"))?;
        draft.entries += 1;
        draft.files += files;
        draft.bytes += bytes;
        if files > 0 {
            self.counters.bytes_processed += bytes;
        }
        draft.pages.push(&mut self.putter, entry, user, group, hint)
    }

    fn leave(&mut self) -> Result<()> {
        let draft = self
            .stack
            .pop()
            .ok_or_else(|| Error::new(Kind::Failed, "left a directory that was not entered"))?;
        let Draft {
            name,
            stat,
            xattrs,
            previous,
            fresh,
            pages,
            entries,
            files,
            bytes,
        } = draft;
        let (root, hints) = pages.finish(&mut self.putter)?.unzip();
        let node = Node::Directory(Directory {
            root,
            entries,
            files,
            bytes,
        });
        let entry = Entry {
            name,
            mode: stat.mode,
            uid: stat.uid,
            gid: stat.gid,
            mtime: stat.mtime,
            node,
            xattrs,
            link: None,
            extensions: Vec::new(),
        };
        match previous {
            None => self.counters.dirs_new += 1,
            Some(previous) if *previous == entry => self.counters.dirs_unmodified += 1,
            Some(_) => self.counters.dirs_changed += 1,
        }
        if self.stack.is_empty() {
            let name = |name: Option<Arc<[u8]>>| {
                PathBytes(name.map(|name| name.to_vec()).unwrap_or_default())
            };
            let owner = [
                name(self.owners.user(entry.uid)),
                name(self.owners.group(entry.gid)),
            ];
            self.tree = Some(Tree {
                root: entry,
                owner,
                hints,
            });
            return Ok(());
        }
        let hint = hint(&stat, fresh, hints);
        self.push(&entry, hint, 0, 0)?;
        if let Some(parent) = self.stack.last_mut() {
            parent.files += files;
            parent.bytes += bytes;
        }
        Ok(())
    }

    /// The whole tree, once the root has been left.
    ///
    /// # Errors
    /// Where the walk ended before.
    pub fn finish(&mut self) -> Result<Tree> {
        self.tree
            .take()
            .ok_or_else(|| Error::new(Kind::Failed, "the walk ended before its root was left"))
    }
}

fn hint(stat: &Stat, fresh: bool, below: Option<ChunkId>) -> Hint {
    let inode = if fresh { 0 } else { stat.inode };
    Hint {
        inode,
        device: stat.device,
        ctime: stat.ctime,
        below,
    }
}
