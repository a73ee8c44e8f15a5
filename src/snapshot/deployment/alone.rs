//! A server that stands alone: read as it is, which is not one point in time.
//!
//! Nobody tells what is written meanwhile. So all of it is read a second time when all was read once: where both come to the
//! same, nothing was written in between, and it is as if at one time. What differs is read once more, and named where it still
//! does. What is read again and is the same is not stored again.

use super::Capture;
use crate::error::Result;
use crate::format::deployment::{Collection, CollectionKind, Deployment, Moment};
use crate::source::mongo::catalogue;
use crate::source::mongo::reading::{self, State};

/// Namespaces that are named in a note; the others are counted.
const NAMED_MAX: usize = 10;

impl Capture<'_> {
    /// All of it, read twice.
    pub(super) fn alone(&mut self) -> Result<Deployment> {
        self.progress.note(
            "the server stands alone: what is written while it is read may be there or not, it is not one point in time",
        );
        let from = self.now();
        let mut first = Vec::new();
        for own in catalogue::list(self.server, self.selection)? {
            first.extend(self.read_alone(own)?);
        }
        // What is read again is no more than what there is.
        let once = (self.collections_read, self.documents_read, self.counters);
        let mut all = Vec::new();
        let mut restless = Vec::new();
        for own in catalogue::list(self.server, self.selection)? {
            let namespace = own.namespace.clone();
            let second = self.read_alone(own.clone())?;
            if second.as_ref().is_some_and(|second| first.contains(second)) {
                all.extend(second);
                continue;
            }
            let third = self.read_alone(own)?;
            if third != second {
                restless.push(namespace);
            }
            all.extend(third);
        }
        (self.collections_read, self.documents_read, self.counters) = once;
        let same = first == all;
        self.progress.note(&match (same, restless.len()) {
            (true, _) => "all of it was read twice and was the same both times".to_owned(),
            (false, 0) => "something was written between two readings; each collection was read until it stayed the same".to_owned(),
            (false, count) => {
                let named = restless.iter().take(NAMED_MAX).cloned();
                let named = named.collect::<Vec<_>>().join(", ");
                let more = match count.saturating_sub(NAMED_MAX) {
                    0 => String::new(),
                    more => format!(" and {more} more"),
                };
                format!("written to while they were read, three times: {named}{more}")
            }
        });
        let to = self.now();
        self.deployment(String::new(), Moment::Between { from, to }, all)
    }

    /// Reads a collection; none where it went meanwhile.
    fn read_alone(&mut self, mut own: Collection) -> Result<Option<Collection>> {
        self.go_on()?;
        self.progress.current(own.namespace.as_bytes());
        let held = match own.kind {
            CollectionKind::Plain => self.base(&own, State::Local).map(Some),
            CollectionKind::Capped => match self.read_capped(&own, State::Local, 0) {
                Ok(capped) => Ok(Some(self.store_capped(capped)?)),
                Err(refusal) => Err(refusal),
            },
            CollectionKind::View | CollectionKind::TimeSeries => Ok(None),
        };
        match held {
            Ok(Some(held)) => {
                own.documents = held.documents;
                own.runs = held.runs;
            }
            Ok(None) => {}
            Err(refusal) if reading::is_change(&refusal) => return Ok(None),
            Err(refusal) => return Err(refusal.error),
        }
        Ok(Some(own))
    }
}
