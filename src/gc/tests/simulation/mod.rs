//! A seeded simulation of the real code: writers, pruners and people on one storage in memory.
//!
//! Every call to the storage is one step; a scheduler drawn from the seed lets one actor at a time go on by one step,
//! kills actors before any step, lets changes of killed ones happen late, makes changes happen twice, and moves every
//! clock either way. After every change the oracle holds what stands against what was promised.
//!
//! `DURAMEN_SIMULATION_STEPS` sets the number of steps (a million without it), `DURAMEN_SIMULATION_SEED` the first
//! seed, `DURAMEN_SIMULATION_WITHOUT` the one rule to leave out.

#![allow(clippy::unwrap_used, clippy::panic)]

mod actors;
mod mix;
mod oracle;
mod random;
mod turn;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::check::{self, check};
use crate::clock::{Clock, Nanos};
use crate::crypto::random as system;
use crate::format::records::Chunking;
use crate::gc::{PruneOptions, Unused, prune, rehearse};
use crate::progress::Silent;
use crate::repository::{Credential, Environment, Repository, Rule, create, new_key_file};
use crate::storage::MemoryStorage;
use actors::act;
use mix::Mix;
use oracle::Oracle;
use random::Random;
use turn::{Change, TurnStorage, Turns};

/// A wall clock that jumps either way, and one that only goes on.
#[derive(Default)]
struct SimulatedClock {
    now: AtomicI64,
    elapsed: AtomicU64,
}

impl Clock for SimulatedClock {
    fn now(&self) -> Nanos {
        self.now.load(Ordering::SeqCst)
    }

    fn elapsed(&self) -> Duration {
        Duration::from_nanos(self.elapsed.load(Ordering::SeqCst))
    }
}

struct World {
    turns: Arc<Turns>,
    clock: Arc<SimulatedClock>,
    credential: Credential,
    environment: Environment,
    random: Random,
    mix: Mix,
    /// Changes of the dead, and second times, that may still come.
    late: Vec<Change>,
    threads: Vec<(usize, std::thread::JoinHandle<()>)>,
    next: usize,
    current: usize,
    turns_left: u64,
    /// Who stands still, and until which step.
    still: BTreeMap<usize, u64>,
    step: u64,
    off: Option<Rule>,
}

/// What one seed came to.
#[derive(Debug, Default)]
struct Outcome {
    steps: u64,
    broken: Option<String>,
    commits: u64,
    deleted: u64,
    gone: u64,
}

fn run(seed: u64, off: Option<Rule>) -> Outcome {
    system::seed(seed);
    let files = MemoryStorage::new();
    let clock = Arc::new(SimulatedClock::default());
    let environment = Environment {
        cache: None,
        state: None,
        threads: 1,
        clock: clock.clone(),
        host: "simulated".into(),
        user: "nobody".into(),
    };
    let credential = Credential::KeyFile(new_key_file().unwrap());
    create(&files, &credential, &environment, Chunking::default()).unwrap();
    let repository = Repository::open(
        Arc::new(files.clone()),
        std::slice::from_ref(&credential),
        environment.clone(),
    )
    .unwrap();
    let oracle = Oracle::new(repository.keys().clone(), files.clone());
    let mut random = Random(seed);
    let mix = match off {
        None => Mix::draw(&mut random),
        Some(rule) => Mix::without(rule, &mut random),
    };
    let mut world = World {
        turns: Turns::new(files, oracle),
        clock,
        credential,
        environment,
        random,
        mix,
        late: Vec::new(),
        threads: Vec::new(),
        next: 0,
        current: 0,
        turns_left: 0,
        still: BTreeMap::new(),
        step: 0,
        off,
    };
    let outcome = world.run();
    system::unseed();
    outcome
}

impl World {
    fn run(&mut self) -> Outcome {
        let mut outcome = Outcome::default();
        while outcome.steps < self.mix.steps {
            let (waiting, done) = self.turns.settle();
            self.join(&done);
            if waiting.len() < self.mix.crowd {
                self.enter();
                continue;
            }
            self.step(&waiting);
            outcome.steps += 1;
            if self.turns.oracle().broken.is_some() {
                break;
            }
        }
        // All that are left die where they are.
        loop {
            let (waiting, done) = self.turns.settle();
            self.join(&done);
            if waiting.is_empty() {
                break;
            }
            for actor in waiting {
                self.turns.kill(actor);
            }
        }
        if self.off.is_none() && self.turns.oracle().broken.is_none() {
            self.rest();
        }
        let oracle = self.turns.oracle();
        outcome.broken = oracle.broken.clone();
        outcome.commits = oracle.commits;
        outcome.deleted = oracle.deleted;
        outcome.gone = oracle.gone;
        outcome
    }

    /// Everybody is gone, and what was under way has arrived: whatever they left, two prunes clear away, and what is
    /// left is whole and no more than is needed.
    fn rest(&mut self) {
        for change in std::mem::take(&mut self.late) {
            let _ = self.turns.change(&change);
        }
        let open = || {
            let files = Arc::new(self.turns.files.clone());
            let credentials = std::slice::from_ref(&self.credential);
            Repository::open(files, credentials, self.environment.clone()).unwrap()
        };
        for _ in 0..2 {
            let options = PruneOptions {
                grace: Duration::ZERO,
                session_expiry: Duration::ZERO,
                max_unused: Unused::Bytes(0),
                max_repack: None,
                purge: true,
            };
            if let Err(error) = prune(&open(), &options, &Silent) {
                self.turns.oracle().broken = Some(format!("at rest: {error}"));
                return;
            }
        }
        let repository = open();
        let left = |folder: &str| repository.storage().list(folder).unwrap().len();
        let report = rehearse(&repository, &PruneOptions::default(), &Silent).unwrap();
        let told = check(&repository, &check::Options::default(), &Silent).unwrap();
        let broken = match (left("sessions"), left("tombstones"), report.unused) {
            (0, 0, 0) if told.finding_count == 0 => return,
            rest => format!("at rest: {rest:?} and {:?}", told.findings),
        };
        self.turns.oracle().broken = Some(broken);
    }

    fn join(&mut self, done: &[usize]) {
        for actor in done {
            if let Some(at) = self.threads.iter().position(|(held, _)| held == actor) {
                self.threads.swap_remove(at).1.join().unwrap();
            }
        }
    }

    fn enter(&mut self) {
        let actor = self.next;
        self.next += 1;
        let role = self.mix.role(&mut self.random);
        let mix = self.mix.clone();
        let seed = self.random.next();
        let storage = TurnStorage {
            turns: self.turns.clone(),
            actor,
            drawn: AtomicU64::new(seed),
            reads: self.mix.reads,
        };
        let (turns, off) = (self.turns.clone(), self.off);
        let (credential, environment) = (self.credential.clone(), self.environment.clone());
        self.turns.enter(actor);
        let thread = std::thread::spawn(move || {
            system::seed(seed);
            let opened = Repository::open(
                Arc::new(storage),
                std::slice::from_ref(&credential),
                environment,
            );
            let mut repository = opened.unwrap();
            repository.off = off;
            act(role, &mix, &repository, &turns, &mut Random(seed));
            turns.leave(actor);
        });
        self.threads.push((actor, thread));
    }

    /// Whose turn it is: mostly that of whoever had it last, for a while. What can be lost is lost where one stands
    /// still in the middle of something while others come to the end of what they do: so whoever is about to change
    /// something that others look at stands still now and then.
    fn chosen(&mut self, waiting: &[usize]) -> usize {
        self.step += 1;
        self.still.retain(|_, until| *until > self.step);
        let awake = |actor: &&usize| !self.still.contains_key(actor);
        let awake: Vec<usize> = waiting.iter().filter(awake).copied().collect();
        let from = if awake.is_empty() { waiting } else { &awake };
        if self.turns_left > 0 && from.contains(&self.current) {
            self.turns_left -= 1;
        } else {
            self.current = from[self.random.below(from.len() as u64) as usize];
            let length = self.random.below(self.mix.burst);
            self.turns_left = self.random.below(1 << length);
        }
        let one_in = match self.turns.at(self.current) {
            Some(change) if change.is_one_of(self.mix.critical) => 2,
            Some(_) => self.mix.still,
            None => u64::MAX,
        };
        if awake.len() > 1 && self.random.one_in(one_in) {
            let length = 3 + self.random.below(7);
            let until = self.step + self.random.below(1 << length);
            self.still.insert(self.current, until);
            self.turns_left = 0;
            return self.chosen(waiting);
        }
        self.current
    }

    fn step(&mut self, waiting: &[usize]) {
        self.clock
            .elapsed
            .fetch_add(self.random.below(4_000_000_000), Ordering::SeqCst);
        let jump = if self.random.one_in(40) {
            self.random.below(200_000_000_000_000) as i64 - 100_000_000_000_000
        } else {
            self.random.below(1_000_000_000) as i64
        };
        self.clock.now.fetch_add(jump, Ordering::SeqCst);
        if !self.late.is_empty() && self.random.one_in(20) {
            let at = self.random.below(self.late.len() as u64) as usize;
            let change = self.late.swap_remove(at);
            let _ = self.turns.change(&change);
            return;
        }
        let actor = self.chosen(waiting);
        if self.random.one_in(self.mix.kill) {
            let change = self.turns.kill(actor);
            if let Some(change) = change
                && self.random.one_in(2)
            {
                self.late.push(change);
            }
            return;
        }
        if self.random.one_in(self.mix.again)
            && let Some(change) = self.turns.at(actor)
        {
            self.late.push(change);
        }
        self.turns.grant(actor);
    }
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
}

/// Whoever takes turns on several cores mostly waits for the other core to wake up: four times slower.
fn on_one_core(number: usize) {
    let all = sched_getaffinity(None).unwrap();
    let ours: Vec<usize> = (0..CpuSet::MAX_CPU)
        .filter(|core| all.is_set(*core))
        .collect();
    let mut one = CpuSet::new();
    one.set(ours[number % ours.len()]);
    sched_setaffinity(None, &one).unwrap();
}

#[test]
fn nothing_committed_is_lost() {
    on_one_core(0);
    let steps = number("DURAMEN_SIMULATION_STEPS", 1_000_000);
    let first = number("DURAMEN_SIMULATION_SEED", 1);
    let (mut sum, mut seed) = (Outcome::default(), first);
    while sum.steps < steps {
        let outcome = run(seed, None);
        assert!(
            outcome.broken.is_none(),
            "seed {seed}: {}; again with DURAMEN_SIMULATION_SEED={seed}",
            outcome.broken.unwrap_or_default()
        );
        sum.steps += outcome.steps;
        sum.commits += outcome.commits;
        sum.deleted += outcome.deleted;
        sum.gone += outcome.gone;
        seed += 1;
    }
    println!("seeds {first} to {}: {sum:?}", seed - 1);
    // A simulation in which nothing happens would find nothing.
    assert!(sum.commits > steps / 2000 && sum.deleted > steps / 2000 && sum.gone > steps / 5000);
}

#[test]
fn the_same_seed_comes_to_the_same() {
    let twice = [run(7, None), run(7, None)];
    assert_eq!(format!("{:?}", twice[0]), format!("{:?}", twice[1]));
}

#[test]
fn without_any_one_rule_something_is_lost() {
    on_one_core(1);
    let mut unseen = Vec::new();
    let only = std::env::var("DURAMEN_SIMULATION_WITHOUT").ok();
    let wanted = |rule: &Rule| {
        only.as_ref()
            .is_none_or(|only| format!("{rule:?}") == *only)
    };
    for rule in Rule::ALL.into_iter().filter(wanted) {
        let limit = number("DURAMEN_SIMULATION_SEEDS_WITHOUT", 6_000);
        let found = (1..=limit).find_map(|seed| Some((seed, run(seed, Some(rule)).broken?)));
        match found {
            Some((seed, broken)) => println!("without {rule:?}: seed {seed}: {broken}"),
            None => {
                println!("without {rule:?} nothing was lost in {limit} seeds");
                unseen.push(rule);
            }
        }
    }
    assert!(unseen.is_empty(), "nothing was lost without {unseen:?}");
}
