//! `duramen import`.

use std::path::PathBuf;

use clap::Args;
use duramen::ops::level::Compression;

/// Take JSON files that older scripts left behind, each as a snapshot of the time that it states
#[derive(Debug, Args)]
#[command(
    long_about = "Looks for JSON files with records in them (conversations, quotes, sessions): an array of records, an object \
        that holds such arrays, a single record, or one a line; gzipped or not. Each becomes a snapshot of the time that it \
        states, in a field of its own (exported_at, timestamp, ...), in its name, or in its records; otherwise of the time \
        when it was last changed. A file that was imported before is not taken twice.\n\n\
        A file is stored byte for byte. Its records are seen with --dump FILE by ls, cat, restore and export; \
        docs/mongodb.md says which collections a file becomes.",
    after_help = "Examples:\n  \
        duramen import ~/bot/backups --dry-run\n  \
        duramen import ~/bot/backups ~/bot/exports\n  \
        duramen import conversations.json --tag bot\n  \
        duramen snapshots --tag import\n  \
        duramen ls 7f3a12c0 --dump ~/bot/backups/conversations.json"
)]
pub struct ImportArgs {
    /// Files, and folders in which such files are looked for
    #[arg(value_name = "PATH", required = true, value_hint = clap::ValueHint::AnyPath)]
    pub paths: Vec<PathBuf>,

    /// Tags for the snapshots besides `import`, comma separated (repeatable)
    #[arg(long = "tag", value_name = "TAGS", value_delimiter = ',')]
    pub tags: Vec<String>,

    /// Host name to record instead of this machine's
    #[arg(long, short = 'H', value_name = "HOST")]
    pub host: Option<String>,

    /// How hard to compress: fast, default, small, off, or a zstd level
    #[arg(long, value_name = "LEVEL", default_value = "default", value_parser = super::snapshot::level)]
    pub compression: Compression,

    /// Find, read and tell, and store nothing
    #[arg(long, short = 'n')]
    pub dry_run: bool,
}
