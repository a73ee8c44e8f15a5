//! Opening a repository: where it is, and what opens it.

use std::path::PathBuf;
use std::sync::Arc;

use crate::clock::{Clock, SystemClock};
use crate::error::{Error, Kind, Result};
use crate::progress::Progress;
pub use crate::repository::Credential;
use crate::repository::{Environment, Repository};
pub use crate::storage::Rates;
use crate::storage::{LocalStorage, PacedStorage, Storage};

/// How to open a repository.
#[derive(Clone)]
pub struct OpenOptions {
    /// A folder's path; `scheme://...` places come with later storages and are refused by name.
    pub location: String,
    /// Tried in order.
    pub credentials: Vec<Credential>,
    /// Folder under which the index cache may live; none keeps the index in memory.
    pub cache: Option<PathBuf>,
    /// Folder in which this machine remembers what it saw of each repository; none remembers nothing.
    pub state: Option<PathBuf>,
    /// Worker threads; 0 means one a core.
    pub threads: usize,
    /// Bytes a second to and from the repository.
    pub rates: Rates,
}

impl OpenOptions {
    /// The storage that `location` names.
    pub(super) fn storage(&self) -> Result<Arc<dyn Storage>> {
        if self.location.is_empty() {
            return Err(
                Error::new(Kind::Usage, "no place for the repository was given")
                    .hint("name one with -r"),
            );
        }
        if let Some((scheme, _)) = self.location.split_once("://") {
            return Err(Error::new(
                Kind::Usage,
                format!("this version has no storage {scheme:?}"),
            )
            .hint("name a folder; mounted network folders work too"));
        }
        let storage = Arc::new(LocalStorage::new(&self.location));
        Ok(PacedStorage::over(storage, self.rates))
    }

    pub(super) fn environment(&self) -> Environment {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        Environment {
            cache: self.cache.clone(),
            state: self.state.clone(),
            threads: if self.threads == 0 {
                cores()
            } else {
                self.threads.min(256)
            },
            clock: Arc::new(SystemClock::default()) as Arc<dyn Clock>,
            host: rustix::system::uname()
                .nodename()
                .to_string_lossy()
                .into_owned(),
            user: crate::fs::owners::Owners::default()
                .user(rustix::process::getuid().as_raw())
                .map_or_else(
                    || rustix::process::getuid().as_raw().to_string(),
                    |name| String::from_utf8_lossy(&name).into_owned(),
                ),
        }
    }
}

/// Opens it.
///
/// # Errors
/// `NoRepository`, `WrongKey`, `Unsupported`, `Damage`, and whatever the storage says.
pub fn open(options: &OpenOptions, _progress: &dyn Progress) -> Result<Repository> {
    Repository::open(
        options.storage()?,
        &options.credentials,
        options.environment(),
    )
}
