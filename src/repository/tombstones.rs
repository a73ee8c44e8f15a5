//! Tombstones: packs that are to go (`format-spec/session.md`, `sharing.md`).

use std::collections::HashSet;

use super::{Repository, Session};
use crate::crypto::random;
use crate::error::{Error, Kind, Result};
use crate::format::file::FileType;
use crate::format::records::Tombstone;
use crate::id::{PackId, RecordId};

/// Packs in one tombstone: well below what a record can hold.
const PACKS_MAX: usize = 50_000;

fn name_of(id: &RecordId) -> String {
    format!("tombstones/{}", id.hex())
}

impl Repository {
    pub(super) fn list_tombstones(&self) -> Result<Vec<RecordId>> {
        let name = |name: &str| RecordId::from_hex(name.strip_prefix("tombstones/")?);
        let mut ids: Vec<RecordId> = self
            .storage
            .list("tombstones")?
            .iter()
            .filter_map(|item| name(&item.name))
            .collect();
        ids.sort_unstable();
        Ok(ids)
    }

    /// All tombstones that stand.
    ///
    /// # Errors
    /// Whatever the storage says; [`Kind::Damage`] naming one that cannot be read.
    pub fn tombstones(&self) -> Result<Vec<Tombstone>> {
        self.read_tombstones(&self.list_tombstones()?)
    }

    /// Packs that tombstones name, whatever cannot be read left out.
    ///
    /// # Errors
    /// Whatever the storage says.
    pub fn tombstoned(&self) -> Result<HashSet<PackId>> {
        let mut packs = HashSet::new();
        for id in self.list_tombstones()? {
            match self.read_tombstone(&id) {
                Ok(tombstone) => packs.extend(tombstone.packs),
                Err(error)
                    if matches!(
                        error.kind(),
                        Kind::NotFound | Kind::Damage | Kind::Unsupported
                    ) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(packs)
    }

    pub(super) fn read_tombstones(&self, ids: &[RecordId]) -> Result<Vec<Tombstone>> {
        let mut tombstones = Vec::new();
        for id in ids {
            match self.read_tombstone(id) {
                Ok(tombstone) => tombstones.push(tombstone),
                // It has done its work and gone: no segment names its packs any more.
                Err(error) if error.kind() == Kind::NotFound => {}
                Err(error) => {
                    return Err(error.hint("`duramen repair` removes a tombstone that is damaged"));
                }
            }
        }
        Ok(tombstones)
    }

    fn read_tombstone(&self, id: &RecordId) -> Result<Tombstone> {
        let name = name_of(id);
        let tombstone: Tombstone = self.get_record(FileType::Tombstone, &name)?;
        tombstone.check()?;
        if tombstone.id != *id {
            return Err(Error::damage("speaks of another tombstone").subject(name));
        }
        Ok(tombstone)
    }

    /// Says that packs are to go: nobody builds on them from now on, and a sweep deletes them once everybody who may
    /// have has ended. What is needed of them *must* stand elsewhere, durably and named by a segment.
    ///
    /// # Errors
    /// Whatever the storage says, and [`Kind::Conflict`] where the session was expired.
    pub fn put_tombstones(&self, session: &Session, packs: &[PackId]) -> Result<()> {
        for packs in packs.chunks(PACKS_MAX) {
            let id = RecordId(random::array()?);
            let tombstone = Tombstone {
                id,
                session: session.id,
                at: self.environment.clock.now(),
                packs: packs.to_vec(),
                extensions: Vec::new(),
            };
            self.put_record(FileType::Tombstone, &name_of(&id), &tombstone)?;
        }
        Ok(())
    }

    /// Removes a tombstone. Its packs *must* be gone, and no segment may name them.
    pub(crate) fn remove_tombstone(&self, id: &RecordId) -> Result<()> {
        self.storage.delete(&name_of(id))
    }
}
