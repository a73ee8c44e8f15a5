//! Four writers and two pruners, real processes on one repository, with no grace at all: packs die, content that was in
//! them comes back, snapshots are forgotten and taken back, and whatever lives comes back byte for byte all the while.
//!
//! The moments at which they meet are the machine's; the seed repeats the trees and what each of them does.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::common::place::{Place, number, remove, text, unique};
use crate::common::random::Random;
use crate::common::seen::{Seen, see};

const WRITERS: u64 = 4;
const PRUNERS: u64 = 2;

/// Living snapshots that a writer has at most.
const LIVING_MAX: usize = 4;

/// Who was silent for so long is given up. Nobody here is ever that slow, so nobody's work may be lost.
const SESSION_EXPIRY: &str = "10min";

/// How the pruners prune.
const HOW: [&[&str]; 4] = [
    &["--max-unused", "0"],
    &["--max-unused", "5%"],
    &["--purge"],
    &["--max-repack-size", "1M", "--max-unused", "0"],
];

/// How many of these were seen.
#[derive(Default)]
struct Counts {
    snapshots: AtomicU64,
    restores: AtomicU64,
    forgotten: AtomicU64,
    undone: AtomicU64,
    too_late: AtomicU64,
    prunes: AtomicU64,
    /// Prunes that deleted packs.
    sweeps: AtomicU64,
    packs: AtomicU64,
    bytes: AtomicU64,
    checks: AtomicU64,
}

struct Work<'p> {
    place: &'p Place,
    counts: Counts,
    over: AtomicBool,
}

/// Ends everybody's work where one of them fails.
struct Ending<'w>(&'w AtomicBool);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}

/// A snapshot that lives.
struct Living {
    id: String,
    tree: PathBuf,
    seen: Seen,
}

/// Works for as long as this, and then until so many sweeps have deleted packs.
pub fn run(lasts: Duration, sweeps: u64) {
    let seed = crate::common::seed("share");
    let place = Place::new("share");
    let work = Work {
        place: &place,
        counts: Counts::default(),
        over: AtomicBool::new(false),
    };
    let started = Instant::now();
    let living: Vec<Living> = std::thread::scope(|scope| {
        let work = &work;
        let writers: Vec<_> = (0..WRITERS)
            .map(|at| scope.spawn(move || work.write(at, Random::new(seed ^ (at + 1)))))
            .collect();
        for at in 0..PRUNERS {
            scope.spawn(move || work.prune(Random::new(seed ^ (100 + at))));
        }
        scope.spawn(|| work.check());
        let enough = || work.counts.sweeps.load(Ordering::Relaxed) >= sweeps;
        while !work.is_over()
            && (started.elapsed() < lasts || !enough() && started.elapsed() < lasts * 10)
        {
            std::thread::sleep(Duration::from_millis(100));
        }
        work.over.store(true, Ordering::Relaxed);
        let mut living = Vec::new();
        for writer in writers {
            match writer.join() {
                Ok(own) => living.extend(own),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        living
    });
    println!("share: {} in {:.1?}", work.counts.tell(), started.elapsed());
    let seen = work.counts.sweeps.load(Ordering::Relaxed);
    assert!(seen >= sweeps, "only {seen} sweeps deleted packs");
    all_lives(&place, &living);
    // Everybody has gone: whatever still waited for somebody goes now.
    let last = prune(&place, &["--max-unused", "0"]);
    println!("share: the last prune: {last}");
    assert_eq!(number(&last, "wait_count"), 0, "{last}");
    lists_what_lives(&place, &living);
    place.assert_clean();
}

/// What lives is what must live, all of it is whole, and comes back.
fn all_lives(place: &Place, living: &[Living]) {
    lists_what_lives(place, living);
    place.assert_clean();
    for one in living {
        comes_back(place, one);
    }
}

fn lists_what_lives(place: &Place, living: &[Living]) {
    let listed: BTreeSet<String> = place
        .snapshots()
        .iter()
        .map(|one| text(one, "id").to_string())
        .collect();
    let wanted: BTreeSet<String> = living.iter().map(|one| one.id.clone()).collect();
    assert_eq!(listed, wanted, "other snapshots live than were left");
}

#[track_caller]
fn comes_back(place: &Place, one: &Living) {
    let target = place.at(&format!("restored-{}", unique()));
    let run = place.restore_inside(&one.id, &one.tree, &target).ok();
    one.seen
        .assert_is(&see(&target), &|| format!("{}: {run}", one.id));
    remove(&target);
}

fn prune(place: &Place, how: &[&str]) -> serde_json::Value {
    let args = ["prune", "--grace", "0", "--session-expiry", SESSION_EXPIRY];
    place.run(args.iter().chain(how)).ok().summary()
}

impl Counts {
    fn tell(&self) -> String {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        format!(
            "{} snapshots, {} restores, {} forgotten, {} taken back, {} too late for that; {} prunes, {} sweeps deleted \
             {} packs of {} bytes; {} checks",
            of(&self.snapshots),
            of(&self.restores),
            of(&self.forgotten),
            of(&self.undone),
            of(&self.too_late),
            of(&self.prunes),
            of(&self.sweeps),
            of(&self.packs),
            of(&self.bytes),
            of(&self.checks),
        )
    }
}

fn count(one: &AtomicU64) {
    one.fetch_add(1, Ordering::Relaxed);
}

impl Work<'_> {
    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// Takes snapshots of a tree of its own, and lets older ones go; returns those that live at the end.
    fn write(&self, at: u64, mut random: Random) -> Vec<Living> {
        let _ending = Ending(&self.over);
        let tree = self.place.scratch.folder(&format!("tree-{at}"));
        let mut living: Vec<Living> = Vec::new();
        while !self.is_over() {
            edit(&tree, &mut random);
            let seen = see(&tree);
            let summary = self.place.snapshot(&tree);
            assert_eq!(text(&summary, "state"), "complete");
            count(&self.counts.snapshots);
            let id = text(&summary, "snapshot_id").to_string();
            living.push(Living {
                id,
                tree: tree.clone(),
                seen,
            });
            if random.one_in(8) {
                self.hold_and_release(&living[random.index(living.len())]);
            }
            while living.len() > LIVING_MAX || living.len() > 1 && random.one_in(3) {
                // The newest, too: the next snapshot has another parent then.
                let one = living.remove(random.index(living.len()));
                living.extend(self.forget(one, &mut random));
            }
            if random.one_in(2) {
                comes_back(self.place, &living[random.index(living.len())]);
                count(&self.counts.restores);
            }
        }
        living
    }

    /// Forgets one, and may regret it. The pruners do not wait, so that may be too late, but must never be half true.
    fn forget(&self, one: Living, random: &mut Random) -> Option<Living> {
        self.place.run(["forget", &one.id]).ok();
        count(&self.counts.forgotten);
        if !random.one_in(3) {
            return None;
        }
        std::thread::sleep(Duration::from_millis(random.below(200)));
        let undo = self.place.run(["forget", "--undo", &one.id]);
        if undo.code == Some(0) {
            count(&self.counts.undone);
            comes_back(self.place, &one);
            return Some(one);
        }
        undo.fails(1, "not_found");
        count(&self.counts.too_late);
        None
    }

    fn hold_and_release(&self, one: &Living) {
        self.place
            .run(["annotate", &one.id, "--hold", "a test"])
            .ok();
        self.place.run(["forget", &one.id]).fails(1, "conflict");
        self.place.run(["annotate", &one.id, "--release"]).ok();
    }

    fn prune(&self, mut random: Random) {
        let _ending = Ending(&self.over);
        while !self.is_over() {
            let how = random.pick(&HOW);
            let summary = prune(self.place, how);
            count(&self.counts.prunes);
            let bytes = number(&summary, "bytes_deleted");
            if bytes > 0 {
                count(&self.counts.sweeps);
            }
            let packs = number(&summary, "packs_deleted");
            self.counts.packs.fetch_add(packs, Ordering::Relaxed);
            self.counts.bytes.fetch_add(bytes, Ordering::Relaxed);
            std::thread::sleep(Duration::from_millis(random.below(100)));
        }
    }

    /// A check among them finds no damage where there is none.
    fn check(&self) {
        let _ending = Ending(&self.over);
        while !self.is_over() {
            self.place.run(["check"]).ok();
            count(&self.counts.checks);
            std::thread::sleep(Duration::from_millis(500));
        }
    }
}

/// Some content of its own, and some of a few that all of them have now and then: it dies with the last snapshot that
/// has it, and comes back with the next.
fn edit(tree: &Path, random: &mut Random) {
    let write = |name: String, bytes: Vec<u8>| std::fs::write(tree.join(name), bytes).unwrap();
    let delete = |name: String| {
        let path: PathBuf = tree.join(name);
        if path.exists() {
            std::fs::remove_file(path).unwrap();
        }
    };
    for at in 0..12 {
        let name = format!("own-{at}");
        match random.below(8) {
            0 => delete(name),
            1 | 2 => {
                let len = random.below(60_000) as usize;
                write(name, random.bytes(len));
            }
            _ => {}
        }
    }
    for at in 0..4 {
        let name = format!("shared-{at}");
        match random.below(4) {
            0 => delete(name),
            1 | 2 => write(name, Random::new(random.below(8)).bytes(300_000)),
            _ => {}
        }
    }
    let len = 1 + random.below(30_000) as usize;
    write("text".into(), random.text(len));
}
