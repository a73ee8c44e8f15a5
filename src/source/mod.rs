//! Where data comes from.
//!
//! A source walks in one fixed order, depth first with the members of each directory sorted by raw name, and tells
//! what it finds as [`Event`]s. It compares nothing and keeps nothing: whether a file must be read at all is
//! decided by the snapshot room, which then opens it through its [`Origin`].

pub mod dump;
pub mod excludes;
pub mod files;
pub mod mongo;
pub mod stream;

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::progress::Progress;

pub use crate::fs::{Stat, StatKind};

/// An extended attribute as read: name and value.
pub type RawXattr = (Vec<u8>, Vec<u8>);

/// Opens the members of one directory (or of something that looks like one).
pub trait Origin: Send + Sync {
    /// Opens the regular file `name` for reading; never follows a symbolic link, never blocks on a pipe, never
    /// changes the access time where the system allows that.
    ///
    /// # Errors
    /// Names the whole path.
    fn open(&self, name: &[u8]) -> Result<Box<dyn Content>>;

    /// The target of the symbolic link `name`.
    ///
    /// # Errors
    /// Names the whole path.
    fn read_link(&self, name: &[u8]) -> Result<Vec<u8>>;

    /// Extended attributes of `name` itself (never of what it points to), sorted by name; an empty `name` means the
    /// directory. Empty where the file system has none.
    ///
    /// # Errors
    /// Names the whole path.
    fn xattrs(&self, name: &[u8]) -> Result<Vec<RawXattr>>;

    /// Whole raw path of `name`, for messages; an empty `name` means the directory.
    fn path(&self, name: &[u8]) -> Vec<u8>;
}

/// A regular file being read from its start to its end, once.
pub trait Content: Send {
    /// The next run: data copied to the front of `buffer`, or a hole, or the end.
    ///
    /// # Errors
    /// Names the whole path.
    fn next(&mut self, buffer: &mut [u8]) -> Result<Run>;

    /// What the system says of the opened file now: compared with before, it tells of a change while reading.
    /// `None` for a stream that has no such thing.
    ///
    /// # Errors
    /// Names the whole path.
    fn stat(&self) -> Result<Option<Stat>>;

    /// Extended attributes of the opened file, as [`Origin::xattrs`] gives them. `None` for a stream that has no such
    /// thing: then its [`Origin`] is asked.
    ///
    /// # Errors
    /// Names the whole path.
    fn xattrs(&self) -> Result<Option<Vec<RawXattr>>>;
}

/// What [`Content::next`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Run {
    /// So many bytes stand at the front of the buffer; at least 1.
    Data(usize),
    /// So many zeros that take no space; at least 1.
    Hole(u64),
    /// Nothing more.
    End,
}

/// Something that a walk found, in order.
pub enum Event {
    /// A directory begins; its members follow, then [`Event::Leave`]. The first event of a walk enters `/`.
    Enter {
        /// Raw name; `/` for the root.
        name: Vec<u8>,
        /// What the system says of it.
        stat: Stat,
        /// Opens it and its members.
        origin: Arc<dyn Origin>,
    },
    /// The directory entered last is finished.
    Leave,
    /// Anything but a directory, in the directory entered last.
    Member {
        /// Raw name.
        name: Vec<u8>,
        /// What the system says of it.
        stat: Stat,
        /// Opens it.
        origin: Arc<dyn Origin>,
    },
    /// Something could not be read; the walk goes on without it.
    Problem {
        /// Whole raw path.
        path: Vec<u8>,
        /// Why.
        error: Error,
    },
}

/// Anything that can be snapshotted as a tree of files.
pub trait Source: Send {
    /// Walks everything once, handing over events in batches (never empty, at most a few hundred), in order.
    /// Stops at once with the error of `emit`, and when `progress` says so.
    ///
    /// # Errors
    /// Only what makes the whole walk impossible; anything else is an [`Event::Problem`].
    fn walk(
        &mut self,
        progress: &dyn Progress,
        emit: &mut dyn FnMut(Vec<Event>) -> Result<()>,
    ) -> Result<()>;
}
