//! Snapshots as records: listing, reading, committing.

use std::collections::{HashMap, HashSet};

use super::Repository;
use super::Rule;
use super::annotations::{Facts, Standing, annotation_of};
use crate::clock::Nanos;
use crate::error::{Error, Kind, Result};
use crate::format::codec;
use crate::format::file::FileType;
use crate::format::records::{Annotation, Session, Tombstone};
use crate::format::snapshot::{Fate, Features, Snapshot};
use crate::id::{PackId, RecordId, RepositoryId, SnapshotId};
use crate::limits::RECORD_BYTES_MAX;
use crate::pack::pack_id;
use crate::seal::open_record;

/// BLAKE3 over the sorted names of the snapshots and annotations that a writer saw when it began.
pub type SeenDigest = [u8; 32];

/// Where a snapshot lies.
#[must_use]
pub fn snapshot_name(id: &SnapshotId) -> String {
    format!("snapshots/{}", id.hex())
}

fn snapshot_of(name: &str) -> Option<SnapshotId> {
    SnapshotId::from_hex(name.strip_prefix("snapshots/")?)
}

impl Repository {
    /// What `snapshots/<id>` holds: a commit, or the void that somebody put before its writer could.
    ///
    /// # Errors
    /// `NotFound`, [`Kind::Damage`] or `Unsupported`, naming the file.
    pub fn fate(&self, id: &SnapshotId) -> Result<Fate> {
        let name = snapshot_name(id);
        let file = self.storage.read(&name, RECORD_BYTES_MAX as u64)?;
        let body = open_record(
            &self.keys,
            FileType::Snapshot,
            &name,
            &file,
            RECORD_BYTES_MAX,
        )?;
        let fate: Fate = codec::decode(&body, RECORD_BYTES_MAX, &name).map_err(|error| {
            // `Committed` is variant 0; its first fields are readable whatever comes behind them.
            let prefix = codec::decode_prefix::<(u8, SnapshotId, RepositoryId, Features)>(&body);
            let lacking = prefix
                .and_then(|(_, _, _, features)| features.refuse_read("read this snapshot").err());
            lacking
                .unwrap_or_else(|| super::newer(error))
                .or_subject(|| name.clone())
        })?;
        let named = match &fate {
            Fate::Committed(snapshot) => {
                if snapshot.repository != self.id() {
                    return Err(Error::damage("belongs to another repository").subject(name));
                }
                snapshot
                    .check()
                    .map_err(|error| error.or_subject(|| name.clone()))?;
                snapshot.id
            }
            Fate::Void { session, .. } => *session,
        };
        if named != *id {
            return Err(Error::damage("speaks of another snapshot").subject(name));
        }
        Ok(fate)
    }

    /// Names in `snapshots/`, sorted; voids among them.
    ///
    /// # Errors
    /// Whatever the storage says.
    pub fn snapshot_ids(&self) -> Result<Vec<SnapshotId>> {
        let mut ids: Vec<SnapshotId> = self
            .storage
            .list("snapshots")?
            .iter()
            .filter_map(|item| snapshot_of(&item.name))
            .collect();
        ids.sort_unstable();
        Ok(ids)
    }

    /// When each snapshot was put, by the storage's clock, where the storage says so.
    ///
    /// # Errors
    /// Whatever the storage says.
    pub fn snapshot_stored(&self) -> Result<HashMap<SnapshotId, Nanos>> {
        let items = self.storage.list("snapshots")?;
        let stored = items
            .iter()
            .filter_map(|item| Some((snapshot_of(&item.name)?, item.modified?)));
        Ok(stored.collect())
    }

    /// All committed snapshots, oldest first; a record that cannot be read is handed to `broken` and left out.
    ///
    /// # Errors
    /// Whatever the storage says, or `broken` returns.
    pub fn snapshots_or(
        &self,
        broken: &mut dyn FnMut(SnapshotId, Error) -> Result<()>,
    ) -> Result<Vec<Snapshot>> {
        let mut snapshots = Vec::new();
        for id in self.snapshot_ids()? {
            match self.fate(&id) {
                Ok(Fate::Committed(snapshot)) => snapshots.push(*snapshot),
                Ok(Fate::Void { .. }) => {}
                Err(error) if error.kind() == Kind::NotFound => {}
                Err(error) => broken(id, error)?,
            }
        }
        snapshots.sort_by_key(|snapshot| (snapshot.time, snapshot.started, snapshot.id));
        Ok(snapshots)
    }

    /// Committed snapshots that have not gone, oldest first, with what annotations say of each; a record that cannot be
    /// read is handed to `broken` and left out.
    ///
    /// # Errors
    /// Whatever the storage says, or `broken` returns.
    pub fn standing(
        &self,
        broken: &mut dyn FnMut(SnapshotId, Error) -> Result<()>,
    ) -> Result<Vec<(Snapshot, Facts)>> {
        let mut failed = Vec::new();
        let snapshots = self.snapshots_or(&mut |id, error| {
            failed.push((id, error));
            Ok(())
        })?;
        let annotations = self.annotations()?;
        let gone = |id: &SnapshotId| annotations.of(id).standing == Standing::Gone;
        for (id, error) in failed {
            // Nobody misses the record of one that has gone.
            if !gone(&id) {
                broken(id, error)?;
            }
        }
        Ok(snapshots
            .into_iter()
            .filter(|snapshot| !gone(&snapshot.id))
            .map(|snapshot| {
                let facts = annotations.of(&snapshot.id);
                (snapshot, facts)
            })
            .collect())
    }

    /// All committed snapshots, oldest first; forgotten and gone ones among them.
    ///
    /// # Errors
    /// Whatever the storage says; [`Kind::Damage`] naming the first record that cannot be read.
    pub fn snapshots(&self) -> Result<Vec<Snapshot>> {
        self.snapshots_or(&mut |_, error| Err(error))
    }

    /// One committed snapshot.
    ///
    /// # Errors
    /// `NotFound`, [`Kind::Damage`] or `Unsupported`.
    pub fn snapshot(&self, id: &SnapshotId) -> Result<Snapshot> {
        match self.fate(id)? {
            Fate::Committed(snapshot) => Ok(*snapshot),
            Fate::Void { .. } => Err(Error::new(
                Kind::NotFound,
                "this snapshot was never committed",
            )
            .subject(id.short())),
        }
    }

    /// Sessions, tombstones and annotations that cannot be read, by name: any of them would be in every writer's way.
    ///
    /// # Errors
    /// Where the storage cannot be listed.
    pub fn unreadable_records(&self) -> Result<Vec<(String, Error)>> {
        let mut broken = Vec::new();
        for (folder, file_type) in [
            ("sessions", FileType::Session),
            ("tombstones", FileType::Tombstone),
            ("annotations", FileType::Annotation),
        ] {
            for item in self.storage.list(folder)? {
                // Files that are not ours are left alone.
                let last = item.name.rsplit('/').next().unwrap_or_default();
                if last.get(..32).and_then(RecordId::from_hex).is_none() {
                    continue;
                }
                let read = match file_type {
                    FileType::Session => self
                        .get_record::<Session>(file_type, &item.name)
                        .and_then(|it| it.check()),
                    FileType::Tombstone => self
                        .get_record::<Tombstone>(file_type, &item.name)
                        .and_then(|it| it.check()),
                    _ => self
                        .get_record::<Annotation>(file_type, &item.name)
                        .and_then(|it| it.check()),
                };
                match read {
                    Err(error) if error.kind() != Kind::NotFound => broken.push((item.name, error)),
                    _ => {}
                }
            }
        }
        Ok(broken)
    }

    /// Digest of the snapshots and annotations that the storage lists now.
    ///
    /// # Errors
    /// Whatever the storage says.
    pub fn seen(&self) -> Result<SeenDigest> {
        let mut names: Vec<String> = Vec::new();
        for folder in ["snapshots", "annotations"] {
            let ours = |name: &str| snapshot_of(name).is_some() || annotation_of(name).is_some();
            names.extend(
                self.storage
                    .list(folder)?
                    .into_iter()
                    .map(|item| item.name)
                    .filter(|name| ours(name)),
            );
        }
        names.sort_unstable();
        let mut hasher = blake3::Hasher::new();
        for name in names {
            hasher.update(name.as_bytes());
            hasher.update(b"\n");
        }
        Ok(*hasher.finalize().as_bytes())
    }

    /// Commits: the one conditional put that makes a point in time. Everything it refers to must be durable before;
    /// `relied` are packs of others that look-ups found. Returns the bytes of the record.
    ///
    /// # Errors
    /// [`Kind::Conflict`] where the session was expired or a pack that was relied on has gone: nothing was
    /// committed, and the snapshot must be taken again.
    pub fn commit(
        &self,
        session: &super::Session,
        snapshot: &Snapshot,
        relied: &HashSet<PackId>,
    ) -> Result<u64> {
        let again = |what: &str| {
            Error::new(Kind::Conflict, what)
                .hint("run the same command again: what was stored is used again")
        };
        if !relied.is_empty() && self.keeps(Rule::Relied) {
            let standing: HashSet<PackId> = self
                .storage
                .list("packs")?
                .iter()
                .filter_map(|item| pack_id(&item.name))
                .collect();
            if let Some(gone) = relied.iter().find(|pack| !standing.contains(pack)) {
                return Err(
                    again("a pack that this snapshot relies on was removed meanwhile")
                        .subject(gone.short()),
                );
            }
        }
        snapshot.check()?;
        let name = snapshot_name(&session.id);
        if !self.keeps(Rule::CommitOnce) {
            self.storage.delete(&name)?;
        }
        let (first, size) = self
            .put_record(
                FileType::Snapshot,
                &name,
                &Fate::Committed(Box::new(snapshot.clone())),
            )
            .inspect_err(|_| session.leave_unsettled())?;
        if !first {
            return Err(again(
                "this session was silent for so long that it was expired; nothing was committed",
            ));
        }
        Ok(size)
    }
}
