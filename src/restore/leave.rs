//! A directory whose members are all there: what is too many goes, then its own metadata is set.
//!
//! Metadata comes last because every member changes the directory's time, and because a directory may come back
//! without permission to write in it.

use std::sync::Arc;

use super::filter::Verdict;
use super::report::add;
use super::task::{Task, lossy};
use super::verify;
use crate::error::{Error, Result};
use crate::format::entry::Directory;
use crate::fs::{Dir, Names};
use crate::repository::Listed;
use crate::target::files::{Sweep, Temporary, apply_to_directory, names};

/// A directory of the target that the walk has left.
pub(super) struct Left {
    pub(super) dir: Arc<Dir>,
    /// Its entry, where its metadata should be set.
    pub(super) listed: Option<Listed>,
    /// Its members in the snapshot, where others should be removed.
    pub(super) sweep: Option<Directory>,
}

impl Left {
    /// Sweeps it and sets its metadata.
    ///
    /// # Errors
    /// One that ends the restore.
    pub(super) fn finish(self, task: &Task<'_>) -> Result<()> {
        let path = || task.snapshot_path(&self.dir, b"");
        if let Some(directory) = self.sweep {
            sweep(task, &self.dir, &directory)?;
        }
        let Some(listed) = &self.listed else {
            return Ok(());
        };
        if task.options.dry_run {
            return Ok(());
        }
        let meta = task.meta(listed, Some(&path));
        match apply_to_directory(&self.dir, &meta, task.rules) {
            Ok(applied) => task.note_applied(applied, path)?,
            Err(error) => return task.problem(path(), error),
        }
        if task.options.verify {
            verify::directory(task, &self.dir, &meta)?;
        }
        Ok(())
    }
}

/// Removes what stands in `dir` and not in the snapshot's `directory`.
fn sweep(task: &Task<'_>, dir: &Arc<Dir>, directory: &Directory) -> Result<()> {
    let path = task.snapshot_path(dir, b"");
    let found = match names(dir) {
        Ok(found) => found,
        Err(error) => return task.problem(path, error),
    };
    if found.is_empty() {
        return Ok(());
    }
    let extra = match extra(task, &found, directory) {
        Ok(extra) => extra,
        Err(error) => {
            let error = Error::new(
                error.kind(),
                "nothing deleted: what belongs there is not known",
            )
            .subject(lossy(&dir.path()))
            .cause(error);
            task.report.unreadable(path, &error);
            return Ok(());
        }
    };
    for name in extra {
        let mut broom = Broom {
            task,
            base: path.clone(),
            dir,
        };
        let broom: &mut dyn Sweep = &mut broom;
        broom.remove(dir, name)?;
    }
    Ok(())
}

/// Names found that are no members; both sides are sorted.
fn extra<'n>(task: &Task<'_>, found: &'n Names, directory: &Directory) -> Result<Vec<&'n [u8]>> {
    let mut extra = Vec::new();
    let mut members = task.repository.entries(directory);
    let mut member = members.next().transpose()?;
    for name in found.iter() {
        while member
            .as_ref()
            .is_some_and(|member| member.entry.name.as_slice() < name)
        {
            member = members.next().transpose()?;
        }
        if member
            .as_ref()
            .is_none_or(|member| member.entry.name != name)
        {
            extra.push(name);
        }
    }
    Ok(extra)
}

/// Removes names of `dir` that are too many.
pub(super) struct Broom<'t, 'a> {
    pub(super) task: &'t Task<'a>,
    /// The path of `dir` in the snapshot; the root is empty.
    pub(super) base: Vec<u8>,
    pub(super) dir: &'t Arc<Dir>,
}

impl Broom<'_, '_> {
    fn whole(&self, path: &[u8]) -> Vec<u8> {
        let mut whole = self.base.clone();
        whole.push(b'/');
        whole.extend_from_slice(path);
        whole
    }
}

impl Sweep for Broom<'_, '_> {
    fn keep(&mut self, path: &[u8], is_dir: bool) -> bool {
        let top = !path.contains(&b'/');
        if top && Temporary::is_one(path) {
            return false;
        }
        let whole = self.whole(path);
        // Only what would have been restored had it been in the snapshot. Whether the directory itself is taken
        // was decided when it was entered; below an extra name everything is.
        let inside = !top || self.task.is_taken(&self.base);
        let read_only = self.task.options.read_only.is_some();
        self.task.filter.judge(&whole, is_dir, inside) != Verdict::Take
            || (!read_only && self.task.asked.could_not_read(&whole))
            || self.task.stays(&whole)
    }

    fn removed(&mut self, _: &[u8], _: bool) {
        add(&self.task.report.deleted, 1);
    }

    fn problem(&mut self, path: &[u8], error: Error) {
        let error = error.or_subject(|| lossy(&self.dir.path_of(path)));
        self.task.report.problem(self.whole(path), &error);
    }

    fn dry_run(&self) -> bool {
        self.task.options.dry_run
    }

    fn lends(&self) -> bool {
        self.task.options.read_only.is_some() && !self.task.rules.privileged
    }

    fn go_on(&mut self) -> Result<()> {
        self.task.progress.go_on()
    }
}
