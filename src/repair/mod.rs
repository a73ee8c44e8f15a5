//! Mending a damaged repository: what can be read is kept or found again, what is lost is named, and afterwards nothing
//! refers to anything that is not there.
//!
//! Four steps, each sound by itself, so that a kill between any two leaves a repository that is no worse than before and
//! a second run goes on where the first ended:
//! 1. [`records`]: small shared records that cannot be read, each settled so that it can only keep more, never less;
//! 2. [`index`]: packs that no segment names are named again, then segments that cannot be read are removed;
//! 3. [`packs`]: what is whole in damaged packs is stored again, then the packs are put into a tombstone;
//! 4. [`snapshots`]: snapshots that need what is lost are taken again without it, then the damaged ones are forgotten.
//!
//! Nothing is deleted here but records and segments that nobody can read. Damaged packs go with a later sweep, damaged
//! snapshots can be taken back until then. Lost chunks do not exist for writers from then on, so the next snapshot of an
//! intact source stores them again, and whatever still names them is whole again.

mod collections;
mod index;
mod packs;
mod records;
mod remains;
mod snapshots;
mod survey;

use std::collections::HashSet;

use crate::error::{Error, Kind, Result};
use crate::format::records::SessionPurpose;
use crate::format::snapshot::Problem;
use crate::id::{ChunkId, PackId, SnapshotId};
use crate::progress::Progress;
use crate::repository::{Repository, Session};

/// Lines of each list that are kept; the rest are counted.
const LINES_KEPT: usize = 1000;

/// How to mend.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Read all packs; without it only those that hold pages, and of the others only their sizes.
    pub read_data: bool,
    /// Find out what would be done and change nothing.
    pub dry_run: bool,
    /// Do not forget the damaged snapshots that are replaced.
    pub keep: bool,
    /// Forget snapshots whose own record cannot be read.
    pub forget_unreadable: bool,
    /// Go on where most packs are missing.
    pub force: bool,
}

/// Something that was done, would be done in a dry run, or could not be done.
#[derive(Clone, Debug)]
pub struct Line {
    /// A stored file, or a snapshot.
    pub subject: String,
    /// What about it.
    pub what: String,
}

/// Lines, of which the first are kept.
#[derive(Clone, Debug, Default)]
pub struct Lines {
    /// The first of them.
    pub kept: Vec<Line>,
    /// All of them.
    pub count: u64,
}

impl Lines {
    fn push(&mut self, subject: impl Into<String>, what: impl Into<String>) {
        self.count += 1;
        if self.kept.len() < LINES_KEPT {
            self.kept.push(Line {
                subject: subject.into(),
                what: what.into(),
            });
        }
    }
}

/// A snapshot that was taken again without what is lost.
#[derive(Clone, Debug)]
pub struct Replaced {
    /// The damaged snapshot.
    pub original: SnapshotId,
    /// The one that stands for it; none in a dry run, and where nothing of it is left.
    pub replacement: Option<SnapshotId>,
    /// The first paths that are lost, with what of each.
    pub lost: Vec<Problem>,
    /// All of them.
    pub lost_count: u64,
}

/// What was done.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// What was done, or would be done.
    pub mended: Lines,
    /// What could not be mended, and why.
    pub left: Lines,
    /// Packs that segments name again.
    pub packs_named: u64,
    /// Segments that could not be read and were removed.
    pub segments_removed: u64,
    /// Packs that were read and verified.
    pub packs_read: u64,
    /// Bytes of them.
    pub bytes_read: u64,
    /// Packs that are damaged or missing and were put into a tombstone.
    pub packs_dropped: u64,
    /// Chunks of them that were stored again.
    pub chunks_saved: u64,
    /// Chunks of them that cannot be read and lie nowhere else; what a missing pack held is not counted.
    pub chunks_lost: u64,
    /// Living snapshots that were looked through.
    pub snapshots: u64,
    /// Snapshots that were taken again without what is lost.
    pub replaced: Vec<Replaced>,
}

/// What is lost for good, as far as steps 1 to 3 know.
#[derive(Default)]
struct Ground {
    /// Packs that are missing or damaged: nothing that lies only there counts.
    gone: HashSet<PackId>,
    /// Chunks that would have been stored again, were this no dry run.
    saved: HashSet<ChunkId>,
}

/// Mends.
///
/// # Errors
/// Where the storage fails, the user interrupts, or most packs are missing; what could not be mended is in the report.
pub fn repair(
    repository: &Repository,
    options: &Options,
    progress: &dyn Progress,
) -> Result<Report> {
    let mut report = Report::default();
    if !options.dry_run {
        repository.config().check_write()?;
    }
    progress.phase("repair records");
    records::mend(repository, options, progress, &mut report)?;
    let ground = if options.dry_run {
        stored_files(repository, None, options, progress, &mut report)?
    } else {
        // Of purpose Write, as all of repair's: it only adds, so neither it nor its corpse is in another repair's way.
        let session = repository.begin(SessionPurpose::Write)?;
        let done = stored_files(repository, Some(&session), options, progress, &mut report);
        session.end(repository);
        done?
    };
    progress.phase("repair snapshots");
    snapshots::mend(repository, options, &ground, progress, &mut report)?;
    for slot in repository.slots()? {
        if let Err(error) = repository.slot_cost(&slot.id, false) {
            let what = format!(
                "{}: remove this key and add it again (`duramen key`)",
                error.detail()
            );
            report.left.push(format!("keys/{}", slot.id.hex()), what);
        }
    }
    Ok(report)
}

/// Index and packs, in one session, or in none for a dry run.
fn stored_files(
    repository: &Repository,
    session: Option<&Session>,
    options: &Options,
    progress: &dyn Progress,
    report: &mut Report,
) -> Result<Ground> {
    progress.phase("repair index");
    let mut survey = survey::look(repository, progress)?;
    refuse_where_most_is_missing(&survey, options)?;
    index::mend(repository, session, &mut survey, progress, report)?;
    progress.phase("repair packs");
    packs::mend(repository, session, &survey, options, progress, report)
}

/// A folder that is not mounted looks like a repository that has lost everything.
fn refuse_where_most_is_missing(survey: &survey::Survey, options: &Options) -> Result<()> {
    let (missing, named) = (survey.missing().len(), survey.named.len());
    if options.force || missing * 2 <= named {
        return Ok(());
    }
    Err(Error::new(
        Kind::Conflict,
        format!("{missing} of {named} packs that the index names are missing; nothing was changed"),
    )
    .subject("packs")
    .hint("make sure that the whole repository is there (a disk that is not mounted?); if these packs really are lost, --force goes on without them"))
}
