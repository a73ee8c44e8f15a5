//! From what a person types to a key: Argon2id (RFC 9106), with a cost that is written in the slot.
//!
//! The slot lies in a storage that is not trusted, so its cost is held between a floor (a cheap slot would let the
//! passphrase be guessed once it is used there) and a ceiling (a dear one would let the store stop every client).

use argon2::{Algorithm, Argon2, Params, Version};
use zeroize::Zeroizing;

use super::Secret;
use crate::clock::Clock;
use crate::error::{Error, Kind, Result};

/// Argon2id's cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// Memory in KiB.
    pub memory_kib: u32,
    /// Passes over it.
    pub passes: u32,
    /// Lanes.
    pub lanes: u32,
}

/// Memory of a new slot: 64 MiB.
const MEMORY_KIB: u32 = 64 << 10;
/// A new slot takes about so many seconds to open on the machine that made it.
const SECONDS: f64 = 0.5;
/// No slot is cheaper: OWASP's smallest setting.
pub const FLOOR: Cost = Cost {
    memory_kib: 19 << 10,
    passes: 2,
    lanes: 1,
};
/// No slot is dearer.
pub const CEILING: Cost = Cost {
    memory_kib: 1 << 20,
    passes: 64,
    lanes: 16,
};

impl Cost {
    /// A cost of about half a second here, with 64 MiB.
    ///
    /// # Errors
    /// Where 64 MiB cannot be had.
    pub fn measured(clock: &dyn Clock) -> Result<Cost> {
        let probe = Cost {
            memory_kib: MEMORY_KIB,
            passes: FLOOR.passes,
            lanes: 1,
        };
        let start = clock.elapsed();
        stretch(b"probe", &[0; 32], probe)?;
        let second_per_pass = (clock.elapsed() - start).as_secs_f64() / f64::from(probe.passes);
        let passes = (SECONDS / second_per_pass.max(0.001))
            .round()
            .clamp(3.0, 16.0);
        Ok(Cost {
            passes: passes as u32,
            ..probe
        })
    }

    /// Refuses what lies outside floor and ceiling.
    ///
    /// # Errors
    /// [`Kind::Damage`].
    pub fn check(self) -> Result<()> {
        let between = |value: u32, floor: u32, ceiling: u32| (floor..=ceiling).contains(&value);
        if between(self.memory_kib, FLOOR.memory_kib, CEILING.memory_kib)
            && between(self.passes, FLOOR.passes, CEILING.passes)
            && between(self.lanes, FLOOR.lanes, CEILING.lanes)
        {
            return Ok(());
        }
        Err(Error::damage(format!(
            "a key slot asks for an Argon2id cost outside the limits ({self:?})"
        )))
    }
}

/// Stretches a passphrase.
///
/// # Errors
/// Where the memory cannot be had.
pub fn stretch(passphrase: &[u8], salt: &[u8; 32], cost: Cost) -> Result<Secret> {
    let failed = |error: argon2::Error| {
        Error::new(
            Kind::Failed,
            format!("cannot stretch the passphrase ({error})"),
        )
    };
    let params = Params::new(cost.memory_kib, cost.passes, cost.lanes, Some(32)).map_err(failed)?;
    let mut key = Zeroizing::new([0; 32]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(passphrase, salt, &mut *key)
        .map_err(failed)?;
    Ok(key)
}
