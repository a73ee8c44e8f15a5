//! One regular file being written.

use std::ops::Range;
use std::sync::Arc;

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{FallocateFlags, Mode, OFlags};
use rustix::io::Errno;

use super::meta::{self, Applied, Handle, Meta};
use super::{Rules, Temporary, identity};
use crate::error::{Error, Kind, Result};
use crate::fs::{Dir, Identity, StatKind, of_descriptor};

/// Zeros are left out by whole blocks of this size; no file system keeps smaller holes.
const BLOCK: u64 = 4096;

/// A regular file being written, piece by piece in any order. Its descriptor may be closed in between; dropping it
/// unfinished removes what was written, except where an existing file is rewritten in place.
pub struct Writing {
    dir: Arc<Dir>,
    name: Vec<u8>,
    /// None where the existing file itself is written.
    temporary: Option<Temporary>,
    /// Which inode must be found under the name when it is opened again; not asked for before it is closed.
    identity: Option<Identity>,
    fd: Option<OwnedFd>,
    /// Bytes that the file is long.
    size: u64,
}

impl Writing {
    /// A new file that takes the place of whatever stands under `name` once it is finished.
    ///
    /// # Errors
    /// Names the path.
    pub fn fresh(dir: &Arc<Dir>, name: &[u8]) -> Result<Self> {
        let flags =
            OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let (temporary, fd) = Temporary::create(dir, name, |parent, temporary| {
            rustix::fs::openat(parent, temporary, flags, Mode::RUSR | Mode::WUSR)
        })?;
        Ok(Self {
            dir: Arc::clone(dir),
            name: name.to_vec(),
            temporary: Some(temporary),
            identity: None,
            fd: Some(fd),
            size: 0,
        })
    }

    /// The file that stands under `name`, to be changed where it stands: not atomic. None where that cannot be done
    /// (another kind, other names for it, not writable): then a fresh one must replace it.
    ///
    /// # Errors
    /// Names the path.
    pub fn in_place(dir: &Arc<Dir>, name: &[u8]) -> Result<Option<Self>> {
        let fd = match dir.with_fd(|parent| open(parent, name)) {
            Ok(fd) => fd,
            Err(Errno::MFILE | Errno::NFILE) => {
                return Err(dir.error("open", name, Errno::MFILE));
            }
            Err(_) => return Ok(None),
        };
        let stat = of_descriptor(fd.as_fd()).map_err(|errno| dir.error("look at", name, errno))?;
        if stat.kind != StatKind::File || stat.links != 1 {
            return Ok(None);
        }
        Ok(Some(Self {
            dir: Arc::clone(dir),
            name: name.to_vec(),
            temporary: None,
            identity: Some(identity(&stat)),
            fd: Some(fd),
            size: stat.size,
        }))
    }

    /// Whether the existing file itself is written.
    #[must_use]
    pub fn is_in_place(&self) -> bool {
        self.temporary.is_none()
    }

    /// Whether it holds a descriptor just now.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.fd.is_some()
    }

    /// Gives the descriptor back; the next call opens the file again. One whose inode cannot be told, so that it could
    /// not be known again, stays open.
    pub fn close(&mut self) {
        if self.identity.is_none()
            && let Some(fd) = &self.fd
        {
            self.identity = of_descriptor(fd.as_fd()).ok().as_ref().map(identity);
        }
        if self.identity.is_some() {
            self.fd = None;
        }
    }

    /// Makes the file so many bytes long, unless it is; what is new reads as zeros and takes no space.
    ///
    /// # Errors
    /// Names the path.
    pub fn resize(&mut self, size: u64) -> Result<()> {
        if self.size != size {
            self.with_fd("resize", |fd| rustix::fs::ftruncate(fd, size))?;
            self.size = size;
        }
        Ok(())
    }

    /// Asks the file system to find room for `range` in one piece. Only a full disk is an error: a file system that
    /// cannot do it finds room as it goes.
    ///
    /// # Errors
    /// [`Kind::NoSpace`], naming the path.
    pub fn reserve(&mut self, range: Range<u64>) -> Result<()> {
        self.with_fd("make room for", |fd| {
            let length = range.end.saturating_sub(range.start);
            match rustix::fs::fallocate(fd, FallocateFlags::KEEP_SIZE, range.start, length) {
                Err(errno @ (Errno::NOSPC | Errno::DQUOT)) => Err(errno),
                _ => Ok(()),
            }
        })
    }

    /// Writes `bytes` at `offset`; with `sparse`, whole blocks of zeros are passed over, which is right only where
    /// nothing has been written before.
    ///
    /// # Errors
    /// Names the path.
    pub fn write(&mut self, offset: u64, bytes: &[u8], sparse: bool) -> Result<()> {
        let whole = 0..bytes.len();
        let runs = if sparse {
            runs_of_data(offset, bytes)
        } else {
            vec![whole]
        };
        let end = runs.last().map_or(0, |run| offset + run.end as u64);
        self.with_fd("write", |fd| {
            runs.into_iter()
                .try_for_each(|run| write_all(fd, offset + run.start as u64, &bytes[run]))
        })?;
        self.size = self.size.max(end);
        Ok(())
    }

    /// Makes `range` read as zeros and take no space.
    ///
    /// # Errors
    /// Names the path.
    pub fn punch(&mut self, range: Range<u64>) -> Result<()> {
        self.with_fd("make a hole in", |fd| {
            let length = range.end.saturating_sub(range.start);
            let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            match rustix::fs::fallocate(fd, flags, range.start, length) {
                Err(Errno::OPNOTSUPP | Errno::NOSYS) => write_zeros(fd, range),
                other => other,
            }
        })
    }

    /// Reads what stands at `offset` and returns how much of `buffer` it fills: less only at the end of the file.
    ///
    /// # Errors
    /// Names the path.
    pub fn read(&mut self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        self.with_fd("read", |fd| read_full(fd, offset, buffer))
    }

    /// Sets the metadata and lets the file appear under its name.
    ///
    /// # Errors
    /// Names the path. Metadata that cannot be set is no error but stands in what is returned.
    pub fn finish(mut self, meta: &Meta, rules: Rules) -> Result<Applied> {
        let path = self.dir.path_of(&self.name);
        let mut applied = None;
        self.with_fd("set the metadata of", |fd| {
            applied = Some(meta::apply(Handle::open(fd), meta, rules, &path));
            Ok(())
        })?;
        let applied =
            applied.unwrap_or_else(|| Err(Error::new(Kind::Failed, "metadata was not set")))?;
        if let Some(temporary) = self.temporary.take() {
            temporary.rename(&self.name)?;
        }
        Ok(applied)
    }

    fn with_fd<T>(
        &mut self,
        action: &str,
        f: impl FnOnce(BorrowedFd<'_>) -> rustix::io::Result<T>,
    ) -> Result<T> {
        let wrong = |errno| self.dir.error(action, &self.name, errno);
        if let Some(fd) = &self.fd {
            return f(fd.as_fd()).map_err(wrong);
        }
        let name = self.temporary.as_ref().map_or(&*self.name, Temporary::name);
        let fd = self
            .dir
            .with_fd(|parent| {
                let fd = open(parent, name)?;
                // Somebody who may write in the directory could have put another file there meanwhile.
                if Some(identity(&of_descriptor(fd.as_fd())?)) != self.identity {
                    return Err(Errno::STALE);
                }
                Ok(fd)
            })
            .map_err(wrong)?;
        let done = f(fd.as_fd()).map_err(wrong);
        self.fd = Some(fd);
        done
    }
}

impl std::fmt::Debug for Writing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let path = self.dir.path_of(&self.name);
        write!(f, "Writing({})", String::from_utf8_lossy(&path))
    }
}

fn open(parent: BorrowedFd<'_>, name: &[u8]) -> rustix::io::Result<OwnedFd> {
    // Without NONBLOCK a pipe that somebody put there would hold us for ever.
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    rustix::fs::openat(parent, name, flags, Mode::empty())
}

fn write_all(fd: BorrowedFd<'_>, mut offset: u64, mut bytes: &[u8]) -> rustix::io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::pwrite(fd, bytes, offset) {
            Ok(0) => return Err(Errno::IO),
            Ok(written) => {
                bytes = &bytes[written..];
                offset += written as u64;
            }
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

fn write_zeros(fd: BorrowedFd<'_>, range: Range<u64>) -> rustix::io::Result<()> {
    let zeros = [0; 64 << 10];
    let mut at = range.start;
    while at < range.end {
        let step = (range.end - at).min(zeros.len() as u64);
        write_all(
            fd,
            at,
            &zeros[..usize::try_from(step).unwrap_or(zeros.len())],
        )?;
        at += step;
    }
    Ok(())
}

/// Reads until `buffer` is full or the file ends.
pub(super) fn read_full(
    fd: BorrowedFd<'_>,
    offset: u64,
    buffer: &mut [u8],
) -> rustix::io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match rustix::io::pread(fd, &mut buffer[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(filled)
}

/// The parts of `bytes`, which will stand at `offset`, that are not whole blocks of zeros.
fn runs_of_data(offset: u64, bytes: &[u8]) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let in_block = usize::try_from((offset + at as u64) % BLOCK).unwrap_or(0);
        let end = bytes.len().min(at + BLOCK as usize - in_block);
        let whole = end - at == BLOCK as usize;
        if !(whole && bytes[at..end].iter().all(|byte| *byte == 0)) {
            match runs.last_mut() {
                Some(last) if last.end == at => last.end = end,
                _ => runs.push(at..end),
            }
        }
        at = end;
    }
    runs
}

#[cfg(test)]
mod tests {
    #![allow(clippy::single_range_in_vec_init)]
    use super::*;

    #[test]
    fn only_whole_blocks_of_zeros_are_passed_over() {
        let mut bytes = vec![0; 5 * 4096];
        assert!(runs_of_data(0, &bytes).is_empty());
        assert_eq!(
            runs_of_data(100, &bytes),
            [0..3996, 4 * 4096 + 3996..5 * 4096]
        );
        bytes[4096] = 1;
        bytes[3 * 4096 - 1] = 1;
        assert_eq!(runs_of_data(8192, &bytes), vec![4096..3 * 4096]);
        assert_eq!(runs_of_data(0, &bytes[..10]), vec![0..10]);
        assert!(runs_of_data(0, &[]).is_empty());
    }
}
