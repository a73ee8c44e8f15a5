//! What a restore is about to change on a server, kept so that it can be put back (`format-spec/deployment.md`).
//!
//! It holds what was there before and nothing of what was written: that is in the snapshot that was restored. So a document
//! that somebody has changed since can be told from one that is as the restore left it.

use serde::{Deserialize, Serialize};

use super::extension::{self, Extension};
use super::run::Run;
use crate::clock::Nanos;
use crate::error::{Error, Result};
use crate::id::SnapshotId;
use crate::limits::{NAMESPACE_BYTES_MAX, SLICE_WORDS_MAX, UNDO_COLLECTIONS_MAX};

/// What a restore is about to change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undo {
    /// The server's address, without what is secret in it.
    pub address: String,
    /// The snapshot that is restored.
    pub source: SnapshotId,
    /// The moment of it, where one was asked for.
    pub at: Option<Nanos>,
    /// Whether documents that were there were given what they lacked, instead of being replaced.
    pub merged: bool,
    /// Collections, each once.
    pub collections: Vec<UndoCollection>,
    /// Room for later.
    pub extensions: Vec<Extension>,
}

/// What a restore is about to change of one collection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UndoCollection {
    /// Its namespace in the snapshot that is restored.
    pub source: String,
    /// Its namespace on the server.
    pub target: String,
    /// Whether it was not there: then all of it was written.
    pub created: bool,
    /// Documents as they were, and as deletions those that were not there. Empty where it was created.
    pub before: Run,
}

/// Tag of the extension that names, by its raw path, the dump among the files of `source` whose collections were restored.
pub const DUMP: u32 = 1;

impl Undo {
    /// The dump among the files of the snapshot that was restored, where one was.
    #[must_use]
    pub fn dump(&self) -> Option<&[u8]> {
        let own = self.extensions.iter().find(|own| own.tag == DUMP);
        own.map(|own| own.body.as_slice())
    }

    /// Holds the record against the rules of its chapter.
    ///
    /// # Errors
    /// [`crate::error::Kind::Damage`] or `Unsupported`, naming the rule.
    pub fn check(&self) -> Result<()> {
        let namespaces = self
            .collections
            .iter()
            .flat_map(|own| [&own.source, &own.target]);
        let long = namespaces
            .into_iter()
            .any(|name| name.len() > NAMESPACE_BYTES_MAX);
        if long
            || self.address.len() > SLICE_WORDS_MAX
            || self.collections.len() > UNDO_COLLECTIONS_MAX
        {
            return Err(Error::damage(
                "what a restore changed is of impossible size",
            ));
        }
        self.collections
            .iter()
            .try_for_each(|own| own.before.check())?;
        extension::check(&self.extensions)
    }
}
