//! Mark: which chunks does any snapshot need? Every page of every tree is read once, however many snapshots share it.
//! Pages are remembered in memory, for each is asked after at every turn; what they refer to, which is most, where it has
//! room (`index/ids.rs`).
//!
//! What a mark has found stays true: a later one adds the snapshots committed since, and never has to begin again. That
//! a snapshot went meanwhile only means that a little more is kept than must be.

use std::collections::HashSet;

use crate::error::{Error, Kind, Result};
use crate::format::codec;
use crate::format::deployment::CataloguePage;
use crate::format::entry::{Content, Entry, Node, Piece, XattrValue};
use crate::format::page::{HintPage, ListPage, TreePage};
use crate::format::run::RunPage;
use crate::format::snapshot::{Snapshot, SourceRecord};
use crate::id::{ChunkId, SnapshotId};
use crate::index::{Ids, short};
use crate::limits::CHUNK_BYTES_MAX;
use crate::progress::Progress;
use crate::repository::{ChunkKind, Facts, Repository, Session, Standing};
use crate::seen::Seen;

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

/// A page that was marked.
struct Page {
    found: Found,
    /// Whether it must be there: not where all that needs it is what a repair took again because something is lacking.
    firm: bool,
}

/// Chunks that snapshots need.
pub struct Live {
    pages: Seen<Page>,
    /// All that is not read further: data, and attributes.
    rest: Ids,
    snapshots: HashSet<SnapshotId>,
}

/// A page still to be read.
type Waiting = Vec<(ChunkKind, ChunkId)>;

impl Live {
    /// Nothing marked yet. What is many is laid down beside the repository's cache of the index, where it has one.
    #[must_use]
    pub fn new(repository: &Repository) -> Self {
        Self {
            pages: Seen::default(),
            rest: Ids::new(repository.index().cache()),
            snapshots: HashSet::new(),
        }
    }

    /// Whether a snapshot needs the chunk.
    ///
    /// # Errors
    /// [`Kind::Failed`] where what was laid down cannot be read back; so do the others.
    pub fn contains(&mut self, id: &ChunkId) -> Result<bool> {
        Ok(self.pages.contains(id) || self.rest.contains(short(id))?)
    }

    /// Chunks in it.
    #[must_use]
    pub fn chunks(&self) -> usize {
        self.pages.len() + self.rest.size()
    }

    /// Snapshots that were marked.
    #[must_use]
    pub fn snapshots(&self) -> usize {
        self.snapshots.len()
    }

    /// Whether it is needed and counted for the first time.
    pub(super) fn count(&mut self, id: &ChunkId) -> Result<bool> {
        match self.pages.get_mut(id) {
            Some(page) => {
                let before = std::mem::replace(&mut page.found, Found::Counted);
                Ok(before != Found::Counted)
            }
            None => self.rest.count(short(id)),
        }
    }

    /// It was found in a pack that is on its way out.
    pub(super) fn leaving(&mut self, id: &ChunkId) -> Result<()> {
        match self.pages.get_mut(id) {
            Some(page) if page.found == Found::No => page.found = Found::Leaving,
            Some(_) => {}
            None => self.rest.leave(short(id))?,
        }
        Ok(())
    }

    /// A survey begins: nothing is found yet.
    pub(super) fn count_anew(&mut self) {
        self.pages
            .values_mut()
            .for_each(|page| page.found = Found::No);
        self.rest.count_anew();
    }

    /// Needed chunks that the survey has not found anywhere.
    pub(super) fn missing(&self) -> Result<usize> {
        let lost = |page: &&Page| page.found == Found::No && page.firm;
        Ok(self.pages.values().filter(lost).count() + self.rest.missing()?)
    }

    /// Marks every snapshot that has not gone and was not marked before; a rehearsal may leave some out.
    ///
    /// # Errors
    /// [`Kind::Damage`] where a snapshot, or a page of one, cannot be read: then nothing may be deleted, for nobody
    /// knows what it needs.
    pub fn update(
        &mut self,
        repository: &Repository,
        session: Option<&Session>,
        left_out: &dyn Fn(&Facts) -> bool,
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
            if self.snapshots.contains(&snapshot.id) || left_out(&facts) {
                continue;
            }
            // What only a newer program sees in it may be needed too.
            snapshot
                .features
                .refuse_write("prune beside this snapshot")
                .map_err(|error| error.or_subject(|| snapshot.id.short()))?;
            self.roots(&snapshot, &mut waiting);
            while let Some((kind, id)) = waiting.pop() {
                if matches!(kind, ChunkKind::Data | ChunkKind::Xattr) {
                    self.rest.add(short(&id), !lacking)?;
                    continue;
                }
                match self.pages.get_mut(&id) {
                    // What a snapshot that lacks something has reached is reached anew by one that must not.
                    Some(page) if !lacking && !page.firm => page.firm = true,
                    Some(_) => continue,
                    None => {
                        let page = Page {
                            found: Found::No,
                            firm: !lacking,
                        };
                        self.pages.insert(&id, page);
                    }
                }
                progress.go_on()?;
                if let Some(session) = session {
                    session.renew_when_due(repository)?;
                }
                match page(repository, kind, &id, &mut waiting) {
                    Ok(()) => {}
                    // Without its hints a snapshot is as whole as before, and one that a repair took again lacks what
                    // it lacks.
                    Err(error)
                        if error.kind() == Kind::Damage && (kind == ChunkKind::Hint || lacking) =>
                    {
                        progress.note(&format!("left aside: {error}"));
                        self.pages.remove(&id);
                    }
                    Err(error) => {
                        return Err(unsure(error.or_subject(|| snapshot.id.short())));
                    }
                }
            }
            self.snapshots.insert(snapshot.id);
        }
        self.rest.settle()
    }

    fn roots(&mut self, snapshot: &Snapshot, waiting: &mut Waiting) {
        for source in &snapshot.sources {
            match source {
                SourceRecord::Files { root, hints, .. } => {
                    entry(root, waiting);
                    waiting.extend(hints.map(|id| (ChunkKind::Hint, id)));
                }
                SourceRecord::Mongo(deployment) => {
                    let top = deployment.catalogue;
                    waiting.extend(top.map(|page| (ChunkKind::Catalogue, page.id)));
                }
                SourceRecord::Oplog(slice) => {
                    let entries = slice.entries.iter();
                    waiting.extend(entries.map(|sorted| (ChunkKind::Run, sorted.root.id)));
                }
                SourceRecord::Undo(undo) => {
                    let runs = undo.collections.iter().map(|own| &own.before);
                    let sorted = runs.flat_map(|run| run.documents.iter().chain(&run.deleted));
                    waiting.extend(sorted.map(|sorted| (ChunkKind::Run, sorted.root.id)));
                }
            }
        }
    }
}

fn unsure(error: Error) -> Error {
    match error.kind() {
        Kind::Damage => error.hint(
            "nothing more is deleted, since it is not certain what is needed; `duramen repair` mends what can be mended",
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
        ChunkKind::Run => {
            let page: RunPage = codec::decode(&bytes, max, "run page")?;
            page.check()?;
            match page {
                RunPage::Leaf { leaves, .. } => {
                    let content = leaves.iter().map(|leaf| &leaf.content);
                    content.for_each(|content| pieces(content, waiting));
                }
                RunPage::Branch { children, .. } => {
                    waiting.extend(children.iter().map(|child| (kind, child.id)));
                }
            }
        }
        ChunkKind::Catalogue => {
            let page: CataloguePage = codec::decode(&bytes, max, "catalogue page")?;
            page.check()?;
            match page {
                CataloguePage::Leaf(collections) => {
                    let runs = collections.iter().flat_map(|each| &each.runs);
                    let sorted = runs.flat_map(|run| run.documents.iter().chain(&run.deleted));
                    waiting.extend(sorted.map(|sorted| (ChunkKind::Run, sorted.root.id)));
                }
                CataloguePage::Branch(children) => {
                    waiting.extend(children.iter().map(|child| (kind, child.id)));
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
            content: Content::Paged(page) | Content::Recipe { root: page, .. },
            ..
        } => waiting.push((ChunkKind::List, page.id)),
        _ => {}
    }
}

fn pieces(pieces: &[Piece], waiting: &mut Waiting) {
    for piece in pieces {
        if let Some((id, _)) = piece.chunk() {
            waiting.push((ChunkKind::Data, id));
        }
    }
}
