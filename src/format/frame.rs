//! Frames and chunks as packs and segments speak of them.

use super::wire::Reader;
use crate::error::{Error, Kind, Result};
use crate::id::ChunkId;
use crate::limits;

/// Kind of a chunk; part of its id, so chunks of different kinds never collide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum ChunkKind {
    /// Bytes of a file.
    Data = 1,
    /// A page of a directory.
    Tree = 2,
    /// A page of hints.
    Hint = 3,
    /// A page of a content list.
    List = 4,
    /// Value of an extended attribute.
    Xattr = 5,
    /// A page of a run of documents.
    Run = 6,
    /// A page of a catalogue of collections.
    Catalogue = 7,
}

impl ChunkKind {
    /// All kinds.
    pub const ALL: [ChunkKind; 7] = [
        ChunkKind::Data,
        ChunkKind::Tree,
        ChunkKind::Hint,
        ChunkKind::List,
        ChunkKind::Xattr,
        ChunkKind::Run,
        ChunkKind::Catalogue,
    ];

    /// Data and metadata never share a pack.
    #[must_use]
    pub fn class(self) -> PackClass {
        match self {
            ChunkKind::Data | ChunkKind::Xattr => PackClass::Data,
            ChunkKind::Tree
            | ChunkKind::Hint
            | ChunkKind::List
            | ChunkKind::Run
            | ChunkKind::Catalogue => PackClass::Metadata,
        }
    }

    fn from_byte(byte: u8) -> Result<Self> {
        ChunkKind::ALL
            .into_iter()
            .find(|kind| *kind as u8 == byte)
            .ok_or_else(|| {
                Error::new(Kind::Unsupported, format!("a chunk of unknown kind {byte}"))
                    .hint("use a newer version of duramen")
            })
    }
}

/// What a pack holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum PackClass {
    /// File content and attribute values.
    Data = 1,
    /// Pages.
    Metadata = 2,
}

impl PackClass {
    /// From its byte.
    ///
    /// # Errors
    /// [`Kind::Unsupported`].
    pub fn from_byte(byte: u8) -> Result<Self> {
        match byte {
            1 => Ok(PackClass::Data),
            2 => Ok(PackClass::Metadata),
            _ => Err(
                Error::new(Kind::Unsupported, format!("a pack of unknown class {byte}"))
                    .hint("use a newer version of duramen"),
            ),
        }
    }
}

/// How a frame's raw bytes became what is sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Codec {
    /// As they are.
    Raw = 0,
    /// One zstd frame.
    Zstd = 1,
}

/// A frame within its pack: 20 bytes in directories and segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FrameInfo {
    /// Bytes from the pack's start.
    pub offset: u32,
    /// Stored bytes, nonce and tag included.
    pub stored: u32,
    /// Raw bytes.
    pub raw: u32,
    /// Sealing root that its key is derived from.
    pub epoch: u32,
    /// Kind of all its chunks.
    pub kind: ChunkKind,
    /// How it was compressed.
    pub codec: Codec,
}

impl FrameInfo {
    /// Appends the fixed part: `offset u32 | stored u32 | raw u32 | epoch u32 | kind u8 | codec u8 | zero u16`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        for number in [self.offset, self.stored, self.raw, self.epoch] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&[self.kind as u8, self.codec as u8, 0, 0]);
    }

    /// Reads and checks the fixed part.
    ///
    /// # Errors
    /// [`Kind::Damage`] or [`Kind::Unsupported`].
    pub fn decode(reader: &mut Reader<'_>) -> Result<FrameInfo> {
        let [offset, stored, raw, epoch] =
            [reader.u32()?, reader.u32()?, reader.u32()?, reader.u32()?];
        let kind = ChunkKind::from_byte(reader.u8()?)?;
        let codec = match reader.u8()? {
            0 => Codec::Raw,
            1 => Codec::Zstd,
            other => {
                return Err(Error::new(
                    Kind::Unsupported,
                    format!("a frame with unknown codec {other}"),
                )
                .hint("use a newer version of duramen"));
            }
        };
        reader.zeros(2)?;
        let raw_fits = (1..=limits::FRAME_BYTES_MAX).contains(&(raw as usize));
        let stored_fits = (29..=limits::FRAME_STORED_MAX).contains(&(stored as usize));
        let ends_inside = u64::from(offset) + u64::from(stored) <= limits::PACK_BYTES_MAX;
        let codec_fits = raw.checked_add(28).map(|plain| match codec {
            Codec::Raw => stored == plain,
            Codec::Zstd => stored < plain,
        });
        if !raw_fits || !stored_fits || !ends_inside || codec_fits != Some(true) {
            return Err(Error::damage("a frame of impossible size"));
        }
        Ok(FrameInfo {
            offset,
            stored,
            raw,
            epoch,
            kind,
            codec,
        })
    }

    /// Associated data of a frame: `repository 32 | kind u8 | codec u8 | raw u32 | epoch u32`.
    #[must_use]
    pub fn aad(&self, repository: &[u8; 32]) -> [u8; 42] {
        let mut aad = [0; 42];
        aad[..32].copy_from_slice(repository);
        aad[32] = self.kind as u8;
        aad[33] = self.codec as u8;
        aad[34..38].copy_from_slice(&self.raw.to_le_bytes());
        aad[38..].copy_from_slice(&self.epoch.to_le_bytes());
        aad
    }
}

/// A chunk within its frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkSpan {
    /// The chunk.
    pub id: ChunkId,
    /// Raw bytes from the frame's start.
    pub offset: u32,
    /// Raw bytes.
    pub len: u32,
}
