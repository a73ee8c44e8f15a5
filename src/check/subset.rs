//! Which packs a check reads: so that a large store can be read through bit by bit, night by night.

use crate::error::{Error, Kind, Result};
use crate::id::PackId;
use crate::size;

/// How much of the data to read.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub enum ReadData {
    /// Nothing: the structure alone.
    #[default]
    None,
    /// Every pack.
    All,
    /// The `part`-th of `of` parts, counted from 1, by the packs' ids: the same pack is always in the same part, and
    /// all parts one after the other are the whole.
    Part {
        /// From 1 to `of`.
        part: u64,
        /// At least 1.
        of: u64,
    },
    /// So many percent of the packs, chosen at random, above 0 and at most 100; at least one.
    Percent(f64),
    /// So many bytes of packs or a little more, chosen at random; at least one pack.
    Bytes(u64),
}

/// The first 8 bytes of a pack's id, as they are read: hashes, so packs spread evenly.
fn number(id: &PackId) -> u64 {
    id.0[..8]
        .iter()
        .fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

impl ReadData {
    /// A part as people write it: `2/7`, `5%` or `20G`.
    ///
    /// # Errors
    /// [`Kind::Usage`] for anything else.
    pub fn subset(text: &str) -> Result<Self> {
        let wrong = |what: &str| {
            Err(Error::new(Kind::Usage, what)
                .subject(text)
                .hint("write it like 2/7, 5% or 20G"))
        };
        if let Some((part, of)) = text.split_once('/') {
            match (part.parse(), of.parse()) {
                (Ok(part), Ok(of)) if 1 <= part && part <= of => Ok(ReadData::Part { part, of }),
                _ => wrong("n/m takes numbers with 1 <= n <= m"),
            }
        } else if let Some(percent) = text.strip_suffix('%') {
            match percent.parse::<f64>() {
                Ok(percent) if percent > 0.0 && percent <= 100.0 => Ok(ReadData::Percent(percent)),
                _ => wrong("a percentage is above 0 and at most 100"),
            }
        } else {
            match size::parse(text) {
                Ok(bytes) if bytes > 0 => Ok(ReadData::Bytes(bytes)),
                _ => wrong("not a part of the data"),
            }
        }
    }

    /// Whether which packs it takes is decided by chance.
    #[must_use]
    pub fn is_random(self) -> bool {
        matches!(self, ReadData::Percent(_) | ReadData::Bytes(_))
    }

    /// Those of `packs` (ids and sizes) that are to be read, by id; chance is drawn from `seed`.
    #[must_use]
    pub fn choose(self, mut packs: Vec<(PackId, u64)>, seed: u64) -> Vec<(PackId, u64)> {
        let shuffled = |packs: &mut Vec<(PackId, u64)>| {
            packs.sort_by_cached_key(|(id, _)| {
                let mut hasher = blake3::Hasher::new();
                hasher.update(&seed.to_le_bytes()).update(&id.0);
                *hasher.finalize().as_bytes()
            });
        };
        match self {
            ReadData::None => packs.clear(),
            ReadData::All => {}
            ReadData::Part { part, of } => {
                packs.retain(|(id, _)| number(id) % of.max(1) + 1 == part)
            }
            ReadData::Percent(percent) => {
                shuffled(&mut packs);
                let count = (packs.len() as f64 * percent / 100.0).ceil() as usize;
                packs.truncate(count.max(1));
            }
            ReadData::Bytes(bytes) => {
                shuffled(&mut packs);
                let mut taken = 0u64;
                packs.retain(|(_, size)| {
                    let wanted = taken == 0 || taken < bytes;
                    taken = taken.saturating_add(*size);
                    wanted
                });
            }
        }
        packs.sort_unstable();
        packs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packs() -> Vec<(PackId, u64)> {
        let pack = |number: u32| (PackId(*blake3::hash(&number.to_le_bytes()).as_bytes()), 10);
        (0..1000).map(pack).collect()
    }

    #[test]
    fn parts_are_the_whole_and_do_not_overlap() {
        let whole = ReadData::All.choose(packs(), 0);
        assert_eq!(whole.len(), 1000);
        for of in [1, 2, 7, 300] {
            let mut all: Vec<_> = (1..=of)
                .flat_map(|part| ReadData::Part { part, of }.choose(packs(), 0))
                .collect();
            all.sort_unstable();
            assert_eq!(all, whole, "{of} parts");
        }
        let half = ReadData::Part { part: 1, of: 2 }.choose(packs(), 0).len();
        assert!((400..600).contains(&half), "{half}");
        assert!(ReadData::None.choose(packs(), 0).is_empty());
    }

    #[test]
    fn chance_takes_as_many_as_it_should_and_the_same_with_the_same_seed() {
        let take = |read: ReadData, seed| read.choose(packs(), seed);
        assert_eq!(take(ReadData::Percent(5.0), 1).len(), 50);
        assert_eq!(take(ReadData::Percent(0.001), 1).len(), 1);
        assert_eq!(take(ReadData::Percent(100.0), 1).len(), 1000);
        assert_eq!(take(ReadData::Bytes(95), 1).len(), 10);
        assert_eq!(take(ReadData::Bytes(1), 1).len(), 1);
        assert_eq!(take(ReadData::Bytes(u64::MAX), 1).len(), 1000);
        assert_eq!(take(ReadData::Bytes(95), 1), take(ReadData::Bytes(95), 1));
        assert_ne!(
            take(ReadData::Percent(5.0), 1),
            take(ReadData::Percent(5.0), 2)
        );
        assert!(ReadData::Percent(5.0).choose(Vec::new(), 1).is_empty());
    }
}
