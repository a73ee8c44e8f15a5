//! Names found in many snapshots at once.
//!
//! Snapshots are taken one after the other, those of one host and set of paths together, and of each only what differs
//! from the one before is read. What was found stays found until a difference says otherwise. So time grows with the
//! first snapshot and the changes since, and memory with what is found.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use super::compare::content_key;
use super::diff::{Change, Walk, changes};
use crate::clock::Nanos;
use crate::error::{Error, Kind, Result};
use crate::format::entry::{Content, Node};
use crate::format::snapshot::Snapshot;
use crate::progress::Progress;
use crate::repository::{Listed, Repository};

/// Globs of names and paths.
#[derive(Debug)]
pub struct Names {
    names: GlobSet,
    paths: GlobSet,
}

impl Names {
    /// Any of the globs, those of `any_case` whatever the case of letters. One that holds a `/` is held against the
    /// whole path (from the root where it begins with `/`, otherwise from any directory on), any other against the
    /// last name. `*` and `?` stop at a `/`, `**` does not.
    ///
    /// # Errors
    /// [`Kind::Usage`] naming a pattern that cannot be read.
    pub fn new(plain: &[String], any_case: &[String]) -> Result<Self> {
        let mut sets = [GlobSetBuilder::new(), GlobSetBuilder::new()];
        let all = plain
            .iter()
            .map(|pattern| (pattern, false))
            .chain(any_case.iter().map(|pattern| (pattern, true)));
        for (pattern, any_case) in all {
            let wrong = |error: globset::Error| {
                Error::new(Kind::Usage, "a pattern that cannot be read")
                    .subject(pattern.clone())
                    .cause(error)
                    .hint("*, ?, [a-z] and {one,other} are special; a backslash before them takes that away")
            };
            // A slash behind it is how a shell completes a directory's name.
            let bare = match pattern.strip_suffix('/') {
                Some(bare) if !bare.is_empty() => bare,
                _ => pattern,
            };
            let is_path = bare.contains('/');
            let anchored = match is_path && !bare.starts_with('/') {
                true => format!("**/{bare}"),
                false => bare.to_owned(),
            };
            let glob = GlobBuilder::new(&anchored)
                .literal_separator(true)
                .backslash_escape(true)
                .case_insensitive(any_case)
                .build()
                .map_err(wrong)?;
            sets[usize::from(is_path)].add(glob);
        }
        let [names, paths] = sets.map(|set| {
            set.build()
                .map_err(|error| Error::new(Kind::Usage, "too many patterns").cause(error))
        });
        Ok(Self {
            names: names?,
            paths: paths?,
        })
    }

    /// Whether any of them holds for the absolute raw path.
    fn hold(&self, path: &[u8]) -> bool {
        let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or(path);
        let as_path = |bytes| Path::new(OsStr::from_bytes(bytes));
        (!name.is_empty() && self.names.is_match(as_path(name)))
            || self.paths.is_match(as_path(path))
    }
}

/// What is looked for: everything that is said must hold.
#[derive(Debug, Default)]
pub struct Wanted {
    /// Such names; none for all.
    pub names: Option<Names>,
    /// Any of these letters of find(1): `f`, `d`, `l`, `p`, `s`, `c`, `b`; empty for all.
    pub kinds: Vec<char>,
    /// Fewest bytes; files only.
    pub size_min: Option<u64>,
    /// Most bytes; files only.
    pub size_max: Option<u64>,
    /// Changed at or after.
    pub newer: Option<Nanos>,
    /// Changed at or before.
    pub older: Option<Nanos>,
    /// First hexadecimal digits of a chunk that the file holds.
    pub chunk: Option<String>,
    /// Content as [`content_key`] says.
    pub content: Option<[u8; 32]>,
}

impl Wanted {
    fn holds(&self, repository: &Repository, path: &[u8], listed: &Listed) -> Result<bool> {
        let entry = &listed.entry;
        let size = match entry.node {
            Node::File { size, .. } => Some(size),
            _ => None,
        };
        let sized = |bound: Option<u64>, fits: fn(u64, u64) -> bool| {
            bound.is_none_or(|bound| size.is_some_and(|size| fits(size, bound)))
        };
        let fits = (self.kinds.is_empty() || self.kinds.contains(&letter(&entry.node)))
            && sized(self.size_min, |size, bound| size >= bound)
            && sized(self.size_max, |size, bound| size <= bound)
            && self.newer.is_none_or(|time| entry.mtime >= time)
            && self.older.is_none_or(|time| entry.mtime <= time)
            && self.names.as_ref().is_none_or(|names| names.hold(path))
            && self
                .content
                .is_none_or(|key| content_key(&entry.node) == Some(key));
        match &self.chunk {
            Some(digits) if fits => holds_chunk(repository, &entry.node, digits),
            _ => Ok(fits),
        }
    }
}

/// The letter by which find(1) knows such an entry.
fn letter(node: &Node) -> char {
    match node {
        Node::File { .. } => 'f',
        Node::Directory(_) => 'd',
        Node::Symlink { .. } => 'l',
        Node::Fifo => 'p',
        Node::Socket => 's',
        Node::CharDevice { .. } => 'c',
        Node::BlockDevice { .. } => 'b',
    }
}

fn holds_chunk(repository: &Repository, node: &Node, digits: &str) -> Result<bool> {
    let Node::File { content, .. } = node else {
        return Ok(false);
    };
    for piece in repository.pieces(content) {
        if let Some((id, _)) = piece?.chunk()
            && id.hex().starts_with(digits)
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// One version of one path, and the run of snapshots of one host and set of paths in which it stands unchanged.
#[derive(Clone, Debug)]
pub struct Found {
    /// Absolute raw path.
    pub path: Vec<u8>,
    /// The entry, without its content. A directory is another version when it changes itself, not what is below it.
    pub listed: Listed,
    /// Index of the first of them.
    pub first: usize,
    /// Index of the last.
    pub last: usize,
    /// How many they are.
    pub snapshots: u64,
}

/// Everything in `snapshots` (oldest first) that is wanted, sorted by path, then by the first snapshot.
///
/// # Errors
/// `Damage` where a page cannot be read, and `Interrupted`.
pub fn find(
    repository: &Repository,
    snapshots: &[Snapshot],
    wanted: &Wanted,
    progress: &dyn Progress,
) -> Result<Vec<Found>> {
    // Like beside like: the differences between neighbours are what is read.
    let mut order: Vec<usize> = (0..snapshots.len()).collect();
    order.sort_by_key(|at| {
        let snapshot = &snapshots[*at];
        (&snapshot.host, &snapshot.paths, *at)
    });
    let mut search = Search {
        repository,
        wanted,
        order: &order,
        standing: BTreeMap::new(),
        found: Vec::new(),
    };
    progress.expect(order.len() as u64, 0);
    let mut before: Option<(&Snapshot, Listed)> = None;
    for (place, at) in order.iter().enumerate() {
        let snapshot = &snapshots[*at];
        let root = repository.root(snapshot)?;
        let (last, old) = before.take().unzip();
        if last.is_some_and(|last: &Snapshot| {
            (&last.host, &last.paths) != (&snapshot.host, &snapshot.paths)
        }) {
            search.begin_run(place);
        }
        let walk = Walk {
            path: b"/",
            removed_below: false,
        };
        let mut each = |change: Change<'_>| search.take(change, place);
        changes(
            repository,
            old,
            Some(root.clone()),
            walk,
            progress,
            &mut each,
        )?;
        before = Some((snapshot, root));
        progress.advance(1, 0);
    }
    search.begin_run(order.len());
    let mut found = search.found;
    found.sort_by(|a, b| (&a.path, a.first).cmp(&(&b.path, b.first)));
    Ok(found)
}

struct Search<'s> {
    repository: &'s Repository,
    wanted: &'s Wanted,
    /// Indices of snapshots in the order in which they are gone through; a place is an index into this.
    order: &'s [usize],
    /// What is wanted in the snapshot just gone through, with the place from which on it stands there.
    standing: BTreeMap<Vec<u8>, (Listed, usize)>,
    found: Vec<Found>,
}

impl Search<'_> {
    /// Takes in what differs between the snapshot at `place` and the one before it.
    fn take(&mut self, change: Change<'_>, place: usize) -> Result<()> {
        if let Some(before) = &change.before {
            if let Some((listed, first)) = self.standing.remove(change.path) {
                self.ended(change.path.to_vec(), listed, first, place);
            }
            let still_there = matches!(
                change.after.as_ref().map(|after| &after.entry.node),
                Some(Node::Directory(_))
            );
            if matches!(before.entry.node, Node::Directory(_)) && !still_there {
                self.all_below_ended(change.path, place);
            }
        }
        if let Some(mut after) = change.after
            && self.wanted.holds(self.repository, change.path, &after)?
        {
            // Nobody asks for it again, and it is most of an entry.
            if let Node::File { content, .. } = &mut after.entry.node {
                *content = Content::List(Vec::new());
            }
            self.standing.insert(change.path.to_vec(), (after, place));
        }
        Ok(())
    }

    fn all_below_ended(&mut self, directory: &[u8], place: usize) {
        // What begins with the path and a slash lies between that and the next character behind the slash.
        let from = [directory, b"/"].concat();
        let to = [directory, b"0"].concat();
        let gone: Vec<Vec<u8>> = self
            .standing
            .range(from..to)
            .map(|(path, _)| path.clone())
            .collect();
        for path in gone {
            if let Some((listed, first)) = self.standing.remove(&path) {
                self.ended(path, listed, first, place);
            }
        }
    }

    /// Snapshots of another host or other paths begin: no run goes over that.
    fn begin_run(&mut self, place: usize) {
        for (path, (listed, first)) in std::mem::take(&mut self.standing) {
            self.ended(path.clone(), listed.clone(), first, place);
            self.standing.insert(path, (listed, place));
        }
    }

    fn ended(&mut self, path: Vec<u8>, listed: Listed, first: usize, end: usize) {
        // What merely stood in the other host's last snapshot never stood here.
        if first < end {
            self.found.push(Found {
                path,
                listed,
                first: self.order[first],
                last: self.order[end - 1],
                snapshots: (end - first) as u64,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn named(pattern: &str, path: &[u8]) -> bool {
        Names::new(&[pattern.to_owned()], &[]).unwrap().hold(path)
    }

    #[test]
    fn names_and_paths() {
        assert!(named("*.txt", b"/a/b/c.txt"));
        assert!(!named("*.txt", b"/a/b.txt/c"));
        assert!(named("c", b"/a/c") && !named("c", b"/a/cc"));
        assert!(named("/a/*/c", b"/a/b/c") && !named("/a/*/c", b"/a/b/b/c"));
        assert!(named("/a/**/c", b"/a/b/b/c") && named("b/*.txt", b"/a/b/c.txt"));
        assert!(named("b/", b"/a/b") && named("/", b"/") && !named("/", b"/a"));
        assert!(named("?x\\*", b"/\xffx*") && !named("?x\\*", b"/\xffxy"));
        assert!(named("*", b"/new\nline") && !named("*", b"/"));
    }

    #[test]
    fn whatever_the_case() {
        let names = Names::new(&["plain".into()], &["ANY*".into()]).unwrap();
        assert!(names.hold(b"/plain") && names.hold(b"/anything"));
        assert!(!names.hold(b"/Plain"));
    }

    #[test]
    fn a_broken_pattern_is_named() {
        let error = Names::new(&["a[".into()], &[]).unwrap_err();
        assert_eq!(error.kind(), Kind::Usage);
        assert_eq!(error.subject_text(), Some("a["));
    }
}
