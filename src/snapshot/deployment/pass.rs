//! Reading again what was touched: a run of the documents that are there, and of the ids of those that are not.

use std::collections::{HashMap, VecDeque};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::{Capture, Held};
use crate::error::{Error, Kind, Result};
use crate::format::bson::{Document, Element};
use crate::format::deployment::{Collection, CollectionKind};
use crate::format::run::{Run, Sorted};
use crate::repository::key_of;
use crate::snapshot::documents::RunBuilder;
use crate::snapshot::put::Put;
use crate::snapshot::sorter::{Record, Sorter};
use crate::source::mongo::command::only_id;
use crate::source::mongo::oplog::Uuid;
use crate::source::mongo::reading::{self, Patience, RawId, State};
use crate::source::mongo::server::Asked;

/// Ids that are asked for at once, where documents are small.
const IDS: u64 = 1000;
/// About so many bytes are asked for at once.
const BYTES: u64 = 8 << 20;

/// More than this is asked for in two halves.
const BYTES_MAX: usize = 48 << 20;

/// So many questions are with the server at once: while it looks, what it gave before is stored.
const ASKERS: usize = 3;

/// Documents that were asked for; none where they are too many for once.
type Answer = Asked<Option<Vec<Vec<u8>>>>;

/// A question to the server.
struct Question<'l> {
    of: &'l Collection,
    ids: Vec<RawId>,
    answer: Sender<Answer>,
}

/// A touched document of the collection at hand.
struct Touched {
    key: Vec<u8>,
    id: RawId,
    /// Whether the first thing that happened to it was that it came.
    came: bool,
}

/// What becomes a collection's newest run.
struct Delta<'c> {
    uuid: Uuid,
    of: &'c Collection,
    documents: RunBuilder<'c>,
    deleted: RunBuilder<'c>,
    /// What the server gave beside what was asked for: of another `_id` that it takes for the same.
    beside: Sorter,
    waiting: Vec<Touched>,
    /// What the server was asked for, in order.
    asked: VecDeque<(Vec<Touched>, Receiver<Answer>)>,
    at_once: usize,
    /// How many documents there are more than before.
    more: i64,
}

/// What came of it.
struct Done {
    uuid: Uuid,
    runs: Vec<Run>,
    more: Option<i64>,
}

impl<'c> Capture<'c> {
    /// Reads all touched documents again. Without an error they are in the runs of what is held, and nothing is touched
    /// any more; with one all is as before.
    pub(super) fn pass(&mut self, listed: &[Collection], state: State) -> Asked<()> {
        let fresh = self.sorter();
        let touched = std::mem::replace(&mut self.touched, fresh);
        let plain = listed
            .iter()
            .filter(|each| each.kind == CollectionKind::Plain);
        let named: HashMap<Uuid, &Collection> =
            plain.filter_map(|each| Some((each.uuid?, each))).collect();
        let mut done = Vec::new();
        let mut records = touched.sorted()?;
        let (server, progress) = (self.server, self.progress);
        std::thread::scope(|scope| {
            let (questions, to_ask) = bounded::<Question<'_>>(ASKERS);
            for _ in 0..ASKERS {
                let to_ask = to_ask.clone();
                scope.spawn(move || {
                    for Question { of, ids, answer } in to_ask {
                        let mut patience = Patience::new(progress);
                        let found =
                            reading::some(server, of, &ids, state, BYTES_MAX, &mut patience);
                        // Nobody waits for it where something else failed.
                        let _ = answer.send(found);
                    }
                });
            }
            drop(to_ask);
            let mut steps = Steps {
                patience: Patience::new(progress),
                questions,
                named,
                open: None,
                state,
            };
            let mut failed = None;
            for record in &mut records {
                let record = record?;
                // For the next attempt, should this one come to nothing.
                self.touched.push(record.0.clone(), record.1.clone())?;
                if failed.is_none()
                    && let Err(refusal) = self.step(&mut steps, record, &mut done)
                {
                    failed = Some(refusal);
                }
            }
            match failed {
                Some(refusal) => Err(refusal),
                None => self.close(&mut steps, &mut done),
            }
        })?;
        self.touched = self.sorter();
        for Done { uuid, runs, more } in done {
            let Some(held) = self.held.get_mut(&uuid) else {
                continue;
            };
            // A base that was read while it was written to may hold a document already or not, and what is read at no
            // certain time may be counted twice.
            let certain = !held.fresh && matches!(state, State::Snapshot { .. });
            held.documents = held
                .documents
                .filter(|_| certain)
                .and_then(|documents| documents.checked_add_signed(more?));
            held.new += runs.len();
            held.runs.splice(0..0, runs);
        }
        Ok(())
    }

    fn step<'l>(
        &mut self,
        steps: &mut Steps<'c, 'l>,
        (sorted, value): Record,
        done: &mut Vec<Done>,
    ) -> Asked<()>
    where
        'c: 'l,
    {
        let Some((uuid, key)) = sorted.split_first_chunk::<16>() else {
            return Ok(());
        };
        let [came, kind, id @ ..] = &value[..] else {
            return Ok(());
        };
        self.sample.hear(uuid, key);
        if steps.open.as_ref().is_none_or(|open| open.uuid != *uuid) {
            self.close(steps, done)?;
            let (Some(&of), Some(held)) = (steps.named.get(uuid), self.held.get(uuid)) else {
                return Ok(());
            };
            steps.open = Some(Delta {
                uuid: *uuid,
                of,
                documents: RunBuilder::new(self.cutter),
                deleted: RunBuilder::new(self.cutter),
                beside: self.sorter(),
                waiting: Vec::new(),
                asked: VecDeque::new(),
                at_once: at_once(held),
                more: 0,
            });
        }
        let Some(open) = &mut steps.open else {
            return Ok(());
        };
        // Touched more than once.
        if open.waiting.last().is_some_and(|last| last.key == key) {
            return Ok(());
        }
        if open.waiting.len() >= open.at_once {
            self.flush(steps)?;
        }
        if let Some(open) = &mut steps.open {
            open.waiting.push(Touched {
                key: key.to_vec(),
                id: (*kind, id.to_vec()),
                came: *came == 1,
            });
        }
        Ok(())
    }

    /// Asks for what is waiting, and stores what was asked for before.
    fn flush(&mut self, steps: &mut Steps<'c, '_>) -> Asked<()> {
        let Some(open) = &mut steps.open else {
            return Ok(());
        };
        self.go_on()?;
        let waiting = std::mem::take(&mut open.waiting);
        let (answer, answered) = bounded(1);
        let question = Question {
            of: open.of,
            ids: waiting.iter().map(|each| each.id.clone()).collect(),
            answer,
        };
        steps.questions.send(question).map_err(|_| gone())?;
        open.asked.push_back((waiting, answered));
        match open.asked.len() > ASKERS {
            true => self.hear(steps),
            false => Ok(()),
        }
    }

    /// Stores what was asked for first.
    fn hear(&mut self, steps: &mut Steps<'c, '_>) -> Asked<()> {
        let asked = steps.open.as_mut().and_then(|open| open.asked.pop_front());
        let Some((waiting, answered)) = asked else {
            return Ok(());
        };
        match answered.recv().map_err(|_| gone())?? {
            Some(found) => self.store(steps, &waiting, found),
            None => {
                let (first, second) = waiting.split_at(waiting.len() / 2);
                self.ask(steps, first)?;
                self.ask(steps, second)
            }
        }
    }

    /// Asks for these, in two halves where they are too large for once.
    fn ask(&mut self, steps: &mut Steps<'c, '_>, waiting: &[Touched]) -> Asked<()> {
        let Some(open) = &mut steps.open else {
            return Ok(());
        };
        self.go_on()?;
        let ids: Vec<RawId> = waiting.iter().map(|each| each.id.clone()).collect();
        let patience = &mut steps.patience;
        let found = reading::some(self.server, open.of, &ids, steps.state, BYTES_MAX, patience)?;
        match found {
            Some(found) => self.store(steps, waiting, found),
            None => {
                let (first, second) = waiting.split_at(waiting.len() / 2);
                self.ask(steps, first)?;
                self.ask(steps, second)
            }
        }
    }

    /// Stores what the server has of these, and what it has not.
    fn store(
        &mut self,
        steps: &mut Steps<'c, '_>,
        waiting: &[Touched],
        found: Vec<Vec<u8>>,
    ) -> Asked<()> {
        let Some(open) = &mut steps.open else {
            return Ok(());
        };
        let mut there: HashMap<Vec<u8>, Vec<u8>> = HashMap::new();
        for document in found {
            let document_key = key_of(Document::whole(&document)?)?;
            self.read(Document::whole(&document)?);
            there.insert(document_key, document);
        }
        let putter: &mut dyn Put = &mut self.putter;
        for touched in waiting {
            open.more -= i64::from(!touched.came);
            let key = touched.key.clone();
            if let Some(document) = there.remove(&key) {
                open.more += 1;
                let document = Document::whole(&document)?;
                open.documents.push(putter, key, document)?;
            } else {
                let (kind, value) = &touched.id;
                let id = Element {
                    kind: *kind,
                    name: b"_id",
                    value,
                };
                let only = only_id(&id);
                open.deleted.push(putter, key, Document::whole(&only)?)?;
            }
        }
        // By a collation, or for numbers of another type, the server gives what it takes for the same; a replacement may even
        // have put the one into the other's place. It is there at that time, so it is true whatever led to it.
        for (key, document) in there {
            self.sample.hear(&open.uuid, &key);
            open.beside.push(key, document)?;
        }
        Ok(())
    }

    /// Ends the collection at hand.
    fn close(&mut self, steps: &mut Steps<'c, '_>, done: &mut Vec<Done>) -> Asked<()> {
        if steps
            .open
            .as_ref()
            .is_some_and(|open| !open.waiting.is_empty())
        {
            self.flush(steps)?;
        }
        while steps
            .open
            .as_ref()
            .is_some_and(|open| !open.asked.is_empty())
        {
            self.hear(steps)?;
        }
        let Some(open) = steps.open.take() else {
            return Ok(());
        };
        // Which of these were there before nobody can tell.
        let more = open.beside.is_empty().then_some(open.more);
        let beside = Run {
            documents: self.sorted_run(open.beside)?,
            ..Run::default()
        };
        let run = Run {
            documents: open.documents.finish(&mut self.putter)?,
            deleted: open.deleted.finish(&mut self.putter)?,
            extensions: Vec::new(),
        };
        let some = |run: &Run| run.documents.is_some() || run.deleted.is_some();
        done.push(Done {
            uuid: open.uuid,
            runs: [run, beside].into_iter().filter(some).collect(),
            more,
        });
        Ok(())
    }

    /// A run of records whose keys are those of their documents; of equal keys the last counts.
    pub(super) fn sorted_run(&mut self, records: Sorter) -> Result<Option<Sorted>> {
        let mut builder = RunBuilder::new(self.cutter);
        let mut next: Option<Record> = None;
        for record in records.sorted()? {
            self.go_on()?;
            let record = record?;
            let ended = next.as_ref().is_some_and(|next| next.0 != record.0);
            let before = next.replace(record);
            if let (true, Some((key, document))) = (ended, before) {
                builder.push(&mut self.putter, key, Document::whole(&document)?)?;
            }
        }
        if let Some((key, document)) = next {
            builder.push(&mut self.putter, key, Document::whole(&document)?)?;
        }
        builder.finish(&mut self.putter)
    }
}

/// Where a pass is.
struct Steps<'c, 'l> {
    patience: Patience<'c>,
    questions: Sender<Question<'l>>,
    named: HashMap<Uuid, &'l Collection>,
    open: Option<Delta<'l>>,
    state: State,
}

/// Whoever asks the server is gone.
pub(super) fn gone() -> Error {
    Error::new(Kind::Failed, "a worker thread died")
}

/// How many documents of a collection are asked for at once.
fn at_once(held: &Held) -> usize {
    let runs = held.runs.iter().filter_map(|run| run.documents);
    let (documents, bytes) = runs.fold((0, 0), |(documents, bytes), sorted| {
        (documents + sorted.documents, bytes + sorted.bytes)
    });
    let each = (bytes / documents.max(1)).max(1);
    (BYTES / each).clamp(1, IDS) as usize
}
