//! Which moments of a replica set can be had back.

use super::recorded::{Recorded, recorded};
use super::select::{self, Filter};
use crate::clock::Nanos;
use crate::error::{Error, Result};
use crate::repository::Repository;

/// From one moment to another, in nanoseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// The first moment.
    pub from: Nanos,
    /// Where it ends: the last second before it can be had.
    pub to: Nanos,
}

/// What can be had back of one replica set.
#[derive(Debug, Clone)]
pub struct Timeline {
    /// The host that took it.
    pub host: String,
    /// Its name.
    pub set: String,
    /// Its address.
    pub address: String,
    /// Any second within these can be had; one without length is a snapshot alone.
    pub ranges: Vec<Range>,
    /// What lies between them.
    pub gaps: Vec<Range>,
    /// Moments that snapshots show.
    pub snapshots: Vec<(Nanos, crate::id::SnapshotId)>,
    /// Stretches of the oplog.
    pub slices: u64,
    /// Entries in them.
    pub entries: u64,
    /// Their bytes, before compression; what is in two stretches counts twice.
    pub bytes: u64,
}

fn nanos(seconds: u64) -> Nanos {
    Nanos::try_from(seconds)
        .unwrap_or(Nanos::MAX)
        .saturating_mul(1_000_000_000)
}

/// The timelines of all replica sets in the snapshots that the filter keeps, and the records that cannot be read.
///
/// # Errors
/// Whatever the storage says.
pub fn run(repository: &Repository, filter: &Filter) -> Result<(Vec<Timeline>, Vec<Error>)> {
    let (snapshots, broken) = select::list_readable(repository, filter)?;
    let all = recorded(&snapshots);
    let timelines = all
        .into_iter()
        .map(|((host, set, address), own)| timeline([host, set, address], &own));
    Ok((timelines.collect(), broken))
}

fn timeline([host, set, address]: [String; 3], own: &Recorded) -> Timeline {
    let range = |from: u64, to: u64| Range {
        from: nanos(from),
        to: nanos(to),
    };
    let ranges = own.ranges();
    let between = ranges.windows(2).map(|pair| range(pair[0].1, pair[1].0));
    let entries = own.slices.iter().filter_map(|(slice, _)| slice.entries);
    Timeline {
        host,
        set,
        address,
        gaps: between.collect(),
        ranges: ranges.iter().map(|(from, to)| range(*from, *to)).collect(),
        snapshots: own
            .moments
            .iter()
            .map(|(at, id)| (nanos(at.time >> 32), *id))
            .collect(),
        slices: own.slices.len() as u64,
        entries: entries.clone().map(|sorted| sorted.documents).sum(),
        bytes: entries.map(|sorted| sorted.bytes).sum(),
    }
}
