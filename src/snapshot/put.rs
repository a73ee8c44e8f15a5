//! Where pages go: the seam between what builds them and what stores them.

use crate::error::Result;
use crate::id::ChunkId;
use crate::repository::{ChunkKind, ChunkWriter, Repository};
use crate::seal::Keys;

/// Stores chunks and knows the keyed hashes that decide where pages end.
pub trait Put {
    /// Stores a chunk unless it is there; its id.
    ///
    /// # Errors
    /// Whatever the storage says.
    fn put(&mut self, kind: ChunkKind, bytes: &[u8]) -> Result<ChunkId>;

    /// The number that decides whether a page ends behind `name`.
    fn page_cut(&self, name: &[u8]) -> u64;
}

/// Holds chunks for this process alone ([`Repository::put_scratch`]).
pub struct ScratchPutter<'r>(pub &'r Repository);

impl Put for ScratchPutter<'_> {
    fn put(&mut self, kind: ChunkKind, bytes: &[u8]) -> Result<ChunkId> {
        self.0.put_scratch(kind, bytes)
    }

    fn page_cut(&self, name: &[u8]) -> u64 {
        self.0.keys().page_cut(name)
    }
}

/// Only says what chunks would be called.
pub struct Namer<'k>(pub &'k Keys);

impl Put for Namer<'_> {
    fn put(&mut self, kind: ChunkKind, bytes: &[u8]) -> Result<ChunkId> {
        Ok(self.0.chunk_id(kind, bytes))
    }

    fn page_cut(&self, name: &[u8]) -> u64 {
        self.0.page_cut(name)
    }
}

/// The real one.
pub struct Putter<'r> {
    /// For keys.
    pub repository: &'r Repository,
    /// For storing.
    pub writer: ChunkWriter,
}

impl Put for Putter<'_> {
    fn put(&mut self, kind: ChunkKind, bytes: &[u8]) -> Result<ChunkId> {
        let id = self.repository.chunk_id(kind, bytes);
        self.writer.put(kind, id, bytes)?;
        Ok(id)
    }

    fn page_cut(&self, name: &[u8]) -> u64 {
        self.repository.keys().page_cut(name)
    }
}
