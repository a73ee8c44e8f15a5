//! Which snapshots can be relied upon: whole, of a plausible size, and of a time that can be believed.

use std::collections::BTreeMap;

use super::group::{GroupKey, Grouping};
use crate::clock::Nanos;
use crate::format::snapshot::{Extent, PathBytes, Snapshot, State};
use crate::id::SnapshotId;

/// The tag by which a person says: this one is right as it is, partial or small as it may be.
pub const ACCEPTED: &str = "accepted";

const HOUR: Nanos = 3_600 * 1_000_000_000;
/// A snapshot further than this ahead of our clock has a time that cannot be believed: more than clocks of machines
/// that ask a time server ever differ.
const AHEAD_OF_NOW: Nanos = HOUR;
/// The same against the time at which the storage says the snapshot was put, and how much later than its time a
/// snapshot may have been put: a file system that keeps local time, or a clock in the wrong zone, is half a day off. A
/// client that lies gains a day by it, which it could have had by telling the truth.
const BESIDE_STORAGE: Nanos = 24 * HOUR;

/// Of both files and bytes less than one in so many left is abnormal: half of a source does not vanish unnoticed.
const FEW_OF_BOTH: u64 = 2;
/// Of files or bytes alone less than one in so many left is abnormal: one large file may go, or a cache of many small
/// ones, but what is left of a disk with large files that is not mounted can still be most of the names.
const FEW_OF_ONE: u64 = 10;
/// Fewer files than this may come and go in any proportion.
const FILES_FLOOR: u64 = 10;
/// Fewer files than this say nothing alone.
const FILES_FLOOR_ALONE: u64 = 100;
/// Fewer bytes than this say nothing alone.
const BYTES_FLOOR_ALONE: u64 = 16 << 20;

/// A living snapshot as retention sees it.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The snapshot.
    pub id: SnapshotId,
    /// The time that it stands for.
    pub time: Nanos,
    /// When it started.
    pub started: Nanos,
    /// Host name.
    pub host: String,
    /// Its paths.
    pub paths: Vec<PathBytes>,
    /// Its tags by now, sorted.
    pub tags: Vec<String>,
    /// Whether all that was asked for is in it.
    pub complete: bool,
    /// How much is in it.
    pub extent: Extent,
    /// When it was put, by the storage's clock, where that is known.
    pub stored: Option<Nanos>,
    /// Reasons to keep it whatever the rules say: holds, for one.
    pub pinned: Vec<String>,
    /// Whether the rules are for it; the others only show what is normal for their source.
    pub in_scope: bool,
}

impl Candidate {
    /// As recorded, with its tags by now; in scope, not pinned, its storage time unknown.
    #[must_use]
    pub fn of(snapshot: &Snapshot, tags: Vec<String>) -> Self {
        Self {
            id: snapshot.id,
            time: snapshot.time,
            started: snapshot.started,
            host: snapshot.host.clone(),
            paths: snapshot.paths.clone(),
            tags,
            complete: snapshot.state == State::Complete,
            extent: snapshot.extent(),
            stored: None,
            pinned: Vec::new(),
            in_scope: true,
        }
    }

    /// Older first; never equal.
    pub(super) fn order(&self) -> (Nanos, Nanos, SnapshotId) {
        (self.time, self.started, self.id)
    }

    /// The same host and set of paths.
    #[must_use]
    pub fn source(&self) -> GroupKey {
        GroupKey::of(self, Grouping::default())
    }
}

/// What keeps a snapshot from standing for its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// Something could not be read.
    Partial,
    /// It holds abnormally little.
    Shrunken(Shrunken),
    /// It was stored more than a day after its time: somebody may have made it up since.
    Late,
}

impl Flaw {
    /// In a few words.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Flaw::Partial => "partial".into(),
            Flaw::Shrunken(shrunken) => shrunken.words(),
            Flaw::Late => "stored long after its time".into(),
        }
    }
}

/// Abnormally little.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shrunken {
    /// What there is.
    pub now: Extent,
    /// The snapshot that shows what is normal; none for an empty one with none before it.
    pub before: Option<(SnapshotId, Extent)>,
}

impl Shrunken {
    /// In a few words.
    #[must_use]
    pub fn words(&self) -> String {
        let percent = |now: u64, before: u64| match before {
            0 => 100,
            _ => u128::from(now) * 100 / u128::from(before),
        };
        match self.before {
            _ if self.now.files == 0 => "empty".into(),
            Some((id, before)) => format!(
                "shrunken: {} % of the files and {} % of the bytes of {}",
                percent(self.now.files, before.files),
                percent(self.now.bytes, before.bytes),
                id.short()
            ),
            None => "shrunken".into(),
        }
    }

    /// Holds what there is against what is normal.
    fn judge(now: Extent, before: Option<(SnapshotId, Extent)>) -> Option<Self> {
        let few = |now: u64, before: u64, part: u64| now.saturating_mul(part) < before;
        let shrunken = match before {
            None => now.files == 0,
            Some((_, Extent { files, bytes })) => {
                let empty = now.files == 0 && files > 0;
                let both = files >= FILES_FLOOR
                    && few(now.files, files, FEW_OF_BOTH)
                    && few(now.bytes, bytes, FEW_OF_BOTH);
                let names = files >= FILES_FLOOR_ALONE && few(now.files, files, FEW_OF_ONE);
                let size = bytes >= BYTES_FLOOR_ALONE && few(now.bytes, bytes, FEW_OF_ONE);
                empty || both || names || size
            }
        };
        shrunken.then_some(Self { now, before })
    }
}

/// Rank of those whose time cannot be believed.
pub(super) const UNBELIEVED: usize = 4;

/// What is to be thought of one snapshot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judged {
    /// Why it takes nobody's place; nothing for a good one.
    pub flaws: Vec<Flaw>,
    /// Why its time cannot be believed.
    pub ahead: Option<&'static str>,
}

impl Judged {
    /// Whole, of a plausible size, of a time that can be believed.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.rank() == 0
    }

    /// How far it can be relied upon: 0 for a good one, then late, partial, abnormally little, and at last those whose
    /// time cannot be believed. One of a lower rank never gives way to one of a higher.
    #[must_use]
    pub fn rank(&self) -> usize {
        if self.ahead.is_some() {
            return UNBELIEVED;
        }
        let rank = |flaw: &Flaw| match flaw {
            Flaw::Late => 1,
            Flaw::Partial => 2,
            Flaw::Shrunken(_) => 3,
        };
        self.flaws.iter().map(rank).max().unwrap_or(0)
    }

    /// How little it holds, where that is abnormal.
    #[must_use]
    pub fn shrunken(&self) -> Option<Shrunken> {
        self.flaws.iter().find_map(|flaw| match flaw {
            Flaw::Shrunken(shrunken) => Some(*shrunken),
            _ => None,
        })
    }

    /// Its flaws in words.
    pub(super) fn words(&self) -> String {
        let words: Vec<String> = self.flaws.iter().map(Flaw::words).collect();
        words.join(", ")
    }
}

/// Judges every snapshot by those of its source that came before it; the answers stand in the order of `candidates`.
/// `now` is our clock.
#[must_use]
pub fn judge(candidates: &[Candidate], now: Nanos) -> Vec<Judged> {
    let mut order: Vec<usize> = (0..candidates.len()).collect();
    order.sort_by_key(|at| candidates[*at].order());
    // Of each source the newest of each rank by then, as far as their sizes are plausible.
    let mut newest: BTreeMap<GroupKey, [Option<usize>; 3]> = BTreeMap::new();
    let mut judged = vec![Judged::default(); candidates.len()];
    for at in order {
        let candidate = &candidates[at];
        let later_by = |than: Nanos| candidate.time.saturating_sub(than);
        if later_by(now) > AHEAD_OF_NOW {
            judged[at].ahead = Some("its time lies in the future");
            continue;
        }
        if candidate
            .stored
            .is_some_and(|stored| later_by(stored) > BESIDE_STORAGE)
        {
            judged[at].ahead = Some("its time is later than that at which it was stored");
            continue;
        }
        let newest = newest.entry(candidate.source()).or_default();
        // What was accepted is the new measure.
        if !candidate.tags.iter().any(|tag| tag == ACCEPTED) {
            let flaws = &mut judged[at].flaws;
            if !candidate.complete {
                flaws.push(Flaw::Partial);
            }
            let best = newest.iter().flatten().next();
            let before = best.map(|at| (candidates[*at].id, candidates[*at].extent));
            flaws.extend(Shrunken::judge(candidate.extent, before).map(Flaw::Shrunken));
            if candidate
                .stored
                .is_some_and(|stored| later_by(stored) < -BESIDE_STORAGE)
            {
                flaws.push(Flaw::Late);
            }
        }
        if let Some(of_rank) = newest.get_mut(judged[at].rank()) {
            *of_rank = Some(at);
        }
    }
    judged
}
