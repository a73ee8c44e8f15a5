//! What seems to have been renamed: gone from one place, and the same content new in another.

use std::collections::{HashMap, HashSet};

use super::compare::content_key;
use super::diff::Change;
use crate::format::entry::Node;

/// Paths that are remembered on each side; a tree that was wholly replaced must not fill the memory.
const REMEMBERED_MAX: usize = 200_000;

/// Paths of one content that are searched for one of the same name.
const CANDIDATES: usize = 64;

/// A path that vanished and a new one with the same content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rename {
    /// Raw path that is gone.
    pub from: Vec<u8>,
    /// Raw path that is new.
    pub to: Vec<u8>,
    /// A whole directory, with all below it.
    pub directory: bool,
}

type Places = HashMap<[u8; 32], Vec<Vec<u8>>>;

/// Gathers changes and pairs what vanished with what came: a hint, since content alone does not tell a rename from a
/// copy whose original was deleted. Empty files and directories tell nothing.
#[derive(Debug, Default)]
pub struct Renames {
    gone: Places,
    new: Places,
    remembered: usize,
    forgot: bool,
    found: Vec<Rename>,
}

impl Renames {
    /// Takes note of a change.
    pub fn add(&mut self, change: &Change<'_>) {
        let (listed, vanished) = match (&change.before, &change.after) {
            (Some(before), None) => (before, true),
            (None, Some(after)) => (after, false),
            _ => return,
        };
        let node = &listed.entry.node;
        if matches!(node, Node::File { size: 0, .. }) {
            return;
        }
        let Some(key) = content_key(node) else {
            return;
        };
        let (own, other) = if vanished {
            (&mut self.gone, &mut self.new)
        } else {
            (&mut self.new, &mut self.gone)
        };
        if let Some(match_) = take(other, &key, change.path) {
            self.remembered -= 1;
            let here = change.path.to_vec();
            let (from, to) = if vanished {
                (here, match_)
            } else {
                (match_, here)
            };
            self.found.push(Rename {
                from,
                to,
                directory: matches!(node, Node::Directory(_)),
            });
        } else if self.remembered < REMEMBERED_MAX {
            self.remembered += 1;
            own.entry(key).or_default().push(change.path.to_vec());
        } else {
            self.forgot = true;
        }
    }

    /// What seems to have been renamed, sorted by the old path, without what merely moved with its directory; and
    /// whether there was too much to remember, so that some may be missing.
    #[must_use]
    pub fn finish(self) -> (Vec<Rename>, bool) {
        let directories: HashSet<(&[u8], &[u8])> = self
            .found
            .iter()
            .filter(|rename| rename.directory)
            .map(|rename| (rename.from.as_slice(), rename.to.as_slice()))
            .collect();
        let moved_along = |rename: &Rename| {
            let (mut from, mut to) = (rename.from.as_slice(), rename.to.as_slice());
            loop {
                let ((above_from, name_from), (above_to, name_to)) = (split(from), split(to));
                if name_from != name_to || above_from.is_empty() || above_to.is_empty() {
                    return false;
                }
                if directories.contains(&(above_from, above_to)) {
                    return true;
                }
                (from, to) = (above_from, above_to);
            }
        };
        let mut kept: Vec<Rename> = self
            .found
            .iter()
            .filter(|rename| !moved_along(rename))
            .cloned()
            .collect();
        kept.sort_by(|a, b| a.from.cmp(&b.from));
        (kept, self.forgot)
    }
}

/// The path above and the last name.
fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (&[], path),
    }
}

/// Takes one of the remembered paths with this content, of the same name where there is one.
fn take(places: &mut Places, key: &[u8; 32], path: &[u8]) -> Option<Vec<u8>> {
    let paths = places.get_mut(key)?;
    // A thousand copies of one file need not be searched for the best of them.
    let same = paths
        .iter()
        .take(CANDIDATES)
        .position(|other| split(other).1 == split(path).1)
        .unwrap_or(0);
    let taken = paths.swap_remove(same);
    if paths.is_empty() {
        places.remove(key);
    }
    Some(taken)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::format::entry::{Content, Directory, Entry, PageRef};
    use crate::id::ChunkId;
    use crate::look::Differences;
    use crate::repository::Listed;

    fn listed(node: Node) -> Option<Listed> {
        Some(Listed {
            entry: Entry {
                name: b"n".to_vec(),
                mode: 0,
                uid: 0,
                gid: 0,
                mtime: 0,
                node,
                xattrs: Vec::new(),
                link: None,
                extensions: Vec::new(),
            },
            user: None,
            group: None,
        })
    }

    fn file(text: &str) -> Option<Listed> {
        listed(Node::File {
            size: text.len() as u64,
            content: Content::Inline(text.into()),
        })
    }

    fn folder(id: u8) -> Option<Listed> {
        let root = PageRef {
            id: ChunkId([id; 32]),
            depth: 0,
        };
        listed(Node::Directory(Directory {
            root: Some(root),
            entries: 1,
            ..Directory::default()
        }))
    }

    fn renames(changes: &[(&str, Option<Listed>, Option<Listed>)]) -> Vec<(String, String)> {
        let mut renames = Renames::default();
        for (path, before, after) in changes {
            renames.add(&Change {
                path: path.as_bytes(),
                before: before.clone(),
                after: after.clone(),
                what: Differences::default(),
            });
        }
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let (found, forgot) = renames.finish();
        assert!(!forgot);
        found
            .into_iter()
            .map(|rename| (text(rename.from), text(rename.to)))
            .collect()
    }

    #[test]
    fn the_same_content_under_another_name() {
        let found = renames(&[
            ("/a", None, file("one")),
            ("/empty", file(""), None),
            ("/new", None, file("")),
            ("/z", file("one"), None),
            ("/zz", file("one"), None),
        ]);
        assert_eq!(found, [("/z".to_owned(), "/a".to_owned())]);
    }

    #[test]
    fn of_several_the_one_of_the_same_name() {
        let found = renames(&[
            ("/a/LICENSE", file("law"), None),
            ("/b/COPYING", file("law"), None),
            ("/c/COPYING", None, file("law")),
            ("/d/LICENSE", None, file("law")),
        ]);
        assert_eq!(
            found,
            [
                ("/a/LICENSE".to_owned(), "/d/LICENSE".to_owned()),
                ("/b/COPYING".to_owned(), "/c/COPYING".to_owned()),
            ]
        );
    }

    #[test]
    fn what_moved_with_its_folder_is_not_named_again() {
        let found = renames(&[
            ("/new", None, folder(1)),
            ("/new/sub", None, folder(2)),
            ("/new/sub/x", None, file("x")),
            ("/new/y", None, file("y")),
            ("/old", folder(1), None),
            ("/old/sub", folder(2), None),
            ("/old/sub/x", file("x"), None),
            ("/old/y", file("y"), None),
        ]);
        assert_eq!(found, [("/old".to_owned(), "/new".to_owned())]);
    }
}
