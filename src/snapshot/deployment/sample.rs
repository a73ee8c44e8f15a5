//! A sample of what is taken over unread, held against the server: did the oplog tell of everything?
//!
//! Ranges of documents are chosen at random in what the parent holds. At the time of the snapshot each must be on the server
//! as it is stored, but for the documents that were touched. Where one is not, somebody changed it behind the oplog's back,
//! and the whole collection is read anew.

use std::collections::{BTreeMap, HashSet};

use super::Capture;
use crate::crypto::random;
use crate::error::{Error, Kind, Result};
use crate::format::bson::Document;
use crate::format::deployment::{Collection, Position};
use crate::format::run::{Run, Sorted};
use crate::repository::key_of;
use crate::source::mongo::oplog::Uuid;
use crate::source::mongo::reading::{self, Patience, RawId, State};
use crate::source::mongo::server::Asked;

/// Leaves of a range: some hundred documents.
const LEAVES: usize = 4;
/// Ranges at most.
const RANGES_MAX: usize = 4096;
/// Of a range into which more documents than these came, no more are looked at.
const FOUND_MAX: i32 = 50_000;

/// What is held against the server.
#[derive(Default)]
pub(super) struct Sample {
    ranges: Vec<Range>,
    /// Documents that were compared.
    pub(super) documents: u64,
    /// Of them, those that were not as they are stored.
    pub(super) differing: u64,
}

/// Documents of one collection, from one key up to and with another.
struct Range {
    uuid: Uuid,
    from: Vec<u8>,
    to: Vec<u8>,
    first: RawId,
    last: RawId,
    /// Those that are known to have changed.
    touched: HashSet<Vec<u8>>,
}

impl Sample {
    /// Whether a document may differ is heard before its range is compared.
    pub(super) fn hear(&mut self, uuid: &Uuid, key: &[u8]) {
        let at = self
            .ranges
            .partition_point(|own| (&own.uuid, &own.from[..]) <= (uuid, key));
        let own = at.checked_sub(1).and_then(|at| self.ranges.get_mut(at));
        if let Some(own) = own.filter(|own| own.uuid == *uuid && *key <= own.to[..]) {
            own.touched.insert(key.to_vec());
        }
    }

    /// Takes a range that meets no other.
    fn add(&mut self, range: Range) {
        let at = self
            .ranges
            .partition_point(|own| (&own.uuid, &own.from) < (&range.uuid, &range.from));
        let before = at.checked_sub(1).and_then(|at| self.ranges.get(at));
        let around = [before, self.ranges.get(at)].into_iter().flatten();
        let meets =
            |own: &Range| own.uuid == range.uuid && own.from <= range.to && range.from <= own.to;
        if !around.into_iter().any(meets) {
            self.ranges.insert(at, range);
        }
    }
}

/// The largest run.
fn base(runs: &[Run]) -> Option<&Sorted> {
    let sorted = runs.iter().filter_map(|run| run.documents.as_ref());
    sorted.max_by_key(|sorted| sorted.documents)
}

impl Capture<'_> {
    /// Chooses about so many documents of what is taken over. Whether all of it could be read; what could not is read anew.
    pub(super) fn choose(&mut self, wanted: u64) -> Result<bool> {
        let taken = self.held.iter().filter(|(_, held)| !held.fresh);
        let mut bases: Vec<(Uuid, Sorted)> = taken
            .filter_map(|(uuid, held)| Some((*uuid, *base(&held.runs)?)))
            .collect();
        bases.sort_unstable_by_key(|(uuid, _)| *uuid);
        let all: u64 = bases.iter().map(|(_, own)| own.documents).sum();
        let (mut chosen, mut well) = (0, true);
        if wanted >= all {
            for (uuid, own) in &bases {
                let mut number = 0;
                while number < own.documents
                    && let Some(documents) = self.take_range(uuid, own, number)?
                {
                    number += documents;
                }
                well &= self.held.contains_key(uuid);
            }
            return Ok(well);
        }
        for _ in 0..RANGES_MAX {
            if chosen >= wanted {
                break;
            }
            let mut number = u64::from_le_bytes(random::array()?) % all;
            for (uuid, own) in &bases {
                if number < own.documents {
                    chosen += self.take_range(uuid, own, number)?.unwrap_or_default();
                    well &= self.held.contains_key(uuid);
                    break;
                }
                number -= own.documents;
            }
        }
        Ok(well)
    }

    /// Takes the range in which the document of that number lies; how many documents are in it. What cannot be read is given up.
    fn take_range(&mut self, uuid: &Uuid, of: &Sorted, number: u64) -> Result<Option<u64>> {
        self.go_on()?;
        let stretch = match self.repository.stretch_at(of, number, LEAVES) {
            Ok(stretch) => stretch,
            Err(error) => {
                self.progress
                    .note(&format!("a collection is read anew: {error}"));
                self.held.remove(uuid);
                return Ok(None);
            }
        };
        let (first, last) = (stretch.first, stretch.last);
        self.sample.add(Range {
            uuid: *uuid,
            first: reading::id_of(Document::whole(&first.bytes)?)?,
            last: reading::id_of(Document::whole(&last.bytes)?)?,
            from: first.key,
            to: last.key,
            touched: HashSet::new(),
        });
        Ok(Some(stretch.documents))
    }

    /// Holds what was chosen against the server as it was at that time. Whether nothing differs; what does is read anew.
    pub(super) fn scrub(&mut self, listed: &[Collection], at: Position) -> Asked<bool> {
        let mut well = true;
        for range in std::mem::take(&mut self.sample.ranges) {
            self.go_on()?;
            let of = listed.iter().find(|own| own.uuid == Some(range.uuid));
            let held = self.held.get(&range.uuid).filter(|held| !held.fresh);
            let (Some(of), Some(held)) = (of, held) else {
                continue;
            };
            // What this snapshot stored is not to be read yet.
            let (looked, differing) = self.compare(of, &held.runs[held.new..], &range, at)?;
            self.sample.documents += looked;
            self.sample.differing += differing;
            if differing > 0 {
                let what = format!(
                    "{differing} of {looked} documents are not on the server as they are stored, and nothing told of a change: \
                     all are read anew, and earlier snapshots may be wrong"
                );
                self.progress
                    .problem(&Error::new(Kind::Failed, what).subject(&of.namespace));
                self.held.remove(&range.uuid);
                well = false;
            }
        }
        Ok(well)
    }

    /// How many documents of a range were compared, and how many of them differ that nobody touched.
    fn compare(
        &self,
        of: &Collection,
        runs: &[Run],
        range: &Range,
        at: Position,
    ) -> Asked<(u64, u64)> {
        let state = State::Snapshot { at: at.time };
        let mut patience = Patience::new(self.progress);
        let mut stored = BTreeMap::new();
        let within = Some((&range.from[..], &range.to[..]));
        for own in self.repository.newest_within(runs, within) {
            let (own, there) = own?;
            if there && !range.touched.contains(&own.key) {
                stored.insert(own.key, own.bytes);
            }
        }
        let (mut looked, mut differing) = (0, 0);
        let ends = (&range.first, &range.last);
        let found = reading::between(self.server, of, ends, state, FOUND_MAX, &mut patience)?;
        for document in found {
            let key = key_of(Document::whole(&document)?)?;
            // The server's order may be another one than ours.
            if key < range.from || key > range.to || range.touched.contains(&key) {
                continue;
            }
            looked += 1;
            differing += u64::from(stored.remove(&key).as_ref() != Some(&document));
        }
        // Perhaps they only stand elsewhere in the server's order.
        for document in stored.values() {
            let id = [reading::id_of(Document::whole(document)?)?];
            let found = reading::some(self.server, of, &id, state, usize::MAX, &mut patience)?;
            looked += 1;
            let same = found.iter().flatten().any(|found| found == document);
            differing += u64::from(!same);
        }
        Ok((looked, differing))
    }
}
