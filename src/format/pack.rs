//! Packs: `header 64 | frames | sealed directory | footer 48`, and the directory's plaintext.

use super::codec;
use super::extension::{self, Extension};
use super::file::{FileType, HEADER, VERSION};
use super::frame::{ChunkSpan, FrameInfo, PackClass};
use super::wire::Reader;
use crate::error::{Error, Result};
use crate::id::{ChunkId, RepositoryId, SessionId};
use crate::limits;

/// Bytes behind the directory: its length, its epoch, eight zeros, the hash of all before.
pub const FOOTER: usize = 48;

/// The first 64 bytes of a pack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackHeader {
    /// What it holds.
    pub class: PackClass,
    /// The repository.
    pub repository: RepositoryId,
    /// The session that wrote it: a pack that no segment names may go once that session has ended.
    pub session: SessionId,
}

impl PackHeader {
    /// `magic 8 | version u16 | class u8 | flags u8 = 0 | zero u32 | repository 32 | session 16`.
    #[must_use]
    pub fn encode(&self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[..8].copy_from_slice(&FileType::Pack.magic());
        bytes[8..10].copy_from_slice(&VERSION.to_le_bytes());
        bytes[10] = self.class as u8;
        bytes[16..48].copy_from_slice(&self.repository.0);
        bytes[48..].copy_from_slice(&self.session.0);
        bytes
    }

    /// Reads it.
    ///
    /// # Errors
    /// [`crate::error::Kind::Damage`] or `Unsupported`.
    pub fn decode(bytes: &[u8]) -> Result<PackHeader> {
        let mut reader = Reader::new(bytes);
        FileType::Pack.check_start(&mut reader)?;
        let class = PackClass::from_byte(reader.u8()?)?;
        reader.zeros(5)?;
        let header = PackHeader {
            class,
            repository: RepositoryId(reader.array()?),
            session: SessionId(reader.array()?),
        };
        reader.end()?;
        Ok(header)
    }
}

/// The last 48 bytes of a pack, without the hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackFooter {
    /// Stored bytes of the directory, nonce and tag included.
    pub directory_len: u32,
    /// Sealing root of the directory.
    pub epoch: u32,
}

impl PackFooter {
    /// `directory_len u32 | epoch u32 | zero 8`.
    #[must_use]
    pub fn encode(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&self.directory_len.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.epoch.to_le_bytes());
        bytes
    }

    /// Reads it.
    ///
    /// # Errors
    /// [`crate::error::Kind::Damage`].
    pub fn decode(bytes: &[u8]) -> Result<PackFooter> {
        let mut reader = Reader::new(bytes);
        let footer = PackFooter {
            directory_len: reader.u32()?,
            epoch: reader.u32()?,
        };
        reader.zeros(8)?;
        reader.end()?;
        if footer.directory_len as usize > limits::DIRECTORY_BYTES_MAX {
            return Err(Error::damage("a pack directory longer than any can be"));
        }
        Ok(footer)
    }

    /// Associated data of the directory: header, then footer.
    #[must_use]
    pub fn aad(&self, header: &[u8; HEADER]) -> Vec<u8> {
        [&header[..], &self.encode()[..]].concat()
    }
}

/// What a pack holds, in the order of its bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PackDirectory {
    /// Frames, each with its chunks in order, which fill it without gaps.
    pub frames: Vec<(FrameInfo, Vec<ChunkSpan>)>,
    /// Room for later: writer id and signature, a key wrapped to a recipient.
    pub extensions: Vec<Extension>,
}

impl PackDirectory {
    /// `frames u32 | chunks u32 | extensions u32 (bytes) | zero u32`, each frame (20) with its number of chunks (u32),
    /// each chunk `id 32 | len u32` in order, the extensions.
    ///
    /// # Errors
    /// Never for what the pack writer makes.
    pub fn encode(&self) -> Result<Vec<u8>> {
        let chunks: usize = self.frames.iter().map(|(_, chunks)| chunks.len()).sum();
        let extensions = codec::encode(&self.extensions)?;
        let mut bytes =
            Vec::with_capacity(16 + self.frames.len() * 24 + chunks * 36 + extensions.len());
        for count in [self.frames.len(), chunks, extensions.len(), 0] {
            bytes.extend_from_slice(&(count as u32).to_le_bytes());
        }
        for (frame, chunks) in &self.frames {
            frame.encode(&mut bytes);
            bytes.extend_from_slice(&(chunks.len() as u32).to_le_bytes());
        }
        for chunk in self.frames.iter().flat_map(|(_, chunks)| chunks) {
            bytes.extend_from_slice(&chunk.id.0);
            bytes.extend_from_slice(&chunk.len.to_le_bytes());
        }
        bytes.extend_from_slice(&extensions);
        Ok(bytes)
    }

    /// Reads it; frames must lie behind each other from the header to the directory.
    ///
    /// # Errors
    /// [`crate::error::Kind::Damage`] or `Unsupported`.
    pub fn decode(bytes: &[u8], class: PackClass, frames_end: u64) -> Result<PackDirectory> {
        let mut reader = Reader::new(bytes);
        let [frame_count, chunk_count, extension_bytes] = [
            reader.u32()? as usize,
            reader.u32()? as usize,
            reader.u32()? as usize,
        ];
        reader.zeros(4)?;
        let claimed = frame_count as u64 * 24 + chunk_count as u64 * 36 + extension_bytes as u64;
        if frame_count > limits::FRAMES_MAX
            || chunk_count > limits::CHUNKS_MAX
            || claimed != reader.left() as u64
        {
            return Err(Error::damage(
                "a pack directory whose counts do not fit its length",
            ));
        }
        let mut heads = Vec::with_capacity(frame_count);
        let mut next = HEADER as u64;
        for _ in 0..frame_count {
            let frame = FrameInfo::decode(&mut reader)?;
            if u64::from(frame.offset) != next || frame.kind.class() != class {
                return Err(Error::damage(
                    "a pack whose frames do not lie behind each other, or are of the wrong class",
                ));
            }
            next += u64::from(frame.stored);
            heads.push((frame, reader.u32()? as usize));
        }
        if next != frames_end || heads.iter().map(|(_, count)| count).sum::<usize>() != chunk_count
        {
            return Err(Error::damage("a pack directory that does not fit its pack"));
        }
        let mut frames = Vec::with_capacity(frame_count);
        for (frame, count) in heads {
            let mut offset = 0u32;
            let mut chunks = Vec::with_capacity(count);
            for _ in 0..count {
                let (id, len) = (ChunkId(reader.array()?), reader.u32()?);
                if len == 0 || len as usize > limits::CHUNK_BYTES_MAX || len > frame.raw - offset {
                    return Err(Error::damage("a chunk that does not fit its frame"));
                }
                chunks.push(ChunkSpan { id, offset, len });
                offset += len;
            }
            if offset != frame.raw {
                return Err(Error::damage("a frame with bytes that no chunk has"));
            }
            frames.push((frame, chunks));
        }
        let extensions: Vec<Extension> = codec::decode(
            reader.bytes(extension_bytes)?,
            extension_bytes,
            "pack extensions",
        )?;
        extension::check(&extensions)?;
        Ok(PackDirectory { frames, extensions })
    }
}
