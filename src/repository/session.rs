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
use crate::id::{PackId, RecordId, SessionId, SnapshotId};
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
    /// Nobody sees it, so nobody needs to hear that it lives.
    unseen: bool,
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
        let mut session = self.put_session(purpose, tombstones, open_ends)?;
        if let Err(error) = self.prepare(&mut session) {
            session.end(self);
            return Err(error);
        }
        Ok(session)
    }

    /// Opens a session that has seen nothing, so that every tombstone and every end of a forgetting waits for it: for
    /// mending the records that an ordinary session would have to read.
    ///
    /// # Errors
    /// As [`Repository::begin`].
    pub fn begin_blind(&self, purpose: SessionPurpose) -> Result<Session> {
        self.config.check_write()?;
        self.put_session(purpose, Vec::new(), Vec::new())
    }

    fn put_session(
        &self,
        purpose: SessionPurpose,
        tombstones: Vec<RecordId>,
        forgotten: Vec<RecordId>,
    ) -> Result<Session> {
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
            forgotten,
            program: env!("CARGO_PKG_VERSION").into(),
            extensions: Vec::new(),
        };
        self.put_record(FileType::Session, &session_name(&id, 0), &record)?;
        Ok(self.session(record))
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
        self.refresh_for(session)?;
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

    fn refresh_for(&self, session: &mut Session) -> Result<()> {
        match self.index.refresh() {
            Err(error) if error.kind() == Kind::Damage => session.damaged = Some(error),
            refreshed => refreshed?,
        }
        Ok(())
    }

    fn session(&self, record: records::Session) -> Session {
        Session {
            id: record.id,
            forgotten: HashSet::new(),
            damaged: None,
            record: Mutex::new(record),
            renewed: Mutex::new(self.environment.clock.elapsed()),
            unseen: false,
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
        session.unseen = true;
        session.forgotten = self.annotations()?.no_parents();
        self.refresh_for(&mut session)?;
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
            if self.unseen || now.saturating_sub(*renewed) < RENEW_EVERY {
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
