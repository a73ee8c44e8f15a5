//! Mark: which chunks does any snapshot need? Every page of every tree is read once, however many snapshots share it.
//!
//! What a mark has found stays true: a later one adds the snapshots committed since, and never has to begin again. That
//! a snapshot went meanwhile only means that a little more is kept than must be.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};

use crate::error::{Error, Kind, Result};
use crate::format::codec;
use crate::format::entry::{Content, Entry, Node, Piece, XattrValue};
use crate::format::page::{HintPage, ListPage, TreePage};
use crate::format::snapshot::{Snapshot, SourceRecord};
use crate::id::{ChunkId, SnapshotId};
use crate::limits::CHUNK_BYTES_MAX;
use crate::progress::Progress;
use crate::repository::{ChunkKind, Repository, Session, Standing};

/// Half an id: a keyed hash's 128 bits tell any two chunks apart, and halve what a mark holds in memory.
type Short = [u8; 16];

/// Ids are hashes already.
#[derive(Default)]
struct Already(u64);

impl Hasher for Already {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk::<8>() {
            self.0 ^= u64::from_le_bytes(*first);
        }
    }

    // The length of an array, which is always the same.
    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

/// What a survey of the index has found of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    /// Nothing yet.
    No,
    /// It lies in a pack that is on its way out.
    Leaving,
    /// It lies in a pack that counts it as needed.
    Counted,
}

/// Chunks that snapshots need: about 20 bytes of memory each.
#[derive(Default)]
pub struct Live {
    ids: HashMap<Short, Found, BuildHasherDefault<Already>>,
    snapshots: HashSet<SnapshotId>,
    /// Of these, what only snapshots need that a repair took again because they lack something: it may be missing.
    given_up: HashSet<Short>,
}

fn short(id: &ChunkId) -> Short {
    let mut short = Short::default();
    short.copy_from_slice(&id.0[..16]);
    short
}

/// A page still to be read.
type Waiting = Vec<(ChunkKind, ChunkId)>;

impl Live {
    /// Whether a snapshot needs the chunk.
    #[must_use]
    pub fn contains(&self, id: &ChunkId) -> bool {
        self.ids.contains_key(&short(id))
    }

    /// Chunks in it.
    #[must_use]
    pub fn chunks(&self) -> usize {
        self.ids.len()
    }

    /// Snapshots that were marked.
    #[must_use]
    pub fn snapshots(&self) -> usize {
        self.snapshots.len()
    }

    /// Whether it is needed and counted for the first time.
    pub(super) fn count(&mut self, id: &ChunkId) -> bool {
        self.ids
            .get_mut(&short(id))
            .is_some_and(|found| std::mem::replace(found, Found::Counted) != Found::Counted)
    }

    /// It was found in a pack that is on its way out.
    pub(super) fn leaving(&mut self, id: &ChunkId) {
        if let Some(found) = self.ids.get_mut(&short(id))
            && *found == Found::No
        {
            *found = Found::Leaving;
        }
    }

    /// A survey begins: nothing is found yet.
    pub(super) fn count_anew(&mut self) {
        self.ids.values_mut().for_each(|found| *found = Found::No);
    }

    /// Needed chunks that the survey has not found anywhere.
    pub(super) fn missing(&self) -> usize {
        self.ids
            .iter()
            .filter(|(id, found)| **found == Found::No && !self.given_up.contains(*id))
            .count()
    }

    /// Marks every snapshot that has not gone and was not marked before.
    ///
    /// # Errors
    /// [`Kind::Damage`] where a snapshot, or a page of one, cannot be read: then nothing may be deleted, for nobody
    /// knows what it needs.
    pub fn update(
        &mut self,
        repository: &Repository,
        session: Option<&Session>,
        progress: &dyn Progress,
    ) -> Result<()> {
        let snapshots = repository.standing(&mut |_, error| Err(unsure(error)))?;
        // Segments after snapshots: whatever these need is in them.
        repository.index().refresh().map_err(unsure)?;
        let mut waiting = Waiting::new();
        // What a repair took again without what is lost lacks it for good: that hides nothing.
        let replaced: HashSet<SnapshotId> = snapshots
            .iter()
            .filter_map(|(snapshot, _)| snapshot.original())
            .collect();
        for (snapshot, facts) in snapshots {
            let lacking = facts.standing == Standing::Forgotten && replaced.contains(&snapshot.id);
            if self.snapshots.contains(&snapshot.id) {
                continue;
            }
            self.roots(&snapshot, &mut waiting);
            while let Some((kind, id)) = waiting.pop() {
                let known = self.ids.insert(short(&id), Found::No).is_some();
                if lacking && !known {
                    self.given_up.insert(short(&id));
                }
                // What a snapshot that lacks something has reached is reached anew by one that must not.
                let anew = !lacking && self.given_up.remove(&short(&id));
                if known && !anew {
                    continue;
                }
                if matches!(kind, ChunkKind::Data | ChunkKind::Xattr) {
                    continue;
                }
                progress.go_on()?;
                if let Some(session) = session {
                    session.renew_when_due(repository)?;
                }
                match page(repository, kind, &id, &mut waiting) {
                    Ok(()) => {}
                    // Without its hints a snapshot is as whole as before, and what lies below a lost page of one that
                    // is to go can be reached by nobody.
                    Err(error)
                        if error.kind() == Kind::Damage
                            && (kind == ChunkKind::Hint
                                || facts.standing == Standing::Forgotten) =>
                    {
                        progress.note(&format!("left aside: {error}"));
                        self.ids.remove(&short(&id));
                    }
                    Err(error) => {
                        return Err(unsure(error.or_subject(|| snapshot.id.short())));
                    }
                }
            }
            self.snapshots.insert(snapshot.id);
        }
        Ok(())
    }

    fn roots(&mut self, snapshot: &Snapshot, waiting: &mut Waiting) {
        for SourceRecord::Files { root, hints, .. } in &snapshot.sources {
            entry(root, waiting);
            waiting.extend(hints.map(|id| (ChunkKind::Hint, id)));
        }
    }
}

fn unsure(error: Error) -> Error {
    match error.kind() {
        Kind::Damage => error.hint(
            "nothing was deleted, since it is not certain what is needed; `duramen repair` mends what can be mended",
        ),
        _ => error,
    }
}

/// Chunks that a page refers to.
fn page(
    repository: &Repository,
    kind: ChunkKind,
    id: &ChunkId,
    waiting: &mut Waiting,
) -> Result<()> {
    let bytes = repository.read_chunk(kind, id)?;
    let max = CHUNK_BYTES_MAX;
    match kind {
        ChunkKind::Tree => {
            let page: TreePage = codec::decode(&bytes, max, "tree page")?;
            page.check()?;
            match page {
                TreePage::Leaf { entries, .. } => {
                    entries.iter().for_each(|each| entry(each, waiting));
                }
                TreePage::Branch { children, .. } => {
                    waiting.extend(children.iter().map(|child| (kind, child.id)));
                }
            }
        }
        ChunkKind::List => {
            let page: ListPage = codec::decode(&bytes, max, "list page")?;
            page.check()?;
            match page {
                ListPage::Leaf(list) => pieces(&list, waiting),
                ListPage::Branch(children) => {
                    waiting.extend(children.iter().map(|child| (kind, child.id)));
                }
            }
        }
        ChunkKind::Hint => {
            let page: HintPage = codec::decode(&bytes, max, "hint page")?;
            page.check()?;
            match page {
                HintPage::Leaf { hints, .. } => {
                    let below = hints.iter().filter_map(|hint| hint.below);
                    waiting.extend(below.map(|id| (kind, id)));
                }
                HintPage::Branch { children, .. } => {
                    waiting.extend(children.into_iter().map(|id| (kind, id)));
                }
            }
        }
        ChunkKind::Data | ChunkKind::Xattr => {}
    }
    Ok(())
}

fn entry(entry: &Entry, waiting: &mut Waiting) {
    for xattr in &entry.xattrs {
        if let XattrValue::Chunk { id, .. } = &xattr.value {
            waiting.push((ChunkKind::Xattr, *id));
        }
    }
    match &entry.node {
        Node::Directory(directory) => {
            waiting.extend(directory.root.map(|page| (ChunkKind::Tree, page.id)));
        }
        Node::File {
            content: Content::List(list),
            ..
        } => pieces(list, waiting),
        Node::File {
            content: Content::Paged(page),
            ..
        } => waiting.push((ChunkKind::List, page.id)),
        _ => {}
    }
}

fn pieces(pieces: &[Piece], waiting: &mut Waiting) {
    for piece in pieces {
        if let Piece::Data { id, .. } = piece {
            waiting.push((ChunkKind::Data, *id));
        }
    }
}
