//! Random bytes from the operating system.

use zeroize::Zeroizing;

use super::Secret;
use crate::error::{Error, Kind, Result};

/// Fills `bytes`.
///
/// # Errors
/// Where the system has no randomness to give.
pub fn fill(bytes: &mut [u8]) -> Result<()> {
    getrandom::fill(bytes)
        .map_err(|error| Error::new(Kind::Failed, "the system gives no random bytes").cause(error))
}

/// `N` public random bytes (ids, salts, nonces).
///
/// # Errors
/// As [`fill`].
pub fn array<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    fill(&mut bytes)?;
    Ok(bytes)
}

/// A fresh secret.
///
/// # Errors
/// As [`fill`].
pub fn secret() -> Result<Secret> {
    let mut bytes = Zeroizing::new([0; 32]);
    fill(&mut *bytes)?;
    Ok(bytes)
}
