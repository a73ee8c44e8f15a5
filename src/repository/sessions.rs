//! Other people's sessions: who is at work, what they knew when they began, and giving up on those that fell silent.
//!
//! A session counts as ended when none of its records is left or when `snapshots/<id>` stands, commit or void. Giving
//! up a session that lives after all costs its work and nothing else: its commit finds the void.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use rustix::process::{Pid, test_kill_process};

use super::{Repository, Rule, snapshot_name};
use crate::clock::Nanos;
use crate::error::{Error, Kind, Result};
use crate::format::file::FileType;
use crate::format::records::{Session, SessionPurpose};
use crate::format::snapshot::Fate;
use crate::id::{RecordId, SessionId};

/// A session that has not ended.
#[derive(Clone, Debug)]
pub struct LiveSession {
    /// The session.
    pub id: SessionId,
    /// What it was put as; none where no record of it can be read.
    pub seen: Option<Seen>,
}

/// What a session's record says.
#[derive(Clone, Debug)]
pub struct Seen {
    /// What for.
    pub purpose: SessionPurpose,
    /// Host, for people.
    pub host: String,
    /// User, for people.
    pub user: String,
    /// Process on that host.
    pub process: u32,
    /// When it began.
    pub started: Nanos,
    /// When it last said that it lives.
    pub renewed: Nanos,
    /// Tombstones and ends of forgettings that it knew of.
    names: HashSet<RecordId>,
}

impl LiveSession {
    /// Whether it knew of a tombstone, or of the end of a forgetting, when it began. One that cannot be read knew
    /// nothing.
    #[must_use]
    pub fn knows(&self, id: &RecordId) -> bool {
        self.seen
            .as_ref()
            .is_some_and(|seen| seen.names.contains(id))
    }

    /// Whether it may be changing the index.
    #[must_use]
    pub fn is_pruner(&self) -> bool {
        self.seen
            .as_ref()
            .is_none_or(|seen| seen.purpose == SessionPurpose::Prune)
    }
}

/// A process of this machine that is gone may be given up after this silence: long enough for whoever has the same
/// host name and other processes, as containers may.
const SILENT_AND_DEAD: Duration = Duration::from_secs(600);

fn session_of(name: &str) -> Option<(SessionId, u32)> {
    let (id, number) = name.strip_prefix("sessions/")?.split_once('.')?;
    Some((SessionId::from_hex(id)?, number.parse().ok()?))
}

/// Records of each session, by the number of each, ascending.
type Records = BTreeMap<SessionId, BTreeMap<u32, String>>;

impl Repository {
    fn session_records(&self) -> Result<Records> {
        let mut records = Records::new();
        for item in self.storage.list("sessions")? {
            if let Some((id, number)) = session_of(&item.name) {
                records.entry(id).or_default().insert(number, item.name);
            }
        }
        Ok(records)
    }

    /// Sessions of which any record is left, ended or not.
    ///
    /// # Errors
    /// Whatever the storage says.
    pub fn sessions_left(&self) -> Result<HashSet<SessionId>> {
        Ok(self.session_records()?.into_keys().collect())
    }

    /// Whether `snapshots/<id>` stands: then the session has ended, however it did.
    pub(crate) fn is_decided(&self, id: &SessionId) -> Result<bool> {
        Ok(self.storage.size(&snapshot_name(id))?.is_some())
    }

    /// Sessions that have not ended.
    ///
    /// # Errors
    /// Whatever the storage says.
    pub fn live_sessions(&self) -> Result<Vec<LiveSession>> {
        let mut live = Vec::new();
        for (id, records) in self.session_records()? {
            if self.is_decided(&id)? {
                continue;
            }
            match self.read_session(&records)? {
                Reading::Ended => {}
                Reading::Unreadable => live.push(LiveSession { id, seen: None }),
                Reading::Seen(seen) => live.push(LiveSession {
                    id,
                    seen: Some(seen),
                }),
            }
        }
        Ok(live)
    }

    fn read_session(&self, records: &BTreeMap<u32, String>) -> Result<Reading> {
        let mut broken = false;
        // The newest tells when it was last heard of; what it knew is the same in all.
        for name in records.values().rev() {
            let read: Result<Session> = self.get_record(FileType::Session, name);
            match read.and_then(|record| record.check().map(|()| record)) {
                Ok(record) => {
                    return Ok(Reading::Seen(Seen {
                        purpose: record.purpose,
                        host: record.host,
                        user: record.user,
                        process: record.process,
                        started: record.started,
                        renewed: record.renewed,
                        names: record
                            .tombstones
                            .into_iter()
                            .chain(record.forgotten)
                            .collect(),
                    }));
                }
                // Renewed or ended since the listing; record 0 is the last to go.
                Err(error) if error.kind() == Kind::NotFound => {}
                Err(error) if matches!(error.kind(), Kind::Damage | Kind::Unsupported) => {
                    broken = true;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(if broken {
            Reading::Unreadable
        } else {
            Reading::Ended
        })
    }

    /// Gives a session up: its commit is void from now on, unless it came first. Its records go.
    ///
    /// # Errors
    /// Whatever the storage says.
    pub fn expire(&self, id: &SessionId) -> Result<()> {
        self.config.check_write()?;
        let void = Fate::Void {
            session: *id,
            at: self.environment.clock.now(),
        };
        if !self.keeps(Rule::CommitOnce) {
            self.storage.delete(&snapshot_name(id))?;
        }
        self.put_record(FileType::Snapshot, &snapshot_name(id), &void)?;
        self.remove_session(id)
    }

    /// Removes a session's records, record 0 last. Only for one that has ended, or by itself.
    pub(super) fn remove_session(&self, id: &SessionId) -> Result<()> {
        let mut records = self.session_records()?;
        for name in records.remove(id).unwrap_or_default().values().rev() {
            self.storage.delete(name)?;
        }
        Ok(())
    }

    /// Gives up sessions that were not heard of for `expiry`, and those of processes of this machine that are gone;
    /// removes what ended ones left. Returns how many were given up.
    ///
    /// # Errors
    /// Whatever the storage says.
    pub fn expire_silent(&self, own: &SessionId, expiry: Duration) -> Result<u64> {
        let now = self.environment.clock.now();
        let mut expired = 0;
        for (id, records) in self.session_records()? {
            let Reading::Seen(seen) = self.read_session(&records)? else {
                continue;
            };
            if id == *own || !self.is_silent(&seen, now, expiry) {
                continue;
            }
            if self.is_decided(&id)? {
                self.remove_session(&id)?;
            } else {
                self.expire(&id)?;
                expired += 1;
            }
        }
        Ok(expired)
    }

    fn is_silent(&self, seen: &Seen, now: Nanos, expiry: Duration) -> bool {
        let silent = Duration::from_nanos(
            u64::try_from(now.saturating_sub(seen.renewed)).unwrap_or_default(),
        );
        let gone = || {
            let pid = i32::try_from(seen.process).ok().and_then(Pid::from_raw);
            seen.host == self.environment.host
                && pid.is_some_and(|pid| test_kill_process(pid) == Err(rustix::io::Errno::SRCH))
        };
        silent >= expiry || (silent >= SILENT_AND_DEAD && gone())
    }

    /// Refuses to go on in a session that somebody has given up meanwhile.
    pub(crate) fn still_ours(&self, session: &super::Session) -> Result<()> {
        if self.is_decided(&session.id)? {
            return Err(Error::new(
                Kind::Conflict,
                "this session was silent for so long that it was expired",
            )
            .hint("run the same command again: what was stored is used again"));
        }
        Ok(())
    }
}

enum Reading {
    Seen(Seen),
    Unreadable,
    Ended,
}
