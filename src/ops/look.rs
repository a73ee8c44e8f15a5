//! Looking into a snapshot.
use crate::error::Result;
use crate::format::snapshot::Snapshot;
use crate::repository::{Listed, Repository};

/// Calls `each` with the absolute raw path of every entry at and below `path` (directories before their members, sorted); not below subdirectories unless `recursive`.
pub fn ls(
    _repository: &Repository,
    _snapshot: &Snapshot,
    _path: Option<&[u8]>,
    _recursive: bool,
    _each: &mut dyn FnMut(&[u8], &Listed) -> Result<()>,
) -> Result<()> {
    unimplemented!()
}
