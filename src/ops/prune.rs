//! Freeing what no snapshot needs.

use crate::error::Result;
pub use crate::gc::{PruneOptions, PruneReport, Rewritten, Until, Unused, Wait, Who};
use crate::progress::Progress;
use crate::repository::Repository;

/// Prunes, or tells what a prune would do.
///
/// # Errors
/// [`crate::error::Kind::Damage`] where it is not certain what is needed: nothing more is deleted then. Whatever the
/// storage says.
pub fn run(
    repository: &Repository,
    options: &PruneOptions,
    dry_run: bool,
    progress: &dyn Progress,
) -> Result<PruneReport> {
    super::recall::tell(repository, !dry_run, progress)?;
    if dry_run {
        crate::gc::rehearse(repository, options, progress)
    } else {
        crate::gc::prune(repository, options, progress)
    }
}
