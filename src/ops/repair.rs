//! Mending what is damaged: a use case of its own, because it is the one that admits losses.

use crate::error::Result;
use crate::progress::Progress;
pub use crate::repair::{Line, Lines, Options as RepairOptions, Replaced, Report};
use crate::repository::Repository;

/// What was done.
#[derive(Debug, Clone, Default)]
pub struct RepairSummary {
    /// Everything that was mended, lost or left.
    pub report: Report,
    /// Seconds that it took.
    pub seconds: f64,
}

impl RepairSummary {
    /// Whether something was lost, or is still damaged.
    #[must_use]
    pub fn admits_loss(&self) -> bool {
        self.report.left.count > 0 || !self.report.replaced.is_empty()
    }
}

/// Mends.
///
/// # Errors
/// Where the storage fails, the user interrupts, or most packs are missing; what could not be mended is in the summary.
pub fn run(
    repository: &Repository,
    options: &RepairOptions,
    progress: &dyn Progress,
) -> Result<RepairSummary> {
    let clock = &repository.environment().clock;
    let start = clock.elapsed();
    let report = crate::repair::repair(repository, options, progress)?;
    Ok(RepairSummary {
        report,
        seconds: (clock.elapsed() - start).as_secs_f64(),
    })
}
