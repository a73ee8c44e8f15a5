//! `duramen repair`.

use clap::Args;

/// Mend a damaged repository
#[derive(Debug, Args)]
#[command(
    long_about = "Mends what is damaged, in an order in which each step is safe by itself: records that cannot be read are \
        settled so that nothing is protected less; packs that the index lost are named again from their own directories; \
        what is whole in damaged packs is stored again; and snapshots that need what is lost are taken again without it, \
        every lost path named, and then forgotten, which `forget --undo` takes back. Run it as often as you like, beside \
        snapshots, and again after it was interrupted.\n\n\
        A snapshot of the intact sources, taken after it, stores again what was lost.\n\n\
        Look first with `check --read-data`, bring back from another copy of the repository whatever files you can, and \
        see what `repair --dry-run` would do. The exit code is 4 where something was lost or is still damaged.",
    after_help = "Examples:\n  \
        duramen repair --read-data --dry-run\n  \
        duramen repair --read-data\n  \
        duramen repair --read-data --forget-unreadable"
)]
pub struct RepairArgs {
    /// Read and verify all stored data, not only what the trees are made of
    #[arg(long)]
    pub read_data: bool,
    /// Say what would be done and change nothing
    #[arg(short = 'n', long)]
    pub dry_run: bool,
    /// Do not forget the damaged snapshots that are replaced
    #[arg(long)]
    pub keep: bool,
    /// Forget snapshots whose own record cannot be read
    #[arg(long)]
    pub forget_unreadable: bool,
    /// Go on where most packs are missing
    #[arg(long)]
    pub force: bool,
}
