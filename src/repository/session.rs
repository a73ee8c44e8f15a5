//! Sessions: how writers and prune share a repository without locks (`format-spec/sharing.md`).
//!
//! A writer tells everybody which tombstones and forgotten snapshots it has seen *before* it reads anything, and
//! looks again after: so whoever deletes knows whom to wait for, and a writer never builds on what is about to go.
//! Clocks play no part in that.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::Repository;
use super::rules::Rule;
use crate::crypto::random;
use crate::error::{Error, Kind, Result};
use crate::format::file::FileType;
use crate::format::records::{self, SessionPurpose};
use crate::id::{PackId, SessionId, SnapshotId};
use crate::pack::pack_id;

/// An open session; end it with [`Session::end`], or leave it to be expired.
pub struct Session {
    /// Its id, and the id of the snapshot that it may commit.
    pub id: SessionId,
    /// Snapshots that are to go, or of which that is not clear: no parents.
    pub forgotten: HashSet<SnapshotId>,
    /// A segment that could not be read: what it alone names is stored again.
    pub damaged: Option<Error>,
    record: Mutex<records::Session>,
    renewed: Mutex<Duration>,
    /// The commit was put and nobody knows whether it arrived: only expiry may settle the session.
    unsettled: AtomicBool,
}

/// A session says that it still lives this often.
const RENEW_EVERY: Duration = Duration::from_secs(60);

fn session_name(id: &SessionId, number: u32) -> String {
    format!("sessions/{}.{number:010}", id.hex())
}

impl Repository {
    /// Opens a session: list, put, list again. The index is brought up to date after.
    ///
    /// # Errors
    /// [`crate::error::Kind::Unsupported`] for a repository that this program must not write to, and whatever the
    /// storage says.
    pub fn begin(&self, purpose: SessionPurpose) -> Result<Session> {
        self.config.check_write()?;
        if let Some(folder) = self.storage.local_path() {
            crate::storage::LocalStorage::new(folder).sweep_temporary();
        }
        let tombstones = self.list_tombstones()?;
        let open_ends = self.annotations()?.open_ends();
        let id = SessionId(random::array()?);
        let now = self.environment.clock.now();
        let record = records::Session {
            id,
            number: 0,
            purpose,
            host: self.environment.host.clone(),
            user: self.environment.user.clone(),
            process: std::process::id(),
            started: now,
            renewed: now,
            tombstones,
            forgotten: open_ends,
            program: env!("CARGO_PKG_VERSION").into(),
            extensions: Vec::new(),
        };
        self.put_record(FileType::Session, &session_name(&id, 0), &record)?;
        let mut session = self.session(record);
        if let Err(error) = self.prepare(&mut session) {
            session.end(self);
            return Err(error);
        }
        Ok(session)
    }

    /// What must be looked at after the session is put.
    fn prepare(&self, session: &mut Session) -> Result<()> {
        let tombstones = if self.keeps(Rule::Relist) {
            self.list_tombstones()?
        } else {
            session.known().tombstones.clone()
        };
        let mut dead: HashSet<PackId> = HashSet::new();
        for tombstone in self.read_tombstones(&tombstones)? {
            dead.extend(tombstone.packs);
        }
        // What is forgotten by now is no parent, whoever forgot it and however long ago: whoever ends a forgetting that
        // is not in the session's record has it waited for.
        if self.keeps(Rule::LiveParent) {
            session.forgotten = self.annotations()?.no_parents();
        }
        match self.index.refresh() {
            Err(error) if error.kind() == Kind::Damage => session.damaged = Some(error),
            refreshed => refreshed?,
        }
        // Packs after segments: a pack that a listed segment names was there before it. One that is not listed was
        // lost, and what was in it is stored again.
        let standing = self
            .storage
            .list("packs")?
            .iter()
            .filter_map(|item| pack_id(&item.name))
            .collect();
        self.index.set_packs(
            if self.keeps(Rule::Absent) {
                dead
            } else {
                HashSet::new()
            },
            self.keeps(Rule::Relied).then_some(standing),
        );
        Ok(())
    }

    fn session(&self, record: records::Session) -> Session {
        Session {
            id: record.id,
            forgotten: HashSet::new(),
            damaged: None,
            record: Mutex::new(record),
            renewed: Mutex::new(self.environment.clock.elapsed()),
            unsettled: AtomicBool::new(false),
        }
    }
}

impl Repository {
    /// A session that nobody sees and that can commit nothing: for a dry run, which needs no right to write.
    ///
    /// # Errors
    /// Whatever the storage says.
    pub fn rehearse(&self) -> Result<Session> {
        let now = self.environment.clock.now();
        let record = records::Session {
            id: SessionId(random::array()?),
            number: 0,
            purpose: SessionPurpose::Write,
            host: String::new(),
            user: String::new(),
            process: 0,
            started: now,
            renewed: now,
            tombstones: Vec::new(),
            forgotten: Vec::new(),
            program: String::new(),
            extensions: Vec::new(),
        };
        let mut session = self.session(record);
        session.forgotten = self.annotations()?.no_parents();
        self.index.refresh()?;
        Ok(session)
    }
}

impl Session {
    /// What its record says.
    fn known(&self) -> MutexGuard<'_, records::Session> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says that the session still lives, where that was last said a minute ago.
    ///
    /// # Errors
    /// Whatever the storage says.
    pub fn renew_when_due(&self, repository: &Repository) -> Result<()> {
        let now = repository.environment.clock.elapsed();
        {
            let mut renewed = self.renewed.lock().unwrap_or_else(PoisonError::into_inner);
            if now.saturating_sub(*renewed) < RENEW_EVERY {
                return Ok(());
            }
            *renewed = now;
        }
        self.renew(repository)
    }

    /// Says that the session still lives.
    ///
    /// # Errors
    /// [`crate::error::Kind::Conflict`] where it was expired meanwhile, and whatever the storage says.
    pub fn renew(&self, repository: &Repository) -> Result<()> {
        repository.still_ours(self)?;
        let mut record = self.known();
        let old = session_name(&self.id, record.number);
        record.number += 1;
        record.renewed = repository.environment.clock.now();
        repository.put_record(
            FileType::Session,
            &session_name(&self.id, record.number),
            &*record,
        )?;
        // Record 0 stays: a listing under way could miss both a name that goes and one that comes, and with them the
        // whole session.
        if record.number > 1 {
            repository.storage.delete(&old)
        } else {
            Ok(())
        }
    }

    /// The commit's put was not answered: the session must outlive this process, until its void or its commit is seen.
    pub(super) fn leave_unsettled(&self) {
        self.unsettled.store(true, Ordering::SeqCst);
    }

    /// Ends the session. Failing to is no loss: it will be expired.
    pub fn end(&self, repository: &Repository) {
        repository.index.reset_packs();
        if self.unsettled.load(Ordering::SeqCst) {
            return;
        }
        let _ = repository.remove_session(&self.id);
    }
}
