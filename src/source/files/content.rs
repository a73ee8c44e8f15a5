//! Reading one regular file, and everything else that a snapshot asks of a member of a directory.
//!
//! Between the moment a name was seen and the moment it is opened, anybody may put something else in its place. A
//! pipe would block for ever, a symbolic link lead elsewhere, a device do who knows what: so the open neither
//! follows nor waits, and what was opened must be a regular file.

use std::num::NonZeroU64;
use std::sync::Arc;

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Advice, Mode, OFlags};
use rustix::io::Errno;

use crate::error::{Error, Kind, Result};
use crate::fs::holes::{self, Stretch};
use crate::fs::{Dir, Stat, StatKind, of_descriptor, passing, xattr};
use crate::source::{Content, Origin, RawXattr, Run};

/// Files of at least so many bytes are announced to be read from start to end.
const ANNOUNCED_BYTES: u64 = 4 << 20;

/// Opens the members of a directory on disk.
#[derive(Debug)]
pub struct DirOrigin(pub Arc<Dir>);

impl Origin for DirOrigin {
    fn open(&self, name: &[u8]) -> Result<Box<dyn Content>> {
        Ok(Box::new(FileContent::open(&self.0, name)?))
    }

    fn read_link(&self, name: &[u8]) -> Result<Vec<u8>> {
        self.0
            .with_fd(|fd| rustix::fs::readlinkat(fd, name, Vec::new()))
            .map(std::ffi::CString::into_bytes)
            .map_err(|errno| match errno {
                Errno::INVAL => replaced(&self.0, name, "it is no symbolic link any more"),
                errno => self.0.error("read the link", name, errno),
            })
    }

    fn xattrs(&self, name: &[u8]) -> Result<Vec<RawXattr>> {
        xattr::all(&self.0, name)
            .map_err(|errno| self.0.error("read the attributes of", name, errno))
    }

    fn path(&self, name: &[u8]) -> Vec<u8> {
        self.0.path_of(name)
    }
}

/// A directory that is not entered: its own attributes can be read, and it has no members.
#[derive(Debug)]
pub struct ClosedOrigin {
    /// The directory that it is a member of.
    pub parent: Arc<Dir>,
    /// Its name there.
    pub name: Vec<u8>,
}

impl ClosedOrigin {
    fn no_member(&self, name: &[u8]) -> Error {
        Error::new(Kind::NotFound, "this directory was not entered")
            .subject(String::from_utf8_lossy(&self.path(name)).into_owned())
    }
}

impl Origin for ClosedOrigin {
    fn open(&self, name: &[u8]) -> Result<Box<dyn Content>> {
        Err(self.no_member(name))
    }

    fn read_link(&self, name: &[u8]) -> Result<Vec<u8>> {
        Err(self.no_member(name))
    }

    fn xattrs(&self, name: &[u8]) -> Result<Vec<RawXattr>> {
        if !name.is_empty() {
            return Err(self.no_member(name));
        }
        xattr::all(&self.parent, &self.name).map_err(|errno| {
            self.parent
                .error("read the attributes of", &self.name, errno)
        })
    }

    fn path(&self, name: &[u8]) -> Vec<u8> {
        let mut path = self.parent.path_of(&self.name);
        if !name.is_empty() {
            path.push(b'/');
            path.extend_from_slice(name);
        }
        path
    }
}

/// The first bytes of the regular file `name`, at most `len`.
///
/// # Errors
/// Names the whole path.
pub fn head(dir: &Arc<Dir>, name: &[u8], len: usize) -> Result<Vec<u8>> {
    let mut content = FileContent::open(dir, name)?;
    let mut head = vec![0; len.min(usize::try_from(content.size).unwrap_or(len))];
    let mut filled = 0;
    while filled < head.len() {
        match content.next(&mut head[filled..])? {
            Run::Data(bytes) => filled += bytes,
            Run::Hole(bytes) => {
                let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
                filled = filled.saturating_add(bytes).min(head.len());
            }
            Run::End => break,
        }
    }
    head.truncate(filled);
    Ok(head)
}

/// A file on disk, read up to the size that it had when it was opened: one that is written to for ever must come to
/// an end, and whoever reads compares [`Content::stat`] afterwards.
struct FileContent {
    dir: Arc<Dir>,
    name: Vec<u8>,
    fd: OwnedFd,
    /// Size when opened.
    size: u64,
    offset: u64,
    /// Known to be data up to here.
    data_end: u64,
    /// The file system has not declined yet to leave the cache alone.
    passing: bool,
}

impl FileContent {
    fn open(dir: &Arc<Dir>, name: &[u8]) -> Result<Self> {
        let flags =
            OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let open = |flags| {
            dir.with_fd(|fd| {
                rustix::io::retry_on_intr(|| rustix::fs::openat(fd, name, flags, Mode::empty()))
            })
        };
        let opened = match open(flags | OFlags::NOATIME) {
            // Only the owner and root may leave the access time alone.
            Err(Errno::PERM) => open(flags),
            other => other,
        };
        let fd = opened.map_err(|errno| match errno {
            Errno::LOOP => replaced(dir, name, "it is a symbolic link now"),
            Errno::NXIO => replaced(dir, name, "it is no regular file any more"),
            errno => dir.error("open", name, errno),
        })?;
        let stat = of_descriptor(fd.as_fd()).map_err(|errno| dir.error("look at", name, errno))?;
        if stat.kind != StatKind::File {
            return Err(replaced(dir, name, "it is no regular file any more"));
        }
        if stat.size >= ANNOUNCED_BYTES {
            // Advice: that it is not taken changes nothing.
            let _ = rustix::fs::fadvise(&fd, 0, None::<NonZeroU64>, Advice::Sequential);
        }
        let sparse = stat.blocks.saturating_mul(512) < stat.size;
        Ok(Self {
            dir: Arc::clone(dir),
            name: name.to_vec(),
            fd,
            size: stat.size,
            offset: 0,
            data_end: if sparse { 0 } else { stat.size },
            passing: true,
        })
    }

    fn failed(&self, errno: Errno) -> Error {
        self.dir.error("read", &self.name, errno)
    }
}

impl Content for FileContent {
    fn next(&mut self, buffer: &mut [u8]) -> Result<Run> {
        if self.offset >= self.size {
            return Ok(Run::End);
        }
        if buffer.is_empty() {
            return Err(self.failed(Errno::INVAL));
        }
        if self.offset >= self.data_end {
            let stretch = holes::stretch(self.fd.as_fd(), self.offset, self.size);
            match stretch.map_err(|errno| self.failed(errno))? {
                Stretch::Data(end) => self.data_end = end,
                Stretch::Hole(end) => {
                    let bytes = end - self.offset;
                    self.offset = end;
                    return Ok(Run::Hole(bytes));
                }
            }
        }
        let left = usize::try_from(self.data_end - self.offset).unwrap_or(usize::MAX);
        let wanted = left.min(buffer.len());
        let buffer = &mut buffer[..wanted];
        let read = passing::read(self.fd.as_fd(), buffer, self.offset, &mut self.passing);
        match read.map_err(|errno| self.failed(errno))? {
            // It became shorter meanwhile.
            0 => {
                self.size = self.offset;
                Ok(Run::End)
            }
            bytes => {
                self.offset += bytes as u64;
                Ok(Run::Data(bytes))
            }
        }
    }

    fn stat(&self) -> Result<Option<Stat>> {
        match of_descriptor(self.fd.as_fd()) {
            Ok(stat) => Ok(Some(stat)),
            Err(errno) => Err(self.dir.error("look at", &self.name, errno)),
        }
    }

    fn xattrs(&self) -> Result<Option<Vec<RawXattr>>> {
        match xattr::of_descriptor(self.fd.as_fd()) {
            Ok(xattrs) => Ok(Some(xattrs)),
            Err(errno) => Err(self.dir.error("read the attributes of", &self.name, errno)),
        }
    }
}

/// Something else stands where `name` was.
pub fn replaced(dir: &Dir, name: &[u8], what: &str) -> Error {
    Error::new(
        Kind::Failed,
        format!("was replaced while the snapshot ran: {what}"),
    )
    .subject(String::from_utf8_lossy(&dir.path_of(name)).into_owned())
}

#[cfg(test)]
#[path = "content_tests.rs"]
mod tests;
