//! Walking every snapshot's tree: each page once, however many snapshots share it.

use std::cell::RefCell;
use std::collections::HashSet;

use super::moved::Newer;
use super::wanted::Wanted;
use super::{Lost, Named, Report};
use crate::error::{Error, Result};
use crate::format::codec;
use crate::format::deployment::{CataloguePage, Collection};
use crate::format::entry::{Content, Entry, Node, PageRef, Piece, XattrValue};
use crate::format::page::{ListPage, TreePage};
use crate::format::run::{RunPage, Sorted};
use crate::format::snapshot::{Snapshot, SourceRecord};
use crate::id::{ChunkId, PackId, SnapshotId};
use crate::index::Location;
use crate::limits::CHUNK_BYTES_MAX;
use crate::progress::Progress;
use crate::repository::{ChunkKind, Facts, Repository, Standing};
use crate::seen::Seen;

struct Walk<'c> {
    repository: &'c Repository,
    named: &'c Named,
    lost: &'c Lost,
    newer: Newer,
    report: &'c mut Report,
    progress: &'c dyn Progress,
    /// Pages that were looked at, whatever came of it.
    seen: Seen<()>,
    /// The snapshot being walked.
    snapshot: Option<SnapshotId>,
    /// Whether it is needed; asked again before anything is called damage, for it may have gone meanwhile.
    standing: Standing,
    asked: bool,
    /// Places in it that are damaged.
    lacking: u64,
    /// Packs of all places of all chunks that were asked for.
    needed: RefCell<HashSet<PackId>>,
    /// Chunks that are to be asked for all at once; none where each is looked up as it is met.
    wanted: Option<Wanted>,
}

/// Hears nothing but the wish to stop.
struct OnlyStops<'p>(&'p dyn Progress);

impl Progress for OnlyStops<'_> {
    fn interrupted(&self) -> bool {
        self.0.interrupted()
    }
}

/// A page to be looked at.
struct Waiting {
    page: PageRef,
    kind: ChunkKind,
    /// Bytes of a file, or of documents, that a page must stand for; none where nobody says.
    bytes: Option<u64>,
    /// `snapshot:path` that it belongs to.
    place: String,
}

/// Snapshots, and by what their trees are judged.
pub(super) struct Trees<'c> {
    pub repository: &'c Repository,
    pub snapshots: &'c [(Snapshot, Facts)],
    pub named: &'c Named,
    pub lost: &'c Lost,
}

impl<'c> Trees<'c> {
    /// Every pack in which something lies that the snapshots need. What is found wrong on the way is told by
    /// [`Trees::walk`].
    pub(super) fn needed_packs(&self, progress: &dyn Progress) -> Result<HashSet<PackId>> {
        let (mut report, quiet) = (Report::default(), OnlyStops(progress));
        let walk = self.walked(None, &mut report, &quiet)?;
        Ok(walk.needed.into_inner())
    }

    /// Whether all pages are as they should be and all that they refer to is there: the fast way to say that nothing
    /// is wrong. Where something is, it does not say what.
    pub(super) fn stand(&self, report: &mut Report, progress: &dyn Progress) -> Result<bool> {
        let (mut found, quiet) = (Report::default(), OnlyStops(progress));
        let wanted = Wanted::new(self.repository);
        let walk = self.walked(Some(wanted), &mut found, &quiet)?;
        let (trees, wanted) = (walk.seen.len() as u64, walk.wanted);
        if found.finding_count > 0 {
            return Ok(false);
        }
        report.trees = trees;
        match wanted {
            // What cannot be laid down, or read back, can still be looked up one by one.
            Some(wanted) => Ok(wanted
                .all_stand(self.repository, self.named, self.lost)
                .unwrap_or(false)),
            None => Ok(false),
        }
    }

    /// Walks the trees of all snapshots, looks up all that they refer to, and names what is wrong.
    pub(super) fn walk(&self, report: &mut Report, progress: &dyn Progress) -> Result<()> {
        let trees = self.walked(None, report, progress)?.seen.len();
        report.trees = trees as u64;
        Ok(())
    }

    fn walked<'r>(
        &self,
        wanted: Option<Wanted>,
        report: &'r mut Report,
        progress: &'r dyn Progress,
    ) -> Result<Walk<'r>>
    where
        'c: 'r,
    {
        let mut walk = Walk {
            repository: self.repository,
            named: self.named,
            lost: self.lost,
            newer: Newer::default(),
            report,
            progress,
            seen: Seen::default(),
            snapshot: None,
            standing: Standing::Living,
            asked: false,
            lacking: 0,
            needed: RefCell::default(),
            wanted,
        };
        let living = |of: &&(Snapshot, Facts)| of.1.standing == Standing::Living;
        let ordered: Vec<&(Snapshot, Facts)> = if walk.wanted.is_some() {
            // Oldest first: pages lie beside those that were new with them, so each frame is opened once.
            self.snapshots.iter().collect()
        } else {
            // Newest first: where several snapshots share what is damaged, the newest is named. What only a forgotten
            // one lacks is no damage: nobody needs it, and nobody who takes it back is left in the dark.
            let (living, others): (Vec<_>, Vec<_>) = self.snapshots.iter().rev().partition(living);
            living.into_iter().chain(others).collect()
        };
        for (snapshot, facts) in ordered {
            walk.snapshot = Some(snapshot.id);
            walk.standing = facts.standing;
            walk.asked = false;
            walk.lacking = 0;
            for source in &snapshot.sources {
                let place = format!("{}:", snapshot.id.short());
                match source {
                    SourceRecord::Files { root, .. } => {
                        let mut waiting = Vec::new();
                        walk.entry(root, place, &mut waiting)?;
                        walk.pages(waiting)?;
                    }
                    SourceRecord::Mongo(deployment) => {
                        let top = deployment.catalogue.map(|page| Waiting {
                            page,
                            kind: ChunkKind::Catalogue,
                            bytes: None,
                            place,
                        });
                        walk.pages(top.into_iter().collect())?;
                    }
                    SourceRecord::Oplog(slice) => {
                        let top = slice.entries.iter().map(|sorted| run(sorted, &place));
                        walk.pages(top.collect())?;
                    }
                    SourceRecord::Undo(undo) => {
                        let own = undo.collections.iter().map(|own| &own.before);
                        let sorted = own.flat_map(|run| run.documents.iter().chain(&run.deleted));
                        walk.pages(sorted.map(|sorted| run(sorted, &place)).collect())?;
                    }
                }
            }
            if walk.lacking > 0 {
                let what = match walk.standing {
                    Standing::Gone => "went for good while it was looked at".into(),
                    _ => format!("forgotten, and damaged in {} places", walk.lacking),
                };
                walk.report
                    .remark(progress, format!("{}:/", snapshot.id.short()), &what);
            }
        }
        Ok(walk)
    }
}

/// The topmost page of documents.
fn run(sorted: &Sorted, place: &str) -> Waiting {
    Waiting {
        page: sorted.root,
        kind: ChunkKind::Run,
        bytes: Some(sorted.bytes),
        place: place.to_owned(),
    }
}

impl Walk<'_> {
    /// Looks at these pages and all below them.
    fn pages(&mut self, mut waiting: Vec<Waiting>) -> Result<()> {
        while let Some(next) = waiting.pop() {
            self.progress.go_on()?;
            if self.seen.insert(&next.page.id, ()).is_some() {
                continue;
            }
            if let Err(error) = self.page(&next, &mut waiting) {
                let place = shown(next.place);
                self.found(place.clone(), &error.or_subject(|| place))?;
            }
        }
        Ok(())
    }

    /// Whether a chunk can be found in a pack that is there, and has not been read and found wrong. What is not where it
    /// was may have been moved since.
    fn chunk(&self, id: &ChunkId, len: Option<u32>) -> Result<()> {
        loop {
            match self.stands(id, len) {
                Err(_) if self.newer.look(self.repository)? => {}
                verdict => return verdict,
            }
        }
    }

    fn stands(&self, id: &ChunkId, len: Option<u32>) -> Result<()> {
        let lacking = |what: &str| Err(Error::damage(format!("chunk {} {what}", id.short())));
        let mut places = self.repository.index().locate_all(id)?;
        // What only a cache on this machine says is no part of the repository.
        places.retain(|place| {
            let pack = &place.frame.pack;
            self.named.contains_key(pack) || self.newer.contains(pack)
        });
        self.needed
            .borrow_mut()
            .extend(places.iter().map(|place| place.frame.pack));
        if places.is_empty() {
            return lacking("is named by no segment");
        }
        places.retain(|place| !self.lost.packs.contains(&place.frame.pack));
        if places.is_empty() {
            return lacking("lies in a pack that is missing or damaged");
        }
        places.retain(|place| !self.lost.chunks.contains(&(place.frame.pack, *id)));
        if places.is_empty() {
            return lacking("is damaged");
        }
        let fits = |place: &Location| len.is_none_or(|len| len == place.len);
        if !places.iter().any(fits) {
            return lacking("has another length than it should");
        }
        Ok(())
    }

    fn page(&mut self, waiting: &Waiting, more: &mut Vec<Waiting>) -> Result<()> {
        let Waiting {
            page: PageRef { id, depth },
            kind,
            bytes: expected,
            place,
        } = waiting;
        self.chunk(id, None)?;
        let below = |id: ChunkId, bytes: Option<u64>| Waiting {
            page: PageRef {
                id,
                depth: depth.saturating_sub(1),
            },
            kind: *kind,
            bytes,
            place: place.clone(),
        };
        let wrong_depth =
            || Error::damage(format!("page {} at a depth where it cannot be", id.short()));
        if *kind == ChunkKind::Catalogue {
            match self.repository.catalogue_page(waiting.page)? {
                CataloguePage::Leaf(collections) => {
                    let of = |collection: &Collection| format!("{place}{}", collection.namespace);
                    more.extend(collections.iter().flat_map(|collection| {
                        let runs = collection.runs.iter();
                        let sorted = runs.flat_map(|run| run.documents.iter().chain(&run.deleted));
                        sorted.map(|sorted| Waiting {
                            page: sorted.root,
                            kind: ChunkKind::Run,
                            bytes: Some(sorted.bytes),
                            place: of(collection),
                        })
                    }));
                }
                CataloguePage::Branch(children) => {
                    more.extend(children.iter().map(|child| below(child.id, None)));
                }
            }
        } else if *kind == ChunkKind::Run {
            let page = self.repository.run_page(waiting.page)?;
            adds_up(std::iter::once(page.below().bytes), *expected)?;
            match page {
                RunPage::Leaf { leaves, .. } => {
                    leaves
                        .iter()
                        .try_for_each(|leaf| self.pieces(&leaf.content))?;
                }
                RunPage::Branch { children, .. } => {
                    let children = children.iter();
                    more.extend(children.map(|child| below(child.id, Some(child.bytes))));
                }
            }
        } else if *kind == ChunkKind::Tree {
            let bytes = self.repository.read_chunk(*kind, id)?;
            let page: TreePage = codec::decode(&bytes, CHUNK_BYTES_MAX, "tree page")?;
            page.check()?;
            match (page, depth) {
                (TreePage::Leaf { entries, .. }, 0) => {
                    for entry in entries {
                        let place = format!("{place}/{}", String::from_utf8_lossy(&entry.name));
                        self.entry(&entry, place, more)?;
                    }
                }
                (TreePage::Branch { children, .. }, 1..) => {
                    more.extend(children.iter().map(|child| below(child.id, None)))
                }
                _ => return Err(wrong_depth()),
            }
        } else {
            let bytes = self.repository.read_chunk(*kind, id)?;
            let page: ListPage = codec::decode(&bytes, CHUNK_BYTES_MAX, "list page")?;
            page.check()?;
            match (page, depth) {
                (ListPage::Leaf(pieces), 0) => {
                    adds_up(pieces.iter().map(Piece::len), *expected)?;
                    self.pieces(&pieces)?;
                }
                (ListPage::Branch(children), 1..) => {
                    adds_up(children.iter().map(|child| child.bytes), *expected)?;
                    more.extend(
                        children
                            .iter()
                            .map(|child| below(child.id, Some(child.bytes))),
                    );
                }
                _ => return Err(wrong_depth()),
            }
        }
        Ok(())
    }

    fn pieces(&mut self, pieces: &[Piece]) -> Result<()> {
        let mut chunks = pieces.iter().filter_map(Piece::chunk);
        chunks.try_for_each(|(id, len)| self.content(&id, len))
    }

    /// A chunk that is not read here.
    fn content(&mut self, id: &ChunkId, len: u32) -> Result<()> {
        match &mut self.wanted {
            Some(wanted) => wanted.add(id, len),
            None => self.chunk(id, Some(len)),
        }
    }

    fn entry(&mut self, entry: &Entry, place: String, more: &mut Vec<Waiting>) -> Result<()> {
        let attributes = entry
            .xattrs
            .iter()
            .try_for_each(|xattr| match &xattr.value {
                XattrValue::Chunk { id, len } => self.content(id, *len),
                XattrValue::Inline(_) => Ok(()),
            });
        let node = match &entry.node {
            Node::Directory(directory) => {
                more.extend(directory.root.map(|page| Waiting {
                    page,
                    kind: ChunkKind::Tree,
                    bytes: None,
                    place: place.clone(),
                }));
                Ok(())
            }
            Node::File {
                content: Content::List(pieces),
                ..
            } => self.pieces(pieces),
            Node::File {
                content: Content::Paged(page) | Content::Recipe { root: page, .. },
                size,
            } => {
                more.push(Waiting {
                    page: *page,
                    kind: ChunkKind::List,
                    bytes: Some(*size),
                    place: place.clone(),
                });
                Ok(())
            }
            _ => Ok(()),
        };
        if let Err(error) = attributes.and(node) {
            let place = shown(place);
            self.found(place.clone(), &error.subject(place))?;
        }
        Ok(())
    }

    fn found(&mut self, place: String, error: &Error) -> Result<()> {
        if let Some(snapshot) = &self.snapshot
            && self.standing == Standing::Living
            && !self.asked
        {
            self.standing = self.repository.facts(snapshot)?.standing;
            self.asked = true;
        }
        if self.standing == Standing::Living {
            self.report.add(self.progress, place, error);
        } else {
            self.lacking += 1;
        }
        Ok(())
    }
}

/// What a list page stands for must be what the page above it, or the entry, says.
fn adds_up(mut bytes: impl Iterator<Item = u64>, expected: Option<u64>) -> Result<()> {
    let sum = bytes.try_fold(0u64, u64::checked_add);
    match expected {
        Some(expected) if sum != Some(expected) => Err(Error::damage(
            "what a page stands for does not add up to what the one above it says",
        )),
        _ => Ok(()),
    }
}

/// A place as people read it: the root has no name of its own.
fn shown(place: String) -> String {
    if place.ends_with(':') {
        place + "/"
    } else {
        place
    }
}
