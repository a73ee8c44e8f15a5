//! Wrapping a key to a slot's public key, so that a new key ring can be handed to every slot without its passphrase.
//!
//! X25519 (RFC 7748) with a fresh key pair for each wrap; the wrapping key is derived from the shared secret and
//! everything public about the wrap, is used once, and so needs no nonce of its own.

use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

use super::aead::{NONCE, SealKey, TAG};
use super::derive::Purpose;
use super::{Secret, random};
use crate::error::{Error, Result};

/// Bytes of a wrapped key: the fresh public key, then the sealed key with its tag.
pub const WRAPPED: usize = 32 + 32 + TAG;

/// The public half of a slot's private key.
#[must_use]
pub fn public_key(private: &Secret) -> [u8; 32] {
    PublicKey::from(&StaticSecret::from(**private)).to_bytes()
}

fn wrap_key(shared: &[u8; 32], fresh: &[u8; 32], to: &[u8; 32], about: &[u8]) -> SealKey {
    SealKey::new(&Purpose::RingWrap.derive(&[shared, fresh, to, about]))
}

/// Wraps `key` to the slot whose public key is `to`; `about` binds repository, generation and slot.
///
/// # Errors
/// Without randomness, or for a public key that no private key has.
pub fn wrap(key: &Secret, to: &[u8; 32], about: &[u8]) -> Result<[u8; WRAPPED]> {
    let private = StaticSecret::from(*random::secret()?);
    let fresh = PublicKey::from(&private).to_bytes();
    let shared = private.diffie_hellman(&PublicKey::from(*to));
    if !shared.was_contributory() {
        return Err(Error::damage("a key slot with an impossible public key"));
    }
    let mut message = Vec::with_capacity(WRAPPED);
    message.extend_from_slice(&fresh);
    message.extend_from_slice(&**key);
    wrap_key(shared.as_bytes(), &fresh, to, about).seal_with(&[0; NONCE], b"", &mut message, 32)?;
    message
        .try_into()
        .map_err(|_| Error::damage("a wrapped key of a wrong length"))
}

/// Unwraps a key with the slot's private key.
///
/// # Errors
/// [`crate::error::Kind::Damage`] where it was not wrapped to this slot or was changed.
pub fn unwrap(wrapped: &[u8; WRAPPED], private: &Secret, about: &[u8]) -> Result<Secret> {
    let damaged = || Error::damage("a key ring that is not wrapped to this slot");
    let (fresh, sealed) = wrapped.split_first_chunk::<32>().ok_or_else(damaged)?;
    let shared = StaticSecret::from(**private).diffie_hellman(&PublicKey::from(*fresh));
    if !shared.was_contributory() {
        return Err(damaged());
    }
    let plain = Zeroizing::new(
        wrap_key(shared.as_bytes(), fresh, &public_key(private), about).open_with(
            &[0; NONCE],
            b"",
            sealed,
        )?,
    );
    let key: [u8; 32] = plain.as_slice().try_into().map_err(|_| damaged())?;
    Ok(Zeroizing::new(key))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_the_slot_opens_it_and_only_as_it_was_bound() {
        let (slot, other, key) = (
            random::secret().unwrap(),
            random::secret().unwrap(),
            random::secret().unwrap(),
        );
        let wrapped = wrap(&key, &public_key(&slot), b"ring 1").unwrap();
        assert_eq!(unwrap(&wrapped, &slot, b"ring 1").unwrap(), key);
        assert!(unwrap(&wrapped, &other, b"ring 1").is_err());
        assert!(unwrap(&wrapped, &slot, b"ring 2").is_err());
        for byte in 0..WRAPPED {
            let mut changed = wrapped;
            changed[byte] ^= 1;
            // The top bit of an X25519 public key is ignored by the curve but bound by the derivation.
            assert!(unwrap(&changed, &slot, b"ring 1").is_err(), "byte {byte}");
        }
    }
}
