//! Changing the key slots: each change is a new generation of the key ring, put conditionally.
//!
//! A slot is added file first, ring second, and removed ring first, file second: at no moment does the newest ring
//! name a slot that cannot be opened.

use zeroize::Zeroizing;

use super::slots::{self, Credential, slot_name};
use super::{Repository, ring};
use crate::crypto::passphrase::{Cost, stretch};
use crate::crypto::{random, wrap};
use crate::error::{Error, Kind, Result};
use crate::format::keys::{Ring, RingSlot, SLOTS_MAX, SealRoot, SlotKind};
use crate::id::SlotId;

/// How often a change is tried again when others change the slots at the same time.
const TRIES: usize = 20;

/// What opening a slot costs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SlotCost {
    /// Argon2id memory in KiB, passes, lanes.
    pub argon2id: (u32, u32, u32),
    /// Seconds that it takes here, where it was measured.
    pub seconds: Option<f64>,
}

impl Repository {
    /// The slot that this process opened.
    #[must_use]
    pub fn current_slot(&self) -> SlotId {
        self.unlocked.slot
    }

    pub(super) fn newest_ring(&self) -> Result<Ring> {
        ring::newest(&*self.storage, self.id(), &self.unlocked)
    }

    /// All slots of the newest ring.
    ///
    /// # Errors
    /// [`Kind::Damage`], or whatever the storage says.
    pub fn slots(&self) -> Result<Vec<RingSlot>> {
        Ok(self.newest_ring()?.slots.clone())
    }

    /// What opening a passphrase slot costs; none for a key file.
    ///
    /// # Errors
    /// [`Kind::Damage`], or whatever the storage says.
    pub fn slot_cost(&self, id: &SlotId, measure: bool) -> Result<Option<SlotCost>> {
        let slot = slots::read(&*self.storage, id)?;
        if slot.kind != SlotKind::Passphrase {
            return Ok(None);
        }
        let [memory_kib, passes, lanes] = slot.cost;
        let cost = Cost {
            memory_kib,
            passes,
            lanes,
        };
        cost.check().map_err(|error| error.subject(slot_name(id)))?;
        let clock = &self.environment.clock;
        let start = clock.elapsed();
        if measure {
            stretch(b"measure", &slot.salt, cost)?;
        }
        let seconds = measure.then(|| (clock.elapsed() - start).as_secs_f64());
        Ok(Some(SlotCost {
            argon2id: (memory_kib, passes, lanes),
            seconds,
        }))
    }

    /// Adds a slot that `credential` opens.
    ///
    /// # Errors
    /// [`Kind::Limit`] beyond 1024 slots, [`Kind::Conflict`] where others keep changing them, and whatever the
    /// storage says.
    pub fn add_slot(&self, credential: &Credential, label: &str) -> Result<RingSlot> {
        self.config.check_write()?;
        let (private, id) = (random::secret()?, SlotId(random::array()?));
        let cost = match credential.kind() {
            SlotKind::Passphrase => Some(Cost::measured(&*self.environment.clock)?),
            SlotKind::KeyFile => None,
        };
        let slot = slots::make(
            &id,
            credential,
            cost,
            self.id(),
            &private,
            &self.unlocked.authentication,
        )?;
        let added = RingSlot {
            id,
            kind: credential.kind(),
            public: wrap::public_key(&private),
            created: self.environment.clock.now(),
            label: label.to_owned(),
            host: self.environment.host.clone(),
            user: self.environment.user.clone(),
        };
        self.storage.put_new(&slot_name(&id), &slot.encode())?;
        let changed = self.change_ring(|ring| {
            if ring.slots.len() >= SLOTS_MAX {
                return Err(Error::new(
                    Kind::Limit,
                    format!("a repository has at most {SLOTS_MAX} keys"),
                ));
            }
            ring.slots.push(added.clone());
            ring.slots.sort_unstable_by_key(|slot| slot.id);
            Ok(())
        });
        if let Err(error) = changed {
            // Only where the ring certainly does not name it: a put that was not answered may have arrived.
            if matches!(error.kind(), Kind::Limit | Kind::Conflict) {
                let _ = self.storage.delete(&slot_name(&id));
            }
            return Err(error);
        }
        Ok(added)
    }

    /// Removes a slot; what is written from now on is sealed under a root that its holder never had.
    ///
    /// # Errors
    /// [`Kind::NotFound`], [`Kind::Usage`] for the last slot, [`Kind::Conflict`], and whatever the storage says.
    pub fn remove_slot(&self, id: &SlotId) -> Result<RingSlot> {
        self.config.check_write()?;
        let mut removed = None;
        self.change_ring(|ring| {
            let at = ring.slots.iter().position(|slot| slot.id == *id);
            let at = at.ok_or_else(|| {
                Error::new(Kind::NotFound, "there is no such key").subject(id.short())
            })?;
            if ring.slots.len() == 1 {
                return Err(Error::new(
                    Kind::Usage,
                    "this is the last key: without it nobody could read anything",
                )
                .subject(id.short())
                .hint("add another with `duramen key add` first"));
            }
            removed = Some(ring.slots.remove(at));
            new_seal_root(ring).map(drop)
        })?;
        self.storage.delete(&slot_name(id))?;
        removed.ok_or_else(|| Error::new(Kind::Failed, "nothing was removed"))
    }

    /// Puts `credential` in the place of the slot that this process opened: the new slot stands before the old one
    /// goes, so whatever stops it, one of the two opens the repository.
    ///
    /// # Errors
    /// [`Kind::Usage`] where the slot's kind is another, and as [`Repository::add_slot`].
    pub fn replace_slot(&self, credential: &Credential) -> Result<RingSlot> {
        let current = self.current_slot();
        let slots = self.slots()?;
        let old = slots
            .iter()
            .find(|slot| slot.id == current)
            .ok_or_else(|| {
                Error::new(Kind::NotFound, "there is no such key").subject(current.short())
            })?;
        if old.kind != credential.kind() {
            return Err(Error::new(
                Kind::Usage,
                format!(
                    "the repository was opened by a {}, not by a {}",
                    old.kind.word(),
                    credential.kind().word()
                ),
            )
            .subject(current.short())
            .hint("open it with the passphrase that is to be changed, or use `duramen key add` and `duramen key remove`"));
        }
        let added = self.add_slot(credential, &old.label)?;
        match self.remove_slot(&current) {
            // Somebody else removed it meanwhile.
            Err(error) if error.kind() == Kind::NotFound => Ok(added),
            removed => removed.map(|_| added),
        }
    }

    /// Makes a new generation of the key ring with a new sealing root, wrapped to all slots; returns its epoch. Who
    /// opens the repository from now on seals under it. Chunk ids and cuts stay, so nothing is stored twice.
    ///
    /// # Errors
    /// [`Kind::Conflict`] where others keep changing the keys, and whatever the storage says.
    pub fn rotate(&self) -> Result<u32> {
        self.config.check_write()?;
        let mut epoch = 0;
        self.change_ring(|ring| {
            epoch = new_seal_root(ring)?;
            Ok(())
        })?;
        Ok(epoch)
    }

    fn change_ring(&self, mut change: impl FnMut(&mut Ring) -> Result<()>) -> Result<()> {
        for _ in 0..TRIES {
            let mut ring = self.newest_ring()?;
            change(&mut ring)?;
            ring.generation += 1;
            let authentication = Zeroizing::new(*self.unlocked.authentication);
            if ring::put(&*self.storage, self.id(), &ring, &authentication)? {
                return Ok(());
            }
        }
        Err(Error::new(
            Kind::Conflict,
            "others keep changing the keys at the same time",
        )
        .hint("try again"))
    }
}

fn new_seal_root(ring: &mut Ring) -> Result<u32> {
    let newest = ring.seal_roots.last().map_or(0, |root| root.epoch);
    let epoch = newest
        .checked_add(1)
        .ok_or_else(|| Error::new(Kind::Limit, "no more sealing keys can be numbered"))?;
    ring.seal_roots.push(SealRoot {
        epoch,
        root: random::array()?,
    });
    Ok(epoch)
}
