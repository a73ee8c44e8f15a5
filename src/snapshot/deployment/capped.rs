//! Capped collections: documents in the order of their insertion, the oldest of which go when room is short.
//!
//! The server reads them at no time of the past. So all of one is read, as it is, and what the oplog says came and went since
//! is applied to it: nothing else happens to a capped collection as a rule, and where it does (an update) it is read anew.
//! What is stored are not the documents but each with its place in the order, which stays what it was as long as
//! the document is there: a night's additions are a few leaves more.

use std::collections::HashSet;

use super::{Capture, Held};
use crate::error::Result;
use crate::format::bson::{Document, Element};
use crate::format::deployment::Collection;
use crate::format::document_key::key;
use crate::format::placed::{placed, unplaced};
use crate::format::run::Run;
use crate::repository::key_of;
use crate::snapshot::documents::RunBuilder;
use crate::snapshot::sorter::Sorter;
use crate::source::mongo::oplog::{How, Uuid};
use crate::source::mongo::reading::State;
use crate::source::mongo::scan::{Order, scan};
use crate::source::mongo::server::Asked;

/// So many documents that came or went while it was read are remembered; where it is more, it is read anew.
const CHANGES_MAX: usize = 1 << 18;

/// A capped collection that was read.
pub(super) struct Capped {
    uuid: Uuid,
    /// What happened up to that time was done when it was read.
    since: u64,
    /// Documents by their place.
    documents: Sorter,
    /// Keys of what came since: it may have been read already.
    came: HashSet<Vec<u8>>,
    /// Keys of what went since.
    went: HashSet<Vec<u8>>,
    lost: bool,
}

impl Capped {
    /// Something happened to a document at that time.
    pub(super) fn touch(&mut self, time: u64, id: &Element<'_>, how: How<'_>) -> Result<()> {
        if time <= self.since {
            return Ok(());
        }
        let key = key(id);
        match how {
            // A document that went and came back has another place.
            How::Came(Some(document)) if !self.went.contains(&key) => {
                self.append(document)?;
                self.came.insert(key);
            }
            How::Went => drop(self.went.insert(key)),
            _ => self.lost = true,
        }
        self.lost |= self.came.len() + self.went.len() > CHANGES_MAX;
        Ok(())
    }

    /// Whether its order cannot be told any more.
    pub(super) fn is_lost(&self) -> bool {
        self.lost
    }

    fn append(&mut self, document: Document<'_>) -> Result<()> {
        let place = self.documents.len();
        self.documents
            .push(rising(place), document.bytes().to_vec())
    }
}

/// Sorts as the number does.
fn rising(place: u64) -> Vec<u8> {
    let mut bytes = place.to_le_bytes();
    bytes.reverse();
    bytes.to_vec()
}

impl Capture<'_> {
    /// Reads all of it in the order of insertion. What happened up to `since` is in it.
    pub(super) fn read_capped(
        &mut self,
        of: &Collection,
        state: State,
        since: u64,
    ) -> Asked<Capped> {
        let (progress, session, repository) = (self.progress, self.session, self.repository);
        let mut failures = 0;
        loop {
            let mut capped = Capped {
                uuid: of.uuid.unwrap_or_default(),
                since,
                documents: self.sorter(),
                came: HashSet::new(),
                went: HashSet::new(),
                lost: false,
            };
            let order = Order::Inserted;
            let read = scan(self.server, of, order, state, progress, &mut |batch| {
                progress.go_on()?;
                session.renew_when_due(repository)?;
                for document in batch.documents()? {
                    capped.append(document?)?;
                }
                Ok(())
            });
            match read {
                Ok(()) => {
                    capped.documents.lay_by()?;
                    return Ok(capped);
                }
                // There is no place in it to go on from.
                Err(refusal) if refusal.transient && failures < 5 => failures += 1,
                Err(refusal) => return Err(refusal),
            }
        }
    }

    /// Stores what is there now, each document with its place.
    pub(super) fn store_capped(&mut self, capped: Capped) -> Result<Held> {
        self.collections_read += 1;
        let before = self.before.remove(&capped.uuid).unwrap_or_default();
        let mut builder = RunBuilder::new(self.cutter);
        let mut place: Option<u64> = None;
        let mut seen = HashSet::new();
        for record in capped.documents.sorted()? {
            self.go_on()?;
            let document = record?.1;
            let document = Document::whole(&document)?;
            let key = key_of(document)?;
            let again = capped.came.contains(&key) && !seen.insert(key.clone());
            if again || capped.went.contains(&key) {
                continue;
            }
            let here = match place {
                Some(last) => last + 1,
                None => self.place(&before, document)?,
            };
            place = Some(here);
            self.read(document);
            let placed = placed(here, document);
            let placed = Document::whole(&placed)?;
            builder.push(&mut self.putter, key_of(placed)?, placed)?;
        }
        let documents = builder.finish(&mut self.putter)?;
        Ok(Held {
            documents: Some(documents.map_or(0, |sorted| sorted.documents)),
            runs: documents
                .map(|sorted| Run {
                    documents: Some(sorted),
                    ..Run::default()
                })
                .into_iter()
                .collect(),
            fresh: true,
            new: usize::from(documents.is_some()),
            since: capped.since,
        })
    }

    /// The place of the first document: the one that it had in the parent, or behind all that were there.
    fn place(&self, before: &[Run], first: Document<'_>) -> Result<u64> {
        let mut next = 0;
        for stored in self.repository.collection(before) {
            self.go_on()?;
            // What is damaged there only costs room.
            let Ok(stored) = stored else {
                break;
            };
            let (place, document) = unplaced(Document::whole(&stored.bytes)?)?;
            if document == first {
                return Ok(place);
            }
            next = place + 1;
        }
        Ok(next)
    }
}
