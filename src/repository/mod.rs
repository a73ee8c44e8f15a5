//! An opened repository: keys in hand, index at hand, sessions, chunks in and out, and the commit.
//!
//! Order that must hold when writing: packs, then the segments that name them, then the snapshot. So whoever lists
//! snapshots first and loads segments after finds every chunk of every snapshot in the list.

mod admin;
mod annotations;
mod catalogue;
mod create;
mod documents;
mod finder;
mod key_file;
mod memory;
mod reader;
mod recovery;
mod ring;
mod rules;
mod scratch;
mod session;
mod sessions;
mod slots;
mod snapshots;
#[cfg(test)]
pub mod testing;
mod tombstones;
mod tree;
mod writer;

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

pub use crate::format::frame::ChunkKind;
pub use crate::format::keys::{RingSlot, SlotKind};
pub use crate::format::records::Fact;
pub use crate::index::{FramePlace, Location};
pub use admin::SlotCost;
pub use annotations::{Annotations, Facts, Standing};
pub use create::create;
pub use documents::{Stored, StoredDocuments, Stretch, key_of};
pub use finder::Finder;
pub use key_file::new_key_file;
pub use memory::{Memory, Recalled};
pub use reader::FrameCache;
pub use recovery::{RECOVERY_WORDS, from_recovery_words, recovery_word, recovery_words};
pub(crate) use rules::Rule;
pub use session::Session;
pub use sessions::{LiveSession, Seen};
pub use slots::Credential;
pub use snapshots::{SeenDigest, snapshot_name};
pub use tree::{EntriesWithHints, Listed, Page};
pub use writer::{ChunkWriter, WriterOptions, Written};

use crate::clock::Clock;
use crate::error::{Error, Kind, Result};
use crate::format::codec;
use crate::format::file::{FileType, RecordHeader};
use crate::format::records::Config;
use crate::format::snapshot::Features;
use crate::id::{ChunkId, RepositoryId};
use crate::index::Index;
use crate::limits::RECORD_BYTES_MAX;
use crate::seal::{Keys, open_record, seal_record};
use crate::storage::Storage;

/// What a repository needs from outside besides its storage.
#[derive(Clone)]
pub struct Environment {
    /// Folder under which index caches live, one folder a repository; none keeps the index in memory.
    pub cache: Option<PathBuf>,
    /// Folder in which this machine remembers what it saw, one file a repository; none remembers nothing.
    pub state: Option<PathBuf>,
    /// Worker threads, at least 1.
    pub threads: usize,
    /// Where the time comes from.
    pub clock: Arc<dyn Clock>,
    /// Host name, for people.
    pub host: String,
    /// User name, for people.
    pub user: String,
}

/// An opened repository; shared by all threads.
pub struct Repository {
    storage: Arc<dyn Storage>,
    keys: Arc<Keys>,
    index: Arc<Index>,
    config: Config,
    environment: Environment,
    unlocked: Arc<slots::Unlocked>,
    frames: FrameCache,
    scratch: OnceLock<scratch::Scratch>,
    /// The rule that a simulation leaves out.
    #[cfg(test)]
    pub(crate) off: Option<Rule>,
}

const CONFIG: &str = "config";

/// The config's whole file.
///
/// # Errors
/// [`Kind::NoRepository`] where there is none, and whatever the storage says.
pub fn read_config_file(storage: &dyn Storage) -> Result<Vec<u8>> {
    storage
        .read(CONFIG, RECORD_BYTES_MAX as u64)
        .map_err(|error| match error.kind() {
            Kind::NotFound => Error::new(Kind::NoRepository, "there is no repository here")
                .subject(storage.describe())
                .hint("make one with `duramen init`, or name another place with -r"),
            _ => error,
        })
}

/// What is sealed under our keys and yet not understood was not damaged by any storage: the seal excludes that.
fn newer(error: Error) -> Error {
    let (subject, message) = (
        error.subject_text().map(ToOwned::to_owned),
        error.message().to_owned(),
    );
    let newer = Error::new(
        Kind::Unsupported,
        format!("{message}; it was written by another version of duramen"),
    )
    .hint("use a newer version of duramen");
    match subject {
        Some(subject) => newer.subject(subject),
        None => newer,
    }
}

impl Repository {
    /// Opens the repository in `storage` with the first credential that fits a slot.
    ///
    /// # Errors
    /// `NoRepository`, `WrongKey`, `Unsupported`, `Damage`, and whatever the storage says.
    pub fn open(
        storage: Arc<dyn Storage>,
        credentials: &[Credential],
        environment: Environment,
    ) -> Result<Self> {
        let file = read_config_file(&*storage)?;
        let id = RecordHeader::split(FileType::Config, &file, RECORD_BYTES_MAX)
            .map_err(|error| error.or_subject(|| CONFIG.into()))?
            .1
            .repository;
        let unlocked = Arc::new(slots::unlock(&*storage, id, credentials)?);
        let ring = ring::newest(&*storage, id, &unlocked)?;
        let mut keys = Keys::new(id, &ring)?;
        let (again, slot) = (storage.clone(), unlocked.clone());
        keys.read_newer_with(Box::new(move || ring::newest(&*again, id, &slot)));
        let keys = Arc::new(keys);
        let body = open_record(&keys, FileType::Config, CONFIG, &file, RECORD_BYTES_MAX)?;
        let config: Config = codec::decode(&body, RECORD_BYTES_MAX, CONFIG).map_err(|error| {
            let prefix = codec::decode_prefix::<(RepositoryId, Features)>(&body);
            let lacking =
                prefix.and_then(|(_, features)| features.refuse_read("read this repository").err());
            lacking.unwrap_or_else(|| newer(error))
        })?;
        config
            .check()
            .map_err(|error| error.or_subject(|| CONFIG.into()))?;
        if config.repository != id {
            return Err(Error::damage("speaks of another repository").subject(CONFIG));
        }
        let cache = environment
            .cache
            .as_ref()
            .map(|folder| folder.join(id.hex()));
        let index = Arc::new(Index::new(storage.clone(), keys.clone(), cache));
        Ok(Self {
            storage,
            keys,
            index,
            config,
            environment,
            unlocked,
            frames: FrameCache::default(),
            scratch: OnceLock::new(),
            #[cfg(test)]
            off: None,
        })
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> RepositoryId {
        self.keys.repository
    }

    /// Its config.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Where it is, for people.
    #[must_use]
    pub fn describe(&self) -> String {
        self.storage.describe()
    }

    /// Where its files are.
    #[must_use]
    pub fn storage(&self) -> &dyn Storage {
        &*self.storage
    }

    /// Keys in hand.
    #[must_use]
    pub fn keys(&self) -> &Arc<Keys> {
        &self.keys
    }

    /// The index.
    #[must_use]
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// What it was given from outside.
    #[must_use]
    pub fn environment(&self) -> &Environment {
        &self.environment
    }

    /// Threads that the user allows.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.environment.threads
    }

    /// A chunk's name.
    #[must_use]
    pub fn chunk_id(&self, kind: ChunkKind, bytes: &[u8]) -> ChunkId {
        self.keys.chunk_id(kind, bytes)
    }

    /// Seals a record and puts it under a name that nobody has used; false where somebody was first.
    fn put_record<T: serde::Serialize>(
        &self,
        file_type: FileType,
        name: &str,
        record: &T,
    ) -> Result<(bool, u64)> {
        let body = codec::encode(record)?;
        let file = seal_record(&self.keys, file_type, name, &body, RECORD_BYTES_MAX)?;
        let first = self.storage.put_new(name, &file)?;
        Ok((first, file.len() as u64))
    }

    /// Reads and opens a record; its own rules are the caller's to check.
    fn get_record<T: serde::Serialize + serde::de::DeserializeOwned>(
        &self,
        file_type: FileType,
        name: &str,
    ) -> Result<T> {
        let file = self.storage.read(name, RECORD_BYTES_MAX as u64)?;
        let body = open_record(&self.keys, file_type, name, &file, RECORD_BYTES_MAX)?;
        codec::decode(&body, RECORD_BYTES_MAX, name).map_err(newer)
    }
}
