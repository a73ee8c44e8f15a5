//! Storages: where named immutable files live.
//!
//! What every storage must keep, and the conformance suite in `tests/storage.rs` holds each to:
//! - a file appears whole under its name or not at all, and once [`Upload::finish`] or [`Storage::put_new`] has
//!   returned, it survives a power cut;
//! - [`Storage::put_new`] is conditional: of two that put the same name, exactly one is told that it was first;
//! - after a write has returned, every later read and listing by any process sees it.

mod fault;
mod local;
mod memory;
mod paced;

pub use fault::{Fault, FaultStorage};
pub use local::LocalStorage;
pub use memory::MemoryStorage;
pub use paced::{PacedStorage, Rates};

use crate::clock::Nanos;
use crate::error::{Error, Result};

/// A stored file as a listing shows it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Item {
    /// Whole name, folders separated by `/`.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// When it was put, by the storage's clock; none where the storage does not say. Whoever copies a repository file
    /// by file may give all of them new times.
    pub modified: Option<Nanos>,
}

/// Where named immutable files live.
pub trait Storage: Send + Sync {
    /// Where it is, for people; never with a password.
    fn describe(&self) -> String;

    /// Every file whose name begins with `folder` and a `/`, in no particular order; temporary and foreign files
    /// are the caller's to pass over.
    ///
    /// # Errors
    /// Whatever the storage says; a folder that is not there is empty.
    fn list(&self, folder: &str) -> Result<Vec<Item>>;

    /// The whole file.
    ///
    /// # Errors
    /// `NotFound`; `Damage` where it is longer than `max` bytes.
    fn read(&self, name: &str, max: u64) -> Result<Vec<u8>>;

    /// Exactly `len` bytes from `offset` on.
    ///
    /// # Errors
    /// `NotFound`; `Damage` where the file ends before.
    fn read_range(&self, name: &str, offset: u64, len: usize) -> Result<Vec<u8>>;

    /// Bytes of the file, none where it is not there.
    ///
    /// # Errors
    /// Whatever the storage says.
    fn size(&self, name: &str) -> Result<Option<u64>>;

    /// Puts a whole file under a name that nobody has used: false where somebody was first, whose file stays.
    ///
    /// # Errors
    /// Whatever the storage says; then nobody knows whether the file is there.
    fn put_new(&self, name: &str, bytes: &[u8]) -> Result<bool>;

    /// Begins a file whose name is known only at its end.
    ///
    /// # Errors
    /// Whatever the storage says.
    fn create(&self) -> Result<Box<dyn Upload>>;

    /// Removes a file; true also where it was not there.
    ///
    /// # Errors
    /// Whatever the storage says.
    fn delete(&self, name: &str) -> Result<()>;

    /// Where this storage is a folder on this machine: its path, which a snapshot of files leaves out.
    fn local_path(&self) -> Option<&std::path::Path> {
        None
    }
}

/// A file being written; dropped unfinished, it leaves nothing under any name.
pub trait Upload: Send {
    /// Appends.
    ///
    /// # Errors
    /// Whatever the storage says.
    fn write(&mut self, bytes: &[u8]) -> Result<()>;

    /// Gives the file its name, durably. The name is that of its content: where it is there already, it is the same.
    ///
    /// # Errors
    /// Whatever the storage says.
    fn finish(self: Box<Self>, name: &str) -> Result<()>;
}

/// Refuses names that could lead out of the storage or that no storage can hold.
fn check_name(name: &str) -> Result<()> {
    let fine = |part: &str| {
        !part.is_empty()
            && part != "."
            && part != ".."
            && part
                .bytes()
                .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_'))
    };
    if name.len() <= 200 && name.split('/').all(fine) {
        return Ok(());
    }
    Err(Error::damage("a name that no stored file has").subject(name.escape_debug().to_string()))
}
