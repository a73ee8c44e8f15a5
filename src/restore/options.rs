//! What a restore is asked to do, and what it says it did.

use std::collections::HashSet;
use std::path::PathBuf;

use crate::format::snapshot::Problem;

/// What to do with what is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overwrite {
    /// Replace it, whatever it is.
    Always,
    /// Leave the content where type, size and mtime are the snapshot's; metadata is set all the same.
    IfChanged,
    /// Replace it only where the snapshot's mtime is newer.
    IfNewer,
    /// Leave it alone, metadata too.
    Never,
}

/// How to restore.
#[derive(Debug, Clone)]
pub struct RestoreOptions {
    /// Absolute raw path in the snapshot whose inside goes to the target; none restores everything, paths kept whole.
    /// A path that is no directory goes to the target under its own name.
    pub path: Option<Vec<u8>>,
    /// Directory to restore to; made where it is not there.
    pub target: PathBuf,
    /// gitignore-style patterns, matched against the path in the snapshot.
    pub include: Vec<String>,
    /// The same, whatever the case.
    pub iinclude: Vec<String>,
    /// What to leave out; wins over what is included.
    pub exclude: Vec<String>,
    /// The same, whatever the case.
    pub iexclude: Vec<String>,
    /// What to do with what is there already.
    pub overwrite: Overwrite,
    /// Rewrite only the differing regions of existing large files; not atomic.
    pub in_place: bool,
    /// Delete what stands in a restored directory and is not in the snapshot. Directories that the snapshot holds
    /// only as the way to what it was asked for are left alone, and so is what it could not read.
    pub delete: bool,
    /// Say what would be done and write nothing.
    pub dry_run: bool,
    /// Read everything back and compare.
    pub verify: bool,
    /// Make holes of long runs of zeros too.
    pub sparse: bool,
    /// Owners: none means when root; by number instead of by name.
    pub ownership: Option<bool>,
    /// Take owners by their number, whatever their names.
    pub numeric_owner: bool,
    /// Make of the target a copy that is only read.
    pub read_only: Option<ReadOnly>,
}

/// A target that belongs to the restore alone and is only read in between, as a checkout: without permissions to
/// write, without setuid, setgid and file capabilities (an old program with a hole must not come back to life), and
/// with nothing in it that is not in the snapshot, wherever `delete` is asked for. What cannot be restored does not
/// leave an older version standing.
#[derive(Debug, Clone, Default)]
pub struct ReadOnly {
    /// Absolute raw paths in the snapshot that are written anew even where type, size and mtime are right.
    pub rewrite: HashSet<Vec<u8>>,
    /// A name in the target itself that is not the snapshot's: it stays, and is not restored.
    pub stays: Vec<u8>,
}

/// What was done, or would be. A file is anything but a directory, every name counted; bytes are sizes of regular
/// files, holes included, every name counted.
#[derive(Debug, Clone, Default)]
pub struct RestoreSummary {
    /// Written, or linked to what was written.
    pub files_restored: u64,
    /// There already as they should be; metadata was set where it differed.
    pub files_unchanged: u64,
    /// Left alone because something stands there already.
    pub files_skipped: u64,
    /// Removed because they are not in the snapshot, directories counted too.
    pub files_deleted: u64,
    /// Directories made or given their metadata.
    pub dirs: u64,
    /// Bytes written.
    pub bytes_restored: u64,
    /// Bytes that need not, or should not, be written.
    pub bytes_skipped: u64,
    /// Read back and found right.
    pub files_verified: u64,
    /// All that were wanted.
    pub total_files: u64,
    /// Their bytes.
    pub total_bytes: u64,
    /// What could not be done; the first thousand.
    pub problems: Vec<Problem>,
    /// All of them, the listed ones included.
    pub problem_count: u64,
    /// Some stored bytes were damaged or missing.
    pub damage: bool,
    /// How long it took.
    pub seconds: f64,
}
