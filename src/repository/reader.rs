//! Chunks out: locate, read, open, verify.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use super::{ChunkKind, FramePlace, Location, Repository};
use crate::error::{Error, Kind, Result};
use crate::id::ChunkId;
use crate::pack::pack_name;
use crate::seal::FrameOpener;

/// Raw bytes of decoded frames that are kept; least recently used go first.
const CACHE_BYTES: usize = 16 << 20;

/// A few decoded frames, and openers for reuse.
#[derive(Default)]
pub struct FrameCache {
    frames: Mutex<Cached>,
    openers: Mutex<Vec<FrameOpener>>,
}

#[derive(Default)]
struct Cached {
    bytes: usize,
    frames: VecDeque<(FramePlace, Arc<Vec<u8>>)>,
}

impl FrameCache {
    fn get(&self, place: &FramePlace) -> Option<Arc<Vec<u8>>> {
        let mut cached = self.frames.lock().unwrap_or_else(PoisonError::into_inner);
        let at = cached.frames.iter().position(|(held, _)| held == place)?;
        let entry = cached.frames.remove(at)?;
        let frame = entry.1.clone();
        cached.frames.push_front(entry);
        Some(frame)
    }

    fn put(&self, place: FramePlace, frame: Arc<Vec<u8>>) {
        let mut cached = self.frames.lock().unwrap_or_else(PoisonError::into_inner);
        cached.bytes += frame.len();
        cached.frames.push_front((place, frame));
        while cached.bytes > CACHE_BYTES && cached.frames.len() > 1 {
            if let Some((_, dropped)) = cached.frames.pop_back() {
                cached.bytes -= dropped.len();
            }
        }
    }
}

impl Repository {
    /// Where a chunk lies. What a miss says is only final after the segments have been listed again.
    ///
    /// # Errors
    /// [`Kind::Damage`] naming the chunk where no segment has it.
    pub fn locate(&self, id: &ChunkId) -> Result<Location> {
        if let Some(location) = self.index.locate(id)? {
            return Ok(location);
        }
        let refreshed = self.index.refresh();
        if let Some(location) = self.index.locate(id)? {
            return Ok(location);
        }
        // A segment that cannot be read only matters for what it alone names.
        refreshed?;
        Err(Error::damage("no segment of the index names this chunk")
            .subject(format!("chunk {}", id.short()))
            .hint("run `duramen check` to see what is affected"))
    }

    /// Reads, opens and decompresses one frame: its raw bytes.
    ///
    /// # Errors
    /// [`Kind::Damage`] naming the pack, also where the pack is not there.
    pub fn read_frame(&self, place: &FramePlace) -> Result<Vec<u8>> {
        Ok(self.read_sealed_frame(place)?.1)
    }

    /// The same with the frame as it is stored, sealed, before it.
    ///
    /// # Errors
    /// As [`Repository::read_frame`].
    pub fn read_sealed_frame(&self, place: &FramePlace) -> Result<(Vec<u8>, Vec<u8>)> {
        let name = || pack_name(&place.pack);
        let stored =
            self.storage
                .read_range(&name(), u64::from(place.offset), place.stored as usize);
        let stored = stored.map_err(|error| match error.kind() {
            Kind::NotFound => {
                Error::damage("this pack is missing from the repository").subject(name())
            }
            _ => error.or_subject(name),
        })?;
        let kept = self
            .frames
            .openers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        let mut opener = match kept {
            Some(opener) => opener,
            None => FrameOpener::new()?,
        };
        let raw = opener
            .open(&self.keys, &place.info(), &stored)
            .map_err(|error| error.or_subject(name));
        self.frames
            .openers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(opener);
        Ok((stored, raw?))
    }

    /// The chunk's bytes out of a decoded frame, its keyed id recomputed: that is what binds a chunk to its name.
    ///
    /// # Errors
    /// [`Kind::Damage`] naming pack and chunk where it differs.
    pub fn chunk_of<'f>(
        &self,
        frame: &'f [u8],
        location: &Location,
        id: &ChunkId,
    ) -> Result<&'f [u8]> {
        let start = location.offset as usize;
        let bytes = frame.get(start..start + location.len as usize);
        bytes
            .filter(|bytes| self.keys.chunk_id(location.frame.kind, bytes) == *id)
            .ok_or_else(|| {
                Error::damage(format!("chunk {} is not what was stored", id.short()))
                    .subject(pack_name(&location.frame.pack))
            })
    }

    /// One chunk, verified; decoded frames are kept for its neighbours. Where it cannot be read in one place, it is
    /// looked for in every other that the index knows.
    ///
    /// # Errors
    /// [`Kind::Damage`].
    pub fn read_chunk(&self, kind: ChunkKind, id: &ChunkId) -> Result<Vec<u8>> {
        if let Some(scratch) = self.scratch.get()
            && let Some(bytes) = scratch.get(id)?
        {
            return Ok(bytes);
        }
        let location = self.locate(id)?;
        self.read_place(kind, id, &location)
            .or_else(|error| self.read_elsewhere(kind, id, &location.frame).ok_or(error))
    }

    /// The chunk of a file's content that is `len` bytes long.
    ///
    /// # Errors
    /// [`Kind::Damage`], also where it is of another length.
    pub fn read_piece(&self, id: &ChunkId, len: u32) -> Result<Vec<u8>> {
        let bytes = self.read_chunk(ChunkKind::Data, id)?;
        if bytes.len() != len as usize {
            let what = "a chunk of another length than its file says";
            return Err(Error::damage(what).subject(format!("chunk {id}")));
        }
        Ok(bytes)
    }

    /// A chunk out of any other frame than `tried`; none where no other holds it whole. What this process knows of the
    /// index may be old: a prune may have copied the chunk to a new pack and deleted the one that was tried, so the
    /// segments are listed again until they tell of no other place.
    #[must_use]
    pub fn read_elsewhere(
        &self,
        kind: ChunkKind,
        id: &ChunkId,
        tried: &FramePlace,
    ) -> Option<Vec<u8>> {
        let mut tried = vec![*tried];
        let mut refreshed = false;
        loop {
            let places = self.index.locate_all(id).ok()?;
            let new: Vec<Location> = places
                .into_iter()
                .filter(|place| !tried.contains(&place.frame))
                .collect();
            if new.is_empty() {
                if refreshed {
                    return None;
                }
                // A segment that cannot be read only matters for what it alone names.
                let _ = self.index.refresh();
                refreshed = true;
                continue;
            }
            refreshed = false;
            for place in new {
                if let Ok(bytes) = self.read_place(kind, id, &place) {
                    return Some(bytes);
                }
                tried.push(place.frame);
            }
        }
    }

    fn read_place(&self, kind: ChunkKind, id: &ChunkId, location: &Location) -> Result<Vec<u8>> {
        if location.frame.kind != kind {
            return Err(Error::damage(format!(
                "chunk {} is of another kind than it should be",
                id.short()
            )));
        }
        let frame = match self.frames.get(&location.frame) {
            Some(frame) => frame,
            None => {
                let frame = Arc::new(self.read_frame(&location.frame)?);
                self.frames.put(location.frame, frame.clone());
                frame
            }
        };
        Ok(self.chunk_of(&frame, location, id)?.to_vec())
    }
}
