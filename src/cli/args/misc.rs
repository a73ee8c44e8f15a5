//! `duramen completions` and `man`: the command line about itself.

use std::path::PathBuf;

use clap::Args;
use clap_complete::Shell;

/// Print a completion script for a shell
#[derive(Debug, Args)]
#[command(
    long_about = "Prints a script that teaches a shell to complete duramen's commands and flags.",
    after_help = "Examples:\n  \
        duramen completions bash > /etc/bash_completion.d/duramen\n  \
        duramen completions zsh > \"${fpath[1]}/_duramen\"\n  \
        duramen completions fish > ~/.config/fish/completions/duramen.fish"
)]
pub struct CompletionsArgs {
    /// Which shell
    #[arg(value_enum)]
    pub shell: Shell,
}

/// Print the manual page, or write all of them into a folder
#[derive(Debug, Args)]
#[command(
    long_about = "Without a folder, prints the page duramen(1). With one, writes that page and one for each \
        command into it.",
    after_help = "Examples:\n  \
        duramen man | man -l -\n  \
        duramen man /usr/local/share/man/man1"
)]
pub struct ManArgs {
    /// Folder to write all pages into
    #[arg(value_name = "FOLDER", value_hint = clap::ValueHint::DirPath)]
    pub folder: Option<PathBuf>,
}
