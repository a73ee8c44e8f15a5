//! Reading all of a collection.

use super::{Capture, Held};
use crate::format::deployment::Collection;
use crate::format::run::Run;
use crate::repository::key_of;
use crate::snapshot::documents::RunBuilder;
use crate::source::mongo::reading::State;
use crate::source::mongo::server::Asked;

impl Capture<'_> {
    /// Reads a collection by its `_id`. Nearly all of it comes in our own order; what does not (numbers of two kinds, strings by a collation) is set aside, sorted, and becomes a run
    /// of its own.
    pub(super) fn base(&mut self, of: &Collection, state: State) -> Asked<Held> {
        let mut straight = RunBuilder::new(self.cutter);
        let mut aside = self.sorter();
        self.each(of, state, &mut |own, document| {
            let key = key_of(document)?;
            match straight.may_follow(&key) {
                true => straight.push(&mut own.putter, key, document),
                false => aside.push(key, document.bytes().to_vec()),
            }
        })?;
        self.collections_read += 1;
        let mut runs = Vec::new();
        if !aside.is_empty() {
            let documents = self.sorted_run(aside)?;
            runs.push(Run {
                documents,
                ..Run::default()
            });
        }
        let documents = straight.finish(&mut self.putter)?;
        if documents.is_some() {
            runs.push(Run {
                documents,
                ..Run::default()
            });
        }
        let counted = runs.iter().filter_map(|run| run.documents);
        let new = runs.len();
        Ok(Held {
            documents: Some(counted.map(|sorted| sorted.documents).sum()),
            runs,
            fresh: true,
            new,
            since: match state {
                State::Majority { after } => after,
                State::Snapshot { .. } | State::Local => 0,
            },
        })
    }
}
