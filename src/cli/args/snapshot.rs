//! `duramen snapshot`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use duramen::clock::Nanos;
use duramen::format::snapshot::SnapshotKind;
use duramen::ops::level::Compression;

/// Take a snapshot of files, folders and MongoDB databases
#[derive(Debug, Args)]
#[command(
    visible_alias = "backup",
    long_about = "Takes a snapshot of the given files and folders: everything below them, with owners, modes, times, \
        links, holes, extended attributes and access lists. What the repository has already is not stored again.\n\n\
        An address that begins with mongodb:// is a MongoDB replica set: its collections as they were at one time, while \
        everybody goes on writing. Compared with the snapshot before, only documents that were touched since are read. A \
        database in the address is taken alone.\n\n\
        A file that cannot be read, changes or vanishes while it is read is named, the rest is stored, and the exit \
        code is 3. Where no repository is named and the default one does not exist yet, it is made.",
    after_help = "Examples:\n  \
        duramen snapshot /etc /home --exclude '*.tmp' --exclude-caches\n  \
        duramen snapshot ~/work --ignore-file .gitignore --tag work,daily\n  \
        find /data -name '*.db' -print0 | duramen snapshot --files-from-raw -\n  \
        duramen snapshot --stdin-from-command --stdin-filename all.sql -- pg_dumpall\n  \
        duramen snapshot /srv --dry-run -v\n  \
        duramen snapshot /etc mongodb://localhost/shop --ns-exclude 'shop.tmp*'\n\n\
        Patterns are written as in .gitignore: a pattern without a slash matches a name at any depth, one that \
        begins with a slash matches from the root, ** matches any depth, ! takes back."
)]
pub struct SnapshotArgs {
    /// What to read; with --stdin-from-command the command and its arguments
    #[arg(value_name = "PATH|mongodb://ADDRESS", value_hint = clap::ValueHint::AnyPath)]
    pub paths: Vec<OsString>,

    /// Read paths from a file ('-': standard input), one a line; lines that begin with '#' are comments
    #[arg(long, value_name = "FILE", help_heading = "What to read", value_hint = clap::ValueHint::FilePath)]
    pub files_from: Vec<PathBuf>,

    /// Read paths from a file ('-': standard input), each ended by a NUL
    #[arg(long, value_name = "FILE", help_heading = "What to read", value_hint = clap::ValueHint::FilePath)]
    pub files_from_raw: Vec<PathBuf>,

    /// Store standard input as one file
    #[arg(long, help_heading = "What to read", conflicts_with_all = ["paths", "files_from", "files_from_raw", "stdin_from_command"])]
    pub stdin: bool,

    /// Store what a command prints as one file; a command that fails makes no snapshot
    #[arg(long, help_heading = "What to read", requires = "paths", conflicts_with_all = ["files_from", "files_from_raw"])]
    pub stdin_from_command: bool,

    /// Name of that file
    #[arg(
        long,
        value_name = "NAME",
        help_heading = "What to read",
        default_value = "stdin"
    )]
    pub stdin_filename: OsString,

    /// Leave out what matches the pattern (repeatable)
    #[arg(
        long,
        short = 'e',
        value_name = "PATTERN",
        help_heading = "What to leave out"
    )]
    pub exclude: Vec<String>,

    /// The same, whatever the case
    #[arg(long, value_name = "PATTERN", help_heading = "What to leave out")]
    pub iexclude: Vec<String>,

    /// Read such patterns from a file, one a line (repeatable)
    #[arg(long, value_name = "FILE", help_heading = "What to leave out", value_hint = clap::ValueHint::FilePath)]
    pub exclude_file: Vec<PathBuf>,

    /// Leave out the inside of folders that hold a file NAME (which begins with HEADER)
    #[arg(long, value_name = "NAME[:HEADER]", help_heading = "What to leave out")]
    pub exclude_if_present: Vec<String>,

    /// Leave out the inside of folders that a CACHEDIR.TAG marks as caches
    #[arg(long, help_heading = "What to leave out")]
    pub exclude_caches: bool,

    /// Leave out files larger than this: 500K, 10M, 1.5GiB
    #[arg(long, value_name = "SIZE", help_heading = "What to leave out", value_parser = size)]
    pub exclude_larger_than: Option<u64>,

    /// Obey files of patterns of this name in the tree itself: .gitignore (repeatable)
    #[arg(long, value_name = "NAME", help_heading = "What to leave out")]
    pub ignore_file: Vec<String>,

    /// Stay on the file systems of the given paths
    #[arg(long, short = 'x', help_heading = "What to leave out")]
    pub one_file_system: bool,

    /// Take only collections of MongoDB that fit: DATABASE.COLLECTION, * stands for anything (repeatable)
    #[arg(long, value_name = "PATTERN", help_heading = "MongoDB")]
    pub ns_include: Vec<String>,

    /// Leave out collections of MongoDB that fit (repeatable)
    #[arg(long, value_name = "PATTERN", help_heading = "MongoDB")]
    pub ns_exclude: Vec<String>,

    /// Take the users and roles of MongoDB too; the server asks more rights for it
    #[arg(long, help_heading = "MongoDB")]
    pub users: bool,

    /// Keep nothing of what happened in MongoDB since the snapshot before: no second between the two can be had back
    #[arg(long, help_heading = "MongoDB")]
    pub no_oplog: bool,

    /// Compare about so many documents that nothing changed with MongoDB; where one differs, its collection is read anew
    #[arg(
        long,
        value_name = "NUMBER",
        default_value_t = 0,
        hide_default_value = true,
        help_heading = "MongoDB"
    )]
    pub scrub_sample: u64,

    /// Read from MongoDB at most so fast: 10M (a second), or a plain number of KiB a second
    #[arg(long, value_name = "RATE", value_parser = super::rate, help_heading = "MongoDB")]
    pub max_read_rate: Option<super::Rate>,

    /// Tags for the snapshot, comma separated (repeatable)
    #[arg(long = "tag", value_name = "TAGS", value_delimiter = ',')]
    pub tags: Vec<String>,

    /// Host name to record instead of this machine's
    #[arg(long, short = 'H', value_name = "HOST")]
    pub host: Option<String>,

    /// Time to record: 2026-11-20T14:00:00Z, or in local time "2026-11-20 14:00:00"
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub time: Option<Nanos>,

    /// Which snapshot to compare with: the latest of the same paths and host, the latest full one, or none
    #[arg(long = "type", value_name = "TYPE", value_enum, default_value_t = KindArg::Incremental)]
    pub kind: KindArg,

    /// Compare with this snapshot instead
    #[arg(long, value_name = "SNAPSHOT")]
    pub parent: Option<String>,

    /// Read every file, whatever the parent says
    #[arg(long, short)]
    pub force: bool,

    /// Do everything but store
    #[arg(long, short = 'n')]
    pub dry_run: bool,

    /// off, fast, default, small, or a zstd level from 0 (off) to 22
    ///
    /// small stores a sixth to a fifth less than default of what shrinks at all, and takes 15 to 50 times as long; fast stores
    /// 6 to 11 % more and takes up to a tenth less time.
    #[arg(long, value_name = "LEVEL", default_value = "default", value_parser = level)]
    pub compression: Compression,

    /// Do not take another inode number for a change (network file systems)
    #[arg(long)]
    pub ignore_inode: bool,

    /// Do not take another inode change time for a change
    #[arg(long)]
    pub ignore_ctime: bool,

    /// Store database dumps (mongodump, mongoexport, JSON) like any other file
    ///
    /// Of a dump that was written anew, only documents that the parent's version of it does not hold are stored.
    #[arg(long)]
    pub no_dumps: bool,
}

/// `--type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum KindArg {
    /// Read everything
    Full,
    /// Compare with the latest snapshot of the same paths and host
    Incremental,
    /// Compare with the latest full one
    Differential,
}

impl From<KindArg> for SnapshotKind {
    fn from(kind: KindArg) -> Self {
        match kind {
            KindArg::Full => SnapshotKind::Full,
            KindArg::Incremental => SnapshotKind::Incremental,
            KindArg::Differential => SnapshotKind::Differential,
        }
    }
}

pub fn level(text: &str) -> Result<Compression, String> {
    duramen::ops::level::parse(text).map_err(|error| super::plain(&error))
}

fn size(text: &str) -> Result<u64, String> {
    crate::cli::size::parse(text).map_err(|error| super::plain(&error))
}

fn time(text: &str) -> Result<Nanos, String> {
    crate::cli::time::parse(text).map_err(|error| super::plain(&error))
}
