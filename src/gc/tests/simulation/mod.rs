//! A seeded simulation of the real code: writers, pruners and people on one storage in memory.
//!
//! Every call to the storage is one step; a scheduler drawn from the seed lets one actor at a time go on by one step,
//! kills actors before any step, lets changes of killed ones happen late, makes changes happen twice, and moves every
//! clock either way. After every change the oracle holds what stands against what was promised.
//!
//! `DURAMEN_SIMULATION_STEPS` sets the number of steps (a million without it), `DURAMEN_SIMULATION_SEED` the first seed.

#![allow(clippy::unwrap_used, clippy::panic)]

mod actors;
mod oracle;
mod turn;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::{Clock, Nanos};
use crate::crypto::random;
use crate::format::records::Chunking;
use crate::repository::{Credential, Environment, Repository, Rule, create, new_key_file};
use crate::storage::MemoryStorage;
use actors::{Role, act};
use oracle::Oracle;
use turn::{Change, TurnStorage, Turns};

/// Splitmix64.
pub struct Random(u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

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
    /// Changes of the dead, and second times, that may still come.
    late: Vec<Change>,
    threads: Vec<(usize, std::thread::JoinHandle<()>)>,
    next: usize,
    current: usize,
    turns_left: u64,
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
    random::seed(seed);
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
    let mut world = World {
        turns: Turns::new(files, oracle),
        clock,
        credential,
        environment,
        random: Random(seed),
        late: Vec::new(),
        threads: Vec::new(),
        next: 0,
        current: 0,
        turns_left: 0,
        off,
    };
    let outcome = world.run();
    random::unseed();
    outcome
}

impl World {
    fn run(&mut self) -> Outcome {
        let mut outcome = Outcome::default();
        let steps = 300 + self.random.below(1200);
        let crowd = 1 + self.random.below(6) as usize;
        while outcome.steps < steps {
            let (waiting, done) = self.turns.settle();
            self.join(&done);
            if waiting.len() < crowd {
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
        let oracle = self.turns.oracle();
        outcome.broken = oracle.broken.clone();
        outcome.commits = oracle.commits;
        outcome.deleted = oracle.deleted;
        outcome.gone = oracle.gone;
        outcome
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
        let role = Role::draw(&mut self.random);
        let seed = self.random.next();
        let storage = TurnStorage {
            turns: self.turns.clone(),
            actor,
        };
        let (turns, off) = (self.turns.clone(), self.off);
        let (credential, environment) = (self.credential.clone(), self.environment.clone());
        self.turns.enter(actor);
        let thread = std::thread::spawn(move || {
            random::seed(seed);
            let opened = Repository::open(
                Arc::new(storage),
                std::slice::from_ref(&credential),
                environment,
            );
            let mut repository = opened.unwrap();
            repository.off = off;
            act(role, &repository, &turns, &mut Random(seed));
            turns.leave(actor);
        });
        self.threads.push((actor, thread));
    }

    /// Whose turn it is: mostly that of whoever had it last, for a while. What can be lost is lost where one stands
    /// still in the middle of something while others come to the end of what they do.
    fn chosen(&mut self, waiting: &[usize]) -> usize {
        if self.turns_left > 0 && waiting.contains(&self.current) {
            self.turns_left -= 1;
        } else {
            self.current = waiting[self.random.below(waiting.len() as u64) as usize];
            let length = self.random.below(9);
            self.turns_left = self.random.below(1 << length);
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
        if self.random.one_in(400) {
            let change = self.turns.kill(actor);
            if let Some(change) = change
                && self.random.one_in(2)
            {
                self.late.push(change);
            }
            return;
        }
        if self.random.one_in(60)
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

#[test]
fn nothing_committed_is_lost() {
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
    let mut unseen = Vec::new();
    let plain = [Rule::Absent, Rule::Wait, Rule::Fresh, Rule::CommitOnce];
    for rule in Rule::ALL.into_iter().filter(|rule| plain.contains(rule)) {
        let limit = number("DURAMEN_SIMULATION_SEEDS_WITHOUT", 2_000);
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
