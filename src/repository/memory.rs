//! What this machine remembers of a repository: the snapshots that it saw, and the newest key ring.
//!
//! A storage cannot change a snapshot unnoticed, but it can leave one out, or show the whole repository as it was last
//! month, and whoever has no memory finds nothing wrong. So each machine keeps one small file a repository outside of
//! it (and outside of the cache, which is thrown away): a snapshot that was there and is neither listed nor was ended
//! by its owners is damage. The proof of an ending is the `Final` annotation, which is never deleted.
//!
//! The file holds ids and hashes, nothing secret. Without it nothing is remembered and everything else works.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write as _};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::Repository;
use super::annotations::annotation_of;
use super::snapshots::snapshot_name;
use crate::crypto::derive::Purpose;
use crate::crypto::random;
use crate::error::{Error, Kind, Result};
use crate::format::file::FileType;
use crate::format::keys::Ring;
use crate::format::records::{Annotation, Fact};
use crate::format::snapshot::Fate;
use crate::id::{SnapshotId, from_hex, to_hex};

/// First line of the file.
const HEAD: &str = "duramen-memory-1";
/// Snapshots that are remembered; of more, those seen first are let go.
const SNAPSHOTS_MAX: usize = 65_536;
/// No memory that this program wrote has more bytes.
const BYTES_MAX: u64 = 4 << 20;

/// The newest ring that was seen: its generation, its newest epoch, and what only that epoch's root leads to.
type RingMark = (u64, u32, [u8; 32]);

/// The content of a memory file.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Memory {
    ring: Option<RingMark>,
    /// In the order in which they were seen.
    snapshots: Vec<SnapshotId>,
}

/// What is remembered and not shown any more.
#[derive(Debug, Default)]
pub struct Recalled {
    /// Snapshots that were there, are not listed, and that no owner ended.
    pub missing: Vec<SnapshotId>,
    /// The key ring is older than one that was seen, or was made by somebody who lacks a key that was seen.
    pub ring: Option<Error>,
    /// The memory could not be read or kept; nothing else is wrong.
    pub unkept: Option<Error>,
    file: Option<PathBuf>,
}

impl Recalled {
    /// All of it as damage, each naming its place in the storage.
    #[must_use]
    pub fn errors(&self) -> Vec<Error> {
        let lost = |id: &SnapshotId| {
            let what = "this snapshot was here when this machine last looked, and nobody has ended it: it was removed, or \
                 the storage was put back to an older state";
            Error::damage(what).subject(snapshot_name(id))
        };
        let ring = self
            .ring
            .iter()
            .map(|error| Error::damage(error.message()).subject("keyring"));
        ring.chain(self.missing.iter().map(lost))
            .map(|error| error.hint(self.cure()))
            .collect()
    }

    /// What to do about any of it.
    #[must_use]
    pub fn cure(&self) -> String {
        let file = self.file.as_deref().unwrap_or(Path::new("")).display();
        format!(
            "find out who changed the storage; if an older copy was brought back on purpose, remove {file}"
        )
    }

    /// Refuses to write where the key ring was put back or made up: what is written would be sealed under a key that
    /// somebody who was shut out may have.
    ///
    /// # Errors
    /// [`Kind::Damage`].
    pub fn refuse_ring(&self) -> Result<()> {
        match &self.ring {
            Some(_) => self.errors().into_iter().next().map_or(Ok(()), Err),
            None => Ok(()),
        }
    }
}

impl Memory {
    /// Reads a memory; none where it is not one that this program wrote.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut lines = std::str::from_utf8(bytes)
            .ok()?
            .strip_suffix('\n')?
            .split('\n');
        if lines.next()? != HEAD {
            return None;
        }
        let mut memory = Self::default();
        for line in lines {
            let mut words = line.split(' ');
            match (
                words.next()?,
                words.next(),
                words.next(),
                words.next(),
                words.next(),
            ) {
                ("ring", Some(generation), Some(epoch), Some(mark), None)
                    if memory.ring.is_none() =>
                {
                    let mark = from_hex(mark)?.try_into().ok()?;
                    memory.ring = Some((generation.parse().ok()?, epoch.parse().ok()?, mark));
                }
                ("snapshot", Some(id), None, ..) if memory.snapshots.len() < SNAPSHOTS_MAX => {
                    memory.snapshots.push(SnapshotId::from_hex(id)?);
                }
                _ => return None,
            }
        }
        Some(memory)
    }

    /// The file's bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut text = format!("{HEAD}\n");
        if let Some((generation, epoch, mark)) = &self.ring {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "ring {generation} {epoch} {}", to_hex(mark));
        }
        for id in &self.snapshots {
            let _ = writeln!(text, "snapshot {}", id.hex());
        }
        text.into_bytes()
    }

    fn add(&mut self, ids: impl IntoIterator<Item = SnapshotId>) {
        let known: HashSet<SnapshotId> = self.snapshots.iter().copied().collect();
        self.snapshots
            .extend(ids.into_iter().filter(|id| !known.contains(id)));
        let over = self.snapshots.len().saturating_sub(SNAPSHOTS_MAX);
        self.snapshots.drain(..over);
    }

    /// Holds `ring` against what is remembered, and remembers it where it is as it should be.
    fn judge(&mut self, ring: &Ring) -> Option<Error> {
        let mark = |root: &[u8; 32]| *Purpose::RootMark.derive(&[root]);
        if let Some((generation, epoch, known)) = &self.ring {
            if ring.generation < *generation {
                return Some(Error::damage(format!(
                    "the newest key ring is generation {}, but this machine has seen {generation}: it was put back, and \
                     a key that was removed may open it again",
                    ring.generation
                )));
            }
            let root = ring.seal_roots.iter().find(|root| root.epoch == *epoch);
            if root.is_none_or(|root| mark(&root.root) != *known) {
                return Some(Error::damage(
                    "the newest key ring lacks a sealing key that this machine has seen: it was made by somebody who \
                     does not have that key",
                ));
            }
        }
        let newest = ring.seal_roots.last()?;
        self.ring = Some((ring.generation, newest.epoch, mark(&newest.root)));
        None
    }

    fn read(file: &Path) -> Result<Self> {
        let open = match fs::File::open(file) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Self::default());
            }
            opened => opened.map_err(|error| Error::io("read", file, error))?,
        };
        let mut bytes = Vec::new();
        open.take(BYTES_MAX + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| Error::io("read", file, error))?;
        Self::decode(&bytes).ok_or_else(|| {
            Error::new(
                Kind::Failed,
                "this is no memory of a repository; a new one was begun",
            )
            .subject(file.display().to_string())
        })
    }

    /// Puts it aside, on the disk, and renames it in: of two processes at once one wins whole.
    fn write(&self, file: &Path) -> Result<()> {
        let folder = file.parent().unwrap_or(Path::new("."));
        let io = |error: std::io::Error| Error::io("write", file, error);
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(io)?;
        let aside = folder.join(format!("{}.tmp", to_hex(&random::array::<8>()?)));
        let written = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&aside)
            .and_then(|mut aside| {
                aside
                    .write_all(&self.encode())
                    .and_then(|()| aside.sync_all())
            })
            .and_then(|()| fs::rename(&aside, file))
            .map_err(io);
        if written.is_err() {
            drop(fs::remove_file(&aside));
        }
        written
    }
}

impl Repository {
    fn memory_file(&self) -> Option<PathBuf> {
        let folder = self.environment.state.as_ref()?;
        // By place too: of one repository there may be several copies, and one that lags behind lacks nothing.
        let place = match self.storage.local_path() {
            Some(path) => path
                .canonicalize()
                .ok()?
                .into_os_string()
                .into_encoded_bytes(),
            None => self.storage.describe().into_bytes(),
        };
        let hash = blake3::Hasher::new()
            .update(&self.id().0)
            .update(&place)
            .finalize();
        Some(folder.join(format!(
            "{}-{}",
            self.id().short(),
            to_hex(&hash.as_bytes()[..8])
        )))
    }

    /// Holds what the storage shows against what this machine remembers, and remembers what is new.
    ///
    /// # Errors
    /// Whatever the storage says. A memory that cannot be read or kept is no error.
    pub fn recall(&self) -> Result<Recalled> {
        let Some(file) = self.memory_file() else {
            return Ok(Recalled::default());
        };
        let mut recalled = Recalled::default();
        let before = Memory::read(&file).unwrap_or_else(|error| {
            recalled.unkept = Some(error);
            Memory::default()
        });
        let mut memory = before.clone();
        recalled.ring = memory.judge(&self.newest_ring()?);
        let listed: HashSet<SnapshotId> = self.snapshot_ids()?.into_iter().collect();
        let mut missing: HashSet<SnapshotId> = memory
            .snapshots
            .iter()
            .copied()
            .filter(|id| !listed.contains(id))
            .collect();
        if !missing.is_empty() {
            let ended = self.ended(&missing)?;
            memory.snapshots.retain(|id| !ended.contains(id));
            missing.retain(|id| !ended.contains(id));
        }
        recalled.missing = memory
            .snapshots
            .iter()
            .copied()
            .filter(|id| missing.contains(id))
            .collect();
        let known: HashSet<SnapshotId> = memory.snapshots.iter().copied().collect();
        let mut new: Vec<SnapshotId> = listed.difference(&known).copied().collect();
        // Only what opens: the storage must not be able to make anybody remember what never was.
        new.retain(|id| matches!(self.fate(id), Ok(Fate::Committed(_))));
        new.sort_unstable();
        memory.add(new);
        if memory != before {
            recalled.unkept = memory.write(&file).err().or(recalled.unkept);
        }
        recalled.file = Some(file);
        Ok(recalled)
    }

    /// Remembers a snapshot that was committed just now. Not being able to is no error: the next look sees it.
    pub fn remember(&self, id: SnapshotId) {
        let Some(file) = self.memory_file() else {
            return;
        };
        if let Ok(mut memory) = Memory::read(&file) {
            memory.add([id]);
            let _ = memory.write(&file);
        }
    }

    /// Those of `missing` that their owners ended: a `Final` outlives its snapshot, and no storage can make one up.
    fn ended(&self, missing: &HashSet<SnapshotId>) -> Result<HashSet<SnapshotId>> {
        let mut ended = HashSet::new();
        for item in self.storage.list("annotations")? {
            let Some((snapshot, id)) = annotation_of(&item.name) else {
                continue;
            };
            if !missing.contains(&snapshot) || ended.contains(&snapshot) {
                continue;
            }
            let read: Result<Annotation> = self.get_record(FileType::Annotation, &item.name);
            // One that cannot be read proves nothing; `check` names it.
            if read.is_ok_and(|it| it.id == id && it.snapshot == snapshot && it.fact == Fact::Final)
            {
                ended.insert(snapshot);
            }
        }
        Ok(ended)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::id::SessionId;

    #[test]
    fn memories_come_back_and_anything_else_is_none() {
        let memory = Memory {
            ring: Some((7, 3, [0xab; 32])),
            snapshots: vec![SessionId([2; 16]), SessionId([1; 16])],
        };
        let bytes = memory.encode();
        assert_eq!(Memory::decode(&bytes), Some(memory));
        assert_eq!(
            Memory::decode(&Memory::default().encode()),
            Some(Memory::default())
        );
        let text = String::from_utf8(bytes.clone()).unwrap();
        for bad in [
            String::new(),
            text.replace("memory-1", "memory-2"),
            text.replace("snapshot 02", "snapshot 2"),
            text.replace("ring 7", "ring x"),
            format!("{text}more\n"),
            text.trim_end().to_owned(),
        ] {
            assert_eq!(Memory::decode(bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(Memory::decode(&bytes[..bytes.len() / 2]), None);
        assert_eq!(Memory::decode(&[0xff]), None);
    }

    #[test]
    fn a_memory_does_not_grow_without_bound() {
        let id = |number: u32| {
            let mut id = [0; 16];
            id[..4].copy_from_slice(&number.to_le_bytes());
            SessionId(id)
        };
        let mut memory = Memory::default();
        memory.add((0..SNAPSHOTS_MAX as u32 + 5).map(id));
        memory.add([id(9)]);
        assert_eq!(memory.snapshots.len(), SNAPSHOTS_MAX);
        assert_eq!(memory.snapshots[0], id(5));
        assert!(memory.encode().len() as u64 <= BYTES_MAX);
        assert_eq!(Memory::decode(&memory.encode()), Some(memory));
    }
}
