//! Checking a repository.

pub use crate::check::Finding;
use crate::error::Result;
use crate::progress::Progress;
use crate::repository::Repository;

/// How deep to look.
#[derive(Debug, Clone, Default)]
pub struct CheckOptions {
    /// Read and verify every pack, not the structure alone.
    pub read_data: bool,
}

/// What was looked at, and what was found.
#[derive(Debug, Clone, Default)]
pub struct CheckSummary {
    /// Committed snapshots.
    pub snapshots: u64,
    /// Packs in the storage.
    pub packs: u64,
    /// Segments of the index.
    pub segments: u64,
    /// Chunks that segments name.
    pub chunks: u64,
    /// Different pages of trees and lists.
    pub trees: u64,
    /// Bytes of packs read and verified.
    pub bytes_read: u64,
    /// The first thousand findings.
    pub findings: Vec<Finding>,
    /// All findings.
    pub finding_count: u64,
    /// Those that are damage: anything but 0 means exit code 4.
    pub damage_count: u64,
    /// How long it took.
    pub seconds: f64,
}

/// Checks the repository.
///
/// # Errors
/// Only what makes checking impossible; damage is in the summary.
pub fn run(
    repository: &Repository,
    options: &CheckOptions,
    progress: &dyn Progress,
) -> Result<CheckSummary> {
    let clock = &repository.environment().clock;
    let start = clock.elapsed();
    let report = crate::check::check(repository, options.read_data, progress)?;
    Ok(CheckSummary {
        snapshots: report.snapshots,
        packs: report.packs,
        segments: report.segments,
        chunks: report.chunks,
        trees: report.trees,
        bytes_read: report.bytes_read,
        findings: report.findings,
        finding_count: report.finding_count,
        damage_count: report.damage_count,
        seconds: (clock.elapsed() - start).as_secs_f64(),
    })
}
