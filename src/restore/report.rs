//! What a restore did, told from several threads at once.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use super::options::RestoreSummary;
use crate::error::{Error, Kind};
use crate::format::snapshot::{PathBytes, Problem};
use crate::progress::Progress;

/// Problems kept word by word; further ones are only counted.
const PROBLEMS_KEPT: usize = 1000;

/// Counts everything and hands problems on to whoever listens.
pub(super) struct Report<'p> {
    pub(super) progress: &'p dyn Progress,
    pub(super) restored: AtomicU64,
    pub(super) unchanged: AtomicU64,
    pub(super) skipped: AtomicU64,
    pub(super) deleted: AtomicU64,
    pub(super) dirs: AtomicU64,
    pub(super) bytes_restored: AtomicU64,
    pub(super) bytes_skipped: AtomicU64,
    pub(super) verified: AtomicU64,
    pub(super) total_files: AtomicU64,
    pub(super) total_bytes: AtomicU64,
    pub(super) bits_dropped: AtomicU64,
    pub(super) attributes_withheld: AtomicU64,
    problem_count: AtomicU64,
    damage: AtomicBool,
    problems: Mutex<Vec<Problem>>,
}

/// Adds without a fuss.
pub(super) fn add(counter: &AtomicU64, more: u64) {
    counter.fetch_add(more, Relaxed);
}

impl<'p> Report<'p> {
    pub(super) fn new(progress: &'p dyn Progress) -> Self {
        let zero = || AtomicU64::new(0);
        Self {
            progress,
            restored: zero(),
            unchanged: zero(),
            skipped: zero(),
            deleted: zero(),
            dirs: zero(),
            bytes_restored: zero(),
            bytes_skipped: zero(),
            verified: zero(),
            total_files: zero(),
            total_bytes: zero(),
            bits_dropped: zero(),
            attributes_withheld: zero(),
            problem_count: zero(),
            damage: AtomicBool::new(false),
            problems: Mutex::new(Vec::new()),
        }
    }

    /// Something about `path` (in the snapshot) could not be done.
    pub(super) fn problem(&self, mut path: Vec<u8>, error: &Error) {
        if path.is_empty() {
            path.push(b'/');
        }
        add(&self.problem_count, 1);
        self.progress.problem(error);
        let mut kept = self.problems.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < PROBLEMS_KEPT {
            kept.push(Problem {
                path: PathBytes(path),
                what: error.to_string(),
            });
        }
    }

    /// As [`Report::problem`], where the error comes from the repository: what is not stored as it was, is damage.
    pub(super) fn unreadable(&self, path: Vec<u8>, error: &Error) {
        if matches!(error.kind(), Kind::Damage | Kind::NotFound) {
            self.damage.store(true, Relaxed);
        }
        self.problem(path, error);
    }

    /// The whole, with the notes that go with it.
    pub(super) fn finish(self, seconds: f64) -> RestoreSummary {
        let dropped = self.bits_dropped.load(Relaxed);
        if dropped > 0 {
            self.progress.note(&format!(
                "{dropped} entries lost setuid or setgid because they have another owner here"
            ));
        }
        let withheld = self.attributes_withheld.load(Relaxed);
        if withheld > 0 {
            self.progress.note(&format!(
                "{withheld} attributes of the trusted and security namespaces were left out: only root may set them"
            ));
        }
        RestoreSummary {
            files_restored: self.restored.into_inner(),
            files_unchanged: self.unchanged.into_inner(),
            files_skipped: self.skipped.into_inner(),
            files_deleted: self.deleted.into_inner(),
            dirs: self.dirs.into_inner(),
            bytes_restored: self.bytes_restored.into_inner(),
            bytes_skipped: self.bytes_skipped.into_inner(),
            files_verified: self.verified.into_inner(),
            total_files: self.total_files.into_inner(),
            total_bytes: self.total_bytes.into_inner(),
            problems: self
                .problems
                .into_inner()
                .unwrap_or_else(PoisonError::into_inner),
            problem_count: self.problem_count.into_inner(),
            damage: self.damage.into_inner(),
            seconds,
        }
    }
}
