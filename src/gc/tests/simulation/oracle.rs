//! What must be true after every step: each committed snapshot that has not gone finds every chunk in a pack that
//! stands and that a segment names; nobody who was told that a snapshot is held or saved loses it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::turn::Change;
use crate::format::codec;
use crate::format::file::FileType;
use crate::format::records::{Annotation, Fact};
use crate::format::snapshot::Fate;
use crate::id::{ChunkId, PackId, RecordId, SegmentId, SnapshotId};
use crate::index::{read_segment, segment_of};
use crate::limits::RECORD_BYTES_MAX;
use crate::pack::pack_id;
use crate::seal::{Keys, open_record};
use crate::storage::MemoryStorage;

/// A shadow of the repository.
pub struct Oracle {
    keys: Arc<Keys>,
    files: MemoryStorage,
    packs: HashSet<PackId>,
    segments: BTreeMap<SegmentId, Vec<(PackId, ChunkId)>>,
    committed: BTreeMap<SnapshotId, BTreeSet<ChunkId>>,
    /// Names of annotations that say that their snapshot has gone.
    finals: HashMap<String, SnapshotId>,
    /// What a snapshot needs, told by its writer before the commit.
    expected: HashMap<SnapshotId, BTreeSet<ChunkId>>,
    /// Holds that stand, each with whether somebody was told so.
    holds: HashMap<RecordId, (SnapshotId, bool)>,
    /// The first promise that was broken.
    pub broken: Option<String>,
    /// Packs that were deleted.
    pub deleted: u64,
    /// Snapshots that were committed.
    pub commits: u64,
    /// Snapshots that have gone.
    pub gone: u64,
}

impl Oracle {
    pub fn new(keys: Arc<Keys>, files: MemoryStorage) -> Self {
        Self {
            keys,
            files,
            packs: HashSet::new(),
            segments: BTreeMap::new(),
            committed: BTreeMap::new(),
            finals: HashMap::new(),
            expected: HashMap::new(),
            holds: HashMap::new(),
            broken: None,
            deleted: 0,
            commits: 0,
            gone: 0,
        }
    }

    pub fn expect(&mut self, snapshot: SnapshotId, chunks: BTreeSet<ChunkId>) {
        self.expected.insert(snapshot, chunks);
    }

    fn open<T: serde::de::DeserializeOwned + serde::Serialize>(
        &self,
        file_type: FileType,
        name: &str,
        bytes: &[u8],
    ) -> T {
        let body = open_record(&self.keys, file_type, name, bytes, RECORD_BYTES_MAX).unwrap();
        codec::decode(&body, RECORD_BYTES_MAX, name).unwrap()
    }

    /// Somebody was told that a snapshot is held: by whatever holds stand now.
    pub fn promise(&mut self, snapshot: SnapshotId) {
        let its = self.holds.values_mut().filter(|hold| hold.0 == snapshot);
        its.for_each(|hold| hold.1 = true);
    }

    /// A change has been made.
    pub fn after(&mut self, change: &Change) {
        let (name, put) = match change {
            Change::Put(name, bytes) => (name, Some(bytes)),
            Change::Delete(name) => (name, None),
        };
        if let Some(pack) = pack_id(name) {
            if put.is_some() {
                self.packs.insert(pack);
            } else if self.packs.remove(&pack) {
                self.deleted += 1;
                self.check_all(name);
            }
        } else if let Some(segment) = segment_of(name) {
            if put.is_some() {
                let read = read_segment(&self.files, &self.keys, &segment).unwrap();
                let packs = &read.packs;
                let places = read.chunks.iter().map(|(frame, span)| {
                    let pack = read.frames[*frame as usize].0;
                    (packs[pack as usize].id, span.id)
                });
                self.segments.insert(segment, places.collect());
            } else if self.segments.remove(&segment).is_some() {
                self.check_all(name);
            }
        } else if let Some(hex) = name.strip_prefix("snapshots/") {
            let id = SnapshotId::from_hex(hex).unwrap();
            match put {
                Some(bytes) => {
                    let fate: Fate = self.open(FileType::Snapshot, name, bytes);
                    if let Fate::Committed(_) = fate {
                        let needs = self.expected.get(&id).cloned().unwrap();
                        self.committed.insert(id, needs);
                        self.commits += 1;
                        self.check_all(name);
                    }
                }
                None if self.committed.contains_key(&id) && !self.is_gone(&id) => {
                    self.fail(format!("{name} was deleted and had not gone"));
                }
                None => drop(self.committed.remove(&id)),
            }
        } else if name.starts_with("annotations/") {
            match put {
                Some(bytes) => {
                    let said: Annotation = self.open(FileType::Annotation, name, bytes);
                    if said.fact == Fact::Final {
                        self.gone += 1;
                        self.finals.insert(name.clone(), said.snapshot);
                        let promised = (said.snapshot, true);
                        if self.holds.values().any(|hold| *hold == promised) {
                            self.fail(format!("{name}: a snapshot that is held has gone"));
                        }
                    }
                    if let Fact::Held(_) = said.fact {
                        self.holds.insert(said.id, (said.snapshot, false));
                    }
                    if said.fact == Fact::Released {
                        self.holds.remove(&RecordId(said.id.0.map(|byte| !byte)));
                    }
                }
                None => {
                    if self.finals.remove(name).is_some() {
                        self.check_all(name);
                    }
                }
            }
        }
    }

    fn fail(&mut self, what: String) {
        self.broken.get_or_insert(what);
    }

    fn is_gone(&self, id: &SnapshotId) -> bool {
        self.finals.values().any(|gone| gone == id)
    }

    /// Holds every snapshot against what stands.
    fn check_all(&mut self, why: &str) {
        let gone: HashSet<&SnapshotId> = self.finals.values().collect();
        let mut there: HashSet<&ChunkId> = HashSet::new();
        for (pack, chunk) in self.segments.values().flatten() {
            if self.packs.contains(pack) {
                there.insert(chunk);
            }
        }
        let mut broken = None;
        for (id, needs) in &self.committed {
            if gone.contains(id) {
                continue;
            }
            if let Some(lost) = needs.iter().find(|chunk| !there.contains(chunk)) {
                broken = Some(format!(
                    "after {why}: snapshot {} lost chunk {}",
                    id.short(),
                    lost.short()
                ));
                break;
            }
        }
        if let Some(broken) = broken {
            self.fail(broken);
        }
    }
}
