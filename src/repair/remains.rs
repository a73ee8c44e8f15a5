//! What is left of a tree: the same tree without what is lost, page by page, every loss named by its path.

use std::collections::HashMap;
use std::sync::Arc;

use super::Ground;
use crate::error::{Kind, Result};
use crate::format::entry::{Directory, Entry, Node, PageRef, XattrValue};
use crate::format::page::Hint;
use crate::format::snapshot::{PathBytes, Problem};
use crate::id::ChunkId;
use crate::limits;
use crate::progress::Progress;
use crate::repository::{EntriesWithHints, Listed, Page, Repository, Session};
use crate::snapshot::{Putter, TreeBuilder};

/// Nobody may take the entry for unchanged: it is read again.
const UNKNOWN: Hint = Hint {
    inode: 0,
    device: 0,
    ctime: 0,
    below: None,
};

/// Knows which pages are whole with all that is below them; each is looked at once, however many snapshots share it.
pub struct Remains<'r> {
    repository: &'r Repository,
    ground: &'r Ground,
    progress: &'r dyn Progress,
    known: HashMap<ChunkId, bool>,
}

/// A page whose children are being looked at.
struct Look {
    page: ChunkId,
    children: Vec<PageRef>,
    whole: bool,
}

/// What was left out, and what was kept.
#[derive(Default)]
pub struct Account {
    /// The first losses.
    pub lost: Vec<Problem>,
    /// All of them.
    pub lost_count: u64,
    lost_bytes: usize,
    /// Directories kept.
    pub dirs: u64,
    /// All else that was kept.
    pub files: u64,
    /// Sizes of the files among it.
    pub bytes: u64,
}

impl Account {
    /// Counts a loss, and lists it where there is room: the record has a maximum.
    pub(super) fn lose(&mut self, path: &[u8], what: &str) {
        self.lose_many(path, what, 1);
    }

    /// Counts so many losses, and lists them as one.
    pub(super) fn lose_many(&mut self, path: &[u8], what: &str, count: u64) {
        self.lost_count = self.lost_count.saturating_add(count);
        self.lost_bytes += path.len() + what.len();
        let room = self.lost.len() < limits::PROBLEMS_LISTED_MAX;
        if room && self.lost_bytes <= limits::SNAPSHOT_WORDS_MAX {
            self.lost.push(Problem {
                path: PathBytes(path.to_vec()),
                what: what.to_owned(),
            });
        }
    }
}

/// A directory being taken again.
struct Draft<'r> {
    entry: Entry,
    directory: Directory,
    owner: [Option<Arc<[u8]>>; 2],
    hint: Hint,
    path_len: usize,
    members: EntriesWithHints<'r>,
    pages: TreeBuilder,
    met: u64,
    kept: u64,
    files: u64,
    bytes: u64,
}

impl<'r> Remains<'r> {
    /// Knows nothing yet.
    pub fn new(repository: &'r Repository, ground: &'r Ground, progress: &'r dyn Progress) -> Self {
        Self {
            repository,
            ground,
            progress,
            known: HashMap::new(),
        }
    }

    /// Where it looks.
    pub(super) fn repository(&self) -> &'r Repository {
        self.repository
    }

    /// Goes on unless the user asked to stop.
    pub(super) fn go_on(&self) -> Result<()> {
        self.progress.go_on()
    }

    /// Whether a page and all below it are whole, where that is known.
    pub(super) fn known(&self, page: &ChunkId) -> Option<bool> {
        self.known.get(page).copied()
    }

    /// Remembers it.
    pub(super) fn know(&mut self, page: ChunkId, whole: bool) {
        self.known.insert(page, whole);
    }

    /// Whether a chunk can be found in a pack that is there and whole.
    pub(super) fn stands(&self, id: &ChunkId, len: u32) -> Result<bool> {
        if self.ground.saved.contains(id) {
            return Ok(true);
        }
        let places = self.repository.index().locate_all(id)?;
        Ok(places
            .iter()
            .any(|place| place.len == len && !self.ground.gone.contains(&place.frame.pack)))
    }

    fn attributes_stand(&self, entry: &Entry) -> Result<bool> {
        for xattr in &entry.xattrs {
            if !self.attribute_stands(&xattr.value)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn attribute_stands(&self, value: &XattrValue) -> Result<bool> {
        match value {
            XattrValue::Chunk { id, len } => self.stands(id, *len),
            XattrValue::Inline(_) => Ok(true),
        }
    }

    /// Whether a file's bytes and an entry's attributes are all there.
    fn is_whole(&self, entry: &Entry) -> Result<bool> {
        or_lost(
            self.repository
                .every_chunk(entry, &mut |id, len| self.stands(id, len)),
        )
    }

    fn content_stands(&self, entry: &Entry) -> Result<bool> {
        let bare = Entry {
            xattrs: Vec::new(),
            ..entry.clone()
        };
        self.is_whole(&bare)
    }

    /// Whether an entry, and everything below it, is there.
    pub fn is_whole_below(&mut self, entry: &Entry) -> Result<bool> {
        if !self.is_whole(entry)? {
            return Ok(false);
        }
        match &entry.node {
            Node::Directory(Directory {
                root: Some(root), ..
            }) => self.page_is_whole(*root),
            _ => Ok(true),
        }
    }

    fn page_is_whole(&mut self, root: PageRef) -> Result<bool> {
        let mut stack = Vec::new();
        self.look(root, &mut stack)?;
        while let Some(top) = stack.last_mut() {
            self.progress.go_on()?;
            match top.children.pop() {
                Some(child) => match self.known.get(&child.id) {
                    Some(whole) => top.whole &= whole,
                    None => self.look(child, &mut stack)?,
                },
                None => {
                    let (page, whole) = (top.page, top.whole);
                    self.known.insert(page, whole);
                    stack.pop();
                    if let Some(above) = stack.last_mut() {
                        above.whole &= whole;
                    }
                }
            }
        }
        Ok(self.known.get(&root.id).copied().unwrap_or(false))
    }

    /// Opens a page: what it says of itself, and the pages below that are still to be looked at.
    fn look(&self, page: PageRef, stack: &mut Vec<Look>) -> Result<()> {
        if self.known.contains_key(&page.id) {
            return Ok(());
        }
        let mut look = Look {
            page: page.id,
            children: Vec::new(),
            whole: true,
        };
        match self.repository.tree_page(page) {
            Ok(Page::Leaf(entries)) => {
                for Listed { entry, .. } in &entries {
                    look.whole = look.whole && self.is_whole(entry)?;
                    if let Node::Directory(directory) = &entry.node {
                        look.children.extend(directory.root);
                    }
                }
            }
            Ok(Page::Branch(children)) => {
                let depth = page.depth.saturating_sub(1);
                let below = children.iter().map(|child| PageRef {
                    id: child.id,
                    depth,
                });
                look.children.extend(below);
            }
            Err(error) if error.kind() == Kind::Damage => look.whole = false,
            Err(error) => return Err(error),
        }
        stack.push(look);
        Ok(())
    }

    /// Takes what is left of `root` again; its entry and topmost hint page.
    ///
    /// # Errors
    /// Whatever the storage says.
    pub fn take(
        &mut self,
        putter: &mut Putter<'_>,
        session: &Session,
        root: &Entry,
        hints: Option<ChunkId>,
        account: &mut Account,
    ) -> Result<(Entry, Option<ChunkId>)> {
        let top = Listed {
            entry: root.clone(),
            user: None,
            group: None,
        };
        let hint = Hint {
            below: hints,
            ..UNKNOWN
        };
        let mut path = Vec::new();
        let mut stack = Vec::new();
        self.enter(top, hint, &path, &mut stack, account)?;
        while let Some(draft) = stack.last_mut() {
            self.progress.go_on()?;
            session.renew_when_due(self.repository)?;
            path.truncate(draft.path_len);
            let (listed, hint) = match draft.members.next() {
                Some(Ok(found)) => found,
                Some(Err(error)) if error.kind() == Kind::Damage => continue,
                Some(Err(error)) => return Err(error),
                None => {
                    let Some(draft) = stack.pop() else { break };
                    account.dirs += 1;
                    let done = leave(draft, putter, &path, account)?;
                    let Some(above) = stack.last_mut() else {
                        return Ok((done.entry, done.hint.below));
                    };
                    above.files += done.files;
                    above.bytes += done.bytes;
                    let [user, group] = done.owner;
                    above.kept += 1;
                    above
                        .pages
                        .push(putter, &done.entry, user, group, done.hint)?;
                    continue;
                }
            };
            draft.met += 1;
            path.push(b'/');
            path.extend_from_slice(&listed.entry.name);
            let mut hint = hint.unwrap_or(UNKNOWN);
            let mut entry = listed.entry.clone();
            if let Node::Directory(directory) = &entry.node {
                if !self.is_whole_below(&entry)? {
                    self.enter(listed, hint, &path, &mut stack, account)?;
                    continue;
                }
                draft.files += directory.files;
                draft.bytes += directory.bytes;
                account.dirs += 1;
            } else {
                if !self.content_stands(&entry)? {
                    account.lose(&path, "its content is lost");
                    continue;
                }
                self.keep_attributes(&mut entry, &mut hint, &path, account)?;
                draft.files += 1;
                account.files += 1;
                if let Node::File { size, .. } = &entry.node {
                    draft.bytes += size;
                    account.bytes += size;
                }
            }
            draft.kept += 1;
            draft
                .pages
                .push(putter, &entry, listed.user, listed.group, hint)?;
        }
        Ok((root.clone(), hints))
    }

    /// Begins a directory of which something is lost.
    fn enter(
        &self,
        listed: Listed,
        mut hint: Hint,
        path: &[u8],
        stack: &mut Vec<Draft<'r>>,
        account: &mut Account,
    ) -> Result<()> {
        let Listed {
            mut entry,
            user,
            group,
        } = listed;
        self.keep_attributes(&mut entry, &mut hint, path, account)?;
        let directory = match &entry.node {
            Node::Directory(directory) => *directory,
            _ => Directory::default(),
        };
        let members = self
            .repository
            .entries_with_hints(&directory, hint.below)
            .passing_over_errors();
        stack.push(Draft {
            entry,
            directory,
            owner: [user, group],
            hint,
            path_len: path.len(),
            members,
            pages: TreeBuilder::default(),
            met: 0,
            kept: 0,
            files: 0,
            bytes: 0,
        });
        Ok(())
    }

    /// Leaves out attributes whose values are lost; the entry is then read again by the next snapshot.
    fn keep_attributes(
        &self,
        entry: &mut Entry,
        hint: &mut Hint,
        path: &[u8],
        account: &mut Account,
    ) -> Result<()> {
        if self.attributes_stand(entry)? {
            return Ok(());
        }
        let mut kept = Vec::new();
        for xattr in std::mem::take(&mut entry.xattrs) {
            if self.attribute_stands(&xattr.value)? {
                kept.push(xattr);
            } else {
                let what = format!("its attribute {} is lost", xattr.name.escape_ascii());
                account.lose(path, &what);
            }
        }
        entry.xattrs = kept;
        hint.inode = 0;
        Ok(())
    }
}

/// Damage means no; any other trouble remains one.
pub(super) fn or_lost(answer: Result<bool>) -> Result<bool> {
    match answer {
        Err(error) if error.kind() == Kind::Damage => Ok(false),
        answer => answer,
    }
}

/// Closes a directory's pages.
fn leave<'r>(
    mut draft: Draft<'r>,
    putter: &mut Putter<'_>,
    path: &[u8],
    account: &mut Account,
) -> Result<Draft<'r>> {
    let lost = draft.directory.entries.saturating_sub(draft.met);
    if lost > 0 {
        let shown: &[u8] = if path.is_empty() { b"/" } else { path };
        let what = format!("{lost} of its {} entries are lost", draft.directory.entries);
        account.lose(shown, &what);
    }
    let pages = std::mem::take(&mut draft.pages);
    let (root, hints) = pages.finish(putter)?.unzip();
    draft.hint.below = hints;
    draft.entry.node = Node::Directory(Directory {
        root,
        entries: draft.kept,
        files: draft.files,
        bytes: draft.bytes,
    });
    Ok(draft)
}
