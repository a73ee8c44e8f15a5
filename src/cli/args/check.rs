//! `duramen check`.

use clap::Args;

/// Check that the repository is whole
#[derive(Debug, Args)]
#[command(
    long_about = "Checks that every snapshot's tree and every piece that it names is there, and that all records \
        open and follow the format's rules. With --read-data all stored data is read and verified too, which takes \
        as long as reading the repository. Damage makes the exit code 4. Nothing is changed.",
    after_help = "Examples:\n  \
        duramen check\n  \
        duramen check --read-data --json"
)]
pub struct CheckArgs {
    /// Read and verify all stored data
    #[arg(long)]
    pub read_data: bool,
}
