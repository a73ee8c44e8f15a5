//! Taking a snapshot of a MongoDB deployment: exactly as it was at one time, without stopping anybody.
//!
//! ```text
//! list -> read what nobody has read yet -> which ids were touched meanwhile? -> read those again, all at one time
//!   ^______________________ again, where collections came, went or changed _______________________|
//! ```
//! The oplog says which documents were touched and nothing else is believed of it; what they hold says a read at one
//! cluster time. So a collection may be read slowly, in any order, at any state not older than where the oplog is followed
//! from: whatever changed afterwards is read again. An incremental snapshot is the same with nothing left to read in the
//! second step. The time of the snapshot is that of an entry that a majority has, so no failure of theirs can undo it.
//!
//! What would lie: a collection dropped and silently empty (each read names it by the server's id), a catalogue of another
//! time (it is listed again until the oplog tells of no change since), an oplog that was rewritten or has rolled over (the
//! entry we left off at must be there, byte for byte; otherwise everything is read anew, and the summary says so).

mod alone;
mod base;
mod capped;
mod follow;
mod merge;
mod parts;
mod pass;
mod readers;
mod record;
mod sample;
mod trail;

use std::collections::{HashMap, HashSet};
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::catalogue::store_catalogue;
use super::put::Putter;
use super::sorter::Sorter;
use crate::chunk::Cutter;
use crate::clock::Nanos;
use crate::error::{Error, Kind, Result};
use crate::format::bson::Document;
use crate::format::deployment::{Collection, CollectionKind, Deployment, Moment, Position};
use crate::format::run::Run;
use crate::format::slice::Slice;
use crate::format::snapshot::Counters;
use crate::id::PackId;
use crate::progress::Progress;
use crate::repository::{ChunkWriter, Repository, Session, WriterOptions};
use crate::source::mongo::lag::Lag;
use crate::source::mongo::oplog::Uuid;
use crate::source::mongo::reading::{self, Patience, State, Stretch};
use crate::source::mongo::server::{Asked, Refusal, code};
use crate::source::mongo::{Selection, Server, Topology, catalogue};
use capped::Capped;
pub(super) use parts::Parts;
pub(super) use record::Recorder;
pub use record::scope;
use sample::Sample;
use trail::Trail;

/// Rounds until the catalogue stands still.
const ROUNDS_MAX: u32 = 50;
/// More touched ids than this are read again before the time of the snapshot is chosen, so that the last reading is short:
/// the server remembers five minutes.
const TOUCHED_MAX: u64 = 200_000;

/// How to take a deployment.
#[derive(Clone, Copy)]
pub struct DeploymentOptions<'o> {
    /// Which collections.
    pub selection: &'o Selection,
    /// The deployment as a snapshot before holds it.
    pub parent: Option<&'o Deployment>,
    /// Whether all is read though there is a parent: it only says since when what happened is kept.
    pub anew: bool,
    /// Whether what happened since the parent is kept too, entry by entry.
    pub recorded: bool,
    /// About so many documents of what the parent holds are compared with the server.
    pub scrub_sample: u64,
    /// How chunks are written.
    pub writer: WriterOptions,
}

/// What was taken; everything it refers to is durable.
pub struct TakenDeployment {
    /// The deployment.
    pub deployment: Deployment,
    /// Work done.
    pub counters: Counters,
    /// Collections of which everything was read.
    pub collections_read: u64,
    /// Documents that were read.
    pub documents_read: u64,
    /// Packs of others that look-ups relied on.
    pub relied: HashSet<PackId>,
    /// What happened since the parent, where that is known.
    pub slice: Option<Slice>,
    /// Documents of the parent that were compared with the server.
    pub scrubbed: u64,
    /// Of them, those that differed though nothing told of it.
    pub scrub_differences: u64,
}

/// What is known of a collection's documents so far.
struct Held {
    /// Newest first.
    runs: Vec<Run>,
    /// How many of them this snapshot made.
    new: usize,
    /// How many there are, where that is known.
    documents: Option<u64>,
    /// Whether all of it was read by this snapshot.
    fresh: bool,
    /// What happened up to that time is in it.
    since: u64,
}

struct Capture<'c> {
    repository: &'c Repository,
    session: &'c Session,
    server: &'c Server,
    selection: &'c Selection,
    recorded: bool,
    trail: Trail,
    progress: &'c dyn Progress,
    cutter: &'c Cutter,
    putter: Putter<'c>,
    counters: Counters,
    collections_read: u64,
    documents_read: u64,
    /// Where what is too much for memory is laid down; without it, memory has to do.
    folder: Option<PathBuf>,
    held: HashMap<Uuid, Held>,
    capped: HashMap<Uuid, Capped>,
    /// Runs of the parent's capped collections, in which what is still there has its place.
    before: HashMap<Uuid, Vec<Run>>,
    touched: Sorter,
    recorder: Option<Recorder>,
    lag: Arc<Mutex<Lag>>,
    /// So many documents are still to be chosen for it.
    scrub_sample: u64,
    sample: Sample,
}

/// Takes the server's deployment.
///
/// # Errors
/// Whatever the server or the storage says. Nothing of it is left half: without an error, all of it is there.
pub fn take_deployment(
    repository: &Repository,
    session: &Session,
    server: &Server,
    options: &DeploymentOptions<'_>,
    progress: &dyn Progress,
) -> Result<TakenDeployment> {
    let DeploymentOptions {
        selection,
        parent,
        anew,
        recorded,
        scrub_sample,
        writer,
    } = *options;
    let writer = ChunkWriter::new(repository, session, writer)?.for_documents();
    let cutter = Cutter::new(repository.config().chunking, repository.keys().gear());
    let folder = folder(repository);
    let mut capture = Capture {
        repository,
        session,
        server,
        selection,
        recorded,
        trail: Trail::Oplog,
        progress,
        cutter: &cutter,
        putter: Putter { repository, writer },
        counters: Counters::default(),
        collections_read: 0,
        documents_read: 0,
        touched: Sorter::new(folder.as_deref()),
        folder,
        held: HashMap::new(),
        capped: HashMap::new(),
        before: HashMap::new(),
        recorder: None,
        lag: Arc::default(),
        scrub_sample,
        sample: Sample::default(),
    };
    let taken = match server.topology() {
        Topology::Sharded => Err(Error::new(
            Kind::Unsupported,
            "this is a router of a sharded cluster, which this version cannot take exactly",
        )
        .subject(server.address())
        .hint("take each shard's replica set by itself, while nothing is moved between them")),
        Topology::Alone => capture.alone(),
        Topology::Set(set) => capture.set(set, parent, anew),
    };
    let taken = taken.and_then(|deployment| Ok((capture.slice(&deployment)?, deployment)));
    let (slice, deployment) = match taken {
        Ok(taken) => taken,
        Err(error) => {
            if error.kind() == Kind::Interrupted {
                // What has been read is kept; why that failed matters less than that it was interrupted.
                let _ = capture.putter.writer.finish();
            }
            return Err(error);
        }
    };
    let mut counters = capture.counters;
    let (collections_read, documents_read) = (capture.collections_read, capture.documents_read);
    let (scrubbed, scrub_differences) = (capture.sample.documents, capture.sample.differing);
    let (written, relied) = capture.putter.writer.finish()?;
    counters.data_chunks = written.data_chunks;
    counters.tree_chunks = written.tree_chunks;
    counters.data_added = written.raw_bytes;
    counters.data_added_packed = written.stored_bytes;
    Ok(TakenDeployment {
        deployment,
        counters,
        collections_read,
        documents_read,
        relied,
        slice,
        scrubbed,
        scrub_differences,
    })
}

impl Capture<'_> {
    /// A document was read.
    fn read(&mut self, document: Document<'_>) {
        let bytes = document.bytes().len() as u64;
        self.documents_read += 1;
        self.counters.bytes_read += bytes;
        self.counters.bytes_processed += bytes;
        self.progress.advance(1, bytes);
    }

    /// Goes on unless the user asked to stop, and says that we are alive: whoever is silent for long is given up.
    fn go_on(&self) -> Result<()> {
        self.progress.go_on()?;
        self.session.renew_when_due(self.repository)
    }

    /// Asks again where the connection broke off.
    fn patient<T>(&self, ask: impl Fn(&Self) -> Asked<T>) -> Asked<T> {
        Patience::new(self.progress).until(|| ask(self))
    }

    fn sorter(&self) -> Sorter {
        Sorter::new(self.folder.as_deref())
    }

    fn now(&self) -> Nanos {
        self.repository.environment().clock.now()
    }

    /// A replica set: exactly as it was at one time.
    fn set(&mut self, set: &str, parent: Option<&Deployment>, anew: bool) -> Result<Deployment> {
        self.trail = self.find_trail()?;
        let known = self.known(set, parent)?;
        let (mut here, mut known) = match known {
            Some((at, known)) => {
                // Nothing leads on from a moment of which nobody knows the entry.
                let leads = parent.is_some_and(|parent| parent.moment == Moment::At(at));
                self.recorder = (self.recorded && leads && self.trail == Trail::Oplog)
                    .then(|| Recorder::new(at, self.folder.as_deref()));
                (at, known)
            }
            None => (self.newest()?, HashMap::new()),
        };
        if anew {
            known.clear();
            self.before.clear();
            // First what happened since, while the oplog still has it; then all is read, from now on.
            let now = self.newest()?;
            if now.time > here.time {
                let since = (here, now);
                let recorded = self.recorder.is_some();
                if recorded && self.follow(since, now.time, &[], &mut false)? == Stretch::Gap {
                    self.recorder = None;
                }
                here = now;
            }
        }
        let (mut followed, mut slow) = (true, false);
        for _ in 0..ROUNDS_MAX {
            self.go_on()?;
            // A new primary may lag behind what the one before it had.
            let since = self.newest()?.time.max(here.time);
            let listed = self.patient(|own| catalogue::list(own.server, own.selection))?;
            self.suits(&listed)?;
            let mut changed = self.match_up(&listed, &mut known, since)?;
            let sampled = std::mem::take(&mut self.scrub_sample);
            changed |= sampled > 0 && !self.choose(sampled)?;
            let done = self.patient(|own| reading::operation_time(own.server))?;
            let newest = self.asks_newest();
            let to =
                self.patient(|own| reading::settled(own.server, done, own.progress, newest))?;
            if self.follow((here, to), since, &listed, &mut changed)? == Stretch::Gap {
                if !std::mem::replace(&mut followed, false) {
                    return Err(Error::new(
                        Kind::Failed,
                        "the oplog rolls over faster than the data can be read",
                    )
                    .subject(self.server.address())
                    .hint("make the oplog larger, with replSetResizeOplog"));
                }
                self.progress
                    .note("everything is read anew: the oplog has rolled over meanwhile");
                self.forget();
                known.clear();
                here = self.newest()?;
                continue;
            }
            here = to;
            // Nothing is known of it any more that was not read by now.
            known.clear();
            if changed {
                continue;
            }
            // Where one time was too short for all of it, most is read before the next is chosen.
            if self.touched.len() > TOUCHED_MAX || std::mem::take(&mut slow) {
                match self.pass(&listed, State::Majority { after: to.time }) {
                    Ok(()) => {}
                    Err(refusal) if again(&refusal) => {}
                    Err(refusal) => return Err(refusal.error),
                }
                continue;
            }
            let exact = self.pass(&listed, State::Snapshot { at: to.time });
            let exact = exact.and_then(|()| self.complete(&listed, to));
            let exact = exact.and_then(|well| Ok(well && self.scrub(&listed, to)?));
            match exact {
                Ok(false) => {}
                Ok(true) => {
                    let all = self.finished(listed, to)?;
                    return self.deployment(set.to_owned(), Moment::At(to), all);
                }
                Err(refusal) if again(&refusal) => {
                    slow = refusal.code == Some(code::SNAPSHOT_TOO_OLD);
                }
                Err(refusal) => return Err(refusal.error),
            }
        }
        Err(Error::new(
            Kind::Failed,
            "collections come, go or change faster than they can be listed and read",
        )
        .subject(self.server.address())
        .hint("leave out what is made anew all the time, with --ns-exclude"))
    }

    /// What the parent holds, where the oplog still leads on from it: its time, and its collections.
    fn known(
        &mut self,
        set: &str,
        parent: Option<&Deployment>,
    ) -> Result<Option<(Position, HashMap<Uuid, Collection>)>> {
        let Some(parent) = parent else {
            return Ok(None);
        };
        let Moment::At(at) = parent.moment else {
            return Ok(None);
        };
        let anew = |why: &str| {
            self.progress
                .note(&format!("everything is read anew: {why}"));
            Ok(None)
        };
        if parent.set != set {
            return anew("the parent is of another replica set");
        }
        if self.session.damaged.is_some() || !self.repository.index().adds_up().unwrap_or(false) {
            // What it would take over unread may be what is lost; read again, it is stored again.
            return anew("a part of the repository is lost");
        }
        let at = match self.trail {
            Trail::Changes if self.newest()?.time < at.time => {
                return anew("the server was set back since the parent was taken");
            }
            Trail::Changes => at,
            Trail::Oplog => {
                let Some(entry) = self.patient(|own| reading::entry(own.server, at.time))? else {
                    return anew("the oplog has rolled over since the parent was taken");
                };
                let proof = *blake3::hash(&entry).as_bytes();
                if at.is_proven() && proof != at.proof {
                    return anew("the oplog is another one than when the parent was taken");
                }
                Position { proof, ..at }
            }
        };
        let mut known = HashMap::new();
        for collection in self.repository.collections(parent) {
            // What is damaged in the parent is read anew.
            match collection {
                Ok(collection) => match (collection.uuid, collection.kind) {
                    (Some(uuid), CollectionKind::Plain) => {
                        known.insert(uuid, collection);
                    }
                    (Some(uuid), CollectionKind::Capped) => {
                        self.before.insert(uuid, collection.runs);
                    }
                    _ => {}
                },
                Err(error) => {
                    self.progress
                        .note(&format!("some collections are read anew: {error}"));
                    break;
                }
            }
        }
        Ok(Some((at, known)))
    }

    fn forget(&mut self) {
        self.held.clear();
        self.capped.clear();
        self.touched = self.sorter();
        self.recorder = None;
    }

    /// Brings what is held in line with what is listed: what is new is read, or taken from the parent, and what went is
    /// dropped. Whether something changed while it was read.
    fn match_up(
        &mut self,
        listed: &[Collection],
        known: &mut HashMap<Uuid, Collection>,
        since: u64,
    ) -> Result<bool> {
        let there: HashSet<Uuid> = listed.iter().filter_map(|each| each.uuid).collect();
        self.held.retain(|uuid, _| there.contains(uuid));
        self.capped.retain(|uuid, _| there.contains(uuid));
        // All that is known at once: nothing of the parent is known any more behind the next stretch of the oplog.
        for collection in listed {
            let Some(parent) = collection.uuid.and_then(|uuid| known.remove(&uuid)) else {
                continue;
            };
            if collection.kind == CollectionKind::Plain && !self.is_silent(collection) {
                self.go_on()?;
                let held = Held {
                    runs: parent.runs,
                    new: 0,
                    documents: parent.documents,
                    fresh: false,
                    since: 0,
                };
                self.held.extend(parent.uuid.map(|uuid| (uuid, held)));
            }
        }
        let after = State::Majority { after: since };
        for collection in listed {
            let Some(uuid) = collection.uuid else {
                continue;
            };
            let there = self.held.contains_key(&uuid) || self.capped.contains_key(&uuid);
            if there || self.is_silent(collection) {
                continue;
            }
            self.go_on()?;
            self.progress.current(collection.namespace.as_bytes());
            let read = match collection.kind {
                CollectionKind::Capped => self
                    .read_capped(collection, after, since)
                    .map(|capped| drop(self.capped.insert(uuid, capped))),
                CollectionKind::Plain => self
                    .base(collection, after)
                    .map(|held| drop(self.held.insert(uuid, held))),
                CollectionKind::View | CollectionKind::TimeSeries => Ok(()),
            };
            match read {
                Err(refusal) if reading::is_change(&refusal) => return Ok(true),
                read => read?,
            }
        }
        Ok(false)
    }

    /// The listed collections with what is held of them.
    fn finished(&mut self, listed: Vec<Collection>, at: Position) -> Result<Vec<Collection>> {
        let mut all = Vec::new();
        for mut collection in listed {
            self.go_on()?;
            if let Some(uuid) = &collection.uuid {
                if let Some(capped) = self.capped.remove(uuid) {
                    let held = self.store_capped(capped)?;
                    collection.documents = held.documents;
                    collection.runs = held.runs;
                } else if let Some(mut held) = self.held.remove(uuid) {
                    if held.documents.is_none() {
                        // Only for people: nothing fails for the want of it.
                        let state = State::Snapshot { at: at.time };
                        held.documents = reading::count(self.server, &collection, state).ok();
                    }
                    collection.documents = held.documents;
                    // Now that nothing waits for it: it may take long, and the oplog does not wait.
                    let older = held.runs.split_off(held.new);
                    held.runs.extend(self.merged(&collection.namespace, older)?);
                    collection.runs = held.runs;
                }
            }
            all.push(collection);
        }
        Ok(all)
    }

    fn deployment(
        &mut self,
        set: String,
        moment: Moment,
        all: Vec<Collection>,
    ) -> Result<Deployment> {
        // What was not counted is at most what its runs hold: too many is no alarm, too few would be one.
        let most = |own: &Collection| {
            let runs = own.runs.iter().filter_map(|run| run.documents);
            runs.map(|sorted| sorted.documents).sum()
        };
        let counted = all
            .iter()
            .map(|own| own.documents.unwrap_or_else(|| most(own)));
        let documents = counted.sum();
        let runs = all.iter().flat_map(|each| &each.runs);
        let bytes = runs
            .filter_map(|run| run.documents)
            .map(|sorted| sorted.bytes)
            .sum();
        let collections = all.len() as u64;
        Ok(Deployment {
            set,
            server: self.server.version().to_owned(),
            moment,
            catalogue: store_catalogue(&mut self.putter, all)?,
            collections,
            documents,
            bytes,
            extensions: Vec::new(),
        })
    }
}

/// Where what is too much for memory is laid down. The first use of a repository comes before its cache is written.
pub(super) fn folder(repository: &Repository) -> Option<PathBuf> {
    let folder = repository.index().cache().map(Path::to_owned);
    let made = |folder: &PathBuf| {
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700).create(folder).is_ok()
    };
    folder.filter(made)
}

/// Whether the whole is looked at again rather than given up.
fn again(refusal: &Refusal) -> bool {
    reading::is_change(refusal) || refusal.code == Some(code::SNAPSHOT_TOO_OLD)
}
