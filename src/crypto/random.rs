//! STUB, replaced by the real one.
use crate::error::{Error, Kind, Result};

/// Fills `bytes` with randomness of the operating system.
pub fn fill(bytes: &mut [u8]) -> Result<()> {
    getrandom::fill(bytes).map_err(|error| Error::new(Kind::Failed, "no randomness").cause(error))
}
