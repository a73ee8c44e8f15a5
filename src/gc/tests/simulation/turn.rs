//! Taking turns: every call to the storage waits until the scheduler lets it happen, so that any order of the calls of
//! several actors can be played, each actor killed before or after any call, and a call that was under way when its
//! actor died can happen late, or happen again.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::oracle::Oracle;
use super::random::Random;
use crate::error::{Error, Kind, Result};
use crate::storage::{Item, MemoryStorage, Storage, Upload};

/// Who waits for his turn.
pub type ActorId = usize;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Between two calls.
    Running,
    /// At a call, waiting for its turn.
    Waiting,
    /// Let through.
    Granted,
    /// Stopped at a call: it and all later ones fail.
    Killed,
    /// Its thread has come to its end.
    Done,
}

/// A call that changes something.
#[derive(Clone)]
pub enum Change {
    Put(String, Arc<[u8]>),
    Delete(String),
}

impl Change {
    /// Whether it is one of these: `put sessions/`, `delete packs/`.
    pub fn is_one_of(&self, kinds: &[&str]) -> bool {
        let (verb, name) = match self {
            Change::Put(name, _) => ("put", name),
            Change::Delete(name) => ("delete", name),
        };
        kinds.iter().any(|kind| {
            let kind = kind
                .strip_prefix(verb)
                .and_then(|kind| kind.strip_prefix(' '));
            kind.is_some_and(|folder| name.starts_with(folder))
        })
    }
}

#[derive(Default)]
struct Table {
    actors: BTreeMap<ActorId, State>,
    /// Where each waits: waking one wakes nobody else.
    bells: BTreeMap<ActorId, Arc<Condvar>>,
    /// The change at which each waits.
    pending: BTreeMap<ActorId, Option<Change>>,
}

/// The one place where all actors and the scheduler meet.
pub struct Turns {
    table: Mutex<Table>,
    moved: Condvar,
    pub files: MemoryStorage,
    pub oracle: Mutex<Oracle>,
}

impl Turns {
    pub fn new(files: MemoryStorage, oracle: Oracle) -> Arc<Self> {
        Arc::new(Self {
            table: Mutex::default(),
            moved: Condvar::new(),
            files,
            oracle: Mutex::new(oracle),
        })
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn oracle(&self) -> MutexGuard<'_, Oracle> {
        self.oracle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn enter(&self, actor: ActorId) {
        let mut table = self.table();
        table.actors.insert(actor, State::Running);
        table.bells.insert(actor, Arc::default());
    }

    pub fn leave(&self, actor: ActorId) {
        let mut table = self.table();
        table.actors.insert(actor, State::Done);
        self.moved.notify_all();
    }

    /// Waits until nobody runs; who waits, and who has come to the end since.
    pub fn settle(&self) -> (Vec<ActorId>, Vec<ActorId>) {
        let mut table = self.table();
        let busy = |table: &Table| {
            let busy = |state: &State| matches!(state, State::Running | State::Granted);
            table.actors.values().any(busy)
        };
        while busy(&table) {
            table = self
                .moved
                .wait(table)
                .unwrap_or_else(PoisonError::into_inner);
        }
        let of = |wanted: State| {
            let each = table
                .actors
                .iter()
                .filter(move |(_, state)| **state == wanted);
            each.map(|(actor, _)| *actor).collect::<Vec<_>>()
        };
        let (waiting, done) = (of(State::Waiting), of(State::Done));
        for actor in &done {
            table.actors.remove(actor);
            table.bells.remove(actor);
            table.pending.remove(actor);
        }
        (waiting, done)
    }

    pub fn grant(&self, actor: ActorId) {
        self.tell(&mut self.table(), actor, State::Granted);
    }

    fn tell(&self, table: &mut Table, actor: ActorId, state: State) {
        table.actors.insert(actor, state);
        if let Some(bell) = table.bells.get(&actor) {
            bell.notify_all();
        }
    }

    /// Stops an actor; the change that it was about to make, which may yet happen.
    pub fn kill(&self, actor: ActorId) -> Option<Change> {
        let mut table = self.table();
        self.tell(&mut table, actor, State::Killed);
        // It fails on its own from here on; it counts as busy until it has.
        while table.actors.get(&actor) == Some(&State::Killed) {
            table = self
                .moved
                .wait(table)
                .unwrap_or_else(PoisonError::into_inner);
        }
        table.pending.remove(&actor).flatten()
    }

    /// The change at which an actor waits.
    pub fn at(&self, actor: ActorId) -> Option<Change> {
        self.table().pending.get(&actor).cloned().flatten()
    }

    /// Fails where the actor was killed.
    fn alive(&self, actor: ActorId) -> Result<()> {
        match self.table().actors.get(&actor) {
            Some(State::Killed) => Err(Error::new(Kind::Failed, "killed")),
            _ => Ok(()),
        }
    }

    fn turn(&self, actor: ActorId, change: Option<Change>) -> Result<()> {
        let mut table = self.table();
        let dead = || Err(Error::new(Kind::Failed, "killed"));
        if table.actors.get(&actor) == Some(&State::Killed) {
            return dead();
        }
        table.actors.insert(actor, State::Waiting);
        table.pending.insert(actor, change);
        let bell = table.bells.get(&actor).cloned().unwrap_or_default();
        self.moved.notify_all();
        loop {
            match table.actors.get(&actor) {
                Some(State::Granted) => {
                    table.actors.insert(actor, State::Running);
                    return Ok(());
                }
                Some(State::Killed) => return dead(),
                _ => {
                    table = bell.wait(table).unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }

    /// Makes a change and holds the outcome against the promise; whether a put was the first of its name.
    pub fn change(&self, change: &Change) -> Result<bool> {
        let first = match change {
            Change::Put(name, bytes) => self.files.put_new(name, bytes)?,
            Change::Delete(name) => {
                self.files.delete(name)?;
                true
            }
        };
        if first {
            self.oracle().after(change);
        }
        Ok(first)
    }
}

/// The storage as one actor sees it.
pub struct TurnStorage {
    pub turns: Arc<Turns>,
    pub actor: ActorId,
    /// Decides which reads are steps.
    pub drawn: AtomicU64,
    /// One in so many is.
    pub reads: u64,
}

impl TurnStorage {
    /// What is written once, when the repository is made, is no step of the protocol.
    fn read_turn(&self, name: &str) -> Result<()> {
        if name == "config" || name.starts_with("key") {
            return Ok(());
        }
        let drawn = self.drawn.fetch_add(1, Ordering::SeqCst);
        if Random(drawn).one_in(self.reads) {
            self.turns.turn(self.actor, None)
        } else {
            self.turns.alive(self.actor)
        }
    }
}

impl Storage for TurnStorage {
    fn describe(&self) -> String {
        "a simulation".into()
    }

    fn list(&self, folder: &str) -> Result<Vec<Item>> {
        if !folder.starts_with("key") {
            self.turns.turn(self.actor, None)?;
        }
        self.turns.files.list(folder)
    }

    fn read(&self, name: &str, max: u64) -> Result<Vec<u8>> {
        self.read_turn(name)?;
        self.turns.files.read(name, max)
    }

    fn read_range(&self, name: &str, offset: u64, len: usize) -> Result<Vec<u8>> {
        self.read_turn(name)?;
        self.turns.files.read_range(name, offset, len)
    }

    fn size(&self, name: &str) -> Result<Option<u64>> {
        self.read_turn(name)?;
        self.turns.files.size(name)
    }

    fn put_new(&self, name: &str, bytes: &[u8]) -> Result<bool> {
        let change = Change::Put(name.to_owned(), bytes.into());
        self.turns.turn(self.actor, Some(change.clone()))?;
        self.turns.change(&change)
    }

    fn create(&self) -> Result<Box<dyn Upload>> {
        Ok(Box::new(TurnUpload {
            turns: self.turns.clone(),
            actor: self.actor,
            bytes: Vec::new(),
        }))
    }

    fn delete(&self, name: &str) -> Result<()> {
        let change = Change::Delete(name.to_owned());
        self.turns.turn(self.actor, Some(change.clone()))?;
        self.turns.change(&change).map(drop)
    }
}

struct TurnUpload {
    turns: Arc<Turns>,
    actor: ActorId,
    bytes: Vec<u8>,
}

impl Upload for TurnUpload {
    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn finish(self: Box<Self>, name: &str) -> Result<()> {
        let change = Change::Put(name.to_owned(), self.bytes.into());
        self.turns.turn(self.actor, Some(change.clone()))?;
        self.turns.change(&change).map(drop)
    }
}
