//! Taking a dump against what the parent holds of it: only what is new is stored.
//!
//! Chunks hold hundreds of documents each, so that of a dump in which one in a hundred was changed most chunks are new. Here
//! the file and the parent's content of it are read beside each other, record by record; what both have is named as part
//! of the parent's chunks, and what is new goes into chunks of its own. Both are read from their beginning to their end, and
//! the parent's records are held for a while, so that what moved a little is found; memory is bounded whatever the size.
//!
//! A wrong match would be a wrong restore, so records are compared by 128 bits of BLAKE3 under a key of this process,
//! beside their lengths.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};

use crate::chunk::Cutter;
use crate::crypto::random;
use crate::error::{Error, Result};
use crate::format::entry::{Content, Piece};
use crate::id::ChunkId;
use crate::repository::{ChunkKind, Repository};
use crate::seal::Keys;
use crate::source::dump::{Layout, Splitter};

/// Files below this size are not worth it.
pub const FILE_BYTES_MIN: u64 = 256 << 10;
/// Records of the parent that are held.
const HELD: usize = if cfg!(test) { 64 } else { 1 << 15 };
/// Pieces that the parent's content may have in memory; what has more is stored anew.
const PIECES_MAX: usize = 1 << 18;
/// Bytes of the parent that are read ahead of what was matched.
const AHEAD_BYTES: u64 = 64 << 20;
/// A run of so many bytes of the parent is handed over, though it may still grow: what follows it joins it again.
const RUN_BYTES: u64 = 8 << 20;
/// Runs that wait for a chunk of what is new.
const RUNS_MAX: usize = 4096;
/// From so many runs on, those that are shorter than a piece should be end the matching.
const RUNS_FREE: u64 = 1024;
/// What comes to less than this many bytes a piece has been patched so often that it is stored anew.
const PIECE_BYTES_MIN: u64 = 4 << 10;

/// A record's hash, and its length.
type Name = ([u8; 16], u32);

/// Names records.
#[derive(Clone)]
struct Namer([u8; 32]);

impl Namer {
    fn name(&self, record: &[u8]) -> Name {
        let mut short = [0; 16];
        short.copy_from_slice(&blake3::keyed_hash(&self.0, record).as_bytes()[..16]);
        (short, record.len() as u32)
    }
}

/// What the parent holds of a file.
pub struct Old {
    pieces: Vec<Piece>,
    /// Where each begins, and where the last ends.
    offsets: Vec<u64>,
}

impl Old {
    /// The parent's `content` of `size` bytes; none where it is no use.
    pub fn of(repository: &Repository, content: &Content) -> Option<Self> {
        let mut old = Self {
            pieces: Vec::new(),
            offsets: vec![0],
        };
        let mut end = 0u64;
        for piece in repository.pieces(content) {
            let piece = piece.ok()?;
            end = end.checked_add(piece.len())?;
            old.pieces.push(piece);
            old.offsets.push(end);
            if old.pieces.len() > PIECES_MAX {
                return None;
            }
        }
        let patched = matches!(content, Content::Recipe { .. });
        let fine = !patched || end / PIECE_BYTES_MIN >= old.pieces.len() as u64;
        (fine && end > 0).then_some(old)
    }

    /// The pieces that `len` bytes at `from` are.
    fn slice(&self, from: u64, len: u64, each: &mut dyn FnMut(Piece)) {
        let (mut at, end) = (from, from + len);
        let mut number = self.offsets.partition_point(|offset| *offset <= from) - 1;
        while at < end
            && let Some(piece) = self.pieces.get(number)
        {
            let begin = self.offsets[number];
            let upto = self.offsets[number + 1].min(end);
            each(part_of(piece, at - begin, upto - at));
            at = upto;
            number += 1;
        }
    }
}

/// `len` bytes of a piece behind its first `skip`.
fn part_of(piece: &Piece, skip: u64, len: u64) -> Piece {
    let (skip, short) = (skip as u32, len as u32);
    match *piece {
        Piece::Hole { .. } => Piece::Hole { len },
        Piece::Data { id, len: of } => part(id, of, skip, short),
        Piece::Part { id, of, offset, .. } => part(id, of, offset + skip, short),
    }
}

fn part(id: ChunkId, of: u32, offset: u32, len: u32) -> Piece {
    if len == of {
        Piece::Data { id, len }
    } else {
        Piece::Part {
            id,
            of,
            offset,
            len,
        }
    }
}

/// The parent's records, read as they are needed.
struct Records<'r> {
    repository: &'r Repository,
    old: &'r Old,
    splitter: Splitter,
    namer: Namer,
    /// The next piece to be read, and bytes that are no record yet, from `start` on.
    next: usize,
    bytes: Vec<u8>,
    start: usize,
    /// Where in the parent's content they begin.
    at: u64,
    /// Records that are held: their names and where they begin. The first is the one of number `first`.
    held: VecDeque<(Name, u64)>,
    first: usize,
    /// The newest number of each name, and how many of that name are held.
    numbers: HashMap<Name, (usize, u32)>,
    ended: bool,
    /// Why it ended early.
    failed: Option<Error>,
}

impl<'r> Records<'r> {
    /// Reads until a record of that number is held, or those up to that byte are, or there are no more.
    fn read_to(&mut self, number: usize, byte: u64) {
        while !self.ended && self.first + self.held.len() <= number && self.at < byte {
            let last = self.next == self.old.pieces.len();
            let Some(len) = self.splitter.record(&self.bytes[self.start..], last) else {
                self.ended = last;
                if !last && let Err(error) = self.more() {
                    // What cannot be read is no help; what was read is.
                    (self.ended, self.failed) = (true, Some(error));
                }
                continue;
            };
            let name = self.namer.name(&self.bytes[self.start..self.start + len]);
            let newest = self.first + self.held.len();
            let known = self.numbers.entry(name).or_insert((newest, 0));
            *known = (newest, known.1 + 1);
            self.held.push_back((name, self.at));
            self.start += len;
            self.at += len as u64;
            if self.held.len() > HELD
                && let Some((name, _)) = self.held.pop_front()
            {
                if let Entry::Occupied(mut known) = self.numbers.entry(name) {
                    known.get_mut().1 -= 1;
                    if known.get().1 == 0 {
                        known.remove();
                    }
                }
                self.first += 1;
            }
        }
    }

    fn more(&mut self) -> Result<()> {
        self.bytes.drain(..self.start);
        self.start = 0;
        match self.old.pieces[self.next] {
            Piece::Data { id, len } => {
                let chunk = self.repository.read_piece(&id, len)?;
                self.bytes.extend_from_slice(&chunk);
            }
            Piece::Part {
                id,
                of,
                offset,
                len,
            } => {
                let chunk = self.repository.read_piece(&id, of)?;
                let part = chunk.get(offset as usize..(offset + len) as usize);
                // Shorter, and all that follows would be matched where it is not.
                let part = part.ok_or_else(|| Error::damage("a part beyond its chunk"))?;
                self.bytes.extend_from_slice(part);
            }
            // No dump has any.
            Piece::Hole { .. } => self.next = self.old.pieces.len() - 1,
        }
        self.next += 1;
        Ok(())
    }

    /// Where a record of that name begins, and its number: the one of number `likely`, or just behind it where one or two were
    /// changed; elsewhere only where no other has that name, since marks between documents are all alike.
    fn find(&self, name: &Name, likely: usize) -> Option<(u64, usize)> {
        let held = |number: usize| self.held.get(number.checked_sub(self.first)?);
        let near = (likely..likely + 3).find_map(|number| match held(number) {
            Some((there, at)) if there == name => Some((*at, number)),
            _ => None,
        });
        near.or_else(|| match self.numbers.get(name) {
            Some((number, 1)) => held(*number).map(|(_, at)| (*at, *number)),
            _ => None,
        })
    }
}

/// What a run of the file's bytes is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Run {
    /// Bytes of the parent's content.
    Old { from: u64, len: u64 },
    /// The next of what is new.
    New { len: u64 },
    /// Zeros that take no space.
    Hole { len: u64 },
}

/// What came of some bytes.
pub enum Made {
    /// A chunk of what is new, before any piece that names it.
    Chunk { id: ChunkId, bytes: Vec<u8> },
    /// The next piece of the file.
    Piece(Piece),
}

/// Divides one file into what the parent holds and what is new.
pub struct Recipe<'r> {
    keys: &'r Keys,
    cutter: &'r Cutter,
    old: &'r Old,
    records: Records<'r>,
    namer: Namer,
    splitter: Splitter,
    /// Bytes that are no record yet, from `start` on.
    bytes: Vec<u8>,
    start: usize,
    /// Records so far, and the number of the parent's that should come next.
    count: usize,
    likely: usize,
    /// Bytes that were divided, where in the parent the last match ended, and runs of it so far.
    divided: u64,
    matched: u64,
    begun: u64,
    /// Runs that are no pieces yet: they wait for the chunk of something new.
    runs: VecDeque<Run>,
    /// What is new and in no chunk yet, from `cut` on.
    new: Vec<u8>,
    cut: usize,
    /// The last chunk of it, of which some has not been named.
    chunk: Option<(ChunkId, u32, u32)>,
}

impl<'r> Recipe<'r> {
    /// For a file of that layout.
    ///
    /// # Errors
    /// Where the system has no random numbers.
    pub fn new(
        repository: &'r Repository,
        keys: &'r Keys,
        cutter: &'r Cutter,
        layout: Layout,
        old: &'r Old,
    ) -> Result<Self> {
        let namer = Namer(random::array()?);
        Ok(Self {
            keys,
            cutter,
            old,
            records: Records {
                repository,
                old,
                splitter: Splitter::new(layout),
                namer: namer.clone(),
                next: 0,
                bytes: Vec::new(),
                start: 0,
                at: 0,
                held: VecDeque::new(),
                first: 0,
                numbers: HashMap::new(),
                ended: false,
                failed: None,
            },
            namer,
            splitter: Splitter::new(layout),
            bytes: Vec::new(),
            start: 0,
            count: 0,
            likely: 0,
            divided: 0,
            matched: 0,
            begun: 0,
            runs: VecDeque::new(),
            new: Vec::new(),
            cut: 0,
            chunk: None,
        })
    }

    /// The file goes on with these bytes.
    pub fn data(&mut self, bytes: &[u8], made: &mut Vec<Made>) {
        self.bytes.drain(..self.start);
        self.start = 0;
        self.bytes.extend_from_slice(bytes);
        self.divide(false, made);
    }

    /// The file goes on with a hole.
    pub fn hole(&mut self, len: u64, made: &mut Vec<Made>) {
        self.divide(true, made);
        self.runs.push_back(Run::Hole { len });
    }

    /// The file has ended.
    pub fn end(&mut self, made: &mut Vec<Made>) {
        self.divide(true, made);
        self.cut_new(true, made);
        self.settle(made);
    }

    fn divide(&mut self, last: bool, made: &mut Vec<Made>) {
        while let Some(len) = self.splitter.record(&self.bytes[self.start..], last) {
            let record = self.start..self.start + len;
            self.start += len;
            let name = self.namer.name(&self.bytes[record.clone()]);
            let ahead = self.divided.max(self.matched) + AHEAD_BYTES;
            let number = self.count.max(self.likely) + HELD / 2;
            self.records.read_to(number, ahead);
            self.count += 1;
            let len = len as u64;
            self.divided += len;
            let scattered = self.begun > RUNS_FREE && self.divided < self.begun * PIECE_BYTES_MIN;
            let found = match scattered {
                // So many pieces would cost more than they save: what is left is cut like any file.
                true => None,
                false => self.records.find(&name, self.likely),
            };
            if let Some((from, number)) = found {
                self.likely = number + 1;
                self.matched = from + len;
                match self.runs.back_mut() {
                    Some(Run::Old {
                        from: before,
                        len: run,
                    }) if *before + *run == from => *run += len,
                    _ => {
                        self.begun += 1;
                        self.runs.push_back(Run::Old { from, len });
                    }
                }
            } else {
                self.new.extend_from_slice(&self.bytes[record]);
                match self.runs.back_mut() {
                    Some(Run::New { len: run }) => *run += len,
                    _ => self.runs.push_back(Run::New { len }),
                }
                self.cut_new(false, made);
            }
            if self.runs.len() > RUNS_MAX {
                self.cut_new(true, made);
            }
        }
        // A run that may still grow waits.
        let grown = |run: &Run| matches!(run, Run::Old { len, .. } if *len >= RUN_BYTES);
        while self.runs.front().is_some_and(grown)
            || (self.runs.len() > 1 && !matches!(self.runs.front(), Some(Run::New { .. })))
        {
            self.settle_one(made);
        }
    }

    /// Why the parent's content could not be read to its end, where it could not.
    pub fn trouble(&self) -> Option<&Error> {
        self.records.failed.as_ref()
    }

    /// Cuts what is new as if it stood alone: where all of a file is new, these are the chunks that it always has.
    fn cut_new(&mut self, last: bool, made: &mut Vec<Made>) {
        while self.new.len() - self.cut >= self.cutter.window()
            || (last && self.new.len() > self.cut)
        {
            let len = self.cutter.cut(&self.new[self.cut..]);
            let bytes = self.new[self.cut..self.cut + len].to_vec();
            let id = self.keys.chunk_id(ChunkKind::Data, &bytes);
            made.push(Made::Chunk { id, bytes });
            self.cut += len;
            self.name_chunk(id, len as u32, made);
        }
        if self.cut >= self.cutter.window() {
            self.new.drain(..self.cut);
            self.cut = 0;
        }
    }

    /// Runs in front become pieces, up to the end of this chunk of what is new.
    fn name_chunk(&mut self, id: ChunkId, of: u32, made: &mut Vec<Made>) {
        self.chunk = Some((id, of, 0));
        while self.chunk.is_some() && !self.runs.is_empty() {
            self.settle_one(made);
        }
    }

    /// Whatever can be named becomes pieces: at the end, all.
    fn settle(&mut self, made: &mut Vec<Made>) {
        while self.chunk.is_some() || !matches!(self.runs.front(), Some(Run::New { .. }) | None) {
            self.settle_one(made);
        }
    }

    /// The first run becomes pieces, or as much of it as the chunk reaches.
    fn settle_one(&mut self, made: &mut Vec<Made>) {
        match self.runs.pop_front() {
            Some(Run::Old { from, len }) => {
                self.old
                    .slice(from, len, &mut |piece| made.push(Made::Piece(piece)));
            }
            Some(Run::Hole { len }) => made.push(Made::Piece(Piece::Hole { len })),
            Some(Run::New { len }) => {
                let Some((id, of, offset)) = self.chunk.take() else {
                    self.runs.push_front(Run::New { len });
                    return;
                };
                let here = len.min(u64::from(of - offset)) as u32;
                made.push(Made::Piece(part(id, of, offset, here)));
                if offset + here < of {
                    self.chunk = Some((id, of, offset + here));
                }
                if u64::from(here) < len {
                    let len = len - u64::from(here);
                    self.runs.push_front(Run::New { len });
                }
            }
            None => {}
        }
    }
}

#[cfg(test)]
#[path = "recipe_tests.rs"]
mod tests;
