//! `duramen find`.

use std::ffi::OsString;

use clap::{Args, ValueEnum};

use super::FilterArgs;

/// Find files by name, size, time or content in all snapshots
#[derive(Debug, Args)]
#[command(
    long_about = "Looks for names in all snapshots, or those that the flags keep, and shows every version of every \
        path that matches once, with the run of snapshots in which it stands unchanged. Everything that is asked \
        for must hold; of several patterns any.\n\n\
        A pattern without a slash is held against the last name; one with a slash against the whole path, from the \
        root where it begins with a slash. * and ? stop at a slash, ** does not.\n\n\
        What two snapshots have in common is read once, so looking through a thousand takes little longer than \
        looking through the first and at what changed since.",
    after_help = "Examples:\n  \
        duramen find '*.odt'\n  \
        duramen find --iname '*invoice*' --type f --newer 2026-01-01\n  \
        duramen find '/home/*/.ssh/*' -s latest\n  \
        duramen find --size +1G --host web1\n  \
        duramen find --content-of latest:/home/ann/photo.jpg    (the same content under any name)"
)]
pub struct FindArgs {
    /// Names or paths to look for
    #[arg(value_name = "PATTERN", required_unless_present_any = ["iname", "kind", "size", "newer", "older", "content", "content_of"])]
    pub patterns: Vec<String>,

    /// A further pattern, whatever the case (repeatable)
    #[arg(long, value_name = "PATTERN")]
    pub iname: Vec<String>,

    /// Hold all patterns whatever the case
    #[arg(long, short)]
    pub ignore_case: bool,

    /// Only this type (repeatable: any of them)
    #[arg(long = "type", value_name = "TYPE", value_enum)]
    pub kind: Vec<TypeArg>,

    /// Files of exactly SIZE, of more (+SIZE) or less (-SIZE) (repeatable: all must hold)
    #[arg(long, value_name = "[+|-]SIZE", allow_hyphen_values = true)]
    pub size: Vec<String>,

    /// Changed at this time or later
    #[arg(long, short = 'O', value_name = "TIME", visible_alias = "oldest")]
    pub newer: Option<String>,

    /// Changed at this time or before
    #[arg(long, short = 'N', value_name = "TIME", visible_alias = "newest")]
    pub older: Option<String>,

    /// Files that hold the chunk whose id begins so
    #[arg(long, value_name = "ID")]
    pub content: Option<String>,

    /// Files with the same content as this one, whatever their name
    #[arg(long, value_name = "SNAP:PATH")]
    pub content_of: Option<OsString>,

    /// Look in this snapshot only (repeatable)
    #[arg(
        long = "snapshot",
        short = 's',
        value_name = "SNAP",
        help_heading = "Which snapshots"
    )]
    pub snapshots: Vec<String>,

    /// Which ones.
    #[command(flatten)]
    pub filter: FilterArgs,
}

/// `--type`, by the letters of find(1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TypeArg {
    /// Regular file
    F,
    /// Folder
    D,
    /// Symbolic link
    L,
    /// Named pipe
    P,
    /// Socket
    S,
    /// Character device
    C,
    /// Block device
    B,
}

impl TypeArg {
    /// The letter.
    pub fn letter(self) -> char {
        match self {
            TypeArg::F => 'f',
            TypeArg::D => 'd',
            TypeArg::L => 'l',
            TypeArg::P => 'p',
            TypeArg::S => 's',
            TypeArg::C => 'c',
            TypeArg::B => 'b',
        }
    }
}
