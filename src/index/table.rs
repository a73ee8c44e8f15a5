//! A generation's file: entries sorted by chunk id, in blocks with some room.
//!
//! ```text
//! blocks    each 4096: entries, each 64: chunk id 32 | pack u32 (its number) | frame 20 | offset u32 | len u32
//!                      zeros up to 4080 | entries u32 | spilled u32 | zero u32 | checksum u32
//! packs     each 32: id
//! segments  each 32: id, what this file covers
//! trailer   32: magic 8 | blocks u32 | buckets u32 | packs u32 | segments u32 | entries u32 | checksum u32
//! ```
//! Ids are keyed hashes, so they fall evenly into as many buckets as there are blocks, four fifths full: an entry lies in the
//! block of its bucket, or, where that was full, which its mark tells, in the one behind. So a look-up is one read
//! whatever the size, and nothing of the file is held in memory but the packs. Numbers are little-endian. A checksum
//! (CRC-32) covers a block's number and all before it in the block, the last all that follows the blocks. It is no
//! seal: whatever a cache says is held against keyed ids when it is read, so a bad disk is all that it must notice.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::FlockOperation;

use super::{FramePlace, Location, Numbers};
use crate::error::{Error, Kind, Result};
use crate::format::frame::FrameInfo;
use crate::format::wire::Reader;
use crate::id::{ChunkId, PackId, SegmentId};

const MAGIC: &[u8; 8] = b"DURINDEX";
const BLOCK: usize = 4096;
const ENTRY: usize = 64;
/// Entries that a block has room for, and those that it should have.
const FULL: usize = 63;
const WANTED: u32 = 52;
/// Where the numbers at a block's end begin.
const FOOT: usize = BLOCK - 16;
const ID: usize = 32;
const TRAILER: usize = 32;
/// What a table is written through.
const BUFFER: usize = 64 << 10;

/// One opened file.
pub struct Table {
    file: File,
    blocks: u32,
    buckets: u32,
    entries: u32,
    packs: Vec<PackId>,
    segments: HashSet<SegmentId>,
}

/// A block that was read.
struct Block {
    bytes: [u8; BLOCK],
    entries: usize,
    spilled: bool,
}

impl Block {
    fn entries(&self) -> &[[u8; ENTRY]] {
        &self.bytes.as_chunks().0[..self.entries]
    }
}

fn unfit() -> Error {
    Error::new(Kind::Failed, "a file of the index cache is damaged")
}

fn broken(error: io::Error) -> Error {
    Error::new(Kind::Failed, "the index cache cannot be read").cause(error)
}

/// The bucket that an id falls into.
fn bucket_of(id: &ChunkId, buckets: u32) -> u32 {
    // Big-endian, so that buckets stand in the order of ids.
    let first = id.0[..8]
        .iter()
        .fold(0, |number: u128, byte| number << 8 | u128::from(*byte));
    ((first * u128::from(buckets)) >> 64) as u32
}

fn checksum(number: u32, bytes: &[u8]) -> u32 {
    let mut checksum = crc32fast::Hasher::new();
    checksum.update(&number.to_le_bytes());
    checksum.update(bytes);
    checksum.finalize()
}

impl Table {
    /// Opens a file and reads all but its entries.
    ///
    /// # Errors
    /// Where it cannot be read, or is not one, whole, of this layout.
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(broken)?;
        let len = file.metadata().map_err(broken)?.len();
        let at = len.checked_sub(TRAILER as u64).ok_or_else(unfit)?;
        let mut trailer = [0; TRAILER];
        file.read_exact_at(&mut trailer, at).map_err(broken)?;
        let mut reader = Reader::new(&trailer);
        let magic = reader.array::<8>()?;
        let (blocks, buckets) = (reader.u32()?, reader.u32()?);
        let (packs, segments) = (reader.u32()?, reader.u32()?);
        let (entries, sum) = (reader.u32()?, reader.u32()?);
        if magic != *MAGIC || buckets == 0 || buckets > blocks {
            return Err(unfit());
        }
        let ids = (u64::from(packs) + u64::from(segments)) * ID as u64;
        let before = u64::from(blocks) * BLOCK as u64;
        // A file as long as its numbers say bounds all that is allocated for it.
        if before + ids != at {
            return Err(unfit());
        }
        let mut bytes = vec![0; ids as usize];
        file.read_exact_at(&mut bytes, before).map_err(broken)?;
        let mut found = crc32fast::Hasher::new();
        found.update(&bytes);
        found.update(&trailer[..TRAILER - 4]);
        if found.finalize() != sum {
            return Err(unfit());
        }
        let (each, _) = bytes.as_chunks::<ID>();
        let (first, rest) = each.split_at(packs as usize);
        Ok(Self {
            file,
            blocks,
            buckets,
            entries,
            packs: first.iter().copied().map(PackId).collect(),
            segments: rest.iter().copied().map(SegmentId).collect(),
        })
    }

    /// Places in it.
    #[must_use]
    pub fn entries(&self) -> u32 {
        self.entries
    }

    /// What it covers.
    #[must_use]
    pub fn segments(&self) -> &HashSet<SegmentId> {
        &self.segments
    }

    /// Packs that its entries lie in.
    #[must_use]
    pub fn packs(&self) -> &[PackId] {
        &self.packs
    }

    /// All places of a chunk, in the order in which they were added.
    ///
    /// # Errors
    /// Where the file cannot be read, or is damaged there.
    pub fn places(&self, id: &ChunkId) -> Result<Vec<Location>> {
        let mut places = Vec::new();
        for number in bucket_of(id, self.buckets)..self.blocks {
            let block = self.block(number)?;
            let entries = block.entries();
            let from = entries.partition_point(|entry| entry[..ID] < id.0[..]);
            for entry in &entries[from..] {
                if entry[..ID] != id.0[..] {
                    return Ok(places);
                }
                places.push(self.decode(entry)?.1);
            }
            if !block.spilled {
                break;
            }
        }
        Ok(places)
    }

    /// All of it, in order.
    pub fn iter(&self) -> impl Iterator<Item = Result<(ChunkId, Location)>> + '_ {
        (0..self.blocks).flat_map(|number| match self.block(number) {
            Ok(block) => {
                let entries = block.entries().iter();
                entries.map(|entry| self.decode(entry)).collect()
            }
            Err(error) => vec![Err(error)],
        })
    }

    fn block(&self, number: u32) -> Result<Block> {
        let mut bytes = [0; BLOCK];
        let at = u64::from(number) * BLOCK as u64;
        self.file.read_exact_at(&mut bytes, at).map_err(broken)?;
        let mut reader = Reader::new(&bytes[FOOT..]);
        let (entries, spilled) = (reader.u32()? as usize, reader.u32()?);
        let (_, sum) = (reader.u32()?, reader.u32()?);
        if entries > FULL || checksum(number, &bytes[..BLOCK - 4]) != sum {
            return Err(unfit());
        }
        Ok(Block {
            bytes,
            entries,
            spilled: spilled != 0,
        })
    }

    fn decode(&self, entry: &[u8; ENTRY]) -> Result<(ChunkId, Location)> {
        let mut reader = Reader::new(entry);
        let id = ChunkId(reader.array()?);
        let pack = reader.u32()?;
        let info = FrameInfo::decode(&mut reader).map_err(|_| unfit())?;
        let (offset, len) = (reader.u32()?, reader.u32()?);
        let pack = self.packs.get(pack as usize).ok_or_else(unfit)?;
        Ok((
            id,
            Location {
                frame: FramePlace::new(*pack, &info),
                offset,
                len,
            },
        ))
    }
}

/// A table being written: entries come in the order of their ids.
pub struct Builder {
    writer: BufWriter<File>,
    buckets: u32,
    /// The open block's number and what is in it.
    number: u32,
    block: Vec<u8>,
    entries: u32,
    packs: Vec<PackId>,
    numbers: Numbers,
}

impl Builder {
    /// A new file, readable by nobody else, for at most so many entries.
    ///
    /// # Errors
    /// Where it cannot be created, written or flushed.
    pub fn create(path: &Path, most: u64) -> io::Result<Self> {
        let too_many = |_| io::Error::from(io::ErrorKind::FileTooLarge);
        let buckets = u32::try_from(most).map_err(too_many)?.div_ceil(WANTED);
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?;
        // Tells whoever clears away what the dead left that we live.
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        Ok(Self {
            writer: BufWriter::with_capacity(BUFFER, file),
            buckets: buckets.max(1),
            number: 0,
            block: Vec::with_capacity(BLOCK),
            entries: 0,
            packs: Vec::new(),
            numbers: Numbers::new(),
        })
    }

    fn close_block(&mut self, spilled: bool) -> io::Result<()> {
        let entries = (self.block.len() / ENTRY) as u32;
        self.block.resize(FOOT, 0);
        for number in [entries, u32::from(spilled), 0] {
            self.block.extend_from_slice(&number.to_le_bytes());
        }
        let sum = checksum(self.number, &self.block);
        self.block.extend_from_slice(&sum.to_le_bytes());
        self.writer.write_all(&self.block)?;
        self.block.clear();
        self.number += 1;
        Ok(())
    }

    /// The next entry.
    ///
    /// # Errors
    /// As [`Builder::create`].
    pub fn add(&mut self, id: &ChunkId, location: &Location) -> io::Result<()> {
        while self.number < bucket_of(id, self.buckets) {
            self.close_block(false)?;
        }
        if self.block.len() == FULL * ENTRY {
            self.close_block(true)?;
        }
        let pack = location.frame.pack;
        let number = *self.numbers.entry(pack).or_insert_with(|| {
            self.packs.push(pack);
            self.packs.len() as u32 - 1
        });
        self.block.extend_from_slice(&id.0);
        self.block.extend_from_slice(&number.to_le_bytes());
        location.frame.info().encode(&mut self.block);
        self.block.extend_from_slice(&location.offset.to_le_bytes());
        self.block.extend_from_slice(&location.len.to_le_bytes());
        self.entries += 1;
        Ok(())
    }

    /// Writes the rest, to the disk: what is renamed in is whole even after a power cut.
    ///
    /// # Errors
    /// As [`Builder::create`].
    pub fn finish(mut self, segments: &HashSet<SegmentId>) -> io::Result<()> {
        while self.number < self.buckets || !self.block.is_empty() {
            self.close_block(false)?;
        }
        let mut rest = Vec::with_capacity((self.packs.len() + segments.len() + 1) * ID);
        let packs = self.packs.iter().map(|id| id.0);
        for id in packs.chain(segments.iter().map(|id| id.0)) {
            rest.extend_from_slice(&id);
        }
        rest.extend_from_slice(MAGIC);
        for number in [
            self.number,
            self.buckets,
            self.packs.len() as u32,
            segments.len() as u32,
            self.entries,
        ] {
            rest.extend_from_slice(&number.to_le_bytes());
        }
        let sum = crc32fast::hash(&rest);
        rest.extend_from_slice(&sum.to_le_bytes());
        self.writer.write_all(&rest)?;
        self.writer.into_inner()?.sync_data()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::format::frame::{ChunkKind, Codec};

    /// So many chunks, every tenth in two places; with its ids.
    fn build(path: &Path, chunks: u32) -> Vec<(ChunkId, Vec<Location>)> {
        let mut all: Vec<(ChunkId, Vec<Location>)> = (0..chunks)
            .map(|number| {
                let id = ChunkId(*blake3::hash(&number.to_le_bytes()).as_bytes());
                let place = |pack: u32| Location {
                    frame: FramePlace {
                        pack: PackId([pack as u8; 32]),
                        offset: 64 + number,
                        stored: 100,
                        raw: 200,
                        epoch: 1,
                        kind: ChunkKind::Data,
                        codec: Codec::Zstd,
                    },
                    offset: number % 100,
                    len: 1 + number % 100,
                };
                let places = 1 + u32::from(number % 10 == 0);
                (
                    id,
                    (0..places).map(|more| place(number % 7 + more)).collect(),
                )
            })
            .collect();
        all.sort_by_key(|(id, _)| *id);
        let mut builder = Builder::create(path, u64::from(chunks)).unwrap();
        for (id, places) in &all {
            for place in places {
                builder.add(id, place).unwrap();
            }
        }
        builder.finish(&segments()).unwrap();
        all
    }

    fn segments() -> HashSet<SegmentId> {
        (1..4).map(|number| SegmentId([number; 32])).collect()
    }

    #[test]
    fn what_was_added_is_found_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        for chunks in [0, 1, 2, 63, 64, 65, 3000] {
            let path = folder.path().join(chunks.to_string());
            let all = build(&path, chunks);
            let table = Table::open(&path).unwrap();
            for (id, places) in &all {
                assert_eq!(table.places(id).unwrap(), *places);
            }
            for number in 0..100u32 {
                let absent = ChunkId(*blake3::hash(&(number + chunks).to_le_bytes()).as_bytes());
                assert_eq!(table.places(&absent).unwrap(), []);
            }
            assert_eq!(table.places(&ChunkId([0; 32])).unwrap(), []);
            assert_eq!(table.places(&ChunkId([255; 32])).unwrap(), []);
            let streamed: Vec<_> = table.iter().map(Result::unwrap).collect();
            let flat = all
                .iter()
                .flat_map(|(id, places)| places.iter().map(|place| (*id, *place)));
            assert_eq!(streamed, flat.collect::<Vec<_>>());
            assert_eq!(table.entries() as usize, streamed.len());
            assert_eq!(*table.segments(), segments());
            let packs: HashSet<PackId> =
                streamed.iter().map(|(_, place)| place.frame.pack).collect();
            assert_eq!(table.packs().iter().copied().collect::<HashSet<_>>(), packs);
        }
    }

    #[test]
    fn what_is_damaged_is_noticed_and_never_believed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("whole");
        let all = build(&path, 60);
        let whole = std::fs::read(&path).unwrap();
        let harmed = folder.path().join("harmed");
        let noticed = |bytes: &[u8]| {
            std::fs::write(&harmed, bytes).unwrap();
            let Ok(table) = Table::open(&harmed) else {
                return true;
            };
            let mut noticed = false;
            for (id, places) in &all {
                match table.places(id) {
                    Ok(found) => assert_eq!(found, *places),
                    Err(_) => noticed = true,
                }
            }
            noticed
        };
        assert!(!noticed(&whole));
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << (at % 8);
            assert!(noticed(&bytes), "byte {at} of {}", whole.len());
        }
        for len in (0..whole.len()).step_by(7) {
            assert!(noticed(&whole[..len]), "{len} bytes");
        }
        let zeros = whole
            .iter()
            .enumerate()
            .map(|(at, byte)| if at < BLOCK { 0 } else { *byte });
        assert!(noticed(&zeros.collect::<Vec<u8>>()));
    }

    #[test]
    fn crowds_spill_over() {
        // Ids that are no hashes: all in one bucket, all in the last, one chunk in more places than a block has room for.
        let folder = tempfile::tempdir().unwrap();
        for (name, first) in [("low", 0), ("high", 255)] {
            let path = folder.path().join(name);
            let mut builder = Builder::create(&path, 500).unwrap();
            let id = |number: u32| {
                let mut id = [first; 32];
                id[30..].copy_from_slice(&[(number >> 8) as u8, number as u8]);
                ChunkId(id)
            };
            let place = |offset: u32| Location {
                frame: FramePlace {
                    pack: PackId([1; 32]),
                    offset: 64,
                    stored: 100,
                    raw: 200,
                    epoch: 1,
                    kind: ChunkKind::Data,
                    codec: Codec::Zstd,
                },
                offset,
                len: 1,
            };
            for number in 0..300 {
                builder.add(&id(number), &place(number)).unwrap();
            }
            for offset in 0..200 {
                builder.add(&id(300), &place(offset)).unwrap();
            }
            builder.finish(&segments()).unwrap();
            let table = Table::open(&path).unwrap();
            for number in 0..300 {
                assert_eq!(table.places(&id(number)).unwrap(), [place(number)]);
            }
            let many: Vec<Location> = (0..200).map(place).collect();
            assert_eq!(table.places(&id(300)).unwrap(), many);
            for absent in [id(301), ChunkId([0x11; 32]), ChunkId([0xfe; 32])] {
                assert_eq!(table.places(&absent).unwrap(), []);
            }
            assert_eq!(table.iter().count(), 500);
        }
    }
}
