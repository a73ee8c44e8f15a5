//! The names in a directory, sorted, in one piece of memory.
//!
//! A directory may hold a million names. They lie one behind the other in one arena with an offset each: that takes
//! the bytes of the names and 9 bytes more for each, where a string each would take four times as much.

use std::ffi::CStr;

use rustix::fs::{RawDir, SeekFrom};
use rustix::io::Errno;

use super::Dir;

/// Bytes asked of the system at once: some thousands of names.
const BUFFER_BYTES: usize = 128 << 10;

/// Names sorted bytewise, each once, without `.` and `..`.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// Each name ends with a NUL.
    bytes: Vec<u8>,
    starts: Vec<usize>,
}

impl Names {
    /// Sorts what is given.
    pub fn new<'a>(names: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut made = Self::default();
        for name in names {
            made.push(name);
        }
        made.sort();
        made
    }

    fn push(&mut self, name: &[u8]) {
        self.starts.push(self.bytes.len());
        self.bytes.extend_from_slice(name);
        self.bytes.push(0);
    }

    fn sort(&mut self) {
        let bytes = &self.bytes;
        // No name holds a NUL, so two names differ at the latest where the shorter one ends.
        self.starts
            .sort_unstable_by(|&a, &b| bytes[a..].cmp(&bytes[b..]));
        // A name renamed while it was listed may come twice.
        self.starts
            .dedup_by(|a, b| up_to_nul(&bytes[*a..]) == up_to_nul(&bytes[*b..]));
        self.starts.shrink_to_fit();
        self.bytes.shrink_to_fit();
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.starts.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.starts.is_empty()
    }

    /// The name at `index` in bytewise order.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&[u8]> {
        self.starts
            .get(index)
            .map(|&start| up_to_nul(&self.bytes[start..]))
    }

    /// All in order.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.starts
            .iter()
            .map(|&start| up_to_nul(&self.bytes[start..]))
    }

    /// Whether `name` is among them.
    #[must_use]
    pub fn contains(&self, name: &[u8]) -> bool {
        self.starts
            .binary_search_by(|&start| up_to_nul(&self.bytes[start..]).cmp(name))
            .is_ok()
    }
}

fn up_to_nul(bytes: &[u8]) -> &[u8] {
    CStr::from_bytes_until_nul(bytes).map_or(bytes, CStr::to_bytes)
}

/// Lists directories, using one buffer for all.
#[derive(Debug)]
pub struct Lister(Vec<u8>);

impl Default for Lister {
    fn default() -> Self {
        Self(Vec::with_capacity(BUFFER_BYTES))
    }
}

impl Lister {
    /// All names in `dir`, with the error that stopped the listing where there was one: what was read before it is
    /// worth having. One listing of the same [`Dir`] at a time: they share its position.
    pub fn list(&mut self, dir: &Dir) -> (Names, Option<Errno>) {
        let mut names = Names::default();
        let result = dir.with_fd(|fd| {
            // The descriptor may have been listed before.
            rustix::fs::seek(fd, SeekFrom::Start(0))?;
            let mut entries = RawDir::new(fd, self.0.spare_capacity_mut());
            while let Some(entry) = entries.next() {
                match entry {
                    Ok(entry) => match entry.file_name().to_bytes() {
                        b"." | b".." => {}
                        name => names.push(name),
                    },
                    Err(Errno::INTR) => {}
                    Err(errno) => return Err(errno),
                }
            }
            Ok(())
        });
        names.sort();
        // The descriptor is an O_PATH one: searching is allowed, listing is not.
        let error = result.err().map(|errno| match errno {
            Errno::BADF => Errno::ACCESS,
            other => other,
        });
        (names, error)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use std::collections::BTreeSet;
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    #[test]
    fn sorted_by_raw_bytes_each_once() {
        let given: [&[u8]; 7] = [b"b", b"a", b"a.b", b"\xff\x80", b"a", b"ab", b"B"];
        let names = Names::new(given);
        let got: Vec<_> = names.iter().collect();
        assert_eq!(got, [&b"B"[..], b"a", b"a.b", b"ab", b"b", b"\xff\x80"]);
        assert_eq!(names.len(), 6);
        assert_eq!(names.get(1), Some(&b"a"[..]));
        assert_eq!(names.get(6), None);
        assert!(names.contains(b"a.b") && names.contains(b"\xff\x80"));
        assert!(!names.contains(b"a.") && !names.contains(b""));
        assert!(Names::new([]).is_empty());
    }

    #[test]
    fn a_directory_is_listed_whole_and_again() {
        let place = tempfile::tempdir().unwrap();
        let mut expected: BTreeSet<Vec<u8>> = (0..5_000)
            .map(|n| format!("{n}-{}", "x".repeat(n % 200)).into_bytes())
            .collect();
        expected.insert(vec![b'y'; 255]);
        expected.insert(b"\xfe not utf-8".to_vec());
        for name in &expected {
            std::fs::write(place.path().join(OsStr::from_bytes(name)), b"").unwrap();
        }
        let dir = Dir::root(place.path()).unwrap();
        let mut lister = Lister::default();
        for _ in 0..2 {
            let (names, error) = lister.list(&dir);
            assert_eq!(error, None);
            assert!(names.iter().eq(expected.iter().map(Vec::as_slice)));
        }
        assert!(
            lister
                .list(&Dir::root(place.path()).unwrap())
                .0
                .contains(&[b'y'; 255])
        );
    }
}
