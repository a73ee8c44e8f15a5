//! `duramen restore`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use duramen::ops::restore::Overwrite;

use super::{AtArgs, DocumentArgs, FilterArgs};

/// Bring files, folders and MongoDB collections back
#[derive(Debug, Args)]
#[command(
    long_about = "Restores a snapshot, or a path in it, below a folder. Without a path all paths are kept whole: \
        /etc/hosts comes back as TARGET/etc/hosts. With one, the inside of it goes straight into the target: \
        SNAP:/etc puts hosts at TARGET/hosts.\n\n\
        SNAP is latest, latest~2, the first digits of an id (4 or more), or @2026-11-20T14:00 for the latest at or \
        before that time. A file appears whole or not at all, and nothing is ever written outside the target. \
        Whatever could not be restored is named and makes the exit code 1, damaged data makes it 4.\n\n\
        Into a mongodb:// address come the collections of the snapshot: what is not there is made, with its options and \
        indexes. A document that is there and differs is left, unless --conflict says otherwise; one that is there and is \
        the same is not written again, so the same command goes on where it was stopped. A database in the address, or \
        behind the snapshot (SNAP:shop, SNAP:shop.quotes), is the only one that comes back.",
    after_help = "Examples:\n  \
        duramen restore latest --target /tmp/back\n  \
        duramen restore latest:/etc -t /tmp/etc --include '*.conf'\n  \
        duramen restore latest -t / --overwrite if-changed     (in place)\n  \
        duramen restore @2026-11-20T14:00:/srv/www -t /srv/www --delete --dry-run\n  \
        duramen restore 3f2a9c -t /mnt/new --verify\n  \
        duramen restore latest -t mongodb://localhost --ns-from 'shop.*' --ns-to 'shop_old.*'\n  \
        duramen restore latest:shop.quotes -t mongodb://localhost --id 1017 --conflict overwrite\n  \
        duramen restore latest -t mongodb://localhost --at '2026-11-20 14:31:07'\n  \
        duramen restore latest -t mongodb://localhost --where status=open --since 2026-11-01 --date-field created -n"
)]
pub struct RestoreArgs {
    /// Which snapshot, and which path in it
    #[arg(value_name = "SNAP[:PATH]")]
    pub snapshot: OsString,

    /// Folder to restore into, or address of a MongoDB server
    #[arg(long, short, value_name = "FOLDER|mongodb://ADDRESS", value_hint = clap::ValueHint::DirPath)]
    pub target: PathBuf,

    /// Restore only what matches the pattern (repeatable)
    #[arg(long, short = 'i', value_name = "PATTERN")]
    pub include: Vec<String>,

    /// The same, whatever the case
    #[arg(long, value_name = "PATTERN")]
    pub iinclude: Vec<String>,

    /// Leave out what matches the pattern (repeatable)
    #[arg(long, short = 'e', value_name = "PATTERN")]
    pub exclude: Vec<String>,

    /// The same, whatever the case
    #[arg(long, value_name = "PATTERN")]
    pub iexclude: Vec<String>,

    /// What to do with files that are there already
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = OverwriteArg::Always)]
    pub overwrite: OverwriteArg,

    /// Rewrite only the differing regions of large files; a file in use is torn while it runs
    #[arg(long)]
    pub in_place: bool,

    /// Delete what stands in restored folders and is not in the snapshot
    #[arg(long)]
    pub delete: bool,

    /// Do everything but write
    #[arg(long, short = 'n')]
    pub dry_run: bool,

    /// Read everything back afterwards and compare
    #[arg(long)]
    pub verify: bool,

    /// Make holes of long runs of zeros too
    #[arg(long)]
    pub sparse: bool,

    /// Restore owners (root does so anyway)
    #[arg(long, overrides_with = "no_ownership")]
    pub ownership: bool,

    /// Leave everything to whoever restores
    #[arg(long)]
    pub no_ownership: bool,

    /// Take owners by number instead of by name
    #[arg(long)]
    pub numeric_owner: bool,

    /// What of MongoDB.
    #[command(flatten)]
    pub mongo: MongoArgs,

    /// Which one.
    #[command(flatten)]
    pub filter: FilterArgs,
}

/// What is brought back of a MongoDB deployment, and how.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "MongoDB")]
pub struct MongoArgs {
    /// Only collections that fit: DATABASE.COLLECTION, * stands for anything (repeatable)
    #[arg(long, value_name = "PATTERN")]
    pub ns_include: Vec<String>,

    /// No collections that fit (repeatable)
    #[arg(long, value_name = "PATTERN")]
    pub ns_exclude: Vec<String>,

    /// Bring what fits back under another name (repeatable, with as many --ns-to)
    #[arg(long, value_name = "PATTERN")]
    pub ns_from: Vec<String>,

    /// That name; its stars stand for what those of --ns-from stand for
    #[arg(long, value_name = "PATTERN")]
    pub ns_to: Vec<String>,

    /// Bring users and roles back too; those that are there stay as they are, but for --conflict overwrite
    #[arg(long)]
    pub users: bool,

    /// As it was when.
    #[command(flatten)]
    pub at: AtArgs,

    /// Which documents.
    #[command(flatten)]
    pub documents: DocumentArgs,

    /// What to do with documents that are there and differ
    #[arg(long, value_name = "WHAT", value_enum)]
    pub conflict: Option<ConflictArg>,

    /// The field by which --conflict newest decides
    #[arg(long, value_name = "FIELD")]
    pub newest_field: Option<String>,

    /// Make no indexes
    #[arg(long)]
    pub no_indexes: bool,

    /// Do not read back documents that were not there before
    #[arg(long)]
    pub no_verify: bool,

    /// Do not make indexes that let documents expire, but say how they are made
    #[arg(long)]
    pub defer_ttl: bool,

    /// Keep nothing of what is overwritten: the restore cannot be taken back with duramen rollback
    #[arg(long)]
    pub no_safety: bool,

    /// Write a report too: Markdown, or JSON where the file's name ends so
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub report: Option<PathBuf>,
}

/// `--conflict`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ConflictArg {
    /// Leave them
    Skip,
    /// Make them those of the snapshot
    Overwrite,
    /// Add the fields that they lack
    Merge,
    /// Take the one whose field (--newest-field) is greater
    Newest,
}

/// `--overwrite`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OverwriteArg {
    /// Replace them
    Always,
    /// Replace those that differ in size or time
    IfChanged,
    /// Replace those that are older
    IfNewer,
    /// Leave them
    Never,
}

impl From<OverwriteArg> for Overwrite {
    fn from(when: OverwriteArg) -> Self {
        match when {
            OverwriteArg::Always => Overwrite::Always,
            OverwriteArg::IfChanged => Overwrite::IfChanged,
            OverwriteArg::IfNewer => Overwrite::IfNewer,
            OverwriteArg::Never => Overwrite::Never,
        }
    }
}
