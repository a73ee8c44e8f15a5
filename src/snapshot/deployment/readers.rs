//! Reading a collection in several places at once, and handing over what comes in order.
//!
//! ```text
//! segments --question--> readers --batches, so many bytes of them--> whoever stores, segment after segment
//! ```
//! Whoever stores takes one segment after the other. Readers are ahead of it, but by no more than a budget of bytes: only the
//! segment that is stored just now may always go on, for all others wait for it. When storing ends, well or not, readers ask
//! nothing more.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};

use crossbeam_channel::{Receiver, Sender, unbounded};

use super::Capture;
use super::pass::gone;
use crate::error::{Error, Kind, Result};
use crate::format::bson::Document;
use crate::format::deployment::Collection;
use crate::progress::Progress;
use crate::source::mongo::reading::{Patience, State};
use crate::source::mongo::scan::{Order, Segment, first, scan, segments};
use crate::source::mongo::server::{Asked, Batch};

/// Segments that are read at once.
const READERS: usize = 4;
/// Segments that are read or wait: more than are read at once, for one that is read waits until those before it are stored.
const AHEAD: usize = 2 * READERS;
/// Bytes of documents that wait.
const BYTES: usize = 32 << 20;

/// The next of a segment: some documents, or its end.
type Read = Asked<Option<Batch>>;

/// A segment on its way.
struct Question {
    number: usize,
    segment: Segment,
    answer: Sender<Read>,
}

/// How far readers may be ahead.
#[derive(Default)]
struct Budget {
    /// The number of the segment that is stored just now, and bytes that wait.
    state: Mutex<(usize, usize)>,
    changed: Condvar,
}

impl Budget {
    /// Waits until so many bytes of that segment may come.
    fn take(&self, number: usize, bytes: usize, ended: &AtomicBool) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        while state.0 != number && state.1 + bytes > BYTES && !ended.load(Ordering::Relaxed) {
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        state.1 += bytes;
    }

    fn change(&self, change: impl FnOnce(&mut (usize, usize))) {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_all();
    }
}

/// What readers hear and say: they stop when storing has ended, and all of them tell of a broken connection once.
struct Readers<'p> {
    progress: &'p dyn Progress,
    ended: AtomicBool,
    told: AtomicBool,
}

impl Progress for Readers<'_> {
    fn note(&self, text: &str) {
        if !self.told.swap(true, Ordering::Relaxed) {
            self.progress.note(text);
        }
    }

    fn interrupted(&self) -> bool {
        self.ended.load(Ordering::Relaxed) || self.progress.interrupted()
    }
}

/// Tells readers that storing has ended, however it did.
struct End<'e>(&'e Readers<'e>, &'e Budget);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.ended.store(true, Ordering::Relaxed);
        self.1.change(|_| {});
    }
}

impl Capture<'_> {
    /// Hands over all documents of a collection, in the order of the server's `_id` index.
    pub(super) fn each(
        &mut self,
        of: &Collection,
        state: State,
        take: &mut dyn FnMut(&mut Self, Document<'_>) -> Result<()>,
    ) -> Asked<()> {
        let (server, progress) = (self.server, self.progress);
        // Of many small collections each is one question.
        let (batch, behind) = first(server, of, state, &mut Patience::new(progress))?;
        if let Some(batch) = batch {
            if !matches!(state, State::Snapshot { .. }) {
                server.give_time(&batch, progress)?;
            }
            if matches!(state, State::Majority { .. }) {
                let mut lag = self.lag.lock().unwrap_or_else(PoisonError::into_inner);
                lag.give_way(server, progress)?;
            }
            self.hand_over(&batch, take)?;
        }
        let Some(behind) = behind else {
            return Ok(());
        };
        let segments = segments(server, of, behind, &mut Patience::new(progress))?;
        let count = segments.len().min(READERS);
        let (budget, lag) = (Budget::default(), self.lag.clone());
        let readers = Readers {
            progress,
            ended: AtomicBool::new(false),
            told: AtomicBool::new(false),
        };
        let read = |Question {
                        number,
                        segment,
                        answer,
                    }: Question| {
            let order = Order::ById(&segment);
            let end = scan(server, of, order, state, &readers, &mut |batch| {
                // What is read at one time must be read soon.
                if matches!(state, State::Majority { .. }) {
                    let mut lag = lag.lock().unwrap_or_else(PoisonError::into_inner);
                    lag.give_way(server, progress)?;
                }
                budget.take(number, batch.size(), &readers.ended);
                let stopped = |_| Error::new(Kind::Failed, "the snapshot has stopped");
                answer.send(Ok(Some(batch))).map_err(stopped)
            });
            // Nobody waits for it where something else failed.
            let _ = answer.send(end.map(|()| None));
        };
        std::thread::scope(|scope| {
            let (questions, to_read) = unbounded::<Question>();
            let threads: Vec<_> = (0..count)
                .map(|_| {
                    let (to_read, read, readers) = (to_read.clone(), &read, &readers);
                    scope.spawn(move || {
                        for question in to_read {
                            if !readers.interrupted() {
                                read(question);
                            }
                        }
                    })
                })
                .collect();
            let end = End(&readers, &budget);
            let stored = self.store_in_order(segments, questions, &budget, take);
            drop(end);
            let died = threads.into_iter().any(|thread| thread.join().is_err());
            stored.and_then(|()| if died { Err(gone().into()) } else { Ok(()) })
        })
    }

    /// Asks for the segments, some ahead, and hands over what comes of them, one after the other.
    fn store_in_order(
        &mut self,
        segments: Vec<Segment>,
        questions: Sender<Question>,
        budget: &Budget,
        take: &mut dyn FnMut(&mut Self, Document<'_>) -> Result<()>,
    ) -> Asked<()> {
        let mut to_ask = segments.into_iter().enumerate();
        let mut ahead: VecDeque<Receiver<Read>> = VecDeque::new();
        loop {
            while ahead.len() < AHEAD
                && let Some((number, segment)) = to_ask.next()
            {
                let (answer, batches) = unbounded();
                let question = Question {
                    number,
                    segment,
                    answer,
                };
                questions.send(question).map_err(|_| gone())?;
                ahead.push_back(batches);
            }
            let Some(batches) = ahead.pop_front() else {
                return Ok(());
            };
            loop {
                let Ok(read) = batches.recv() else {
                    // Readers stop where the user asked to, or one died.
                    self.go_on()?;
                    return Err(gone().into());
                };
                let Some(batch) = read? else {
                    break;
                };
                self.hand_over(&batch, take)?;
                budget.change(|state| state.1 -= batch.size());
            }
            budget.change(|state| state.0 += 1);
        }
    }

    fn hand_over(
        &mut self,
        batch: &Batch,
        take: &mut dyn FnMut(&mut Self, Document<'_>) -> Result<()>,
    ) -> Result<()> {
        self.go_on()?;
        for document in batch.documents()? {
            let document = document?;
            self.read(document);
            take(self, document)?;
        }
        Ok(())
    }
}
