//! `duramen prune`.

use clap::Args;

/// Free what no snapshot needs
#[derive(Debug, Args)]
#[command(
    long_about = "Deletes what no snapshot needs any more: after `forget`, and after snapshots that were interrupted. \
        It takes no lock. Snapshots may be taken and restored while it runs, and it may be stopped at any moment: the \
        next one goes on.\n\n\
        That takes three steps, and one prune does as many as may be done: a forgotten snapshot goes for good, packs \
        that nobody needs then are marked, marked packs are deleted. Each step waits until everybody who was at work \
        before has come to an end, and for the grace. So with the grace of a day a nightly prune frees space two days \
        after `forget`; with `--grace 0` it does so at once, unless somebody is at work. What waits, and for what, is \
        printed.",
    after_help = "Examples:\n  \
        duramen prune                          what a nightly job calls\n  \
        duramen prune --dry-run                what could be freed\n  \
        duramen prune --grace 0                now, not in a day or two\n  \
        duramen prune --grace 0 --purge        leave no byte of what was forgotten"
)]
pub struct PruneArgs {
    #[command(flatten)]
    pub how: PruneHow,

    /// Say what could be freed, and change nothing
    #[arg(short = 'n', long)]
    pub dry_run: bool,
}

/// How to prune; `forget --prune` takes the same.
#[derive(Debug, Args)]
pub struct PruneHow {
    /// Let forgotten snapshots and marked packs wait at least so long: `0`, `12h`, `7d`
    ///
    /// A courtesy to whoever is restoring what has just been forgotten, or regrets it; nothing depends on it for safety.
    #[arg(long, value_name = "TIME", default_value = "24h")]
    pub grace: String,

    /// Give up writers that have been silent for so long
    ///
    /// Who is at work says so every minute. One that was killed says no more, and what it may have needed is kept until
    /// it is given up; a process of this machine that is gone is given up after ten minutes. A writer that was only
    /// asleep loses its work and must run again: nothing else.
    #[arg(long, value_name = "TIME", default_value = "24h")]
    pub session_expiry: String,

    /// Let so much unused data stay in packs that hold needed data too: `5%`, `10G`, `unlimited`
    #[arg(long, value_name = "LIMIT", default_value = "5%")]
    pub max_unused: String,

    /// Copy at most so much out of packs that are to go: `2G`
    ///
    /// What is not done is left to the next prune.
    #[arg(long, value_name = "SIZE")]
    pub max_repack_size: Option<String>,

    /// Leave no byte of what was forgotten, not even beside data that is needed
    ///
    /// Rewrites every pack, and every frame in it, that holds anything not needed: for data that must be erased.
    /// Refused where a snapshot holds a database dump of which only what changed was stored (see snapshot --no-dumps).
    #[arg(long)]
    pub purge: bool,
}
