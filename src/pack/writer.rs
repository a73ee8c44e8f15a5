//! Writing one pack.

use crate::error::Result;
use crate::format::file::HEADER;
use crate::format::frame::{ChunkSpan, FrameInfo, PackClass};
use crate::format::pack::{PackDirectory, PackFooter, PackHeader};
use crate::id::{PackId, SessionId};
use crate::limits;
use crate::seal::{Keys, SealedFrame};
use crate::storage::{Storage, Upload};

/// A pack on its way.
pub struct PackWriter {
    upload: Box<dyn Upload>,
    hasher: blake3::Hasher,
    header: [u8; HEADER],
    class: PackClass,
    offset: u64,
    chunks: usize,
    directory: PackDirectory,
}

/// A pack that lies in the storage, durably.
#[derive(Clone, Debug)]
pub struct FinishedPack {
    /// Its name.
    pub id: PackId,
    /// Bytes of the file.
    pub size: u64,
    /// What it holds.
    pub class: PackClass,
    /// Its frames and their chunks.
    pub frames: Vec<(FrameInfo, Vec<ChunkSpan>)>,
}

impl PackWriter {
    /// Begins a pack.
    ///
    /// # Errors
    /// Whatever the storage says.
    pub fn new(
        storage: &dyn Storage,
        keys: &Keys,
        session: SessionId,
        class: PackClass,
    ) -> Result<Self> {
        let header = PackHeader {
            class,
            repository: keys.repository,
            session,
        }
        .encode();
        let mut pack = Self {
            upload: storage.create()?,
            hasher: blake3::Hasher::new(),
            header,
            class,
            offset: 0,
            chunks: 0,
            directory: PackDirectory::default(),
        };
        pack.append(&header)?;
        Ok(pack)
    }

    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.hasher.update(bytes);
        self.offset += bytes.len() as u64;
        self.upload.write(bytes)
    }

    /// Whether the pack has reached its size.
    #[must_use]
    pub fn is_full(&self) -> bool {
        // A chunk takes 36 bytes in a directory, whose length has a maximum of its own.
        self.offset >= limits::PACK_BYTES_TARGET || self.chunks >= limits::CHUNKS_MAX / 8
    }

    /// Appends a frame with its chunks.
    ///
    /// # Errors
    /// Whatever the storage says.
    pub fn add(&mut self, frame: &SealedFrame, chunks: Vec<ChunkSpan>) -> Result<()> {
        let info = FrameInfo {
            offset: self.offset as u32,
            ..frame.info
        };
        self.chunks += chunks.len();
        self.directory.frames.push((info, chunks));
        self.append(&frame.stored)
    }

    /// Ends the pack: once this has returned, a power cut takes nothing of it.
    ///
    /// # Errors
    /// Whatever the storage says.
    pub fn finish(mut self, keys: &Keys) -> Result<FinishedPack> {
        let plain = self.directory.encode()?;
        let directory_len = (plain.len() + crate::crypto::aead::OVERHEAD) as u32;
        let footer = PackFooter {
            directory_len,
            epoch: keys.epoch,
        };
        let sealed = keys
            .directory(footer.epoch)?
            .seal(&footer.aad(&self.header), &plain)?;
        self.append(&sealed)?;
        self.append(&footer.encode())?;
        let id = PackId(*self.hasher.finalize().as_bytes());
        self.upload.write(&id.0)?;
        let size = self.offset + 32;
        self.upload.finish(&super::pack_name(&id))?;
        Ok(FinishedPack {
            id,
            size,
            class: self.class,
            frames: self.directory.frames,
        })
    }
}
