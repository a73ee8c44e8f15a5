//! Entries that no generation covers, in memory.

use std::collections::HashMap;

use super::{FramePlace, Location, Numbers};
use crate::format::frame::FrameInfo;
use crate::format::segment::Segment;
use crate::id::{ChunkId, PackId};
use crate::pack::FinishedPack;

/// Compact: packs and frames are numbers into tables.
#[derive(Default)]
pub struct Overlay {
    packs: Vec<PackId>,
    numbers: Numbers,
    frames: Vec<(u32, FrameInfo)>,
    chunks: HashMap<ChunkId, Place>,
}

/// Frame number, offset in it, length.
type Place = (u32, u32, u32);

impl Overlay {
    /// Chunks in it.
    pub fn len(&self) -> usize {
        self.chunks.len()
    }

    fn pack_number(&mut self, id: PackId) -> u32 {
        *self.numbers.entry(id).or_insert_with(|| {
            self.packs.push(id);
            self.packs.len() as u32 - 1
        })
    }

    pub fn add_pack(&mut self, pack: &FinishedPack) {
        let number = self.pack_number(pack.id);
        for (frame, chunks) in &pack.frames {
            let frame_number = self.frames.len() as u32;
            self.frames.push((number, *frame));
            for chunk in chunks {
                // Stored again by us although an entry is here: that entry is of no use.
                self.chunks
                    .insert(chunk.id, (frame_number, chunk.offset, chunk.len));
            }
        }
    }

    pub fn add_segment(&mut self, segment: &Segment) {
        let numbers: Vec<u32> = segment
            .packs
            .iter()
            .map(|pack| self.pack_number(pack.id))
            .collect();
        let first = self.frames.len() as u32;
        self.frames.extend(
            segment
                .frames
                .iter()
                .map(|(pack, frame)| (numbers[*pack as usize], *frame)),
        );
        for (frame, span) in &segment.chunks {
            self.chunks
                .entry(span.id)
                .or_insert((first + frame, span.offset, span.len));
        }
    }

    fn location(&self, (frame, offset, len): Place) -> Location {
        let (pack, info) = &self.frames[frame as usize];
        Location {
            frame: FramePlace::new(self.packs[*pack as usize], info),
            offset,
            len,
        }
    }

    pub fn locate(&self, id: &ChunkId) -> Option<Location> {
        self.chunks.get(id).map(|place| self.location(*place))
    }

    /// All entries, sorted by id.
    pub fn sorted(&self) -> Vec<(ChunkId, Location)> {
        let mut entries: Vec<(ChunkId, Place)> = self
            .chunks
            .iter()
            .map(|(id, place)| (*id, *place))
            .collect();
        entries.sort_unstable_by_key(|(id, _)| *id);
        entries
            .into_iter()
            .map(|(id, place)| (id, self.location(place)))
            .collect()
    }
}
