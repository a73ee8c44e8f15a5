//! A storage that is given and asked for no more than so many bytes a second, so that a backup at noon leaves the
//! network and the disk to those who work.
//!
//! Everything goes through in slices, and before each slice the caller waits until what went before has had its time.
//! Nothing is dropped or reordered; whoever waits holds no lock that others need.

use std::path::Path;
use std::sync::Arc;

use super::{Item, Storage, Upload};
use crate::error::Result;
use crate::pace::{Pace, SLICE};

/// Bytes a second in each direction; none for any number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rates {
    /// To the storage.
    pub upload: Option<u64>,
    /// From the storage.
    pub download: Option<u64>,
}

/// Another storage, slowed down.
pub struct PacedStorage {
    inner: Arc<dyn Storage>,
    upload: Option<Arc<Pace>>,
    download: Option<Arc<Pace>>,
}

impl PacedStorage {
    /// `inner` at `rates`; `inner` itself where both are without limit.
    #[must_use]
    pub fn over(inner: Arc<dyn Storage>, rates: Rates) -> Arc<dyn Storage> {
        if rates == Rates::default() {
            return inner;
        }
        Arc::new(Self {
            inner,
            upload: rates.upload.map(Pace::new),
            download: rates.download.map(Pace::new),
        })
    }

    fn took(&self, bytes: Vec<u8>) -> Vec<u8> {
        if let Some(pace) = &self.download {
            pace.pass(bytes.len());
        }
        bytes
    }
}

impl Storage for PacedStorage {
    fn describe(&self) -> String {
        self.inner.describe()
    }

    fn list(&self, folder: &str) -> Result<Vec<Item>> {
        self.inner.list(folder)
    }

    fn read(&self, name: &str, max: u64) -> Result<Vec<u8>> {
        self.inner.read(name, max).map(|bytes| self.took(bytes))
    }

    fn read_range(&self, name: &str, offset: u64, len: usize) -> Result<Vec<u8>> {
        let read = self.inner.read_range(name, offset, len);
        read.map(|bytes| self.took(bytes))
    }

    fn size(&self, name: &str) -> Result<Option<u64>> {
        self.inner.size(name)
    }

    fn put_new(&self, name: &str, bytes: &[u8]) -> Result<bool> {
        if let Some(pace) = &self.upload {
            pace.pass(bytes.len());
        }
        self.inner.put_new(name, bytes)
    }

    fn create(&self) -> Result<Box<dyn Upload>> {
        let inner = self.inner.create()?;
        Ok(match &self.upload {
            Some(pace) => Box::new(PacedUpload {
                inner,
                pace: Arc::clone(pace),
            }),
            None => inner,
        })
    }

    fn delete(&self, name: &str) -> Result<()> {
        self.inner.delete(name)
    }

    fn local_path(&self) -> Option<&Path> {
        self.inner.local_path()
    }
}

struct PacedUpload {
    inner: Box<dyn Upload>,
    pace: Arc<Pace>,
}

impl Upload for PacedUpload {
    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        bytes.chunks(SLICE).try_for_each(|slice| {
            self.pace.pass(slice.len());
            self.inner.write(slice)
        })
    }

    fn finish(self: Box<Self>, name: &str) -> Result<()> {
        self.inner.finish(name)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::storage::MemoryStorage;

    #[test]
    fn what_goes_through_is_the_same() {
        let inner: Arc<dyn Storage> = Arc::new(MemoryStorage::default());
        let same = PacedStorage::over(Arc::clone(&inner), Rates::default());
        assert!(Arc::ptr_eq(&inner, &same));
        let rates = Rates {
            upload: Some(1 << 40),
            download: Some(1 << 40),
        };
        let paced = PacedStorage::over(inner, rates);
        let bytes: Vec<u8> = (0..3 * SLICE + 7).map(|n| n as u8).collect();
        assert!(paced.put_new("sessions/a", &bytes).unwrap());
        assert!(!paced.put_new("sessions/a", b"other").unwrap());
        let mut upload = paced.create().unwrap();
        upload.write(&bytes).unwrap();
        upload.finish("packs/aa/b").unwrap();
        for name in ["sessions/a", "packs/aa/b"] {
            assert_eq!(paced.read(name, 1 << 20).unwrap(), bytes);
            assert_eq!(paced.read_range(name, 5, 9).unwrap(), bytes[5..14]);
        }
    }
}
