//! Bringing files back.
use crate::error::Result;
use crate::format::snapshot::{Problem, Snapshot};
use crate::progress::Progress;
use crate::repository::Repository;
use std::path::PathBuf;

/// What to do with what is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overwrite {
    Always,
    IfChanged,
    IfNewer,
    Never,
}

/// How to restore.
#[derive(Debug, Clone)]
pub struct RestoreOptions {
    /// Absolute raw path in the snapshot whose inside goes to the target; none restores everything, paths kept whole.
    pub path: Option<Vec<u8>>,
    pub target: PathBuf,
    /// gitignore-style patterns, matched against the path in the snapshot.
    pub include: Vec<String>,
    pub iinclude: Vec<String>,
    pub exclude: Vec<String>,
    pub iexclude: Vec<String>,
    pub overwrite: Overwrite,
    /// Rewrite only the differing regions of existing large files; not atomic.
    pub in_place: bool,
    /// Delete what stands in a restored directory and is not in the snapshot.
    pub delete: bool,
    pub dry_run: bool,
    /// Read everything back and compare.
    pub verify: bool,
    /// Make holes of long runs of zeros too.
    pub sparse: bool,
    /// Owners: None = when root; by number instead of by name.
    pub ownership: Option<bool>,
    pub numeric_owner: bool,
}

/// What was done.
#[derive(Debug, Clone, Default)]
pub struct RestoreSummary {
    pub files_restored: u64,
    pub files_unchanged: u64,
    pub files_skipped: u64,
    pub files_deleted: u64,
    pub dirs: u64,
    pub bytes_restored: u64,
    pub bytes_skipped: u64,
    pub files_verified: u64,
    pub total_files: u64,
    pub total_bytes: u64,
    pub problems: Vec<Problem>,
    pub problem_count: u64,
    /** some stored bytes were damaged */
    pub damage: bool,
    pub seconds: f64,
}

pub fn run(
    _repository: &Repository,
    _snapshot: &Snapshot,
    _options: &RestoreOptions,
    _progress: &dyn Progress,
) -> Result<RestoreSummary> {
    unimplemented!()
}
