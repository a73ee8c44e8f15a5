//! All keys of an opened repository, derived once.

use std::collections::BTreeMap;

use zeroize::Zeroizing;

use crate::crypto::Secret;
use crate::crypto::aead::SealKey;
use crate::crypto::derive::{Purpose, gear_table};
use crate::error::{Error, Result};
use crate::format::frame::{ChunkKind, PackClass};
use crate::format::keys::Ring;
use crate::id::{ChunkId, RepositoryId};

/// Keys in hand; shared by all threads.
pub struct Keys {
    /// The repository that everything is bound to.
    pub repository: RepositoryId,
    /// Sealing root that new things are sealed under.
    pub epoch: u32,
    chunk_id: Secret,
    page_cut: Secret,
    link_group: Secret,
    dedup_root: Secret,
    epochs: BTreeMap<u32, EpochKeys>,
}

struct EpochKeys {
    root: Secret,
    data: SealKey,
    metadata: SealKey,
    directory: SealKey,
}

impl Keys {
    /// Derives everything from a ring.
    ///
    /// # Errors
    /// [`crate::error::Kind::Damage`] for a ring without keys.
    pub fn new(repository: RepositoryId, ring: &Ring) -> Result<Self> {
        ring.check()?;
        let mut epochs = BTreeMap::new();
        for seal_root in &ring.seal_roots {
            let key = |purpose: Purpose| SealKey::new(&purpose.derive(&[&seal_root.root]));
            let keys = EpochKeys {
                root: Zeroizing::new(seal_root.root),
                data: key(Purpose::DataFrame),
                metadata: key(Purpose::MetadataFrame),
                directory: key(Purpose::PackDirectory),
            };
            epochs.insert(seal_root.epoch, keys);
        }
        let epoch = *epochs
            .keys()
            .next_back()
            .ok_or_else(|| Error::damage("a key ring without keys"))?;
        let dedup = |purpose: Purpose| purpose.derive(&[&ring.dedup_root]);
        Ok(Self {
            repository,
            epoch,
            chunk_id: dedup(Purpose::ChunkId),
            page_cut: dedup(Purpose::PageCut),
            link_group: dedup(Purpose::LinkGroup),
            dedup_root: Zeroizing::new(ring.dedup_root),
            epochs,
        })
    }

    /// A chunk's name.
    #[must_use]
    pub fn chunk_id(&self, kind: ChunkKind, bytes: &[u8]) -> ChunkId {
        let mut hasher = blake3::Hasher::new_keyed(&self.chunk_id);
        hasher.update(&[kind as u8]);
        hasher.update(bytes);
        ChunkId(*hasher.finalize().as_bytes())
    }

    /// The number that decides whether a page ends behind `name`.
    #[must_use]
    pub fn page_cut(&self, name: &[u8]) -> u64 {
        first_word(&blake3::keyed_hash(&self.page_cut, name))
    }

    /// The group of a hard-linked inode whose first name is `path`.
    #[must_use]
    pub fn link_group(&self, path: &[u8]) -> u64 {
        first_word(&blake3::keyed_hash(&self.link_group, path))
    }

    /// The chunker's table.
    #[must_use]
    pub fn gear(&self) -> Zeroizing<Vec<u64>> {
        gear_table(&self.dedup_root)
    }

    fn epoch(&self, epoch: u32) -> Result<&EpochKeys> {
        self.epochs.get(&epoch).ok_or_else(|| {
            Error::damage(format!(
                "sealed under key epoch {epoch}, which the key ring does not have"
            ))
            .hint("it may have been written after this key slot was removed")
        })
    }

    /// Key of frames of `kind`.
    ///
    /// # Errors
    /// [`crate::error::Kind::Damage`] for an epoch that the ring does not have.
    pub fn frame(&self, epoch: u32, kind: ChunkKind) -> Result<&SealKey> {
        let keys = self.epoch(epoch)?;
        Ok(match kind.class() {
            PackClass::Data => &keys.data,
            PackClass::Metadata => &keys.metadata,
        })
    }

    /// Key of pack directories.
    ///
    /// # Errors
    /// As [`Keys::frame`].
    pub fn directory(&self, epoch: u32) -> Result<&SealKey> {
        Ok(&self.epoch(epoch)?.directory)
    }

    /// Key of records and segments.
    ///
    /// # Errors
    /// As [`Keys::frame`].
    pub fn record(&self, epoch: u32, purpose: Purpose) -> Result<SealKey> {
        Ok(SealKey::new(&purpose.derive(&[&*self.epoch(epoch)?.root])))
    }
}

fn first_word(hash: &blake3::Hash) -> u64 {
    hash.as_bytes()[..8]
        .iter()
        .rev()
        .fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}
