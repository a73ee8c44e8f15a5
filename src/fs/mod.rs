//! System calls relative to an open directory, for whoever reads or writes trees: nothing here follows a symbolic
//! link, so a tree that changes under our feet cannot lead us outside it.

mod dir;
pub mod holes;
mod nameless;
mod names;
pub mod owners;
pub mod passing;
mod stat;
pub mod xattr;

pub use dir::{Dir, Identity};
#[cfg(test)]
pub(crate) use dir::{close_all, tests::alone};
pub use nameless::nameless;
pub use names::{Lister, Names};
pub use stat::{Stat, StatKind, of_descriptor, of_member};
