//! Comparing what a walk finds with the parent's tree, name by name, both in the same order.
//!
//! The decision that a file need not be read is the one place where a snapshot could quietly lie, so it takes all of
//! type, size, mtime, ctime and inode, and a ctime that was not too fresh when the parent was taken. The parent is
//! only ever an optimisation: where its tree cannot be read, everything below is simply read again. Where the index is
//! known to lack something, so is every file of which a chunk cannot be found: a loss that shows heals with the next
//! snapshot instead of being handed down from parent to child.

use std::iter::Peekable;
use std::sync::Arc;

use super::recipe;
use crate::error::Error;
use crate::format::entry::{Content, Directory, Entry, Node};
use crate::format::page::Hint;
use crate::id::ChunkId;
use crate::progress::Progress;
use crate::repository::{EntriesWithHints, Listed, Repository};
use crate::source::{Event, Origin, Stat, StatKind};

/// What is not compared, because the file system makes it up.
#[derive(Clone, Copy, Debug, Default)]
pub struct Trust {
    /// Inode numbers change between mounts.
    pub ignore_inode: bool,
    /// ctime changes without need.
    pub ignore_ctime: bool,
}

/// What is to be done for one event.
pub enum Task {
    /// A directory begins; with the parent's entry where it had one of that name.
    Enter {
        name: Vec<u8>,
        stat: Stat,
        origin: Arc<dyn Origin>,
        previous: Option<Box<Entry>>,
        same_inode: bool,
    },
    /// The directory entered last is finished.
    Leave,
    /// As in the parent, in every respect.
    Keep { entry: Box<Entry>, stat: Stat },
    /// To be read, but for its content where the parent's still holds.
    Read {
        name: Vec<u8>,
        stat: Stat,
        origin: Arc<dyn Origin>,
        known: bool,
        content: Option<Content>,
        /// Of a file that is to be read, what the parent holds of it, where that may be of use.
        previous: Option<Content>,
    },
    /// Could not be read.
    Problem { path: Vec<u8>, error: Error },
}

impl Task {
    /// What must be read for it, as far as is known.
    pub fn bytes(&self) -> u64 {
        match self {
            Self::Read {
                stat,
                content: None,
                ..
            } => stat.size,
            _ => 0,
        }
    }
}

type Entries<'r> = Peekable<EntriesWithHints<'r>>;

/// Walks the parent's tree beside the events.
pub struct Merger<'r> {
    repository: &'r Repository,
    progress: &'r dyn Progress,
    trust: Trust,
    root: Option<(Entry, Option<ChunkId>)>,
    stack: Vec<Option<Entries<'r>>>,
    /// The index is known to lack something: what the parent names is looked up before it is named again.
    lacking: bool,
    /// Dumps are taken against what the parent holds of them.
    dumps: bool,
}

impl<'r> Merger<'r> {
    /// `root` is the parent's `/` and its topmost hint page, where there is a parent; `lacking` says that the index is
    /// known to be incomplete; `dumps` that dumps are recognised.
    pub fn new(
        repository: &'r Repository,
        progress: &'r dyn Progress,
        trust: Trust,
        root: Option<(Entry, Option<ChunkId>)>,
        lacking: bool,
        dumps: bool,
    ) -> Self {
        Self {
            repository,
            progress,
            trust,
            root,
            stack: Vec::new(),
            lacking: lacking || !repository.index().adds_up().unwrap_or(false),
            dumps,
        }
    }

    /// The task for the next event.
    pub fn task(&mut self, event: Event) -> Task {
        match event {
            Event::Enter { name, stat, origin } => {
                let (previous, hint, below) = if self.stack.is_empty() {
                    let (entry, hints) = self.root.take().unzip();
                    (entry, None, hints.flatten())
                } else {
                    let (listed, hint) = self.advance(&name).unzip();
                    let hint: Option<Hint> = hint.flatten();
                    (
                        listed.map(|listed| listed.entry),
                        hint,
                        hint.and_then(|hint| hint.below),
                    )
                };
                let members = previous.as_ref().and_then(|entry| match &entry.node {
                    Node::Directory(directory) => Some(self.open(directory, below)),
                    _ => None,
                });
                let was_directory = members.is_some();
                self.stack.push(members);
                let same_inode = previous.as_ref().is_some_and(|entry| self.stands(entry))
                    && was_directory
                    && hint.is_some_and(|hint| {
                        self.same_inode(&hint, &stat) && hint.ctime == stat.ctime
                    });
                let previous = previous.filter(|_| was_directory).map(Box::new);
                Task::Enter {
                    name,
                    stat,
                    origin,
                    previous,
                    same_inode,
                }
            }
            Event::Leave => {
                self.stack.pop();
                Task::Leave
            }
            Event::Member { name, stat, origin } => {
                self.progress.expect(1, stat.size);
                self.member(name, stat, origin)
            }
            Event::Problem { path, error } => Task::Problem { path, error },
        }
    }

    fn member(&mut self, name: Vec<u8>, stat: Stat, origin: Arc<dyn Origin>) -> Task {
        let Some((listed, hint)) = self.advance(&name) else {
            return Task::Read {
                name,
                stat,
                origin,
                known: false,
                content: None,
                previous: None,
            };
        };
        let entry = listed.entry;
        let trusted = hint.is_some_and(|hint| self.same_inode(&hint, &stat));
        let same = trusted && same_kind(&entry.node, &stat) && entry.mtime == stat.mtime;
        if !same || !self.stands(&entry) {
            let known = !matches!(entry.node, Node::Directory(_));
            // Of what comes through a pipe nobody knows the size before its end.
            let now = if stat.inode == 0 && stat.size == 0 {
                u64::MAX
            } else {
                stat.size
            };
            let large = |size: u64| self.dumps && size.min(now) >= recipe::FILE_BYTES_MIN;
            let previous = match &entry.node {
                Node::File { size, content } if large(*size) && self.stands(&entry) => {
                    Some(content.clone())
                }
                _ => None,
            };
            return Task::Read {
                name,
                stat,
                origin,
                known,
                content: None,
                previous,
            };
        }
        if hint.is_some_and(|hint| hint.ctime == stat.ctime) {
            return Task::Keep {
                entry: Box::new(entry),
                stat,
            };
        }
        // Only where the user said that ctime means nothing: the content holds, all else is read again.
        let content = match entry.node {
            Node::File { content, .. } => Some(content),
            _ => None,
        };
        Task::Read {
            name,
            stat,
            origin,
            known: true,
            content,
            previous: None,
        }
    }

    /// Whether what the entry names may be named again unread.
    fn stands(&self, entry: &Entry) -> bool {
        let index = self.repository.index();
        let mut located = |id: &ChunkId, _| Ok(index.stored(id)?.is_some());
        let mut found = || self.repository.every_chunk(entry, &mut located);
        !self.lacking || found().unwrap_or(false)
    }

    fn same_inode(&self, hint: &Hint, stat: &Stat) -> bool {
        let inode = hint.inode == stat.inode || self.trust.ignore_inode;
        let ctime = hint.ctime == stat.ctime || self.trust.ignore_ctime;
        hint.inode != 0 && inode && ctime
    }

    fn open(&self, directory: &Directory, hints: Option<ChunkId>) -> Entries<'r> {
        self.repository
            .entries_with_hints(directory, hints)
            .peekable()
    }

    /// The parent's entry of that name in the directory entered last.
    fn advance(&mut self, name: &[u8]) -> Option<(Listed, Option<Hint>)> {
        let open = self.stack.last_mut()?;
        let entries = open.as_mut()?;
        loop {
            match entries.peek()? {
                Err(error) => {
                    self.progress.note(&format!("the parent snapshot cannot be read here, so everything is read again: {error}"));
                    *open = None;
                    return None;
                }
                Ok((listed, _)) if listed.entry.name.as_slice() > name => return None,
                Ok((listed, _)) => {
                    let found = listed.entry.name == name;
                    let entry = entries.next()?.ok()?;
                    if found {
                        return Some(entry);
                    }
                }
            }
        }
    }
}

fn same_kind(node: &Node, stat: &Stat) -> bool {
    match (node, stat.kind) {
        (Node::File { size, .. }, StatKind::File) => *size == stat.size,
        (Node::Symlink { .. }, StatKind::Symlink)
        | (Node::Fifo, StatKind::Fifo)
        | (Node::Socket, StatKind::Socket) => true,
        (
            Node::CharDevice { major, minor },
            StatKind::CharDevice {
                major: now,
                minor: now_minor,
            },
        )
        | (
            Node::BlockDevice { major, minor },
            StatKind::BlockDevice {
                major: now,
                minor: now_minor,
            },
        ) => *major == now && *minor == now_minor,
        _ => false,
    }
}
