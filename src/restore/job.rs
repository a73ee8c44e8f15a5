//! One name being restored: its content may come in any order and from several threads.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::links::{Fate, First};
use super::report::add;
use super::task::Task;
use crate::error::{Error, Result};
use crate::format::entry::{Content, Node};
use crate::fs::{Dir, Identity};
use crate::repository::Listed;
use crate::target::files::{self as target, Meta, Special, Writing, apply_to_member, make, unlink};

/// Files that stay open at once while their content comes in.
const OPEN_MAX: usize = 256;

/// How the name comes to be what it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// Written anew.
    Write,
    /// The content is right already; only the metadata of this inode is set.
    Correct(Identity),
}

/// One name that is no directory.
pub(super) struct Job {
    pub(super) dir: Arc<Dir>,
    pub(super) listed: Listed,
    pub(super) way: Way,
    /// The existing file is changed where it stands.
    pub(super) in_place: bool,
    /// Where further names wait for this one.
    first: Option<Arc<First>>,
    /// Pieces that are missing, and one more until all are known.
    missing: AtomicU64,
    /// Set with the first failure: its further pieces need not be read.
    given_up: AtomicBool,
    state: Mutex<State>,
}

struct State {
    writing: Option<Writing>,
    fate: Fate,
    /// Runs of data for which room should be found in one piece.
    reserve: Vec<Range<u64>>,
}

impl Job {
    pub(super) fn new(dir: Arc<Dir>, listed: Listed, way: Way) -> Self {
        Self {
            dir,
            listed,
            way,
            in_place: false,
            first: None,
            missing: AtomicU64::new(1),
            given_up: AtomicBool::new(false),
            state: Mutex::new(State {
                writing: None,
                fate: Fate::Open,
                reserve: Vec::new(),
            }),
        }
    }

    /// Changes the existing file that `writing` is, instead of replacing it.
    pub(super) fn in_place(mut self, writing: Writing) -> Self {
        self.in_place = true;
        self.state().writing = Some(writing);
        self
    }

    /// Tells `first` what becomes of it.
    pub(super) fn telling(mut self, first: Option<Arc<First>>) -> Self {
        self.first = first;
        self
    }

    pub(super) fn name(&self) -> &[u8] {
        &self.listed.entry.name
    }

    /// Bytes of a regular file; 0 for all else.
    pub(super) fn size(&self) -> u64 {
        match self.listed.entry.node {
            Node::File { size, .. } => size,
            _ => 0,
        }
    }

    pub(super) fn fate(&self) -> Fate {
        self.state().fate
    }

    pub(super) fn given_up(&self) -> bool {
        self.given_up.load(SeqCst)
    }

    pub(super) fn path(&self, task: &Task<'_>) -> Vec<u8> {
        task.snapshot_path(&self.dir, self.name())
    }

    /// One more piece will come.
    pub(super) fn expect_piece(&self) {
        self.missing.fetch_add(1, SeqCst);
    }

    /// One piece (or the hold that [`Job::new`] has) is done; true for the last, whose caller must finish the job.
    pub(super) fn piece_done(&self) -> bool {
        self.missing.fetch_sub(1, SeqCst) == 1
    }

    /// Room for `range` will be needed.
    pub(super) fn reserve(&self, range: Range<u64>) {
        self.state().reserve.push(range);
    }

    /// Gives up: what has been written goes. Only the first failure is told.
    ///
    /// # Errors
    /// `error` where it ends the restore.
    pub(super) fn fail(&self, task: &Task<'_>, error: Error, stored: bool) -> Result<()> {
        if crate::target::files::ends_everything(&error) {
            return Err(error);
        }
        let mut state = self.state();
        if self.given_up.swap(true, SeqCst) {
            return Ok(());
        }
        state.writing = None;
        drop(state);
        if task.leaves_nothing_old() && self.way == Way::Write {
            // Where it cannot be removed either, the problem told below says enough.
            let _ = unlink(&self.dir, self.name());
        }
        self.decide(if stored { Fate::Damaged } else { Fate::Failed });
        let error = if self.in_place {
            Error::new(error.kind(), "not restored, and perhaps rewritten in part")
                .subject(super::task::lossy(&self.dir.path_of(self.name())))
                .cause(error)
                .hint("restore it again from another snapshot or repository, without rewriting in place")
        } else {
            error
        };
        if stored {
            task.report.unreadable(self.path(task), &error);
        } else {
            task.report.problem(self.path(task), &error);
        }
        Ok(())
    }

    /// Reads what stands in an existing file; none where the job has been given up.
    ///
    /// # Errors
    /// Names the path.
    pub(super) fn read(&self, offset: u64, buffer: &mut [u8]) -> Result<Option<usize>> {
        match &mut self.state().writing {
            Some(writing) => writing.read(offset, buffer).map(Some),
            None => Ok(None),
        }
    }

    /// Turns a part of an existing file into a hole.
    ///
    /// # Errors
    /// Names the path.
    pub(super) fn punch(&self, range: Range<u64>) -> Result<()> {
        match &mut self.state().writing {
            Some(writing) => writing.punch(range),
            None => Ok(()),
        }
    }

    /// Writes one piece.
    ///
    /// # Errors
    /// Names the path.
    pub(super) fn write(
        self: &Arc<Self>,
        task: &Task<'_>,
        pool: &Pool,
        offset: u64,
        bytes: &[u8],
    ) -> Result<()> {
        let mut state = self.state();
        if self.given_up() {
            return Ok(());
        }
        // The only piece of a small file: it will be closed at once, and needs no room kept for it.
        let whole = offset == 0 && bytes.len() as u64 == self.size();
        let reserve = std::mem::take(&mut state.reserve);
        let sparse = task.rules.sparse;
        let opened = !state.writing.as_ref().is_some_and(Writing::is_open);
        let mut writing = match state.writing.take() {
            Some(writing) => writing,
            None => Writing::fresh(&self.dir, self.name())?,
        };
        for range in reserve {
            writing.reserve(range)?;
        }
        writing.write(offset, bytes, sparse && !self.in_place)?;
        state.writing = Some(writing);
        drop(state);
        if opened && !whole {
            pool.opened(self);
        }
        Ok(())
    }

    /// All content is there: sets the metadata and lets it appear under its name.
    ///
    /// # Errors
    /// One that ends the restore; anything else is told as a problem.
    pub(super) fn finish(&self, task: &Task<'_>) -> Result<()> {
        if self.given_up() {
            return Ok(());
        }
        let path = || self.path(task);
        let meta = task.meta(&self.listed, Some(&path));
        match self.appear(task, &meta) {
            Ok(applied) => {
                self.decide(Fate::Done(applied.identity));
                if matches!(self.way, Way::Correct(_)) {
                    add(&task.report.unchanged, 1);
                    task.skip_bytes(self.size());
                } else {
                    add(&task.report.restored, 1);
                }
                task.progress.advance(1, 0);
                task.note_applied(applied, path)
            }
            Err(error) => self.fail(task, error, false),
        }
    }

    fn appear(&self, task: &Task<'_>, meta: &Meta) -> Result<crate::target::files::Applied> {
        let (dir, name, rules) = (&self.dir, self.name(), task.rules);
        if let Way::Correct(identity) = self.way {
            return apply_to_member(dir, name, meta, rules, |stat| {
                target::identity(stat) == identity
            });
        }
        let special = match &self.listed.entry.node {
            Node::File { size, content } => {
                let mut writing = match self.state().writing.take() {
                    Some(writing) => writing,
                    None => Writing::fresh(dir, name)?,
                };
                if let Content::Inline(bytes) = content {
                    writing.write(0, bytes, false)?;
                    task.restored_bytes(*size);
                }
                // A hole at the end has left no trace of its length.
                writing.resize(*size)?;
                return writing.finish(meta, rules);
            }
            Node::Symlink { target } => Special::Symlink(target),
            Node::Fifo => Special::Fifo,
            Node::Socket => Special::Socket,
            Node::CharDevice { major, minor } => Special::CharDevice(*major, *minor),
            Node::BlockDevice { major, minor } => Special::BlockDevice(*major, *minor),
            Node::Directory(_) => {
                return Err(Error::new(
                    crate::error::Kind::Failed,
                    "a directory is no member",
                ));
            }
        };
        make(dir, name, special, meta, rules)
    }

    fn decide(&self, fate: Fate) {
        self.state().fate = fate;
        if let Some(first) = &self.first {
            first.decide(fate);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Closes files that have not been written for a while, so that a window of thousands of large files needs only a
/// few descriptors.
#[derive(Default)]
pub(super) struct Pool(Mutex<VecDeque<Weak<Job>>>);

impl Pool {
    /// Notes that `job` holds a descriptor now.
    pub(super) fn opened(&self, job: &Arc<Job>) {
        let mut queue = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        queue.push_back(Arc::downgrade(job));
        while queue.len() > OPEN_MAX {
            let Some(oldest) = queue.pop_front().and_then(|oldest| oldest.upgrade()) else {
                continue;
            };
            // One that is being written this moment is not idle.
            match oldest.state.try_lock() {
                Ok(mut state) => {
                    if let Some(writing) = &mut state.writing {
                        writing.close();
                    }
                }
                Err(_) => {
                    queue.push_back(Arc::downgrade(&oldest));
                    break;
                }
            }
        }
    }
}
