//! What the operating system says of an entry, in one system call, without following symbolic links.
//!
//! An automount point is not mounted by looking at it: a snapshot of `/` must not wake up every network share.

use rustix::fd::BorrowedFd;
use rustix::fs::{AtFlags, FileType, Statx, StatxFlags, makedev};

use super::Dir;
use crate::clock::Nanos;

/// What the operating system says of one entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stat {
    /// What it is.
    pub kind: StatKind,
    /// `st_mode & 0o7777`.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Size in bytes (regular files; 0 for all else).
    pub size: u64,
    /// 512-byte blocks in use: fewer than the size needs means holes.
    pub blocks: u64,
    /// Last change of content, nanoseconds UTC (saturated to what an i64 can hold).
    pub mtime: Nanos,
    /// Last change of the inode.
    pub ctime: Nanos,
    /// Inode number.
    pub inode: u64,
    /// Device that it lies on, packed as Linux's `makedev` does.
    pub device: u64,
    /// Names of the inode.
    pub links: u32,
}

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
    /// A character device with its numbers.
    CharDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A block device with its numbers.
    BlockDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
}

impl Stat {
    /// Whether it is a directory.
    #[must_use]
    pub fn is_directory(&self) -> bool {
        self.kind == StatKind::Directory
    }
}

/// The stat of `name` in `dir`, itself and not what it points to.
///
/// # Errors
/// `ENOENT` where there is no such name (any more), `ESTALE` where the directory itself is gone; [`Dir::error`]
/// puts either into words.
pub fn of_member(dir: &Dir, name: &[u8]) -> rustix::io::Result<Stat> {
    dir.with_fd(|fd| {
        let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
        convert(&rustix::fs::statx(
            fd,
            name,
            flags,
            StatxFlags::BASIC_STATS,
        )?)
    })
}

/// The stat of an open file or directory.
///
/// # Errors
/// What the system call says.
pub fn of_descriptor(fd: BorrowedFd<'_>) -> rustix::io::Result<Stat> {
    let flags = AtFlags::EMPTY_PATH | AtFlags::NO_AUTOMOUNT;
    convert(&rustix::fs::statx(fd, c"", flags, StatxFlags::BASIC_STATS)?)
}

fn convert(stat: &Statx) -> rustix::io::Result<Stat> {
    let (major, minor) = (stat.stx_rdev_major, stat.stx_rdev_minor);
    let kind = match FileType::from_raw_mode(u32::from(stat.stx_mode)) {
        FileType::RegularFile => StatKind::File,
        FileType::Directory => StatKind::Directory,
        FileType::Symlink => StatKind::Symlink,
        FileType::Fifo => StatKind::Fifo,
        FileType::Socket => StatKind::Socket,
        FileType::CharacterDevice => StatKind::CharDevice { major, minor },
        FileType::BlockDevice => StatKind::BlockDevice { major, minor },
        // A file system that answers no known type: nothing that could be stored or restored.
        FileType::Unknown => return Err(rustix::io::Errno::OPNOTSUPP),
    };
    Ok(Stat {
        kind,
        mode: u32::from(stat.stx_mode) & 0o7777,
        uid: stat.stx_uid,
        gid: stat.stx_gid,
        size: if kind == StatKind::File {
            stat.stx_size
        } else {
            0
        },
        blocks: stat.stx_blocks,
        mtime: nanos(stat.stx_mtime.tv_sec, stat.stx_mtime.tv_nsec),
        ctime: nanos(stat.stx_ctime.tv_sec, stat.stx_ctime.tv_nsec),
        inode: stat.stx_ino,
        device: makedev(stat.stx_dev_major, stat.stx_dev_minor),
        links: stat.stx_nlink,
    })
}

/// Saturates: a file system may hold times that 64 bits of nanoseconds cannot (years before 1678, after 2262).
fn nanos(seconds: i64, nanos: u32) -> Nanos {
    let whole = i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
    match Nanos::try_from(whole) {
        Ok(nanos) => nanos,
        Err(_) if whole < 0 => Nanos::MIN,
        Err(_) => Nanos::MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_saturate() {
        assert_eq!(nanos(1, 2), 1_000_000_002);
        assert_eq!(nanos(-1, 999_999_999), -1);
        assert_eq!(nanos(9_223_372_036, 854_775_807), i64::MAX);
        assert_eq!(nanos(9_223_372_036, 854_775_808), i64::MAX);
        assert_eq!(nanos(i64::MAX, 0), i64::MAX);
        assert_eq!(nanos(-9_223_372_037, 145_224_192), i64::MIN);
        assert_eq!(nanos(-9_223_372_037, 145_224_191), i64::MIN);
        assert_eq!(nanos(i64::MIN, 0), i64::MIN);
    }
}
