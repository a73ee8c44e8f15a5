//! `duramen ls`, `cat` and `export`: looking into a snapshot without restoring it.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{AtArgs, DocumentArgs, FilterArgs};

/// List what is in a snapshot
#[derive(Debug, Args)]
#[command(
    long_about = "Lists the members of a folder in a snapshot (of its root, where no path is given), or one file. \
        On a terminal control characters in names are shown as escapes; otherwise names are written as they are.\n\n\
        Of a snapshot of MongoDB the collections are listed: SNAP, SNAP:shop, SNAP:shop.quotes.",
    after_help = "Examples:\n  \
        duramen ls latest\n  \
        duramen ls latest:/etc --long\n  \
        duramen ls 3f2a:/home --recursive --json | jq -r 'select(.type == \"file\") | .path'"
)]
pub struct LsArgs {
    /// Which snapshot, and which path in it
    #[arg(value_name = "SNAP[:PATH]")]
    pub snapshot: OsString,

    /// Show permissions, owners, size and time
    #[arg(long, short)]
    pub long: bool,

    /// List folders below too
    #[arg(long, short = 'R')]
    pub recursive: bool,

    /// As it was when.
    #[command(flatten)]
    pub at: AtArgs,

    /// Which one.
    #[command(flatten)]
    pub filter: FilterArgs,
}

/// Write one file, or documents, of a snapshot to standard output
#[derive(Debug, Args)]
#[command(
    visible_alias = "dump",
    long_about = "Writes the bytes of one file to standard output. Each piece is verified before it is written; \
        where one is damaged the output ends before it and the exit code is 4.\n\n\
        SNAP:shop.quotes writes the documents of a MongoDB collection as Extended JSON, one a line. With --id only what \
        leads to the document is read.",
    after_help = "Examples:\n  \
        duramen cat latest:/etc/hosts\n  \
        duramen cat latest~3:/var/lib/dump.sql.zst | zstd -d | psql\n  \
        duramen cat latest:shop.quotes --id 1017\n  \
        duramen cat latest:shop.quotes --where status=open --since 2026-11-01 --date-field created --limit 10"
)]
pub struct CatArgs {
    /// Which snapshot, and which file in it
    #[arg(value_name = "SNAP:PATH")]
    pub snapshot: OsString,

    /// As it was when.
    #[command(flatten)]
    pub at: AtArgs,

    /// Which documents.
    #[command(flatten)]
    pub documents: DocumentArgs,

    /// At most so many documents
    #[arg(long, value_name = "NUMBER", help_heading = "MongoDB")]
    pub limit: Option<u64>,

    /// Write documents with the types of their numbers, so that they come back as they were
    #[arg(long, help_heading = "MongoDB")]
    pub canonical: bool,

    /// Which one.
    #[command(flatten)]
    pub filter: FilterArgs,
}

/// Write a snapshot, or a part of it, as a tar or zip archive, or its collections as a dump
#[derive(Debug, Args)]
#[command(
    long_about = "Writes an archive to standard output (which must not be a terminal) or to a file, which appears \
        only once it is whole. What the format cannot carry is named on standard error.",
    after_help = "Examples:\n  \
        duramen export latest --format tar | ssh other 'tar -x -C /mnt'\n  \
        duramen export latest:/home/ann --format zip -o ann.zip\n  \
        duramen export latest:shop --format mongodump -o dump      (then: mongorestore dump)\n  \
        duramen export latest:shop.quotes --format jsonl -o quotes.jsonl"
)]
pub struct ExportArgs {
    /// Which snapshot, and which path in it
    #[arg(value_name = "SNAP[:PATH]")]
    pub snapshot: OsString,

    /// What kind of archive
    #[arg(long, value_enum)]
    pub format: Format,

    /// Write to this file instead of standard output
    #[arg(long, short, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub output: Option<PathBuf>,

    /// As it was when.
    #[command(flatten)]
    pub at: AtArgs,

    /// Which one.
    #[command(flatten)]
    pub filter: FilterArgs,
}

/// `--format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// POSIX tar with owners, times and links
    Tar,
    /// zip, for machines that know nothing else
    Zip,
    /// MongoDB collections as a folder that mongorestore reads; -o names the folder, which must not be there
    Mongodump,
    /// One MongoDB collection as canonical Extended JSON, one document a line, as mongoexport and mongoimport have it
    Jsonl,
}
