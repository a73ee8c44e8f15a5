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
use crate::repository::{Stretch, key_of};
use crate::source::mongo::oplog::Uuid;
use crate::source::mongo::reading::{self, Patience, RawId, State};
use crate::source::mongo::server::Asked;

/// Leaves of a range: some hundred documents.
const LEAVES: usize = 4;
/// About the most that is in a range.
const RANGE_BYTES: usize = 4 << 20;
/// Ranges at most, some three hundred thousand documents of 450 bytes.
const RANGES_MAX: usize = 4096;
/// So many draws in a row that meet what was drawn before: there is not much else.
const MISSES_MAX: u32 = 64;
/// Documents that are asked for by their `_id`s at once, and about how many bytes.
const IDS: usize = 500;
const BYTES: usize = 4 << 20;
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

    /// Takes a range unless it meets another; whether it did.
    fn add(&mut self, range: Range) -> bool {
        let at = self
            .ranges
            .partition_point(|own| (&own.uuid, &own.from) < (&range.uuid, &range.from));
        let meets =
            |own: &Range| own.uuid == range.uuid && own.from <= range.to && range.from <= own.to;
        let around = &self.ranges[at.saturating_sub(1)..(at + 1).min(self.ranges.len())];
        let meets = around.iter().any(meets);
        if !meets {
            self.ranges.insert(at, range);
        }
        !meets
    }
}

impl Capture<'_> {
    /// Chooses about so many documents of what is taken over. Whether all of it could be read; what could not is read anew.
    pub(super) fn choose(&mut self, wanted: u64) -> Result<bool> {
        let taken = self.held.iter().filter(|(_, held)| !held.fresh);
        let mut all: Vec<(Uuid, Sorted)> = taken
            .flat_map(|(uuid, held)| {
                let sorted = held.runs.iter().filter_map(|run| run.documents);
                sorted.map(|sorted| (*uuid, sorted))
            })
            .collect();
        let (mut chosen, mut well, mut misses) = (0, true, 0);
        for _ in 0..RANGES_MAX {
            let there: u64 = all.iter().map(|(_, own)| own.documents).sum();
            if chosen >= wanted || there == 0 || misses >= MISSES_MAX {
                break;
            }
            self.go_on()?;
            let mut number = u64::from_le_bytes(random::array()?) % there;
            let drawn = all.iter().find(|(_, own)| {
                let here = number < own.documents;
                number -= if here { 0 } else { own.documents };
                here
            });
            let Some((uuid, own)) = drawn.copied() else {
                break;
            };
            match self.range(&uuid, &own, number) {
                Ok((range, documents)) => {
                    if self.sample.add(range) {
                        (chosen, misses) = (chosen + documents, 0);
                    } else {
                        misses += 1;
                    }
                }
                Err(error) if error.kind() == Kind::Damage => {
                    self.read_anew(&uuid, &error);
                    all.retain(|(own, _)| *own != uuid);
                    well = false;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(well)
    }

    /// The range that begins with the leaf of a run in which the document of that number lies; how many documents are in it.
    fn range(&self, uuid: &Uuid, of: &Sorted, number: u64) -> Result<(Range, u64)> {
        let Stretch { first, last } = self.repository.stretch_at(of, number, LEAVES)?;
        let mut range = Range {
            uuid: *uuid,
            first: reading::id_of(Document::whole(&first.bytes)?)?,
            last: reading::id_of(Document::whole(&last.bytes)?)?,
            from: first.key,
            to: last.key,
            touched: HashSet::new(),
        };
        // Between two documents of a run of few there may be all of a run of many.
        let runs = self.held.get(uuid).map(|held| &held.runs[..]);
        let within = Some((&range.from[..], &range.to[..]));
        let (mut documents, mut bytes, mut end) = (0, 0, None);
        for own in self
            .repository
            .newest_within(runs.unwrap_or_default(), within)
        {
            let (own, there) = own?;
            documents += u64::from(there);
            bytes += own.bytes.len();
            if bytes > RANGE_BYTES {
                end = Some(own);
                break;
            }
        }
        if let Some(end) = end {
            range.last = reading::id_of(Document::whole(&end.bytes)?)?;
            range.to = end.key;
        }
        Ok((range, documents))
    }

    /// Forgets what is held of a collection, of which something is damaged.
    fn read_anew(&mut self, uuid: &Uuid, error: &Error) {
        self.progress
            .note(&format!("a collection is read anew: {error}"));
        self.held.remove(uuid);
    }

    /// Holds what was chosen against the server as it was at that time. Whether nothing differs; what does is read anew. Where
    /// the server does not remember that time any more, the rest is left for the next.
    pub(super) fn scrub(&mut self, listed: &[Collection], at: Position) -> Asked<bool> {
        let mut well = true;
        while let Some(range) = self.sample.ranges.pop() {
            self.go_on()?;
            let of = listed.iter().find(|own| own.uuid == Some(range.uuid));
            let held = self.held.get(&range.uuid).filter(|held| !held.fresh);
            let (Some(of), Some(held)) = (of, held) else {
                continue;
            };
            // What this snapshot stored is not to be read yet.
            let compared = self.compare(of, &held.runs[held.new..], &range, at);
            let (looked, differing) = match compared {
                Ok(compared) => compared,
                Err(refusal) if refusal.error.kind() == Kind::Damage => {
                    self.read_anew(&range.uuid, &refusal.error);
                    well = false;
                    continue;
                }
                Err(refusal) => {
                    self.sample.ranges.push(range);
                    return Err(refusal);
                }
            };
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
        // Perhaps they only stand elsewhere in the server's order, or behind what was read at once.
        let mut rest = stored.iter().peekable();
        while rest.peek().is_some() {
            self.go_on()?;
            let (mut ids, mut bytes, mut some) = (Vec::new(), 0, Vec::new());
            while ids.len() < IDS
                && bytes < BYTES
                && let Some((key, document)) = rest.next()
            {
                ids.push(reading::id_of(Document::whole(document)?)?);
                bytes += document.len();
                some.push((key, document));
            }
            let found = reading::some(self.server, of, &ids, state, usize::MAX, &mut patience)?;
            let found: HashSet<Vec<u8>> = found.into_iter().flatten().collect();
            looked += some.len() as u64;
            let missing = some
                .iter()
                .filter(|(_, document)| !found.contains(*document));
            differing += missing.count() as u64;
        }
        Ok((looked, differing))
    }
}
