//! A directory below a root, opened step by step without following symbolic links.
//!
//! Whoever walks or writes a tree by whole paths can be led out of it: between two calls somebody swaps a directory
//! for a symbolic link, and the next file is read from, or written to, `/etc`. A [`Dir`] is reached only through the
//! descriptor of its parent, so the worst that a changing tree can do is an error.
//!
//! Descriptors are few and trees can be a thousand deep, so the descriptors of directories that have not been used
//! for a while are closed and reopened when they are needed: from the nearest ancestor that is still open, a step at
//! a time, and each step must find the inode that was there first. Where it does not, the directory was replaced
//! meanwhile, which is `ESTALE` here and a sentence in [`Dir::error`].

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;

use super::stat;
use crate::error::{Error, Kind, Result};

/// Descriptors of directories kept open by the whole process, roots and those in use at the moment not counted.
const OPEN_MAX: usize = 256;
/// Of the directories stepped through when one is reopened, so many of the innermost stay open: a walk that comes
/// up from a great depth needs them next, and must not begin at the root for each.
const KEPT_ON_REOPEN: usize = OPEN_MAX / 2;

/// Which directory it is, whatever its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Identity {
    /// As in [`super::Stat::device`].
    pub device: u64,
    /// As in [`super::Stat::inode`].
    pub inode: u64,
}

/// A directory; lives in an [`Arc`] and keeps its parents alive. Cheap to clone, safe to share.
pub struct Dir {
    /// Raw name in the parent; for a root, the path that was given.
    name: Vec<u8>,
    parent: Option<Arc<Dir>>,
    identity: Identity,
    /// Whether the name may be a symbolic link: only what the user himself typed is followed.
    follow: bool,
    slot: Arc<Slot>,
}

impl Dir {
    /// Opens the directory that everything else hangs from. Symbolic links in `path` are followed: it is what the
    /// user typed. Its descriptor stays open as long as the root lives.
    ///
    /// # Errors
    /// Names `path`.
    pub fn root(path: &Path) -> Result<Arc<Self>> {
        let open = || {
            let fd = open_at(CWD, path.as_os_str(), true)?;
            let identity = identity(fd.as_fd())?;
            Ok((fd, identity))
        };
        let (fd, identity) = open().map_err(|errno: Errno| Error::io("open", path, errno))?;
        Ok(Arc::new(Self {
            name: path.as_os_str().as_bytes().to_vec(),
            parent: None,
            identity,
            follow: true,
            slot: Arc::new(Slot::new(fd)),
        }))
    }

    /// Opens the directory `name` in this one; a symbolic link is an error.
    ///
    /// # Errors
    /// Names the whole path.
    pub fn open_child(self: &Arc<Self>, name: &[u8]) -> Result<Arc<Self>> {
        self.try_open_child(name, false)
            .map_err(|errno| self.error("open", name, errno))
    }

    /// As [`Dir::open_child`] with the bare system error, to tell a vanished directory from a forbidden one; with
    /// `follow`, `name` may be a symbolic link to a directory (only right for a path that the user typed).
    ///
    /// # Errors
    /// `ENOENT`: no such name; `ENOTDIR`: not a directory; `ESTALE`: this directory itself is gone.
    pub fn try_open_child(
        self: &Arc<Self>,
        name: &[u8],
        follow: bool,
    ) -> rustix::io::Result<Arc<Self>> {
        if name.is_empty() || name == b"." || name == b".." || name.contains(&b'/') {
            return Err(Errno::INVAL);
        }
        let (fd, identity) = self.with_fd(|parent| {
            let fd = open_at(parent, OsStr::from_bytes(name), follow)?;
            let identity = identity(fd.as_fd())?;
            Ok((fd, identity))
        })?;
        let slot = Arc::new(Slot::new(fd));
        keep(&slot);
        Ok(Arc::new(Self {
            name: name.to_vec(),
            parent: Some(Arc::clone(self)),
            identity,
            follow,
            slot,
        }))
    }

    /// Lends the descriptor, reopening it where it was closed. It may be an `O_PATH` descriptor where this process
    /// may search the directory but not list it: good for the `*at` calls and for `/proc/self/fd`, while `getdents`
    /// and `fsync` say `EBADF`.
    ///
    /// # Errors
    /// What `f` says; `ESTALE` where the directory cannot be found again.
    pub fn with_fd<T>(
        &self,
        f: impl FnOnce(BorrowedFd<'_>) -> rustix::io::Result<T>,
    ) -> rustix::io::Result<T> {
        let fd = self.descriptor()?;
        f(fd.as_fd())
    }

    /// Raw name in the parent; for a root, the path that was given.
    #[must_use]
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// The directory that this one was opened in; none for a root.
    #[must_use]
    pub fn parent(&self) -> Option<&Arc<Self>> {
        self.parent.as_ref()
    }

    /// Which directory it is.
    #[must_use]
    pub fn identity(&self) -> Identity {
        self.identity
    }

    /// The whole raw path, beginning with the root's.
    #[must_use]
    pub fn path(&self) -> Vec<u8> {
        self.path_of(b"")
    }

    /// The whole raw path of `name` in this directory, or of the directory itself where `name` is empty.
    #[must_use]
    pub fn path_of(&self, name: &[u8]) -> Vec<u8> {
        let mut names = vec![name];
        let mut dir = Some(self);
        while let Some(at) = dir {
            names.push(&at.name);
            dir = at.parent.as_deref();
        }
        let mut path = Vec::with_capacity(names.iter().map(|name| name.len() + 1).sum());
        for name in names.iter().rev().filter(|name| !name.is_empty()) {
            if !path.is_empty() && path.last() != Some(&b'/') {
                path.push(b'/');
            }
            path.extend_from_slice(name);
        }
        path
    }

    /// Puts a system error about `name` in this directory (or the directory itself, where `name` is empty) into
    /// words, with the whole path.
    #[must_use]
    pub fn error(&self, action: &str, name: &[u8], errno: Errno) -> Error {
        let path = self.path_of(name);
        let path = Path::new(OsStr::from_bytes(&path));
        if errno == Errno::STALE {
            return Error::new(
                Kind::Failed,
                format!("cannot {action}: the directory was replaced meanwhile"),
            )
            .subject(path.display().to_string())
            .hint("run the command again when nobody moves directories there");
        }
        Error::io(action, path, errno)
    }

    /// The open descriptor, kept open at least until it is dropped.
    fn descriptor(&self) -> rustix::io::Result<Arc<OwnedFd>> {
        match self.slot.get() {
            Some(fd) => Ok(fd),
            None => self.reopen(),
        }
    }

    /// Steps down from the nearest open ancestor; a loop, for the chain may be longer than the stack.
    fn reopen(&self) -> rustix::io::Result<Arc<OwnedFd>> {
        let mut closed = vec![self];
        let mut fd = loop {
            let above = closed.last().and_then(|dir| dir.parent.as_deref());
            // A root is never closed.
            let above = above.ok_or(Errno::STALE)?;
            match above.slot.get() {
                Some(fd) => break fd,
                None => closed.push(above),
            }
        };
        for (left, dir) in closed.iter().enumerate().rev() {
            let stepped =
                open_at(fd.as_fd(), OsStr::from_bytes(&dir.name), dir.follow).map_err(gone)?;
            if identity(stepped.as_fd())? != dir.identity {
                return Err(Errno::STALE);
            }
            fd = if left < KEPT_ON_REOPEN {
                dir.slot.put(stepped)
            } else {
                Arc::new(stepped)
            };
        }
        Ok(fd)
    }
}

impl std::fmt::Debug for Dir {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Dir({})", String::from_utf8_lossy(&self.path()))
    }
}

impl Drop for Dir {
    /// Takes the chain of parents apart in a loop: a recursion as deep as the tree would overflow the stack.
    fn drop(&mut self) {
        let mut above = self.parent.take();
        while let Some(dir) = above {
            above = Arc::into_inner(dir).and_then(|mut dir| dir.parent.take());
        }
    }
}

/// What was found on the first way down cannot be found again.
fn gone(errno: Errno) -> Errno {
    match errno {
        Errno::NOENT | Errno::NOTDIR | Errno::LOOP => Errno::STALE,
        other => other,
    }
}

fn identity(fd: BorrowedFd<'_>) -> rustix::io::Result<Identity> {
    let stat = stat::of_descriptor(fd)?;
    Ok(Identity {
        device: stat.device,
        inode: stat.inode,
    })
}

fn open_at(parent: BorrowedFd<'_>, name: &OsStr, follow: bool) -> rustix::io::Result<OwnedFd> {
    let mut flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
    if !follow {
        flags |= OFlags::NOFOLLOW;
    }
    let open = |access| {
        rustix::io::retry_on_intr(|| {
            rustix::fs::openat(parent, name, flags | access, Mode::empty())
        })
    };
    match open(OFlags::RDONLY) {
        // Searching needs no right to list: the way to a file may lead through such a directory.
        Err(Errno::ACCESS) => open(OFlags::PATH),
        Err(Errno::MFILE | Errno::NFILE) => {
            close_all();
            open(OFlags::RDONLY)
        }
        other => other,
    }
}

/// Where a directory's descriptor is, while it is open.
struct Slot {
    fd: Mutex<Option<Arc<OwnedFd>>>,
    /// Used since the hand of the clock came by.
    used: AtomicBool,
}

impl Slot {
    fn new(fd: OwnedFd) -> Self {
        Self {
            fd: Mutex::new(Some(Arc::new(fd))),
            used: AtomicBool::new(true),
        }
    }

    fn get(&self) -> Option<Arc<OwnedFd>> {
        let fd = lock(&self.fd).clone();
        if fd.is_some() {
            self.used.store(true, Ordering::Relaxed);
        }
        fd
    }

    /// Keeps `fd` unless another thread was faster; returns the one that is kept.
    fn put(self: &Arc<Self>, fd: OwnedFd) -> Arc<OwnedFd> {
        let mut slot = lock(&self.fd);
        if let Some(faster) = &*slot {
            return Arc::clone(faster);
        }
        let fd = Arc::new(fd);
        *slot = Some(Arc::clone(&fd));
        // Never both locks at once in this order: the clock locks slots while it is locked itself.
        drop(slot);
        self.used.store(true, Ordering::Relaxed);
        keep(self);
        fd
    }

    fn close(&self) -> Option<Arc<OwnedFd>> {
        lock(&self.fd).take()
    }
}

/// All slots that may be open, in a ring; a hand goes round and closes the first one not used since its last visit.
struct Clock {
    ring: Vec<Weak<Slot>>,
    hand: usize,
}

static CLOCK: Mutex<Clock> = Mutex::new(Clock {
    ring: Vec::new(),
    hand: 0,
});

/// Notes that `slot` is open, closing another where there are too many.
fn keep(slot: &Arc<Slot>) {
    let mut clock = lock(&CLOCK);
    if clock.ring.len() < OPEN_MAX {
        clock.ring.push(Arc::downgrade(slot));
        return;
    }
    loop {
        let hand = clock.hand;
        clock.hand = (hand + 1) % OPEN_MAX;
        let old = clock.ring[hand].upgrade();
        // The first round takes every mark away, so the second must find one.
        if old
            .as_ref()
            .is_some_and(|old| old.used.swap(false, Ordering::Relaxed))
        {
            continue;
        }
        clock.ring[hand] = Arc::downgrade(slot);
        drop(clock);
        drop(old.and_then(|old| old.close()));
        return;
    }
}

/// Closes every descriptor that nobody is using this moment: the process has run out of them.
pub(crate) fn close_all() {
    let ring = std::mem::take(&mut lock(&CLOCK).ring);
    for slot in ring.iter().filter_map(Weak::upgrade) {
        slot.close();
    }
}

/// No state is left half changed by a panic under these locks, so a poisoned one is as good as any.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "dir_tests.rs"]
pub(crate) mod tests;
