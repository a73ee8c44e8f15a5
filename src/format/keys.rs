//! Key slots and key rings: how what a person knows leads to the keys, and how a ring reaches every slot.

use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::extension::{self, Extension};
use super::file::{self, FileType};
use super::wire::Reader;
use crate::clock::Nanos;
use crate::error::{Error, Result};
use crate::id::{RepositoryId, SlotId};
use crate::limits::{RECORD_BYTES_MAX, SLOT_BYTES_MAX};

/// Bytes of a slot before what is sealed; all of them are associated data.
pub const SLOT_HEADER: usize = 168;
/// Bytes sealed in a slot: private key, ring authentication key, tag.
pub const SLOT_SEALED: usize = 32 + 32 + 16;
/// Bytes of one wrap in a ring: slot id, then the wrapped ring key.
pub const WRAP: usize = 16 + 80;
/// Slots of one repository.
pub const SLOTS_MAX: usize = 1024;

/// Highest generation of a key ring: its name has ten digits.
pub const GENERATION_MAX: u64 = 9_999_999_999;

/// What opens a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SlotKind {
    /// A passphrase, stretched.
    Passphrase,
    /// A key file or another random key.
    KeyFile,
}

impl SlotKind {
    /// The word for people and `--json`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            SlotKind::Passphrase => "passphrase",
            SlotKind::KeyFile => "key-file",
        }
    }
}

/// `keys/<slot id>` as it lies in the storage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// What opens it.
    pub kind: SlotKind,
    /// Argon2id memory in KiB, passes, lanes; all 0 for a key file.
    pub cost: [u32; 3],
    /// The repository.
    pub repository: RepositoryId,
    /// Random.
    pub salt: [u8; 32],
    /// Commits to the slot key: a wrong key is known at once, and no message opens under two keys.
    pub check: [u8; 32],
    /// New rings are wrapped to this.
    pub public: [u8; 32],
    /// Nonce of the seal.
    pub nonce: [u8; 12],
    /// Private key and ring authentication key, sealed under the slot key.
    pub sealed: Vec<u8>,
}

impl Slot {
    /// The first [`SLOT_HEADER`] bytes: the associated data of the seal.
    #[must_use]
    pub fn header(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(SLOT_HEADER);
        bytes.extend_from_slice(&FileType::Slot.magic());
        bytes.extend_from_slice(&file::VERSION.to_le_bytes());
        bytes.extend_from_slice(match self.kind {
            SlotKind::Passphrase => &[1, 1],
            SlotKind::KeyFile => &[2, 0],
        });
        for cost in self.cost {
            bytes.extend_from_slice(&cost.to_le_bytes());
        }
        bytes.extend_from_slice(&self.repository.0);
        bytes.extend_from_slice(&self.salt);
        bytes.extend_from_slice(&self.check);
        bytes.extend_from_slice(&self.public);
        bytes.extend_from_slice(&self.nonce);
        bytes.extend_from_slice(&(SLOT_SEALED as u32).to_le_bytes());
        bytes
    }

    /// The whole file.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = self.header();
        bytes.extend_from_slice(&self.sealed);
        file::finish(bytes)
    }

    /// Reads the whole file.
    ///
    /// # Errors
    /// [`crate::error::Kind::Damage`] or `Unsupported`.
    pub fn decode(bytes: &[u8]) -> Result<Slot> {
        if bytes.len() > SLOT_BYTES_MAX {
            return Err(Error::damage("a key slot longer than any can be"));
        }
        let mut reader = Reader::new(file::verified(bytes)?);
        FileType::Slot.check_start(&mut reader)?;
        let kind = match reader.array::<2>()? {
            [1, 1] => SlotKind::Passphrase,
            [2, 0] => SlotKind::KeyFile,
            [kind, kdf] => {
                return Err(Error::new(
                    crate::error::Kind::Unsupported,
                    format!("a key slot of type {kind} with derivation {kdf}"),
                )
                .hint("use a newer version of duramen"));
            }
        };
        let cost = [reader.u32()?, reader.u32()?, reader.u32()?];
        if kind == SlotKind::KeyFile && cost != [0; 3] {
            return Err(Error::damage("a key-file slot with a cost"));
        }
        let slot = Slot {
            kind,
            cost,
            repository: RepositoryId(reader.array()?),
            salt: reader.array()?,
            check: reader.array()?,
            public: reader.array()?,
            nonce: reader.array()?,
            sealed: {
                let sealed_len = reader.u32()? as usize;
                if sealed_len != SLOT_SEALED {
                    return Err(Error::damage("a key slot of a wrong length"));
                }
                reader.bytes(sealed_len)?.to_vec()
            },
        };
        reader.end()?;
        Ok(slot)
    }
}

/// `keyring/<generation>` as it lies in the storage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RingFile {
    /// The repository.
    pub repository: RepositoryId,
    /// 1, 2, 3 and so on; also the file's name, as ten decimal digits.
    pub generation: u64,
    /// The ring key, wrapped to each slot.
    pub wraps: Vec<(SlotId, [u8; WRAP - 16])>,
    /// `nonce | sealed | tag` of [`Ring`] under a key derived from the ring key.
    pub sealed: Vec<u8>,
    /// Keyed BLAKE3 of all before it under a key that only slots carry.
    pub mac: [u8; 32],
}

impl RingFile {
    /// The first 64 bytes: the associated data of the seal.
    #[must_use]
    pub fn header(&self, sealed_len: u32) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(file::HEADER);
        bytes.extend_from_slice(&FileType::Ring.magic());
        bytes.extend_from_slice(&file::VERSION.to_le_bytes());
        bytes.extend_from_slice(&[0; 2]);
        bytes.extend_from_slice(&(self.wraps.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&self.repository.0);
        bytes.extend_from_slice(&self.generation.to_le_bytes());
        bytes.extend_from_slice(&sealed_len.to_le_bytes());
        bytes.extend_from_slice(&[0; 4]);
        bytes
    }

    /// Everything that the mac covers.
    #[must_use]
    pub fn covered(&self) -> Vec<u8> {
        let mut bytes = self.header(self.sealed.len() as u32);
        for (slot, wrapped) in &self.wraps {
            bytes.extend_from_slice(&slot.0);
            bytes.extend_from_slice(wrapped);
        }
        bytes.extend_from_slice(&self.sealed);
        bytes
    }

    /// The whole file.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = self.covered();
        bytes.extend_from_slice(&self.mac);
        file::finish(bytes)
    }

    /// Reads the whole file.
    ///
    /// # Errors
    /// [`crate::error::Kind::Damage`] or `Unsupported`.
    pub fn decode(bytes: &[u8]) -> Result<RingFile> {
        if bytes.len() > RECORD_BYTES_MAX {
            return Err(Error::damage("a key ring longer than any can be"));
        }
        let mut reader = Reader::new(file::verified(bytes)?);
        FileType::Ring.check_start(&mut reader)?;
        reader.zeros(2)?;
        let count = reader.u32()? as usize;
        if count == 0 || count > SLOTS_MAX {
            return Err(Error::damage(
                "a key ring with an impossible number of slots",
            ));
        }
        let repository = RepositoryId(reader.array()?);
        let generation = reader.u64()?;
        let sealed_len = reader.u32()? as usize;
        reader.zeros(4)?;
        let wraps: Vec<(SlotId, [u8; WRAP - 16])> = (0..count)
            .map(|_| Ok((SlotId(reader.array()?), reader.array()?)))
            .collect::<Result<_>>()?;
        if !(1..=GENERATION_MAX).contains(&generation)
            || !wraps.windows(2).all(|pair| pair[0].0 < pair[1].0)
        {
            return Err(Error::damage(
                "a key ring of an impossible generation, or with slots out of order",
            ));
        }
        let sealed = reader.bytes(sealed_len)?.to_vec();
        let mac = reader.array()?;
        reader.end()?;
        Ok(RingFile {
            repository,
            generation,
            wraps,
            sealed,
            mac,
        })
    }
}

/// The keys themselves.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
pub struct Ring {
    /// Must be the file's.
    pub generation: u64,
    /// Chunk ids and cuts come from this; it never changes, so deduplication survives every rotation.
    pub dedup_root: [u8; 32],
    /// Sealing roots by epoch, ascending; the last one seals what is new.
    pub seal_roots: Vec<SealRoot>,
    /// Every slot that the ring is wrapped to: a slot file can be swapped by the store, this list cannot.
    #[zeroize(skip)]
    pub slots: Vec<RingSlot>,
    /// Room for later.
    #[zeroize(skip)]
    pub extensions: Vec<Extension>,
}

/// One sealing root.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
pub struct SealRoot {
    /// 1, 2, 3 and so on
    pub epoch: u32,
    /// The root.
    pub root: [u8; 32],
}

/// What a ring says of a slot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RingSlot {
    /// The slot.
    pub id: SlotId,
    /// What opens it.
    pub kind: SlotKind,
    /// Its public key.
    pub public: [u8; 32],
    /// When it was added.
    pub created: Nanos,
    /// The user's name for it.
    pub label: String,
    /// Host where it was added.
    pub host: String,
    /// User who added it.
    pub user: String,
}

impl Ring {
    /// Holds the record against the rules of its chapter.
    ///
    /// # Errors
    /// [`crate::error::Kind::Damage`] or `Unsupported`.
    pub fn check(&self) -> Result<()> {
        let ascending = self
            .seal_roots
            .windows(2)
            .all(|pair| pair[0].epoch < pair[1].epoch);
        let slots_sorted = self.slots.windows(2).all(|pair| pair[0].id < pair[1].id);
        let ascending =
            ascending && slots_sorted && self.seal_roots.iter().all(|root| root.epoch >= 1);
        if self.seal_roots.is_empty()
            || !ascending
            || self.slots.is_empty()
            || self.slots.len() > SLOTS_MAX
        {
            return Err(Error::damage(
                "a key ring without keys or slots, or with too many",
            ));
        }
        extension::check(&self.extensions)
    }
}
