//! A storage that fails on purpose: how the crash and full-disk tests stop the engine at every single step.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use super::{Item, Storage, Upload};
use crate::error::{Error, Kind, Result};

/// What happens at the chosen call and at every one after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing works any more: the process was killed before the call took effect.
    DeadBefore,
    /// The same, but the chosen call took effect and only its answer was lost.
    DeadAfter,
    /// Nothing can be written any more, everything can be read: the disk is full.
    Full,
}

/// Counts changing calls (appends, finishes, puts, deletes) and fails from the `n`-th on.
pub struct FaultStorage<S> {
    inner: S,
    left: Arc<AtomicI64>,
    fault: Fault,
}

impl<S: Storage> FaultStorage<S> {
    /// Lets `calls` changing calls through.
    pub fn new(inner: S, calls: u32, fault: Fault) -> Self {
        Self {
            inner,
            left: Arc::new(AtomicI64::new(i64::from(calls))),
            fault,
        }
    }

    /// Whether the fault has struck.
    pub fn struck(&self) -> bool {
        self.left.load(Ordering::SeqCst) < 0
    }

    fn alive(&self) -> Result<()> {
        if self.fault != Fault::Full && self.struck() {
            return Err(Error::new(Kind::Failed, "the storage is dead"));
        }
        Ok(())
    }
}

fn change<T>(left: &AtomicI64, fault: Fault, call: impl FnOnce() -> Result<T>) -> Result<T> {
    let before = left.fetch_sub(1, Ordering::SeqCst);
    if before > 0 {
        return call();
    }
    if before == 0 && fault == Fault::DeadAfter {
        call()?;
    }
    Err(match fault {
        Fault::Full => Error::new(Kind::NoSpace, "no space left"),
        _ => Error::new(Kind::Failed, "the storage is dead"),
    })
}

impl<S: Storage> Storage for FaultStorage<S> {
    fn describe(&self) -> String {
        self.inner.describe()
    }

    fn list(&self, folder: &str) -> Result<Vec<Item>> {
        self.alive()?;
        self.inner.list(folder)
    }

    fn read(&self, name: &str, max: u64) -> Result<Vec<u8>> {
        self.alive()?;
        self.inner.read(name, max)
    }

    fn read_range(&self, name: &str, offset: u64, len: usize) -> Result<Vec<u8>> {
        self.alive()?;
        self.inner.read_range(name, offset, len)
    }

    fn size(&self, name: &str) -> Result<Option<u64>> {
        self.alive()?;
        self.inner.size(name)
    }

    fn put_new(&self, name: &str, bytes: &[u8]) -> Result<bool> {
        change(&self.left, self.fault, || self.inner.put_new(name, bytes))
    }

    fn create(&self) -> Result<Box<dyn Upload>> {
        self.alive()?;
        let (left, fault) = (self.left.clone(), self.fault);
        Ok(Box::new(FaultUpload {
            inner: self.inner.create()?,
            left,
            fault,
        }))
    }

    fn delete(&self, name: &str) -> Result<()> {
        change(&self.left, self.fault, || self.inner.delete(name))
    }
}

struct FaultUpload {
    inner: Box<dyn Upload>,
    left: Arc<AtomicI64>,
    fault: Fault,
}

impl Upload for FaultUpload {
    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        change(&self.left, self.fault, || self.inner.write(bytes))
    }

    fn finish(self: Box<Self>, name: &str) -> Result<()> {
        let Self { inner, left, fault } = *self;
        change(&left, fault, || inner.finish(name))
    }
}
