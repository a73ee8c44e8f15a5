//! Chunks in: deduplicate, gather into frames, compress and seal on several threads, lay down in packs.
//!
//! ```text
//! put -> gatherers (one a kind) -> sealing threads -> packer (in order) -> closer -> storage, index
//! ```
//! Everything between is bounded: a gatherer holds one frame, each sealing thread one, the queues two for each
//! thread. The packer waits for the frames in the order in which they were begun, whoever seals them. Small chunks share
//! a frame with what came before them, so a tree of small files compresses like a tar. A full pack is made durable by
//! the closer, a thread of its own: while the disk takes its time, the next pack fills.
//! A checkpoint (a segment for the packs so far) comes every so many packs, chunks or minutes: that much of an interrupted
//! snapshot is used again by the next.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::{ChunkKind, Repository, Session};
use crate::clock::Clock;
use crate::crypto::random::carried;
use crate::error::{Error, Kind, Result};
use crate::format::frame::{ChunkSpan, PackClass};
use crate::id::{ChunkId, PackId, SessionId};
use crate::index::Index;
use crate::limits;
use crate::pack::PackWriter;
use crate::seal::{Compression, FrameSealer, Keys, SealedFrame};
use crate::storage::Storage;

/// Packs between two checkpoints; many chunks make one sooner.
const CHECKPOINT_PACKS: u32 = 32;
/// Time between two checkpoints.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(60);

/// How chunks are written.
#[derive(Clone, Copy, Debug)]
pub struct WriterOptions {
    /// How hard to compress.
    pub compression: Compression,
    /// Do all but seal and store.
    pub dry_run: bool,
}

/// What was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// New chunks of file content and attributes.
    pub data_chunks: u64,
    /// New chunks of metadata.
    pub tree_chunks: u64,
    /// Raw bytes of new chunks.
    pub raw_bytes: u64,
    /// Bytes of packs and segments.
    pub stored_bytes: u64,
}

struct Job {
    kind: ChunkKind,
    raw: Vec<u8>,
    chunks: Vec<ChunkSpan>,
}

type Sealed = (SealedFrame, Vec<ChunkSpan>);

#[derive(Default)]
struct Gatherer {
    raw: Vec<u8>,
    chunks: Vec<ChunkSpan>,
}

/// Chunks on their way that the index does not know yet.
type Pending = Arc<Mutex<HashSet<ChunkId>>>;

fn lock(pending: &Pending) -> MutexGuard<'_, HashSet<ChunkId>> {
    pending.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Puts chunks; one thread at a time, in the order in which they should lie.
pub struct ChunkWriter {
    index: Arc<Index>,
    pending: Pending,
    gatherers: HashMap<ChunkKind, Gatherer>,
    /// Bytes at which a frame of a class is closed.
    frames: [(PackClass, usize); 2],
    relied: HashSet<PackId>,
    written: Written,
    jobs: Option<Jobs>,
    sealers: Vec<JoinHandle<Result<()>>>,
    packer: Option<JoinHandle<Result<()>>>,
    closer: Option<JoinHandle<Result<u64>>>,
}

/// Where frames go: to whoever seals them, each with a way to the packer, which knows their order.
struct Jobs {
    seal: Sender<(Job, Sender<Sealed>)>,
    order: Sender<Receiver<Sealed>>,
}

impl ChunkWriter {
    /// A writer for a session.
    ///
    /// # Errors
    /// Where zstd refuses the level.
    pub fn new(repository: &Repository, session: &Session, options: WriterOptions) -> Result<Self> {
        let mut writer = Self {
            index: repository.index.clone(),
            pending: Pending::default(),
            gatherers: HashMap::new(),
            frames: [
                (PackClass::Data, limits::FRAME_BYTES_TARGET),
                (PackClass::Metadata, limits::FRAME_BYTES_TARGET),
            ],
            relied: HashSet::new(),
            written: Written::default(),
            jobs: None,
            sealers: Vec::new(),
            packer: None,
            closer: None,
        };
        if options.dry_run {
            return Ok(writer);
        }
        let threads = repository.threads();
        let (seal, to_seal) = bounded(threads);
        let (order, to_pack) = bounded(2 * threads);
        for _ in 0..threads {
            let mut sealer = FrameSealer::new(options.compression)?;
            let (keys, to_seal) = (repository.keys.clone(), to_seal.clone());
            let work = carried(move || seal_all(&keys, &mut sealer, &to_seal));
            writer.sealers.push(std::thread::spawn(work));
        }
        drop(to_seal);
        let packer = Packer {
            storage: repository.storage.clone(),
            keys: repository.keys.clone(),
            session: session.id,
            open: BTreeMap::new(),
        };
        let closer = Closer {
            keys: repository.keys.clone(),
            index: repository.index.clone(),
            clock: repository.environment.clock.clone(),
            pending: writer.pending.clone(),
            packs: 0,
            chunks: 0,
            last: repository.environment.clock.elapsed(),
            stored: 0,
        };
        let (full, to_close) = bounded(1);
        let close = carried(move || closer.run(&to_close));
        writer.closer = Some(std::thread::spawn(close));
        writer.packer = Some(std::thread::spawn(carried(move || {
            packer.run(&to_pack, &full)
        })));
        writer.jobs = Some(Jobs { seal, order });
        Ok(writer)
    }

    /// With smaller frames: documents are looked up one by one, and each look reads a whole frame.
    #[must_use]
    pub fn for_documents(mut self) -> Self {
        self.frames = [
            (PackClass::Data, limits::DOCUMENTS_FRAME_BYTES),
            (PackClass::Metadata, limits::RUN_FRAME_BYTES),
        ];
        self
    }

    fn frame_bytes(&self, kind: ChunkKind) -> usize {
        let own = |(class, _): &&(PackClass, usize)| *class == kind.class();
        let found = self.frames.iter().find(own);
        found.map_or(limits::FRAME_BYTES_TARGET, |(_, bytes)| *bytes)
    }

    /// Stores a chunk unless it is there; true where it was new. Its id must be its own.
    ///
    /// # Errors
    /// What a thread further down met: the storage is full, or gone.
    pub fn put(&mut self, kind: ChunkKind, id: ChunkId, bytes: &[u8]) -> Result<bool> {
        if bytes.is_empty() || bytes.len() > limits::CHUNK_BYTES_MAX {
            return Err(Error::new(
                Kind::Limit,
                format!("a chunk of {} bytes", bytes.len()),
            ));
        }
        if lock(&self.pending).contains(&id) {
            return Ok(false);
        }
        if let Some(location) = self.index.stored(&id)? {
            self.relied.insert(location.frame.pack);
            return Ok(false);
        }
        lock(&self.pending).insert(id);
        match kind.class() {
            PackClass::Data => self.written.data_chunks += 1,
            PackClass::Metadata => self.written.tree_chunks += 1,
        }
        self.written.raw_bytes += bytes.len() as u64;
        if self.jobs.is_none() {
            return Ok(true);
        }
        let target = self.frame_bytes(kind);
        let gatherer = self.gatherers.entry(kind).or_default();
        gatherer.chunks.push(ChunkSpan {
            id,
            offset: gatherer.raw.len() as u32,
            len: bytes.len() as u32,
        });
        if gatherer.raw.is_empty() {
            gatherer.raw.reserve_exact(target + (128 << 10));
        }
        gatherer.raw.extend_from_slice(bytes);
        if gatherer.raw.len() >= target {
            self.close_frame(kind)?;
        }
        Ok(true)
    }

    /// Whether a chunk need not be stored: it is on its way, or in a pack that exists for whoever writes.
    ///
    /// # Errors
    /// Where a cache file cannot be read.
    pub fn holds(&self, id: &ChunkId) -> Result<bool> {
        Ok(lock(&self.pending).contains(id) || self.index.stored(id)?.is_some())
    }

    /// Puts a frame out of another pack as it is, sealed; `chunks` are all that are in it. Whoever calls this has
    /// opened it and found it whole.
    ///
    /// # Errors
    /// What a thread further down met.
    pub fn put_frame(&mut self, frame: SealedFrame, chunks: Vec<ChunkSpan>) -> Result<()> {
        {
            let mut pending = lock(&self.pending);
            pending.extend(chunks.iter().map(|chunk| chunk.id));
        }
        let (sealed, to_pack) = bounded(1);
        let sent = sealed.send((frame, chunks)).is_ok()
            && self
                .jobs
                .as_ref()
                .is_some_and(|jobs| jobs.order.send(to_pack).is_ok());
        if sent { Ok(()) } else { self.stopped() }
    }

    /// A thread has stopped: its error is what happened.
    fn stopped(&mut self) -> Result<()> {
        Err(self
            .stop()
            .err()
            .unwrap_or_else(|| Error::new(Kind::Failed, "the writer has stopped")))
    }

    fn close_frame(&mut self, kind: ChunkKind) -> Result<()> {
        let Some(gatherer) = self.gatherers.get_mut(&kind) else {
            return Ok(());
        };
        if gatherer.raw.is_empty() {
            return Ok(());
        }
        let Gatherer { raw, chunks } = std::mem::take(gatherer);
        let (sealed, to_pack) = bounded(1);
        let job = Job { kind, raw, chunks };
        let sent = self.jobs.as_ref().is_some_and(|jobs| {
            jobs.order.send(to_pack).is_ok() && jobs.seal.send((job, sealed)).is_ok()
        });
        if sent { Ok(()) } else { self.stopped() }
    }

    /// Joins all threads; the first error of any.
    fn stop(&mut self) -> Result<u64> {
        self.jobs = None;
        let mut first: Option<Error> = None;
        let mut keep = |error: Error| {
            // What a channel's end says is only an echo of the error at its other end.
            if first.as_ref().is_none_or(|held| held.message() == ECHO) {
                first = Some(error);
            }
        };
        let died = || Error::new(Kind::Failed, "a worker thread died");
        for worker in self.sealers.drain(..).chain(self.packer.take()) {
            if let Err(error) = worker.join().unwrap_or_else(|_| Err(died())) {
                keep(error);
            }
        }
        let closed = self
            .closer
            .take()
            .map(|closer| closer.join().unwrap_or_else(|_| Err(died())));
        match closed {
            Some(Err(error)) => keep(error),
            Some(Ok(stored)) if first.is_none() => return Ok(stored),
            _ => {}
        }
        first.map_or(Ok(0), Err)
    }

    /// Closes all frames and packs and writes the last segment: when this returns, every chunk put is durable and
    /// can be found. Returns what was written and the packs of others that were relied on.
    ///
    /// # Errors
    /// What a thread further down met.
    pub fn finish(mut self) -> Result<(Written, HashSet<PackId>)> {
        for kind in ChunkKind::ALL {
            self.close_frame(kind)?;
        }
        self.written.stored_bytes = self.stop()?;
        Ok((self.written, std::mem::take(&mut self.relied)))
    }
}

impl Drop for ChunkWriter {
    fn drop(&mut self) {
        // Abandoned in the middle: what the packer has is kept by its last checkpoint; nobody waits for more.
        let _ = self.stop();
    }
}

const ECHO: &str = "the next stage has stopped";

fn echo<T>(_: T) -> Error {
    Error::new(Kind::Failed, ECHO)
}

fn seal_all(
    keys: &Keys,
    sealer: &mut FrameSealer,
    jobs: &Receiver<(Job, Sender<Sealed>)>,
) -> Result<()> {
    for (Job { kind, raw, chunks }, sealed) in jobs {
        let frame = sealer.seal(keys, kind, &raw)?;
        drop(raw);
        sealed.send((frame, chunks)).map_err(echo)?;
    }
    Ok(())
}

/// Lays frames into packs.
struct Packer {
    storage: Arc<dyn Storage>,
    keys: Arc<Keys>,
    session: SessionId,
    open: BTreeMap<PackClass, PackWriter>,
}

impl Packer {
    /// Packs frames in their order, and hands on every pack that is full, at the end all others.
    fn run(mut self, frames: &Receiver<Receiver<Sealed>>, full: &Sender<PackWriter>) -> Result<()> {
        let mut whole = Ok(());
        for frame in frames {
            match frame.recv() {
                Ok((frame, chunks)) => self.add(&frame, chunks, full)?,
                // Whoever sealed it failed; what came before is kept, and the sealer says why.
                Err(error) => {
                    whole = Err(echo(error));
                    break;
                }
            }
        }
        for (_, pack) in std::mem::take(&mut self.open) {
            full.send(pack).map_err(echo)?;
        }
        whole
    }

    fn add(
        &mut self,
        frame: &SealedFrame,
        chunks: Vec<ChunkSpan>,
        full: &Sender<PackWriter>,
    ) -> Result<()> {
        let class = frame.info.kind.class();
        let mut pack = match self.open.remove(&class) {
            Some(pack) => pack,
            None => PackWriter::new(&*self.storage, &self.keys, self.session, class)?,
        };
        pack.add(frame, chunks)?;
        if pack.is_full() {
            full.send(pack).map_err(echo)
        } else {
            self.open.insert(class, pack);
            Ok(())
        }
    }
}

/// Makes packs durable, and then findable.
struct Closer {
    keys: Arc<Keys>,
    index: Arc<Index>,
    clock: Arc<dyn Clock>,
    pending: Pending,
    /// Packs and chunks since the last checkpoint, and when that was.
    packs: u32,
    chunks: usize,
    last: Duration,
    stored: u64,
}

impl Closer {
    /// Closes packs as they come, with a checkpoint every so often and one at the end; returns the bytes stored.
    fn run(mut self, packs: &Receiver<PackWriter>) -> Result<u64> {
        for pack in packs {
            self.close(pack)?;
            let now = self.clock.elapsed();
            if self.packs >= CHECKPOINT_PACKS
                || self.chunks >= limits::SEGMENT_CHUNKS_TARGET
                || now.saturating_sub(self.last) >= CHECKPOINT_EVERY
            {
                self.stored += self.index.checkpoint()?;
                (self.packs, self.chunks, self.last) = (0, 0, now);
            }
        }
        self.stored += self.index.checkpoint()?;
        Ok(self.stored)
    }

    fn close(&mut self, pack: PackWriter) -> Result<()> {
        let pack = pack.finish(&self.keys)?;
        self.stored += pack.size;
        let ids: Vec<ChunkId> = pack
            .frames
            .iter()
            .flat_map(|(_, chunks)| chunks.iter().map(|chunk| chunk.id))
            .collect();
        self.packs += 1;
        self.chunks += ids.len();
        // First findable, then no longer pending: a chunk is never in neither.
        self.index.add_pack(pack);
        let mut pending = lock(&self.pending);
        for id in ids {
            pending.remove(&id);
        }
        Ok(())
    }
}
