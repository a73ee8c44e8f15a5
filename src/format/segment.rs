//! Segments: the sealed, immutable parts of the index. This is their plaintext, before zstd and the seal.

use std::collections::HashSet;

use super::codec;
use super::extension::{self, Extension};
use super::file::HEADER;
use super::frame::{ChunkSpan, FrameInfo, PackClass};
use super::pack::FOOTER;
use super::wire::Reader;
use crate::error::{Error, Result};
use crate::id::{ChunkId, PackId};
use crate::limits;

/// Which chunk lies in which pack, frame and place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Segment {
    /// Packs that it speaks of.
    pub packs: Vec<SegmentPack>,
    /// Frames, each with the number of its pack in `packs`.
    pub frames: Vec<(u32, FrameInfo)>,
    /// Chunks sorted by id, each with the number of its frame in `frames`.
    pub chunks: Vec<(u32, ChunkSpan)>,
    /// Room for later.
    pub extensions: Vec<Extension>,
}

/// A pack as a segment speaks of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentPack {
    /// The pack.
    pub id: PackId,
    /// Bytes of the file.
    pub size: u64,
    /// What it holds.
    pub class: PackClass,
}

impl Segment {
    /// Sorts chunks by id: what [`Segment::decode`] demands.
    pub fn sort(&mut self) {
        self.chunks
            .sort_unstable_by_key(|(frame, span)| (span.id, *frame, span.offset));
    }

    /// Adds what another segment says, but for packs in `without`.
    pub fn append(&mut self, other: Segment, without: &HashSet<PackId>) {
        let mut packs = vec![None; other.packs.len()];
        for (number, pack) in other.packs.into_iter().enumerate() {
            if !without.contains(&pack.id) {
                packs[number] = Some(self.packs.len() as u32);
                self.packs.push(pack);
            }
        }
        let mut frames = vec![None; other.frames.len()];
        for (number, (pack, frame)) in other.frames.into_iter().enumerate() {
            if let Some(pack) = packs[pack as usize] {
                frames[number] = Some(self.frames.len() as u32);
                self.frames.push((pack, frame));
            }
        }
        for (frame, chunk) in other.chunks {
            if let Some(frame) = frames[frame as usize] {
                self.chunks.push((frame, chunk));
            }
        }
        self.extensions.extend(other.extensions);
    }

    /// `packs u32 | frames u32 | chunks u32 | extensions u32 (bytes)`, packs of 48 (`id 32 | size u64 | class u8 |
    /// zero 7`), frames of 24 (`pack u32 | frame 20`), chunks of 44 (`id 32 | frame u32 | offset u32 | len u32`).
    ///
    /// # Errors
    /// Never for what the index room makes.
    pub fn encode(&self) -> Result<Vec<u8>> {
        let extensions = codec::encode(&self.extensions)?;
        let mut bytes = Vec::with_capacity(
            16 + self.packs.len() * 48
                + self.frames.len() * 24
                + self.chunks.len() * 44
                + extensions.len(),
        );
        for count in [
            self.packs.len(),
            self.frames.len(),
            self.chunks.len(),
            extensions.len(),
        ] {
            bytes.extend_from_slice(&(count as u32).to_le_bytes());
        }
        for pack in &self.packs {
            bytes.extend_from_slice(&pack.id.0);
            bytes.extend_from_slice(&pack.size.to_le_bytes());
            bytes.extend_from_slice(&[pack.class as u8, 0, 0, 0, 0, 0, 0, 0]);
        }
        for (pack, frame) in &self.frames {
            bytes.extend_from_slice(&pack.to_le_bytes());
            frame.encode(&mut bytes);
        }
        for (frame, span) in &self.chunks {
            bytes.extend_from_slice(&span.id.0);
            for number in [*frame, span.offset, span.len] {
                bytes.extend_from_slice(&number.to_le_bytes());
            }
        }
        bytes.extend_from_slice(&extensions);
        Ok(bytes)
    }

    /// Reads it.
    ///
    /// # Errors
    /// [`crate::error::Kind::Damage`] or `Unsupported`.
    pub fn decode(bytes: &[u8]) -> Result<Segment> {
        let mut reader = Reader::new(bytes);
        let [pack_count, frame_count, chunk_count, extension_bytes] = [
            reader.u32()? as usize,
            reader.u32()? as usize,
            reader.u32()? as usize,
            reader.u32()? as usize,
        ];
        let claimed = pack_count as u64 * 48
            + frame_count as u64 * 24
            + chunk_count as u64 * 44
            + extension_bytes as u64;
        let too_many = pack_count > limits::PACKS_MAX
            || frame_count > limits::FRAMES_MAX
            || chunk_count > limits::CHUNKS_MAX;
        if too_many || claimed != reader.left() as u64 {
            return Err(Error::damage(
                "a segment whose counts do not fit its length",
            ));
        }
        let mut packs = Vec::with_capacity(pack_count);
        for _ in 0..pack_count {
            let pack = SegmentPack {
                id: PackId(reader.array()?),
                size: reader.u64()?,
                class: PackClass::from_byte(reader.u8()?)?,
            };
            reader.zeros(7)?;
            if pack.size > limits::PACK_BYTES_MAX {
                return Err(Error::damage(
                    "a segment that names a pack larger than any can be",
                ));
            }
            packs.push(pack);
        }
        let mut frames = Vec::with_capacity(frame_count);
        for _ in 0..frame_count {
            let (pack, frame) = (reader.u32()?, FrameInfo::decode(&mut reader)?);
            let inside = |pack: &SegmentPack| {
                let end = u64::from(frame.offset) + u64::from(frame.stored);
                pack.class == frame.kind.class()
                    && frame.offset as usize >= HEADER
                    && end + FOOTER as u64 <= pack.size
            };
            if !packs.get(pack as usize).is_some_and(inside) {
                return Err(Error::damage(
                    "a segment with a frame in no pack of its class",
                ));
            }
            frames.push((pack, frame));
        }
        let mut chunks: Vec<(u32, ChunkSpan)> = Vec::with_capacity(chunk_count);
        for _ in 0..chunk_count {
            let id = ChunkId(reader.array()?);
            let [frame, offset, len] = [reader.u32()?, reader.u32()?, reader.u32()?];
            let raw = frames
                .get(frame as usize)
                .map_or(0, |(_, frame): &(u32, FrameInfo)| frame.raw);
            if len == 0
                || len as usize > limits::CHUNK_BYTES_MAX
                || u64::from(offset) + u64::from(len) > u64::from(raw)
            {
                return Err(Error::damage("a segment with a chunk in no frame"));
            }
            if chunks.last().is_some_and(|(_, before)| before.id > id) {
                return Err(Error::damage("a segment that is not sorted"));
            }
            chunks.push((frame, ChunkSpan { id, offset, len }));
        }
        let extensions: Vec<Extension> = codec::decode(
            reader.bytes(extension_bytes)?,
            extension_bytes,
            "segment extensions",
        )?;
        extension::check(&extensions)?;
        Ok(Segment {
            packs,
            frames,
            chunks,
            extensions,
        })
    }
}
