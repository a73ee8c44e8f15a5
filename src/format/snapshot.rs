//! The snapshot record: the one small file whose appearance makes a tree a point in time.
//!
//! It never changes. What is learnt later (tags, holds, verifications, being forgotten) stands in annotations.

use serde::{Deserialize, Serialize};

use super::deployment::Deployment;
use super::entry::{Entry, Node};
use super::extension::{self, Extension};
use super::slice::Slice;
use super::undo::Undo;
use crate::clock::Nanos;
use crate::error::{Error, Kind, Result};
use crate::id::{ChunkId, RepositoryId, SnapshotId};
use crate::limits::PROBLEMS_LISTED_MAX;

/// Extension of a snapshot that repair made: the 16 bytes of the id of the snapshot that it stands for.
const ORIGINAL: u32 = 2;

/// What stands at `snapshots/<session id>`: whoever puts it first decides the session's fate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fate {
    /// The session's writer committed.
    Committed(Box<Snapshot>),
    /// Somebody expired the silent session; its writer can no longer commit.
    Void {
        /// The session.
        session: SnapshotId,
        /// When it was given up.
        at: Nanos,
    },
}

/// One point in time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The session that wrote it, and the snapshot's own id.
    pub id: SnapshotId,
    /// The repository it belongs to.
    pub repository: RepositoryId,
    /// Names of features without which nobody may read it, write beside it, or collect garbage around it; they stand
    /// first, where an older program can still read them.
    pub features: Features,
    /// The time that it stands for: when it started, unless the user said otherwise.
    pub time: Nanos,
    /// When it started, by the writer's clock.
    pub started: Nanos,
    /// When it was committed, by the writer's clock.
    pub finished: Nanos,
    /// How it came about.
    pub kind: SnapshotKind,
    /// The snapshot that it was compared with.
    pub parent: Option<SnapshotId>,
    /// Host name.
    pub host: String,
    /// User name.
    pub user: String,
    /// Tags at birth, sorted, without duplicates.
    pub tags: Vec<String>,
    /// What was asked for, as typed, in order: for people and for finding a parent.
    pub paths: Vec<PathBytes>,
    /// Exclude patterns and the like, as typed.
    pub excludes: Vec<String>,
    /// The data.
    pub sources: Vec<SourceRecord>,
    /// Whether anything is missing.
    pub state: State,
    /// What could not be read as it should be.
    pub problems: Vec<Problem>,
    /// All of them, the listed ones included.
    pub problem_count: u64,
    /// Work done.
    pub counters: Counters,
    /// Version of the program that wrote it.
    pub program: String,
    /// Git commit and branch of the source tree, where it is one.
    pub git: Option<GitState>,
    /// BLAKE3 over the sorted names of the snapshots and annotations that the writer saw when it began.
    pub seen: [u8; 32],
    /// Room for later.
    pub extensions: Vec<Extension>,
}

/// A path as raw bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PathBytes(#[serde(with = "serde_bytes")] pub Vec<u8>);

/// How a snapshot came about. Every snapshot is whole, whatever its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SnapshotKind {
    /// Everything was read.
    Full,
    /// Compared with the latest snapshot of the same source and host.
    Incremental,
    /// Compared with the latest full one.
    Differential,
}

impl SnapshotKind {
    /// The word for people and for `--json`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            SnapshotKind::Full => "full",
            SnapshotKind::Incremental => "incremental",
            SnapshotKind::Differential => "differential",
        }
    }
}

/// Whether anything is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// All that was asked for is in it.
    Complete,
    /// Something could not be read, changed or vanished while read; it is named.
    Partial,
}

impl State {
    /// The word for people and for `--json`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            State::Complete => "complete",
            State::Partial => "partial",
        }
    }
}

/// One source of data in a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SourceRecord {
    /// Files: a tree that begins at `/`.
    Files {
        /// The directory `/`; its name is the single byte `/`, the one name that breaks the rule for names.
        root: Box<Entry>,
        /// Owner names of the root entry: user, group.
        owner: [PathBytes; 2],
        /// Topmost hint page of `/`.
        hints: Option<ChunkId>,
    },
    /// A MongoDB deployment.
    Mongo(Box<Deployment>),
    /// What happened to one between two moments.
    Oplog(Box<Slice>),
    /// What a restore is about to change on a server.
    Undo(Box<Undo>),
}

/// Something that could not be read as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Where.
    pub path: PathBytes,
    /// What, in words.
    pub what: String,
}

/// Work done by a snapshot. Sizes are in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Non-directories that the parent did not have.
    pub files_new: u64,
    /// Non-directories that differ from the parent's.
    pub files_changed: u64,
    /// Non-directories taken from the parent unread.
    pub files_unmodified: u64,
    /// Directories that the parent did not have.
    pub dirs_new: u64,
    /// Directories that differ from the parent's.
    pub dirs_changed: u64,
    /// Directories that are as the parent's.
    pub dirs_unmodified: u64,
    /// All files' sizes.
    pub bytes_processed: u64,
    /// Bytes read from the source.
    pub bytes_read: u64,
    /// New chunks of file content.
    pub data_chunks: u64,
    /// New chunks of metadata.
    pub tree_chunks: u64,
    /// Raw bytes of new chunks.
    pub data_added: u64,
    /// Bytes that they take in packs, directories and headers included.
    pub data_added_packed: u64,
}

/// How much a snapshot's tree holds, every name counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extent {
    /// Non-directories, and documents.
    pub files: u64,
    /// Their sizes together.
    pub bytes: u64,
}

/// Where the source tree's git stood.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GitState {
    /// The commit's full hexadecimal id.
    pub commit: String,
    /// The branch's short name; none for a detached head.
    pub branch: Option<String>,
}

/// Names of features; unknown ones in the list of the wanted operation refuse it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Features {
    /// Needed to read.
    pub read: Vec<String>,
    /// Needed to write.
    pub write: Vec<String>,
    /// Needed to drop anything, or to add references.
    pub gc: Vec<String>,
}

impl Features {
    /// Those of a snapshot that holds [`RECIPES`], or none.
    #[must_use]
    pub fn of(recipes: bool) -> Self {
        let names = || recipes.then(|| RECIPES.to_owned()).into_iter().collect();
        Self {
            read: names(),
            write: Vec::new(),
            gc: names(),
        }
    }

    /// Refuses what must be known to read, and is not known.
    ///
    /// # Errors
    /// [`Kind::Unsupported`] naming the feature.
    pub fn refuse_read(&self, what: &str) -> Result<()> {
        refuse(&self.read, what)
    }

    /// Refuses what must be known to write, or to add references, and is not known.
    ///
    /// # Errors
    /// [`Kind::Unsupported`] naming the feature.
    pub fn refuse_write(&self, what: &str) -> Result<()> {
        refuse(&self.write, what)?;
        refuse(&self.gc, what)
    }
}

/// Feature of snapshots in which files are [`crate::format::entry::Content::Recipe`]s.
pub const RECIPES: &str = "recipes";

/// What this version knows by name.
const KNOWN: &[&str] = &[RECIPES];

fn refuse(features: &[String], what: &str) -> Result<()> {
    let unknown = |name: &&String| !KNOWN.contains(&name.as_str());
    match features.iter().find(unknown) {
        Some(name) => Err(Error::new(
            Kind::Unsupported,
            format!("to {what} the feature {name:?} is needed"),
        )
        .hint("use a newer version of duramen")),
        None => Ok(()),
    }
}

impl Snapshot {
    /// How much is in it, by the totals of its topmost directory.
    #[must_use]
    pub fn extent(&self) -> Extent {
        let mut extent = Extent::default();
        for source in &self.sources {
            let (files, bytes) = match source {
                SourceRecord::Files { root, .. } => match &root.node {
                    Node::Directory(directory) => (directory.files, directory.bytes),
                    _ => (0, 0),
                },
                SourceRecord::Mongo(deployment) => (deployment.documents, deployment.bytes),
                SourceRecord::Oplog(_) | SourceRecord::Undo(_) => (0, 0),
            };
            extent.files = extent.files.saturating_add(files);
            extent.bytes = extent.bytes.saturating_add(bytes);
        }
        extent
    }

    /// Whether there is a tree of files in it.
    #[must_use]
    pub fn holds_files(&self) -> bool {
        let files = |source: &SourceRecord| matches!(source, SourceRecord::Files { .. });
        self.sources.iter().any(files)
    }

    /// The deployments in it, in the order in which they were asked for.
    pub fn deployments(&self) -> impl Iterator<Item = &Deployment> {
        self.sources.iter().filter_map(|source| match source {
            SourceRecord::Mongo(deployment) => Some(&**deployment),
            _ => None,
        })
    }

    /// The stretches of oplogs in it.
    pub fn slices(&self) -> impl Iterator<Item = &Slice> {
        self.sources.iter().filter_map(|source| match source {
            SourceRecord::Oplog(slice) => Some(&**slice),
            _ => None,
        })
    }

    /// What a restore was about to change, where it was taken for that.
    #[must_use]
    pub fn undo(&self) -> Option<&Undo> {
        self.sources.iter().find_map(|source| match source {
            SourceRecord::Undo(undo) => Some(&**undo),
            _ => None,
        })
    }

    /// Whether it shows anything as it was at one time, rather than only what happened between two or is to be undone.
    #[must_use]
    pub fn shows(&self) -> bool {
        let other = |source: &SourceRecord| {
            matches!(source, SourceRecord::Oplog(_) | SourceRecord::Undo(_))
        };
        !self.sources.iter().all(other) || self.sources.is_empty()
    }

    /// The damaged snapshot that this one was made from by repair.
    #[must_use]
    pub fn original(&self) -> Option<SnapshotId> {
        let extension = self.extensions.iter().find(|own| own.tag == ORIGINAL)?;
        extension
            .body
            .as_slice()
            .try_into()
            .ok()
            .map(crate::id::SessionId)
    }

    /// Notes which snapshot this one was made from.
    pub fn set_original(&mut self, original: &SnapshotId) {
        self.extensions.retain(|own| own.tag != ORIGINAL);
        self.extensions.push(Extension {
            tag: ORIGINAL,
            critical: false,
            body: original.0.to_vec(),
        });
        self.extensions.sort_by_key(|own| own.tag);
    }

    /// Holds the record against the rules of its chapter.
    ///
    /// # Errors
    /// [`crate::error::Kind::Damage`] or `Unsupported`, naming the rule.
    pub fn check(&self) -> Result<()> {
        self.features.refuse_read("read this snapshot")?;
        if self.problems.len() > PROBLEMS_LISTED_MAX {
            return Err(Error::damage(
                "a snapshot that lists more problems than any can",
            ));
        }
        for source in &self.sources {
            let root = match source {
                SourceRecord::Files { root, .. } => root,
                SourceRecord::Mongo(deployment) => {
                    deployment.check()?;
                    continue;
                }
                SourceRecord::Oplog(slice) => {
                    slice.check()?;
                    continue;
                }
                SourceRecord::Undo(undo) => {
                    undo.check()?;
                    continue;
                }
            };
            if root.name != b"/" || !matches!(root.node, Node::Directory(_)) {
                return Err(Error::damage("a snapshot whose root is no directory"));
            }
            let mut root = (**root).clone();
            root.name = b"root".to_vec();
            root.check()?;
        }
        extension::check(&self.extensions)
    }
}
