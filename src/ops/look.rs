//! Looking into a snapshot.

use crate::error::Result;
use crate::format::entry::Node;
use crate::format::snapshot::Snapshot;
use crate::repository::{Listed, Repository};

/// Calls `each` with the absolute raw path of the entry at `path` (everything without one) and of what is below it:
/// its members, and theirs where `recursive`. A directory comes before its members, these in the order of their names.
///
/// # Errors
/// `NotFound` naming the path, `Damage`, and whatever `each` returns.
pub fn ls(
    repository: &Repository,
    snapshot: &Snapshot,
    path: Option<&[u8]>,
    recursive: bool,
    each: &mut dyn FnMut(&[u8], &Listed) -> Result<()>,
) -> Result<()> {
    let wanted = path.unwrap_or(b"/");
    let top = repository.find(snapshot, wanted)?;
    let mut place: Vec<u8> = Vec::new();
    for name in wanted
        .split(|byte| *byte == b'/')
        .filter(|name| !name.is_empty())
    {
        place.push(b'/');
        place.extend_from_slice(name);
    }
    each(if place.is_empty() { b"/" } else { &place }, &top)?;
    let Node::Directory(directory) = &top.entry.node else {
        return Ok(());
    };
    // Open directories with the length of the path that leads to them: no recursion, however deep the tree.
    let mut open = vec![(repository.entries(directory), place.len())];
    while let Some((entries, len)) = open.last_mut() {
        place.truncate(*len);
        let Some(listed) = entries.next() else {
            open.pop();
            continue;
        };
        let listed = listed?;
        place.push(b'/');
        place.extend_from_slice(&listed.entry.name);
        each(&place, &listed)?;
        if let (Node::Directory(directory), true) = (&listed.entry.node, recursive) {
            open.push((repository.entries(directory), place.len()));
        }
    }
    Ok(())
}
