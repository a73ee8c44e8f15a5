//! A storage in memory: for tests and simulations of the real code, and for trying things out.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Item, Storage, Upload, check_name};
use crate::error::{Error, Kind, Result};

type Files = Arc<Mutex<BTreeMap<String, Arc<[u8]>>>>;

/// Clones share the same files.
#[derive(Clone, Default)]
pub struct MemoryStorage {
    files: Files,
}

fn lock(files: &Files) -> MutexGuard<'_, BTreeMap<String, Arc<[u8]>>> {
    files.lock().unwrap_or_else(PoisonError::into_inner)
}

impl MemoryStorage {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A copy that shares nothing with this one.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self {
            files: Arc::new(Mutex::new(lock(&self.files).clone())),
        }
    }

    /// Replaces a file's bytes, or removes it: what a hostile or broken store does.
    pub fn tamper(&self, name: &str, bytes: Option<Vec<u8>>) {
        match bytes {
            Some(bytes) => lock(&self.files).insert(name.to_owned(), bytes.into()),
            None => lock(&self.files).remove(name),
        };
    }

    fn get(&self, name: &str) -> Result<Arc<[u8]>> {
        check_name(name)?;
        lock(&self.files).get(name).cloned().ok_or_else(|| {
            Error::new(Kind::NotFound, "there is no such file in the storage").subject(name)
        })
    }
}

impl Storage for MemoryStorage {
    fn describe(&self) -> String {
        "memory".into()
    }

    fn list(&self, folder: &str) -> Result<Vec<Item>> {
        let prefix = format!("{folder}/");
        let files = lock(&self.files);
        let matching = files
            .range(prefix.clone()..)
            .take_while(|(name, _)| name.starts_with(&prefix));
        Ok(matching
            .map(|(name, bytes)| Item {
                name: name.clone(),
                size: bytes.len() as u64,
                modified: None,
            })
            .collect())
    }

    fn read(&self, name: &str, max: u64) -> Result<Vec<u8>> {
        let bytes = self.get(name)?;
        if bytes.len() as u64 > max {
            return Err(Error::damage("longer than such a file can be").subject(name));
        }
        Ok(bytes.to_vec())
    }

    fn read_range(&self, name: &str, offset: u64, len: usize) -> Result<Vec<u8>> {
        let bytes = self.get(name)?;
        let start = usize::try_from(offset).ok();
        start
            .and_then(|start| bytes.get(start..start.checked_add(len)?))
            .map(<[u8]>::to_vec)
            .ok_or_else(|| Error::damage("ends too early").subject(name))
    }

    fn size(&self, name: &str) -> Result<Option<u64>> {
        check_name(name)?;
        Ok(lock(&self.files).get(name).map(|bytes| bytes.len() as u64))
    }

    fn put_new(&self, name: &str, bytes: &[u8]) -> Result<bool> {
        check_name(name)?;
        let mut files = lock(&self.files);
        let first = !files.contains_key(name);
        if first {
            files.insert(name.to_owned(), bytes.into());
        }
        Ok(first)
    }

    fn create(&self) -> Result<Box<dyn Upload>> {
        Ok(Box::new(MemoryUpload {
            files: self.files.clone(),
            bytes: Vec::new(),
        }))
    }

    fn delete(&self, name: &str) -> Result<()> {
        check_name(name)?;
        lock(&self.files).remove(name);
        Ok(())
    }
}

struct MemoryUpload {
    files: Files,
    bytes: Vec<u8>,
}

impl Upload for MemoryUpload {
    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn finish(self: Box<Self>, name: &str) -> Result<()> {
        check_name(name)?;
        let Self { files, bytes } = *self;
        lock(&files).insert(name.to_owned(), bytes.into());
        Ok(())
    }
}
