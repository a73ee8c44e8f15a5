//! Cutting file content into chunks: FastCDC (Xia et al., IEEE TPDS 2020) with normalisation level 3 and a gear table
//! that only the repository's keys know.
//!
//! The cut function and the masks are the `fastcdc` crate's, pinned exactly; the whole table is ours, so an attacker
//! who sees chunk sizes cannot use the crate's published one. Cut points are format: `format-spec/chunking.md` writes
//! the algorithm out, and its vectors hold every size.

use fastcdc::v2020::{Normalization, cut_gear, select_masks};
use zeroize::Zeroizing;

use crate::format::records::Chunking;

/// Finds cuts; cheap to share between threads.
pub struct Cutter {
    sizes: Chunking,
    masks: [u64; 4],
    gear: Zeroizing<Vec<u64>>,
    gear_shifted: Zeroizing<Vec<u64>>,
}

impl Cutter {
    /// A cutter with the 256 words of `gear`.
    #[must_use]
    pub fn new(sizes: Chunking, gear: Zeroizing<Vec<u64>>) -> Self {
        let (strict, loose) = select_masks(sizes.average as usize, Normalization::Level3);
        let gear_shifted = Zeroizing::new(gear.iter().map(|word| word << 1).collect());
        Self {
            sizes,
            masks: [strict, loose, strict << 1, loose << 1],
            gear,
            gear_shifted,
        }
    }

    /// Bytes that must be at hand for the next cut to be final: the largest chunk.
    #[must_use]
    pub fn window(&self) -> usize {
        self.sizes.max as usize
    }

    /// Length of the first chunk of `bytes`, which must be at least [`Cutter::window`] long or reach to the end of
    /// its extent. 0 only for no bytes.
    #[must_use]
    pub fn cut(&self, bytes: &[u8]) -> usize {
        let Chunking { min, average, max } = self.sizes;
        let [strict, loose, strict_shifted, loose_shifted] = self.masks;
        let (min, average, max) = (min as usize, average as usize, max as usize);
        let (_, len) = cut_gear(
            bytes,
            min,
            average,
            max,
            strict,
            loose,
            strict_shifted,
            loose_shifted,
            &self.gear,
            &self.gear_shifted,
        );
        len
    }
}
