//! Everything that is neither a regular file nor a directory, and further names of what is there already.

use std::sync::Arc;

use rustix::fs::{AtFlags, FileType, Mode, makedev};

use super::meta::{Applied, Meta, apply_to_member};
use super::{Rules, Temporary};
use crate::error::{Error, Kind, Result};
use crate::fs::{Dir, Identity, StatKind, of_member};

/// What to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Special<'e> {
    /// A symbolic link with its raw target.
    Symlink(&'e [u8]),
    /// A named pipe.
    Fifo,
    /// A socket's name; nobody listens.
    Socket,
    /// A character device, major and minor number.
    CharDevice(u32, u32),
    /// A block device, major and minor number.
    BlockDevice(u32, u32),
}

impl Special<'_> {
    /// What the system will say it is.
    #[must_use]
    pub fn kind(&self) -> StatKind {
        match *self {
            Self::Symlink(_) => StatKind::Symlink,
            Self::Fifo => StatKind::Fifo,
            Self::Socket => StatKind::Socket,
            Self::CharDevice(major, minor) => StatKind::CharDevice { major, minor },
            Self::BlockDevice(major, minor) => StatKind::BlockDevice { major, minor },
        }
    }
}

/// Makes it under `name`, complete with metadata, in place of whatever (but a directory) stands there.
///
/// # Errors
/// Names the path; nothing has changed then. Devices need root ([`Kind::Permission`]).
pub fn make(
    dir: &Arc<Dir>,
    name: &[u8],
    special: Special<'_>,
    meta: &Meta,
    rules: Rules,
) -> Result<Applied> {
    let hidden = Mode::RUSR | Mode::WUSR;
    let (temporary, ()) = Temporary::create(dir, name, |parent, temporary| {
        let node = |kind, device| rustix::fs::mknodat(parent, temporary, kind, hidden, device);
        match special {
            Special::Symlink(target) => rustix::fs::symlinkat(target, parent, temporary),
            Special::Fifo => node(FileType::Fifo, 0),
            Special::Socket => node(FileType::Socket, 0),
            Special::CharDevice(major, minor) => {
                node(FileType::CharacterDevice, makedev(major, minor))
            }
            Special::BlockDevice(major, minor) => {
                node(FileType::BlockDevice, makedev(major, minor))
            }
        }
    })
    .map_err(|error| match (special, error.kind()) {
        (Special::CharDevice(..) | Special::BlockDevice(..), Kind::Permission) => {
            error.hint("only root may create devices")
        }
        _ => error,
    })?;
    let kind = special.kind();
    let applied = apply_to_member(dir, temporary.name(), meta, rules, |stat| stat.kind == kind)
        .map_err(|error| error.subject(String::from_utf8_lossy(&dir.path_of(name)).into_owned()))?;
    temporary.rename(name)?;
    Ok(applied)
}

/// Makes `name` in `dir` another name of `first` (which must still be that `inode`), in place of whatever
/// (but a directory) stands there. False where `name` was that already.
///
/// # Errors
/// Names the path; nothing has changed then.
pub fn link(
    first: (&Arc<Dir>, &[u8]),
    inode: Identity,
    dir: &Arc<Dir>,
    name: &[u8],
) -> Result<bool> {
    let which = |dir: &Dir, name: &[u8]| of_member(dir, name).map(|stat| super::identity(&stat));
    // Renaming one name of an inode over another does nothing at all, so it must not come to that.
    if which(dir, name) == Ok(inode) {
        return Ok(false);
    }
    let (temporary, ()) = Temporary::create(dir, name, |parent, temporary| {
        first
            .0
            .with_fd(|from| rustix::fs::linkat(from, first.1, parent, temporary, AtFlags::empty()))
    })?;
    if which(dir, temporary.name()) != Ok(inode) {
        return Err(Error::new(
            Kind::Conflict,
            "cannot link: the first name was replaced meanwhile",
        )
        .subject(String::from_utf8_lossy(&dir.path_of(name)).into_owned()));
    }
    temporary.rename(name)?;
    Ok(true)
}
