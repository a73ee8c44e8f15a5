//! `duramen history`.

use std::path::PathBuf;

use clap::Args;

use super::FilterArgs;

/// Show every version of one file, folder or document
#[derive(Debug, Args)]
#[command(
    long_about = "Shows every version of one file or folder in all snapshots, or those that the flags keep: in which \
        snapshots it stood, its size and time, what changed, whether it is again what it once was, and when it was \
        gone. A snapshot that does not cover the path says nothing about it. Each host has a history of its own.",
    after_help = "Examples:\n  \
        duramen history /etc/fstab\n  \
        duramen history notes.txt                      (in the current folder)\n  \
        duramen history /srv/www --host web1\n  \
        duramen history shop.quotes --id 1017          (a document of MongoDB)\n  \
        duramen history /etc/fstab --json | jq -r .last_snapshot"
)]
pub struct HistoryArgs {
    /// Path as it is, or was, on the machine
    #[arg(value_name = "PATH", value_hint = clap::ValueHint::AnyPath)]
    pub path: PathBuf,

    /// Every version of the document of this _id, as JSON or plain text; PATH is then a collection: shop.quotes
    ///
    /// Between snapshots every change that was recorded of the oplog is a version too.
    #[arg(
        long,
        value_name = "ID",
        allow_negative_numbers = true,
        help_heading = "MongoDB"
    )]
    pub id: Option<String>,

    /// Which ones.
    #[command(flatten)]
    pub filter: FilterArgs,
}
