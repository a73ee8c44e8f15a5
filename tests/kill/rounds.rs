//! Rounds of: change the tree, start a snapshot, kill it, check and restore everything, take a whole snapshot.
//!
//! A tree of some 40 MB in a thousand files, so that a snapshot has many moments to be killed in; every round
//! prints its delay, and the seed repeats the trees (the moments are the machine's).

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::common::compare::{Options, assert_same};
use crate::common::place::{Place, Run, copy, files_below, inside, remove, text};
use crate::common::random::Random;
use crate::common::tree::everyday;

struct State {
    place: Place,
    source: PathBuf,
    /// The tree as it was when `committed` ended.
    kept: PathBuf,
    /// Ids of all snapshots that were reported as done, or found after a kill.
    committed: Vec<String>,
    /// Folders that the tree had at each of them, as listed.
    listings: Vec<usize>,
    /// How long a snapshot of a changed tree takes.
    duration: Duration,
}

pub fn run(rounds: usize) {
    let mut random = Random::new(crate::common::seed("kill"));
    let mut state = State::new(random.next());
    let mut killed = 0;
    for round in 0..rounds {
        change(&state.source, &mut random);
        // Every third kill hits a repository that was opened before by nobody with this cache.
        if round % 3 == 2 {
            remove(&state.place.cache);
        }
        let micros = state.duration.as_micros() as u64;
        let delay = Duration::from_micros(random.below(micros + micros / 10));
        let died = state.snapshot_killed_after(delay);
        killed += usize::from(died);
        println!(
            "round {round}: killed after {delay:?} of {:?}: {died}",
            state.duration
        );
        state.everything_stands(&format!("round {round}"));
        state.whole_snapshot();
    }
    assert!(
        killed * 2 >= rounds,
        "only {killed} of {rounds} kills hit a running snapshot"
    );
    state.place.assert_clean();
}

impl State {
    fn new(seed: u64) -> Self {
        let place = Place::new("kill");
        let (source, kept) = (place.at("source"), place.at("kept"));
        everyday(&source, seed, 1_000);
        std::fs::write(source.join("large"), Random::new(seed).bytes(24_000_000)).unwrap();
        let mut state = Self {
            place,
            source,
            kept,
            committed: Vec::new(),
            listings: Vec::new(),
            duration: Duration::ZERO,
        };
        state.whole_snapshot();
        state
    }

    /// Whether it was killed before it ended.
    fn snapshot_killed_after(&self, delay: Duration) -> bool {
        let mut command = self.place.command();
        command
            .arg("snapshot")
            .arg(&self.source)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        std::thread::sleep(delay);
        let running = child.try_wait().unwrap().is_none();
        child.kill().unwrap();
        child.wait().unwrap();
        running
    }

    /// A snapshot that is let be; it must succeed, whatever a killed one left behind.
    fn whole_snapshot(&mut self) {
        let started = Instant::now();
        let summary = self.place.snapshot(&self.source);
        self.duration = started.elapsed();
        assert_eq!(text(&summary, "state"), "complete");
        self.note(text(&summary, "snapshot_id").to_string());
    }

    fn note(&mut self, id: String) {
        self.listings.push(listed(&self.place, &id));
        self.committed.push(id);
        remove(&self.kept);
        copy(&self.source, &self.kept);
    }

    /// Nothing is damaged, nothing committed is missing, the newest restores as it was, all others are there.
    fn everything_stands(&mut self, when: &str) {
        let check = self.place.run(["check"]);
        assert_eq!(check.code, Some(0), "{when}: {check}");
        let found: Vec<String> = self
            .place
            .snapshots()
            .iter()
            .map(|snapshot| text(snapshot, "id").to_string())
            .collect();
        for id in &self.committed {
            assert!(found.contains(id), "{when}: snapshot {id} is gone");
        }
        let new: Vec<&String> = found
            .iter()
            .filter(|id| !self.committed.contains(id))
            .collect();
        assert!(new.len() <= 1, "{when}: snapshots from nowhere: {new:?}");
        for (id, count) in self.committed.iter().zip(&self.listings) {
            assert_eq!(
                listed(&self.place, id),
                *count,
                "{when}: snapshot {id} lists other things than before"
            );
        }
        self.restores_as(&self.kept, self.committed.last().unwrap());
        // Killed after the commit and before it could say so: then it must be whole, too.
        if let Some(id) = new.first() {
            self.restores_as(&self.source, id);
            let id = (*id).clone();
            self.note(id);
        }
    }

    fn restores_as(&self, tree: &Path, id: &str) {
        let target = self.place.at("restored");
        let mut command = self.place.command();
        command
            .arg("restore")
            .arg(inside(id, &self.source))
            .arg("--target")
            .arg(&target);
        Run::of(command).ok();
        assert_same(
            tree,
            &target,
            &Options {
                root: false,
                ..Options::default()
            },
        );
        remove(&target);
    }
}

fn listed(place: &Place, id: &str) -> usize {
    place.run(["ls", "--recursive", id]).ok().objects().len()
}

/// A tenth of the files edited, some added, some removed, some moved: some 20 MB of it new.
fn change(source: &Path, random: &mut Random) {
    for path in files_below(source) {
        if path.is_symlink() {
            continue;
        }
        match random.below(40) {
            0..=2 => {
                let len = random.below(30_000) as usize;
                std::fs::write(&path, random.bytes(len)).unwrap();
            }
            3 => std::fs::remove_file(&path).unwrap(),
            4 => std::fs::rename(
                &path,
                path.with_extension(random.below(1_000_000).to_string()),
            )
            .unwrap(),
            _ => {}
        }
    }
    for _ in 0..60 {
        let len = random.below(60_000) as usize;
        let path = source.join(format!("new-{}", random.next()));
        std::fs::write(path, random.bytes(len)).unwrap();
    }
    std::fs::write(source.join("large"), random.bytes(16_000_000)).unwrap();
}
