//! `duramen snapshots`.

use clap::Args;

use super::FilterArgs;

/// List the snapshots
#[derive(Debug, Args)]
#[command(
    long_about = "Lists snapshots, oldest first: all, those that the flags keep, or those whose ids begin with the \
        given digits (latest, latest~2 and @TIME work too).\n\n\
        The state is ok, partial (something could not be read), empty or shrunken (abnormally little was there), held \
        (kept, whatever any rule says), or unclear (something said of it cannot be read).",
    after_help = "Examples:\n  \
        duramen snapshots --host web1 --tag daily\n  \
        duramen snapshots --latest 1\n  \
        duramen snapshots 3f2a\n  \
        duramen snapshots --forgotten\n  \
        duramen snapshots --json | jq -r '.[-1].id'"
)]
pub struct SnapshotsArgs {
    /// First digits of ids, or other names of snapshots
    #[arg(value_name = "SNAPSHOT")]
    pub names: Vec<String>,

    /// Which ones.
    #[command(flatten)]
    pub filter: FilterArgs,

    /// Only the newest so many of each host and set of paths
    #[arg(long, value_name = "NUMBER")]
    pub latest: Option<usize>,

    /// Those that were forgotten and can still be taken back
    #[arg(long)]
    pub forgotten: bool,
}
