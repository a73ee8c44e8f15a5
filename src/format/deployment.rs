//! What a snapshot holds of a MongoDB deployment: the moment that it shows, and a catalogue of collections, each with its
//! options, its indexes and its runs of documents (`format-spec/deployment.md`).
//!
//! Options and indexes are raw BSON as the server listed them. What they mean is the server's business: a version that is
//! not known here keeps them as well as one that is.

use serde::{Deserialize, Serialize};

use super::bson::Document;
use super::entry::PageRef;
use super::extension::{self, Extension};
use super::run::Run;
use crate::clock::Nanos;
use crate::error::{Error, Result};
use crate::id::ChunkId;
use crate::limits::{INDEXES_MAX, NAMESPACE_BYTES_MAX, PAGE_DEPTH_MAX, PAGE_ENTRIES_MAX, RUNS_MAX};

/// The raw document of nothing: options of which nothing is known.
pub const EMPTY_DOCUMENT: &[u8] = b"\x05\0\0\0\0";

/// A deployment at one time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployment {
    /// Name of the replica set; empty for a server that stands alone.
    pub set: String,
    /// The server's version, as it says it.
    pub server: String,
    /// Which time it shows.
    pub moment: Moment,
    /// Topmost page of the catalogue; none where nothing was there.
    pub catalogue: Option<PageRef>,
    /// Collections, views and time series in it.
    pub collections: u64,
    /// Documents in them, as far as they were counted.
    pub documents: u64,
    /// Bytes of all documents that the runs hold, those included that newer runs replace.
    pub bytes: u64,
    /// Room for later.
    pub extensions: Vec<Extension>,
}

/// The extension of a deployment that repair took again without what was lost of it.
const DAMAGED: u32 = 1;

impl Deployment {
    /// Whether something of it was lost, so that nothing recorded can be done to it.
    #[must_use]
    pub fn is_damaged(&self) -> bool {
        self.extensions.iter().any(|own| own.tag == DAMAGED)
    }

    /// Notes that something of it was lost.
    pub fn set_damaged(&mut self) {
        if !self.is_damaged() {
            self.extensions.push(Extension {
                tag: DAMAGED,
                critical: false,
                body: Vec::new(),
            });
            self.extensions.sort_by_key(|own| own.tag);
        }
    }
}

/// Which time a snapshot of a deployment shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Moment {
    /// All of it as it was at one cluster time: what was written up to then and nothing else.
    At(Position),
    /// Not one point in time: read from the one to the other, where the server has no oplog.
    Between {
        /// When reading began, by the clock of the machine that read.
        from: Nanos,
        /// When it ended.
        to: Nanos,
    },
}

/// An entry of the oplog.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Its cluster time: seconds in the upper 32 bits, the number within that second in the lower.
    pub time: u64,
    /// BLAKE3 of its raw bytes: what stands in the oplog at that time later must be the same entry, or its history is
    /// another one. Zeroes where nobody could read it.
    pub proof: [u8; 32],
}

impl Position {
    /// The entry of that time, which nobody has read.
    #[must_use]
    pub const fn unproven(time: u64) -> Self {
        Self {
            time,
            proof: [0; 32],
        }
    }

    /// Whether it is known which entry it is.
    #[must_use]
    pub fn is_proven(&self) -> bool {
        self.proof != [0; 32]
    }
}

/// A page of the catalogue; a chunk of kind catalogue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CataloguePage {
    /// Collections in the order of their names.
    Leaf(Vec<Collection>),
    /// Pages one level below.
    Branch(Vec<CatalogueChild>),
}

/// A page below a branch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CatalogueChild {
    /// Namespace of the first collection in it (or below it).
    pub first: String,
    /// Its chunk.
    pub id: ChunkId,
}

/// What a name in a database stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CollectionKind {
    /// Documents under their `_id`.
    Plain,
    /// Documents in the order in which they were inserted, the oldest going when room is short.
    Capped,
    /// A query over others; no documents of its own.
    View,
    /// Measurements; the documents are those of the collection of buckets beside it.
    TimeSeries,
}

impl CollectionKind {
    /// The word for people and for `--json`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Plain => "collection",
            Self::Capped => "capped",
            Self::View => "view",
            Self::TimeSeries => "timeseries",
        }
    }
}

/// A collection, a view or a time series.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Collection {
    /// Database and name with a dot between. Names of databases hold no dots.
    pub namespace: String,
    /// What it is.
    pub kind: CollectionKind,
    /// The server's id of it: stays when it is renamed, and is another when it is made anew. Views have none.
    pub uuid: Option<[u8; 16]>,
    /// What it was created with, as the server lists it: a raw document.
    #[serde(with = "serde_bytes")]
    pub options: Vec<u8>,
    /// Its indexes, as the server lists them: raw documents.
    pub indexes: Vec<RawDocument>,
    /// Documents at that time, where they were counted.
    pub documents: Option<u64>,
    /// What holds them, newest first.
    pub runs: Vec<Run>,
    /// Room for later.
    pub extensions: Vec<Extension>,
}

/// A raw BSON document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RawDocument(#[serde(with = "serde_bytes")] pub Vec<u8>);

impl Deployment {
    /// Holds the record against the rules of its chapter.
    ///
    /// # Errors
    /// [`crate::error::Kind::Damage`] or `Unsupported`, naming the rule.
    pub fn check(&self) -> Result<()> {
        let deep = self
            .catalogue
            .is_some_and(|page| page.depth > PAGE_DEPTH_MAX);
        let words = [&self.set, &self.server];
        if deep || words.iter().any(|word| word.len() > NAMESPACE_BYTES_MAX) {
            return Err(Error::damage("a deployment of impossible size"));
        }
        if self.catalogue.is_none() != (self.collections == 0) {
            return Err(Error::damage("a deployment that counts what is not there"));
        }
        extension::check(&self.extensions)
    }
}

impl CataloguePage {
    /// Holds the page against the rules of its chapter; every reader calls it before using the page.
    ///
    /// # Errors
    /// [`crate::error::Kind::Damage`] or `Unsupported`, naming the rule.
    pub fn check(&self) -> Result<()> {
        let (count, names): (usize, Vec<&str>) = match self {
            Self::Leaf(collections) => (
                collections.len(),
                collections
                    .iter()
                    .map(|collection| collection.namespace.as_str())
                    .collect(),
            ),
            Self::Branch(children) => (
                children.len(),
                children.iter().map(|child| child.first.as_str()).collect(),
            ),
        };
        if !(1..=PAGE_ENTRIES_MAX).contains(&count) {
            return Err(Error::damage(format!(
                "a catalogue page of {count} entries"
            )));
        }
        if !names.windows(2).all(|pair| pair[0] < pair[1]) {
            return Err(Error::damage("a catalogue page out of order"));
        }
        match self {
            Self::Leaf(collections) => collections.iter().try_for_each(Collection::check),
            Self::Branch(_) => Ok(()),
        }
    }
}

impl Collection {
    /// A collection of that name of which nothing else is known.
    #[must_use]
    pub fn named(namespace: impl Into<String>) -> Self {
        Self {
            namespace: namespace.into(),
            kind: CollectionKind::Plain,
            uuid: None,
            options: Vec::new(),
            indexes: Vec::new(),
            documents: None,
            runs: Vec::new(),
            extensions: Vec::new(),
        }
    }

    /// Its database.
    #[must_use]
    pub fn database(&self) -> &str {
        self.split().0
    }

    /// Its name within its database.
    #[must_use]
    pub fn name(&self) -> &str {
        self.split().1
    }

    fn split(&self) -> (&str, &str) {
        self.namespace.split_once('.').unwrap_or(("", ""))
    }

    /// Holds it against the rules of its chapter.
    ///
    /// # Errors
    /// [`crate::error::Kind::Damage`] or `Unsupported`, naming the rule.
    pub fn check(&self) -> Result<()> {
        let (database, name) = self.split();
        let named = !database.is_empty() && !name.is_empty();
        if !named || self.namespace.len() > NAMESPACE_BYTES_MAX || self.namespace.contains('\0') {
            return Err(Error::damage("a collection whose name cannot be one"));
        }
        if self.runs.len() > RUNS_MAX || self.indexes.len() > INDEXES_MAX {
            return Err(Error::damage("a collection of too many runs or indexes"));
        }
        let holds = matches!(self.kind, CollectionKind::Plain | CollectionKind::Capped);
        if !holds && !self.runs.is_empty() {
            return Err(Error::damage("a view with documents of its own"));
        }
        Document::whole(&self.options)?;
        for index in &self.indexes {
            Document::whole(&index.0)?;
        }
        self.runs.iter().try_for_each(Run::check)?;
        extension::check(&self.extensions)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn collection(namespace: &str) -> Collection {
        Collection {
            namespace: namespace.into(),
            kind: CollectionKind::Plain,
            uuid: Some([1; 16]),
            options: b"\x05\0\0\0\0".to_vec(),
            indexes: vec![RawDocument(b"\x05\0\0\0\0".to_vec())],
            documents: Some(0),
            runs: vec![Run::default()],
            extensions: Vec::new(),
        }
    }

    #[test]
    fn collections_are_held_against_their_rules() {
        let sound = collection("a.b.c");
        sound.check().unwrap();
        assert_eq!((sound.database(), sound.name()), ("a", "b.c"));
        let broken = [
            collection("ab"),
            collection(".b"),
            collection("a."),
            collection("a.b\0"),
            collection(&format!("a.{}", "b".repeat(NAMESPACE_BYTES_MAX))),
            Collection {
                kind: CollectionKind::View,
                ..collection("a.b")
            },
            Collection {
                options: Vec::new(),
                ..collection("a.b")
            },
            Collection {
                indexes: vec![RawDocument(b"\x05\0\0\0".to_vec())],
                ..collection("a.b")
            },
            Collection {
                runs: vec![Run::default(); RUNS_MAX + 1],
                ..collection("a.b")
            },
        ];
        for collection in broken {
            assert!(collection.check().is_err(), "{collection:?}");
        }
    }

    #[test]
    fn pages_are_held_against_their_rules() {
        let child = |first: &str| CatalogueChild {
            first: first.into(),
            id: ChunkId([1; 32]),
        };
        let sound = [
            CataloguePage::Leaf(vec![collection("a.b"), collection("a.c")]),
            CataloguePage::Branch(vec![child("a.b"), child("b.a")]),
        ];
        for page in sound {
            page.check().unwrap();
        }
        let broken = [
            CataloguePage::Leaf(vec![]),
            CataloguePage::Leaf(vec![collection("a.b"), collection("a.b")]),
            CataloguePage::Leaf(vec![collection("a")]),
            CataloguePage::Branch(vec![]),
            CataloguePage::Branch(vec![child("b.a"), child("a.b")]),
        ];
        for page in broken {
            assert!(page.check().is_err(), "{page:?}");
        }
    }
}
