//! Checking a repository.

use super::select::{self, Filter};
use crate::check::Options;
pub use crate::check::{Finding, ReadData};
use crate::crypto::random;
use crate::error::{Error, Kind, Result};
use crate::format::records::Fact;
use crate::progress::Progress;
use crate::repository::Repository;

/// How deep to look.
#[derive(Debug, Clone, Default)]
pub struct CheckOptions {
    /// Names of snapshots: only what they need is looked at; none means everything.
    pub snapshots: Vec<String>,
    /// Which packs to read and verify; the structure alone is looked at where none.
    pub read: ReadData,
    /// Which packs a random subset takes; drawn anew where not given.
    pub seed: Option<u64>,
    /// Records with each snapshot that was found whole, all its data read, that it was verified.
    pub record: bool,
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
    /// Packs read and verified.
    pub packs_read: u64,
    /// Their bytes.
    pub bytes_read: u64,
    /// What a random subset was drawn from.
    pub seed: Option<u64>,
    /// Snapshots with which it was recorded that they were verified.
    pub recorded: u64,
    /// The first thousand findings.
    pub findings: Vec<Finding>,
    /// All findings.
    pub finding_count: u64,
    /// Those that are damage: anything but 0 means exit code 4.
    pub damage_count: u64,
    /// How long it took.
    pub seconds: f64,
}

/// Checks the repository, or the named snapshots.
///
/// # Errors
/// [`Kind::Usage`] for a subset that is to be recorded, [`Kind::NotFound`] for a snapshot that is not there, and what
/// makes checking impossible; damage is in the summary.
pub fn run(
    repository: &Repository,
    options: &CheckOptions,
    progress: &dyn Progress,
) -> Result<CheckSummary> {
    let clock = &repository.environment().clock;
    let start = clock.elapsed();
    if options.record && options.read != ReadData::All {
        return Err(Error::new(
            Kind::Usage,
            "only a check that reads all data can be recorded with the snapshots",
        )
        .hint("say --read-data too"));
    }
    let chosen = (!options.snapshots.is_empty())
        .then(|| {
            let names = options.snapshots.iter();
            names
                .map(|name| select::one(repository, name, &Filter::default()))
                .collect::<Result<Vec<_>>>()
        })
        .transpose()?;
    let seed = match options.seed {
        Some(seed) => seed,
        None => u64::from_le_bytes(random::array()?),
    };
    // What is listed now is what is verified: a snapshot that comes meanwhile is not.
    let verified = match (&chosen, options.record) {
        (_, false) => Vec::new(),
        (Some(chosen), true) => chosen.clone(),
        (None, true) => select::list(repository, &Filter::default())?,
    };
    let what = Options {
        snapshots: chosen,
        read: options.read,
        seed,
    };
    let report = crate::check::check(repository, &what, progress)?;
    let mut recorded = 0;
    if report.damage_count == 0 {
        for snapshot in &verified {
            repository.annotate(&snapshot.id, Fact::Verified { whole: true })?;
            recorded += 1;
        }
    }
    Ok(CheckSummary {
        snapshots: report.snapshots,
        packs: report.packs,
        segments: report.segments,
        chunks: report.chunks,
        trees: report.trees,
        packs_read: report.files_read,
        bytes_read: report.bytes_read,
        seed: options.read.is_random().then_some(seed),
        recorded,
        findings: report.findings,
        finding_count: report.finding_count,
        damage_count: report.damage_count,
        seconds: (clock.elapsed() - start).as_secs_f64(),
    })
}
