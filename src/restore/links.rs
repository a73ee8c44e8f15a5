//! Names that share an inode.
//!
//! The first name of a group that is met is restored like any file; the others become links to it at the end of
//! their window, when it is known what became of it. A group is forgotten once as many names have been met as the
//! inode had, so that only groups with names outside the snapshot are remembered to the end.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::job::{Job, Way};
use super::report::add;
use super::task::{Task, lossy};
use crate::error::{Error, Kind, Result};
use crate::format::entry::{LinkGroup, Node};
use crate::fs::{Dir, Identity};
use crate::repository::Listed;
use crate::target::files::{ends_everything, link, unlink};

/// What became of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Not known yet.
    Open,
    /// It stands there, as this inode.
    Done(Identity),
    /// Its stored content is damaged.
    Damaged,
    /// It could not be written.
    Failed,
}

/// The first name of a group.
pub(super) struct First {
    dir: Arc<Dir>,
    name: Vec<u8>,
    fate: Mutex<Fate>,
}

impl First {
    pub(super) fn decide(&self, fate: Fate) {
        *self.fate.lock().unwrap_or_else(PoisonError::into_inner) = fate;
    }

    fn fate(&self) -> Fate {
        *self.fate.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The groups met so far whose names have not all been met.
#[derive(Default)]
pub(super) struct Groups(HashMap<u64, Group>);

struct Group {
    first: Option<Arc<First>>,
    met: u32,
}

impl Groups {
    /// Counts one more name of the group; the first name where there is one to link to.
    pub(super) fn meet(&mut self, link: LinkGroup) -> Option<Arc<First>> {
        let group = self.0.entry(link.group).or_insert(Group {
            first: None,
            met: 0,
        });
        group.met += 1;
        let first = group.first.clone();
        if group.met >= link.count {
            self.0.remove(&link.group);
        }
        first
    }

    /// From now on further names are linked to this one.
    pub(super) fn begin(&mut self, link: LinkGroup, dir: &Arc<Dir>, name: &[u8]) -> Arc<First> {
        let first = Arc::new(First {
            dir: Arc::clone(dir),
            name: name.to_vec(),
            fate: Mutex::new(Fate::Open),
        });
        // All names met already: nobody will ask.
        if let Some(group) = self.0.get_mut(&link.group) {
            group.first = Some(Arc::clone(&first));
        }
        first
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.0.len()
    }
}

/// A further name, waiting for the first one.
pub(super) struct Linking {
    pub(super) first: Arc<First>,
    pub(super) dir: Arc<Dir>,
    pub(super) listed: Listed,
}

impl Linking {
    /// Links; where that is not possible, the job that restores the name by itself.
    ///
    /// # Errors
    /// One that ends the restore.
    pub(super) fn link(self, task: &Task<'_>) -> Result<Option<Arc<Job>>> {
        let name = &self.listed.entry.name;
        let path = task.snapshot_path(&self.dir, name);
        let subject = || lossy(&self.dir.path_of(name));
        let identity = match self.first.fate() {
            Fate::Done(identity) => identity,
            Fate::Damaged => {
                let first = lossy(&self.first.dir.path_of(&self.first.name));
                let error =
                    Error::damage(format!("not restored: it shares its content with {first}"))
                        .subject(subject());
                task.report.unreadable(path, &error);
                if task.leaves_nothing_old() {
                    let _ = unlink(&self.dir, name);
                }
                return Ok(None);
            }
            // The first name stands in a place of its own with troubles of its own.
            Fate::Open | Fate::Failed => return Ok(Some(self.copy())),
        };
        let first = (&self.first.dir, &*self.first.name);
        let size = match self.listed.entry.node {
            Node::File { size, .. } => size,
            _ => 0,
        };
        match link(first, identity, &self.dir, name) {
            Ok(true) => {
                add(&task.report.restored, 1);
                task.restored_bytes(size);
            }
            Ok(false) => {
                add(&task.report.unchanged, 1);
                task.skip_bytes(size);
            }
            Err(error) if ends_everything(&error) => return Err(error),
            Err(error) => {
                let error = Error::new(Kind::Failed, "restored as a copy, not as a link")
                    .subject(subject())
                    .cause(error);
                task.report.problem(path, &error);
                return Ok(Some(self.copy()));
            }
        }
        task.progress.advance(1, 0);
        if task.options.verify {
            add(&task.report.verified, 1);
        }
        Ok(None)
    }

    fn copy(self) -> Arc<Job> {
        Arc::new(Job::new(self.dir, self.listed, Way::Write))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn a_group_is_forgotten_once_all_its_names_are_met() {
        let folder = tempfile::tempdir().unwrap();
        let dir = Dir::root(folder.path()).unwrap();
        let three = LinkGroup { group: 7, count: 3 };
        let other = LinkGroup { group: 8, count: 9 };
        let mut groups = Groups::default();
        assert!(groups.meet(three).is_none());
        groups.begin(three, &dir, b"a").decide(Fate::Damaged);
        assert!(groups.meet(other).is_none());
        assert!(groups.meet(other).is_none(), "the first was skipped");
        assert_eq!(groups.meet(three).unwrap().fate(), Fate::Damaged);
        assert_eq!(groups.len(), 2);
        assert_eq!(groups.meet(three).unwrap().name, b"a");
        assert_eq!(groups.len(), 1);
        groups.begin(three, &dir, b"late");
        assert_eq!(groups.len(), 1);
    }
}
