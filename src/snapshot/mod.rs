//! Taking a snapshot of files: one walk, compared with the parent, read by several workers, assembled in order.
//!
//! ```text
//! source -Event-> merge -Task-> workers (read, cut, hash) -Found-> sink (deduplicate, pages) -> repository
//! ```
//! The walk and the comparison run on one thread, reading on several, the sink on the caller's; sealing and packing
//! have threads of their own behind the repository's writer. Everything between is bounded, and everything that
//! decides what is stored happens in one order, so the same tree gives the same pages every time.

mod catalogue;
mod deployment;
mod documents;
mod levels;
mod list;
mod merge;
mod pages;
mod put;
mod read;
mod recipe;
mod sink;
mod sorter;
mod tail;

use std::collections::HashSet;
use std::sync::atomic::AtomicBool;

use crossbeam_channel::{Receiver, bounded};

pub use catalogue::store_catalogue;
pub use deployment::{DeploymentOptions, TakenDeployment, scope, take_deployment};
pub use documents::RunBuilder;
pub use merge::Trust;
pub use pages::TreeBuilder;
pub use put::{Put, Putter, ScratchPutter};
pub use sink::Tree;
pub use sorter::{Record, Sorter};
pub use tail::{TailOptions, TakenSlice, next_end, take_slice};

use crate::chunk::Cutter;
use crate::error::{Error, Kind, Result};
use crate::format::entry::Entry;
use crate::format::snapshot::{Counters, Problem};
use crate::id::{ChunkId, PackId};
use crate::progress::Progress;
use crate::repository::{ChunkWriter, Repository, Session, WriterOptions};
use crate::source::Source;
use merge::{Merger, Task};
use read::{Batch, Found, GROUPS, Shared, work};
use sink::Sink;

/// How to take it.
#[derive(Clone, Copy, Debug)]
pub struct TakeOptions {
    /// How chunks are written.
    pub writer: WriterOptions,
    /// What is not compared with the parent.
    pub trust: Trust,
    /// Of dumps that changed, store only the documents that the parent does not hold.
    pub dumps: bool,
}

/// What was taken; everything it refers to is durable.
pub struct Taken {
    /// The tree.
    pub tree: Tree,
    /// Work done.
    pub counters: Counters,
    /// The first problems.
    pub problems: Vec<Problem>,
    /// All problems.
    pub problem_count: u64,
    /// Packs of others that look-ups relied on.
    pub relied: HashSet<PackId>,
    /// Whether a file in it is a recipe.
    pub recipes: bool,
}

/// Takes everything that `source` has. `parent` is the root entry and topmost hint page to compare with.
/// Stopped in the middle by the user, it keeps what it has read so far for the next attempt.
///
/// # Errors
/// Whatever makes the whole impossible; single files are problems.
pub fn take(
    repository: &Repository,
    session: &Session,
    source: &mut dyn Source,
    parent: Option<(Entry, Option<ChunkId>)>,
    options: TakeOptions,
    progress: &dyn Progress,
) -> Result<Taken> {
    let writer = ChunkWriter::new(repository, session, options.writer)?;
    let cutter = Cutter::new(repository.config().chunking, repository.keys().gear());
    let shared = Shared {
        repository,
        keys: repository.keys().clone(),
        cutter: &cutter,
        progress,
        zipped: AtomicBool::new(false),
    };
    let mut sink = Sink::new(Putter { repository, writer }, progress);
    let threads = repository.threads();
    let assembled = std::thread::scope(|scope| {
        let (to_work, batches) = bounded::<Batch>(threads);
        // One place for each batch that waits or is worked on: no more results than these are ever held.
        let (to_sink, order) = bounded::<Receiver<Vec<Found>>>(2 * threads);
        for _ in 0..threads {
            let (batches, shared) = (batches.clone(), &shared);
            scope.spawn(move || work(shared, &batches));
        }
        drop(batches);
        let mut merger = Merger::new(
            repository,
            progress,
            options.trust,
            parent,
            session.damaged.is_some(),
            options.dumps,
        );
        let clock = &repository.environment().clock;
        let walker = scope.spawn(move || {
            // Everything in a batch was looked at after the batch before it was handed over.
            let mut looked = clock.now();
            source.walk(progress, &mut |events| {
                progress.go_on()?;
                let send = |tasks: Vec<Task>| -> Result<()> {
                    let (out, results) = bounded(GROUPS);
                    let gone = |()| Error::new(Kind::Failed, "the snapshot has stopped");
                    to_sink.send(results).map_err(|_| gone(()))?;
                    let batch = Batch { tasks, looked, out };
                    to_work.send(batch).map_err(|_| gone(()))
                };
                let (mut tasks, mut bytes) = (Vec::new(), 0);
                for event in events {
                    let task = merger.task(event);
                    // A large file is a batch of its own, or one worker would have all of a folder's.
                    if bytes >= BATCH_BYTES {
                        send(std::mem::take(&mut tasks))?;
                        bytes = 0;
                    }
                    bytes += task.bytes();
                    tasks.push(task);
                }
                send(tasks)?;
                looked = clock.now();
                Ok(())
            })
        });
        let drained = drain(repository, session, &order, &mut sink);
        // Dropping the channel would keep the receivers in it alive, and with them the workers that wait for room.
        order.iter().for_each(drop);
        let walked = walker
            .join()
            .unwrap_or_else(|_| Err(Error::new(Kind::Failed, "the walk died")));
        // An error of the sink is what happened; the walk's is then only its echo. Without one, the walk's counts.
        match (drained, walked) {
            (Err(error), walked) if error.message() == CUT_SHORT => {
                progress.go_on()?;
                walked.and(Err(error))
            }
            (drained, walked) => drained.and(walked),
        }
    });
    // Whatever stopped first: where the user asked for it, that is what happened.
    let assembled = progress.go_on().and(assembled).and_then(|()| sink.finish());
    let Sink {
        putter,
        mut counters,
        problems,
        problem_count,
        recipes,
        ..
    } = sink;
    let tree = match assembled {
        Ok(tree) => tree,
        Err(error) => {
            if error.kind() == Kind::Interrupted {
                // What has been read is kept; why that failed matters less than that it was interrupted.
                let _ = putter.writer.finish();
            }
            return Err(error);
        }
    };
    let (written, relied) = putter.writer.finish()?;
    counters.data_chunks = written.data_chunks;
    counters.tree_chunks = written.tree_chunks;
    counters.data_added = written.raw_bytes;
    counters.data_added_packed = written.stored_bytes;
    Ok(Taken {
        tree,
        counters,
        problems,
        problem_count,
        relied,
        recipes,
    })
}

/// A batch with so much to read is closed.
const BATCH_BYTES: u64 = 4 << 20;

const CUT_SHORT: &str = "a worker stopped in the middle";

/// Empties the batches' channels in the order of the batches.
fn drain(
    repository: &Repository,
    session: &Session,
    order: &Receiver<Receiver<Vec<Found>>>,
    sink: &mut Sink<'_>,
) -> Result<()> {
    for results in order {
        let mut complete = false;
        for group in results {
            session.renew_when_due(repository)?;
            for found in group {
                complete |= matches!(found, Found::End);
                sink.take(found)?;
            }
        }
        if !complete {
            return Err(Error::new(Kind::Failed, CUT_SHORT));
        }
    }
    Ok(())
}
