//! Making a repository.
//!
//! The config is put last and conditionally: until it is there, there is no repository, and of two that are made at
//! one place at once exactly one exists. What a killed or losing `init` left behind opens nothing and hurts nobody:
//! its slot belongs to another repository id.

use zeroize::Zeroizing;

use super::slots::{self, Credential, slot_name};
use super::{CONFIG, Environment, ring};
use crate::crypto::passphrase::Cost;
use crate::crypto::{random, wrap};
use crate::error::{Error, Kind, Result};
use crate::format::codec;
use crate::format::file::FileType;
use crate::format::keys::{Ring, RingSlot, SealRoot, SlotKind};
use crate::format::records::{Chunking, Config};
use crate::format::snapshot::Features;
use crate::id::{RepositoryId, SlotId};
use crate::limits::RECORD_BYTES_MAX;
use crate::seal::{Keys, seal_record};
use crate::storage::Storage;

/// Makes a repository in `storage` whose first slot `credential` opens.
///
/// # Errors
/// [`Kind::Exists`] where one is there, and whatever the storage says.
pub fn create(
    storage: &dyn Storage,
    credential: &Credential,
    environment: &Environment,
    chunking: Chunking,
) -> Result<RepositoryId> {
    chunking
        .check()
        .map_err(|error| Error::new(Kind::Usage, error.message().to_owned()))?;
    let taken = || {
        Error::new(Kind::Exists, "there is a repository here already")
            .subject(storage.describe())
            .hint("use it as it is, or choose another place")
    };
    if storage.size(CONFIG)?.is_some() {
        return Err(taken());
    }
    // Rings of an `init` that never ended would be in the way of the first generation.
    if !ring::generations(storage)?.is_empty() {
        return Err(Error::new(
            Kind::Exists,
            "there are the remains of a repository here, or another is being made just now",
        )
        .subject(storage.describe())
        .hint("if no other init is running here, remove the folder and try again"));
    }
    let repository = RepositoryId(random::array()?);
    let (private, authentication) = (random::secret()?, random::secret()?);
    let id = SlotId(random::array()?);
    let cost = match credential.kind() {
        SlotKind::Passphrase => Some(Cost::measured(&*environment.clock)?),
        SlotKind::KeyFile => None,
    };
    let slot = slots::make(&id, credential, cost, repository, &private, &authentication)?;
    let now = environment.clock.now();
    let ring = Ring {
        generation: 1,
        dedup_root: random::array()?,
        seal_roots: vec![SealRoot {
            epoch: 1,
            root: random::array()?,
        }],
        slots: vec![RingSlot {
            id,
            kind: credential.kind(),
            public: wrap::public_key(&private),
            created: now,
            label: "first".into(),
            host: environment.host.clone(),
            user: environment.user.clone(),
        }],
        extensions: Vec::new(),
    };
    storage.put_new(&slot_name(&id), &slot.encode())?;
    if !ring::put(storage, repository, &ring, &Zeroizing::new(*authentication))? {
        storage.delete(&slot_name(&id))?;
        return Err(taken());
    }
    let config = Config {
        repository,
        created: now,
        chunking,
        features: Features::default(),
        extensions: Vec::new(),
    };
    let keys = Keys::new(repository, &ring)?;
    let file = seal_record(
        &keys,
        FileType::Config,
        CONFIG,
        &codec::encode(&config)?,
        RECORD_BYTES_MAX,
    )?;
    if !storage.put_new(CONFIG, &file)? {
        return Err(taken());
    }
    Ok(repository)
}
