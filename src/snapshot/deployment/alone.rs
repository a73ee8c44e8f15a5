//! A server that stands alone: read as it is, which is not one point in time.
//!
//! Nobody tells what is written meanwhile. So all of it is read a second time when all was read once: where both come to the
//! same, nothing was written in between, and it is as if at one time. What differs is read once more, and named where it still
//! does. What is read again and is the same is not stored again.

use super::Capture;
use crate::error::Result;
use crate::format::deployment::{Collection, CollectionKind, Deployment, Moment};
use crate::source::mongo::catalogue;
use crate::source::mongo::reading::State;

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
            first.push(self.read_alone(own)?);
        }
        let mut all = Vec::new();
        let mut restless = Vec::new();
        for own in catalogue::list(self.server, self.selection)? {
            let second = self.read_alone(own.clone())?;
            if first.contains(&second) {
                all.push(second);
                continue;
            }
            let third = self.read_alone(own)?;
            if third != second {
                restless.push(third.namespace.clone());
            }
            all.push(third);
        }
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

    fn read_alone(&mut self, mut own: Collection) -> Result<Collection> {
        self.go_on()?;
        self.progress.current(own.namespace.as_bytes());
        let held = match own.kind {
            CollectionKind::Plain => Some(self.base(&own, State::Local)?),
            CollectionKind::Capped => {
                let capped = self.read_capped(&own, State::Local, 0)?;
                Some(self.store_capped(capped)?)
            }
            CollectionKind::View | CollectionKind::TimeSeries => None,
        };
        if let Some(held) = held {
            own.documents = held.documents;
            own.runs = held.runs;
        }
        Ok(own)
    }
}
