//! Key slots: list, add, remove.

use super::open::Credential;
use crate::clock::Nanos;
use crate::error::{Error, Kind, Result};
use crate::id::SlotId;
use crate::repository::{Repository, RingSlot, SlotCost};

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
