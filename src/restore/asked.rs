//! Which directories of a snapshot are known as a whole.
//!
//! A snapshot of `/home` holds `/` too, with `home` as its only member. Deleting what the snapshot does not have may
//! happen in `/home` and below, but in `/` it would delete the machine. The same holds for what the snapshot could
//! not read: that it is missing there does not mean that it was missing.

use crate::format::snapshot::Snapshot;

/// What a snapshot was asked to hold, and what it could not.
#[derive(Debug)]
pub(super) struct Asked {
    /// Absolute paths without `.` and trailing `/`.
    roots: Vec<Vec<u8>>,
    /// Typed relative to a folder that nobody knows any more: what the path in the snapshot ends with.
    ends: Vec<Vec<u8>>,
    unread: Vec<Vec<u8>>,
    all_unread_known: bool,
}

impl Asked {
    pub(super) fn of(snapshot: &Snapshot) -> Self {
        let mut roots = Vec::new();
        let mut ends = Vec::new();
        for path in &snapshot.paths {
            let absolute = path.0.first() == Some(&b'/');
            let names: Vec<&[u8]> = path
                .0
                .split(|byte| *byte == b'/')
                .filter(|name| !name.is_empty() && *name != b".")
                .collect();
            // Where `..` leads cannot be told without the folder that it was typed in.
            if names.contains(&&b".."[..]) || (!absolute && names.is_empty()) {
                continue;
            }
            let mut joined = Vec::new();
            for name in names {
                joined.push(b'/');
                joined.extend_from_slice(name);
            }
            if absolute {
                roots.push(joined);
            } else {
                ends.push(joined);
            }
        }
        Self {
            roots,
            ends,
            unread: snapshot.problems.iter().map(|p| p.path.0.clone()).collect(),
            all_unread_known: snapshot.problem_count == snapshot.problems.len() as u64,
        }
    }

    /// Whether what is not in the directory `path` of the snapshot was not there: `path` is absolute, the root empty.
    pub(super) fn knows_all_of(&self, path: &[u8]) -> bool {
        self.all_unread_known
            && (self.roots.iter().any(|root| within(path, root))
                || self.ends.iter().any(|end| {
                    (0..=path.len().saturating_sub(end.len())).any(|at| within(&path[at..], end))
                }))
    }

    /// Whether `path` is, holds or lies in something that could not be read.
    pub(super) fn could_not_read(&self, path: &[u8]) -> bool {
        self.unread
            .iter()
            .any(|unread| within(path, unread) || within(unread, path))
    }
}

fn within(inner: &[u8], outer: &[u8]) -> bool {
    inner
        .strip_prefix(outer)
        .is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(roots: &[&str], ends: &[&str], unread: &[&str]) -> Asked {
        let own = |list: &[&str]| list.iter().map(|p| p.as_bytes().to_vec()).collect();
        Asked {
            roots: own(roots),
            ends: own(ends),
            unread: own(unread),
            all_unread_known: true,
        }
    }

    #[test]
    fn the_way_to_what_was_asked_for_is_not_known() {
        let home = asked(&["/home"], &[], &[]);
        assert!(!home.knows_all_of(b""));
        assert!(home.knows_all_of(b"/home"));
        assert!(home.knows_all_of(b"/home/a"));
        assert!(!home.knows_all_of(b"/homes"));
        assert!(asked(&[""], &[], &[]).knows_all_of(b"/etc"));
        assert!(asked(&[""], &[], &[]).knows_all_of(b""));
    }

    #[test]
    fn relative_paths_are_known_by_their_end() {
        let data = asked(&[], &["/data"], &[]);
        assert!(!data.knows_all_of(b""));
        assert!(!data.knows_all_of(b"/srv"));
        assert!(data.knows_all_of(b"/srv/data"));
        assert!(data.knows_all_of(b"/srv/data/x"));
        assert!(!data.knows_all_of(b"/srv/database"));
    }

    #[test]
    fn the_unread_is_kept_with_all_around_it() {
        let some = asked(&["/a"], &[], &["/a/b/c"]);
        assert!(some.could_not_read(b"/a/b"));
        assert!(some.could_not_read(b"/a/b/c/d"));
        assert!(!some.could_not_read(b"/a/bc"));
    }

    #[test]
    fn unnamed_problems_forbid_deleting_anywhere() {
        let mut some = asked(&["/a"], &[], &[]);
        some.all_unread_known = false;
        assert!(!some.knows_all_of(b"/a"));
    }
}
