//! What unit tests of other rooms need.

#![allow(clippy::unwrap_used)]

use std::path::PathBuf;
use std::sync::Arc;

use super::{Credential, Environment, Repository, create, new_key_file};
use crate::clock::SystemClock;
use crate::format::records::Chunking;
use crate::storage::MemoryStorage;

/// A new repository in memory.
pub fn in_memory(cache: Option<PathBuf>) -> Repository {
    let storage = MemoryStorage::new();
    let environment = Environment {
        cache,
        state: None,
        threads: 1,
        clock: Arc::new(SystemClock::default()),
        host: "here".into(),
        user: "nobody".into(),
    };
    let credential = Credential::KeyFile(new_key_file().unwrap());
    create(&storage, &credential, &environment, Chunking::default()).unwrap();
    Repository::open(Arc::new(storage), &[credential], environment).unwrap()
}
