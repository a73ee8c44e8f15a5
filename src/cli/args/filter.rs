//! Which snapshots are meant, where `latest` alone would be ambiguous.

use std::path::PathBuf;

use clap::Args;

/// Flags that narrow the snapshots that a name is looked for in.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Which snapshots")]
pub struct FilterArgs {
    /// Only snapshots of this host (repeatable)
    #[arg(long = "host", short = 'H', value_name = "HOST")]
    pub hosts: Vec<String>,

    /// Only snapshots with these tags: TAG[,TAG...] all of them; repeated: any
    #[arg(long = "tag", value_name = "TAGS")]
    pub tags: Vec<String>,

    /// Only snapshots of this path (repeated: of all of them)
    #[arg(long = "path", value_name = "PATH", value_hint = clap::ValueHint::AnyPath)]
    pub paths: Vec<PathBuf>,
}
