//! What stands under a name, and taking it away.

use std::sync::Arc;

use rustix::fs::{AtFlags, Mode};
use rustix::io::Errno;

use crate::error::Result;
use crate::fs::{Dir, Stat, of_member};

/// What stands under `name`, never what it points to; none where nothing does.
///
/// # Errors
/// Names the path.
pub fn look(dir: &Dir, name: &[u8]) -> Result<Option<Stat>> {
    match of_member(dir, name) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(dir.error("look at", name, errno)),
    }
}

/// Makes the directory `name` (open to nobody else until its metadata is set) and opens it.
///
/// # Errors
/// Names the path.
pub fn make_directory(dir: &Arc<Dir>, name: &[u8]) -> Result<Arc<Dir>> {
    dir.with_fd(|fd| rustix::fs::mkdirat(fd, name, Mode::RWXU))
        .map_err(|errno| dir.error("create the directory", name, errno))?;
    dir.open_child(name)
}

/// The target of the symbolic link `name`.
///
/// # Errors
/// Names the path.
pub fn read_link(dir: &Dir, name: &[u8]) -> Result<Vec<u8>> {
    dir.with_fd(|fd| rustix::fs::readlinkat(fd, name, Vec::new()))
        .map(std::ffi::CString::into_bytes)
        .map_err(|errno| dir.error("read the link", name, errno))
}

/// Removes `name`, which is no directory; a symbolic link goes, not what it points to. Fine where it is gone already.
///
/// # Errors
/// Names the path.
pub fn unlink(dir: &Dir, name: &[u8]) -> Result<()> {
    match dir.with_fd(|fd| rustix::fs::unlinkat(fd, name, AtFlags::empty())) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(dir.error("remove", name, errno)),
    }
}

/// Removes the directory `name` where it is empty; false where it is not.
///
/// # Errors
/// Names the path.
pub fn remove_directory(dir: &Dir, name: &[u8]) -> Result<bool> {
    match dir.with_fd(|fd| rustix::fs::unlinkat(fd, name, AtFlags::REMOVEDIR)) {
        Ok(()) | Err(Errno::NOENT) => Ok(true),
        Err(Errno::NOTEMPTY | Errno::EXIST) => Ok(false),
        Err(errno) => Err(dir.error("remove the directory", name, errno)),
    }
}
