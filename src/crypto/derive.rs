//! Subkeys by BLAKE3 `derive_key`: one fixed context string, one purpose. The list is complete and is format.

use zeroize::Zeroizing;

use super::Secret;

/// What a key is for. The context strings stand in `format-spec/keys.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// Chunk ids, from the dedup root.
    ChunkId,
    /// The gear table of the chunker, from the dedup root.
    ChunkCut,
    /// The cuts of tree pages, from the dedup root.
    PageCut,
    /// Groups of hard links, from the dedup root.
    LinkGroup,
    /// Frames of file content, from a sealing root.
    DataFrame,
    /// Frames of metadata, from a sealing root.
    MetadataFrame,
    /// Pack directories, from a sealing root.
    PackDirectory,
    /// Segments, from a sealing root.
    Segment,
    /// The config, from a sealing root.
    Config,
    /// Snapshot records, from a sealing root.
    Snapshot,
    /// Session records, from a sealing root.
    Session,
    /// Tombstones, from a sealing root.
    Tombstone,
    /// Annotations, from a sealing root.
    Annotation,
    /// Slot key from a stretched passphrase or a key file.
    SlotKey,
    /// What a slot publishes so that a wrong key is known at once, from the slot key.
    SlotCheck,
    /// Wrapping of a ring key to a slot, from an X25519 shared secret.
    RingWrap,
    /// The key ring's body, from the ring key.
    RingBody,
    /// Authentication of key rings, from the secret that every slot carries.
    RingMac,
    /// What a client remembers of a sealing root, from that root; never stored in a repository.
    RootMark,
}

impl Purpose {
    /// The context string.
    #[must_use]
    pub fn context(self) -> &'static str {
        match self {
            Purpose::ChunkId => "duramen 2026-11 v1 chunk id",
            Purpose::ChunkCut => "duramen 2026-11 v1 chunk cut",
            Purpose::PageCut => "duramen 2026-11 v1 page cut",
            Purpose::LinkGroup => "duramen 2026-11 v1 link group",
            Purpose::DataFrame => "duramen 2026-11 v1 data frame",
            Purpose::MetadataFrame => "duramen 2026-11 v1 metadata frame",
            Purpose::PackDirectory => "duramen 2026-11 v1 pack directory",
            Purpose::Segment => "duramen 2026-11 v1 segment",
            Purpose::Config => "duramen 2026-11 v1 config",
            Purpose::Snapshot => "duramen 2026-11 v1 snapshot",
            Purpose::Session => "duramen 2026-11 v1 session",
            Purpose::Tombstone => "duramen 2026-11 v1 tombstone",
            Purpose::Annotation => "duramen 2026-11 v1 annotation",
            Purpose::SlotKey => "duramen 2026-11 v1 slot key",
            Purpose::SlotCheck => "duramen 2026-11 v1 slot check",
            Purpose::RingWrap => "duramen 2026-11 v1 ring wrap",
            Purpose::RingBody => "duramen 2026-11 v1 ring body",
            Purpose::RingMac => "duramen 2026-11 v1 ring mac",
            Purpose::RootMark => "duramen 2026-11 v1 root mark",
        }
    }

    /// The key for this purpose from the concatenation of `material`.
    #[must_use]
    pub fn derive(self, material: &[&[u8]]) -> Secret {
        let mut hasher = blake3::Hasher::new_derive_key(self.context());
        for part in material {
            hasher.update(part);
        }
        Zeroizing::new(*hasher.finalize().as_bytes())
    }
}

/// The gear table of the chunker: 256 words, little-endian, from the extended output of the cut key.
#[must_use]
pub fn gear_table(dedup_root: &[u8; 32]) -> Zeroizing<Vec<u64>> {
    let mut bytes = Zeroizing::new([0u8; 2048]);
    blake3::Hasher::new_derive_key(Purpose::ChunkCut.context())
        .update(dedup_root)
        .finalize_xof()
        .fill(&mut *bytes);
    let word = |word: &[u8]| {
        word.iter()
            .rev()
            .fold(0u64, |sum, byte| sum << 8 | u64::from(*byte))
    };
    Zeroizing::new(bytes.chunks_exact(8).map(word).collect())
}
