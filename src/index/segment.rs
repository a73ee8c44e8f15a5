//! Segments as they lie in the storage.

use crate::error::{Error, Kind, Result};
use crate::format::file::{FileType, TRAILER};
use crate::format::segment::{Segment, SegmentPack};
use crate::id::SegmentId;
use crate::limits::{SEGMENT_BYTES_MAX, SEGMENT_CHUNKS_TARGET};
use crate::pack::FinishedPack;
use crate::seal::{Keys, open_record, seal_record};
use crate::storage::Storage;

/// zstd level of segments: ids do not shrink, the numbers beside them do.
const LEVEL: i32 = 1;

/// Where a segment lies.
#[must_use]
pub fn segment_name(id: &SegmentId) -> String {
    format!("index/{}", id.hex())
}

/// The segment that a stored name stands for; none for a foreign file.
#[must_use]
pub fn segment_of(name: &str) -> Option<SegmentId> {
    SegmentId::from_hex(name.strip_prefix("index/")?)
}

/// The name that a whole segment file must have.
#[must_use]
pub fn segment_id(file: &[u8]) -> Option<SegmentId> {
    file.last_chunk::<TRAILER>().map(|hash| SegmentId(*hash))
}

/// The content of segments that name `packs`: one, or more where one would grow large.
pub fn pieces_of(packs: &[FinishedPack]) -> Vec<Segment> {
    let mut pieces = Vec::new();
    let mut piece = Segment::default();
    for pack in packs {
        let chunks: usize = pack.frames.iter().map(|(_, chunks)| chunks.len()).sum();
        if !piece.packs.is_empty() && piece.chunks.len() + chunks > SEGMENT_CHUNKS_TARGET {
            pieces.push(std::mem::take(&mut piece));
        }
        let number = piece.packs.len() as u32;
        piece.packs.push(SegmentPack {
            id: pack.id,
            size: pack.size,
            class: pack.class,
        });
        for (frame, chunks) in &pack.frames {
            let frame_number = piece.frames.len() as u32;
            piece.frames.push((number, *frame));
            piece
                .chunks
                .extend(chunks.iter().map(|chunk| (frame_number, *chunk)));
        }
    }
    pieces.push(piece);
    pieces
}

/// Sorts, seals and stores a segment; returns its id and size.
///
/// # Errors
/// Whatever the storage says.
pub fn write_segment(
    storage: &dyn Storage,
    keys: &Keys,
    mut segment: Segment,
) -> Result<(SegmentId, u64)> {
    segment.sort();
    let plain = segment.encode()?;
    let packed = zstd::bulk::compress(&plain, LEVEL)
        .map_err(|error| Error::new(Kind::Failed, "zstd cannot compress a segment").cause(error))?;
    let body = [&(plain.len() as u32).to_le_bytes()[..], &packed].concat();
    let file = seal_record(keys, FileType::Segment, "", &body, SEGMENT_BYTES_MAX)?;
    let id =
        segment_id(&file).ok_or_else(|| Error::new(Kind::Failed, "a segment without a hash"))?;
    storage.put_new(&segment_name(&id), &file)?;
    Ok((id, file.len() as u64))
}

/// Reads, opens and checks a segment.
///
/// # Errors
/// `NotFound`, [`Kind::Damage`] or `Unsupported`, naming the segment.
pub fn read_segment(storage: &dyn Storage, keys: &Keys, id: &SegmentId) -> Result<Segment> {
    let name = segment_name(id);
    let open = || {
        let file = storage.read(&name, SEGMENT_BYTES_MAX as u64)?;
        if segment_id(&file) != Some(*id) {
            return Err(Error::damage("its bytes are those of another file"));
        }
        let body = open_record(keys, FileType::Segment, "", &file, SEGMENT_BYTES_MAX)?;
        let (raw_len, packed) = body
            .split_first_chunk::<4>()
            .ok_or_else(|| Error::damage("a segment without a length"))?;
        let raw_len = u32::from_le_bytes(*raw_len) as usize;
        if raw_len > SEGMENT_BYTES_MAX {
            return Err(Error::damage("a segment longer than any can be"));
        }
        let plain = zstd::bulk::decompress(packed, raw_len)
            .map_err(|error| Error::damage("a segment that zstd cannot read").cause(error))?;
        if plain.len() != raw_len {
            return Err(Error::damage("a segment of another length than it says"));
        }
        Segment::decode(&plain)
    };
    open().map_err(|error| {
        if error.subject_text().is_none_or(str::is_empty) {
            error.subject(name.clone())
        } else {
            error
        }
    })
}
