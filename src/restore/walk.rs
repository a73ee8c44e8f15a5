//! The walk over the snapshot's tree, depth first, which decides name by name what is to be done.
//!
//! Directories are made on the way down (those that hold nothing wanted are not made at all), files are handed to the
//! [`Window`], and a directory's own metadata waits until it has been left and its window ends. What is kept grows
//! with the depth of the tree, not with its size.

use std::sync::Arc;

use super::filter::Verdict;
use super::job::{Job, Way};
use super::leave::Left;
use super::links::{Groups, Linking};
use super::options::{Overwrite, ReadOnly};
use super::report::add;
use super::task::{Task, lossy};
use super::window::Window;
use crate::error::{Error, Kind, Result};
use crate::format::entry::{Directory, Node, name_is_safe};
use crate::fs::{Dir, Stat, StatKind};
use crate::repository::Listed;
use crate::target::files::{
    Sweep, Writing, identity, lend_access, look, make_directory, names, read_link,
    remove_directory, unlink,
};

/// Existing files up to this size are rewritten whole, also where rewriting in place is asked for.
const IN_PLACE_MIN: u64 = 1 << 20;
/// A directory's listing that says so often in a row that it cannot go on will not.
const BROKEN_MAX: u32 = 16;

/// Where a directory of the snapshot is in the target.
#[derive(Clone)]
pub(super) enum Place {
    /// Not made yet: nothing below it was wanted so far.
    Unmade,
    /// Here; `fresh` where it was made just now and so holds nothing but what was restored.
    Made { dir: Arc<Dir>, fresh: bool },
    /// It would be made, in a dry run.
    Absent,
}

/// A directory being walked.
struct Level<'r> {
    entries: Box<dyn Iterator<Item = Result<Listed>> + Send + 'r>,
    directory: Directory,
    /// Its own entry, where its metadata should be set.
    listed: Option<Listed>,
    place: Place,
    /// Length of its path.
    path_length: usize,
    /// Everything below it is wanted unless excluded.
    taken: bool,
    /// Errors of its listing, all and in a row.
    broken: u32,
    broken_in_row: u32,
}

/// One walk.
pub(super) struct Walk<'t, 'r> {
    task: &'t Task<'r>,
    window: Window,
    groups: Groups,
    levels: Vec<Level<'r>>,
    /// Path in the snapshot of what is looked at; the root is empty.
    path: Vec<u8>,
    /// Announce files as they are met, for it is not known before how many are wanted.
    announce: bool,
}

impl<'t, 'r> Walk<'t, 'r> {
    /// Walks `top`, a directory whose inside goes to `target`; `own` says whether its own metadata is set too.
    ///
    /// # Errors
    /// One that ends the restore.
    pub(super) fn directory(
        task: &'t Task<'r>,
        top: Listed,
        target: Place,
        own: bool,
    ) -> Result<()> {
        let Node::Directory(directory) = top.entry.node else {
            return Err(Error::new(Kind::Failed, "the top is no directory"));
        };
        let announce = !task.filter.takes_all();
        if !announce {
            task.progress.expect(directory.files, directory.bytes);
        }
        let mut walk = Self::new(task, announce);
        walk.path = task.base.clone();
        let taken = task.is_taken(&task.base);
        walk.enter(directory, own.then_some(top), target, taken);
        walk.run()
    }

    /// Restores the one member `listed` (no directory) into `target`.
    ///
    /// # Errors
    /// One that ends the restore.
    pub(super) fn member_only(task: &'t Task<'r>, listed: Listed, target: Place) -> Result<()> {
        let mut walk = Self::new(task, true);
        walk.path = task.base.clone();
        walk.enter(Directory::default(), None, target, true);
        walk.path.push(b'/');
        walk.path.extend_from_slice(&listed.entry.name);
        walk.member(listed)?;
        walk.window.end(task)
    }

    fn new(task: &'t Task<'r>, announce: bool) -> Self {
        Self {
            task,
            window: Window::default(),
            groups: Groups::default(),
            levels: Vec::new(),
            path: Vec::new(),
            announce,
        }
    }

    fn enter(&mut self, directory: Directory, listed: Option<Listed>, place: Place, taken: bool) {
        self.levels.push(Level {
            entries: self.task.repository.entries(&directory),
            directory,
            listed,
            place,
            path_length: self.path.len(),
            taken,
            broken: 0,
            broken_in_row: 0,
        });
    }

    fn run(&mut self) -> Result<()> {
        while let Some(level) = self.levels.last_mut() {
            self.task.progress.go_on()?;
            self.path.truncate(level.path_length);
            match level.entries.next() {
                None => self.leave(),
                Some(Ok(listed)) => {
                    level.broken_in_row = 0;
                    self.entry(listed)?;
                }
                Some(Err(error)) => {
                    level.broken += 1;
                    level.broken_in_row += 1;
                    let stop = level.broken_in_row >= BROKEN_MAX;
                    let path = self.shown_path();
                    let error = Error::new(error.kind(), "members of this directory are missing")
                        .subject(lossy(&path))
                        .cause(error);
                    self.task.report.unreadable(path, &error);
                    if stop {
                        self.leave();
                    }
                }
            }
            if self.window.is_full(self.task.window) {
                self.window.end(self.task)?;
            }
        }
        self.window.end(self.task)
    }

    fn leave(&mut self) {
        let Some(level) = self.levels.pop() else {
            return;
        };
        let (dir, fresh) = match level.place {
            Place::Made { dir, fresh } => (Some(dir), fresh),
            Place::Absent => (None, true),
            Place::Unmade => return,
        };
        if level.listed.is_some() {
            add(&self.task.report.dirs, 1);
        }
        let sweep =
            !fresh && level.broken == 0 && self.task.may_delete_in(&self.path[..level.path_length]);
        if let Some(dir) = dir {
            self.window.add_left(Left {
                dir,
                listed: level.listed,
                sweep: sweep.then_some(level.directory),
            });
        }
    }

    fn entry(&mut self, listed: Listed) -> Result<()> {
        let name = &listed.entry.name;
        if !name_is_safe(name) {
            let error = Error::damage("a name that no directory can hold")
                .subject(name.escape_ascii().to_string());
            self.task.report.unreadable(self.path.clone(), &error);
            return Ok(());
        }
        self.path.push(b'/');
        self.path.extend_from_slice(name);
        if self.task.stays(&self.path) {
            return Ok(());
        }
        let directory = match listed.entry.node {
            Node::Directory(directory) => Some(directory),
            _ => None,
        };
        let inside = self.levels.last().is_some_and(|level| level.taken);
        let verdict = self
            .task
            .filter
            .judge(&self.path, directory.is_some(), inside);
        match (verdict, directory) {
            (Verdict::Leave, _) => Ok(()),
            (Verdict::Take, Some(directory)) => {
                self.enter(directory, Some(listed), Place::Unmade, true);
                self.place().map(|_| ())
            }
            (Verdict::Look, Some(directory)) => {
                self.enter(directory, Some(listed), Place::Unmade, false);
                Ok(())
            }
            (_, None) => self.member(listed),
        }
    }

    /// The place of the directory entered last, making it and those above where they are not there yet. None where
    /// that is not possible, which has been told; the walk is out of it then.
    fn place(&mut self) -> Result<Option<Place>> {
        let first = self
            .levels
            .iter()
            .rposition(|level| !matches!(level.place, Place::Unmade))
            .map_or(0, |made| made + 1);
        for index in first..self.levels.len() {
            let Some(above) = index.checked_sub(1).map(|i| self.levels[i].place.clone()) else {
                return Ok(None);
            };
            let made = match above {
                Place::Made { dir, fresh } => self.make(index, &dir, fresh)?,
                _ => Some(Place::Absent),
            };
            match made {
                Some(place) => self.levels[index].place = place,
                None => {
                    // Whatever is below it is passed over.
                    let refused = &self.levels[index];
                    add(&self.task.report.skipped, refused.directory.files);
                    self.task.skip_bytes(refused.directory.bytes);
                    self.task.progress.advance(refused.directory.files, 0);
                    self.levels.truncate(index);
                    return Ok(None);
                }
            }
        }
        Ok(self.levels.last().map(|level| level.place.clone()))
    }

    /// Makes one directory; none where it cannot be, or must not.
    fn make(&mut self, index: usize, above: &Arc<Dir>, fresh: bool) -> Result<Option<Place>> {
        let Some(listed) = &self.levels[index].listed else {
            return Ok(None);
        };
        let name = listed.entry.name.clone();
        let mtime = listed.entry.mtime;
        let path_length = self.levels[index].path_length;
        let overwrite = self.task.options.overwrite;
        let dry = self.task.options.dry_run;
        let existing = if fresh { Ok(None) } else { look(above, &name) };
        let made = existing.and_then(|existing| match existing {
            Some(stat) if stat.is_directory() => {
                let mut dir = above.open_child(&name)?;
                let keep = match overwrite {
                    Overwrite::Never => true,
                    Overwrite::IfNewer => stat.mtime >= mtime,
                    Overwrite::Always | Overwrite::IfChanged => false,
                };
                if keep {
                    self.levels[index].listed = None;
                } else if !dry && !self.task.rules.privileged && lend_access(&dir, &stat) {
                    // What could not be listed before can be now.
                    dir = above.open_child(&name)?;
                }
                Ok(Some(Place::Made { dir, fresh: false }))
            }
            Some(_) if overwrite == Overwrite::Never => Ok(None),
            _ if dry => Ok(Some(Place::Absent)),
            existing => {
                if existing.is_some() {
                    unlink(above, &name)?;
                }
                let dir = make_directory(above, &name)?;
                Ok(Some(Place::Made { dir, fresh: true }))
            }
        });
        match made {
            Ok(place) => Ok(place),
            Err(error) => {
                let path = self.path[..path_length].to_vec();
                self.task.problem(path, error)?;
                Ok(None)
            }
        }
    }

    /// One name that is no directory.
    fn member(&mut self, listed: Listed) -> Result<()> {
        let task = self.task;
        let size = match listed.entry.node {
            Node::File { size, .. } => size,
            _ => 0,
        };
        add(&task.report.total_files, 1);
        add(&task.report.total_bytes, size);
        if self.announce {
            task.progress.expect(1, size);
        }
        task.progress.current(&self.path);
        let first = listed.entry.link.and_then(|link| self.groups.meet(link));
        let Some(place) = self.place()? else {
            return Ok(());
        };
        let (dir, existing) = match &place {
            Place::Made { dir, fresh } => {
                let existing = if *fresh {
                    None
                } else {
                    match look(dir, &listed.entry.name) {
                        Ok(existing) => existing,
                        Err(error) => return task.problem(self.path.clone(), error),
                    }
                };
                (Some(dir), existing)
            }
            _ => (None, None),
        };
        let way = match (&existing, dir) {
            (Some(stat), Some(dir)) => match self.decide(&listed, stat, dir) {
                Ok(Some(way)) => way,
                Ok(None) => {
                    add(&task.report.skipped, 1);
                    task.skip_bytes(size);
                    task.progress.advance(1, 0);
                    return Ok(());
                }
                Err(error) => return task.problem(self.path.clone(), error),
            },
            _ => Way::Write,
        };
        let Some(dir) = dir.filter(|_| !task.options.dry_run) else {
            return self.would(way, size);
        };
        let mut existing = existing;
        if existing.as_ref().is_some_and(Stat::is_directory) {
            if let Err(error) = remove_directory(dir, &listed.entry.name) {
                return task.problem(self.path.clone(), error);
            }
            existing = None;
        }
        if let Some(first) = first {
            self.window.add_link(Linking {
                first,
                dir: Arc::clone(dir),
                listed,
            });
            return Ok(());
        }
        let first = listed
            .entry
            .link
            .map(|link| self.groups.begin(link, dir, &listed.entry.name));
        let writing = match self.writing_in_place(dir, &listed, way, existing.as_ref()) {
            Ok(writing) => writing,
            Err(error) => return task.problem(self.path.clone(), error),
        };
        let mut job = Job::new(Arc::clone(dir), listed, way).telling(first);
        if let Some(writing) = writing {
            job = job.in_place(writing);
        }
        self.window.add_job(task, Arc::new(job))
    }

    /// Counts what a dry run would do.
    fn would(&self, way: Way, size: u64) -> Result<()> {
        let report = &self.task.report;
        match way {
            Way::Write => {
                add(&report.restored, 1);
                self.task.restored_bytes(size);
            }
            Way::Correct(_) => {
                add(&report.unchanged, 1);
                self.task.skip_bytes(size);
            }
        }
        self.task.progress.advance(1, 0);
        Ok(())
    }

    /// What to do where something stands already; none where it stays as it is. A directory in the way is emptied
    /// here where that is allowed, and refused where it is not.
    fn decide(&self, listed: &Listed, stat: &Stat, dir: &Arc<Dir>) -> Result<Option<Way>> {
        let entry = &listed.entry;
        let overwrite = self.task.options.overwrite;
        if overwrite == Overwrite::Never {
            return Ok(None);
        }
        if stat.is_directory() {
            self.empty(dir, &entry.name, stat)?;
            return Ok(Some(Way::Write));
        }
        if overwrite == Overwrite::IfNewer && entry.mtime <= stat.mtime {
            return Ok(None);
        }
        let anew = |read_only: &ReadOnly| read_only.rewrite.contains(&self.path);
        if overwrite != Overwrite::IfChanged
            || self.task.options.read_only.as_ref().is_some_and(anew)
        {
            return Ok(Some(Way::Write));
        }
        let same = match (&entry.node, stat.kind) {
            (Node::File { size, .. }, StatKind::File) => {
                *size == stat.size && entry.mtime == stat.mtime
            }
            (Node::Symlink { target }, StatKind::Symlink) => {
                read_link(dir, &entry.name)? == *target
            }
            (Node::Fifo, StatKind::Fifo) | (Node::Socket, StatKind::Socket) => true,
            (Node::CharDevice { major, minor }, kind) => {
                kind == StatKind::CharDevice {
                    major: *major,
                    minor: *minor,
                }
            }
            (Node::BlockDevice { major, minor }, kind) => {
                kind == StatKind::BlockDevice {
                    major: *major,
                    minor: *minor,
                }
            }
            _ => false,
        };
        Ok(Some(if same {
            Way::Correct(identity(stat))
        } else {
            Way::Write
        }))
    }

    /// Makes the directory `name`, which is in the way of something else, empty, or says that it may not be.
    fn empty(&self, above: &Arc<Dir>, name: &[u8], stat: &Stat) -> Result<()> {
        let task = self.task;
        let mut dir = above.open_child(name)?;
        let lends = task.leaves_nothing_old() && !task.rules.privileged;
        if lends && lend_access(&dir, stat) {
            dir = above.open_child(name)?;
        }
        let members = names(&dir)?;
        if task.may_delete_in(&self.path) {
            for member in members.iter() {
                let mut broom = super::leave::Broom {
                    task: self.task,
                    base: self.path.clone(),
                    dir: &dir,
                };
                let broom: &mut dyn Sweep = &mut broom;
                broom.remove(&dir, member)?;
            }
            if self.task.options.dry_run || names(&dir)?.is_empty() {
                return Ok(());
            }
        } else if members.is_empty() {
            return Ok(());
        }
        Err(Error::new(
            Kind::Exists,
            "a directory that is not empty stands in the way",
        )
        .subject(lossy(&dir.path()))
        .hint("remove it, or let the restore delete what is not in the snapshot"))
    }

    /// The existing file, where it is to be changed where it stands.
    fn writing_in_place(
        &self,
        dir: &Arc<Dir>,
        listed: &Listed,
        way: Way,
        existing: Option<&Stat>,
    ) -> Result<Option<Writing>> {
        let Node::File { size, .. } = listed.entry.node else {
            return Ok(None);
        };
        let wanted = self.task.options.in_place
            && way == Way::Write
            && existing.is_some_and(|stat| {
                stat.kind == StatKind::File && stat.size > IN_PLACE_MIN && stat.links == 1
            });
        if !wanted {
            return Ok(None);
        }
        let Some(mut writing) = Writing::in_place(dir, &listed.entry.name)? else {
            return Ok(None);
        };
        writing.resize(size)?;
        Ok(Some(writing))
    }

    fn shown_path(&self) -> Vec<u8> {
        if self.path.is_empty() {
            b"/".to_vec()
        } else {
            self.path.clone()
        }
    }
}
