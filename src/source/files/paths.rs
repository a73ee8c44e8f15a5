//! The given paths, as one tree of names below `/`.
//!
//! Paths are made absolute by their text alone, as restic does it, so that a snapshot shows what the user typed:
//! `.`, `..` and doubled slashes go, symbolic links stay. Paths given twice or within one another fall together.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use crate::error::{Error, Kind, Result};

/// `path` made absolute by its text alone: the current folder put in front, `.`, `..` and doubled slashes resolved.
///
/// # Errors
/// An empty path, one with a NUL in it, or no current folder.
pub fn absolute(path: &Path) -> Result<PathBuf> {
    let raw = path.as_os_str().as_bytes();
    if raw.is_empty() || raw.contains(&0) {
        return Err(Error::new(Kind::Usage, "not a path")
            .subject(format!("{:?}", String::from_utf8_lossy(raw)))
            .hint("name a file or a folder"));
    }
    let mut whole = Vec::new();
    if raw[0] != b'/' {
        let here = std::env::current_dir().map_err(|error| Error::io("find", ".", error))?;
        whole = here.into_os_string().into_vec();
        whole.push(b'/');
    }
    whole.extend_from_slice(raw);
    let mut clean = Vec::with_capacity(whole.len());
    for name in names(&whole) {
        clean.push(b'/');
        clean.extend_from_slice(name);
    }
    if clean.is_empty() {
        clean.push(b'/');
    }
    Ok(PathBuf::from(OsString::from_vec(clean)))
}

/// The names in a raw path from the root down, `.` and `..` resolved; `..` at the root stays there.
pub fn names(path: &[u8]) -> Vec<&[u8]> {
    let mut names = Vec::new();
    for name in path.split(|&byte| byte == b'/') {
        match name {
            b"" | b"." => {}
            b".." => {
                names.pop();
            }
            name => names.push(name),
        }
    }
    names
}

/// What is wanted of a directory: all of it, or only the way to something deeper.
#[derive(Debug, Default)]
pub struct Wanted {
    /// Given itself: everything in it is wanted.
    pub whole: bool,
    /// Members that are given or lie on the way to something given.
    pub members: BTreeMap<Vec<u8>, Wanted>,
}

impl Wanted {
    /// Adds a path that [`absolute`] made.
    pub fn add(&mut self, path: &Path) {
        let mut at = self;
        for name in names(path.as_os_str().as_bytes()) {
            at = at.members.entry(name.to_vec()).or_default();
        }
        at.whole = true;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use std::ffi::OsStr;

    use super::*;

    #[test]
    fn absolute_by_the_text_alone() {
        for (given, expected) in [
            ("/", "/"),
            ("//", "/"),
            ("/..", "/"),
            ("/a//b/./c/", "/a/b/c"),
            ("/a/../../b/..", "/"),
            ("/a/b/../c", "/a/c"),
            ("/...", "/..."),
        ] {
            assert_eq!(
                absolute(Path::new(given)).unwrap(),
                Path::new(expected),
                "{given}"
            );
        }
        let here = std::env::current_dir().unwrap();
        assert_eq!(absolute(Path::new(".")).unwrap(), here);
        assert_eq!(absolute(Path::new("x/../y")).unwrap(), here.join("y"));
        let raw = OsStr::from_bytes(b"/\xff/./\xfe");
        assert_eq!(
            absolute(Path::new(raw)).unwrap().as_os_str().as_bytes(),
            b"/\xff/\xfe"
        );
        assert_eq!(absolute(Path::new("")).unwrap_err().kind(), Kind::Usage);
        assert_eq!(absolute(Path::new("a\0b")).unwrap_err().kind(), Kind::Usage);
    }

    #[test]
    fn paths_within_one_another_fall_together() {
        let mut root = Wanted::default();
        for path in ["/a/b", "/a/b/c/d", "/a/b", "/x"] {
            root.add(Path::new(path));
        }
        assert!(!root.whole);
        assert_eq!(root.members.keys().collect::<Vec<_>>(), [b"a", b"x"]);
        let a = &root.members[&b"a"[..]];
        assert!(!a.whole && a.members.len() == 1);
        let b = &a.members[&b"b"[..]];
        assert!(b.whole && b.members.len() == 1);
        assert!(!b.members[&b"c"[..]].whole);
        root.add(Path::new("/"));
        assert!(root.whole);
    }
}
