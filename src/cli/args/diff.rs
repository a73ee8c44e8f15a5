//! `duramen diff`.

use std::ffi::OsString;

use clap::Args;

use super::FilterArgs;

/// Compare two snapshots, or a path in each
#[derive(Debug, Args)]
#[command(
    long_about = "Shows what differs between two snapshots, or between a path in one and a path in the other; a path \
        that is given for one of them is meant in both. What both have in common is not even read.\n\n  \
        +  only in the second\n  \
        -  only in the first\n  \
        T  the type differs (a file here, a folder there)\n  \
        M  the content differs\n  \
        M? the content differs although size and time do not: another program set the time back, or a disk lies\n  \
        U  only metadata differs (shown with --metadata)\n  \
        R  seems to be renamed: the same content went there and came here; it is counted as - and + too\n\n\
        Paths are those of the second snapshot. The exit code is 0 unless --exit-code is given.\n\n\
        Of snapshots of MongoDB the documents are compared: SNAP, SNAP:shop, SNAP:shop.quotes; the second may be the address of \
        a server, all of which is read, as it is just now. The names of fields that differ stand behind a document (--content shows their values), \
        collections whose options or indexes differ are shown with --metadata.",
    after_help = "Examples:\n  \
        duramen diff latest~1 latest\n  \
        duramen diff @2026-11-20 latest:/etc --metadata\n  \
        duramen diff latest~7:/etc/nginx latest --content\n  \
        duramen diff latest~1 latest --exit-code --quiet || echo changed\n  \
        duramen diff latest~1:shop.quotes latest --content\n  \
        duramen diff latest:shop mongodb://localhost"
)]
pub struct DiffArgs {
    /// The snapshot to start from, and which path in it
    #[arg(value_name = "SNAP[:PATH]")]
    pub before: OsString,

    /// The snapshot to compare it with, and which path in it; or a mongodb:// address
    #[arg(value_name = "SNAP[:PATH]")]
    pub after: OsString,

    /// Show too where only mode, owner, times, attributes or links differ, and what about them
    #[arg(long)]
    pub metadata: bool,

    /// Show the lines that differ in text files of up to 1 MiB, and the values of fields of documents
    #[arg(long)]
    pub content: bool,

    /// End with 1 where anything differs
    #[arg(long)]
    pub exit_code: bool,

    /// Which ones.
    #[command(flatten)]
    pub filter: FilterArgs,
}
