//! Snapshot names as people type them.
use crate::error::Result;
use crate::format::snapshot::Snapshot;
use crate::repository::Repository;

/// Which snapshots.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    pub hosts: Vec<String>,
    /** each: comma separated, all must be there */
    pub tags: Vec<String>,
    /** absolute raw paths, all must be among the snapshot's */
    pub paths: Vec<Vec<u8>>,
}

/// Snapshots that the filter keeps, oldest first.
pub fn list(_repository: &Repository, _filter: &Filter) -> Result<Vec<Snapshot>> {
    unimplemented!()
}

/// `latest`, `latest~2`, a prefix of the id (at least 4 digits), `@2026-11-20T14:00` (latest at or before; local time unless it says otherwise).
pub fn one(_repository: &Repository, _name: &str, _filter: &Filter) -> Result<Snapshot> {
    unimplemented!()
}

/// Splits `SNAP[:PATH]`; the path comes back absolute and raw.
pub fn split(name: &[u8]) -> (String, Option<Vec<u8>>) {
    let _ = name;
    unimplemented!()
}
