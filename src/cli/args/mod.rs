//! The command line: what can be typed, and the help that documents it.
//!
//! One file a command. These types carry clap's attributes so that the engine's options need none; `commands/`
//! turns the one into the other. The environment is read elsewhere, so that no secret can slip into a help text.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand};

mod annotate;
mod check;
mod checkout;
mod config;
mod diff;
mod documents;
mod filter;
mod find;
mod forget;
mod history;
mod import;
mod init;
mod key;
mod look;
mod misc;
mod prune;
mod repair;
mod restore;
mod rollback;
mod run;
mod schedule;
mod snapshot;
mod snapshots;
mod stats;
mod tail;

pub use annotate::{AnnotateArgs, TagArgs};
pub use check::{CheckArgs, ScrubArgs};
pub use checkout::{CheckoutArgs, UnmountArgs};
pub use config::{ConfigArgs, ConfigCommand};
pub use diff::DiffArgs;
pub use documents::{AtArgs, DocumentArgs};
pub use filter::FilterArgs;
pub use find::FindArgs;
pub use forget::{ForgetArgs, PRUNE_HOW};
pub use history::HistoryArgs;
pub use import::ImportArgs;
pub use init::InitArgs;
pub use key::{AddArgs, ImportKeyArgs, KeyArgs, KeyCommand, PasswdArgs, RemoveArgs};
pub use look::{CatArgs, ExportArgs, Format, LsArgs};
pub use misc::{CompletionsArgs, ManArgs};
pub use prune::{PruneArgs, PruneHow};
pub use repair::RepairArgs;
pub use restore::{ConflictArg, MongoArgs, OverwriteArg, RestoreArgs};
pub use rollback::RollbackArgs;
pub use run::RunArgs;
pub use schedule::{InstallArgs, ScheduleArgs, ScheduleCommand, UninstallArgs, With};
pub use snapshot::SnapshotArgs;
pub use snapshots::SnapshotsArgs;
pub use stats::StatsArgs;
pub use tail::{TailArgs, TimelineArgs};

/// Snapshots of files: deduplicated, compressed, encrypted
#[derive(Debug, Parser)]
#[command(
    name = "duramen",
    version,
    arg_required_else_help = true,
    subcommand_required = true,
    max_term_width = 100,
    long_about = "Duramen takes snapshots of files into a repository: cut by content so that every distinct piece \
        is stored once, compressed, and encrypted before it leaves this machine. Every snapshot is whole; an \
        incremental one only finds out faster what did not change.\n\n\
        The first snapshot needs no set-up: where no repository is named, one is made in the user's data folder, \
        with a key file beside it.",
    after_help = "Examples:\n  \
        duramen snapshot /etc /home            take a snapshot (makes a repository at first use)\n  \
        duramen snapshots                      list them\n  \
        duramen ls latest:/etc                 look into the newest\n  \
        duramen restore latest -t /tmp/back    bring everything back below /tmp/back\n\n\
        Use duramen COMMAND --help for more and for examples of each command."
)]
pub struct Cli {
    /// Flags of every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Flags that every command takes, before or after its name.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Global options", next_display_order = 1000)]
pub struct Global {
    /// Read settings from this file [env: DURAMEN_CONFIG]
    ///
    /// Without it: ./duramen.toml, duramen/duramen.toml in the user's configuration folder (`$XDG_CONFIG_HOME`, usually
    /// ~/.config), /etc/duramen/duramen.toml; the first that exists. Flags go before the environment, the environment
    /// before the file. See duramen config.
    #[arg(long, global = true, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub config: Option<PathBuf>,

    /// Where the repository is [env: DURAMEN_REPOSITORY]
    ///
    /// A folder. Where none is named, neither here nor in a configuration file, the default one in the user's data folder is meant
    /// (`$XDG_DATA_HOME/duramen/repository`, usually ~/.local/share/duramen/repository).
    #[arg(short, long, global = true, value_name = "PLACE", alias = "repo", value_hint = clap::ValueHint::DirPath)]
    pub repository: Option<OsString>,

    /// Read the passphrase from a file [env: DURAMEN_PASSWORD_FILE]
    ///
    /// One newline at its end is not part of the passphrase. Where several passphrases and keys are given, each is
    /// tried. DURAMEN_PASSWORD may hold the passphrase itself; there is no flag for that, since the process list
    /// shows flags to everybody.
    #[arg(long, global = true, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub password_file: Option<PathBuf>,

    /// Read the passphrase from what a shell command prints [env: DURAMEN_PASSWORD_COMMAND]
    #[arg(long, global = true, value_name = "COMMAND", value_hint = clap::ValueHint::CommandString)]
    pub password_command: Option<OsString>,

    /// Open the repository with a key file [env: DURAMEN_KEY_FILE]
    #[arg(long, global = true, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub key_file: Option<PathBuf>,

    /// Write JSON for scripts: objects, an array, or a line an object
    #[arg(long, global = true)]
    pub json: bool,

    /// Say nothing but results and errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,

    /// Say more; twice: name every path
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,

    /// Draw no progress bar
    #[arg(long, global = true)]
    pub no_progress: bool,

    /// Keep the index cache below this folder [env: DURAMEN_CACHE_DIR]
    ///
    /// The cache holds nothing that the repository does not hold, and may be deleted at any time.
    #[arg(long, global = true, value_name = "FOLDER", value_hint = clap::ValueHint::DirPath)]
    pub cache_dir: Option<PathBuf>,

    /// Keep the index in memory instead of a cache
    #[arg(long, global = true, conflicts_with = "cache_dir")]
    pub no_cache: bool,

    /// Work with so many threads, 0 for one a core [env: DURAMEN_THREADS]
    #[arg(long, global = true, value_name = "NUMBER")]
    pub threads: Option<usize>,

    /// Let other programs go before: on the CPU, and on the disk where its scheduler ranks programs
    ///
    /// 19 lets all others go before, 0 none; without a number 10. The same as starting duramen with nice(1): on Linux a
    /// program's rank on the disk follows.
    #[arg(long, global = true, value_name = "NUMBER", num_args = 0..=1, require_equals = true, default_missing_value = "10", value_parser = clap::value_parser!(u8).range(0..=19))]
    pub nice: Option<u8>,

    /// Write to the repository at most so fast: 10M (a second), or a plain number of KiB a second
    #[arg(long, global = true, value_name = "RATE", value_parser = rate)]
    pub limit_upload: Option<Rate>,

    /// Read from the repository at most so fast
    #[arg(long, global = true, value_name = "RATE", value_parser = rate)]
    pub limit_download: Option<Rate>,
}

/// Bytes a second; none for any number.
pub type Rate = Option<u64>;

fn rate(text: &str) -> Result<Rate, String> {
    crate::cli::size::parse_rate(text).map_err(|error| plain(&error))
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Command {
    Init(InitArgs),
    Snapshot(Box<SnapshotArgs>),
    Snapshots(SnapshotsArgs),
    Tail(TailArgs),
    Timeline(TimelineArgs),
    Restore(Box<RestoreArgs>),
    Rollback(RollbackArgs),
    Checkout(CheckoutArgs),
    Unmount(UnmountArgs),
    Ls(LsArgs),
    Cat(CatArgs),
    Find(Box<FindArgs>),
    Diff(DiffArgs),
    History(HistoryArgs),
    Stats(StatsArgs),
    Export(ExportArgs),
    Import(ImportArgs),
    Forget(Box<ForgetArgs>),
    Annotate(AnnotateArgs),
    Tag(TagArgs),
    Prune(PruneArgs),
    Check(CheckArgs),
    Repair(RepairArgs),
    Scrub(ScrubArgs),
    Key(KeyArgs),
    Run(RunArgs),
    Schedule(ScheduleArgs),
    Config(ConfigArgs),
    Completions(CompletionsArgs),
    Man(ManArgs),
    /// Explain why there is nothing to unlock
    ///
    /// Duramen takes no locks, so a command that was killed leaves none behind.
    Unlock,
    /// Print the version
    Version,
}

/// What is wrong with a value; clap names the value itself.
fn plain(error: &duramen::error::Error) -> String {
    match error.hint_text() {
        Some(hint) => format!("{}; {hint}", error.message()),
        None => error.message().into(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn clap_finds_no_fault() {
        Cli::command().debug_assert();
    }

    #[test]
    fn global_flags_stand_anywhere() {
        for line in [
            ["duramen", "-r", "/x", "--json", "snapshots"],
            ["duramen", "snapshots", "-r", "/x", "--json"],
            ["duramen", "--repo", "/x", "snapshots", "--json"],
        ] {
            let cli = Cli::try_parse_from(line).unwrap();
            assert_eq!(
                cli.global.repository.as_deref(),
                Some("/x".as_ref()),
                "{line:?}"
            );
            assert!(cli.global.json, "{line:?}");
        }
    }

    #[test]
    fn every_command_is_documented() {
        fn walk(command: &clap::Command) {
            let name = command.get_name();
            assert!(command.get_about().is_some(), "{name} has no about");
            for argument in command.get_arguments() {
                let id = argument.get_id();
                assert!(argument.get_help().is_some(), "{name}: {id} has no help");
            }
            let plain = ["unlock", "version", "help"].contains(&name);
            if command.get_subcommands().next().is_none() && !plain {
                assert!(
                    command.get_long_about().is_some(),
                    "{name} has no long about"
                );
                let after = command.get_after_help().map(ToString::to_string);
                let shown = after.is_some_and(|text| text.contains("Examples:"));
                assert!(shown, "{name} has no examples");
            }
            for below in command.get_subcommands() {
                walk(below);
            }
        }
        walk(&Cli::command());
    }
}
