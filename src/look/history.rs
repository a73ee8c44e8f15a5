//! Every version of one file or directory.

use std::collections::HashMap;
use std::rc::Rc;

use super::compare::{Differences, content_key};
use crate::error::Result;
use crate::format::entry::Node;
use crate::format::snapshot::Snapshot;
use crate::id::ChunkId;
use crate::progress::Progress;
use crate::repository::{Listed, Repository};

/// A version of what stands at the path.
#[derive(Clone, Debug)]
pub struct Version {
    /// The entry.
    pub listed: Listed,
    /// How it differs from the version before; for a directory a different content is anything at all below it.
    pub what: Differences,
    /// The number (from 0) of the first earlier version with the same content, where the one just before has another.
    pub same_content_as: Option<usize>,
}

/// A run of snapshots of one host in which the path stood unchanged, or in which it was not there.
#[derive(Clone, Debug)]
pub struct Stretch {
    /// What stood there; none where nothing did although the snapshots cover the place.
    pub version: Option<Version>,
    /// Index of the first snapshot.
    pub first: usize,
    /// Index of the last.
    pub last: usize,
    /// How many they are.
    pub snapshots: u64,
}

/// What stood at the absolute raw `path` in `snapshots` (oldest first), for each host that ever had something there
/// its stretches in order. A snapshot that did not cover the path says nothing about it and is passed over.
///
/// # Errors
/// `Damage` where a page on the way cannot be read, and `Interrupted`.
pub fn history(
    repository: &Repository,
    snapshots: &[Snapshot],
    path: &[u8],
    progress: &dyn Progress,
) -> Result<Vec<(String, Vec<Stretch>)>> {
    let mut finder = Finder {
        repository,
        names: path
            .split(|byte| *byte == b'/')
            .filter(|name| !name.is_empty())
            .collect(),
        known: HashMap::new(),
    };
    let mut hosts: Vec<(String, Vec<Stretch>)> = Vec::new();
    for (at, snapshot) in snapshots.iter().enumerate() {
        progress.go_on()?;
        let found = finder.find(snapshot)?;
        if found.is_none() && !covers(snapshot, path) {
            continue;
        }
        let host = match hosts.iter().position(|(host, _)| *host == snapshot.host) {
            Some(host) => host,
            // Not there yet.
            None if found.is_none() => continue,
            None => {
                hosts.push((snapshot.host.clone(), Vec::new()));
                hosts.len() - 1
            }
        };
        add(&mut hosts[host].1, found.as_deref(), at);
    }
    hosts.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(hosts)
}

/// Whether the snapshot was asked for the path, or for something above it.
fn covers(snapshot: &Snapshot, path: &[u8]) -> bool {
    snapshot.paths.iter().any(|asked| {
        let above = asked.0.strip_suffix(b"/").unwrap_or(&asked.0);
        path.strip_prefix(above)
            .is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
    })
}

fn add(stretches: &mut Vec<Stretch>, found: Option<&Listed>, at: usize) {
    if let Some(last) = stretches.last_mut() {
        let same = match (&last.version, found) {
            (None, None) => true,
            (Some(version), Some(found)) => !Differences::between(&version.listed, found).any(),
            _ => false,
        };
        if same {
            last.last = at;
            last.snapshots += 1;
            return;
        }
    }
    let version = found.map(|found| {
        let mut versions = stretches
            .iter()
            .filter_map(|stretch| stretch.version.as_ref());
        let key = content_key(&found.entry.node);
        let same =
            |version: &Version| key.is_some() && content_key(&version.listed.entry.node) == key;
        let what = versions
            .clone()
            .next_back()
            .map(|before| Differences::between(&before.listed, found))
            .unwrap_or_default();
        Version {
            listed: found.clone(),
            what,
            same_content_as: versions.position(same).filter(|_| what.content),
        }
    });
    stretches.push(Stretch {
        version,
        first: at,
        last: at,
        snapshots: 1,
    });
}

/// Finds one path in many snapshots, each different page on the way once.
struct Finder<'f> {
    repository: &'f Repository,
    names: Vec<&'f [u8]>,
    /// What the rest of the path leads to from a directory with this topmost page at this level.
    known: HashMap<(usize, ChunkId), Option<Rc<Listed>>>,
}

impl Finder<'_> {
    fn find(&mut self, snapshot: &Snapshot) -> Result<Option<Rc<Listed>>> {
        if !snapshot.holds_files() {
            return Ok(None);
        }
        let mut here = Some(self.repository.root(snapshot)?);
        let mut way = Vec::new();
        let mut found = None;
        for (level, name) in self.names.iter().enumerate() {
            let Some(Node::Directory(directory)) = here.take().map(|listed| listed.entry.node)
            else {
                break;
            };
            let Some(page) = directory.root else { break };
            if let Some(known) = self.known.get(&(level, page.id)) {
                found = known.clone();
                break;
            }
            way.push((level, page.id));
            here = self.repository.member(&directory, name)?;
        }
        let found = found.or(here.map(Rc::new));
        self.known
            .extend(way.into_iter().map(|place| (place, found.clone())));
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::snapshot::PathBytes;

    #[test]
    fn only_a_whole_name_covers() {
        let covered = |asked: &[u8], path: &[u8]| {
            let mut snapshot = crate::look::tests::sample();
            snapshot.paths = vec![PathBytes(asked.to_vec())];
            covers(&snapshot, path)
        };
        assert!(covered(b"/a", b"/a") && covered(b"/a", b"/a/b") && covered(b"/", b"/x"));
        assert!(!covered(b"/a", b"/ab") && !covered(b"/a/b", b"/a"));
    }
}
