//! When things run: what is due, the run that does it, and how cron and systemd are told to call it.
//!
//! Nobody watches at night. So a run that fails is told of and tried again, one that hangs is noticed by the next, a
//! night that was missed is made up for once and not as often as it was missed, a clock that was set back stops
//! nothing, and one broken source keeps no other from its snapshot.

pub mod crontab;
mod due;
mod job;
mod lock;
mod log;
mod report;
pub mod run;
mod state;
pub mod systemd;
mod work;

use std::path::Path;

pub use due::{Due, Reason, due};
pub use job::{Job, Task, hourly_catch_up, lines, tasks};
pub use log::LOG_BYTES_MAX;
pub use state::{Outcome, Record, State};

use crate::id::to_hex;

/// A short name for a configuration file, and for a repository that it means: files about it are named so.
#[must_use]
pub fn identity(config: &Path, repository: &str) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(config.as_os_str().as_encoded_bytes());
    hasher.update(&[0]);
    hasher.update(repository.as_bytes());
    to_hex(&hasher.finalize().as_bytes()[..8])
}
