//! Entries that no generation covers, in memory.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

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
    /// Further places of chunks that several writers stored: seldom any, but what is damaged in one may be whole in
    /// another.
    others: HashMap<ChunkId, Vec<Place>>,
}

/// Frame number, offset in it, length.
type Place = (u32, u32, u32);

impl Overlay {
    /// Chunks in it.
    pub fn len(&self) -> usize {
        self.chunks.len()
    }

    /// Packs that its entries lie in.
    pub fn packs(&self) -> impl Iterator<Item = &PackId> {
        self.packs.iter()
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
                // What we store although it is here was of no use to us where it is: the new place comes first.
                let place = (frame_number, chunk.offset, chunk.len);
                if let Some(old) = self.chunks.insert(chunk.id, place) {
                    self.others.entry(chunk.id).or_default().push(old);
                }
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
            let place = (first + frame, span.offset, span.len);
            match self.chunks.entry(span.id) {
                Entry::Vacant(vacant) => drop(vacant.insert(place)),
                Entry::Occupied(_) => self.others.entry(span.id).or_default().push(place),
            }
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

    /// All places of a chunk, the first one first.
    pub fn places_of(&self, id: &ChunkId) -> impl Iterator<Item = Location> {
        let others = self.others.get(id).into_iter().flatten();
        let all = self.chunks.get(id).into_iter().chain(others);
        all.map(|place| self.location(*place))
    }

    /// Places of chunks in it.
    pub fn places(&self) -> usize {
        self.chunks.len() + self.others.values().map(Vec::len).sum::<usize>()
    }

    /// All entries, sorted by id; of one id the first place first.
    pub fn sorted(&self) -> impl Iterator<Item = (ChunkId, Location)> + '_ {
        let others = self
            .others
            .iter()
            .flat_map(|(id, places)| places.iter().map(|place| (*id, *place)));
        let mut entries: Vec<(ChunkId, Place)> = self
            .chunks
            .iter()
            .map(|(id, place)| (*id, *place))
            .chain(others)
            .collect();
        entries.sort_by_key(|(id, _)| *id);
        entries
            .into_iter()
            .map(|(id, place)| (id, self.location(place)))
    }
}
