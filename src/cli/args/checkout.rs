//! `duramen checkout` and `unmount`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

use super::FilterArgs;

/// Show a snapshot in a folder, to be looked at
#[derive(Debug, Args)]
#[command(
    visible_alias = "mount",
    long_about = "Shows a snapshot, or a folder in it, in a folder on the disk: plain files, read-only, which every \
        program can look at. The same command with another snapshot switches: only what differs is written, and what \
        is not in the new one is deleted. duramen unmount takes it away.\n\n\
        The files are written out, so they take space and time; both are said first, and a large checkout (more than \
        1 GiB or 100,000 files, or more than is free) is asked about. Files and folders have no permission to write, \
        setuid, setgid and file capabilities are left out; all else is as it was. To work with the files bring them \
        back with restore, which keeps their permissions.\n\n\
        The folder must be empty, not there yet, or a checkout. What was changed in it by hand is named and asked \
        about, for switching undoes it. A checkout that was killed is gone on with by the same command.",
    after_help = "Examples:\n  \
        duramen checkout latest /mnt/then\n  \
        duramen checkout latest~7:/srv/www /mnt/then        (switches it)\n  \
        duramen checkout @2026-11-20:/home /mnt/then --dry-run\n  \
        duramen unmount /mnt/then"
)]
pub struct CheckoutArgs {
    /// Which snapshot, and which folder in it
    #[arg(value_name = "SNAP[:PATH]")]
    pub snapshot: OsString,

    /// Folder that shows it
    #[arg(value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    pub folder: PathBuf,

    /// Do not ask
    #[arg(long, short)]
    pub yes: bool,

    /// Say what would be written and deleted, and do nothing
    #[arg(long, short = 'n')]
    pub dry_run: bool,

    /// Which one.
    #[command(flatten)]
    pub filter: FilterArgs,
}

/// Take away a checkout
#[derive(Debug, Args)]
#[command(
    visible_alias = "umount",
    long_about = "Removes what duramen checkout put into a folder, and the folder too where checkout made it. A \
        folder that is no checkout, or a copy of one, is left alone. What was changed or added by hand is named and \
        asked about. No repository and no key is needed.",
    after_help = "Examples:\n  \
        duramen unmount /mnt/then\n  \
        duramen umount /mnt/then --yes"
)]
pub struct UnmountArgs {
    /// Folder that shows a snapshot
    #[arg(value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    pub folder: PathBuf,

    /// Do not ask
    #[arg(long, short)]
    pub yes: bool,
}
