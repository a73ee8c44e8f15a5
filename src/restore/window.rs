//! As much of the tree as is worked on at once.
//!
//! Walking the tree and writing files one after the other would read a frame again for each file that shares it.
//! So the walk gathers a window of files, the window sorts the chunks that they need by where these lie, and every
//! frame is read and decoded once and written to all its places. A file with more pieces than a window holds goes on
//! in the next one. Memory is what a window holds, whatever the size of the tree.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use super::job::{Job, Pool, Way};
use super::leave::Left;
use super::links::Linking;
use super::task::Task;
use super::{parallel, verify};
use crate::error::{Error, Result};
use crate::format::entry::{Content, Node, Piece};
use crate::id::ChunkId;
use crate::limits::CHUNK_BYTES_MAX;
use crate::repository::{ChunkKind, Location};

/// How much a window holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    /// Pieces of content.
    pub(super) pieces: usize,
    /// Names.
    pub(super) names: usize,
}

impl Default for Size {
    fn default() -> Self {
        Self {
            pieces: 64 << 10,
            names: 20_000,
        }
    }
}

/// Pieces or small jobs that a thread takes at once.
const BATCH: usize = 64;
/// Runs of data shorter than this find room without being told of before.
const RESERVE_MIN: u64 = 1 << 20;

/// A piece that a file needs.
struct Needed {
    job: Arc<Job>,
    id: ChunkId,
    /// Raw length of the chunk.
    whole: u32,
    /// What the file needs of it: all, or a part.
    part: Range<u32>,
    /// Where in the file.
    offset: u64,
}

impl Needed {
    fn length(&self) -> u32 {
        self.part.end - self.part.start
    }
}

/// The same, and where it lies.
struct Found {
    needed: Needed,
    location: Location,
}

/// What is being worked on.
#[derive(Default)]
pub(super) struct Window {
    /// Every file of the window.
    jobs: Vec<Arc<Job>>,
    /// Those that need nothing from any frame.
    ready: Vec<Arc<Job>>,
    needed: Vec<Needed>,
    links: Vec<Linking>,
    left: Vec<Left>,
    pool: Pool,
}

impl Window {
    /// Whether it should be ended before more is added.
    pub(super) fn is_full(&self, size: Size) -> bool {
        self.needed.len() >= size.pieces
            || self.jobs.len() + self.links.len() + self.left.len() >= size.names
    }

    /// A further name of something restored before it.
    pub(super) fn add_link(&mut self, linking: Linking) {
        self.links.push(linking);
    }

    /// A directory whose members have all been added.
    pub(super) fn add_left(&mut self, left: Left) {
        self.left.push(left);
    }

    /// A name that is no directory.
    ///
    /// # Errors
    /// One that ends the restore.
    pub(super) fn add_job(&mut self, task: &Task<'_>, job: Arc<Job>) -> Result<()> {
        self.jobs.push(Arc::clone(&job));
        if job.in_place {
            self.pool.opened(&job);
        }
        if job.way == Way::Write {
            self.add_pieces(task, &job)?;
        }
        if job.piece_done() {
            self.ready.push(job);
        }
        Ok(())
    }

    fn add_pieces(&mut self, task: &Task<'_>, job: &Arc<Job>) -> Result<()> {
        let Node::File { size, content } = &job.listed.entry.node else {
            return Ok(());
        };
        if matches!(content, Content::Inline(_)) {
            return Ok(());
        }
        let mut offset = 0u64;
        let mut run = 0..0;
        for piece in task.repository.pieces(content) {
            let piece = match piece {
                Ok(piece) => piece,
                Err(error) => return job.fail(task, named(job, error), true),
            };
            let end = offset.saturating_add(piece.len());
            if end > *size {
                break;
            }
            let mut need = |id, whole, part| {
                run.end = end;
                job.expect_piece();
                self.needed.push(Needed {
                    job: Arc::clone(job),
                    id,
                    whole,
                    part,
                    offset,
                });
            };
            match piece {
                Piece::Data { id, len } => need(id, len, 0..len),
                Piece::Part {
                    id,
                    of,
                    offset: before,
                    len,
                } => need(id, of, before..before + len),
                Piece::Hole { len } => {
                    reserve(task, job, run);
                    run = end..end;
                    if job.in_place
                        && let Err(error) = job.punch(offset..end)
                    {
                        return job.fail(task, error, false);
                    }
                    task.restored_bytes(len);
                }
            }
            offset = end;
            if self.needed.len() >= task.window.pieces {
                reserve(task, job, run);
                run = end..end;
                self.drain(task)?;
            }
            if job.given_up() {
                return Ok(());
            }
        }
        reserve(task, job, run);
        if offset != *size {
            let error = Error::damage("the pieces of its content do not add up to its size");
            return job.fail(task, named(job, error), true);
        }
        Ok(())
    }

    /// Brings all content that is needed so far to where it is needed.
    ///
    /// # Errors
    /// One that ends the restore.
    fn drain(&mut self, task: &Task<'_>) -> Result<()> {
        let needed = std::mem::take(&mut self.needed);
        let ready = std::mem::take(&mut self.ready);
        let threads = task.repository.threads();
        let ready: Vec<&[Arc<Job>]> = ready.chunks(BATCH).collect();
        parallel::each(threads, &ready, |jobs| {
            jobs.iter().try_for_each(|job| {
                task.progress.go_on()?;
                job.finish(task)
            })
        })?;
        let mut found = locate(task, needed, threads)?;
        found.sort_unstable_by_key(|found| {
            let frame = &found.location.frame;
            (frame.pack, frame.offset, found.location.offset)
        });
        let frames: Vec<&[Found]> = found
            .chunk_by(|a, b| a.location.frame == b.location.frame)
            .collect();
        parallel::each(threads, &frames, |frame| {
            task.progress.go_on()?;
            bring(task, &self.pool, frame)
        })
    }

    /// Ends the window: content, further names, then the directories that are complete.
    ///
    /// # Errors
    /// One that ends the restore.
    pub(super) fn end(&mut self, task: &Task<'_>) -> Result<()> {
        self.drain(task)?;
        for linking in std::mem::take(&mut self.links) {
            task.progress.go_on()?;
            if let Some(copy) = linking.link(task)? {
                self.add_job(task, copy)?;
            }
        }
        self.drain(task)?;
        let jobs = std::mem::take(&mut self.jobs);
        let left = std::mem::take(&mut self.left);
        if task.options.verify {
            verify::jobs(task, &jobs)?;
        }
        for left in left {
            task.progress.go_on()?;
            left.finish(task)?;
        }
        Ok(())
    }
}

fn reserve(task: &Task<'_>, job: &Job, run: Range<u64>) {
    // Room that is kept for zeros would not be given back; an existing file has its room.
    if run.end - run.start >= RESERVE_MIN && !task.rules.sparse && !job.in_place {
        job.reserve(run);
    }
}

/// Finds where every piece lies, leaving out what stands in place already.
fn locate(task: &Task<'_>, needed: Vec<Needed>, threads: usize) -> Result<Vec<Found>> {
    let total = needed.len();
    let batches: Vec<Mutex<Vec<Needed>>> = {
        let mut needed = needed.into_iter();
        std::iter::from_fn(|| {
            let batch: Vec<Needed> = needed.by_ref().take(BATCH).collect();
            (!batch.is_empty()).then(|| Mutex::new(batch))
        })
        .collect()
    };
    let all = Mutex::new(Vec::with_capacity(total));
    parallel::each(threads, &batches, |batch| {
        let batch = std::mem::take(&mut *batch.lock().unwrap_or_else(PoisonError::into_inner));
        let mut buffer = Vec::new();
        let mut found = Vec::with_capacity(batch.len());
        for needed in batch {
            if needed.job.given_up() {
                continue;
            }
            if needed.job.in_place && stands_there(task, &needed, &mut buffer)? {
                task.progress.go_on()?;
                task.skip_bytes(u64::from(needed.length()));
                if needed.job.piece_done() {
                    needed.job.finish(task)?;
                }
                continue;
            }
            let fits = |location: &Location| {
                location.len == needed.whole && location.frame.kind == ChunkKind::Data
            };
            let place = task.repository.locate(&needed.id).and_then(|first| {
                if fits(&first) {
                    return Ok(Some(first));
                }
                let all = task.repository.index().locate_all(&needed.id)?;
                Ok(all.into_iter().find(fits))
            });
            match place {
                Ok(Some(location)) => found.push(Found { needed, location }),
                Ok(None) => {
                    let error =
                        Error::damage("a chunk of another kind or length than its file says");
                    broken(task, &needed, error)?;
                }
                Err(error) => broken(task, &needed, error)?,
            }
        }
        all.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(found);
        Ok(())
    })?;
    Ok(all.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// Whether the region of an existing file is what it should be.
fn stands_there(task: &Task<'_>, needed: &Needed, buffer: &mut Vec<u8>) -> Result<bool> {
    if needed.length() != needed.whole {
        // Only a whole chunk can be held against its name.
        return Ok(false);
    }
    buffer.resize((needed.whole as usize).min(CHUNK_BYTES_MAX), 0);
    match needed.job.read(needed.offset, buffer) {
        Ok(Some(read)) if read == buffer.len() => {
            Ok(task.repository.chunk_id(ChunkKind::Data, buffer) == needed.id)
        }
        // What cannot be read is written again.
        _ => Ok(false),
    }
}

/// Reads one frame and writes what is in it to all its places.
fn bring(task: &Task<'_>, pool: &Pool, wanted: &[Found]) -> Result<()> {
    let Some(first) = wanted.iter().find(|found| !found.needed.job.given_up()) else {
        return Ok(());
    };
    let frame = task.repository.read_frame(&first.location.frame);
    for same in wanted.chunk_by(|a, b| a.needed.id == b.needed.id) {
        let [Found { needed, location }, ..] = same else {
            continue;
        };
        let read = match &frame {
            Ok(frame) => task.repository.chunk_of(frame, location, &needed.id),
            Err(error) => Err(Error::new(error.kind(), error.to_string())),
        };
        let error = match read {
            Ok(bytes) => {
                for found in same {
                    place(task, pool, &found.needed, bytes)?;
                }
                continue;
            }
            Err(error) => error,
        };
        // Two writers at once may have stored it twice.
        match task
            .repository
            .read_elsewhere(location.frame.kind, &needed.id, &location.frame)
        {
            Some(bytes) => {
                for found in same {
                    place(task, pool, &found.needed, &bytes)?;
                }
            }
            None => {
                let (kind, text) = (error.kind(), error.to_string());
                for found in same {
                    broken(task, &found.needed, Error::new(kind, text.clone()))?;
                }
            }
        }
    }
    Ok(())
}

fn place(task: &Task<'_>, pool: &Pool, needed: &Needed, bytes: &[u8]) -> Result<()> {
    let job = &needed.job;
    if job.given_up() {
        return Ok(());
    }
    let part = needed.part.start as usize..needed.part.end as usize;
    let Some(bytes) = bytes.get(part) else {
        let error = Error::damage("a chunk shorter than its file says");
        return broken(task, needed, error);
    };
    if let Err(error) = job.write(task, pool, needed.offset, bytes) {
        return job.fail(task, error, false);
    }
    task.restored_bytes(bytes.len() as u64);
    if job.piece_done() {
        job.finish(task)?;
    }
    Ok(())
}

/// Gives up a file for one of its chunks, which is named.
fn broken(task: &Task<'_>, needed: &Needed, error: Error) -> Result<()> {
    let kind = error.kind();
    let error = Error::new(
        kind,
        format!("not restored: chunk {} cannot be read", needed.id),
    )
    .cause(error);
    needed.job.fail(task, named(&needed.job, error), true)
}

fn named(job: &Job, error: Error) -> Error {
    let path = super::task::lossy(&job.dir.path_of(job.name()));
    if error.subject_text().is_none() {
        return error.subject(path);
    }
    Error::new(error.kind(), "not restored")
        .subject(path)
        .cause(error)
}
