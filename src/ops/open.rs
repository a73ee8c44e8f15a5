//! Opening a repository: where it is, and what opens it.
use crate::error::Result;
use crate::progress::Progress;
pub use crate::repository::Credential;
use crate::repository::Repository;
use std::path::PathBuf;

/// How to open a repository.
#[derive(Clone)]
pub struct OpenOptions {
    /// A folder's path; `scheme://...` places come with later storages and are refused by name.
    pub location: String,
    /// Tried in order.
    pub credentials: Vec<Credential>,
    /// Folder under which the index cache may live; none keeps the index in memory.
    pub cache: Option<PathBuf>,
    /// Worker threads; 0 means one a core.
    pub threads: usize,
}

/// Opens it.
///
/// # Errors
/// `NoRepository`, `WrongKey`, `Unsupported`, `Damage`, and whatever the storage says.
pub fn open(_options: &OpenOptions, _progress: &dyn Progress) -> Result<Repository> {
    unimplemented!()
}
