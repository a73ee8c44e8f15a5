//! A tree as anybody can see it, kept in memory: what a snapshot must give back long after its source has changed.
//!
//! [`super::compare`] sees more (owners, attributes, holes) and needs both trees on a disk; this one needs some hundred
//! bytes a file, so a test can remember every tree that it ever took.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A path relative to the tree's root.
pub type Name = Vec<u8>;

/// Every path with what it is, in words that can be compared. Names of one inode bear the same first name.
pub type Words = BTreeMap<Name, String>;

/// Times of last change, in seconds and nanoseconds.
pub type Times = BTreeMap<Name, (i64, i64)>;

/// Between what a file is and the first of its names.
const SAME: &str = " = ";

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    pub words: Words,
    pub times: Times,
}

impl Seen {
    /// Every path that is not the same in both.
    pub fn differences(&self, found: &Seen) -> Vec<String> {
        let mut wrong = different("what is there", &self.words, &found.words);
        wrong.extend(different("times", &self.times, &found.times));
        wrong
    }

    /// Fails where anything differs.
    #[track_caller]
    pub fn assert_is(&self, found: &Seen, about: &dyn Fn() -> String) {
        let wrong = self.differences(found);
        assert!(wrong.is_empty(), "{}: {wrong:#?}", about());
    }

    /// Fails where anything is there that is not here, or is something else. Less may be there, and so the first name of
    /// a file that has several may be missing.
    #[track_caller]
    pub fn assert_has(&self, found: &Seen, about: &dyn Fn() -> String) {
        let own = |words: &Words, name: &Name| {
            let words = words.get(name)?;
            Some(words.split(SAME).next()?.to_owned())
        };
        let known = |name: &Name| own(&self.words, name) == own(&found.words, name);
        let strange: Vec<String> = found
            .words
            .keys()
            .filter(|name| !known(name))
            .map(|name| {
                format!(
                    "{}: had {:?}, found {:?}",
                    name.escape_ascii(),
                    self.words.get(name),
                    found.words.get(name)
                )
            })
            .collect();
        assert!(strange.is_empty(), "{}: {strange:#?}", about());
    }
}

fn different<T: PartialEq + std::fmt::Debug>(
    what: &str,
    wanted: &BTreeMap<Name, T>,
    found: &BTreeMap<Name, T>,
) -> Vec<String> {
    let mut names: Vec<&Name> = wanted.keys().chain(found.keys()).collect();
    names.sort();
    names.dedup();
    names
        .into_iter()
        .filter(|name| wanted.get(*name) != found.get(*name))
        .map(|name| {
            format!(
                "{what}: {}: wanted {:?}, found {:?}",
                name.escape_ascii(),
                wanted.get(name),
                found.get(name)
            )
        })
        .collect()
}

/// What is on the disk. The root itself is left out.
pub fn see(root: &Path) -> Seen {
    let (mut seen, mut first) = (Seen::default(), BTreeMap::new());
    let mut metadata = BTreeMap::new();
    let mut folders = vec![Vec::new()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(at(root, &folder)).unwrap() {
            let mut name = folder.clone();
            if !name.is_empty() {
                name.push(b'/');
            }
            name.extend_from_slice(entry.unwrap().file_name().as_bytes());
            let there = at(root, &name).symlink_metadata().unwrap();
            if there.is_dir() {
                folders.push(name.clone());
            }
            metadata.insert(name, there);
        }
    }
    for (name, there) in metadata {
        let path = at(root, &name);
        let mode = there.mode() & 0o7777;
        let words = if there.is_dir() {
            folder_words(mode)
        } else if there.is_symlink() {
            link_words(std::fs::read_link(&path).unwrap().as_os_str().as_bytes())
        } else {
            let same = first.entry(there.ino()).or_insert_with(|| name.clone());
            file_words(&std::fs::read(&path).unwrap(), mode, same)
        };
        seen.times
            .insert(name.clone(), (there.mtime(), there.mtime_nsec()));
        seen.words.insert(name, words);
    }
    seen
}

pub fn folder_words(mode: u32) -> String {
    format!("folder {mode:o}")
}

pub fn link_words(target: &[u8]) -> String {
    format!("link {}", target.escape_ascii())
}

pub fn file_words(bytes: &[u8], mode: u32, same: &[u8]) -> String {
    let hash = blake3::hash(bytes).to_hex();
    format!(
        "file {mode:o} of {} bytes {}{SAME}{}",
        bytes.len(),
        &hash[..16],
        same.escape_ascii()
    )
}

/// Where a name of a tree is.
pub fn at(root: &Path, name: &[u8]) -> PathBuf {
    root.join(OsStr::from_bytes(name))
}
