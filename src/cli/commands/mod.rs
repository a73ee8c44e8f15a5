//! One command a file: arguments in, options to `ops`, the summary told.

pub mod about;
pub mod annotate;
pub mod cat;
pub mod check;
pub mod checkout;
pub mod config;
pub mod diff;
mod document_diff;
mod document_history;
pub mod export;
pub mod find;
mod findings;
pub mod forget;
pub mod history;
pub mod import;
pub mod init;
pub mod key;
pub mod ls;
pub mod prune;
mod recovery;
pub mod repair;
mod report;
pub mod restore;
mod restore_deployment;
pub mod rollback;
pub mod run;
pub mod schedule;
pub mod scrub;
pub mod snapshot;
pub mod snapshots;
pub mod stats;
pub mod tail;
pub mod timeline;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use duramen::error::Result;
use duramen::format::snapshot::Snapshot;
use duramen::ops::{recorded, select, undump};
use duramen::progress::Progress;
use duramen::repository::Repository;

use super::args::AtArgs;

/// The snapshot, or, where a moment is given, what it shows as it was then, or the collections of a dump in it.
fn viewed(
    repository: &Repository,
    snapshot: Snapshot,
    args: &AtArgs,
    progress: &dyn Progress,
) -> Result<Snapshot> {
    if args.at.is_none() {
        tell_of_damage(&snapshot, progress);
    }
    match (args.at, &args.dump) {
        (Some(at), _) => recorded::at_moment(repository, &snapshot, at, progress),
        (None, Some(path)) => undump::undump(repository, &snapshot, path.as_bytes(), progress),
        (None, None) => Ok(snapshot),
    }
}

/// Says where repair left something out of what is shown.
fn tell_of_damage(snapshot: &Snapshot, progress: &dyn Progress) {
    if snapshot.deployments().any(|own| own.is_damaged()) {
        progress.note(
            "repair took this snapshot again without what was lost: documents lack, or show as they were before (`duramen snapshots --json` says of which collections)",
        );
    }
}

/// `SNAP[:PATH]` as typed: the snapshot's name and the raw path.
fn split(name: &OsStr) -> (String, Option<Vec<u8>>) {
    select::split(name.as_bytes())
}
