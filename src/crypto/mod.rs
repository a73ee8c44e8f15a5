//! Keys, and nothing that touches a file: random bytes, key derivation, sealing, passphrases, wrapping to a slot.
//!
//! The only room that asks the system for randomness. Keys are wiped when dropped.

pub mod aead;
pub mod derive;
pub mod passphrase;
pub mod random;
pub mod wrap;

use zeroize::Zeroizing;

/// 256 secret bits, wiped when dropped.
pub type Secret = Zeroizing<[u8; 32]>;
