//! What was done when: one small file for each configuration and repository, in the user's state folder.
//!
//! It decides what is due and nothing else. Where it is lost or cannot be read everything is due, which costs a
//! snapshot too many; so it is never a reason to do nothing.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Job;
use crate::clock::Nanos;
use crate::error::{Error, Kind, Result};

/// No state is longer, in bytes.
const STATE_BYTES_MAX: u64 = 1 << 20;

const FILE: &str = "state.json";

/// What came of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// All of it was done.
    Ok,
    /// A snapshot was stored, but some of the source could not be read.
    Partial,
    /// The check found damage.
    Damage,
    /// It could not be done.
    Failed,
}

impl Outcome {
    /// Its word in JSON, logs and the environment of hooks.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Partial => "partial",
            Self::Damage => "damage",
            Self::Failed => "failed",
        }
    }
}

/// The last times of one job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// When it was last begun.
    pub attempt: Nanos,
    /// When it was last begun of those times that it came to its end.
    pub finished: Option<Nanos>,
    /// How often it failed since.
    pub failures: u32,
    /// What came of the last time.
    pub outcome: Outcome,
    /// A sentence about that.
    pub message: String,
}

/// The records of all jobs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    jobs: BTreeMap<String, Record>,
}

impl State {
    /// What is known of a job.
    #[must_use]
    pub fn of(&self, job: &Job) -> Option<&Record> {
        self.jobs.get(&job.to_string())
    }

    /// Notes what came of a job that was begun at `began`.
    pub(super) fn note(&mut self, job: &Job, began: Nanos, outcome: Outcome, message: &str) {
        let before = self.of(job);
        let (finished, failures) = match outcome {
            Outcome::Failed => (
                before.and_then(|record| record.finished),
                before.map_or(1, |record| record.failures.saturating_add(1)),
            ),
            Outcome::Ok | Outcome::Partial | Outcome::Damage => (Some(began), 0),
        };
        let record = Record {
            attempt: began,
            // A success in a future that a clock made up is none.
            finished: finished.filter(|finished| *finished <= began),
            failures,
            outcome,
            message: message.to_owned(),
        };
        self.jobs.insert(job.to_string(), record);
    }

    /// Reads the state that lies in `folder`; nothing where there is none.
    ///
    /// # Errors
    /// Where it is there and cannot be read or makes no sense.
    pub fn load(folder: &Path) -> Result<Self> {
        let path = folder.join(FILE);
        let file = match fs::File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Self::default());
            }
            Err(error) => return Err(Error::io("read", &path, error)),
        };
        let mut bytes = Vec::new();
        file.take(STATE_BYTES_MAX + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| Error::io("read", &path, error))?;
        Self::decode(&bytes).map_err(|error| error.subject(path.display().to_string()))
    }

    /// Reads a state from its bytes.
    ///
    /// # Errors
    /// Where they are too many or make no sense.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        if bytes.len() as u64 > STATE_BYTES_MAX {
            return Err(Error::new(Kind::Limit, "too long for a record of runs"));
        }
        serde_json::from_slice(bytes)
            .map_err(|error| Error::new(Kind::Failed, "not a record of runs").cause(error))
    }

    /// Writes it, whole or not at all.
    ///
    /// # Errors
    /// As the system says.
    pub(super) fn save(&self, folder: &Path) -> Result<()> {
        let path = folder.join(FILE);
        let temporary = folder.join("state.json.new");
        let bytes = serde_json::to_vec(self)
            .map_err(|error| Error::new(Kind::Failed, "cannot write JSON").cause(error))?;
        // Nobody else writes there: the lock is held.
        fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&temporary)
            .and_then(|mut file| {
                file.write_all(&bytes)?;
                file.sync_all()
            })
            .and_then(|()| fs::rename(&temporary, &path))
            .map_err(|error| Error::io("write", &path, error))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn successes_and_failures_are_remembered() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(State::load(folder.path()).unwrap(), State::default());
        let job = Job::Snapshot("home".into());
        let mut state = State::default();
        state.note(&job, 10, Outcome::Partial, "two files");
        state.note(&job, 20, Outcome::Failed, "no disk");
        state.note(&job, 30, Outcome::Failed, "no disk");
        state.note(&Job::Check, 30, Outcome::Damage, "a pack");
        state.save(folder.path()).unwrap();
        let read = State::load(folder.path()).unwrap();
        assert_eq!(read, state);
        let record = read.of(&job).unwrap();
        assert_eq!(
            (record.attempt, record.finished, record.failures),
            (30, Some(10), 2)
        );
        assert_eq!(read.of(&Job::Check).unwrap().finished, Some(30));
        assert_eq!(read.of(&Job::Prune), None);
        // A clock that was set back: the old success lies in no past.
        state.note(&job, 5, Outcome::Failed, "no disk");
        assert_eq!(state.of(&job).unwrap().finished, None);
    }

    #[test]
    fn what_is_no_state_is_said_so() {
        let folder = tempfile::tempdir().unwrap();
        for bytes in [&b"{\"jobs\":[]}"[..], b"\xff", b"", &[b' '; 2 << 20]] {
            fs::write(folder.path().join(FILE), bytes).unwrap();
            assert!(State::load(folder.path()).is_err());
        }
    }
}
