//! Key slots: from what a person knows to the private key that rings are wrapped to.

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::key_file;
use crate::crypto::aead::SealKey;
use crate::crypto::derive::Purpose;
use crate::crypto::passphrase::{Cost, stretch};
use crate::crypto::{Secret, random, wrap};
use crate::error::{Error, Kind, Result};
use crate::format::keys::{Slot, SlotKind};
use crate::id::{RepositoryId, SlotId};
use crate::limits::SLOT_BYTES_MAX;
use crate::storage::Storage;

/// What may open a key slot.
#[derive(Clone)]
pub enum Credential {
    /// What a person types; stretched by Argon2id.
    Passphrase(Zeroizing<Vec<u8>>),
    /// The text of a key file; random already, so not stretched.
    KeyFile(Zeroizing<Vec<u8>>),
}

impl Credential {
    /// What kind of slot it opens.
    #[must_use]
    pub fn kind(&self) -> SlotKind {
        match self {
            Credential::Passphrase(_) => SlotKind::Passphrase,
            Credential::KeyFile(_) => SlotKind::KeyFile,
        }
    }
}

/// An opened slot.
pub struct Unlocked {
    pub slot: SlotId,
    pub private: Secret,
    pub authentication: Secret,
}

pub fn slot_name(id: &SlotId) -> String {
    format!("keys/{}", id.hex())
}

/// Slots in the storage, by name.
pub fn list(storage: &dyn Storage) -> Result<Vec<SlotId>> {
    let mut slots: Vec<SlotId> = storage
        .list("keys")?
        .iter()
        .filter_map(|item| SlotId::from_hex(item.name.strip_prefix("keys/")?))
        .collect();
    slots.sort_unstable();
    Ok(slots)
}

pub fn read(storage: &dyn Storage, id: &SlotId) -> Result<Slot> {
    let name = slot_name(id);
    let file = storage.read(&name, SLOT_BYTES_MAX as u64)?;
    Slot::decode(&file).map_err(|error| error.or_subject(|| name))
}

fn slot_key(
    credential: &Credential,
    salt: &[u8; 32],
    cost: [u32; 3],
    repository: RepositoryId,
) -> Result<Secret> {
    let secret = match credential {
        Credential::Passphrase(passphrase) => {
            let [memory_kib, passes, lanes] = cost;
            let cost = Cost {
                memory_kib,
                passes,
                lanes,
            };
            cost.check()?;
            stretch(passphrase, salt, cost)?
        }
        Credential::KeyFile(text) => key_file::parse(text)?,
    };
    Ok(Purpose::SlotKey.derive(&[&*secret, salt, &repository.0]))
}

fn aad(slot: &Slot, id: &SlotId) -> Vec<u8> {
    [&slot.header()[..], slot_name(id).as_bytes()].concat()
}

/// Makes a slot; nothing is stored yet.
///
/// # Errors
/// Without randomness or memory.
pub fn make(
    id: &SlotId,
    credential: &Credential,
    cost: Option<Cost>,
    repository: RepositoryId,
    private: &Secret,
    authentication: &Secret,
) -> Result<Slot> {
    let cost = cost.map_or([0; 3], |cost| [cost.memory_kib, cost.passes, cost.lanes]);
    let salt = random::array()?;
    let key = slot_key(credential, &salt, cost, repository)?;
    let mut slot = Slot {
        kind: credential.kind(),
        cost,
        repository,
        salt,
        check: *Purpose::SlotCheck.derive(&[&*key]),
        public: wrap::public_key(private),
        nonce: random::array()?,
        sealed: Vec::new(),
    };
    let mut sealed = Vec::with_capacity(80);
    sealed.extend_from_slice(&**private);
    sealed.extend_from_slice(&**authentication);
    SealKey::new(&key).seal_with(&slot.nonce, &aad(&slot, id), &mut sealed, 0)?;
    slot.sealed = sealed;
    Ok(slot)
}

fn open(
    id: &SlotId,
    slot: &Slot,
    credential: &Credential,
    repository: RepositoryId,
) -> Result<Option<Unlocked>> {
    if slot.kind != credential.kind() || slot.repository != repository {
        return Ok(None);
    }
    let key = slot_key(credential, &slot.salt, slot.cost, repository)?;
    if !bool::from(Purpose::SlotCheck.derive(&[&*key]).ct_eq(&slot.check)) {
        return Ok(None);
    }
    let plain = SealKey::new(&key)
        .open_with(&slot.nonce, &aad(slot, id), &slot.sealed)
        .map_err(|error| error.subject(slot_name(id)))?;
    let plain = Zeroizing::new(plain);
    let halves: Option<(&[u8; 32], &[u8])> = plain.split_first_chunk();
    let (private, authentication) =
        halves.ok_or_else(|| Error::damage("a key slot of a wrong length"))?;
    let authentication: [u8; 32] = authentication
        .try_into()
        .map_err(|_| Error::damage("a key slot of a wrong length"))?;
    if wrap::public_key(&Zeroizing::new(*private)) != slot.public {
        return Err(
            Error::damage("a key slot whose public key is not its own").subject(slot_name(id))
        );
    }
    Ok(Some(Unlocked {
        slot: *id,
        private: Zeroizing::new(*private),
        authentication: Zeroizing::new(authentication),
    }))
}

/// Opens the first slot that one of the credentials fits.
///
/// # Errors
/// [`Kind::WrongKey`] where none does; a damaged slot is only an error if no other opens.
pub fn unlock(
    storage: &dyn Storage,
    repository: RepositoryId,
    credentials: &[Credential],
) -> Result<Unlocked> {
    let slots = list(storage)?;
    let (mut damaged, mut malformed) = (None, None);
    for credential in credentials {
        for id in &slots {
            let opened = read(storage, id).and_then(|slot| open(id, &slot, credential, repository));
            match opened {
                Ok(Some(unlocked)) => return Ok(unlocked),
                Ok(None) => {}
                // A malformed key file is malformed for every slot; another credential may still fit.
                Err(error) if error.kind() == Kind::WrongKey => {
                    malformed = malformed.or(Some(error));
                    break;
                }
                Err(error) => damaged = damaged.or(Some(error)),
            }
        }
    }
    if slots.is_empty() {
        return Err(Error::damage("the repository has a config but no key slots")
            .subject(storage.describe())
            .hint("without a file in its folder keys/ nothing can be read: bring that folder back from a copy"));
    }
    Err(malformed.or(damaged).unwrap_or_else(|| {
        Error::new(
            Kind::WrongKey,
            "none of the given keys opens this repository",
        )
        .subject(storage.describe())
        .hint(
            "check --password-file, --password-command, --key-file and their environment variables",
        )
    }))
}
