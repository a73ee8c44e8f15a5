//! Where the space goes.

use std::collections::HashSet;

use super::select::{self, Filter};
use crate::error::{Kind, Result};
use crate::format::frame::PackClass;
use crate::format::segment::Segment;
use crate::format::snapshot::Snapshot;
use crate::id::PackId;
pub use crate::look::{Largest, Part};
use crate::progress::Progress;
use crate::repository::Repository;

/// Largest files and directories that are named.
const PARTS: usize = 10;

/// Chunks of one class, each as often as it is stored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stored {
    /// How many.
    pub chunks: u64,
    /// Their bytes before compression.
    pub raw: u64,
    /// Bytes of the sealed frames that hold them.
    pub sealed: u64,
}

/// What the repository holds. Chunks that no snapshot needs any more count until prune has removed them.
#[derive(Debug, Clone, Default)]
pub struct Stats {
    /// Living snapshots, oldest first.
    pub snapshots: Vec<Snapshot>,
    /// Bytes that all of them would take, restored side by side, every name counted.
    pub logical: u64,
    /// File content and attribute values.
    pub data: Stored,
    /// Directories and lists.
    pub metadata: Stored,
    /// Packs in the storage.
    pub packs: u64,
    /// Their bytes.
    pub pack_bytes: u64,
    /// Segments of the index.
    pub segments: u64,
    /// Their bytes.
    pub segment_bytes: u64,
    /// Bytes of all other files.
    pub other_bytes: u64,
    /// What is largest in the snapshot that was asked about; none where there is no snapshot.
    pub largest: Option<(Snapshot, Largest)>,
}

impl Stats {
    fn of(&mut self, class: PackClass) -> &mut Stored {
        match class {
            PackClass::Data => &mut self.data,
            PackClass::Metadata => &mut self.metadata,
        }
    }

    /// Bytes of the whole repository.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.pack_bytes
            .saturating_add(self.segment_bytes)
            .saturating_add(self.other_bytes)
    }

    /// Bytes in snapshots for each byte of distinct file content: 1 where nothing repeats.
    #[must_use]
    pub fn dedup_ratio(&self) -> Option<f64> {
        ratio(self.logical, self.data.raw)
    }

    /// Bytes before compression for each stored byte.
    #[must_use]
    pub fn compression_ratio(&self) -> Option<f64> {
        ratio(
            self.data.raw.saturating_add(self.metadata.raw),
            self.data.sealed.saturating_add(self.metadata.sealed),
        )
    }
}

fn ratio(of: u64, to: u64) -> Option<f64> {
    (to > 0).then(|| of as f64 / to as f64)
}

/// Adds it up. Reads the index and of the snapshot `name` (looked for in what the filter keeps) the largest
/// directories. Memory holds one segment at a time, the records of the snapshots, and the names of the packs.
///
/// # Errors
/// `NotFound` for a snapshot that is not there (but `latest` of an empty repository is no error), `Damage`,
/// `Interrupted`.
pub fn run(
    repository: &Repository,
    name: &str,
    filter: &Filter,
    progress: &dyn Progress,
) -> Result<Stats> {
    progress.phase("stats");
    let mut stats = Stats {
        snapshots: select::list(repository, &Filter::default())?,
        ..Stats::default()
    };
    stats.logical = stats.snapshots.iter().fold(0, |sum, snapshot| {
        sum.saturating_add(snapshot.extent().bytes)
    });
    for (folder, count, bytes) in [
        ("packs", &mut stats.packs, &mut stats.pack_bytes),
        ("index", &mut stats.segments, &mut stats.segment_bytes),
    ] {
        for item in repository.storage().list(folder)? {
            *count += 1;
            *bytes = bytes.saturating_add(item.size);
        }
    }
    for folder in [
        "keys",
        "keyring",
        "snapshots",
        "sessions",
        "tombstones",
        "annotations",
    ] {
        for item in repository.storage().list(folder)? {
            stats.other_bytes = stats.other_bytes.saturating_add(item.size);
        }
    }
    let config = repository.storage().size("config")?.unwrap_or(0);
    stats.other_bytes = stats.other_bytes.saturating_add(config);
    add_chunks(repository, &mut stats, progress)?;
    if !stats.snapshots.is_empty() || name != "latest" {
        let snapshot = select::one(repository, name, filter)?;
        if snapshot.holds_files() {
            let root = repository.root(&snapshot)?;
            let largest = crate::look::largest(repository, &root, PARTS, progress)?;
            stats.largest = Some((snapshot, largest));
        }
    }
    Ok(stats)
}

fn add_chunks(repository: &Repository, stats: &mut Stats, progress: &dyn Progress) -> Result<()> {
    // A pack that two segments name is one pack all the same.
    let mut counted: HashSet<PackId> = HashSet::new();
    repository.index().each_segment(&mut |_, segment| {
        progress.go_on()?;
        match segment {
            Ok(segment) => add_segment(&segment, &mut counted, stats),
            // Replaced by a merge since the listing.
            Err(error) if error.kind() == Kind::NotFound => {}
            Err(error) => return Err(error),
        }
        Ok(())
    })
}

fn add_segment(segment: &Segment, counted: &mut HashSet<PackId>, stats: &mut Stats) {
    let new: Vec<bool> = segment
        .packs
        .iter()
        .map(|pack| counted.insert(pack.id))
        .collect();
    let is_new = |pack: u32| new.get(pack as usize).copied().unwrap_or(false);
    for (pack, frame) in &segment.frames {
        if is_new(*pack) {
            let stored = stats.of(frame.kind.class());
            stored.raw = stored.raw.saturating_add(u64::from(frame.raw));
            stored.sealed = stored.sealed.saturating_add(u64::from(frame.stored));
        }
    }
    for (frame, _) in &segment.chunks {
        if let Some((pack, frame)) = segment.frames.get(*frame as usize)
            && is_new(*pack)
        {
            stats.of(frame.kind.class()).chunks += 1;
        }
    }
}
