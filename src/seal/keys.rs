//! All keys of an opened repository, derived once.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use zeroize::Zeroizing;

use crate::crypto::Secret;
use crate::crypto::aead::SealKey;
use crate::crypto::derive::{Purpose, gear_table};
use crate::error::{Error, Result};
use crate::format::frame::{ChunkKind, PackClass};
use crate::format::keys::{Ring, SealRoot};
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
    epochs: RwLock<BTreeMap<u32, Arc<EpochKeys>>>,
    /// Reads the ring again where something is sealed under an epoch that came after this process began.
    newer: Option<Box<dyn Fn() -> Result<Ring> + Send + Sync>>,
}

struct EpochKeys {
    root: Secret,
    data: Arc<SealKey>,
    metadata: Arc<SealKey>,
    directory: Arc<SealKey>,
}

impl EpochKeys {
    fn new(root: &[u8; 32]) -> Self {
        let key = |purpose: Purpose| Arc::new(SealKey::new(&purpose.derive(&[root])));
        Self {
            root: Zeroizing::new(*root),
            data: key(Purpose::DataFrame),
            metadata: key(Purpose::MetadataFrame),
            directory: key(Purpose::PackDirectory),
        }
    }
}

fn epochs(ring: &Ring) -> BTreeMap<u32, Arc<EpochKeys>> {
    let keys = |root: &SealRoot| (root.epoch, Arc::new(EpochKeys::new(&root.root)));
    ring.seal_roots.iter().map(keys).collect()
}

impl Keys {
    /// Derives everything from a ring.
    ///
    /// # Errors
    /// [`crate::error::Kind::Damage`] for a ring without keys.
    pub fn new(repository: RepositoryId, ring: &Ring) -> Result<Self> {
        ring.check()?;
        let epochs = epochs(ring);
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
            epochs: RwLock::new(epochs),
            newer: None,
        })
    }

    /// Says how the newest ring is read, so that what others seal after a rotation can be opened by a process that
    /// began before it. New things are sealed under the epoch of the beginning all the while.
    pub fn read_newer_with(&mut self, read: Box<dyn Fn() -> Result<Ring> + Send + Sync>) {
        self.newer = Some(read);
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

    fn known(&self, epoch: u32) -> Option<Arc<EpochKeys>> {
        let epochs = self.epochs.read().unwrap_or_else(PoisonError::into_inner);
        epochs.get(&epoch).cloned()
    }

    fn epoch(&self, epoch: u32) -> Result<Arc<EpochKeys>> {
        if let Some(keys) = self.known(epoch) {
            return Ok(keys);
        }
        // Epochs only ever grow, so one below the newest is none that a rotation brought.
        if let (Some(read), true) = (&self.newer, epoch > self.epoch) {
            let later = epochs(&read()?);
            let mut epochs = self.epochs.write().unwrap_or_else(PoisonError::into_inner);
            for (epoch, keys) in later {
                epochs.entry(epoch).or_insert(keys);
            }
        }
        self.known(epoch).ok_or_else(|| {
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
    pub fn frame(&self, epoch: u32, kind: ChunkKind) -> Result<Arc<SealKey>> {
        let keys = self.epoch(epoch)?;
        Ok(match kind.class() {
            PackClass::Data => keys.data.clone(),
            PackClass::Metadata => keys.metadata.clone(),
        })
    }

    /// Key of pack directories.
    ///
    /// # Errors
    /// As [`Keys::frame`].
    pub fn directory(&self, epoch: u32) -> Result<Arc<SealKey>> {
        Ok(self.epoch(epoch)?.directory.clone())
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
