//! Comparing two snapshots, or a path in each.

use crate::error::Result;
use crate::format::entry::Node;
use crate::format::snapshot::Snapshot;
pub use crate::look::{Change, Differences, Rename};
use crate::look::{Renames, Walk, changes, unified};
use crate::progress::Progress;
use crate::repository::{Listed, Repository};

/// Larger files are not compared line by line.
const TEXT_MAX: u64 = 1 << 20;

/// What to tell.
#[derive(Debug, Clone, Copy, Default)]
pub struct DiffOptions {
    /// Tell entries too of which only metadata differs.
    pub metadata: bool,
    /// Compare the lines of small text files whose content differs.
    pub content: bool,
}

/// A path in a snapshot.
#[derive(Debug, Clone, Copy)]
pub struct Place<'p> {
    /// The snapshot.
    pub snapshot: &'p Snapshot,
    /// Absolute raw path; `/` for everything.
    pub path: &'p [u8],
}

/// Numbers of one sort of change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Regular files.
    pub files: u64,
    /// Directories.
    pub dirs: u64,
    /// Everything else.
    pub others: u64,
    /// Sizes of the regular files.
    pub bytes: u64,
}

impl Tally {
    fn add(&mut self, listed: &Listed) {
        match &listed.entry.node {
            Node::File { size, .. } => {
                self.files += 1;
                self.bytes = self.bytes.saturating_add(*size);
            }
            Node::Directory(_) => self.dirs += 1,
            _ => self.others += 1,
        }
    }
}

/// What differs, in numbers.
#[derive(Debug, Clone, Default)]
pub struct DiffSummary {
    /// Only in the second.
    pub added: Tally,
    /// Only in the first.
    pub removed: Tally,
    /// Of another type or with another content, as they are in the second.
    pub changed: Tally,
    /// Bytes of these in the first.
    pub changed_bytes_before: u64,
    /// Entries of which only metadata differs.
    pub metadata_changed: u64,
    /// What seems to have been renamed; it is counted as removed and added too.
    pub renames: Vec<Rename>,
    /// There was too much to remember: some renames may not have been seen.
    pub renames_incomplete: bool,
    /// Pages of directories that were read.
    pub pages_read: u64,
}

impl DiffSummary {
    /// Whether anything differs at all.
    #[must_use]
    pub fn any(&self) -> bool {
        let none = Tally::default();
        self.added != none
            || self.removed != none
            || self.changed != none
            || self.metadata_changed > 0
    }
}

/// Hears of a change, with the hunks of a unified diff where lines were compared.
pub type OnChange<'e> = dyn FnMut(&Change<'_>, Option<&[u8]>) -> Result<()> + 'e;

/// Calls `each` with every change, and with the hunks of a unified diff where lines were compared; paths are those of
/// the second place.
///
/// # Errors
/// `NotFound` naming a path that is not in its snapshot, `Damage`, `Interrupted`, and whatever `each` returns.
pub fn run(
    repository: &Repository,
    before: Place<'_>,
    after: Place<'_>,
    options: &DiffOptions,
    progress: &dyn Progress,
    each: &mut OnChange<'_>,
) -> Result<DiffSummary> {
    progress.phase("diff");
    let mut summary = DiffSummary::default();
    let mut renames = Renames::default();
    let tops = (
        repository.find(before.snapshot, before.path)?,
        repository.find(after.snapshot, after.path)?,
    );
    let walk = Walk {
        path: after.path,
        removed_below: true,
    };
    let mut take = |change: Change<'_>| {
        renames.add(&change);
        count(&mut summary, &change);
        let is_metadata = change.before.is_some() && change.after.is_some() && !change.what.content;
        if is_metadata && !options.metadata {
            return Ok(());
        }
        let hunks = if options.content && change.what.content {
            hunks(repository, &change)?
        } else {
            None
        };
        each(&change, hunks.as_deref())
    };
    let (old, new) = (Some(tops.0), Some(tops.1));
    let pages_read = changes(repository, old, new, walk, progress, &mut take)?;
    summary.pages_read = pages_read;
    (summary.renames, summary.renames_incomplete) = renames.finish();
    Ok(summary)
}

fn count(summary: &mut DiffSummary, change: &Change<'_>) {
    match (&change.before, &change.after) {
        (None, Some(after)) => summary.added.add(after),
        (Some(before), None) => summary.removed.add(before),
        (Some(before), Some(after)) if change.what.content => {
            summary.changed.add(after);
            let mut old = Tally::default();
            old.add(before);
            summary.changed_bytes_before = summary.changed_bytes_before.saturating_add(old.bytes);
        }
        _ => summary.metadata_changed += 1,
    }
}

fn hunks(repository: &Repository, change: &Change<'_>) -> Result<Option<Vec<u8>>> {
    let (Some(before), Some(after)) = (&change.before, &change.after) else {
        return Ok(None);
    };
    let read = |listed| super::export::small(repository, listed, change.path, TEXT_MAX);
    let (Some(old), Some(new)) = (read(before)?, read(after)?) else {
        return Ok(None);
    };
    Ok(unified(&old, &new))
}
