//! Files without a name, for what is too much for memory: nobody else finds them, and they go with whoever holds them.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::crypto::random;
use crate::error::{Error, Result};
use crate::id::to_hex;

/// A file in `folder` that goes with whoever holds it.
///
/// # Errors
/// Whatever the system says.
pub fn nameless(folder: &Path) -> Result<File> {
    // A name that the index cache clears away too, should we die between the two steps.
    let path = folder.join(format!("{}.tmp", to_hex(&random::array::<8>()?)));
    let io = |error| Error::io("create", &path, error);
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)
        .map_err(io)?;
    std::fs::remove_file(&path).map_err(io)?;
    Ok(file)
}
