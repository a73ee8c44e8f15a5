//! Key rings: the keys themselves, wrapped to every slot, in generations.
//!
//! A new generation is put conditionally, so of two people who change the slots at once one is told to look again.
//! The store cannot make one up: each carries a mac under a key that only slots hold.

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::slots::Unlocked;
use crate::crypto::aead::SealKey;
use crate::crypto::derive::Purpose;
use crate::crypto::{Secret, random, wrap};
use crate::error::{Error, Kind, Result};
use crate::format::codec;
use crate::format::keys::{Ring, RingFile};
use crate::id::{RepositoryId, SlotId};
use crate::limits::RECORD_BYTES_MAX;
use crate::storage::Storage;

pub fn ring_name(generation: u64) -> String {
    format!("keyring/{generation:010}")
}

fn about(repository: RepositoryId, generation: u64, slot: &SlotId) -> Vec<u8> {
    [&repository.0[..], &generation.to_le_bytes(), &slot.0].concat()
}

fn mac(authentication: &Secret, covered: &[u8]) -> blake3::Hash {
    blake3::keyed_hash(&Purpose::RingMac.derive(&[&**authentication]), covered)
}

/// Wraps a ring to its slots and stores it; false where somebody stored that generation first.
///
/// # Errors
/// Without randomness, or whatever the storage says.
pub fn put(
    storage: &dyn Storage,
    repository: RepositoryId,
    ring: &Ring,
    authentication: &Secret,
) -> Result<bool> {
    ring.check()?;
    let ring_key = random::secret()?;
    let wraps = ring
        .slots
        .iter()
        .map(|slot| {
            Ok((
                slot.id,
                wrap::wrap(
                    &ring_key,
                    &slot.public,
                    &about(repository, ring.generation, &slot.id),
                )?,
            ))
        })
        .collect::<Result<Vec<_>>>()?;
    let mut file = RingFile {
        repository,
        generation: ring.generation,
        wraps,
        sealed: Vec::new(),
        mac: [0; 32],
    };
    let body = Zeroizing::new(codec::encode(ring)?);
    let sealed_len = (body.len() + crate::crypto::aead::OVERHEAD) as u32;
    let header = file.header(sealed_len);
    file.sealed = SealKey::new(&Purpose::RingBody.derive(&[&*ring_key])).seal(&header, &body)?;
    file.mac = *mac(authentication, &file.covered()).as_bytes();
    storage.put_new(&ring_name(ring.generation), &file.encode())
}

/// Generations in the storage, ascending.
pub fn generations(storage: &dyn Storage) -> Result<Vec<u64>> {
    let number = |name: &str| {
        let digits = name.strip_prefix("keyring/")?;
        (digits.len() == 10)
            .then(|| digits.parse::<u64>().ok())
            .flatten()
    };
    let mut generations: Vec<u64> = storage
        .list("keyring")?
        .iter()
        .filter_map(|item| number(&item.name))
        .collect();
    generations.sort_unstable();
    Ok(generations)
}

/// The newest ring, opened with a slot's private key.
///
/// # Errors
/// [`Kind::WrongKey`] where the slot has been removed, [`Kind::Damage`] naming the ring.
pub fn newest(
    storage: &dyn Storage,
    repository: RepositoryId,
    unlocked: &Unlocked,
) -> Result<Ring> {
    let generation = *generations(storage)?.last().ok_or_else(|| {
        Error::damage("the repository has no key ring")
            .subject(storage.describe())
            .hint("without a file in its folder keyring/ nothing can be read: bring that folder back from a copy")
    })?;
    let name = ring_name(generation);
    let open = || {
        let file = RingFile::decode(&storage.read(&name, RECORD_BYTES_MAX as u64)?)?;
        if file.repository != repository || file.generation != generation {
            return Err(Error::damage(
                "a key ring of another repository or generation",
            ));
        }
        if !bool::from(
            mac(&unlocked.authentication, &file.covered())
                .as_bytes()
                .ct_eq(&file.mac),
        ) {
            return Err(Error::damage(
                "a key ring that no owner of this repository made",
            ));
        }
        let (_, wrapped) = file
            .wraps
            .iter()
            .find(|(slot, _)| *slot == unlocked.slot)
            .ok_or_else(|| {
                Error::new(Kind::WrongKey, "this key was removed from the repository")
                    .hint("use another key")
            })?;
        let ring_key = wrap::unwrap(
            wrapped,
            &unlocked.private,
            &about(repository, generation, &unlocked.slot),
        )?;
        let key = SealKey::new(&Purpose::RingBody.derive(&[&*ring_key]));
        let body = Zeroizing::new(key.open(&file.header(file.sealed.len() as u32), &file.sealed)?);
        let ring: Ring = codec::decode(&body, RECORD_BYTES_MAX, "key ring")?;
        ring.check()?;
        let wrapped: Vec<SlotId> = file.wraps.iter().map(|(slot, _)| *slot).collect();
        let listed: Vec<SlotId> = ring.slots.iter().map(|slot| slot.id).collect();
        if ring.generation != generation || wrapped != listed {
            return Err(Error::damage(
                "a key ring of another generation, or wrapped to other slots than it lists",
            ));
        }
        let own = ring.slots.iter().find(|slot| slot.id == unlocked.slot);
        if own.is_none_or(|slot| slot.public != wrap::public_key(&unlocked.private)) {
            return Err(Error::damage(
                "a key ring that lists another public key for this slot",
            ));
        }
        Ok(ring)
    };
    open().map_err(|error| error.or_subject(|| name.clone()))
}
