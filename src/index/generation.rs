//! Generations: immutable redb files, each covering a set of segments. Disposable: whatever is wrong with one, it is
//! removed and built again from the segments.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use redb::{
    Database, ReadOnlyDatabase, ReadOnlyTable, ReadableDatabase, ReadableTable,
    ReadableTableMetadata, TableDefinition,
};

use super::overlay::Overlay;
use super::{FramePlace, Location, Numbers};
use crate::crypto::random;
use crate::error::{Error, Kind, Result};
use crate::format::frame::FrameInfo;
use crate::format::wire::Reader;
use crate::id::{ChunkId, PackId, SegmentId, to_hex};

/// Chunk id to `pack u32 | frame 20 | offset u32 | len u32`.
const CHUNKS: TableDefinition<&[u8; 32], &[u8; 32]> = TableDefinition::new("chunks");
/// Further places of chunks that several writers stored, numbered.
const OTHERS: TableDefinition<(&[u8; 32], u32), &[u8; 32]> = TableDefinition::new("others");
/// Pack number to pack id.
const PACKS: TableDefinition<u32, &[u8; 32]> = TableDefinition::new("packs");
/// Segments covered.
const SEGMENTS: TableDefinition<&[u8; 32], ()> = TableDefinition::new("segments");
/// Changes whenever the layout does: files of another layout are not ours.
const PREFIX: &str = "index-2-";
const SUFFIX: &str = ".redb";
/// Bytes that redb may cache for each opened generation.
const READ_CACHE: usize = 8 << 20;
/// The same while one is built.
const BUILD_CACHE: usize = 32 << 20;
/// More generations than this are merged.
const GENERATIONS_MAX: usize = 6;

/// One opened generation.
pub struct Generation {
    path: PathBuf,
    segments: HashSet<SegmentId>,
    chunks: ReadOnlyTable<&'static [u8; 32], &'static [u8; 32]>,
    others: ReadOnlyTable<(&'static [u8; 32], u32), &'static [u8; 32]>,
    packs: ReadOnlyTable<u32, &'static [u8; 32]>,
    entries: u64,
    _database: ReadOnlyDatabase,
}

fn failed(error: impl Into<redb::Error>) -> Error {
    Error::new(Kind::Failed, "the index cache cannot be read")
        .cause(error.into())
        .hint("remove the cache folder; it is built again from the repository")
}

fn value(pack: u32, location: &Location) -> [u8; 32] {
    let mut bytes = Vec::with_capacity(32);
    bytes.extend_from_slice(&pack.to_le_bytes());
    location.frame.info().encode(&mut bytes);
    bytes.extend_from_slice(&location.offset.to_le_bytes());
    bytes.extend_from_slice(&location.len.to_le_bytes());
    let mut fixed = [0; 32];
    fixed.copy_from_slice(&bytes);
    fixed
}

impl Generation {
    fn open(path: PathBuf) -> Result<Self> {
        let database = redb::Builder::new()
            .set_cache_size(READ_CACHE)
            .open_read_only(&path)
            .map_err(failed)?;
        let read = database.begin_read().map_err(failed)?;
        let chunks = read.open_table(CHUNKS).map_err(failed)?;
        let others = read.open_table(OTHERS).map_err(failed)?;
        let packs = read.open_table(PACKS).map_err(failed)?;
        let mut segments = HashSet::new();
        for entry in read
            .open_table(SEGMENTS)
            .map_err(failed)?
            .iter()
            .map_err(failed)?
        {
            segments.insert(SegmentId(*entry.map_err(failed)?.0.value()));
        }
        let entries = chunks.len().map_err(failed)?;
        Ok(Self {
            path,
            segments,
            chunks,
            others,
            packs,
            entries,
            _database: database,
        })
    }

    pub fn segments(&self) -> &HashSet<SegmentId> {
        &self.segments
    }

    pub fn covers(&self, id: &SegmentId) -> bool {
        self.segments.contains(id)
    }

    pub fn locate(&self, id: &ChunkId) -> Result<Option<Location>> {
        let Some(found) = self.chunks.get(&id.0).map_err(failed)? else {
            return Ok(None);
        };
        self.location(found.value()).map(Some)
    }

    pub fn locate_others(&self, id: &ChunkId) -> Result<Vec<Location>> {
        let range = self
            .others
            .range((&id.0, 0)..=(&id.0, u32::MAX))
            .map_err(failed)?;
        range
            .map(|entry| self.location(entry.map_err(failed)?.1.value()))
            .collect()
    }

    /// Packs that its entries lie in.
    pub fn packs(&self) -> Result<Vec<PackId>> {
        let entries = self.packs.iter().map_err(failed)?;
        entries
            .map(|entry| Ok(PackId(*entry.map_err(failed)?.1.value())))
            .collect()
    }

    fn location(&self, bytes: &[u8; 32]) -> Result<Location> {
        let mut reader = Reader::new(bytes);
        let pack = reader.u32()?;
        let info = FrameInfo::decode(&mut reader)?;
        let (offset, len) = (reader.u32()?, reader.u32()?);
        let pack = self
            .packs
            .get(pack)
            .map_err(failed)?
            .ok_or_else(|| Error::new(Kind::Failed, "a cache without its packs"))?;
        Ok(Location {
            frame: FramePlace::new(PackId(*pack.value()), &info),
            offset,
            len,
        })
    }
}

fn is_ours(path: &Path) -> bool {
    path.file_name()
        .and_then(|name| name.to_str())
        .is_some_and(|name| name.starts_with(PREFIX) && name.ends_with(SUFFIX))
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
    found.sort_by_key(|generation| std::cmp::Reverse(generation.segments.len()));
    let mut taken: HashSet<SegmentId> = HashSet::new();
    for generation in found {
        if generation.segments.is_subset(listed) && generation.segments.is_disjoint(&taken) {
            taken.extend(generation.segments.iter().copied());
            opened.push(generation);
        } else if !generation.segments.is_subset(listed) || generation.segments.is_subset(&taken) {
            drop(fs::remove_file(&generation.path));
        }
    }
}

/// Removes what a killed builder left: redb holds a lock on the file for as long as its builder lives.
fn remove_abandoned(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for path in entries.flatten().map(|entry| entry.path()) {
        let Ok(file) = fs::File::open(&path) else {
            continue;
        };
        let abandoned = path.extension().is_some_and(|extension| extension == "tmp")
            && rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive)
                .is_ok();
        if abandoned {
            drop(fs::remove_file(path));
        }
    }
}

/// Builds a generation of what is in memory; none where the cache cannot be written.
pub fn build(
    folder: &Path,
    overlay: &Overlay,
    segments: &HashSet<SegmentId>,
) -> Option<Generation> {
    let entries = overlay.sorted();
    write(folder, segments, entries.into_iter().map(Ok)).ok()
}

/// Merges the smaller generations once there are many, so that a look-up asks few and each entry is rewritten seldom.
pub fn merge(folder: &Path, generations: &mut Vec<Generation>) {
    if generations.len() <= GENERATIONS_MAX {
        return;
    }
    generations.sort_by_key(|generation| std::cmp::Reverse(generation.entries));
    // The largest stays as long as it is larger than all the rest together.
    let rest: u64 = generations
        .iter()
        .skip(1)
        .map(|generation| generation.entries)
        .sum();
    let keep = usize::from(
        generations
            .first()
            .is_some_and(|largest| largest.entries > rest),
    );
    let small: Vec<&Generation> = generations.iter().skip(keep).collect();
    let segments: HashSet<SegmentId> = small
        .iter()
        .flat_map(|generation| generation.segments.iter().copied())
        .collect();
    let merged = merged_entries(&small).and_then(|entries| write(folder, &segments, entries));
    if let Ok(merged) = merged {
        for old in generations.drain(keep..) {
            drop(fs::remove_file(&old.path));
        }
        generations.push(merged);
    }
}

type Entries<'g> = Box<dyn Iterator<Item = Result<(ChunkId, Location)>> + 'g>;

/// All entries of several generations in the order of their ids.
fn merged_entries<'g>(generations: &[&'g Generation]) -> Result<Entries<'g>> {
    let mut streams: Vec<std::iter::Peekable<Entries<'g>>> = Vec::new();
    for generation in generations {
        let generation: &'g Generation = generation;
        let range = generation.chunks.iter().map_err(failed)?;
        let others = generation.others.iter().map_err(failed)?;
        let entries: Entries<'g> = Box::new(range.map(move |entry| {
            let (id, place) = entry.map_err(failed)?;
            Ok((ChunkId(*id.value()), generation.location(place.value())?))
        }));
        streams.push(entries.peekable());
        let others: Entries<'g> = Box::new(others.map(move |entry| {
            let (key, place) = entry.map_err(failed)?;
            Ok((ChunkId(*key.value().0), generation.location(place.value())?))
        }));
        streams.push(others.peekable());
    }
    Ok(Box::new(std::iter::from_fn(move || {
        let key = |stream: &mut std::iter::Peekable<Entries<'g>>| match stream.peek() {
            Some(Ok((id, _))) => Some(id.0),
            Some(Err(_)) => Some([0; 32]),
            None => None,
        };
        let (_, first) = streams
            .iter_mut()
            .enumerate()
            .filter_map(|(number, stream)| Some((key(stream)?, number)))
            .min()?;
        streams[first].next()
    })))
}

/// Writes a generation aside, closes it and renames it in.
fn write(
    folder: &Path,
    segments: &HashSet<SegmentId>,
    entries: impl Iterator<Item = Result<(ChunkId, Location)>>,
) -> Result<Generation> {
    let io = |error: std::io::Error| Error::io("write", folder, error);
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(io)?;
    let stem = to_hex(&random::array::<8>()?);
    let aside = folder.join(format!("{stem}.tmp"));
    let path = folder.join(format!("{PREFIX}{stem}{SUFFIX}"));
    let written =
        write_aside(&aside, segments, entries).and_then(|()| fs::rename(&aside, &path).map_err(io));
    if let Err(error) = written {
        drop(fs::remove_file(&aside));
        return Err(error);
    }
    Generation::open(path)
}

fn write_aside(
    aside: &Path,
    segments: &HashSet<SegmentId>,
    entries: impl Iterator<Item = Result<(ChunkId, Location)>>,
) -> Result<()> {
    let database: Database = redb::Builder::new()
        .set_cache_size(BUILD_CACHE)
        .create(aside)
        .map_err(failed)?;
    let io = |error: std::io::Error| Error::io("write", aside, error);
    fs::set_permissions(aside, fs::Permissions::from_mode(0o600)).map_err(io)?;
    let transaction = database.begin_write().map_err(failed)?;
    {
        let mut numbers = Numbers::new();
        let mut packs = transaction.open_table(PACKS).map_err(failed)?;
        let mut chunks = transaction.open_table(CHUNKS).map_err(failed)?;
        let mut others = transaction.open_table(OTHERS).map_err(failed)?;
        let mut last: Option<(ChunkId, u32)> = None;
        for entry in entries {
            let (id, location) = entry?;
            let next = numbers.len() as u32;
            let number = match numbers.get(&location.frame.pack) {
                Some(number) => *number,
                None => {
                    packs.insert(next, &location.frame.pack.0).map_err(failed)?;
                    numbers.insert(location.frame.pack, next);
                    next
                }
            };
            let place = value(number, &location);
            // Entries come sorted by id, so further places of a chunk follow the first.
            match &mut last {
                Some((before, count)) if *before == id => {
                    *count += 1;
                    others.insert((&id.0, *count), &place).map_err(failed)?;
                }
                _ => {
                    chunks.insert(&id.0, &place).map_err(failed)?;
                    last = Some((id, 0));
                }
            }
        }
        let mut covered = transaction.open_table(SEGMENTS).map_err(failed)?;
        for segment in segments {
            covered.insert(&segment.0, ()).map_err(failed)?;
        }
    }
    transaction.commit().map_err(failed)
}
