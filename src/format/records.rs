//! The small sealed records beside snapshots: config, session, tombstone, annotation.

use serde::{Deserialize, Serialize};

use super::extension::{self, Extension};
use super::snapshot::Features;
use crate::clock::Nanos;
use crate::error::{Error, Result};
use crate::id::{PackId, RecordId, RepositoryId, SessionId, SnapshotId};
use crate::limits::CHUNK_BYTES_MAX;

/// `config`: what must be known before anything else is read or written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// The repository.
    pub repository: RepositoryId,
    /// Features without which nobody may read, write or collect garbage; they stand first, where an older program
    /// can still read them.
    pub features: Features,
    /// When it was made.
    pub created: Nanos,
    /// How files are cut.
    pub chunking: Chunking,
    /// Room for later.
    pub extensions: Vec<Extension>,
}

/// Sizes of chunks in bytes; powers of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chunking {
    /// No chunk but a file's last is smaller.
    pub min: u32,
    /// About what chunks come to.
    pub average: u32,
    /// No chunk is larger.
    pub max: u32,
}

impl Default for Chunking {
    fn default() -> Self {
        Self {
            min: 8 << 10,
            average: 32 << 10,
            max: 128 << 10,
        }
    }
}

impl Chunking {
    /// Powers of two, in order, within what the format allows.
    ///
    /// # Errors
    /// [`crate::error::Kind::Damage`].
    pub fn check(&self) -> Result<()> {
        let powers = [self.min, self.average, self.max]
            .iter()
            .all(|size| size.is_power_of_two());
        let ordered = 256 <= self.min && self.min <= self.average && self.average <= self.max;
        if powers && ordered && self.max as usize <= CHUNK_BYTES_MAX {
            return Ok(());
        }
        Err(Error::damage(format!("impossible chunk sizes {self:?}")))
    }
}

impl Config {
    /// Holds the record against the rules of its chapter.
    ///
    /// # Errors
    /// [`crate::error::Kind::Damage`], or [`crate::error::Kind::Unsupported`] for a feature in `read` that this program does not have.
    pub fn check(&self) -> Result<()> {
        self.chunking.check()?;
        extension::check(&self.extensions)?;
        self.features.refuse_read("read this repository")
    }

    /// Whether this program may write here.
    ///
    /// # Errors
    /// [`crate::error::Kind::Unsupported`] naming the feature.
    pub fn check_write(&self) -> Result<()> {
        self.features.refuse_write("write to this repository")
    }
}

/// `sessions/<id>.<n>`: somebody is at work, and had seen these tombstones and forgotten snapshots when he began.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// The session.
    pub id: SessionId,
    /// Rises with each renewal.
    pub number: u32,
    /// What for.
    pub purpose: SessionPurpose,
    /// Host name, for people.
    pub host: String,
    /// User name, for people.
    pub user: String,
    /// Process number on that host, for people.
    pub process: u32,
    /// When it began.
    pub started: Nanos,
    /// When this record was written.
    pub renewed: Nanos,
    /// Tombstones seen before the session was put.
    pub tombstones: Vec<RecordId>,
    /// Ends of forgettings that were open (named by a [`Fact::Forgotten`], not put yet) before the session was put.
    /// Ends and not snapshots: one that is taken back and forgotten again must be waited for again.
    pub forgotten: Vec<RecordId>,
    /// Program version.
    pub program: String,
    /// Room for later.
    pub extensions: Vec<Extension>,
}

/// What a session is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SessionPurpose {
    /// It will commit a snapshot.
    Write,
    /// It frees space or repairs.
    Prune,
}

/// `tombstones/<id>`: packs that are to go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tombstone {
    /// The tombstone.
    pub id: RecordId,
    /// The pruner's session.
    pub session: SessionId,
    /// When.
    pub at: Nanos,
    /// The packs.
    pub packs: Vec<PackId>,
    /// Room for later.
    pub extensions: Vec<Extension>,
}

/// `annotations/<snapshot>/<id>`: a later fact about a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Annotation {
    /// The annotation.
    pub id: RecordId,
    /// The snapshot.
    pub snapshot: SnapshotId,
    /// When.
    pub at: Nanos,
    /// Host name.
    pub host: String,
    /// User name.
    pub user: String,
    /// What.
    pub fact: Fact,
    /// Room for later.
    pub extensions: Vec<Extension>,
}

/// What an annotation says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fact {
    /// A tag was added.
    TagAdded(String),
    /// A tag was removed.
    TagRemoved(String),
    /// It must be kept, whatever retention says.
    Held(String),
    /// It need not be kept any more.
    Released,
    /// Words.
    Note(String),
    /// It was verified in full, and found whole or not.
    Verified {
        /// Whether all of it was read back and is right.
        whole: bool,
    },
    /// It is to go. It is no parent any more; its end is the annotation whose id is `end`.
    Forgotten {
        /// Name of the one conditional put that decides: undone, or final.
        end: RecordId,
    },
    /// The end of a forgetting: it was taken back.
    Undone,
    /// The end of a forgetting: it has gone.
    Final,
}

macro_rules! checked {
    ($($record:ident),*) => {$(
        impl $record {
            /// Holds the record against the rules of its chapter.
            ///
            /// # Errors
            /// [`crate::error::Kind::Damage`] or [`crate::error::Kind::Unsupported`].
            pub fn check(&self) -> Result<()> {
                extension::check(&self.extensions)
            }
        }
    )*};
}

checked!(Session, Tombstone, Annotation);
