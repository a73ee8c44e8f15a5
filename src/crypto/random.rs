//! Random bytes from the operating system.

use zeroize::Zeroizing;

use super::Secret;
use crate::error::{Error, Kind, Result};

/// Fills `bytes`.
///
/// # Errors
/// Where the system has no randomness to give.
pub fn fill(bytes: &mut [u8]) -> Result<()> {
    #[cfg(test)]
    if seeded::fill(bytes) {
        return Ok(());
    }
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

/// Lets a thread that is begun with the answer draw from where this one draws: from the system.
#[cfg(not(test))]
pub fn carried<T>(work: impl FnOnce() -> T) -> impl FnOnce() -> T {
    work
}

#[cfg(test)]
pub use seeded::{carried, seed, unseed};

/// For simulations, which must come out the same for the same seed: a thread that was given one draws from it.
#[cfg(test)]
mod seeded {
    use std::cell::RefCell;

    thread_local! {
        static STREAM: RefCell<Option<blake3::OutputReader>> = const { RefCell::new(None) };
    }

    fn stream(seed: u64) -> blake3::OutputReader {
        blake3::Hasher::new()
            .update(&seed.to_le_bytes())
            .finalize_xof()
    }

    /// From now on this thread draws from `seed`.
    pub fn seed(seed: u64) {
        STREAM.with_borrow_mut(|held| *held = Some(stream(seed)));
    }

    /// From now on this thread draws from the system again.
    pub fn unseed() {
        STREAM.with_borrow_mut(|held| *held = None);
    }

    pub(super) fn fill(bytes: &mut [u8]) -> bool {
        STREAM.with_borrow_mut(|held| match held {
            Some(stream) => {
                stream.fill(bytes);
                true
            }
            None => false,
        })
    }

    /// The thread that runs `work` draws from a seed of its own where this one has one.
    pub fn carried<T>(work: impl FnOnce() -> T) -> impl FnOnce() -> T {
        let mut bytes = [0; 8];
        let drawn = fill(&mut bytes).then(|| u64::from_le_bytes(bytes));
        move || {
            if let Some(drawn) = drawn {
                seed(drawn);
            }
            work()
        }
    }
}
