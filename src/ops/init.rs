//! Making a repository.

use super::open::OpenOptions;
use crate::error::{Error, Kind, Result};
use crate::format::records::Chunking;
use crate::id::RepositoryId;
use crate::progress::Progress;
pub use crate::repository::new_key_file;
use crate::repository::{SlotKind, create};

/// What was made.
#[derive(Debug, Clone)]
pub struct InitSummary {
    /// The new repository's id.
    pub id: RepositoryId,
    /// Where it is, for people.
    pub location: String,
    /// Seconds that opening with the passphrase takes here, where one was given.
    pub kdf_seconds: Option<f64>,
}

/// Makes a repository whose first slot is opened by the first of `options.credentials`.
///
/// # Errors
/// [`Kind::Exists`] where one is there already, and whatever the storage says.
pub fn run(options: &OpenOptions, progress: &dyn Progress) -> Result<InitSummary> {
    let credential = options.credentials.first().ok_or_else(|| {
        Error::new(Kind::Usage, "a repository needs a passphrase or a key file")
            .hint("see --password-file, --password-command and --key-file")
    })?;
    let (storage, environment) = (options.storage()?, options.environment());
    progress.phase("init");
    let id = create(&*storage, credential, &environment, Chunking::default())?;
    let kdf_seconds = match credential.kind() {
        SlotKind::KeyFile => None,
        SlotKind::Passphrase => {
            let start = environment.clock.elapsed();
            super::open::open(options, progress)?;
            Some((environment.clock.elapsed() - start).as_secs_f64())
        }
    };
    Ok(InitSummary {
        id,
        location: storage.describe(),
        kdf_seconds,
    })
}
