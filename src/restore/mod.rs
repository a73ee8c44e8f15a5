//! Bringing a snapshot, or a part of it, back to disk.
//!
//! ```text
//! walk      decides name by name, makes directories            (one thread)
//! window    gathers files; sorts their chunks by where they lie
//! frames    each read, opened and decoded once, written to all its places  (a few threads)
//! files     complete ones get their metadata and their name
//! window's end: further names of linked files, reading back, directories left
//! ```
//!
//! What goes wrong with one file (a damaged chunk, a name in the way, a refused owner) is told and counted, and the
//! rest goes on; only a full or read-only disk and the user end a restore. A file of which one chunk is damaged does
//! not appear at all: half a file under its own name would be taken for the whole one.

mod asked;
pub mod deployment;
mod filter;
mod flush;
mod job;
mod leave;
mod links;
mod options;
mod parallel;
mod report;
mod task;
mod verify;
mod walk;
mod window;

#[cfg(test)]
pub(crate) mod tests;

use std::path::Path;

use self::flush::Flusher;
pub use self::options::{Overwrite, ReadOnly, RestoreOptions, RestoreSummary};
use self::task::Task;
use self::walk::{Place, Walk};
use self::window::Size;
use crate::clock::{Clock, SystemClock};
use crate::error::{Error, Kind, Result};
use crate::format::entry::Node;
use crate::format::snapshot::Snapshot;
use crate::fs::Dir;
use crate::progress::Progress;
use crate::repository::Repository;

/// Restores as `options` say.
///
/// # Errors
/// A path that is not in the snapshot, patterns that cannot be read, a target that cannot be written, a full disk,
/// the user's wish to stop. Anything about single files stands in the summary.
pub fn run(
    repository: &Repository,
    snapshot: &Snapshot,
    options: &RestoreOptions,
    progress: &dyn Progress,
) -> Result<RestoreSummary> {
    within(Size::default(), repository, snapshot, options, progress)
}

fn within(
    window: Size,
    repository: &Repository,
    snapshot: &Snapshot,
    options: &RestoreOptions,
    progress: &dyn Progress,
) -> Result<RestoreSummary> {
    let clock = SystemClock::default();
    progress.phase("restore");
    let path = normal(options.path.as_deref().unwrap_or(b"/"));
    let top = repository.find(snapshot, if path.is_empty() { b"/" } else { &path })?;
    let is_directory = matches!(top.entry.node, Node::Directory(_));
    let base = if is_directory {
        path
    } else {
        let end = path.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
        path[..end].to_vec()
    };
    let mut task = Task::new(repository, snapshot, options, progress, base)?;
    task.window = window;
    let (target, existed) = target(&options.target, options.dry_run)?;
    let is_root = match &target {
        Place::Made { dir, .. } => Dir::root(Path::new("/"))?.identity() == dir.identity(),
        _ => false,
    };
    let disk = match &target {
        Place::Made { dir, .. } => Some(std::sync::Arc::clone(dir)),
        _ => None,
    };
    let walk = |task: &Task<'_>| {
        if is_directory {
            let own = !existed || is_root || options.read_only.is_some();
            Walk::directory(task, top, target, own)
        } else {
            Walk::member_only(task, top, target)
        }
    };
    match disk.filter(|_| !options.dry_run) {
        None => walk(&task)?,
        Some(disk) => std::thread::scope(|scope| {
            let (flusher, when) = Flusher::new();
            task.flusher = Some(flusher);
            let disk = &*disk;
            let early = scope.spawn(move || flush::whenever(&when, disk));
            let walked = walk(&task);
            task.flusher = None;
            let early = early
                .join()
                .unwrap_or_else(|_| Err(Error::new(Kind::Failed, "a worker thread died")));
            walked.and(early).and_then(|()| flush::write_out(disk))
        })?,
    }
    Ok(task.report.finish(clock.elapsed().as_secs_f64()))
}

/// Opens the target, making it where it is not there; says whether it was.
fn target(path: &Path, dry_run: bool) -> Result<(Place, bool)> {
    match std::fs::metadata(path) {
        Ok(found) if found.is_dir() => {
            let dir = Dir::root(path)?;
            Ok((Place::Made { dir, fresh: false }, true))
        }
        Ok(_) => Err(Error::new(Kind::Exists, "the target is no directory")
            .subject(path.display().to_string())
            .hint("name a directory, or one that does not exist yet")),
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::io("look at the target", path, error))
        }
        Err(_) if dry_run => Ok((Place::Absent, false)),
        Err(_) => {
            std::fs::create_dir_all(path)
                .map_err(|error| Error::io("create the target", path, error))?;
            let dir = Dir::root(path)?;
            Ok((Place::Made { dir, fresh: true }, false))
        }
    }
}

/// An absolute path without doubled and trailing `/`; the root is empty.
fn normal(path: &[u8]) -> Vec<u8> {
    let mut normal = Vec::with_capacity(path.len());
    for name in path.split(|byte| *byte == b'/').filter(|n| !n.is_empty()) {
        normal.push(b'/');
        normal.extend_from_slice(name);
    }
    normal
}
