//! Extended attributes of a name in a directory: of the name itself, never of what it points to.
//!
//! The system calls for attributes take a descriptor or a path. A descriptor would mean to open the file, which is
//! not possible for a symbolic link and not wise for a device, so the path goes through `/proc/self/fd/N/`, which
//! stands for the open directory, and the calls that do not follow the last name are used. Only a file that is open
//! anyway is asked by its descriptor.

use std::io::Write;

use rustix::fd::BorrowedFd;
use rustix::fs::XattrFlags;
use rustix::io::Errno;

use super::Dir;

/// What is tried first: nearly all lists and values are shorter.
const FIRST_BYTES: usize = 1 << 10;
/// Linux gives neither a list nor a value longer than 64 KiB; beyond this something is wrong.
const BYTES_MAX: usize = 1 << 20;

/// Names of the attributes of `name` in `dir`, or of `dir` itself where `name` is empty; sorted. Empty where the
/// file system has none.
///
/// # Errors
/// What the system says; [`Dir::error`] puts it into words.
pub fn list(dir: &Dir, name: &[u8]) -> rustix::io::Result<Vec<Vec<u8>>> {
    let names = at(dir, name, |path| {
        growing(|buffer| rustix::fs::llistxattr(path, buffer))
    });
    names_in(names)
}

/// A list as the system gives it, taken apart.
fn names_in(list: rustix::io::Result<Vec<u8>>) -> rustix::io::Result<Vec<Vec<u8>>> {
    let bytes = match list {
        Ok(bytes) => bytes,
        Err(Errno::NOTSUP) => return Ok(Vec::new()),
        Err(errno) => return Err(errno),
    };
    let mut names: Vec<Vec<u8>> = bytes
        .split(|&byte| byte == 0)
        .filter(|name| !name.is_empty())
        .map(<[u8]>::to_vec)
        .collect();
    names.sort_unstable();
    names.dedup();
    Ok(names)
}

/// The value of attribute `attribute` of `name` in `dir`, or of `dir` itself where `name` is empty; none where there
/// is no such attribute.
///
/// # Errors
/// What the system says.
pub fn get(dir: &Dir, name: &[u8], attribute: &[u8]) -> rustix::io::Result<Option<Vec<u8>>> {
    let value = at(dir, name, |path| {
        growing(|buffer| rustix::fs::lgetxattr(path, attribute, buffer))
    });
    value_in(value)
}

fn value_in(value: rustix::io::Result<Vec<u8>>) -> rustix::io::Result<Option<Vec<u8>>> {
    match value {
        Ok(value) => Ok(Some(value)),
        Err(Errno::NODATA | Errno::NOTSUP) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// All attributes of `name` in `dir`, or of `dir` itself where `name` is empty; sorted by name.
///
/// # Errors
/// What the system says.
pub fn all(dir: &Dir, name: &[u8]) -> rustix::io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let names = list(dir, name)?;
    values(names, |attribute| get(dir, name, attribute))
}

/// All attributes of an open file, sorted by name: for one that is read anyway this costs a quarter of the way by its
/// path, and they are those of the very file that was read.
///
/// # Errors
/// What the system says.
pub fn of_descriptor(fd: BorrowedFd<'_>) -> rustix::io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let names = names_in(growing(|buffer| rustix::fs::flistxattr(fd, buffer)))?;
    values(names, |attribute| {
        value_in(growing(|buffer| {
            rustix::fs::fgetxattr(fd, attribute, buffer)
        }))
    })
}

fn values(
    names: Vec<Vec<u8>>,
    get: impl Fn(&[u8]) -> rustix::io::Result<Option<Vec<u8>>>,
) -> rustix::io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let mut found = Vec::new();
    for attribute in names {
        // One that was removed since it was listed is no attribute any more.
        if let Some(value) = get(&attribute)? {
            found.push((attribute, value));
        }
    }
    Ok(found)
}

/// Sets attribute `attribute` of `name` in `dir`, or of `dir` itself where `name` is empty, whether it was there or
/// not.
///
/// # Errors
/// What the system says: `ENOTSUP` where the file system has no such attributes, `EPERM` where this process may not.
pub fn set(dir: &Dir, name: &[u8], attribute: &[u8], value: &[u8]) -> rustix::io::Result<()> {
    at(dir, name, |path| {
        rustix::fs::lsetxattr(path, attribute, value, XattrFlags::empty())
    })
}

/// Removes attribute `attribute` of `name` in `dir`, or of `dir` itself where `name` is empty; that it was not there
/// is no error.
///
/// # Errors
/// What the system says.
pub fn remove(dir: &Dir, name: &[u8], attribute: &[u8]) -> rustix::io::Result<()> {
    match at(dir, name, |path| rustix::fs::lremovexattr(path, attribute)) {
        Err(Errno::NODATA) => Ok(()),
        other => other,
    }
}

/// Calls `f` with a path that stands for `name` in `dir`.
fn at<T>(
    dir: &Dir,
    name: &[u8],
    f: impl FnOnce(&[u8]) -> rustix::io::Result<T>,
) -> rustix::io::Result<T> {
    if name.contains(&b'/') || name == b".." {
        return Err(Errno::INVAL);
    }
    // The directory itself by its own `.`: the name `N` alone would be the symbolic link in `/proc`.
    let name = if name.is_empty() { b"." } else { name };
    let result = dir.with_fd(|fd| {
        let mut path = Vec::with_capacity(32 + name.len());
        let number = rustix::fd::AsRawFd::as_raw_fd(&fd);
        write!(path, "/proc/self/fd/{number}/").map_err(|_| Errno::NOMEM)?;
        path.extend_from_slice(name);
        f(&path)
    });
    match result {
        // Not the file is missing but the way to it; saying "no attributes" would lose them silently.
        Err(Errno::NOENT) if !std::path::Path::new("/proc/self/fd").exists() => Err(Errno::NOSYS),
        other => other,
    }
}

/// Calls `read` with a buffer until it is large enough: what is read may grow between two calls.
fn growing(
    mut read: impl FnMut(&mut [u8]) -> rustix::io::Result<usize>,
) -> rustix::io::Result<Vec<u8>> {
    let mut small = [0; FIRST_BYTES];
    match read(&mut small) {
        Err(Errno::RANGE) => {}
        other => return Ok(small[..other?].to_vec()),
    }
    let mut size = FIRST_BYTES * 64;
    loop {
        let mut buffer = vec![0; size];
        match read(&mut buffer) {
            Err(Errno::RANGE) if size < BYTES_MAX => size *= 2,
            other => {
                buffer.truncate(other?);
                buffer.shrink_to_fit();
                return Ok(buffer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use std::os::unix::fs::symlink;

    use rustix::fs::{FileType, Mode};

    use super::*;

    #[test]
    fn set_listed_read_and_removed() {
        let place = tempfile::tempdir().unwrap();
        std::fs::write(place.path().join("f"), b"").unwrap();
        let dir = Dir::root(place.path()).unwrap();
        for name in [&b"f"[..], b""] {
            assert_eq!(all(&dir, name).unwrap(), []);
            set(&dir, name, b"user.b", b"").unwrap();
            set(&dir, name, b"user.a", b"\0\xff").unwrap();
            set(&dir, name, b"user.a", b"again\0").unwrap();
            let expected = [
                (b"user.a".to_vec(), b"again\0".to_vec()),
                (b"user.b".to_vec(), Vec::new()),
            ];
            assert_eq!(all(&dir, name).unwrap(), expected);
            remove(&dir, name, b"user.b").unwrap();
            remove(&dir, name, b"user.b").unwrap();
            assert_eq!(list(&dir, name).unwrap(), [b"user.a".to_vec()]);
            assert_eq!(get(&dir, name, b"user.b").unwrap(), None);
        }
        assert_eq!(list(&dir, b"none").unwrap_err(), Errno::NOENT);
        assert_eq!(list(&dir, b"..").unwrap_err(), Errno::INVAL);
        assert_eq!(list(&dir, b"a/b").unwrap_err(), Errno::INVAL);
    }

    #[test]
    fn long_lists_and_values() {
        let place = tempfile::tempdir().unwrap();
        std::fs::write(place.path().join("f"), b"").unwrap();
        let dir = Dir::root(place.path()).unwrap();
        // The first buffer does not hold either; file systems with 4 KiB for all attributes must do.
        let value = vec![b'v'; 2_000];
        set(&dir, b"f", b"user.value", &value).unwrap();
        for n in 0..12 {
            let name = format!("user.{n:0>100}");
            set(&dir, b"f", name.as_bytes(), b"").unwrap();
        }
        let all = all(&dir, b"f").unwrap();
        assert_eq!(all.len(), 13);
        assert_eq!(all.last().unwrap().1, value);
    }

    #[test]
    fn growing_stops() {
        let mut calls = 0;
        let grown = growing(|buffer| {
            calls += 1;
            if buffer.len() < 300_000 {
                Err(Errno::RANGE)
            } else {
                Ok(299_999)
            }
        });
        assert_eq!(grown.unwrap().len(), 299_999);
        assert_eq!(calls, 5);
        assert_eq!(growing(|_| Err(Errno::RANGE)).unwrap_err(), Errno::RANGE);
    }

    #[test]
    fn links_pipes_and_devices_themselves() {
        let place = tempfile::tempdir().unwrap();
        let dir = Dir::root(place.path()).unwrap();
        std::fs::write(place.path().join("f"), b"").unwrap();
        set(&dir, b"f", b"user.of_target", b"1").unwrap();
        symlink("f", place.path().join("link")).unwrap();
        symlink("nowhere", place.path().join("dangling")).unwrap();
        let make = |name: &str, kind| {
            let mode = Mode::from_raw_mode(0o600);
            dir.with_fd(|fd| rustix::fs::mknodat(fd, name, kind, mode, rustix::fs::makedev(1, 3)))
        };
        make("pipe", FileType::Fifo).unwrap();
        let mut names = vec!["link", "dangling", "pipe"];
        // Not allowed in every sandbox.
        if make("null", FileType::CharacterDevice).is_ok() {
            names.push("null");
        }
        for name in names {
            assert_eq!(all(&dir, name.as_bytes()).unwrap(), [], "{name}");
            // As root, these take attributes of the trusted kind on most file systems.
            match set(&dir, name.as_bytes(), b"trusted.t", name.as_bytes()) {
                Ok(()) => {
                    let expected = (b"trusted.t".to_vec(), name.as_bytes().to_vec());
                    assert_eq!(all(&dir, name.as_bytes()).unwrap(), [expected], "{name}");
                }
                Err(Errno::PERM | Errno::NOTSUP) => {}
                Err(errno) => panic!("{name}: {errno}"),
            }
        }
        assert_eq!(list(&dir, b"f").unwrap(), [b"user.of_target".to_vec()]);
    }
}
