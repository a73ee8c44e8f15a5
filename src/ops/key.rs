//! Key slots: list, add, change, remove, rotate, and write down.

use super::open::{Credential, OpenOptions};
use crate::clock::Nanos;
use crate::error::{Error, Kind, Result};
use crate::format::file::{FileType, RecordHeader};
use crate::id::{RepositoryId, SlotId};
use crate::limits::RECORD_BYTES_MAX;
pub use crate::repository::{RECOVERY_WORDS, from_recovery_words, recovery_word};
use crate::repository::{Repository, RingSlot, SlotCost};
use crate::repository::{new_key_file, read_config_file, recovery_words};
use zeroize::Zeroizing;

/// One key slot, as `key list` shows it.
#[derive(Debug, Clone)]
pub struct SlotInfo {
    /// Its id.
    pub id: SlotId,
    /// `passphrase` or `key-file`.
    pub kind: &'static str,
    /// When it was added.
    pub created: Nanos,
    /// The user's name for it.
    pub label: String,
    /// Host where it was added.
    pub host: String,
    /// User who added it.
    pub user: String,
    /// Whether it is the one that opened the repository just now.
    pub current: bool,
    /// Argon2id memory in KiB, passes, lanes.
    pub kdf: Option<(u32, u32, u32)>,
    /// Seconds that it takes here, where asked for.
    pub kdf_seconds: Option<f64>,
}

fn info(repository: &Repository, slot: RingSlot, measure: bool) -> Result<SlotInfo> {
    let cost: Option<SlotCost> = repository.slot_cost(&slot.id, measure)?;
    Ok(SlotInfo {
        id: slot.id,
        kind: slot.kind.word(),
        created: slot.created,
        label: slot.label,
        host: slot.host,
        user: slot.user,
        current: slot.id == repository.current_slot(),
        kdf: cost.map(|cost| cost.argon2id),
        kdf_seconds: cost.and_then(|cost| cost.seconds),
    })
}

/// All slots of the newest key ring; `measure` also says how long each passphrase takes here.
///
/// # Errors
/// [`Kind::Damage`], or whatever the storage says.
pub fn list(repository: &Repository, measure: bool) -> Result<Vec<SlotInfo>> {
    repository
        .slots()?
        .into_iter()
        .map(|slot| info(repository, slot, measure))
        .collect()
}

/// Adds a slot.
///
/// # Errors
/// Whatever the storage says.
pub fn add(repository: &Repository, credential: &Credential, label: &str) -> Result<SlotInfo> {
    let slot = repository.add_slot(credential, label)?;
    info(repository, slot, false)
}

/// Removes the slot whose id begins with `slot`. Refuses the last one, and the one in use unless `force`.
///
/// # Errors
/// [`Kind::NotFound`], [`Kind::Usage`], and whatever the storage says.
pub fn remove(repository: &Repository, slot: &str, force: bool) -> Result<SlotInfo> {
    let slots = repository.slots()?;
    let mut found = slots
        .into_iter()
        .filter(|known| !slot.is_empty() && known.id.hex().starts_with(slot));
    let chosen = match (found.next(), found.next()) {
        (Some(chosen), None) => chosen,
        (None, _) => {
            return Err(Error::new(Kind::NotFound, "there is no such key")
                .subject(slot)
                .hint("`duramen key list` lists them"));
        }
        (Some(_), Some(_)) => {
            return Err(Error::new(Kind::Usage, "several keys begin so")
                .subject(slot)
                .hint("write more digits"));
        }
    };
    if chosen.id == repository.current_slot() && !force {
        return Err(Error::new(
            Kind::Usage,
            "this is the key that opened the repository just now",
        )
        .subject(chosen.id.short())
        .hint("open it with another key, or say --force"));
    }
    let info = info(repository, chosen, false)?;
    repository.remove_slot(&info.id)?;
    Ok(info)
}

/// Changes the passphrase that opened the repository just now: the new slot is there before the old one goes.
///
/// # Errors
/// [`Kind::Usage`] where a key file opened it, and whatever the storage says.
pub fn passwd(repository: &Repository, credential: &Credential) -> Result<SlotInfo> {
    let slot = repository.replace_slot(credential)?;
    info(repository, slot, false)
}

/// Makes a new sealing key that seals everything from now on; returns its number.
///
/// # Errors
/// [`Kind::Conflict`], and whatever the storage says.
pub fn rotate(repository: &Repository) -> Result<u32> {
    repository.rotate()
}

/// The label of slots that recovery words open.
pub const RECOVERY_LABEL: &str = "recovery words";

/// Adds a slot with a new random key, and returns the key as words: for paper, and nowhere else.
///
/// # Errors
/// Whatever the storage says.
pub fn export(repository: &Repository) -> Result<(SlotInfo, Zeroizing<String>)> {
    let key = new_key_file()?;
    // Before the slot is stored, so that no slot is ever without its words.
    let words = recovery_words(&key)?;
    let slot = repository.add_slot(&Credential::KeyFile(key), RECOVERY_LABEL)?;
    Ok((info(repository, slot, false)?, words))
}

/// Tries a key that words stood for: the id of the repository that it opens.
///
/// # Errors
/// [`Kind::WrongKey`] naming the repository's id, so that it can be compared with the paper; as opening one.
pub fn try_recovered(options: &OpenOptions, key: &Zeroizing<Vec<u8>>) -> Result<RepositoryId> {
    let storage = options.storage()?;
    let credential = Credential::KeyFile(key.clone());
    let opened = Repository::open(storage.clone(), &[credential], options.environment());
    opened.map(|repository| repository.id()).map_err(|error| {
        if error.kind() != Kind::WrongKey {
            return error;
        }
        let config = read_config_file(&*storage);
        let id = config.and_then(|file| {
            let (_, header, _) = RecordHeader::split(FileType::Config, &file, RECORD_BYTES_MAX)?;
            Ok(header.repository.hex())
        });
        Error::new(
            Kind::WrongKey,
            "the words are whole, but they open no key slot of this repository",
        )
        .subject(storage.describe())
        .hint(format!(
            "its id is {}: compare that with the paper; where it is the same, the slot of these words was removed",
            id.unwrap_or_default()
        ))
    })
}
