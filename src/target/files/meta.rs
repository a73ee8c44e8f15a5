//! Owner, attributes, mode and times of whatever has been written.
//!
//! The order matters: changing the owner clears setuid and file capabilities, and lacking permission bits forbid
//! setting attributes, so owner, attributes, mode and times follow in this order. A file that is not allowed its
//! owner must not keep setuid or setgid either: it would lend out another user's rights.

use rustix::fd::{AsFd, AsRawFd, BorrowedFd};
use rustix::fs::{AtFlags, Gid, Mode, OFlags, Timespec, Timestamps, UTIME_OMIT, Uid, XattrFlags};
use rustix::io::Errno;

use super::{Rules, identity};
use crate::clock::Nanos;
use crate::error::{Error, Kind, Result};
use crate::fs::{Dir, Identity, Stat, StatKind, of_descriptor};

const SETUID: u32 = 0o4000;
const SETGID: u32 = 0o2000;

/// What is to be set. Owners are numbers of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meta {
    /// Permission bits with setuid, setgid and sticky.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Last change of content, nanoseconds UTC, may be negative.
    pub mtime: Nanos,
    /// Extended attributes with their values, POSIX ACLs among them.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

/// How setting it went.
#[derive(Debug)]
pub struct Applied {
    /// Which inode it was.
    pub identity: Identity,
    /// Setuid or setgid was left out because the owner is another.
    pub bits_dropped: bool,
    /// Attributes left alone because only root may set them.
    pub withheld: u32,
    /// What could not be set.
    pub problems: Vec<Error>,
}

/// An inode in hand. Everything is set through its descriptor, never through its name: whoever may write in the
/// directory could put a file of his own under that name, which would then get another user's capabilities.
#[derive(Clone, Copy)]
pub(super) enum Handle<'f> {
    /// An ordinary descriptor.
    Open(BorrowedFd<'f>),
    /// A descriptor that only names the inode (`O_PATH`): what cannot be opened, or must not be.
    Named(BorrowedFd<'f>),
}

impl<'f> Handle<'f> {
    pub(super) fn open(fd: BorrowedFd<'f>) -> Self {
        Self::Open(fd)
    }

    fn fd(self) -> BorrowedFd<'f> {
        match self {
            Self::Open(fd) | Self::Named(fd) => fd,
        }
    }

    /// A path that leads to the inode itself, a symbolic link's too.
    fn path(self) -> String {
        format!("/proc/self/fd/{}", self.fd().as_raw_fd())
    }

    fn chown(self, uid: u32, gid: u32) -> rustix::io::Result<()> {
        let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
        rustix::fs::chownat(self.fd(), c"", uid, gid, AtFlags::EMPTY_PATH)
    }

    fn chmod(self, mode: u32) -> rustix::io::Result<()> {
        let mode = Mode::from_raw_mode(mode);
        match self {
            Self::Open(fd) => rustix::fs::fchmod(fd, mode),
            Self::Named(_) => rustix::fs::chmod(self.path(), mode),
        }
    }

    fn set_mtime(self, mtime: Nanos) -> rustix::io::Result<()> {
        let times = Timestamps {
            last_access: Timespec {
                tv_sec: 0,
                tv_nsec: UTIME_OMIT,
            },
            last_modification: Timespec {
                tv_sec: mtime.div_euclid(1_000_000_000),
                tv_nsec: mtime.rem_euclid(1_000_000_000),
            },
        };
        match self {
            Self::Open(fd) => rustix::fs::futimens(fd, &times),
            Self::Named(_) => {
                rustix::fs::utimensat(rustix::fs::CWD, self.path(), &times, AtFlags::empty())
            }
        }
    }

    /// Attributes that stand there, sorted; none where the file system knows none.
    fn xattrs(self) -> rustix::io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let mut found = Vec::new();
        for name in self.xattr_names()? {
            // One that vanished meanwhile was not there.
            if let Some(value) = self.xattr(&name)? {
                found.push((name, value));
            }
        }
        found.sort_unstable();
        Ok(found)
    }

    fn xattr_names(self) -> rustix::io::Result<Vec<Vec<u8>>> {
        let path = self.path();
        let listed = sized(|buffer| match self {
            Self::Open(fd) => rustix::fs::flistxattr(fd, buffer),
            Self::Named(_) => rustix::fs::listxattr(&path, buffer),
        });
        let names = match listed {
            Ok(names) => names,
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => return Ok(Vec::new()),
            Err(errno) => return Err(errno),
        };
        Ok(names
            .split(|byte| *byte == 0)
            .filter(|name| !name.is_empty())
            .map(<[u8]>::to_vec)
            .collect())
    }

    fn xattr(self, name: &[u8]) -> rustix::io::Result<Option<Vec<u8>>> {
        let path = self.path();
        let read = sized(|buffer| match self {
            Self::Open(fd) => rustix::fs::fgetxattr(fd, name, buffer),
            Self::Named(_) => rustix::fs::getxattr(&path, name, buffer),
        });
        match read {
            Ok(value) => Ok(Some(value)),
            Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    fn set_xattr(self, name: &[u8], value: &[u8]) -> rustix::io::Result<()> {
        match self {
            Self::Open(fd) => rustix::fs::fsetxattr(fd, name, value, XattrFlags::empty()),
            Self::Named(_) => rustix::fs::setxattr(self.path(), name, value, XattrFlags::empty()),
        }
    }

    fn remove_xattr(self, name: &[u8]) -> rustix::io::Result<()> {
        let removed = match self {
            Self::Open(fd) => rustix::fs::fremovexattr(fd, name),
            Self::Named(_) => rustix::fs::removexattr(self.path(), name),
        };
        match removed {
            Err(Errno::NODATA) => Ok(()),
            other => other,
        }
    }
}

/// Calls `read` with a buffer that grows until the answer fits: it may grow between asking for its size and asking
/// for it.
fn sized(
    mut read: impl FnMut(&mut [u8]) -> rustix::io::Result<usize>,
) -> rustix::io::Result<Vec<u8>> {
    // Linux holds lists and values to 64 KiB; other systems may not.
    let mut buffer = vec![0; 1024];
    loop {
        match read(&mut buffer) {
            Ok(length) => {
                buffer.truncate(length);
                return Ok(buffer);
            }
            Err(Errno::RANGE) if buffer.len() < 16 << 20 => buffer.resize(buffer.len() * 4, 0),
            Err(errno) => return Err(errno),
        }
    }
}

/// Sets the metadata of the open directory.
///
/// # Errors
/// Where it cannot even be looked at; what cannot be set stands in what is returned.
pub fn apply_to_directory(dir: &Dir, meta: &Meta, rules: Rules) -> Result<Applied> {
    let path = dir.path();
    with_directory(dir, |handle| apply(handle, meta, rules, &path))
        .map_err(|errno| dir.error("set the metadata of", b"", errno))?
}

/// Sets the metadata of `name` in `dir`, whatever it is, as long as it is what `expected` says; never follows a
/// symbolic link. Whoever may write in the directory could have put something else there, even another name of a file
/// that is not his, and that must not get a new owner.
///
/// # Errors
/// Where it is something else, or cannot even be looked at; what cannot be set stands in what is returned.
pub fn apply_to_member(
    dir: &Dir,
    name: &[u8],
    meta: &Meta,
    rules: Rules,
    expected: impl Fn(&Stat) -> bool,
) -> Result<Applied> {
    let path = dir.path_of(name);
    with_member(dir, name, |handle| {
        let stat = of_descriptor(handle.fd()).map_err(|errno| dir.error("look at", name, errno))?;
        if !expected(&stat) {
            return Err(Error::new(Kind::Conflict, "was replaced meanwhile")
                .subject(String::from_utf8_lossy(&path).into_owned()));
        }
        apply(handle, meta, rules, &path)
    })
    .map_err(|errno| dir.error("set the metadata of", name, errno))?
}

/// Lets the owner of an existing directory (this process, which is not root) work in it until its metadata is set;
/// whether anything had to be changed for that. Where it could not be, that shows with the first member.
pub fn lend_access(dir: &Dir, stat: &Stat) -> bool {
    let all = Mode::RWXU.as_raw_mode();
    let lacks = stat.mode & all != all && stat.uid == rustix::process::geteuid().as_raw();
    lacks
        && matches!(
            with_directory(dir, |handle| handle.chmod(stat.mode | all)),
            Ok(Ok(()))
        )
}

/// In words, what differs from `meta` at `name` in `dir`, or at the directory itself where `name` is empty; what
/// `rules` did not allow to be set is not held against it.
///
/// # Errors
/// Where it cannot be looked at.
pub fn differences(dir: &Dir, name: &[u8], meta: &Meta, rules: Rules) -> Result<Vec<String>> {
    let compare = |handle: Handle<'_>| {
        let stat = of_descriptor(handle.fd())?;
        let mut wrong = Vec::new();
        if rules.ownership && (stat.uid, stat.gid) != (meta.uid, meta.gid) {
            wrong.push(format!(
                "owner {}:{} instead of {}:{}",
                stat.uid, stat.gid, meta.uid, meta.gid
            ));
        }
        let mode = allowed_mode(meta, &stat);
        if stat.kind != StatKind::Symlink && stat.mode != mode {
            wrong.push(format!("mode {:04o} instead of {mode:04o}", stat.mode));
        }
        if stat.mtime != meta.mtime {
            wrong.push(format!("mtime {} ns instead of {}", stat.mtime, meta.mtime));
        }
        let found = handle.xattrs()?;
        for (name, value) in meta.xattrs.iter().filter(|(name, _)| may_set(name, rules)) {
            if !found.iter().any(|(n, v)| n == name && v == value) {
                wrong.push(format!("attribute {} differs", name.escape_ascii()));
            }
        }
        for (name, _) in &found {
            if may_remove(name, rules) && !meta.xattrs.iter().any(|(n, _)| n == name) {
                wrong.push(format!("attribute {} too many", name.escape_ascii()));
            }
        }
        Ok(wrong)
    };
    let compared = if name.is_empty() {
        with_directory(dir, compare)
    } else {
        with_member(dir, name, compare)
    };
    compared
        .and_then(|inner| inner)
        .map_err(|errno| dir.error("look at", name, errno))
}

fn with_directory<T>(dir: &Dir, f: impl FnOnce(Handle<'_>) -> T) -> rustix::io::Result<T> {
    dir.with_fd(|fd| {
        let named = rustix::fs::fcntl_getfl(fd)?.contains(OFlags::PATH);
        Ok(f(if named {
            Handle::Named(fd)
        } else {
            Handle::Open(fd)
        }))
    })
}

fn with_member<T>(
    dir: &Dir,
    name: &[u8],
    f: impl FnOnce(Handle<'_>) -> T,
) -> rustix::io::Result<T> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fd = dir.with_fd(|parent| rustix::fs::openat(parent, name, flags, Mode::empty()))?;
    Ok(f(Handle::Named(fd.as_fd())))
}

/// Sets what differs; `path` names it in errors.
pub(super) fn apply(handle: Handle<'_>, meta: &Meta, rules: Rules, path: &[u8]) -> Result<Applied> {
    let wrong = |action: &str, errno: Errno| {
        Error::io_named(action, String::from_utf8_lossy(path).into_owned(), errno)
    };
    let look = || of_descriptor(handle.fd()).map_err(|errno| wrong("look at", errno));
    let mut stat = look()?;
    let mut applied = Applied {
        identity: identity(&stat),
        bits_dropped: false,
        withheld: 0,
        problems: Vec::new(),
    };
    let mut note = |action: &str, done: rustix::io::Result<()>| {
        if let Err(errno) = done {
            applied.problems.push(wrong(action, errno));
        }
    };

    if rules.ownership && (stat.uid, stat.gid) != (meta.uid, meta.gid) {
        note("set the owner of", handle.chown(meta.uid, meta.gid));
        stat = look()?;
    }
    let touched = match set_xattrs(handle, meta, rules, &mut note) {
        Ok((withheld, touched)) => {
            applied.withheld = withheld;
            touched
        }
        Err(errno) => {
            note("read the attributes of", Err(errno));
            true
        }
    };
    let mode = allowed_mode(meta, &stat);
    if stat.kind != StatKind::Symlink {
        // An access ACL changes the mode, so it must be looked at again where one was set or removed.
        if touched {
            stat.mode = look()?.mode;
        }
        if stat.mode != mode {
            note("set the mode of", handle.chmod(mode));
        }
        applied.bits_dropped = mode != meta.mode;
    }
    if stat.mtime != meta.mtime {
        note("set the times of", handle.set_mtime(meta.mtime));
    }
    Ok(applied)
}

/// Makes the attributes what they should be; returns how many only root could set, and whether any was touched.
fn set_xattrs(
    handle: Handle<'_>,
    meta: &Meta,
    rules: Rules,
    note: &mut impl FnMut(&str, rustix::io::Result<()>),
) -> rustix::io::Result<(u32, bool)> {
    let found = handle.xattrs()?;
    let (mut withheld, mut touched) = (0, false);
    // A new file may have inherited an ACL from the directory it was made in.
    for (name, _) in &found {
        if may_remove(name, rules) && !meta.xattrs.iter().any(|(wanted, _)| wanted == name) {
            let action = format!("remove the attribute {} of", name.escape_ascii());
            note(&action, handle.remove_xattr(name));
            touched = true;
        }
    }
    for (name, value) in &meta.xattrs {
        if found.iter().any(|(n, v)| n == name && v == value) {
            continue;
        }
        if may_set(name, rules) {
            let action = format!("set the attribute {} of", name.escape_ascii());
            // ext4 says so when one inode's attributes are full; the disk is not.
            let done = handle.set_xattr(name, value).map_err(|errno| match errno {
                Errno::NOSPC | Errno::DQUOT => Errno::TOOBIG,
                other => other,
            });
            note(&action, done);
            touched = true;
        } else {
            withheld += 1;
        }
    }
    Ok((withheld, touched))
}

fn for_root_only(name: &[u8]) -> bool {
    name.starts_with(b"trusted.") || name.starts_with(b"security.")
}

fn may_set(name: &[u8], rules: Rules) -> bool {
    rules.privileged || !for_root_only(name)
}

/// Labels that the system sets by itself on every file (SELinux, IMA) are not ours to remove.
fn may_remove(name: &[u8], rules: Rules) -> bool {
    name.starts_with(b"user.")
        || name.starts_with(b"system.posix_acl_")
        || rules.privileged && (name.starts_with(b"trusted.") || name == b"security.capability")
}

/// The wanted mode without setuid and setgid where the inode does not have the owner that they belong to.
fn allowed_mode(meta: &Meta, stat: &Stat) -> u32 {
    let mut mode = meta.mode;
    if stat.uid != meta.uid {
        mode &= !SETUID;
    }
    if stat.gid != meta.gid {
        mode &= !SETGID;
    }
    mode
}
