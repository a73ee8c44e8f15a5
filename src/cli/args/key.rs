//! `duramen key list|add|remove|passwd|rotate|export|import`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Subcommand};

/// List, add, change and remove passphrases and key files
#[derive(Debug, Args)]
#[command(
    arg_required_else_help = true,
    long_about = "A repository can be opened by any of several passphrases and key files; each has a key slot of \
        its own.",
    after_help = "Examples:\n  \
        duramen key list\n  \
        duramen key add --new-key-file /media/usb/duramen.key --label usb\n  \
        duramen key passwd\n  \
        duramen key export                      words for paper\n  \
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
    Passwd(PasswdArgs),
    Rotate(RotateArgs),
    Export(ExportKeyArgs),
    Import(ImportKeyArgs),
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
        --new-key-file that does not exist yet is generated. Where nothing is named, DURAMEN_NEW_PASSWORD may hold the \
        new passphrase.",
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
        before stays readable to somebody who kept a copy of the slot and knows its passphrase or key; what is \
        stored from now on is sealed with a new key. The last slot cannot be removed, and the one in use only with \
        --force.",
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

/// Change the passphrase that opens the repository
#[derive(Debug, Args)]
#[command(
    long_about = "Changes the passphrase that opened the repository just now: a slot for the new one is made, then the \
        old one is removed. Whatever stops it in between, one of the two opens the repository. What a removal does not \
        protect is said in `key remove --help`.",
    after_help = "Examples:\n  \
        duramen key passwd                                      asks for the new passphrase, twice\n  \
        duramen key passwd --password-file old --new-password-file new"
)]
pub struct PasswdArgs {
    /// Read the new passphrase from a file
    #[arg(long, value_name = "FILE", group = "new", value_hint = clap::ValueHint::FilePath)]
    pub new_password_file: Option<PathBuf>,

    /// Read the new passphrase from what a shell command prints
    #[arg(long, value_name = "COMMAND", group = "new", value_hint = clap::ValueHint::CommandString)]
    pub new_password_command: Option<OsString>,
}

/// Seal everything from now on with a new key
#[derive(Debug, Args)]
#[command(
    long_about = "Makes a new sealing key and hands it to all key slots; nobody has to type anything. Commands that \
        start from now on seal with it; what was stored before stays as it is and readable, and nothing is stored \
        twice because of it. `key remove` and `key passwd` do the same in passing.",
    after_help = "Examples:\n  duramen key rotate"
)]
pub struct RotateArgs {}

/// Print a key as 24 words for paper
#[derive(Debug, Args)]
#[command(
    long_about = "Makes a new random key and prints it as 24 words: write them down, or print them, and keep the paper \
        where neither this machine nor the repository is. `key import` makes a key file of them again, on any machine. \
        The words stand nowhere else and cannot be shown again; the slot that they open can be removed like any other.",
    after_help = "Examples:\n  \
        duramen key export\n  \
        duramen key export | lp                                 to the printer, and nowhere else"
)]
pub struct ExportKeyArgs {}

/// Make a key file of the 24 words on paper
#[derive(Debug, Args)]
#[command(
    long_about = "Asks for the 24 words that `key export` printed and writes the key file that they stand for. The \
        first four letters of each word are enough. Where a repository is named with -r, the key is tried first, and \
        nothing is written unless it opens it.",
    after_help = "Examples:\n  \
        duramen -r /mnt/backup/repository key import ~/duramen.key\n  \
        duramen -r /mnt/backup/repository snapshots --key-file ~/duramen.key"
)]
pub struct ImportKeyArgs {
    /// Key file to write; nothing may be there yet
    #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub file: PathBuf,

    /// Read the words from a file instead of asking for them
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub words_file: Option<PathBuf>,
}
