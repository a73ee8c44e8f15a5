//! Generations: immutable files of sorted entries (`table.rs`), each covering a set of segments. Disposable: whatever is
//! wrong with one, it is removed and built again from the segments.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use super::overlay::Overlay;
use super::table::{Builder, Table};
use super::{FramePlace, Location};
use crate::crypto::random;
use crate::error::{Error, Result};
use crate::format::segment::Segment;
use crate::id::{ChunkId, PackId, SegmentId, to_hex};
use crate::merge::merged;

/// Changes whenever the layout does: files of another layout are not ours.
const PREFIX: &str = "index-3-";
/// What earlier versions left is cleared away.
const EARLIER: &str = "index-2-";
/// More generations than this are merged.
const GENERATIONS_MAX: usize = 6;
/// The same while many are built one after the other: all at once at the end is less to do than some again and again.
const WHILE_BUILDING: usize = 100;

/// One opened generation.
pub struct Generation {
    path: PathBuf,
    table: Table,
    broken: AtomicBool,
}

impl Generation {
    fn open(path: PathBuf) -> Result<Self> {
        let table = Table::open(&path)?;
        Ok(Self {
            path,
            table,
            broken: AtomicBool::new(false),
        })
    }

    pub fn segments(&self) -> &HashSet<SegmentId> {
        self.table.segments()
    }

    pub fn covers(&self, id: &SegmentId) -> bool {
        self.segments().contains(id)
    }

    /// All places of a chunk, the first one that was known first.
    ///
    /// # Errors
    /// Where the file is damaged: from then on the generation is [broken](Generation::is_broken).
    pub fn places(&self, id: &ChunkId) -> Result<Vec<Location>> {
        self.table
            .places(id)
            .inspect_err(|_| self.broken.store(true, Ordering::Relaxed))
    }

    /// All of it, in order.
    pub fn all(&self) -> impl Iterator<Item = Entry> + '_ {
        let broken = |_: &Error| self.broken.store(true, Ordering::Relaxed);
        let entries = self.table.iter();
        entries.map(move |entry| entry.inspect_err(broken))
    }

    /// Whether a look-up has found it damaged: it must go.
    pub fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Relaxed)
    }

    /// Removes its file; whoever has it open keeps it.
    pub fn remove(&self) {
        drop(fs::remove_file(&self.path));
    }

    /// Packs that its entries lie in.
    pub fn packs(&self) -> &[PackId] {
        self.table.packs()
    }
}

fn is_ours(path: &Path) -> bool {
    path.file_name()
        .and_then(|name| name.to_str())
        .is_some_and(|name| name.starts_with(PREFIX))
}

/// Opens generations in `folder` that cover only `listed` segments and none twice, the largest first; removes the
/// files of all others, which nothing needs any more (whoever has one open keeps it).
pub fn open_all(folder: &Path, listed: &HashSet<SegmentId>, opened: &mut Vec<Generation>) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    let paths: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| is_ours(path))
        .collect();
    remove_abandoned(folder);
    let mut found: Vec<Generation> = std::mem::take(opened);
    for path in paths {
        if found.iter().any(|generation| generation.path == path) {
            continue;
        }
        match Generation::open(path.clone()) {
            Ok(generation) => found.push(generation),
            Err(_) => drop(fs::remove_file(path)),
        }
    }
    found.sort_by_key(|generation| std::cmp::Reverse(generation.segments().len()));
    let mut taken: HashSet<SegmentId> = HashSet::new();
    for generation in found {
        if generation.segments().is_subset(listed) && generation.segments().is_disjoint(&taken) {
            taken.extend(generation.segments().iter().copied());
            opened.push(generation);
        } else if !generation.segments().is_subset(listed)
            || generation.segments().is_subset(&taken)
        {
            generation.remove();
        }
    }
}

/// Removes what a killed builder left (it holds a lock on the file for as long as it lives), and what earlier versions
/// built.
fn remove_abandoned(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for path in entries.flatten().map(|entry| entry.path()) {
        let earlier = path
            .file_name()
            .and_then(|name| name.to_str())
            .is_some_and(|name| name.starts_with(EARLIER));
        let aside = path.extension().is_some_and(|extension| extension == "tmp");
        if earlier || (aside && is_abandoned(&path)) {
            drop(fs::remove_file(path));
        }
    }
}

fn is_abandoned(path: &Path) -> bool {
    use rustix::fs::{FlockOperation, flock};
    fs::File::open(path)
        .is_ok_and(|file| flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok())
}

/// Builds a generation of what is in memory; none where the cache cannot be written.
pub fn build(
    folder: &Path,
    overlay: &Overlay,
    segments: &HashSet<SegmentId>,
) -> Option<Generation> {
    let most = overlay.places() as u64;
    write(folder, segments, most, overlay.sorted().map(Ok)).ok()
}

/// Builds a generation of what these segments say; none where the cache cannot be written.
pub fn build_of(folder: &Path, segments: &[(SegmentId, Segment)]) -> Option<Generation> {
    let ids = segments.iter().map(|(id, _)| *id).collect();
    let most = segments.iter().map(|(_, segment)| segment.chunks.len());
    let streams = segments.iter().map(|(_, segment)| {
        segment.chunks.iter().map(|(frame, span)| {
            let (pack, info) = &segment.frames[*frame as usize];
            let frame = FramePlace::new(segment.packs[*pack as usize].id, info);
            let (offset, len) = (span.offset, span.len);
            Ok((span.id, Location { frame, offset, len }))
        })
    });
    let most = most.sum::<usize>() as u64;
    write(folder, &ids, most, merged(streams.collect(), |(id, _)| *id)).ok()
}

/// Merges the smaller generations once there are many, so that a look-up asks few and each entry is rewritten seldom.
pub fn merge(folder: &Path, generations: &mut Vec<Generation>, building: bool) {
    let most = if building {
        WHILE_BUILDING
    } else {
        GENERATIONS_MAX
    };
    if generations.len() <= most {
        return;
    }
    generations.sort_by_key(|generation| std::cmp::Reverse(generation.table.entries()));
    let places = |generation: &Generation| u64::from(generation.table.entries());
    // The largest stays as long as it is larger than all the rest together.
    let rest: u64 = generations.iter().skip(1).map(places).sum();
    let keep = usize::from(
        generations
            .first()
            .is_some_and(|first| places(first) > rest),
    );
    merge_from(folder, generations, keep);
}

/// Merges all of them into one: for whoever is about to ask for everything.
pub fn merge_all(folder: &Path, generations: &mut Vec<Generation>) {
    if generations.len() > 1 {
        merge_from(folder, generations, 0);
    }
}

fn merge_from(folder: &Path, generations: &mut Vec<Generation>, keep: usize) {
    let places = |generation: &Generation| u64::from(generation.table.entries());
    let small = &generations[keep..];
    let segments: HashSet<SegmentId> = small
        .iter()
        .flat_map(|generation| generation.segments().iter().copied())
        .collect();
    let most = small.iter().map(places).sum();
    let streams = small
        .iter()
        .map(|generation| generation.table.iter())
        .collect();
    if let Ok(merged) = write(folder, &segments, most, merged(streams, |(id, _)| *id)) {
        for old in generations.drain(keep..) {
            old.remove();
        }
        generations.push(merged);
    }
}

type Entry = Result<(ChunkId, Location)>;

/// Writes a generation aside, closes it and renames it in.
fn write(
    folder: &Path,
    segments: &HashSet<SegmentId>,
    most: u64,
    entries: impl Iterator<Item = Entry>,
) -> Result<Generation> {
    let io = |error: std::io::Error| Error::io("write", folder, error);
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(io)?;
    let stem = to_hex(&random::array::<8>()?);
    let aside = folder.join(format!("{stem}.tmp"));
    let path = folder.join(format!("{PREFIX}{stem}"));
    let written = write_aside(&aside, segments, most, entries)
        .and_then(|()| fs::rename(&aside, &path).map_err(io));
    if let Err(error) = written {
        drop(fs::remove_file(&aside));
        return Err(error);
    }
    Generation::open(path)
}

fn write_aside(
    aside: &Path,
    segments: &HashSet<SegmentId>,
    most: u64,
    entries: impl Iterator<Item = Entry>,
) -> Result<()> {
    let io = |error: std::io::Error| Error::io("write", aside, error);
    let mut builder = Builder::create(aside, most).map_err(io)?;
    for entry in entries {
        let (id, location) = entry?;
        builder.add(&id, &location).map_err(io)?;
    }
    builder.finish(segments).map_err(io)
}
