//! Taking a snapshot.
use crate::clock::Nanos;
use crate::error::Result;
use crate::format::snapshot::{Counters, GitState, Problem, SnapshotKind, State};
use crate::id::SnapshotId;
use crate::progress::Progress;
use crate::repository::Repository;
use std::path::PathBuf;

/// What to read.
#[derive(Debug, Clone)]
pub enum Input {
    /// Files and folders, absolute or relative to the current folder.
    Paths(Vec<PathBuf>),
    /// Standard input, as one file of that name below `/`.
    Stdin { filename: Vec<u8> },
    /// What a command prints, as one file; a command that fails makes no snapshot.
    Command {
        argv: Vec<std::ffi::OsString>,
        filename: Vec<u8>,
    },
}

pub use crate::source::excludes::Excludes;

/// How to take a snapshot.
#[derive(Debug, Clone)]
pub struct SnapshotOptions {
    pub input: Input,
    pub excludes: Excludes,
    pub kind: SnapshotKind,
    pub host: String,
    pub user: String,
    pub tags: Vec<String>,
    /// The time that the snapshot stands for; now where none.
    pub time: Option<Nanos>,
    /// Name of the snapshot to compare with, instead of the one that `kind` chooses.
    pub parent: Option<String>,
    /// Read everything again, whatever the parent says.
    pub force: bool,
    /// Do all but store.
    pub dry_run: bool,
    /// zstd level, 0 for none.
    pub level: i32,
    /// Do not compare inode numbers (network file systems that make them up) / ctime.
    pub ignore_inode: bool,
    pub ignore_ctime: bool,
}

/// What was done.
#[derive(Debug, Clone)]
pub struct SnapshotSummary {
    /// None after a dry run.
    pub id: Option<SnapshotId>,
    pub kind: SnapshotKind,
    pub parent: Option<SnapshotId>,
    pub state: State,
    pub problems: Vec<Problem>,
    pub problem_count: u64,
    pub counters: Counters,
    pub git: Option<GitState>,
    pub started: Nanos,
    pub finished: Nanos,
    pub seconds: f64,
}

/// Takes it.
pub fn run(
    _repository: &Repository,
    _options: &SnapshotOptions,
    _progress: &dyn Progress,
) -> Result<SnapshotSummary> {
    unimplemented!()
}
