//! Walking what is stored: entries of a directory, pieces of a file, the entry at a path. Pages are read one at a
//! time, checked, and dropped again: a directory of a million names is never in memory whole.

use std::sync::Arc;

use super::{ChunkKind, Repository};
use crate::error::{Error, Kind, Result};
use crate::format::codec;
use crate::format::entry::{Content, Directory, Entry, Node, PageRef, Piece, XattrValue};
use crate::format::page::{Hint, HintPage, ListPage, Owner, TreeChild, TreePage};
use crate::format::snapshot::{Snapshot, SourceRecord};
use crate::id::ChunkId;
use crate::limits::CHUNK_BYTES_MAX;

/// An entry with the names of its owners.
#[derive(Clone, Debug)]
pub struct Listed {
    /// The entry.
    pub entry: Entry,
    /// Its owner's name, where it has one.
    pub user: Option<Arc<[u8]>>,
    /// Its group's name, where it has one.
    pub group: Option<Arc<[u8]>>,
}

/// A page of a directory, checked.
#[derive(Clone, Debug)]
pub enum Page {
    /// Members in the order of their names.
    Leaf(Vec<Listed>),
    /// Pages one level below, in order.
    Branch(Vec<TreeChild>),
}

struct Names(Vec<(u32, Arc<[u8]>)>);

impl Names {
    fn new(owners: Vec<Owner>) -> Self {
        Self(
            owners
                .into_iter()
                .map(|owner| (owner.number, owner.name.into()))
                .collect(),
        )
    }

    fn get(&self, number: u32) -> Option<Arc<[u8]>> {
        let at = self
            .0
            .binary_search_by_key(&number, |(number, _)| *number)
            .ok()?;
        Some(self.0[at].1.clone())
    }
}

/// A page still to be read: its id, its depth, and the hint page beside it.
type Waiting = (ChunkId, u8, Option<ChunkId>);

/// Entries of a directory in order, each with its hint where there is one.
pub struct EntriesWithHints<'r> {
    repository: &'r Repository,
    waiting: Vec<Waiting>,
    leaf: std::vec::IntoIter<(Listed, Option<Hint>)>,
    passing_over: bool,
}

impl EntriesWithHints<'_> {
    /// Goes on behind a page that cannot be read: what it held is missing, and the error stands in its place.
    #[must_use]
    pub fn passing_over_errors(mut self) -> Self {
        self.passing_over = true;
        self
    }
}

impl Iterator for EntriesWithHints<'_> {
    type Item = Result<(Listed, Option<Hint>)>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(entry) = self.leaf.next() {
                return Some(Ok(entry));
            }
            let page = self.waiting.pop()?;
            if let Err(error) = self.load(page) {
                if !self.passing_over {
                    self.waiting.clear();
                }
                return Some(Err(error));
            }
        }
    }
}

impl EntriesWithHints<'_> {
    fn load(&mut self, (id, depth, hint): Waiting) -> Result<()> {
        let page = self.repository.tree_page(PageRef { id, depth })?;
        // A hint page that is gone, or is about another page, only costs time.
        let hints = hint
            .and_then(|hint| {
                self.repository
                    .page::<HintPage>(ChunkKind::Hint, &hint, "hint page")
                    .ok()
            })
            .filter(|hints| hints.check().is_ok());
        match page {
            Page::Leaf(entries) => {
                let hints = match hints {
                    Some(HintPage::Leaf { page, hints })
                        if page == id && hints.len() == entries.len() =>
                    {
                        hints.into_iter().map(Some).collect()
                    }
                    _ => vec![None; entries.len()],
                };
                self.leaf = entries
                    .into_iter()
                    .zip(hints)
                    .collect::<Vec<_>>()
                    .into_iter();
            }
            Page::Branch(children) => {
                let hints = match hints {
                    Some(HintPage::Branch {
                        page,
                        children: hints,
                    }) if page == id && hints.len() == children.len() => {
                        hints.into_iter().map(Some).collect()
                    }
                    _ => vec![None; children.len()],
                };
                let below = children
                    .into_iter()
                    .zip(hints)
                    .map(|(child, hint)| (child.id, depth - 1, hint));
                self.waiting.extend(below.rev());
            }
        }
        Ok(())
    }
}

/// Pieces of a file in order.
struct Pieces<'r> {
    repository: &'r Repository,
    waiting: Vec<(ChunkId, u8)>,
    leaf: std::vec::IntoIter<Piece>,
}

impl Iterator for Pieces<'_> {
    type Item = Result<Piece>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(piece) = self.leaf.next() {
                return Some(Ok(piece));
            }
            let page = self.waiting.pop()?;
            if let Err(error) = self.load(page) {
                self.waiting.clear();
                return Some(Err(error));
            }
        }
    }
}

impl Pieces<'_> {
    fn load(&mut self, (id, depth): (ChunkId, u8)) -> Result<()> {
        let page: ListPage = self.repository.page(ChunkKind::List, &id, "list page")?;
        page.check()?;
        match (page, depth) {
            (ListPage::Leaf(pieces), 0) => self.leaf = pieces.into_iter(),
            (ListPage::Branch(children), 1..) => {
                self.waiting.extend(
                    children
                        .into_iter()
                        .rev()
                        .map(|child| (child.id, depth - 1)),
                );
            }
            _ => {
                return Err(Error::damage(format!(
                    "list page {} at a depth where it cannot be",
                    id.short()
                )));
            }
        }
        Ok(())
    }
}

impl Repository {
    pub(super) fn page<T: serde::Serialize + serde::de::DeserializeOwned>(
        &self,
        kind: ChunkKind,
        id: &ChunkId,
        what: &str,
    ) -> Result<T> {
        let bytes = self.read_chunk(kind, id)?;
        codec::decode(&bytes, CHUNK_BYTES_MAX, what)
            .map_err(|error| super::newer(error).or_subject(|| format!("chunk {}", id.short())))
    }

    /// One page of a directory, for whoever compares directories page by page.
    ///
    /// # Errors
    /// [`Kind::Damage`] or `Unsupported`, naming the chunk.
    pub fn tree_page(&self, PageRef { id, depth }: PageRef) -> Result<Page> {
        let page: TreePage = self.page(ChunkKind::Tree, &id, "tree page")?;
        page.check()?;
        match (page, depth) {
            (
                TreePage::Leaf {
                    entries,
                    users,
                    groups,
                    ..
                },
                0,
            ) => {
                let (users, groups) = (Names::new(users), Names::new(groups));
                let listed = entries.into_iter().map(|entry| Listed {
                    user: users.get(entry.uid),
                    group: groups.get(entry.gid),
                    entry,
                });
                Ok(Page::Leaf(listed.collect()))
            }
            (TreePage::Branch { children, .. }, 1..) => Ok(Page::Branch(children)),
            _ => Err(Error::damage(format!(
                "tree page {} at a depth where it cannot be",
                id.short()
            ))),
        }
    }

    /// Entries of a directory in order, with hints where `hints` (the directory's topmost hint page) has them.
    #[must_use]
    pub fn entries_with_hints(
        &self,
        directory: &Directory,
        hints: Option<ChunkId>,
    ) -> EntriesWithHints<'_> {
        let waiting = directory
            .root
            .map(|PageRef { id, depth }| (id, depth, hints))
            .into_iter()
            .collect();
        EntriesWithHints {
            repository: self,
            waiting,
            leaf: Vec::new().into_iter(),
            passing_over: false,
        }
    }

    /// Entries of a directory in order; pages are loaded as they are needed, each checked.
    #[must_use]
    pub fn entries<'r>(
        &'r self,
        directory: &Directory,
    ) -> Box<dyn Iterator<Item = Result<Listed>> + Send + 'r> {
        Box::new(
            self.entries_with_hints(directory, None)
                .map(|entry| entry.map(|(listed, _)| listed)),
        )
    }

    /// Pieces of a file's content in order. Inline content has none: its bytes stand in the entry.
    #[must_use]
    pub fn pieces<'r>(
        &'r self,
        content: &'r Content,
    ) -> Box<dyn Iterator<Item = Result<Piece>> + Send + 'r> {
        match content {
            Content::Inline(_) => Box::new(std::iter::empty()),
            Content::List(pieces) => Box::new(pieces.iter().map(|piece| Ok(*piece))),
            Content::Paged(root) | Content::Recipe { root, .. } => Box::new(Pieces {
                repository: self,
                waiting: vec![(root.id, root.depth)],
                leaf: Vec::new().into_iter(),
            }),
        }
    }

    /// Calls `each` with every chunk of bytes that the entry names, and its length, as long as it answers true: attribute
    /// values and file content, not a directory's pages. True where all were. Pages of a long content list are read, and
    /// must add up to the file's size.
    ///
    /// # Errors
    /// [`Kind::Damage`] where a page of a content list cannot be read or does not add up, and whatever `each` returns.
    pub fn every_chunk(
        &self,
        entry: &Entry,
        each: &mut dyn FnMut(&ChunkId, u32) -> Result<bool>,
    ) -> Result<bool> {
        for xattr in &entry.xattrs {
            if let XattrValue::Chunk { id, len } = &xattr.value
                && !each(id, *len)?
            {
                return Ok(false);
            }
        }
        let Node::File { size, content } = &entry.node else {
            return Ok(true);
        };
        let mut bytes = 0u64;
        for piece in self.pieces(content) {
            let piece = piece?;
            bytes = bytes.saturating_add(piece.len());
            if let Some((id, len)) = piece.chunk()
                && !each(&id, len)?
            {
                return Ok(false);
            }
        }
        match content {
            Content::Paged(_) | Content::Recipe { .. } if bytes != *size => Err(Error::damage(
                "the pieces of a file do not add up to its size",
            )),
            _ => Ok(true),
        }
    }

    /// The snapshot's root directory `/`.
    ///
    /// # Errors
    /// [`Kind::NotFound`] where the snapshot holds no files.
    pub fn root(&self, snapshot: &Snapshot) -> Result<Listed> {
        let files = snapshot.sources.iter().find_map(|source| match source {
            SourceRecord::Files { root, owner, .. } => Some((root, owner)),
            _ => None,
        });
        let (root, [user, group]) = files.ok_or_else(|| {
            Error::new(Kind::NotFound, "this snapshot holds no files").subject(snapshot.id.short())
        })?;
        let name = |name: &[u8]| (!name.is_empty()).then(|| Arc::from(name));
        Ok(Listed {
            entry: (**root).clone(),
            user: name(&user.0),
            group: name(&group.0),
        })
    }

    /// The entry at an absolute raw path (`/` or nothing is the root) in the snapshot's files. Only the pages on the
    /// way are read, so it is quick in directories of any size.
    ///
    /// # Errors
    /// [`Kind::NotFound`] naming the path.
    pub fn find(&self, snapshot: &Snapshot, path: &[u8]) -> Result<Listed> {
        let mut found = self.root(snapshot)?;
        let missing = || {
            Error::new(
                Kind::NotFound,
                format!("not in snapshot {}", snapshot.id.short()),
            )
            .subject(path.escape_ascii().to_string())
            .hint("`duramen ls` shows what is in it")
        };
        for name in path
            .split(|byte| *byte == b'/')
            .filter(|name| !name.is_empty())
        {
            let Node::Directory(directory) = &found.entry.node else {
                return Err(missing());
            };
            found = self.member(directory, name)?.ok_or_else(missing)?;
        }
        Ok(found)
    }

    /// One member of a directory by name; only the pages on the way are read.
    ///
    /// # Errors
    /// [`Kind::Damage`] or `Unsupported`, naming the chunk.
    pub fn member(&self, directory: &Directory, name: &[u8]) -> Result<Option<Listed>> {
        let Some(mut page) = directory.root else {
            return Ok(None);
        };
        loop {
            match self.tree_page(page)? {
                Page::Leaf(mut entries) => {
                    let found =
                        entries.binary_search_by(|listed| listed.entry.name.as_slice().cmp(name));
                    return Ok(found.ok().map(|at| entries.swap_remove(at)));
                }
                Page::Branch(children) => {
                    let after = children.partition_point(|child| child.first.as_slice() <= name);
                    let Some(child) = after.checked_sub(1).and_then(|at| children.get(at)) else {
                        return Ok(None);
                    };
                    page = PageRef {
                        id: child.id,
                        depth: page.depth - 1,
                    };
                }
            }
        }
    }
}
