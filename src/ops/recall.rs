//! Telling what this machine remembers and the storage does not show any more.

use crate::error::Result;
use crate::progress::Progress;
use crate::repository::Repository;

/// Names every snapshot that this machine saw and that is gone unexplained, and remembers those that are new.
///
/// # Errors
/// [`crate::error::Kind::Damage`] for a key ring that was put back or made up, where `writing`; whatever the storage says.
pub fn tell(repository: &Repository, writing: bool, progress: &dyn Progress) -> Result<()> {
    let recalled = repository.recall()?;
    if writing {
        recalled.refuse_ring()?;
    }
    let errors = recalled.errors();
    for error in &errors {
        progress.problem(error);
    }
    if !errors.is_empty() {
        progress.note(&recalled.cure());
    }
    if let Some(error) = &recalled.unkept {
        progress.note(&format!(
            "this machine will not remember what it saw: {error}"
        ));
    }
    Ok(())
}
