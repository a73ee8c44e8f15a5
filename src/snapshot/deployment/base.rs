//! Reading all of a collection.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};

use super::pass::gone;
use super::{Capture, Held};
use crate::error::{Error, Kind, Result};
use crate::format::bson::Document;
use crate::format::deployment::Collection;
use crate::format::run::Run;
use crate::repository::key_of;
use crate::snapshot::documents::RunBuilder;
use crate::source::mongo::lag::Lag;
use crate::source::mongo::reading::State;
use crate::source::mongo::scan::{Order, Segment, scan, segments};
use crate::source::mongo::server::{Asked, Batch};

/// Segments that are read at once.
const READERS: usize = 4;
/// Segments that wait for whoever stores, or are read meanwhile: more than are read at once, for one that is read waits until
/// those before it are stored.
const SEGMENTS_AHEAD: usize = 2 * READERS;
/// Batches of a segment that wait, of at most about 8 MiB each: all of most segments, and their end.
const BATCHES_AHEAD: usize = 2;

/// The next of a segment: some documents, or its end.
type Read = Asked<Option<Batch>>;

/// A segment on its way.
struct Question {
    segment: Segment,
    answer: Sender<Read>,
}

impl Capture<'_> {
    /// Reads a collection by its `_id`, segment after segment, of which the next few are read ahead. Nearly all of it comes in
    /// our own order; what does not (numbers of two kinds, strings by a collation) is set aside, sorted, and becomes a run
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

    /// Hands over all documents of a collection.
    fn each(
        &mut self,
        of: &Collection,
        state: State,
        take: &mut dyn FnMut(&mut Self, Document<'_>) -> Result<()>,
    ) -> Asked<()> {
        let (server, progress) = (self.server, self.progress);
        let segments = segments(server, of)?;
        let readers = segments.len().min(READERS);
        let lag = Mutex::new(Lag::default());
        let read = |segment: &Segment, answer: &Sender<Read>| {
            scan(
                server,
                of,
                Order::ById(segment),
                state,
                progress,
                &mut |batch| {
                    // What is read at one time must be read soon.
                    if matches!(state, State::Majority { .. }) {
                        let mut lag = lag.lock().unwrap_or_else(PoisonError::into_inner);
                        lag.give_way(server, progress)?;
                    }
                    let stopped = |_| Error::new(Kind::Failed, "the snapshot has stopped");
                    answer.send(Ok(Some(batch))).map_err(stopped)
                },
            )
        };
        std::thread::scope(|scope| {
            let (questions, to_read) = unbounded::<Question>();
            for _ in 0..readers {
                let (to_read, read) = (to_read.clone(), &read);
                scope.spawn(move || {
                    for Question { segment, answer } in to_read {
                        let end = read(&segment, &answer).map(|()| None);
                        // Nobody waits for it where something else failed.
                        let _ = answer.send(end);
                    }
                });
            }
            let mut segments = segments.into_iter();
            let mut ahead: VecDeque<Receiver<Read>> = VecDeque::new();
            loop {
                while ahead.len() < SEGMENTS_AHEAD
                    && let Some(segment) = segments.next()
                {
                    let (answer, batches) = bounded(BATCHES_AHEAD);
                    let question = Question { segment, answer };
                    questions.send(question).map_err(|_| gone())?;
                    ahead.push_back(batches);
                }
                let Some(batches) = ahead.pop_front() else {
                    return Ok(());
                };
                while let Some(batch) = batches.recv().map_err(|_| gone())?? {
                    self.go_on()?;
                    for document in batch.documents()? {
                        let document = document?;
                        self.read(document);
                        take(self, document)?;
                    }
                }
            }
        })
    }
}
