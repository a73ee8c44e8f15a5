//! `duramen rollback`.

use clap::Args;

/// Take a restore to a MongoDB server back
#[derive(Debug, Args)]
#[command(
    long_about = "Puts back what a restore changed on a MongoDB server. Before a restore writes anything, it keeps what it is about to \
        change as a snapshot of its own, and names it. Documents that the restore overwrote become again what they were, \
        those that it brought are taken away, and collections that it made are dropped; but only where they are still what \
        the restore made of them. What somebody has changed since is left, and counted.\n\n\
        Users and roles, and indexes made in collections that were there, are not taken back.",
    after_help = "Examples:\n  \
        duramen rollback --dry-run                  (the newest restore)\n  \
        duramen rollback 3f2a9c1b\n  \
        duramen rollback 3f2a9c1b --target mongodb://restorer@db1"
)]
pub struct RollbackArgs {
    /// What the restore named; without it the newest
    #[arg(value_name = "ID")]
    pub id: Option<String>,

    /// Address of the server, where it is another than was restored to, or asks for a user
    #[arg(long, short, value_name = "mongodb://ADDRESS")]
    pub target: Option<String>,

    /// Do everything but write
    #[arg(long, short = 'n')]
    pub dry_run: bool,
}
