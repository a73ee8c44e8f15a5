//! Scrubbing the stored files of a repository, without a key.

use super::check::Finding;
use super::open::OpenOptions;
use crate::error::Result;
use crate::progress::Progress;

/// What was looked at, and what was found.
#[derive(Debug, Clone, Default)]
pub struct ScrubSummary {
    /// Where the repository is, for people.
    pub location: String,
    /// Stored files of all kinds.
    pub files: u64,
    /// Those of them that are packs.
    pub packs: u64,
    /// Those that are segments of the index.
    pub segments: u64,
    /// Those that are snapshot records.
    pub snapshots: u64,
    /// Bytes read.
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

/// Reads every stored file and compares it with its own hash and name; asks for no credential and uses none.
///
/// # Errors
/// `NoRepository`, and only what makes it impossible; damage is in the summary.
pub fn run(options: &OpenOptions, progress: &dyn Progress) -> Result<ScrubSummary> {
    let (storage, environment) = (options.storage()?, options.environment());
    let start = environment.clock.elapsed();
    let report = crate::check::scrub(&*storage, environment.threads, progress)?;
    Ok(ScrubSummary {
        location: storage.describe(),
        files: report.files_read,
        packs: report.packs,
        segments: report.segments,
        snapshots: report.snapshots,
        bytes_read: report.bytes_read,
        findings: report.findings,
        finding_count: report.finding_count,
        damage_count: report.damage_count,
        seconds: (environment.clock.elapsed() - start).as_secs_f64(),
    })
}
