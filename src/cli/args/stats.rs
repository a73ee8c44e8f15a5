//! `duramen stats`.

use clap::Args;

use super::FilterArgs;

/// Show where the space goes
#[derive(Debug, Args)]
#[command(
    long_about = "Shows how much the repository holds: sizes before and after deduplication and compression, what \
        each snapshot added, how the repository grew, and the largest files and folders of one snapshot (the newest, \
        unless another is named).\n\n\
        Numbers are read from the index and the snapshots' records, not from the data, so it is quick. What no \
        snapshot needs any more counts until prune has removed it.",
    after_help = "Examples:\n  \
        duramen stats\n  \
        duramen stats latest --host web1\n  \
        duramen stats --json | jq .total_size"
)]
pub struct StatsArgs {
    /// Whose largest files and folders to name
    #[arg(value_name = "SNAP", default_value = "latest")]
    pub snapshot: String,

    /// Which one.
    #[command(flatten)]
    pub filter: FilterArgs,
}
