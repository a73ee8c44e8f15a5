//! What takes the space in a tree.
//!
//! A directory's entry says how many bytes lie below it, so the largest files are found by looking into the largest
//! directories first and stopping where none can hold anything larger: few pages of a large tree are read.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use crate::error::Result;
use crate::format::entry::{Directory, Node};
use crate::progress::Progress;
use crate::repository::{Listed, Repository};

/// A directory that holds at least so many of a hundred bytes of the one above tells its whole story.
const NEARLY_ALL: u128 = 90;

/// A file or directory and its bytes, every name counted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Part {
    /// Bytes.
    pub bytes: u64,
    /// Absolute raw path.
    pub path: Vec<u8>,
}

/// The largest parts, largest first.
#[derive(Clone, Debug, Default)]
pub struct Largest {
    /// Directories, those left out in which a single one holds nearly everything.
    pub directories: Vec<Part>,
    /// Regular files.
    pub files: Vec<Part>,
}

/// The `count` largest files and directories below `root`. Memory holds the directories that were seen and not yet
/// looked into.
///
/// # Errors
/// `Damage` where a page cannot be read, and `Interrupted`.
pub fn largest(
    repository: &Repository,
    root: &Listed,
    count: usize,
    progress: &dyn Progress,
) -> Result<Largest> {
    let mut found = Largest::default();
    // By bytes, so that the largest stands last.
    let mut waiting: BTreeMap<(u64, Vec<u8>), Directory> = BTreeMap::new();
    if let Node::Directory(directory) = root.entry.node {
        waiting.insert((directory.bytes, Vec::new()), directory);
    }
    let mut files: BinaryHeap<Reverse<Part>> = BinaryHeap::new();
    while let Some(((bytes, path), directory)) = waiting.pop_last() {
        progress.go_on()?;
        let smallest = files.peek().map_or(0, |Reverse(file)| file.bytes);
        let may_hold_a_larger = files.len() < count || bytes > smallest;
        if found.directories.len() >= count && !may_hold_a_larger {
            break;
        }
        let mut largest_below = 0;
        for listed in repository.entries(&directory) {
            let entry = listed?.entry;
            let place = || [&path, &b"/"[..], &entry.name].concat();
            match entry.node {
                Node::Directory(below) if below.bytes > 0 => {
                    largest_below = largest_below.max(below.bytes);
                    waiting.insert((below.bytes, place()), below);
                }
                Node::File { size, .. } if size > 0 => {
                    files.push(Reverse(Part {
                        bytes: size,
                        path: place(),
                    }));
                    if files.len() > count {
                        files.pop();
                    }
                }
                _ => {}
            }
        }
        let tells_something = u128::from(largest_below) * 100 < u128::from(bytes) * NEARLY_ALL;
        if tells_something && !path.is_empty() && found.directories.len() < count {
            found.directories.push(Part { bytes, path });
        }
    }
    found.files = files
        .into_sorted_vec()
        .into_iter()
        .map(|Reverse(file)| file)
        .collect();
    Ok(found)
}
