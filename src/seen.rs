//! A map by chunk that takes little memory and grows evenly: what a walk over all trees has seen.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasherDefault, Hasher};

use crate::id::ChunkId;

/// The first half of an id: of a keyed hash enough to tell any two chunks apart.
type Half = [u8; 16];

/// A map that grows holds all of it twice for a moment; of many small ones only one does at a time.
const SHARDS: usize = 64;

/// Ids are hashes already.
#[derive(Default)]
struct Already(u64);

impl Hasher for Already {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(last) = bytes.last_chunk::<8>() {
            self.0 = u64::from_le_bytes(*last);
        }
    }

    // The length of an array, which is always the same.
    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

type Shard<T> = HashMap<Half, T, BuildHasherDefault<Already>>;

/// What is known of each chunk that was seen: some 20 bytes of memory each, and what `T` takes.
pub struct Seen<T> {
    shards: Vec<Shard<T>>,
}

impl<T> Default for Seen<T> {
    fn default() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Shard::default()).collect(),
        }
    }
}

fn half(id: &ChunkId) -> (usize, Half) {
    let mut half = Half::default();
    half.copy_from_slice(&id.0[..16]);
    (usize::from(half[0]) % SHARDS, half)
}

impl<T> Seen<T> {
    /// Sets what is known of a chunk, and returns what was known before; none where it is seen for the first time.
    pub fn insert(&mut self, id: &ChunkId, known: T) -> Option<T> {
        let (shard, half) = half(id);
        match self.shards[shard].entry(half) {
            Entry::Occupied(mut entry) => Some(entry.insert(known)),
            Entry::Vacant(entry) => {
                entry.insert(known);
                None
            }
        }
    }

    /// What is known of it.
    pub fn get_mut(&mut self, id: &ChunkId) -> Option<&mut T> {
        let (shard, half) = half(id);
        self.shards[shard].get_mut(&half)
    }

    /// Whether it was seen.
    pub fn contains(&self, id: &ChunkId) -> bool {
        let (shard, half) = half(id);
        self.shards[shard].contains_key(&half)
    }

    /// Forgets it; whether it was seen.
    pub fn remove(&mut self, id: &ChunkId) -> bool {
        let (shard, half) = half(id);
        self.shards[shard].remove(&half).is_some()
    }

    /// Chunks that were seen.
    pub fn len(&self) -> usize {
        self.shards.iter().map(HashMap::len).sum()
    }

    /// What is known of each.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.shards.iter().flat_map(HashMap::values)
    }

    /// The same, to be changed.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.shards.iter_mut().flat_map(HashMap::values_mut)
    }
}
