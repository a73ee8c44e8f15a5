//! Chunks that are in no pack and never will be: what was worked out for this command alone, such as how collections were at
//! a time of which there is no snapshot. Readers find them like all others; with the process they are gone.
//!
//! They are people's documents, so where they are too many for memory they lie in a file without a name, each sealed with a
//! key that nobody keeps.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use super::{ChunkKind, Repository};
use crate::crypto::aead::SealKey;
use crate::crypto::random;
use crate::error::{Error, Kind, Result};
use crate::fs::nameless;
use crate::id::ChunkId;

/// Bytes in memory; what comes after is laid down.
const ROOM: usize = if cfg!(test) { 1 << 10 } else { 16 << 20 };

/// See the module.
#[derive(Default)]
pub(super) struct Scratch(Mutex<Held>);

#[derive(Default)]
struct Held {
    near: HashMap<ChunkId, Vec<u8>>,
    bytes: usize,
    laid: HashMap<ChunkId, (u64, u32)>,
    file: Option<(File, SealKey)>,
    end: u64,
}

fn failed(error: std::io::Error) -> Error {
    Error::new(
        Kind::Failed,
        "cannot lay down, or read back, what was worked out",
    )
    .cause(error)
    .hint("look after the disk that holds the cache folder")
}

impl Scratch {
    fn put(&self, folder: Option<PathBuf>, id: ChunkId, bytes: &[u8]) -> Result<()> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let held = &mut *held;
        if held.near.contains_key(&id) || held.laid.contains_key(&id) {
            return Ok(());
        }
        let folder = match (folder, held.bytes + bytes.len() > ROOM) {
            (Some(folder), true) => folder,
            _ => {
                held.bytes += bytes.len();
                held.near.insert(id, bytes.to_vec());
                return Ok(());
            }
        };
        if held.file.is_none() {
            held.file = Some((nameless(&folder)?, SealKey::new(&random::secret()?)));
        }
        if let Some((file, key)) = &held.file {
            let sealed = key.seal(&id.0, bytes)?;
            file.write_all_at(&sealed, held.end).map_err(failed)?;
            held.laid.insert(id, (held.end, sealed.len() as u32));
            held.end += sealed.len() as u64;
        }
        Ok(())
    }

    /// The chunk of that id, where it is one of these.
    pub(super) fn get(&self, id: &ChunkId) -> Result<Option<Vec<u8>>> {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bytes) = held.near.get(id) {
            return Ok(Some(bytes.clone()));
        }
        let (Some((at, length)), Some((file, key))) = (held.laid.get(id), &held.file) else {
            return Ok(None);
        };
        let mut sealed = vec![0; *length as usize];
        file.read_exact_at(&mut sealed, *at).map_err(failed)?;
        key.open(&id.0, &sealed).map(Some)
    }
}

impl Repository {
    /// Holds a chunk for this process alone; its id.
    ///
    /// # Errors
    /// Where the folder of the cache takes no file.
    pub fn put_scratch(&self, kind: ChunkKind, bytes: &[u8]) -> Result<ChunkId> {
        let id = self.chunk_id(kind, bytes);
        let folder = self.index.cache().filter(|folder| folder.is_dir());
        let scratch = self.scratch.get_or_init(Scratch::default);
        scratch.put(folder.map(Into::into), id, bytes)?;
        Ok(id)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn chunks_come_back_from_memory_and_from_the_disk() {
        let folder = tempfile::tempdir().unwrap();
        for folder in [None, Some(folder.path().to_owned())] {
            let scratch = Scratch::default();
            let id = |number: u8| ChunkId([number; 32]);
            for number in 0..9u8 {
                let bytes = vec![number; 300];
                scratch.put(folder.clone(), id(number), &bytes).unwrap();
                scratch.put(folder.clone(), id(number), &bytes).unwrap();
            }
            for number in 0..9u8 {
                assert_eq!(scratch.get(&id(number)).unwrap(), Some(vec![number; 300]));
            }
            assert_eq!(scratch.get(&id(9)).unwrap(), None);
            let laid = scratch.0.lock().unwrap().laid.len();
            assert_eq!(laid, if folder.is_some() { 6 } else { 0 });
        }
    }
}
