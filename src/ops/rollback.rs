//! Taking a restore to a MongoDB server back.

use super::documents::only;
use super::recorded;
use super::select::Filter;
use super::undump::undump;
use crate::clock::Nanos;
use crate::error::{Error, Kind, Result};
use crate::format::deployment::Deployment;
use crate::format::extension::Extension;
use crate::format::records::SessionPurpose;
use crate::format::snapshot::{PathBytes, Snapshot, SourceRecord};
use crate::format::undo::{DUMP, Undo};
use crate::id::SnapshotId;
use crate::progress::Progress;
use crate::repository::{ChunkWriter, Fact, Repository, Standing, WriterOptions};
pub use crate::restore::deployment::rollback::RollbackReport;
use crate::restore::deployment::rollback::roll_back;
use crate::restore::deployment::safety::{Approved, Safety};
use crate::seal::Compression;
use crate::snapshot::Putter;
use crate::source::mongo::Server;

/// What stands before the address in the path of a snapshot that holds what a restore changed.
const BEFORE: &str = "before-restore:";

/// The tag of what was kept before a restore that has been taken back.
pub const TAKEN_BACK: &str = "taken-back";

/// What it came to.
#[derive(Debug, Clone)]
pub struct RollbackSummary {
    /// The snapshot that holds what was there before.
    pub id: SnapshotId,
    /// The server's address, without what is secret in it.
    pub address: String,
    /// An earlier restore of the same snapshot to the same place, as of one that was killed and run again, that still can be
    /// taken back.
    pub earlier: Option<SnapshotId>,
    /// Collection by collection.
    pub collections: Vec<RollbackReport>,
    /// How long it took.
    pub seconds: f64,
}

impl RollbackSummary {
    /// Whether all went well.
    #[must_use]
    pub fn is_well(&self) -> bool {
        self.collections.iter().all(RollbackReport::is_well)
    }
}

/// What is restored.
pub(super) struct Restored<'r> {
    pub(super) snapshot: SnapshotId,
    /// The moment that it was worked out for.
    pub(super) at: Option<Nanos>,
    /// The dump among its files that it was made of.
    pub(super) dump: Option<&'r [u8]>,
}

/// Stores what a restore is about to change; what may be done from now on. None where it would change nothing.
///
/// # Errors
/// Whatever the storage says.
pub(super) fn store(
    repository: &Repository,
    source: Restored<'_>,
    server: &Server,
    merged: bool,
    safety: Safety,
) -> Result<(SnapshotId, Approved)> {
    let started = repository.environment().clock.now();
    let session = repository.begin(SessionPurpose::Write)?;
    let keep = || -> Result<Approved> {
        let seen = repository.seen()?;
        let options = WriterOptions {
            compression: Compression::Default,
            dry_run: false,
        };
        let writer = ChunkWriter::new(repository, &session, options)?.for_documents();
        let mut putter = Putter { repository, writer };
        let cutter =
            crate::chunk::Cutter::new(repository.config().chunking, repository.keys().gear());
        let (collections, approved) =
            safety.finish(&mut putter, &cutter, &|| session.renew_when_due(repository))?;
        let (written, relied) = putter.writer.finish()?;
        let undo = Undo {
            address: server.address().to_owned(),
            source: source.snapshot,
            at: source.at,
            merged,
            collections,
            extensions: source.dump.map(named).into_iter().collect(),
        };
        undo.check()?;
        let path = format!("{BEFORE}{}", server.address());
        let sources = vec![SourceRecord::Undo(Box::new(undo))];
        let mut snapshot = recorded::plain(repository, &session.id, started, seen);
        snapshot.paths = vec![PathBytes(path.into_bytes())];
        snapshot.sources = sources;
        snapshot.counters.data_chunks = written.data_chunks;
        snapshot.counters.tree_chunks = written.tree_chunks;
        snapshot.counters.data_added = written.raw_bytes;
        snapshot.counters.data_added_packed = written.stored_bytes;
        repository.commit(&session, &snapshot, &relied)?;
        repository.remember(session.id);
        Ok(approved)
    };
    let done = keep();
    session.end(repository);
    Ok((session.id, done?))
}

/// Says which dump was restored.
fn named(path: &[u8]) -> Extension {
    Extension {
        tag: DUMP,
        critical: false,
        body: path.to_vec(),
    }
}

/// The newest snapshot that holds what a restore from this host changed and that was not taken back yet.
///
/// # Errors
/// [`Kind::NotFound`] where there is none; whatever the storage says.
pub fn newest(repository: &Repository) -> Result<Snapshot> {
    let undo = kept(repository)?.pop();
    undo.ok_or_else(|| {
        Error::new(
            Kind::NotFound,
            "there is no restore that could be taken back",
        )
        .hint("one that was taken back already is by its id: duramen rollback ID")
    })
}

/// What restores from this host changed, where they were not taken back, oldest first.
fn kept(repository: &Repository) -> Result<Vec<Snapshot>> {
    let (standing, _) = super::select::standing(repository)?;
    let kept = standing.into_iter().filter(|(snapshot, facts)| {
        let own = snapshot.host == repository.environment().host;
        let taken_back = || facts.tags(snapshot).iter().any(|tag| tag == TAKEN_BACK);
        facts.standing == Standing::Living && own && snapshot.undo().is_some() && !taken_back()
    });
    Ok(kept.map(|(snapshot, _)| snapshot).collect())
}

/// The address that was restored to.
///
/// # Errors
/// [`Kind::Usage`] where the snapshot is not what was kept before a restore.
pub fn address(snapshot: &Snapshot) -> Result<&str> {
    undo_of(snapshot).map(|undo| undo.address.as_str())
}

fn undo_of(snapshot: &Snapshot) -> Result<&Undo> {
    snapshot.undo().ok_or_else(|| {
        Error::new(
            Kind::Usage,
            "this snapshot is not what was kept before a restore",
        )
        .subject(snapshot.id.short())
        .hint("the restore named it: `undo it with duramen rollback ID`")
    })
}

/// The snapshot that was restored, or what repair made of it.
fn restored(repository: &Repository, id: &SnapshotId) -> Result<Snapshot> {
    let (living, _) = super::select::list_readable(repository, &Filter::default())?;
    let mut found: Option<&Snapshot> = None;
    // It may have been damaged more than once; each time another one took its place.
    for _ in 0..living.len() {
        let here = found.map_or(*id, |own| own.id);
        match living.iter().find(|own| own.original() == Some(here)) {
            Some(next) => found = Some(next),
            None => break,
        }
    }
    found.cloned().map_or_else(|| repository.snapshot(id), Ok)
}

/// Puts back what the restore changed that `snapshot` was kept before.
///
/// # Errors
/// [`Kind::NotFound`] where the snapshot that was restored is gone; whatever makes the whole impossible. What concerns a
/// collection or a document stands in the summary.
pub fn run(
    repository: &Repository,
    snapshot: &Snapshot,
    address: &str,
    dry_run: bool,
    progress: &dyn Progress,
) -> Result<RollbackSummary> {
    let clock = &repository.environment().clock;
    let begun = clock.elapsed();
    let undo = undo_of(snapshot)?;
    if snapshot.original().is_some() {
        progress.note(
            "a part of what was kept before the restore is lost: those documents stay as the restore made them",
        );
    }
    let mut source = restored(repository, &undo.source).map_err(|error| {
        error.hint("without the snapshot that was restored nobody can tell what the restore wrote from what came since")
    })?;
    if source.deployments().any(Deployment::is_damaged) {
        progress.note(
            "a part of the snapshot that was restored is lost: those documents count as changed since, and stay",
        );
    }
    if let Some(at) = undo.at {
        source = recorded::at_moment(repository, &source, at, progress)?;
    }
    if let Some(path) = undo.dump() {
        source = undump(repository, &source, path, progress)?;
    }
    // All that may fail is asked before anything is done.
    let tags = repository.facts(&snapshot.id)?.tags(snapshot);
    let mut before = kept(repository)?.into_iter().rev();
    progress.phase("rollback");
    let server = Server::connect(address)?;
    let collections = roll_back(repository, undo, only(&source)?, &server, dry_run, progress)?;
    let whole = collections.iter().all(RollbackReport::is_well);
    // At another place nothing of it was taken back.
    let there = server.address() == undo.address;
    if whole && there && !dry_run && !tags.iter().any(|tag| tag == TAKEN_BACK) {
        // The next one without a name is the one before it. What is done is done, whether that can be written down or not.
        let tagged = repository.annotate(&snapshot.id, Fact::TagAdded(TAKEN_BACK.into()));
        if let Err(error) = tagged {
            progress.note(&format!(
                "that it is taken back could not be written down: {error}"
            ));
        }
    }
    let earlier = before.find(|own| {
        let alike = |own: &Undo| own.source == undo.source && own.address == undo.address;
        own.id != snapshot.id && own.time <= snapshot.time && own.undo().is_some_and(alike)
    });
    Ok(RollbackSummary {
        earlier: earlier.map(|own| own.id),
        id: snapshot.id,
        address: server.address().to_owned(),
        collections,
        seconds: (clock.elapsed() - begun).as_secs_f64(),
    })
}
