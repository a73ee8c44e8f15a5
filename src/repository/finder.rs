//! Documents of a collection, asked for in the order of their keys: one by one where few are, and otherwise by walking past
//! all of them once.

use super::{Repository, Stored};
use crate::error::Result;
use crate::format::run::Run;

/// A look-up costs about as much as walking by so many documents.
const WALK: u64 = 200;

/// See the module.
pub enum Finder<'r> {
    /// Past all of them.
    Walk {
        /// What is to come.
        stream: Box<dyn Iterator<Item = Result<Stored>> + 'r>,
        /// The first that was not asked for yet.
        next: Option<Stored>,
    },
    /// One by one.
    Look(&'r Repository, Vec<Run>),
}

impl<'r> Finder<'r> {
    /// Of these runs, newest first; about so many documents will be asked for.
    #[must_use]
    pub fn new(repository: &'r Repository, runs: &[Run], asked: u64) -> Self {
        let held: u64 = runs
            .iter()
            .filter_map(|run| run.documents)
            .map(|sorted| sorted.documents)
            .sum();
        if asked.saturating_mul(WALK) < held {
            return Self::Look(repository, runs.to_vec());
        }
        Self::Walk {
            stream: Box::new(repository.collection(runs)),
            next: None,
        }
    }

    /// The document of that key, which must not come before the last one that was asked for.
    ///
    /// # Errors
    /// [`crate::error::Kind::Damage`] or `Unsupported`, naming the chunk.
    pub fn find(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        match self {
            Self::Look(repository, runs) => repository.collection_document(runs, key),
            Self::Walk { stream, next } => loop {
                match next {
                    Some(stored) if *stored.key == *key => return Ok(Some(stored.bytes.clone())),
                    Some(stored) if *stored.key > *key => return Ok(None),
                    _ => match stream.next() {
                        Some(stored) => *next = Some(stored?),
                        None => return Ok(None),
                    },
                }
            },
        }
    }
}
