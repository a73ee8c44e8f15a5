//! `duramen tail` and `timeline`: any moment of a MongoDB replica set.

use std::time::Duration;

use clap::Args;
use duramen::ops::level::Compression;

use super::FilterArgs;

/// Record what happens in a MongoDB replica set, so that any second can be had back
#[derive(Debug, Args)]
#[command(
    long_about = "Follows the oplog of a MongoDB replica set and stores what it says, a stretch at a time, until it is \
        interrupted. With a snapshot and what was recorded since, restore --at brings back any second. It goes on where \
        it was stopped, as long as the oplog still reaches back so far, and says when that becomes doubtful.\n\n\
        Every snapshot of a replica set records what happened since the one before; tail is for what must not wait \
        until the next one.",
    after_help = "Examples:\n  \
        duramen tail mongodb://localhost\n  \
        duramen tail mongodb://db1,db2,db3/?replicaSet=rs0 --every 1min\n  \
        duramen tail mongodb://localhost --once        (catch up, and end)\n  \
        duramen timeline                               (which moments can be had)"
)]
pub struct TailArgs {
    /// Address of the replica set
    #[arg(value_name = "mongodb://ADDRESS")]
    pub address: String,

    /// Time between two stretches: what may be lost when this machine is lost too
    #[arg(long, value_name = "DURATION", default_value = "5min", value_parser = duration)]
    pub every: Duration,

    /// Record what there is by now, and end
    #[arg(long)]
    pub once: bool,

    /// Record only collections that fit: DATABASE.COLLECTION, * stands for anything (repeatable)
    #[arg(long, value_name = "PATTERN")]
    pub ns_include: Vec<String>,

    /// Leave out collections that fit (repeatable)
    #[arg(long, value_name = "PATTERN")]
    pub ns_exclude: Vec<String>,

    /// Record users and roles too
    #[arg(long)]
    pub users: bool,

    /// Tags for what is recorded, comma separated (repeatable)
    #[arg(long = "tag", value_name = "TAGS", value_delimiter = ',')]
    pub tags: Vec<String>,

    /// Host name to record instead of this machine's
    #[arg(long, short = 'H', value_name = "HOST")]
    pub host: Option<String>,

    /// How hard to compress: fast, default, small, off, or a zstd level
    #[arg(long, value_name = "LEVEL", default_value = "default", value_parser = super::snapshot::level)]
    pub compression: Compression,
}

/// Show which moments of MongoDB replica sets can be had back
#[derive(Debug, Args)]
#[command(
    long_about = "Shows, for each MongoDB replica set that was taken, from when to when any second can be had back with \
        restore --at, where the gaps are, and which snapshots stand alone.",
    after_help = "Examples:\n  \
        duramen timeline\n  \
        duramen timeline --json | jq '.[0].gaps'"
)]
pub struct TimelineArgs {
    /// Which ones.
    #[command(flatten)]
    pub filter: FilterArgs,
}

fn duration(text: &str) -> Result<Duration, String> {
    let found = crate::cli::time::duration(text).map_err(|error| super::plain(&error))?;
    match found.is_zero() {
        true => Err("at least a second".into()),
        false => Ok(found),
    }
}
