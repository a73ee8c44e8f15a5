//! What changed between two trees.

use super::compare::Differences;
use super::pages::Pairs;
use crate::error::Result;
use crate::format::entry::{Directory, Node};
use crate::progress::Progress;
use crate::repository::{Listed, Repository};

/// Something that differs; at least one of `before` and `after` is there.
#[derive(Debug)]
pub struct Change<'c> {
    /// Raw path as it stands in the second tree.
    pub path: &'c [u8],
    /// What stood there; none where it was added.
    pub before: Option<Listed>,
    /// What stands there; none where it was removed.
    pub after: Option<Listed>,
    /// How they differ where both are there; what merely lies below a directory is no difference of its own.
    pub what: Differences,
}

/// How to walk.
#[derive(Clone, Copy, Debug)]
pub struct Walk<'w> {
    /// Raw path of the two tops, for the paths of the changes: `/` for roots.
    pub path: &'w [u8],
    /// Whether the members of what was removed are named too, or only its top.
    pub removed_below: bool,
}

/// Calls `each` with every difference between two trees, a directory before its members and these in the order of
/// their names; no top on one side means that everything was added, or removed. Directories of which both trees hold
/// the same are not read. Returns the number of pages read; memory holds a page or two for each level of the tree.
///
/// # Errors
/// `Damage` where a page cannot be read, `Interrupted`, and whatever `each` returns.
pub fn changes(
    repository: &Repository,
    before: Option<Listed>,
    after: Option<Listed>,
    walk: Walk<'_>,
    progress: &dyn Progress,
    each: &mut dyn FnMut(Change<'_>) -> Result<()>,
) -> Result<u64> {
    let mut read = 0;
    let mut path: Vec<u8> = walk.path.strip_suffix(b"/").unwrap_or(walk.path).to_vec();
    let mut open: Vec<(Pairs, usize)> = Vec::new();
    let mut pair = Some((before, after));
    loop {
        if let Some((before, after)) = pair.take() {
            let below = below(&before, &after, walk.removed_below);
            let what = match (&before, &after) {
                (Some(before), Some(after)) => own(before, after),
                _ => Differences::default(),
            };
            if before.is_none() != after.is_none() || what.any() {
                each(Change {
                    path: if path.is_empty() { b"/" } else { &path },
                    before,
                    after,
                    what,
                })?;
            }
            open.extend(below.map(|pairs| (pairs, path.len())));
        }
        let Some((pairs, length)) = open.last_mut() else {
            return Ok(read);
        };
        progress.go_on()?;
        path.truncate(*length);
        let next = pairs
            .next(repository, &mut read)
            .map_err(|error| error.or_subject(|| path.escape_ascii().to_string()))?;
        let Some((before, after)) = next else {
            open.pop();
            continue;
        };
        if let Some(listed) = after.as_ref().or(before.as_ref()) {
            path.push(b'/');
            path.extend_from_slice(&listed.entry.name);
        }
        pair = Some((before, after));
    }
}

/// Differences of the entries themselves.
fn own(before: &Listed, after: &Listed) -> Differences {
    let mut what = Differences::between(before, after);
    if matches!(after.entry.node, Node::Directory(_)) && !what.kind {
        what.content = false;
    }
    what
}

fn directory(listed: &Option<Listed>) -> Option<&Directory> {
    match listed.as_ref().map(|listed| &listed.entry.node) {
        Some(Node::Directory(directory)) => Some(directory),
        _ => None,
    }
}

/// The members of both, where there may be differences among them that are wanted.
fn below(before: &Option<Listed>, after: &Option<Listed>, removed: bool) -> Option<Pairs> {
    let (old, new) = (directory(before), directory(after));
    let wanted = match (old, new) {
        (Some(old), Some(new)) => old.root != new.root,
        (Some(_), None) => removed,
        (None, Some(_)) => true,
        (None, None) => false,
    };
    wanted.then(|| Pairs::new(old, new))
}
