//! Writing files into a folder so that each appears whole or not at all.
//!
//! Everything happens relative to open directories ([`Dir`]), so a symbolic link that stands (or is put) in the way
//! can never lead a restore outside its target. What is written stands under a temporary name in the same directory
//! until content and metadata are complete, and takes its own name with one rename: a reader sees the old file or the
//! new one, and a restore that dies leaves `.duramen-*.tmp` files behind, never half a file under a real name. The one
//! exception is [`Writing::in_place`], which the user must ask for.

mod compare;
mod file;
mod meta;
mod node;
mod owners;
mod place;
mod sweep;
mod temporary;
#[cfg(test)]
mod tests;

pub use compare::{OnDisk, only_zeros};
pub use file::Writing;
pub use meta::{Applied, Meta, apply_to_directory, apply_to_member, differences, lend_access};
pub use node::{Special, link, make};
pub use owners::Owners;
pub use place::{look, make_directory, read_link, remove_directory, unlink};
pub use sweep::{Sweep, names};
pub use temporary::Temporary;

#[cfg(doc)]
use crate::fs::Dir;
use crate::fs::{Identity, Stat};

/// What this process may and should do.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Set owners and groups.
    pub ownership: bool,
    /// Runs as root: may set attributes of the `trusted` and `security` namespaces.
    pub privileged: bool,
    /// Leave long runs of zeros unwritten, so that they take no space.
    pub sparse: bool,
}

/// Which inode a stat is about.
#[must_use]
pub fn identity(stat: &Stat) -> Identity {
    Identity {
        device: stat.device,
        inode: stat.inode,
    }
}

/// A whole system error's place among those that end a restore: nothing more can be written anywhere.
#[must_use]
pub fn ends_everything(error: &crate::error::Error) -> bool {
    use crate::error::Kind;
    matches!(
        error.kind(),
        Kind::NoSpace | Kind::ReadOnly | Kind::Interrupted
    )
}
