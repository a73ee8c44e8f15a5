//! AES-256-GCM-SIV (RFC 8452), the only way anything is sealed.
//!
//! Nonces are random and stored; there is no counter that two clients could both use. A nonce that repeats by
//! chance tells that two messages are equal, no more. The cipher does not commit to its key, so a key slot carries
//! a key check of its own.

use aes_gcm_siv::aead::AeadInOut;
use aes_gcm_siv::{Aes256GcmSiv, KeyInit};

use super::{Secret, random};
use crate::error::{Error, Kind, Result};

/// Bytes of a nonce.
pub const NONCE: usize = 12;
/// Bytes of a tag.
pub const TAG: usize = 16;
/// Bytes that sealing adds where the nonce is stored with the message.
pub const OVERHEAD: usize = NONCE + TAG;

/// A key ready for use.
#[derive(Clone)]
pub struct SealKey(Aes256GcmSiv);

impl SealKey {
    /// Sets the key up.
    #[must_use]
    pub fn new(key: &Secret) -> Self {
        Self(Aes256GcmSiv::new((&**key).into()))
    }

    /// Seals `buffer[from..]` in place under `nonce` and appends the tag.
    ///
    /// # Errors
    /// Only beyond the cipher's length limits.
    pub fn seal_with(
        &self,
        nonce: &[u8; NONCE],
        aad: &[u8],
        buffer: &mut Vec<u8>,
        from: usize,
    ) -> Result<()> {
        let tag = self
            .0
            .encrypt_inout_detached(nonce.into(), aad, (&mut buffer[from..]).into())
            .map_err(|_| Error::new(Kind::Limit, "a message too long to seal"))?;
        buffer.extend_from_slice(&tag);
        Ok(())
    }

    /// `nonce | sealed | tag` of `plain`, with a fresh random nonce.
    ///
    /// # Errors
    /// Without randomness, or beyond the cipher's length limits.
    pub fn seal(&self, aad: &[u8], plain: &[u8]) -> Result<Vec<u8>> {
        let nonce = random::array::<NONCE>()?;
        let mut message = Vec::with_capacity(plain.len() + OVERHEAD);
        message.extend_from_slice(&nonce);
        message.extend_from_slice(plain);
        self.seal_with(&nonce, aad, &mut message, NONCE)?;
        Ok(message)
    }

    /// Opens `sealed | tag` under `nonce`.
    ///
    /// # Errors
    /// [`Kind::Damage`] where anything was changed; the caller names what.
    pub fn open_with(&self, nonce: &[u8; NONCE], aad: &[u8], sealed: &[u8]) -> Result<Vec<u8>> {
        let damaged = || {
            Error::damage("the seal is broken: the bytes, or what they are bound to, were changed")
        };
        let (body, tag) = sealed.split_last_chunk::<TAG>().ok_or_else(damaged)?;
        let mut plain = body.to_vec();
        self.0
            .decrypt_inout_detached(nonce.into(), aad, plain.as_mut_slice().into(), tag.into())
            .map_err(|_| damaged())?;
        Ok(plain)
    }

    /// Opens `nonce | sealed | tag`.
    ///
    /// # Errors
    /// As [`SealKey::open_with`].
    pub fn open(&self, aad: &[u8], message: &[u8]) -> Result<Vec<u8>> {
        let (nonce, sealed) = message
            .split_first_chunk::<NONCE>()
            .ok_or_else(|| Error::damage("too short to be sealed"))?;
        self.open_with(nonce, aad, sealed)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn any_flipped_bit_breaks_the_seal() {
        let key = SealKey::new(&Secret::new([7; 32]));
        let message = key.seal(b"about", b"plain text").unwrap();
        assert_eq!(key.open(b"about", &message).unwrap(), b"plain text");
        for bit in 0..message.len() * 8 {
            let mut changed = message.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(
                key.open(b"about", &changed).unwrap_err().kind(),
                Kind::Damage,
                "bit {bit}"
            );
        }
        assert!(key.open(b"abouT", &message).is_err());
        for short in 0..message.len() {
            assert!(key.open(b"about", &message[..short]).is_err());
        }
    }

    /// RFC 8452 appendix C.2, the eleventh AES-256 case shape: empty plaintext, empty aad.
    #[test]
    fn agrees_with_the_rfc() {
        let mut key = [0; 32];
        key[0] = 1;
        let mut nonce = [0; NONCE];
        nonce[0] = 3;
        let mut sealed = Vec::new();
        SealKey::new(&Secret::new(key))
            .seal_with(&nonce, b"", &mut sealed, 0)
            .unwrap();
        assert_eq!(
            crate::id::to_hex(&sealed),
            "07f5f4169bbf55a8400cd47ea6fd400f"
        );
    }
}
