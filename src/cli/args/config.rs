//! `duramen config`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// The configuration file: check it, show what holds, write one to begin with
#[derive(Debug, Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub struct ConfigArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: ConfigCommand,
}

/// What can be done with a configuration.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Say whether the configuration makes sense
    #[command(
        long_about = "Reads the configuration and names everything in it that makes no sense, with line, column and \
            cure. The exit code is 0 where nothing is wrong and 2 otherwise. Files and folders that it names and that \
            are not there just now are told, but are no fault: a disk may not be mounted.",
        after_help = "Examples:\n  duramen config check\n  duramen config check /etc/duramen/duramen.toml"
    )]
    Check {
        /// The file; otherwise the one that every command takes
        #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
        file: Option<PathBuf>,
    },
    /// Show what holds, and where it comes from
    #[command(
        long_about = "Shows what holds when flags, environment, configuration file and defaults are put together, and \
            which of them each setting comes from. Secrets are not shown.",
        after_help = "Examples:\n  duramen config show\n  duramen config show --json"
    )]
    Show,
    /// Write a configuration to begin with
    #[command(
        long_about = "Writes a configuration in which every key is explained, into your configuration folder or where \
            you say. A file that is there is not overwritten.",
        after_help = "Examples:\n  duramen config init\n  duramen config init /etc/duramen/duramen.toml"
    )]
    Init {
        /// Where to
        #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
        file: Option<PathBuf>,
    },
    /// Print a configuration in which every key is explained
    #[command(
        long_about = "Prints a configuration in which every key is explained.",
        after_help = "Examples:\n  duramen config example > duramen.toml"
    )]
    Example,
}
