//! `duramen key list|add|remove`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Subcommand};

/// List, add and remove passphrases and key files
#[derive(Debug, Args)]
#[command(
    arg_required_else_help = true,
    long_about = "A repository can be opened by any of several passphrases and key files; each has a key slot of \
        its own.",
    after_help = "Examples:\n  \
        duramen key list\n  \
        duramen key add --new-key-file /media/usb/duramen.key --label usb\n  \
        duramen key remove 3f2a9c1b"
)]
pub struct KeyArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: KeyCommand,
}

/// What can be done to key slots.
#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    List(ListArgs),
    Add(AddArgs),
    Remove(RemoveArgs),
}

/// List the key slots
#[derive(Debug, Args)]
#[command(
    long_about = "Lists the key slots: what kind, from when, by whom, and for passphrases how hard they are to \
        guess: memory, passes and the time that one guess takes on this machine, measured now. The slot that \
        opened the repository is marked with a star.",
    after_help = "Examples:\n  duramen key list\n  duramen key list --json | jq -r '.[] | select(.current).id'"
)]
pub struct ListArgs {}

/// Add a passphrase or a key file
#[derive(Debug, Args)]
#[command(
    long_about = "Adds a key slot. Name a new passphrase or key file, or type the passphrase at the terminal. A \
        --new-key-file that does not exist yet is generated.",
    after_help = "Examples:\n  \
        duramen key add                                         asks for a new passphrase, twice\n  \
        duramen key add --new-password-file /root/second\n  \
        duramen key add --new-key-file /media/usb/duramen.key --label usb"
)]
pub struct AddArgs {
    /// Read the new passphrase from a file
    #[arg(long, value_name = "FILE", group = "new", value_hint = clap::ValueHint::FilePath)]
    pub new_password_file: Option<PathBuf>,

    /// Read the new passphrase from what a shell command prints
    #[arg(long, value_name = "COMMAND", group = "new", value_hint = clap::ValueHint::CommandString)]
    pub new_password_command: Option<OsString>,

    /// Add this key file; generated where it does not exist
    #[arg(long, value_name = "FILE", group = "new", value_hint = clap::ValueHint::FilePath)]
    pub new_key_file: Option<PathBuf>,

    /// A few words to know the slot by
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub label: String,
}

/// Remove a key slot
#[derive(Debug, Args)]
#[command(
    long_about = "Removes a key slot: its passphrase or key file opens the repository no more. What was stored \
        before stays readable to somebody who kept a copy of the slot and knows its passphrase or key. The last \
        slot cannot be removed, and the one in use only with --force.",
    after_help = "Examples:\n  duramen key list\n  duramen key remove 3f2a9c1b"
)]
pub struct RemoveArgs {
    /// First digits of the slot's id, as key list shows it
    #[arg(value_name = "SLOT")]
    pub slot: String,

    /// Remove it even if it is the one that opened the repository
    #[arg(long, short)]
    pub force: bool,
}
