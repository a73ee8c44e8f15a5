//! Reading what is needed once, and leaving the page cache as it was.
//!
//! A snapshot reads more than memory holds, and each page of it that stays in the cache pushes out a page that the
//! machine's own service would have asked for again. Since 6.14 Linux can be asked to drop the pages that a read
//! brought in, and only these (`RWF_DONTCACHE`): what somebody else had in the cache stays there, which no advice after
//! the fact could promise. What is written is not spared: new packs stay cached until the system wants the room. Where the system or the file system cannot, it is an ordinary read: such pages were used
//! once and go first.

use std::io::IoSliceMut;

use rustix::fd::BorrowedFd;
use rustix::io::{Errno, ReadWriteFlags};

/// `RWF_DONTCACHE` of `linux/fs.h`.
#[cfg(target_os = "linux")]
const DONTCACHE: ReadWriteFlags = ReadWriteFlags::from_bits_retain(0x80);

/// As `pread`; `asks` is set to `false` once the file system has declined, so that a file is asked of once.
///
/// # Errors
/// What the system call says.
pub fn read(
    fd: BorrowedFd<'_>,
    buffer: &mut [u8],
    offset: u64,
    asks: &mut bool,
) -> rustix::io::Result<usize> {
    #[cfg(target_os = "linux")]
    if *asks {
        let asked = rustix::io::retry_on_intr(|| {
            rustix::io::preadv2(fd, &mut [IoSliceMut::new(buffer)], offset, DONTCACHE)
        });
        match asked {
            // The last where a sandbox knows no such call.
            Err(Errno::OPNOTSUPP | Errno::INVAL | Errno::NOSYS | Errno::PERM) => *asks = false,
            other => return other,
        }
    }
    rustix::io::retry_on_intr(|| rustix::io::pread(fd, &mut *buffer, offset))
}
