//! STUB of the opened repository, replaced by the real room; the signatures are the contract.
use crate::error::Result;
use crate::format::entry::{Content, Directory, Entry, Piece};
use crate::format::snapshot::Snapshot;
use crate::id::{ChunkId, PackId, SnapshotId};
use std::sync::Arc;

pub struct Repository {}

/// Kind of a chunk; part of its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum ChunkKind {
    Data = 1,
    Tree = 2,
    Hint = 3,
    List = 4,
    Xattr = 5,
}

/// A frame's place: pack and where in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FramePlace {
    pub pack: PackId,
    pub offset: u32,
    pub stored: u32,
    pub raw: u32,
    pub kind: ChunkKind,
    pub codec: u8,
    pub epoch: u32,
}

/// A chunk's place: frame and where in its raw bytes.
#[derive(Clone, Copy, Debug)]
pub struct Location {
    pub frame: FramePlace,
    pub offset: u32,
    pub len: u32,
}

/// An entry with the names of its owners.
#[derive(Clone, Debug)]
pub struct Listed {
    pub entry: Entry,
    pub user: Option<Arc<[u8]>>,
    pub group: Option<Arc<[u8]>>,
}

impl Repository {
    /// Where a chunk lies. Kind::Damage naming the chunk where no segment has it.
    pub fn locate(&self, _id: &ChunkId) -> Result<Location> {
        unimplemented!()
    }
    /// Reads, opens and decompresses one frame: its raw bytes.
    pub fn read_frame(&self, _place: &FramePlace) -> Result<Vec<u8>> {
        unimplemented!()
    }
    /// The chunk's bytes out of a decoded frame, its keyed id recomputed (Damage where it differs).
    pub fn chunk_of<'f>(
        &self,
        _frame: &'f [u8],
        _location: &Location,
        _id: &ChunkId,
    ) -> Result<&'f [u8]> {
        unimplemented!()
    }
    /// One chunk, verified; decoded metadata frames are cached (bounded).
    pub fn read_chunk(&self, _kind: ChunkKind, _id: &ChunkId) -> Result<Vec<u8>> {
        unimplemented!()
    }
    /// Entries of a directory in order; pages are loaded as they are needed, each checked.
    pub fn entries<'r>(
        &'r self,
        _directory: &Directory,
    ) -> Box<dyn Iterator<Item = Result<Listed>> + Send + 'r> {
        unimplemented!()
    }
    /// Pieces of a file's content in order. `Content::Inline` yields none: its bytes stand in the entry.
    pub fn pieces<'r>(
        &'r self,
        _content: &'r Content,
    ) -> Box<dyn Iterator<Item = Result<Piece>> + Send + 'r> {
        unimplemented!()
    }
    /// The entry at an absolute raw path (b"/" or b"" is the root) in the snapshot's files; NotFound naming the path.
    pub fn find(&self, _snapshot: &Snapshot, _path: &[u8]) -> Result<Listed> {
        unimplemented!()
    }
    /// All committed snapshots, oldest first.
    pub fn snapshots(&self) -> Result<Vec<Snapshot>> {
        unimplemented!()
    }
    /// One committed snapshot.
    pub fn snapshot(&self, _id: &SnapshotId) -> Result<Snapshot> {
        unimplemented!()
    }
    /// The id that bytes of this kind have here.
    pub fn chunk_id(&self, _kind: ChunkKind, _bytes: &[u8]) -> ChunkId {
        unimplemented!()
    }
    /// Threads that the user allows.
    pub fn threads(&self) -> usize {
        unimplemented!()
    }
}
