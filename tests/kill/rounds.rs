//! Rounds of: change the tree, start a command, kill it, check and restore, let the same command run to its end, take a
//! whole snapshot.
//!
//! The commands take turns: snapshot, forget, prune, repair (with or without something to mend). Every round prints its
//! delay, and the seed repeats the trees, the harm and the choices (the moments are the machine's).

use std::ffi::OsStr;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::common::compare::{Options, assert_same};
use crate::common::harm::harm;
use crate::common::place::{Place, Run, copy, files_below, inside, number, remove, text};
use crate::common::random::Random;
use crate::common::seen::{Seen, see};
use crate::common::tree::everyday;

/// How much is done, and on what.
pub struct Size {
    /// Kills that hit a command at work.
    pub kills: usize,
    /// Files of the tree, at least.
    pub files: usize,
    /// Bytes of one large file beside them.
    pub large: usize,
    /// Bytes of it that change from round to round.
    pub change: usize,
}

/// What is run by hand.
pub const LONG: Size = Size {
    kills: 200,
    files: 5_000,
    large: 150_000_000,
    change: 12_000_000,
};

/// Snapshots that are left when some are forgotten.
const LEFT: usize = 5;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verb {
    Snapshot,
    Forget,
    Prune,
    Repair,
}

const VERBS: [Verb; 4] = [Verb::Snapshot, Verb::Forget, Verb::Prune, Verb::Repair];

/// What stands of a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Living,
    Forgotten,
    /// Forgotten, and a prune was killed since: it has gone, or can be taken back whole.
    Doubtful,
}

struct Taken {
    id: String,
    seen: Seen,
    standing: Standing,
    /// Whether it was made by repair of one that was damaged.
    is_heir: bool,
}

/// A command that is to be killed, and what may come of it.
struct Deed {
    verb: Verb,
    args: Vec<String>,
    /// What it may forget.
    targets: Vec<String>,
    /// The folder in which a stored file was harmed for it.
    harmed: Option<&'static str>,
}

struct State {
    place: Place,
    random: Random,
    source: PathBuf,
    /// The tree as it was when the newest was taken.
    kept: PathBuf,
    /// In the order in which they were taken, without those that have gone.
    taken: Vec<Taken>,
    /// Snapshots that repair gave up.
    lost: Vec<String>,
    /// How long each command took when it was let be.
    durations: [Duration; VERBS.len()],
    kills: [usize; VERBS.len()],
}

pub fn run(size: &Size) {
    let mut state = State::new(size);
    let mut round = 0;
    while state.killed() < size.kills {
        assert!(
            round < size.kills * 3,
            "only {} of {round} kills hit a command at work",
            state.killed()
        );
        let when = format!("round {round}");
        change(&state.source, size, &mut state.random);
        // Now and then the kill hits a repository that was opened before by nobody with this cache.
        if round % 3 == 2 {
            remove(&state.place.cache);
        }
        let deed = state.prepare(VERBS[round % VERBS.len()]);
        state.kill(&deed, &when);
        state.stands_after_kill(&deed, &when);
        state.finish(&deed, &when);
        state.whole_snapshot();
        if deed.harmed.is_some() {
            // Stored whole, also where what the snapshots before had of it was lost.
            state.newest_comes_back(&when);
        }
        round += 1;
    }
    println!(
        "of {round} kills hit a command at work: {:?} of {VERBS:?}",
        state.kills
    );
    let files = files_below(&state.source);
    let bytes: u64 = files
        .iter()
        .map(|path| path.symlink_metadata().unwrap().len())
        .sum();
    println!("the tree has {} files of {bytes} bytes", files.len());
    assert!(files.len() >= size.files && bytes >= size.large as u64);
    state.place.assert_clean();
    for one in &state.taken {
        if one.standing == Standing::Living {
            state.comes_back(one, "at the end");
        }
    }
}

impl State {
    fn new(size: &Size) -> Self {
        let mut random = Random::new(crate::common::seed("kill"));
        let place = Place::new("kill");
        let (source, kept) = (place.at("source"), place.at("kept"));
        everyday(&source, random.next(), size.files);
        std::fs::write(source.join("large"), random.bytes(size.large)).unwrap();
        let mut state = Self {
            place,
            random,
            source,
            kept,
            taken: Vec::new(),
            lost: Vec::new(),
            durations: [Duration::ZERO; VERBS.len()],
            kills: [0; VERBS.len()],
        };
        state.whole_snapshot();
        for verb in [Verb::Forget, Verb::Prune, Verb::Repair] {
            let deed = state.prepare(verb);
            state.finish(&deed, "before all rounds");
            state.whole_snapshot();
        }
        state
    }

    fn killed(&self) -> usize {
        self.kills.iter().sum()
    }

    fn prepare(&mut self, verb: Verb) -> Deed {
        let mut deed = Deed {
            verb,
            args: Vec::new(),
            targets: Vec::new(),
            harmed: None,
        };
        let mut args: Vec<&str> = Vec::new();
        let source = self.source.to_str().unwrap().to_string();
        match verb {
            Verb::Snapshot => args.extend(["snapshot", &source]),
            Verb::Forget => {
                args.push("forget");
                let living: Vec<String> = self.living().map(|one| one.id.clone()).collect();
                let old = living.len().saturating_sub(LEFT);
                if old == 0 || self.random.one_in(2) {
                    args.extend(["--keep-last", "5"]);
                    deed.targets = living[..old].to_vec();
                    // What is not whole takes no place, and none is kept for it.
                    let heirs = self.living().filter(|one| one.is_heir);
                    deed.targets.extend(heirs.map(|one| one.id.clone()));
                } else {
                    // Any of them but the newest.
                    deed.targets = living[..living.len() - 1].to_vec();
                    while deed.targets.len() > old {
                        let at = self.random.index(deed.targets.len());
                        deed.targets.remove(at);
                    }
                    args.extend(deed.targets.iter().map(String::as_str));
                }
            }
            Verb::Prune => {
                args.extend(["prune", "--grace", "0", "--session-expiry", "0"]);
                args.extend(*self.random.pick(&[
                    &["--max-unused", "0"][..],
                    &["--max-unused", "5%"],
                    &["--purge"],
                ]));
            }
            Verb::Repair => {
                deed.harmed = self.harm();
                args.extend(["repair", "--read-data"]);
            }
        }
        deed.args = args.into_iter().map(String::from).collect();
        deed
    }

    /// Harms a stored file, or none.
    fn harm(&mut self) -> Option<&'static str> {
        let folder = (*self.random.pick(&[None, Some("index"), Some("packs")]))?;
        let files = files_below(&self.place.repository.join(folder));
        let file = self.random.pick(&files).clone();
        let what = harm(&file, &mut self.random);
        println!("{what}: {}", file.display());
        Some(folder)
    }

    fn living(&self) -> impl Iterator<Item = &Taken> {
        let taken = self.taken.iter();
        taken.filter(|one| one.standing == Standing::Living)
    }

    fn kill(&mut self, deed: &Deed, when: &str) {
        let longest = self.durations[deed.verb as usize];
        let micros = longest.as_micros() as u64;
        let delay = Duration::from_micros(self.random.below(micros));
        let mut command = self.place.command();
        command
            .args(&deed.args)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        std::thread::sleep(delay);
        let running = child.try_wait().unwrap().is_none();
        child.kill().unwrap();
        child.wait().unwrap();
        self.kills[deed.verb as usize] += usize::from(running);
        println!(
            "{when}: {} killed after {delay:?} of {longest:?}: {running}",
            deed.args.join(" ")
        );
    }

    /// Nothing is damaged but what was harmed, nothing is gone but what was to go, and what lives comes back.
    fn stands_after_kill(&mut self, deed: &Deed, when: &str) {
        let mut check = vec!["check"];
        if deed.verb == Verb::Prune {
            check.push("--read-data");
        }
        let check = self.place.run(check);
        if deed.harmed.is_none() {
            assert_eq!(check.code, Some(0), "{when}: {check}");
        } else {
            // Until it was mended to the end, which is what comes next, it may be as damaged as it was.
            assert!(matches!(check.code, Some(0 | 4)), "{when}: {check}");
            return;
        }
        self.look(deed, when);
        self.newest_comes_back(when);
        if matches!(deed.verb, Verb::Forget | Verb::Prune) {
            self.regret(when);
        }
    }

    /// Which of them live, by the list that the program gives.
    fn look(&mut self, deed: &Deed, when: &str) {
        let listed = self.place.snapshots();
        let lives = |id: &str| listed.iter().any(|one| text(one, "id") == id);
        for one in &mut self.taken {
            match one.standing {
                Standing::Living if lives(&one.id) => {}
                Standing::Living => {
                    assert!(
                        deed.targets.contains(&one.id),
                        "{when}: snapshot {} is gone",
                        one.id
                    );
                    one.standing = Standing::Forgotten;
                }
                _ => assert!(!lives(&one.id), "{when}: snapshot {} is back", one.id),
            }
            if deed.verb == Verb::Prune && one.standing == Standing::Forgotten {
                one.standing = Standing::Doubtful;
            }
        }
        // Killed after the commit and before it could say so: then it must be whole, too.
        let new: Vec<&Value> = listed
            .iter()
            .filter(|one| {
                let id = text(one, "id");
                !self.lost.iter().any(|lost| lost == id)
                    && self.taken.iter().all(|one| one.id != id)
            })
            .collect();
        let most = usize::from(deed.verb == Verb::Snapshot);
        assert!(new.len() <= most, "{when}: snapshots from nowhere: {new:?}");
        if let Some(one) = new.first() {
            self.note(text(one, "id").to_string());
        }
    }

    /// One of those that were forgotten is taken back, if it still can be.
    fn regret(&mut self, when: &str) {
        let forgotten: Vec<usize> = (0..self.taken.len())
            .filter(|at| self.taken[*at].standing != Standing::Living)
            .collect();
        if forgotten.is_empty() || self.random.one_in(2) {
            return;
        }
        let at = *self.random.pick(&forgotten);
        let undo = self.place.run(["forget", "--undo", &self.taken[at].id]);
        if undo.code != Some(0) && self.taken[at].standing == Standing::Doubtful {
            undo.fails(1, "not_found");
            self.taken.remove(at);
            return;
        }
        assert_eq!(undo.code, Some(0), "{when}: {undo}");
        self.taken[at].standing = Standing::Living;
        self.comes_back(&self.taken[at], when);
    }

    /// The same command again, and nobody kills it.
    fn finish(&mut self, deed: &Deed, when: &str) {
        if deed.verb == Verb::Snapshot {
            // As every round does at its end.
            return;
        }
        let started = Instant::now();
        let run = self.place.run(&deed.args);
        self.durations[deed.verb as usize] = started.elapsed();
        let lossy = deed.harmed == Some("packs");
        assert!(
            run.code == Some(0) || lossy && run.code == Some(4),
            "{when}: {run}"
        );
        match deed.verb {
            Verb::Prune => {
                assert_eq!(number(&run.summary(), "wait_count"), 0, "{when}: {run}");
                self.taken.retain(|one| one.standing == Standing::Living);
            }
            Verb::Repair if lossy => self.replaced(when),
            _ => {}
        }
        self.look(deed, when);
        let check = self.place.run(["check", "--read-data"]);
        assert_eq!(check.code, Some(0), "{when}: {check}");
        self.some_come_back(when);
    }

    /// Snapshots that needed what was lost were taken again with what was not.
    fn replaced(&mut self, when: &str) {
        let listed = self.place.snapshots();
        let mut still = Vec::new();
        for one in std::mem::take(&mut self.taken) {
            if listed.iter().any(|other| text(other, "id") == one.id) {
                still.push(one);
                continue;
            }
            self.lost.push(one.id.clone());
            // Nobody looks at what is forgotten: it may need what is lost.
            if one.standing != Standing::Living {
                continue;
            }
            let heir = listed
                .iter()
                .find(|other| other["original"].as_str() == Some(&one.id))
                .unwrap_or_else(|| panic!("{when}: {} went without an heir", one.id));
            let id = text(heir, "id").to_string();
            let listed = self
                .place
                .run([OsStr::new("ls"), &inside(&id, &self.source)]);
            if listed.code != Some(0) {
                // The topmost page was lost, and the whole tree with it.
                listed.fails(1, "not_found");
                println!("{when}: of {} paths none is left", one.seen.words.len());
                self.lost.push(id);
                continue;
            }
            let seen = self.restored(&id, when);
            one.seen
                .assert_has(&seen, &|| format!("{when}: {id} stands for {}", one.id));
            println!(
                "{when}: of {} paths {} are left",
                one.seen.words.len(),
                seen.words.len()
            );
            still.push(Taken {
                id,
                seen,
                standing: Standing::Living,
                is_heir: true,
            });
        }
        self.taken = still;
    }

    /// A snapshot that is let be; it must succeed, whatever a killed command left behind.
    fn whole_snapshot(&mut self) {
        let started = Instant::now();
        let summary = self.place.snapshot(&self.source);
        self.durations[Verb::Snapshot as usize] = started.elapsed();
        assert_eq!(text(&summary, "state"), "complete");
        self.note(text(&summary, "snapshot_id").to_string());
    }

    fn note(&mut self, id: String) {
        self.taken.push(Taken {
            id,
            seen: see(&self.source),
            standing: Standing::Living,
            is_heir: false,
        });
        remove(&self.kept);
        copy(&self.source, &self.kept);
    }

    /// The newest, compared with the tree itself.
    fn newest_comes_back(&self, when: &str) {
        let newest = self.taken.last().unwrap();
        let target = self.place.at("restored");
        let run = self.place.restore_inside(&newest.id, &self.source, &target);
        assert_eq!(run.code, Some(0), "{when}: {run}");
        let options = Options {
            root: false,
            ..Options::default()
        };
        assert_same(&self.kept, &target, &options);
        remove(&target);
    }

    /// One of all that live.
    fn some_come_back(&mut self, when: &str) {
        let living: Vec<usize> = (0..self.taken.len())
            .filter(|at| self.taken[*at].standing == Standing::Living)
            .collect();
        // All that were there may have been given up.
        if !living.is_empty() {
            let at = *self.random.pick(&living);
            self.comes_back(&self.taken[at], when);
        }
    }

    fn comes_back(&self, one: &Taken, when: &str) {
        let seen = self.restored(&one.id, when);
        one.seen
            .assert_is(&seen, &|| format!("{when}: snapshot {}", one.id));
    }

    fn restored(&self, id: &str, when: &str) -> Seen {
        let target = self.place.at("restored");
        let run: Run = self.place.restore_inside(id, &self.source, &target);
        assert_eq!(run.code, Some(0), "{when}: {run}");
        let seen = see(&target);
        remove(&target);
        seen
    }
}

/// Some files edited, some added, removed, and moved, and a part of the large one rewritten.
fn change(source: &Path, size: &Size, random: &mut Random) {
    let mut deleted = 0;
    for path in files_below(source) {
        if path.is_symlink() || path.ends_with("large") {
            continue;
        }
        match random.below(40) {
            0..=2 => {
                let len = random.below(30_000) as usize;
                std::fs::write(&path, random.bytes(len)).unwrap();
            }
            3 => {
                std::fs::remove_file(&path).unwrap();
                deleted += 1;
            }
            4 => std::fs::rename(
                &path,
                path.with_extension(random.below(1_000_000).to_string()),
            )
            .unwrap(),
            _ => {}
        }
    }
    // Renamed onto each other a few are lost as well; in the end there are more.
    for _ in 0..deleted + 10 {
        let len = random.below(30_000) as usize;
        let path = source.join(format!("new-{}", random.next()));
        std::fs::write(path, random.bytes(len)).unwrap();
    }
    let large = std::fs::File::options()
        .write(true)
        .open(source.join("large"))
        .unwrap();
    let at = random.index(size.large - size.change + 1);
    large
        .write_all_at(&random.bytes(size.change), at as u64)
        .unwrap();
}
