//! Packs: frames laid behind each other, a sealed directory, and the hash that is the file's name.
//!
//! A pack is streamed to the storage as its frames come, so its 32 MiB are never in memory; its name is known only
//! when the last byte is hashed. The directory stands in the pack and, entry for entry, in a segment: either can be
//! made again from the other.

mod reader;
mod writer;

pub use reader::{OpenedPack, open_pack, read_directory};
pub use writer::{FinishedPack, PackWriter};

use crate::error::{Error, Result};
use crate::id::PackId;

/// Where a pack lies: `packs/<first two digits>/<id>`.
#[must_use]
pub fn pack_name(id: &PackId) -> String {
    let hex = id.hex();
    format!("packs/{}/{hex}", &hex[..2])
}

/// The pack that a stored name stands for; none for a foreign file.
#[must_use]
pub fn pack_id(name: &str) -> Option<PackId> {
    let (folder, hex) = name.strip_prefix("packs/")?.split_once('/')?;
    let id = PackId::from_hex(hex)?;
    (folder == &hex[..2]).then_some(id)
}

fn named(error: Error, id: &PackId) -> Error {
    error.or_subject(|| pack_name(id))
}

/// Reads with errors that name the pack.
fn about<T>(id: &PackId, result: Result<T>) -> Result<T> {
    result.map_err(|error| named(error, id))
}
