//! A deployment at any moment: as a snapshot holds it, and then what the oplog says happened up to that moment, done to it
//! here and not on any server.
//!
//! ```text
//! slices -> transactions at their end -> operations -> sorted by collection and _id -> newest run of each collection
//! ```
//! What comes of it is a deployment like that of a snapshot, whose newest runs and whose catalogue are held for this process
//! alone; so whatever reads snapshots (restore, ls, cat, diff) reads it. It needs no `applyOps` on a server, and works for
//! one document as for all. A document that is changed and is not there is an error and never half a document, and so is an
//! entry that is not the one that the snapshot says it went up to.

mod catalogue;
mod diff;
mod documents;
mod path;
mod trace;
mod transactions;
mod walk;

use std::collections::{HashMap, HashSet};

use crate::chunk::Cutter;
use crate::error::{Error, Kind, Result};
use crate::format::deployment::{Collection, Deployment, Moment, Position};
use crate::format::document_key::key;
use crate::format::slice::Slice;
use crate::progress::Progress;
use crate::repository::Repository;
use crate::snapshot::{ScratchPutter, Sorter, store_catalogue};
use crate::source::mongo::Selection;
use crate::source::mongo::operation::Operation;
use crate::source::mongo::oplog::Uuid;
use catalogue::Model;
use documents::{Change, Documents};
pub use path::{last_moment, path, reach};
pub use trace::{Followed, Traced, trace};
use transactions::{Transactions, is_noise};
use walk::walk;

/// What came of it.
pub struct Replayed {
    /// The deployment at that moment.
    pub deployment: Deployment,
    /// What could not be had exactly, in words.
    pub notes: Vec<String>,
    /// Operations that were done.
    pub operations: u64,
}

struct Replay<'r> {
    repository: &'r Repository,
    progress: &'r dyn Progress,
    model: Model,
    changes: Sorter,
    /// Of each collection: changes that need to know what was before.
    needing: HashMap<Uuid, u64>,
    /// Changes before that number are void: all documents went.
    emptied: HashMap<Uuid, u64>,
    number: u64,
    /// Namespaces of which nothing is known.
    unknown: HashSet<String>,
}

/// The selection that a slice was recorded with.
fn selection(slice: &Slice) -> Selection {
    Selection {
        database: slice.scope.database.clone(),
        within: None,
        include: slice.scope.include.clone(),
        exclude: slice.scope.exclude.clone(),
        users: slice.scope.users,
    }
}

/// The deployment after all that these slices, which lead on from it ([`path`]), say of the time up to and with `until`, a
/// cluster time.
///
/// # Errors
/// [`Kind::Unsupported`] for an entry that is not understood, [`Kind::Damage`] where the slices do not fit the deployment.
pub fn replay(
    repository: &Repository,
    base: &Deployment,
    slices: &[&Slice],
    until: u64,
    progress: &dyn Progress,
) -> Result<Replayed> {
    let Moment::At(at) = base.moment else {
        return Err(Error::new(
            Kind::Unsupported,
            "a snapshot that is not one point in time leads to no other",
        ));
    };
    let collections = repository.collections(base).collect::<Result<Vec<_>>>()?;
    let mut replay = Replay {
        repository,
        progress,
        model: Model::new(collections),
        changes: Sorter::new(repository.index().cache().filter(|folder| folder.is_dir())),
        needing: HashMap::new(),
        emptied: HashMap::new(),
        number: 0,
        unknown: HashSet::new(),
    };
    let mut here = at;
    let mut transactions = Transactions::default();
    for slice in slices {
        let selection = selection(slice);
        replay.model.retain(&selection);
        let span = (here, until);
        walk(
            repository,
            slice,
            span,
            &mut transactions,
            progress,
            &mut |_, own| replay.operation(own, &selection),
        )?;
        here = slice.to;
    }
    let operations = replay.number;
    let (collections, notes) = replay.finish()?;
    let count = collections.len() as u64;
    let mut putter = ScratchPutter(repository);
    Ok(Replayed {
        deployment: Deployment {
            moment: Moment::At(Position {
                time: until.min(here.time),
                proof: here.proof,
            }),
            catalogue: store_catalogue(&mut putter, collections)?,
            collections: count,
            ..base.clone()
        },
        notes,
        operations,
    })
}

impl Replay<'_> {
    fn operation(&mut self, own: &Operation<'_>, selection: &Selection) -> Result<()> {
        if is_noise(own) {
            return Ok(());
        }
        self.number += 1;
        if own.op == b"c" {
            let any = own.namespaces()?.into_iter().any(|(database, name)| {
                selection.takes(&database, &name) || selection.takes_database(&database)
            });
            if any && let Some(uuid) = self.model.command(own, selection)? {
                self.emptied.insert(uuid, self.number);
            }
            return Ok(());
        }
        if own.collection() == "system.views" {
            return match selection.takes_database(own.database()) {
                true => self.view(own, selection),
                false => Ok(()),
            };
        }
        let Some(uuid) = own.uuid else {
            return Ok(());
        };
        if self.model.of(&uuid).is_none() {
            // Made when nobody recorded it, or never in the snapshot.
            let namespace = format!("{}.{}", own.database(), own.collection());
            if selection.takes(own.database(), own.collection())
                && self.unknown.insert(namespace.clone())
            {
                self.model.notes.push(format!(
                    "{namespace} is left out: neither the snapshot nor what was recorded since knows how it began"
                ));
            }
            return Ok(());
        }
        let id = own.id()?;
        let id = id.ok_or_else(|| Error::damage("an oplog entry that names no _id"))?;
        let Some(change) = Change::of(own)? else {
            return Ok(());
        };
        if matches!(change, Change::Diff(_) | Change::Replace(_)) {
            *self.needing.entry(uuid).or_default() += 1;
        }
        let mut sorted = uuid.to_vec();
        sorted.extend_from_slice(&key(&id));
        let value = documents::encoded(self.number, &id, change);
        self.changes.push(sorted, value)
    }

    /// A view, where that one is taken.
    fn view(&mut self, own: &Operation<'_>, selection: &Selection) -> Result<()> {
        let id = own.id()?;
        let id = id.as_ref().and_then(crate::source::mongo::answer::text);
        let id = id.unwrap_or_default();
        let (database, name) = id.split_once('.').unwrap_or_default();
        match selection.takes(database, name) {
            true => self.model.view(own),
            false => Ok(()),
        }
    }

    /// All collections with what became of their documents.
    fn finish(self) -> Result<(Vec<Collection>, Vec<String>)> {
        let Self {
            repository,
            progress,
            model,
            changes,
            needing,
            emptied,
            ..
        } = self;
        let cutter = Cutter::new(repository.config().chunking, repository.keys().gear());
        let notes = model.notes.clone();
        let mut collections = model.finish()?;
        let mut documents = Documents {
            repository,
            progress,
            cutter: &cutter,
            needing: &needing,
            emptied: &emptied,
        };
        documents.run(changes, &mut collections)?;
        Ok((collections, notes))
    }
}
