//! Where a file has bytes and where it has holes.

use rustix::fd::BorrowedFd;
use rustix::fs::SeekFrom;
use rustix::io::Errno;

/// A stretch of a file, beginning where it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stretch {
    /// Bytes up to this offset.
    Data(u64),
    /// Zeros that take no space up to this offset.
    Hole(u64),
}

/// The stretch of the regular file `fd` that begins at `offset`, cut at `end`; `offset` must be less than `end`.
/// Moves the position of the descriptor. A file system that knows no holes has none. A file that became shorter
/// than `offset` ends in a [`Stretch::Data`] in which nothing can be read: a hole would claim zeros that are not
/// there.
///
/// # Errors
/// What the system says.
pub fn stretch(fd: BorrowedFd<'_>, offset: u64, end: u64) -> rustix::io::Result<Stretch> {
    match rustix::fs::seek(fd, SeekFrom::Data(offset)) {
        Ok(data) if data > offset => Ok(Stretch::Hole(data.min(end))),
        Ok(_) => match rustix::fs::seek(fd, SeekFrom::Hole(offset)) {
            // A hole right here was punched between the two calls; it may be read as well.
            Ok(hole) if hole > offset => Ok(Stretch::Data(hole.min(end))),
            Ok(_) | Err(Errno::NXIO) => Ok(Stretch::Data(end)),
            Err(errno) => Err(errno),
        },
        // No data from here on: a hole up to where the file ends now.
        Err(Errno::NXIO) => match rustix::fs::seek(fd, SeekFrom::End(0))? {
            size if size > offset => Ok(Stretch::Hole(size.min(end))),
            _ => Ok(Stretch::Data(end)),
        },
        Err(Errno::INVAL) => Ok(Stretch::Data(end)),
        Err(errno) => Err(errno),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use std::os::fd::AsFd;
    use std::os::unix::fs::FileExt;

    use super::*;

    #[test]
    fn data_and_holes_in_turn() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(3 << 20).unwrap();
        file.write_all_at(&[1; 4096], 1 << 20).unwrap();
        let at = |offset, end| stretch(file.as_fd(), offset, end).unwrap();
        assert_eq!(at(0, 3 << 20), Stretch::Hole(1 << 20));
        assert_eq!(at(0, 100), Stretch::Hole(100));
        assert_eq!(at(1 << 20, 3 << 20), Stretch::Data((1 << 20) + 4096));
        assert_eq!(
            at((1 << 20) + 1, (1 << 20) + 2),
            Stretch::Data((1 << 20) + 2)
        );
        assert_eq!(at((1 << 20) + 4096, 3 << 20), Stretch::Hole(3 << 20));
        // The file is shorter than was thought.
        assert_eq!(at(2 << 20, 4 << 20), Stretch::Hole(3 << 20));
        assert_eq!(at(3 << 20, 4 << 20), Stretch::Data(4 << 20));
    }
}
