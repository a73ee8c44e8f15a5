//! What must be known and done about the small records that writers and prune share when one of them is damaged
//! (`format-spec/sharing.md`, chapter on repair).

use std::collections::{BTreeMap, HashSet};

use super::Repository;
use super::snapshots::snapshot_name;
use crate::crypto::random;
use crate::error::{Error, Kind, Result};
use crate::format::file::FileType;
use crate::format::records::{Session, SessionPurpose, Tombstone};
use crate::format::snapshot::Fate;
use crate::id::{PackId, RecordId, SessionId};

/// Packs that one tombstone names: more would not fit a record.
const TOMBSTONE_PACKS: usize = 100_000;

/// A session that has not ended, as its records show it.
#[derive(Debug)]
pub struct Peer {
    /// Its id.
    pub id: SessionId,
    /// What for; none where no record of it can be read.
    pub purpose: Option<SessionPurpose>,
}

/// The session that a stored name belongs to; none for a foreign file.
fn session_of(name: &str) -> Option<SessionId> {
    let (id, number) = name.strip_prefix("sessions/")?.split_once('.')?;
    let plain = number.len() == 10 && number.bytes().all(|digit| digit.is_ascii_digit());
    SessionId::from_hex(id).filter(|_| plain)
}

impl Repository {
    /// Sessions that have not ended.
    ///
    /// # Errors
    /// Whatever the storage says; a record that cannot be read is no error.
    pub fn peers(&self) -> Result<Vec<Peer>> {
        let mut peers: BTreeMap<SessionId, Option<SessionPurpose>> = BTreeMap::new();
        for item in self.storage.list("sessions")? {
            let Some(id) = session_of(&item.name) else {
                continue;
            };
            let purpose = peers.entry(id).or_default();
            if purpose.is_none() {
                *purpose = match self.get_record::<Session>(FileType::Session, &item.name) {
                    Ok(session) => Some(session.purpose),
                    Err(error) if matches!(error.kind(), Kind::Damage | Kind::Unsupported) => None,
                    // It was renewed or has ended since the listing.
                    Err(error) if error.kind() == Kind::NotFound => None,
                    Err(error) => return Err(error),
                };
            }
        }
        let mut open = Vec::new();
        for (id, purpose) in peers {
            if self.storage.size(&snapshot_name(&id))?.is_none() {
                open.push(Peer { id, purpose });
            }
        }
        Ok(open)
    }

    /// Expires a session: it can no longer commit, and nobody waits for it. One that still lives loses its work, no more.
    ///
    /// # Errors
    /// Whatever the storage says.
    pub fn expire(&self, id: SessionId) -> Result<()> {
        let at = self.environment.clock.now();
        let void = Fate::Void { session: id, at };
        // Whatever stands there first has ended the session, this void or its commit.
        self.put_record(FileType::Snapshot, &snapshot_name(&id), &void)?;
        let mut names: Vec<String> = self
            .storage
            .list("sessions")?
            .into_iter()
            .map(|item| item.name)
            .filter(|name| session_of(name) == Some(id))
            .collect();
        names.sort_unstable();
        names
            .iter()
            .rev()
            .try_for_each(|name| self.storage.delete(name))
    }

    /// Packs that tombstones name, and tombstones that cannot be read, by name.
    ///
    /// # Errors
    /// Whatever the storage says; what cannot be read because of damage is in the answer.
    pub fn tombstoned(&self) -> Result<(HashSet<PackId>, Vec<(String, Error)>)> {
        let (mut packs, mut broken) = (HashSet::new(), Vec::new());
        for id in self.list_tombstones()? {
            match self.read_tombstone(&id) {
                Ok(tombstone) => packs.extend(tombstone.packs),
                Err(error) if error.kind() == Kind::NotFound => {}
                Err(error) if matches!(error.kind(), Kind::Damage | Kind::Unsupported) => {
                    broken.push((format!("tombstones/{}", id.hex()), error));
                }
                Err(error) => return Err(error),
            }
        }
        Ok((packs, broken))
    }

    /// Says that `packs` are to go: the sweep deletes them, and rewrites the segments that name them, once every session
    /// that may rely on them has ended.
    ///
    /// # Errors
    /// Whatever the storage says.
    pub fn put_tombstone(&self, session: &super::Session, packs: &[PackId]) -> Result<()> {
        for packs in packs.chunks(TOMBSTONE_PACKS) {
            let id = RecordId(random::array()?);
            let tombstone = Tombstone {
                id,
                session: session.id,
                at: self.environment.clock.now(),
                packs: packs.to_vec(),
                extensions: Vec::new(),
            };
            let name = format!("tombstones/{}", id.hex());
            self.put_record(FileType::Tombstone, &name, &tombstone)?;
        }
        Ok(())
    }
}
