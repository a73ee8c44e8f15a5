//! `duramen restore`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use duramen::ops::restore::Overwrite;

use super::FilterArgs;

/// Bring files back
#[derive(Debug, Args)]
#[command(
    long_about = "Restores a snapshot, or a path in it, below a folder. Without a path all paths are kept whole: \
        /etc/hosts comes back as TARGET/etc/hosts. With one, the inside of it goes straight into the target: \
        SNAP:/etc puts hosts at TARGET/hosts.\n\n\
        SNAP is latest, latest~2, the first digits of an id (4 or more), or @2026-11-20T14:00 for the latest at or \
        before that time. A file appears whole or not at all, and nothing is ever written outside the target. \
        Whatever could not be restored is named and makes the exit code 1, damaged data makes it 4.",
    after_help = "Examples:\n  \
        duramen restore latest --target /tmp/back\n  \
        duramen restore latest:/etc -t /tmp/etc --include '*.conf'\n  \
        duramen restore latest -t / --overwrite if-changed     (in place)\n  \
        duramen restore @2026-11-20T14:00:/srv/www -t /srv/www --delete --dry-run\n  \
        duramen restore 3f2a9c -t /mnt/new --verify"
)]
pub struct RestoreArgs {
    /// Which snapshot, and which path in it
    #[arg(value_name = "SNAP[:PATH]")]
    pub snapshot: OsString,

    /// Folder to restore into
    #[arg(long, short, value_name = "FOLDER", value_hint = clap::ValueHint::DirPath)]
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

    /// Which one.
    #[command(flatten)]
    pub filter: FilterArgs,
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
