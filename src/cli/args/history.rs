//! `duramen history`.

use std::path::PathBuf;

use clap::Args;

use super::FilterArgs;

/// Show every version of one file or folder
#[derive(Debug, Args)]
#[command(
    long_about = "Shows every version of one file or folder in all snapshots, or those that the flags keep: in which \
        snapshots it stood, its size and time, what changed, whether it is again what it once was, and when it was \
        gone. A snapshot that does not cover the path says nothing about it. Each host has a history of its own.",
    after_help = "Examples:\n  \
        duramen history /etc/fstab\n  \
        duramen history notes.txt                      (in the current folder)\n  \
        duramen history /srv/www --host web1\n  \
        duramen history /etc/fstab --json | jq -r .last_snapshot"
)]
pub struct HistoryArgs {
    /// Path as it is, or was, on the machine
    #[arg(value_name = "PATH", value_hint = clap::ValueHint::AnyPath)]
    pub path: PathBuf,

    /// Which ones.
    #[command(flatten)]
    pub filter: FilterArgs,
}
