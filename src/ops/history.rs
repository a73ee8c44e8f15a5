//! Every version of one path.

use super::select::{self, Filter};
use crate::error::{Error, Kind, Result};
use crate::format::snapshot::Snapshot;
pub use crate::look::{Stretch, Version};
use crate::progress::Progress;
use crate::repository::Repository;

/// What stood at the path, and when.
#[derive(Debug, Clone)]
pub struct HistorySummary {
    /// The snapshots that were looked into, oldest first; indices in stretches are indices into this.
    pub snapshots: Vec<Snapshot>,
    /// For each host that had something there its stretches in order.
    pub hosts: Vec<(String, Vec<Stretch>)>,
}

/// Looks the absolute raw `path` up in every snapshot that the filter keeps; only pages on the way are read, and each
/// of them once.
///
/// # Errors
/// `NotFound` where it is in none of them, `Damage`, `Interrupted`.
pub fn run(
    repository: &Repository,
    path: &[u8],
    filter: &Filter,
    progress: &dyn Progress,
) -> Result<HistorySummary> {
    progress.phase("history");
    let snapshots = select::list(repository, filter)?;
    let hosts = crate::look::history(repository, &snapshots, path, progress)?;
    if hosts.is_empty() {
        return Err(Error::new(
            Kind::NotFound,
            "this path is in no snapshot that the filter keeps",
        )
        .subject(path.escape_ascii().to_string())
        .hint("`duramen find NAME` looks for a name at any place"));
    }
    Ok(HistorySummary { snapshots, hosts })
}
