//! Key slots: list, add, remove.
use super::open::Credential;
use crate::clock::Nanos;
use crate::error::Result;
use crate::id::SlotId;
use crate::repository::Repository;

/// One key slot, as `key list` shows it.
#[derive(Debug, Clone)]
pub struct SlotInfo {
    pub id: SlotId,
    /** "passphrase" or "key-file" */
    pub kind: &'static str,
    pub created: Nanos,
    pub label: String,
    pub host: String,
    pub user: String,
    /** opened this session */
    pub current: bool,
    /** Argon2id memory KiB, passes, lanes */
    pub kdf: Option<(u32, u32, u32)>,
    /** seconds, measured now, only when asked */
    pub kdf_seconds: Option<f64>,
}

/// All slots of the newest key ring.
pub fn list(_repository: &Repository, _measure: bool) -> Result<Vec<SlotInfo>> {
    unimplemented!()
}
/// Adds a slot.
pub fn add(_repository: &Repository, _credential: &Credential, _label: &str) -> Result<SlotInfo> {
    unimplemented!()
}
/// Removes a slot (id prefix). Refuses the last one, and the one in use unless `force`.
pub fn remove(_repository: &Repository, _slot: &str, _force: bool) -> Result<SlotInfo> {
    unimplemented!()
}
