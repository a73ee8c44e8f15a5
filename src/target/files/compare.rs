//! Reading back what stands on disk.

use std::sync::Arc;

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Advice, Mode, OFlags};

use super::file::read_full;
use crate::error::Result;
use crate::fs::holes::{Stretch, stretch};
use crate::fs::{Dir, Stat, of_descriptor};

/// A regular file opened to be read back.
pub struct OnDisk {
    dir: Arc<Dir>,
    name: Vec<u8>,
    fd: OwnedFd,
}

impl OnDisk {
    /// Opens `name`; never follows a symbolic link, never waits for a pipe.
    ///
    /// # Errors
    /// Names the path.
    pub fn open(dir: &Arc<Dir>, name: &[u8]) -> Result<Self> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let fd = dir
            .with_fd(|parent| rustix::fs::openat(parent, name, flags, Mode::empty()))
            .map_err(|errno| dir.error("open", name, errno))?;
        Ok(Self {
            dir: Arc::clone(dir),
            name: name.to_vec(),
            fd,
        })
    }

    /// What the system says of it.
    ///
    /// # Errors
    /// Names the path.
    pub fn stat(&self) -> Result<Stat> {
        self.named(of_descriptor(self.fd.as_fd()))
    }

    /// Lets the system forget the pages it keeps of the file, so that reading asks the disk. What has not been
    /// written out yet stays, and so does everything where the system does not care for advice.
    pub fn forget_cached(&self) {
        let _ = rustix::fs::fadvise(&self.fd, 0, None, Advice::DontNeed);
    }

    /// Reads at `offset`; returns how much of `buffer` is filled, less only at the end of the file.
    ///
    /// # Errors
    /// Names the path.
    pub fn read(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        self.named(read_full(self.fd.as_fd(), offset, buffer))
    }

    /// Whether `length` bytes from `offset` are zeros or a hole; holes are not read.
    ///
    /// # Errors
    /// Names the path.
    pub fn is_zero(&self, offset: u64, length: u64) -> Result<bool> {
        let end = offset.saturating_add(length);
        let mut buffer = vec![0; 128 << 10];
        let mut at = offset;
        while at < end {
            let end = match self.named(stretch(self.fd.as_fd(), at, end))? {
                Stretch::Hole(until) => {
                    at = until;
                    continue;
                }
                Stretch::Data(until) => until,
            };
            let step = (end - at).min(buffer.len() as u64);
            let step = usize::try_from(step).unwrap_or(buffer.len());
            let read = self.read(at, &mut buffer[..step])?;
            if read < step || !only_zeros(&buffer[..read]) {
                return Ok(false);
            }
            at += step as u64;
        }
        Ok(true)
    }

    fn named<T>(&self, result: rustix::io::Result<T>) -> Result<T> {
        result.map_err(|errno| self.dir.error("read", &self.name, errno))
    }
}

/// Whether every byte is zero.
#[must_use]
pub fn only_zeros(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}
