//! One command a file: arguments in, options to `ops`, the summary told.

pub mod about;
pub mod annotate;
pub mod cat;
pub mod check;
pub mod checkout;
pub mod config;
pub mod diff;
pub mod export;
pub mod find;
mod findings;
pub mod forget;
pub mod history;
pub mod init;
pub mod key;
pub mod ls;
pub mod prune;
mod recovery;
pub mod repair;
pub mod restore;
mod restore_deployment;
pub mod run;
pub mod schedule;
pub mod scrub;
pub mod snapshot;
pub mod snapshots;
pub mod stats;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use duramen::ops::select;

/// `SNAP[:PATH]` as typed: the snapshot's name and the raw path.
fn split(name: &OsStr) -> (String, Option<Vec<u8>>) {
    select::split(name.as_bytes())
}
