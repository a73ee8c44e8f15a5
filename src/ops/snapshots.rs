//! Snapshots with what is known and to be thought of each.

use std::collections::{HashMap, HashSet};

use super::recorded::{Recorded, SetName, name_of, recorded};
use super::select::{self, Filter};
use crate::clock::Nanos;
use crate::error::{Error, Result};
use crate::format::slice::Slice;
use crate::format::snapshot::Snapshot;
use crate::id::SnapshotId;
use crate::repository::{Facts, Repository, Standing};
use crate::retention::{Candidate, judge};
pub use crate::retention::{Flaw, Judged};

/// A snapshot as lists show it.
#[derive(Debug, Clone)]
pub struct Known {
    /// The record.
    pub snapshot: Snapshot,
    /// What was said of it since.
    pub facts: Facts,
    /// Whether it can be relied upon.
    pub judged: Judged,
}

/// Which of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// Those that stay.
    Living,
    /// Those that are to go and can still be taken back.
    Forgotten,
}

impl Which {
    fn is(self, facts: &Facts) -> bool {
        (facts.standing == Standing::Forgotten) == (self == Which::Forgotten)
    }
}

/// Snapshots that the filter keeps, oldest first, and the records that cannot be read.
///
/// # Errors
/// Whatever the storage says.
pub fn run(
    repository: &Repository,
    filter: &Filter,
    which: Which,
) -> Result<(Vec<Known>, Vec<Error>)> {
    let (mut standing, broken) = select::standing(repository)?;
    standing.retain(|(_, facts)| which.is(facts));
    let candidates = candidates(&standing, &repository.snapshot_stored()?);
    let judged = judge(&candidates, repository.environment().clock.now());
    let known = standing
        .into_iter()
        .zip(judged)
        .map(|((snapshot, facts), judged)| Known {
            snapshot,
            facts,
            judged,
        })
        .filter(|known| filter.keeps(&known.snapshot, &known.facts))
        .collect();
    Ok((known, broken))
}

/// Of each replica set the time of the oldest snapshot that stays.
fn oldest_bases(standing: &[(Snapshot, Facts)]) -> HashMap<SetName, u64> {
    let living = standing
        .iter()
        .filter(|(_, facts)| facts.standing == Standing::Living)
        .map(|(snapshot, _)| snapshot.clone());
    let all = recorded(&living.collect::<Vec<_>>());
    let oldest = |own: &Recorded| own.moments.first().map(|(at, _)| at.time);
    all.iter()
        .filter_map(|(name, own)| Some((name.clone(), oldest(own)?)))
        .collect()
}

/// Whether a stretch of an oplog is of any use: there is an older snapshot to do it to.
fn leads_on(bases: &HashMap<SetName, u64>, snapshot: &Snapshot, slice: &Slice) -> bool {
    let name = name_of(snapshot, &slice.set, &slice.address);
    bases.get(&name).is_some_and(|base| *base < slice.to.time)
}

/// As retention sees them, in the same order.
pub(super) fn candidates(
    standing: &[(Snapshot, Facts)],
    stored: &HashMap<SnapshotId, Nanos>,
) -> Vec<Candidate> {
    let bases = oldest_bases(standing);
    let living = |facts: &Facts| facts.standing == Standing::Living;
    let undone: HashSet<SnapshotId> = standing
        .iter()
        .filter(|(_, facts)| living(facts))
        .filter_map(|(snapshot, _)| Some(snapshot.undo()?.source))
        .collect();
    standing
        .iter()
        .map(|(snapshot, facts)| {
            let mut candidate = Candidate::of(snapshot, facts.tags(snapshot));
            if !snapshot.shows()
                && snapshot
                    .slices()
                    .any(|slice| leads_on(&bases, snapshot, slice))
            {
                candidate
                    .pinned
                    .push("leads on from an older snapshot to any second".into());
            }
            let was = snapshot.original();
            if undone.contains(&snapshot.id) || was.is_some_and(|was| undone.contains(&was)) {
                let why = "a restore of it can be taken back";
                candidate.pinned.push(why.into());
            }
            candidate.stored = stored.get(&snapshot.id).copied();
            let holds = facts.holds.iter().map(|(_, why)| format!("held: {why}"));
            candidate.pinned.extend(holds);
            if facts.unclear {
                candidate
                    .pinned
                    .push("something said of it cannot be read".into());
            }
            candidate
        })
        .collect()
}
