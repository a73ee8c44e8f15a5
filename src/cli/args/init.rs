//! `duramen init`.

use clap::Args;

/// Make a repository
#[derive(Debug, Args)]
#[command(
    long_about = "Makes a repository and its first key slot.\n\n\
        With -r, say what shall open it: a passphrase (--password-file, --password-command, DURAMEN_PASSWORD, or \
        typed at the terminal) or a key file. A --key-file that does not exist yet is generated. Without -r the \
        default repository is made, with a key file beside it unless you say otherwise.\n\n\
        Whoever loses every passphrase and every key file of a repository has lost the repository: keep a copy of \
        one of them in another place.",
    after_help = "Examples:\n  \
        duramen init -r /mnt/disk/repository                            asks for a passphrase, twice\n  \
        duramen init -r /mnt/disk/repository --key-file ~/duramen.key   generates the key file\n  \
        duramen init -r /mnt/disk/repository --password-command 'pass show backup'"
)]
pub struct InitArgs {}
