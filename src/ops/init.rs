//! Making a repository.
use super::open::OpenOptions;
use crate::error::Result;
use crate::id::RepositoryId;
use crate::progress::Progress;

/// What was made.
#[derive(Debug, Clone)]
pub struct InitSummary {
    pub id: RepositoryId,
    pub location: String,
    /** seconds that opening with the passphrase takes, where one was given */
    pub kdf_seconds: Option<f64>,
}

/// A fresh key file's text, to be saved by the caller with mode 0600.
pub fn new_key_file() -> Result<zeroize::Zeroizing<Vec<u8>>> {
    unimplemented!()
}

/// Makes a repository whose first slot is opened by `options.credentials[0]`. `Exists` where one is there already.
pub fn run(_options: &OpenOptions, _progress: &dyn Progress) -> Result<InitSummary> {
    unimplemented!()
}
