//! Following a replica set: its oplog is kept as it grows, a stretch at a time, so that any second can be had back.
//!
//! Each stretch is committed before the next begins, and begins with the very entry that the last one ended with; so it may
//! be killed at any time, and goes on from there the next time, as long as the oplog reaches back so far.

use std::time::Duration;

use super::recorded::{self, recorded, slice_path};
use super::select::{self, Filter};
use crate::clock::Nanos;
use crate::error::{Error, Kind, Result};
use crate::format::deployment::Position;
use crate::format::records::SessionPurpose;
use crate::format::snapshot::{PathBytes, Snapshot, SnapshotKind, SourceRecord};
use crate::id::SnapshotId;
use crate::progress::Progress;
use crate::repository::{Repository, WriterOptions};
pub use crate::seal::Compression;
use crate::snapshot::{TailOptions as StretchOptions, TakenSlice, next_end, take_slice};
pub use crate::source::mongo::Selection;
use crate::source::mongo::reading::{self, Patience};
use crate::source::mongo::{Server, Topology};

/// What is caught up with is taken in stretches of so many seconds.
const STRETCH: u32 = 3600;

/// What to follow, and how.
#[derive(Debug, Clone)]
pub struct TailOptions {
    /// The server's address.
    pub address: String,
    /// Which collections of it.
    pub collections: Selection,
    /// Time between two stretches.
    pub every: Duration,
    /// Catch up, and end.
    pub once: bool,
    /// Host name to record; the machine's where empty.
    pub host: String,
    /// User name to record; the caller's where empty.
    pub user: String,
    /// Tags at birth.
    pub tags: Vec<String>,
    /// How hard to compress.
    pub compression: Compression,
}

/// What happened.
#[derive(Debug, Clone)]
pub struct TailStep {
    /// The snapshot that holds the stretch.
    pub id: SnapshotId,
    /// Where it began.
    pub from: Position,
    /// Where it ended.
    pub to: Position,
    /// Entries in it.
    pub entries: u64,
    /// Bytes that it takes in the repository.
    pub stored: u64,
    /// Seconds between its end and what the server did last.
    pub lag: u64,
    /// Seconds that the oplog reaches back behind its end.
    pub window: u64,
}

/// Follows until it is interrupted, or has caught up where that is asked for, telling `step` of each stretch; how many gaps
/// there were.
///
/// # Errors
/// [`Kind::Interrupted`]; whatever the server or the storage says.
pub fn run(
    repository: &Repository,
    options: &TailOptions,
    progress: &dyn Progress,
    step: &mut dyn FnMut(&TailStep) -> Result<()>,
) -> Result<u64> {
    let server = Server::connect(&options.address)?;
    let Topology::Set(set) = server.topology() else {
        return Err(Error::new(
            Kind::Unsupported,
            "only a replica set has an oplog to follow",
        )
        .subject(server.address())
        .hint("a server that stands alone becomes a set of one member with --replSet and rs.initiate()"));
    };
    let selection = Selection {
        database: server.database().map(str::to_owned),
        ..options.collections.clone()
    };
    let ask_newest = || Patience::new(progress).until(|| reading::newest(&server));
    let goal = ask_newest()?;
    let (mut here, mut gaps) = begin(repository, &server, set, options, &selection, progress)?;
    loop {
        let to = next_end(&server, here, STRETCH, progress)?;
        if to.time > here.time {
            let taken = stretch(
                repository,
                &server,
                options,
                &selection,
                (here, to),
                progress,
            )?;
            let Some((id, taken)) = taken else {
                progress.problem(
                    &Error::new(
                        Kind::Failed,
                        "the oplog has rolled over before it was recorded: what happened meanwhile cannot be had back \
                         second by second",
                    )
                    .subject(server.address())
                    .hint("make the oplog larger, with replSetResizeOplog; take a snapshot now"),
                );
                here = ask_newest()?;
                gaps += 1;
                continue;
            };
            let newest = ask_newest()?;
            let oldest = Patience::new(progress).until(|| reading::oldest(&server))?;
            let seconds = |from: u64, to: u64| (to >> 32).saturating_sub(from >> 32);
            let done = TailStep {
                id,
                from: here,
                to,
                entries: taken.slice.entries.map_or(0, |sorted| sorted.documents),
                stored: taken.counters.data_added_packed,
                lag: seconds(to.time, newest.time),
                window: seconds(oldest.time, to.time),
            };
            // A quarter of what the oplog holds is left until it closes.
            if done.window < seconds(oldest.time, newest.time) / 4 {
                progress.note(&format!(
                    "the oplog reaches back only {} seconds behind what was recorded: soon something will be lacking",
                    done.window
                ));
            }
            step(&done)?;
            here = to;
            if done.lag > options.every.as_secs() || (options.once && here.time < goal.time) {
                continue;
            }
        }
        if options.once {
            return Ok(gaps);
        }
        wait(options.every, progress)?;
    }
}

fn wait(time: Duration, progress: &dyn Progress) -> Result<()> {
    let moment = Duration::from_millis(100);
    let mut left = time;
    while !left.is_zero() {
        progress.go_on()?;
        std::thread::sleep(left.min(moment));
        left = left.saturating_sub(moment);
    }
    progress.go_on()
}

/// Where to go on: at the newest entry that is known, where the oplog still holds it; and whether there is a gap before.
fn begin(
    repository: &Repository,
    server: &Server,
    set: &str,
    options: &TailOptions,
    selection: &Selection,
    progress: &dyn Progress,
) -> Result<(Position, u64)> {
    let (snapshots, broken) = select::list_readable(repository, &Filter::default())?;
    for error in &broken {
        progress.note(&format!("left aside, it cannot be read: {error}"));
    }
    let all = recorded(&snapshots);
    let host = match options.host.as_str() {
        "" => &repository.environment().host,
        host => host,
    };
    let known = all.get(&recorded::named(host, set, server.address()));
    let newest = Patience::new(progress).until(|| reading::newest(server))?;
    let Some(known) = known.filter(|known| known.newest().is_some()) else {
        progress.note(
            "there is no snapshot of this replica set yet: what is recorded can be used from the first one on",
        );
        return Ok((newest, 0));
    };
    // Where the same was recorded before: a snapshot may be newer, and what lies between would be lacking. Where the
    // oplog does not reach back so far any more, that snapshot is the next best.
    let places = [known.recorded_like(selection), known.newest()];
    let mut what = None;
    for place in places.into_iter().flatten() {
        let entry = Patience::new(progress).until(|| reading::entry(server, place.time))?;
        let same = entry.map(|entry| *blake3::hash(&entry).as_bytes() == place.proof);
        if same == Some(true) {
            return Ok(told(server, what, place, progress));
        }
        what.get_or_insert(match same {
            Some(_) => "the oplog is another one than was recorded",
            None => "the oplog has rolled over since it was last recorded",
        });
    }
    Ok(told(server, what, newest, progress))
}

/// The place to begin at, and the gap before it where there is one: that is told.
fn told(
    server: &Server,
    gap: Option<&str>,
    place: Position,
    progress: &dyn Progress,
) -> (Position, u64) {
    let Some(what) = gap else {
        return (place, 0);
    };
    progress.problem(
        &Error::new(
            Kind::Failed,
            format!("{what}: what happened meanwhile cannot be had back second by second"),
        )
        .subject(server.address())
        .hint("take a snapshot now; `duramen timeline` shows the gap"),
    );
    (place, 1)
}

/// Takes one stretch and commits it; none where the oplog does not hold it any more.
fn stretch(
    repository: &Repository,
    server: &Server,
    options: &TailOptions,
    selection: &Selection,
    (from, to): (Position, Position),
    progress: &dyn Progress,
) -> Result<Option<(SnapshotId, TakenSlice)>> {
    let environment = repository.environment();
    let started = environment.clock.now();
    let session = repository.begin(SessionPurpose::Write)?;
    let take = || -> Result<Option<(SnapshotId, TakenSlice)>> {
        let seen = repository.seen()?;
        let stretch = StretchOptions {
            selection,
            from,
            to,
            writer: WriterOptions {
                compression: options.compression,
                dry_run: false,
            },
        };
        let Some(taken) = take_slice(repository, &session, server, &stretch, progress)? else {
            return Ok(None);
        };
        let snapshot = record(repository, options, started, &session.id, &taken, seen);
        repository.commit(&session, &snapshot, &taken.relied)?;
        repository.remember(session.id);
        Ok(Some((session.id, taken)))
    };
    let done = take();
    session.end(repository);
    done
}

fn record(
    repository: &Repository,
    options: &TailOptions,
    started: Nanos,
    id: &SnapshotId,
    taken: &TakenSlice,
    seen: [u8; 32],
) -> Snapshot {
    let mut snapshot = recorded::plain(repository, id, started, seen);
    for (own, given) in [
        (&mut snapshot.host, &options.host),
        (&mut snapshot.user, &options.user),
    ] {
        if !given.is_empty() {
            given.clone_into(own);
        }
    }
    snapshot.tags = options.tags.clone();
    snapshot.tags.sort_unstable();
    snapshot.tags.dedup();
    snapshot.kind = SnapshotKind::Incremental;
    snapshot.paths = vec![PathBytes(slice_path(&taken.slice.address))];
    snapshot.sources = vec![SourceRecord::Oplog(Box::new(taken.slice.clone()))];
    snapshot.counters = taken.counters;
    snapshot
}
