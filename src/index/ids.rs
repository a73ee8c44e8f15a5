//! A set of chunk ids that may be larger than memory.
//!
//! A repository of a terabyte has tens of millions of chunks, and a mark has to know each. So ids are gathered, sorted and
//! laid down in runs, in files of the cache folder that have no name (a death leaves nothing); at the end all runs are
//! merged into one. What is read back is held against a checksum in memory: an id that a bad disk changed would be a
//! chunk that nobody seems to need. A look-up reads one block of that; a small set never leaves memory, and where there is no cache
//! folder, or no room in it, memory has to do. Per id the memory holds two bits and a share of a block's first id.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::error::{Error, Kind, Result};
use crate::fs::nameless;
use crate::id::ChunkId;
use crate::merge::merged;

/// Ids in memory at which a run is laid down: 4 MiB.
const ROOM: usize = if cfg!(test) { 100 } else { 1 << 18 };
/// More runs than this are merged.
const RUNS_MAX: usize = if cfg!(test) { 4 } else { 32 };
/// Ids in a block, the unit of reading.
const BLOCK: usize = if cfg!(test) { 8 } else { 256 };
const ID_BYTES: usize = 16;
/// What a run is written through.
const BUFFER: usize = 32 << 10;
/// The bit of an id that tells a firm one.
const FIRM: u128 = 1;

/// 127 bits of a chunk's id, above the bit for [`FIRM`]: enough of a keyed hash to tell any two chunks apart,
/// and half of what a whole id takes. In the order of whole ids, so that whoever asks for a segment's chunks in its order
/// reads each block once.
pub fn short(id: &ChunkId) -> u128 {
    let mut first = [0; ID_BYTES];
    first.copy_from_slice(&id.0[..ID_BYTES]);
    // The first byte of an id is what orders it first.
    first.reverse();
    u128::from_le_bytes(first) & !FIRM
}

fn failed(error: io::Error) -> Error {
    Error::new(Kind::Failed, "cannot read back what was marked").cause(error)
}

/// Sorted, none twice.
enum Run {
    Memory(Vec<u128>),
    File {
        file: File,
        len: usize,
        /// The first id of each block.
        firsts: Vec<u128>,
        /// The CRC-32 of each block.
        sums: Vec<u32>,
    },
}

impl Run {
    fn len(&self) -> usize {
        match self {
            Self::Memory(ids) => ids.len(),
            Self::File { len, .. } => *len,
        }
    }

    fn read(&self, block: usize, ids: &mut Vec<u128>) -> Result<()> {
        ids.clear();
        let from = block * BLOCK;
        let to = self.len().min(from + BLOCK);
        match self {
            Self::Memory(all) => ids.extend_from_slice(&all[from..to]),
            Self::File { file, sums, .. } => {
                let mut bytes = [0; BLOCK * ID_BYTES];
                let bytes = &mut bytes[..(to - from) * ID_BYTES];
                file.read_exact_at(bytes, (from * ID_BYTES) as u64)
                    .map_err(failed)?;
                if crc32fast::hash(bytes) != sums[block] {
                    let what = "what was marked is not what was laid down in the cache folder";
                    return Err(Error::new(Kind::Failed, what)
                        .hint("nothing more is deleted; look after that disk"));
                }
                let (each, _) = bytes.as_chunks();
                ids.extend(each.iter().map(|id| u128::from_le_bytes(*id)));
            }
        }
        Ok(())
    }

    /// All of it, in order.
    fn stream(&self) -> Box<dyn Iterator<Item = Result<u128>> + '_> {
        match self {
            Self::Memory(ids) => Box::new(ids.iter().copied().map(Ok)),
            Self::File { len, .. } => Box::new((0..len.div_ceil(BLOCK)).flat_map(|block| {
                let mut ids = Vec::with_capacity(BLOCK);
                match self.read(block, &mut ids) {
                    Ok(()) => ids.into_iter().map(Ok).collect(),
                    Err(error) => vec![Err(error)],
                }
            })),
        }
    }
}

/// One bit an id.
#[derive(Default)]
struct Bits(Vec<u64>);

impl Bits {
    fn clear(&mut self, len: usize) {
        self.0.clear();
        self.0.resize(len.div_ceil(64), 0);
    }

    fn get(&self, at: usize) -> bool {
        self.0[at / 64] >> (at % 64) & 1 == 1
    }

    /// Sets it; whether it was not set.
    fn set(&mut self, at: usize) -> bool {
        let before = self.get(at);
        self.0[at / 64] |= 1 << (at % 64);
        !before
    }
}

/// The set. [`Ids::settle`] stands between adding and asking.
pub struct Ids {
    folder: Option<PathBuf>,
    fresh: Vec<u128>,
    runs: Vec<Run>,
    /// The block that was read last, as asking in order finds the next in it.
    block: Option<usize>,
    ids: Vec<u128>,
    counted: Bits,
    leaving: Bits,
}

impl Ids {
    /// An empty set, which may lay down files in `folder`.
    pub fn new(folder: Option<&Path>) -> Self {
        Self {
            folder: folder.map(Path::to_owned),
            fresh: Vec::new(),
            runs: Vec::new(),
            block: None,
            ids: Vec::new(),
            counted: Bits::default(),
            leaving: Bits::default(),
        }
    }

    /// Adds an id. It is firm from the first time on that it is added so.
    ///
    /// # Errors
    /// Where a run cannot be read back.
    pub fn add(&mut self, id: u128, firm: bool) -> Result<()> {
        if self.fresh.len() >= ROOM {
            self.lay_down()?;
            if self.runs.len() > RUNS_MAX {
                self.merge()?;
            }
        }
        self.fresh.push(id | if firm { FIRM } else { 0 });
        Ok(())
    }

    /// Brings all that was added in order. Nothing is counted afterwards.
    ///
    /// # Errors
    /// As [`Ids::add`].
    pub fn settle(&mut self) -> Result<()> {
        if !self.fresh.is_empty() {
            self.lay_down()?;
        }
        if self.runs.len() > 1 {
            self.merge()?;
        }
        self.count_anew();
        Ok(())
    }

    fn lay_down(&mut self) -> Result<()> {
        self.fresh.sort_unstable();
        let fresh = std::mem::take(&mut self.fresh);
        let small = self.runs.is_empty() && fresh.len() < ROOM;
        let run = match self.folder.clone().filter(|_| !small) {
            Some(folder) => self.write(&folder, &mut fresh.iter().copied().map(Ok))?,
            None => None,
        };
        self.runs.push(match run {
            Some(run) => {
                // Its room is used again.
                self.fresh = fresh;
                self.fresh.clear();
                run
            }
            None => Run::Memory(once(fresh)),
        });
        Ok(())
    }

    fn merge(&mut self) -> Result<()> {
        self.block = None;
        let runs = std::mem::take(&mut self.runs);
        let merged = match self.folder.clone() {
            Some(folder) => self.write(&folder, &mut all(&runs))?,
            None => None,
        };
        self.runs.push(match merged {
            Some(run) => run,
            None => Run::Memory(once(all(&runs).collect::<Result<_>>()?)),
        });
        Ok(())
    }

    /// Writes sorted ids as a run; none where the folder takes no file, and from then on it is not asked again.
    fn write(
        &mut self,
        folder: &Path,
        ids: &mut dyn Iterator<Item = Result<u128>>,
    ) -> Result<Option<Run>> {
        let Ok(file) = nameless(folder) else {
            self.folder = None;
            return Ok(None);
        };
        let mut writer = BufWriter::with_capacity(BUFFER, &file);
        let (mut len, mut firsts, mut sums) = (0, Vec::new(), Vec::new());
        let mut sum = crc32fast::Hasher::new();
        let mut last: Option<u128> = None;
        let mut put = |id: u128| {
            if len % BLOCK == 0 {
                if len > 0 {
                    sums.push(std::mem::take(&mut sum).finalize());
                }
                firsts.push(id);
            }
            len += 1;
            let bytes = id.to_le_bytes();
            sum.update(&bytes);
            writer.write_all(&bytes)
        };
        let mut written = Ok(());
        for id in ids {
            let id = id?;
            // The firm one of two comes last.
            if let Some(before) = last.replace(id)
                && before | FIRM != id | FIRM
            {
                written = written.and_then(|()| put(before));
            }
        }
        if let Some(before) = last {
            written = written.and_then(|()| put(before));
        }
        if written.and_then(|()| writer.flush()).is_err() {
            self.folder = None;
            return Ok(None);
        }
        drop(writer);
        sums.push(sum.finalize());
        Ok(Some(Run::File {
            file,
            len,
            firsts,
            sums,
        }))
    }

    /// Ids in it, once it is settled.
    pub fn size(&self) -> usize {
        self.runs.first().map_or(0, Run::len)
    }

    /// All of it in order, firm or not, once it is settled.
    pub fn sorted(&self) -> impl Iterator<Item = Result<u128>> + '_ {
        self.runs.first().into_iter().flat_map(Run::stream)
    }

    /// Where it stands in the order of all.
    fn rank(&mut self, id: u128) -> Result<Option<usize>> {
        let Some(run) = self.runs.first() else {
            return Ok(None);
        };
        if let Run::Memory(ids) = run {
            return Ok(ids.binary_search_by_key(&id, |each| each & !FIRM).ok());
        }
        let Run::File { firsts, .. } = run else {
            return Ok(None);
        };
        let block = firsts.partition_point(|first| first & !FIRM <= id);
        let Some(block) = block.checked_sub(1) else {
            return Ok(None);
        };
        if self.block != Some(block) {
            self.block = None;
            run.read(block, &mut self.ids)?;
            self.block = Some(block);
        }
        let found = self.ids.binary_search_by_key(&id, |each| each & !FIRM);
        Ok(found.ok().map(|at| block * BLOCK + at))
    }

    /// Whether it is in the settled set.
    ///
    /// # Errors
    /// Where a run cannot be read back.
    pub fn contains(&mut self, id: u128) -> Result<bool> {
        Ok(self.rank(id)?.is_some())
    }

    /// Nothing is counted any more.
    pub fn count_anew(&mut self) {
        let len = self.size();
        self.counted.clear(len);
        self.leaving.clear(len);
    }

    /// Whether it is in the set and counted for the first time.
    ///
    /// # Errors
    /// As [`Ids::contains`].
    pub fn count(&mut self, id: u128) -> Result<bool> {
        let rank = self.rank(id)?;
        Ok(rank.is_some_and(|at| self.counted.set(at)))
    }

    /// It was met where it does not count.
    ///
    /// # Errors
    /// As [`Ids::contains`].
    pub fn leave(&mut self, id: u128) -> Result<()> {
        if let Some(at) = self.rank(id)? {
            self.leaving.set(at);
        }
        Ok(())
    }

    /// Firm ids that were neither counted nor met.
    ///
    /// # Errors
    /// As [`Ids::contains`].
    pub fn missing(&self) -> Result<usize> {
        let Some(run) = self.runs.first() else {
            return Ok(0);
        };
        let mut missing = 0;
        let mut ids = Vec::new();
        for block in 0..self.size().div_ceil(BLOCK) {
            let all = block * BLOCK..self.size().min((block + 1) * BLOCK);
            let met = |at: &usize| self.counted.get(*at) || self.leaving.get(*at);
            if all.clone().all(|at| met(&at)) {
                continue;
            }
            run.read(block, &mut ids)?;
            let pairs = all.zip(&ids);
            missing += pairs
                .filter(|(at, id)| **id & FIRM == FIRM && !met(at))
                .count();
        }
        Ok(missing)
    }
}

/// Sorted ids, each once, the firm one of two.
fn once(mut ids: Vec<u128>) -> Vec<u128> {
    ids.dedup_by(|later, earlier| {
        let same = *later | FIRM == *earlier | FIRM;
        *earlier |= if same { *later & FIRM } else { 0 };
        same
    });
    ids.shrink_to_fit();
    ids
}

/// The ids of all runs in order, doubles one after the other.
fn all(runs: &[Run]) -> impl Iterator<Item = Result<u128>> + '_ {
    merged(runs.iter().map(Run::stream).collect(), |id| *id)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    /// Ids of few values, so that many come twice.
    fn id() -> impl Strategy<Value = u128> {
        (0u128..2000).prop_map(|number| {
            number.wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835) & !FIRM
        })
    }

    fn holds(folder: Option<&Path>, rounds: &[Vec<(u128, bool)>], asked: &[u128]) {
        let mut ids = Ids::new(folder);
        let mut model: BTreeMap<u128, bool> = BTreeMap::new();
        for round in rounds {
            for (id, firm) in round {
                ids.add(*id, *firm).unwrap();
                *model.entry(*id).or_default() |= firm;
            }
            ids.settle().unwrap();
            assert_eq!(ids.size(), model.len());
            let firm = |model: &BTreeMap<u128, bool>| model.values().filter(|firm| **firm).count();
            assert_eq!(ids.missing().unwrap(), firm(&model));
            let mut left = model.clone();
            let mut counted = BTreeSet::new();
            for (number, id) in asked.iter().enumerate() {
                let there = model.contains_key(id);
                assert_eq!(ids.contains(*id).unwrap(), there);
                if number % 3 == 0 {
                    ids.leave(*id).unwrap();
                } else {
                    assert_eq!(ids.count(*id).unwrap(), there && counted.insert(*id));
                }
                left.remove(id);
            }
            assert_eq!(ids.missing().unwrap(), firm(&left));
            ids.count_anew();
            assert_eq!(ids.missing().unwrap(), firm(&model));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_set_is_a_set_in_memory_and_in_files(
            rounds in prop::collection::vec(prop::collection::vec((id(), any::<bool>()), 0..1500), 1..3),
            asked in prop::collection::vec(id(), 0..300),
        ) {
            let folder = tempfile::tempdir().unwrap();
            holds(Some(folder.path()), &rounds, &asked);
            prop_assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
            holds(None, &rounds, &asked);
            holds(Some(&folder.path().join("is not there")), &rounds, &asked);
        }
    }

    #[test]
    fn what_a_bad_disk_changed_is_never_believed() {
        let folder = tempfile::tempdir().unwrap();
        for settled in [false, true] {
            let mut ids = Ids::new(Some(folder.path()));
            (0..1000).for_each(|number| ids.add(number << 1, true).unwrap());
            if settled {
                ids.settle().unwrap();
            }
            let file = match ids.runs.first() {
                Some(Run::File { file, .. }) => Some(file),
                _ => None,
            };
            file.unwrap().write_all_at(&[0xA5], 40).unwrap();
            let outcome = if settled {
                ids.contains(4)
            } else {
                ids.settle().map(|()| true)
            };
            assert_eq!(outcome.unwrap_err().kind(), Kind::Failed);
        }
    }
}
