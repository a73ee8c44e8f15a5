//! `duramen run`.

use clap::Args;

/// Do what is due: snapshots of the configured sources, forget, prune, check
#[derive(Debug, Args)]
#[command(
    long_about = "Takes what is due as the configuration says: a snapshot of each source, then forgetting by retention, \
        pruning and checking. Whatever was missed while the machine was off is done once. What fails is told to the \
        hooks of the configuration and tried again later, and keeps nothing else from being done; the exit code is \
        then not 0. While another run is alive nothing is done and the exit code is 0. What was done stands in a log.\n\n\
        Forgetting looks only at snapshots that a run took of a source of this name on this host.",
    after_help = "Examples:\n  \
        duramen run                            what is due\n  \
        duramen run --force                    all of it, now\n  \
        duramen run --force home               the snapshot of the source home, now\n  \
        duramen run --force forget prune       these two, now\n\n\
        duramen schedule install has it called by cron or systemd; duramen schedule show tells what is due when."
)]
pub struct RunArgs {
    /// Only these: names of sources, or snapshot, forget, prune, check
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,

    /// Do it whether it is due or not
    #[arg(long, short, visible_alias = "all")]
    pub force: bool,

    /// Wait at random first, up to the configuration's jitter
    #[arg(long)]
    pub jitter: bool,
}
