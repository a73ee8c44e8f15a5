//! The index: which chunk lies where.
//!
//! The truth is the sealed segments in the storage. Reading them all for every command would cost time and memory in
//! proportion to the repository, so what they say is kept in a local cache of immutable sorted files (generations), and
//! only what no generation covers is held in memory (the overlay). A generation is built under a temporary name, closed,
//! renamed, and from then on only ever opened for reading. Nobody waits for anybody, and anything odd about a cache file
//! only means that it is thrown away.

mod generation;
mod ids;
mod overlay;
mod segment;
mod table;

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

pub use ids::{Ids, short};
pub use segment::{read_segment, segment_id, segment_name, segment_of, write_segment};
pub use table::{Builder as TableBuilder, Table};

use crate::error::{Error, Kind, Result};
use crate::format::frame::{ChunkKind, Codec, FrameInfo};
use crate::format::segment::Segment;
use crate::id::{ChunkId, PackId, SegmentId};
use crate::merge::merged;
use crate::pack::FinishedPack;
use crate::seal::Keys;
use crate::storage::Storage;
use generation::Generation;
use overlay::Overlay;

/// A frame's place: which pack and where in it. Sorts in the order of reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FramePlace {
    /// The pack.
    pub pack: PackId,
    /// Bytes from its start.
    pub offset: u32,
    /// Stored bytes.
    pub stored: u32,
    /// Raw bytes.
    pub raw: u32,
    /// Sealing root.
    pub epoch: u32,
    /// Kind of its chunks.
    pub kind: ChunkKind,
    /// How it was compressed.
    pub codec: Codec,
}

impl FramePlace {
    /// A frame in a pack.
    #[must_use]
    pub fn new(pack: PackId, info: &FrameInfo) -> Self {
        let FrameInfo {
            offset,
            stored,
            raw,
            epoch,
            kind,
            codec,
        } = *info;
        Self {
            pack,
            offset,
            stored,
            raw,
            epoch,
            kind,
            codec,
        }
    }

    /// The frame as its pack's directory speaks of it.
    #[must_use]
    pub fn info(&self) -> FrameInfo {
        let Self {
            offset,
            stored,
            raw,
            epoch,
            kind,
            codec,
            ..
        } = *self;
        FrameInfo {
            offset,
            stored,
            raw,
            epoch,
            kind,
            codec,
        }
    }
}

/// A chunk's place: which frame and where in its raw bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Location {
    /// The frame.
    pub frame: FramePlace,
    /// Raw bytes from the frame's start.
    pub offset: u32,
    /// Raw bytes.
    pub len: u32,
}

/// Entries in memory at which a generation is built of them; about 20 MB.
const OVERLAY_MAX: usize = 200_000;

/// Entries of segments at which a generation is built of them at once; about 25 MB.
const GATHERED_MAX: usize = 1 << 19;

/// So many times generations that turn out to be damaged are done without; then the disk is at fault.
const HEALS_MAX: usize = 8;

/// The index of an opened repository; shared by all threads.
pub struct Index {
    storage: Arc<dyn Storage>,
    keys: Arc<Keys>,
    cache: Option<PathBuf>,
    state: RwLock<State>,
}

#[derive(Default)]
struct State {
    generations: Vec<Generation>,
    overlay: Overlay,
    /// Segments whose entries are in memory.
    in_overlay: HashSet<SegmentId>,
    /// Packs that tombstones name: for a writer they do not exist.
    dead: HashSet<PackId>,
    /// Packs that stood in the storage when the writer began, and its own since; none for whoever only reads.
    standing: Option<HashSet<PackId>>,
    /// The cache could not be written; memory has to do.
    no_cache: bool,
    /// Packs written by this process that no segment names yet.
    unsegmented: Vec<FinishedPack>,
}

/// Segments that were read and stand nowhere yet.
#[derive(Default)]
struct Gathered {
    segments: Vec<(SegmentId, Segment)>,
    /// Entries in them.
    chunks: usize,
}

impl State {
    /// Whether a pack exists for whoever writes.
    fn exists(&self, pack: &PackId) -> bool {
        let standing = || {
            self.standing
                .as_ref()
                .is_none_or(|standing| standing.contains(pack))
        };
        !self.dead.contains(pack) && standing()
    }
}

impl Index {
    /// An index that has read nothing yet: call [`Index::refresh`] when snapshots have been listed.
    #[must_use]
    pub fn new(storage: Arc<dyn Storage>, keys: Arc<Keys>, cache: Option<PathBuf>) -> Self {
        Self {
            storage,
            keys,
            cache,
            state: RwLock::default(),
        }
    }

    /// The folder of its cache; none where there is none.
    #[must_use]
    pub fn cache(&self) -> Option<&Path> {
        self.cache.as_deref()
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Brings the index up to the segments that the storage lists now.
    ///
    /// # Errors
    /// Whatever the storage says; [`Kind::Damage`] naming the first segment that cannot be read, once all
    /// others have been. A cache that
    /// cannot be read or written is no error.
    pub fn refresh(&self) -> Result<()> {
        let mut gone = HashSet::new();
        loop {
            let known = gone.len();
            let broken = self.read_listed(&mut gone)?;
            // What replaced a segment was put before that went, but maybe after the listing.
            if gone.len() == known {
                return broken.map_or(Ok(()), Err);
            }
        }
    }

    /// Reads the segments that are listed now, notes those that are `gone` before they could be read, and returns what
    /// is wrong with the first that cannot be read.
    fn read_listed(&self, gone: &mut HashSet<SegmentId>) -> Result<Option<Error>> {
        let listed = self.listed()?;
        let mut state = self.write();
        let covered = |state: &State, id: &SegmentId| {
            state.in_overlay.contains(id)
                || state
                    .generations
                    .iter()
                    .any(|generation| generation.covers(id))
        };
        if listed.iter().any(|id| !covered(&state, id))
            && let Some(folder) = &self.cache
        {
            generation::open_all(folder, &listed, &mut state.generations);
        }
        state
            .generations
            .retain(|generation| generation.segments().is_subset(&listed));
        let mut missing: Vec<SegmentId> = listed
            .iter()
            .filter(|id| !covered(&state, id))
            .copied()
            .collect();
        missing.sort_unstable();
        let mut broken = None;
        let mut gathered = Gathered::default();
        for id in missing {
            let segment = match read_segment(&*self.storage, &self.keys, &id) {
                Ok(segment) => segment,
                Err(error) if error.kind() == Kind::NotFound => {
                    gone.insert(id);
                    continue;
                }
                Err(error) => {
                    broken.get_or_insert(error);
                    continue;
                }
            };
            gathered.chunks += segment.chunks.len();
            gathered.segments.push((id, segment));
            if gathered.chunks >= GATHERED_MAX {
                self.build(&mut state, std::mem::take(&mut gathered));
            }
        }
        self.build(&mut state, gathered);
        if let Some(folder) = &self.cache {
            generation::merge(folder, &mut state.generations, false);
        }
        Ok(broken)
    }

    /// Turns many entries of segments into a generation, straight as they are sorted; the others, and all where there is no
    /// cache, go into memory.
    fn build(&self, state: &mut State, gathered: Gathered) {
        let folder = self.cache.as_ref().filter(|_| !state.no_cache);
        if let Some(folder) = folder
            && gathered.chunks >= OVERLAY_MAX
        {
            match generation::build_of(folder, &gathered.segments) {
                Some(built) => {
                    state.generations.push(built);
                    generation::merge(folder, &mut state.generations, true);
                    return;
                }
                None => state.no_cache = true,
            }
        }
        for (id, segment) in gathered.segments {
            state.overlay.add_segment(&segment);
            state.in_overlay.insert(id);
            self.spill(state, true);
        }
    }

    /// Turns a large overlay into a generation; more of them may follow at once while one is `building`. Where there is no
    /// cache, or it cannot be written, memory has to do.
    fn spill(&self, state: &mut State, building: bool) {
        let Some(folder) = &self.cache else { return };
        if state.no_cache || state.overlay.len() < OVERLAY_MAX || !state.unsegmented.is_empty() {
            return;
        }
        if let Some(built) = generation::build(folder, &state.overlay, &state.in_overlay) {
            state.generations.push(built);
            state.overlay = Overlay::default();
            state.in_overlay.clear();
            generation::merge(folder, &mut state.generations, building);
        } else {
            // Trying again with every segment would sort the whole overlay every time.
            state.no_cache = true;
        }
    }

    /// Makes one generation of all, for whoever is about to look up everything.
    pub fn compact(&self) {
        if let Some(folder) = &self.cache {
            generation::merge_all(folder, &mut self.write().generations);
        }
    }

    /// Looks something up. Where that finds a damaged generation, what it covers is read from the storage once more.
    fn look_up<T>(&self, look: impl Fn(&State) -> Result<T>) -> Result<T> {
        for _ in 0..HEALS_MAX {
            if let Ok(found) = look(&self.read()) {
                return Ok(found);
            }
            self.write().generations.retain(|generation| {
                let whole = !generation.is_broken();
                if !whole {
                    generation.remove();
                }
                whole
            });
            self.refresh()?;
        }
        look(&self.read())
            .map_err(|error| error.hint("remove the cache folder, or do without: --no-cache"))
    }

    /// Where a chunk lies, for whoever writes: none where nobody has stored it, or only in packs that are to go or that
    /// are not there.
    ///
    /// # Errors
    /// Only where cache files turn out to be damaged again and again, or what they covered cannot be read anew.
    pub fn stored(&self, id: &ChunkId) -> Result<Option<Location>> {
        self.look_up(|state| {
            let exists = |found: &Location| state.exists(&found.frame.pack);
            if let Some(found) = state.overlay.places_of(id).find(exists) {
                return Ok(Some(found));
            }
            for generation in &state.generations {
                if let Some(found) = generation.places(id)?.into_iter().find(exists) {
                    return Ok(Some(found));
                }
            }
            Ok(None)
        })
    }

    /// Where a chunk lies, for whoever reads; a pack that is to go is as good as any until it has gone.
    ///
    /// # Errors
    /// As [`Index::stored`].
    pub fn locate(&self, id: &ChunkId) -> Result<Option<Location>> {
        match self.stored(id)? {
            Some(found) => Ok(Some(found)),
            None => Ok(self.locate_all(id)?.into_iter().next()),
        }
    }

    /// Every place of a chunk that the index knows, the one that [`Index::locate`] gives first among them: what cannot
    /// be read in one may be whole in another.
    ///
    /// # Errors
    /// As [`Index::locate`].
    pub fn locate_all(&self, id: &ChunkId) -> Result<Vec<Location>> {
        self.look_up(|state| {
            let mut places: Vec<Location> = state.overlay.places_of(id).collect();
            for generation in &state.generations {
                places.extend(generation.places(id)?);
            }
            Ok(places)
        })
    }

    /// Everything that the index knows, in the order of the chunks. None where that is too
    /// much for memory, or a generation is damaged: then chunks must be looked up one by one.
    ///
    /// # Errors
    /// What `each` returns.
    pub fn each_place(
        &self,
        each: &mut dyn FnMut(&ChunkId, &Location) -> Result<()>,
    ) -> Result<Option<()>> {
        let state = self.read();
        if state.overlay.len() > OVERLAY_MAX {
            return Ok(None);
        }
        let generations = state.generations.iter();
        let mut streams: Vec<Places<'_>> = vec![Box::new(state.overlay.sorted().map(Ok))];
        streams.extend(generations.map(|each| Box::new(each.all()) as Places<'_>));
        for entry in merged(streams, |(id, _)| *id) {
            let Ok((id, location)) = entry else {
                return Ok(None);
            };
            each(&id, &location)?;
        }
        Ok(Some(()))
    }

    /// From now on packs that are `dead`, or not `standing`, do not exist for whoever writes.
    pub fn set_packs(&self, dead: HashSet<PackId>, standing: Option<HashSet<PackId>>) {
        let mut state = self.write();
        state.dead = dead;
        state.standing = standing;
    }

    /// Whether a writer's session is at work.
    pub(crate) fn is_hiding(&self) -> bool {
        self.read().standing.is_some()
    }

    /// From now on these packs do not exist either for whoever writes: what is needed of them is to be stored again.
    pub fn hide(&self, packs: impl IntoIterator<Item = PackId>) {
        self.write().dead.extend(packs);
    }

    /// Whether the packs that segments name are those that stand, tombstones aside. Where they are not (a pack or a segment
    /// was lost, or somebody else is writing just now), what a parent refers to must be looked up before it is named again.
    /// True where nobody has said what stands.
    ///
    /// # Errors
    /// As [`Index::locate`].
    pub fn adds_up(&self) -> Result<bool> {
        let state = self.read();
        let Some(standing) = &state.standing else {
            return Ok(true);
        };
        let mut named: HashSet<PackId> = state.overlay.packs().copied().collect();
        for generation in &state.generations {
            named.extend(generation.packs());
        }
        let differ = standing.symmetric_difference(&named);
        Ok(differ.into_iter().all(|pack| state.dead.contains(pack)))
    }

    /// The writer has ended: every pack counts again.
    pub fn reset_packs(&self) {
        let mut state = self.write();
        state.dead.clear();
        state.standing = None;
    }

    /// A pack was written, durably; its chunks can be found from now on.
    pub fn add_pack(&self, pack: FinishedPack) {
        let mut state = self.write();
        state.overlay.add_pack(&pack);
        if let Some(standing) = &mut state.standing {
            standing.insert(pack.id);
        }
        state.unsegmented.push(pack);
    }

    /// Writes a segment for the packs that no segment names: the point from which an interrupted snapshot goes on.
    /// Returns the bytes written.
    ///
    /// # Errors
    /// Whatever the storage says.
    pub fn checkpoint(&self) -> Result<u64> {
        // They stay in the list until a segment names them: a generation that is built meanwhile must not hold them.
        let packs = self.read().unsegmented.clone();
        if packs.is_empty() {
            return Ok(0);
        }
        let written = segment::pieces_of(&packs)
            .into_iter()
            .map(|piece| write_segment(&*self.storage, &self.keys, piece))
            .collect::<Result<Vec<_>>>()?;
        let mut state = self.write();
        state.unsegmented.drain(..packs.len());
        state.in_overlay.extend(written.iter().map(|(id, _)| *id));
        self.spill(&mut state, false);
        Ok(written.iter().map(|(_, size)| size).sum())
    }

    /// Names of the segments that the storage lists now.
    ///
    /// # Errors
    /// Whatever the storage says.
    pub fn listed(&self) -> Result<HashSet<SegmentId>> {
        let items = self.storage.list("index")?;
        Ok(items
            .iter()
            .filter_map(|item| segment_of(&item.name))
            .collect())
    }

    /// Calls `each` with the packs of every listed segment, straight from the storage: for checks.
    ///
    /// # Errors
    /// Only what `each` returns; a segment that cannot be read is handed to it as an error.
    pub fn each_segment(
        &self,
        each: &mut dyn FnMut(&str, Result<Segment>) -> Result<()>,
    ) -> Result<()> {
        let mut names: Vec<String> = self
            .storage
            .list("index")?
            .into_iter()
            .map(|item| item.name)
            .collect();
        names.sort_unstable();
        for name in names {
            if let Some(id) = segment_of(&name) {
                each(&name, read_segment(&*self.storage, &self.keys, &id))?;
            }
        }
        Ok(())
    }
}

/// Places in the order of their chunks.
type Places<'p> = Box<dyn Iterator<Item = Result<(ChunkId, Location)>> + 'p>;

type Numbers = HashMap<PackId, u32>;
