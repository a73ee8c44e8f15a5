//! Frames: compressed as one zstd block, sealed as one message.
//!
//! A sealer or an opener belongs to one thread: making a compression context anew for every frame costs more than a
//! small frame itself.

use zstd::bulk::{Compressor, Decompressor};

use super::{Compression, Keys};
use crate::crypto::aead::{NONCE, OVERHEAD, TAG};
use crate::crypto::random;
use crate::error::{Error, Kind, Result};
use crate::format::frame::{ChunkKind, Codec, FrameInfo};
use crate::limits;

/// Compresses and seals.
pub struct FrameSealer {
    compressor: Option<Compressor<'static>>,
    probe: Option<Compressor<'static>>,
}

/// A frame that lies in no pack yet: its `offset` is still 0.
pub struct SealedFrame {
    /// What it is.
    pub info: FrameInfo,
    /// `nonce | sealed | tag`.
    pub stored: Vec<u8>,
}

impl FrameSealer {
    /// A sealer that compresses so hard.
    ///
    /// # Errors
    /// Where zstd refuses the level.
    pub fn new(compression: Compression) -> Result<Self> {
        let (compressor, probe) = compression.compressors()?;
        Ok(Self { compressor, probe })
    }

    /// Seals the concatenated chunks of one kind.
    ///
    /// # Errors
    /// Without randomness or memory.
    pub fn seal(&mut self, keys: &Keys, kind: ChunkKind, raw: &[u8]) -> Result<SealedFrame> {
        if raw.is_empty() || raw.len() > limits::FRAME_BYTES_MAX {
            return Err(Error::new(
                Kind::Limit,
                format!("a frame of {} bytes", raw.len()),
            ));
        }
        let nonce = random::array::<NONCE>()?;
        let mut stored = Vec::new();
        let mut codec = Codec::Raw;
        if let Some(compressor) = &mut self.compressor {
            stored.resize(NONCE + zstd::zstd_safe::compress_bound(raw.len()) + TAG, 0);
            let mut shrink = |compressor: &mut Compressor<'_>| -> Result<Option<usize>> {
                let written = compressor
                    .compress_to_buffer(raw, &mut stored[NONCE..])
                    .map_err(|error| {
                        Error::new(Kind::Failed, "zstd cannot compress").cause(error)
                    })?;
                // What does not shrink by a hundredth is not worth decompressing on every read.
                Ok((written < raw.len() - raw.len() / 128).then_some(written))
            };
            let worth = match &mut self.probe {
                Some(probe) => shrink(probe)?.is_some(),
                None => true,
            };
            if worth && let Some(written) = shrink(compressor)? {
                codec = Codec::Zstd;
                stored.truncate(NONCE + written);
            }
        }
        if codec == Codec::Raw {
            stored.clear();
            stored.reserve_exact(raw.len() + OVERHEAD);
            stored.extend_from_slice(&[0; NONCE]);
            stored.extend_from_slice(raw);
        }
        stored[..NONCE].copy_from_slice(&nonce);
        let stored_len = (stored.len() + TAG) as u32;
        let info = FrameInfo {
            offset: 0,
            stored: stored_len,
            raw: raw.len() as u32,
            epoch: keys.epoch,
            kind,
            codec,
        };
        keys.frame(info.epoch, kind)?.seal_with(
            &nonce,
            &info.aad(&keys.repository.0),
            &mut stored,
            NONCE,
        )?;
        stored.shrink_to_fit();
        Ok(SealedFrame { info, stored })
    }
}

/// Opens and decompresses.
pub struct FrameOpener {
    decompressor: Decompressor<'static>,
}

impl FrameOpener {
    /// An opener.
    ///
    /// # Errors
    /// Without memory.
    pub fn new() -> Result<Self> {
        let decompressor = Decompressor::new()
            .map_err(|error| Error::new(Kind::Failed, "cannot set up zstd").cause(error))?;
        Ok(Self { decompressor })
    }

    /// The raw bytes of a stored frame.
    ///
    /// # Errors
    /// [`Kind::Damage`]; the caller names the pack.
    pub fn open(&mut self, keys: &Keys, info: &FrameInfo, stored: &[u8]) -> Result<Vec<u8>> {
        let payload = keys
            .frame(info.epoch, info.kind)?
            .open(&info.aad(&keys.repository.0), stored)?;
        let raw = match info.codec {
            Codec::Raw => payload,
            Codec::Zstd => {
                let mut raw = Vec::with_capacity(info.raw as usize);
                self.decompressor
                    .decompress_to_buffer(&payload, &mut raw)
                    .map_err(|error| Error::damage("a frame that zstd cannot read").cause(error))?;
                raw
            }
        };
        if raw.len() != info.raw as usize {
            return Err(Error::damage(
                "a frame of another length than its directory says",
            ));
        }
        Ok(raw)
    }
}
