//! Bringing files back.

use crate::error::Result;
use crate::format::snapshot::Snapshot;
use crate::progress::Progress;
use crate::repository::Repository;

pub use crate::restore::{Overwrite, ReadOnly, RestoreOptions, RestoreSummary};

/// Brings files back as `options` say.
///
/// # Errors
/// A path that is not in the snapshot, patterns that cannot be read, a target that cannot be written, a full disk,
/// the user's wish to stop. Whatever concerns single files stands in the summary.
pub fn run(
    repository: &Repository,
    snapshot: &Snapshot,
    options: &RestoreOptions,
    progress: &dyn Progress,
) -> Result<RestoreSummary> {
    crate::restore::run(repository, snapshot, options, progress)
}
