//! Reading all of a collection.

use crossbeam_channel::bounded;

use super::{Capture, Held};
use crate::error::{Error, Kind};
use crate::format::deployment::Collection;
use crate::format::run::Run;
use crate::repository::key_of;
use crate::snapshot::documents::RunBuilder;
use crate::source::mongo::lag::Lag;
use crate::source::mongo::reading::{self, State};
use crate::source::mongo::server::{Asked, Batch};

/// Batches between whoever asks the server and whoever stores: one, for each may be 16 MiB.
const AHEAD: usize = 1;

impl Capture<'_> {
    /// Reads a collection by its `_id`. Nearly all of it comes in our own order; what does not (numbers of two kinds,
    /// strings by a collation) is set aside, sorted, and becomes a run of its own.
    pub(super) fn base(&mut self, of: &Collection, state: State) -> Asked<Held> {
        let (server, progress, cutter) = (self.server, self.progress, self.cutter);
        let mut straight = RunBuilder::new(cutter);
        let mut aside = self.sorter();
        let read = std::thread::scope(|scope| {
            let (send, batches) = bounded::<Batch>(AHEAD);
            let reader = scope.spawn(move || {
                let mut lag = Lag::default();
                reading::scan(server, of, false, state, progress, &mut |batch| {
                    // What is read at one time must be read soon.
                    if matches!(state, State::Majority { .. }) {
                        lag.give_way(server, progress)?;
                    }
                    let gone = |_| Error::new(Kind::Failed, "the snapshot has stopped");
                    send.send(batch).map_err(gone)
                })
            });
            let mut store = || -> Result<(), Error> {
                for batch in &batches {
                    self.go_on()?;
                    for document in batch.documents()? {
                        let document = document?;
                        self.read(document);
                        let key = key_of(document)?;
                        if straight.may_follow(&key) {
                            straight.push(&mut self.putter, key, document)?;
                        } else {
                            aside.push(key, document.bytes().to_vec())?;
                        }
                    }
                }
                Ok(())
            };
            let stored = store();
            // What waits for room would wait for ever.
            drop(batches);
            let read = reader
                .join()
                .unwrap_or_else(|_| Err(Error::new(Kind::Failed, "the reader died").into()));
            // An error of ours is what happened; the reader's is then only its echo.
            stored.map_err(Into::into).and(read)
        });
        read?;
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
