//! One sequence: edits, snapshots, and restores of random earlier snapshots, each compared with what the map
//! remembers. In process, so that a thousand of them are minutes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use duramen::format::snapshot::SnapshotKind;
use duramen::format::snapshot::State;
use duramen::ops::init::new_key_file;
use duramen::ops::open::{Credential, OpenOptions};
use duramen::ops::restore::{Overwrite, RestoreOptions};
use duramen::ops::select::Filter;
use duramen::ops::snapshot::{Excludes, Input, SnapshotOptions};
use duramen::ops::{check, init, open, restore, select, snapshot};
use duramen::progress::Silent;
use duramen::repository::Repository;

use super::model::{Model, Name, Seen, see};
use crate::common::random::Random;
use crate::common::scratch::Scratch;

/// How long an edit must lie back until its file is trusted as unchanged.
const SETTLED: Duration = Duration::from_millis(2_200);

/// Runs so many sequences on a few threads: those that let their files settle spend their time waiting.
pub fn run(sequences: usize) {
    let seed = crate::common::seed("property");
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let work = || {
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                if at >= sequences {
                    return;
                }
                let own = seed.wrapping_add(at as u64);
                let result = std::panic::catch_unwind(|| one(own, at.is_multiple_of(4)));
                if let Err(panic) = result {
                    println!("sequence {at} failed: DURAMEN_SEED={own} runs it first");
                    next.store(sequences, Ordering::Relaxed);
                    std::panic::resume_unwind(panic);
                }
            }
        };
        let threads: Vec<_> = (0..6).map(|_| scope.spawn(work)).collect();
        for thread in threads {
            if let Err(panic) = thread.join() {
                std::panic::resume_unwind(panic);
            }
        }
    });
    println!("property: {sequences} sequences");
}

/// What a snapshot must give back.
struct Remembered {
    id: String,
    seen: Seen,
    times: BTreeMap<Name, (i64, i64)>,
}

struct Sequence {
    options: OpenOptions,
    source: PathBuf,
    target: PathBuf,
    random: Random,
    history: Vec<String>,
}

fn one(seed: u64, settling: bool) {
    let scratch = Scratch::new("property");
    let options = OpenOptions {
        location: scratch.at("repository").to_str().unwrap().into(),
        credentials: vec![Credential::KeyFile(new_key_file().unwrap())],
        cache: Some(scratch.at("cache")),
        state: None,
        threads: 2,
    };
    init::run(&options, &Silent).unwrap();
    let mut sequence = Sequence {
        options,
        source: scratch.folder("source"),
        target: scratch.at("target"),
        random: Random::new(seed),
        history: Vec::new(),
    };
    let mut model = Model::default();
    let mut remembered: Vec<Remembered> = Vec::new();
    for step in 0..5 {
        for _ in 0..sequence.random.below(25) {
            model.edit(&sequence.source, &mut sequence.random);
        }
        let (seen, times) = see(&sequence.source);
        assert_eq!(
            seen,
            model.seen(),
            "seed {seed}: the model is wrong, not the program"
        );
        if settling && step == 2 {
            let edited = Instant::now();
            while edited.elapsed() < SETTLED {
                std::thread::sleep(SETTLED / 4);
            }
        }
        let id = sequence.snapshot();
        remembered.push(Remembered { id, seen, times });
        let earlier = sequence.random.index(remembered.len());
        sequence.restore(&remembered[earlier], seed);
    }
    for one in &remembered {
        sequence.restore(one, seed);
    }
    let repository = sequence.open();
    let options = check::CheckOptions {
        read: check::ReadData::All,
        ..Default::default()
    };
    let summary = check::run(&repository, &options, &Silent).unwrap();
    let damage = summary.findings.iter().any(|finding| finding.damage);
    assert!(!damage, "seed {seed}: {:?}", summary.findings);
}

impl Sequence {
    /// As a new process would: nothing is kept in memory from one command to the next.
    fn open(&self) -> Repository {
        open::open(&self.options, &Silent).unwrap()
    }

    fn snapshot(&mut self) -> String {
        if self.random.one_in(6) {
            // A cache may go away at any time.
            crate::common::place::remove(self.options.cache.as_ref().unwrap());
        }
        let kind = *self.random.pick(&[
            SnapshotKind::Incremental,
            SnapshotKind::Incremental,
            SnapshotKind::Differential,
            SnapshotKind::Full,
        ]);
        let options = SnapshotOptions {
            input: Input::Paths(vec![self.source.clone()]),
            excludes: Excludes::default(),
            kind,
            host: "host".into(),
            user: "user".into(),
            tags: Vec::new(),
            time: None,
            parent: None,
            force: self.random.one_in(8),
            dry_run: false,
            level: *self.random.pick(&[0, 1, 3]),
            ignore_inode: false,
            ignore_ctime: false,
        };
        let repository = self.open();
        let summary = snapshot::run(&repository, &options, &Silent).unwrap();
        assert_eq!(summary.state, State::Complete, "{:?}", summary.problems);
        let id = summary.id.unwrap().hex();
        self.history.push(format!("{kind:?} {id}"));
        id
    }

    /// Into a fresh folder, or over whatever an earlier restore left there.
    fn restore(&mut self, wanted: &Remembered, seed: u64) {
        if self.random.one_in(2) {
            crate::common::place::remove(&self.target);
        }
        let options = RestoreOptions {
            path: Some(bytes(&self.source)),
            target: self.target.clone(),
            include: Vec::new(),
            iinclude: Vec::new(),
            exclude: Vec::new(),
            iexclude: Vec::new(),
            overwrite: Overwrite::Always,
            in_place: self.random.one_in(2),
            delete: true,
            dry_run: false,
            verify: self.random.one_in(2),
            sparse: self.random.one_in(3),
            ownership: None,
            numeric_owner: self.random.one_in(2),
            read_only: None,
        };
        let repository = self.open();
        let found = select::one(&repository, &wanted.id, &Filter::default()).unwrap();
        let summary = restore::run(&repository, &found, &options, &Silent).unwrap();
        assert_eq!(
            summary.problem_count, 0,
            "seed {seed}: {:?}",
            summary.problems
        );
        let (seen, times) = see(&self.target);
        let about = || {
            format!(
                "seed {seed}, restored {} with {options:?} after {:#?}",
                wanted.id, self.history
            )
        };
        assert_same("what is there", &wanted.seen, &seen, &about);
        assert_same("times", &wanted.times, &times, &about);
    }
}

fn bytes(path: &Path) -> Vec<u8> {
    use std::os::unix::ffi::OsStrExt;
    path.as_os_str().as_bytes().to_vec()
}

fn assert_same<T: PartialEq + std::fmt::Debug>(
    what: &str,
    wanted: &BTreeMap<Name, T>,
    found: &BTreeMap<Name, T>,
    about: &dyn Fn() -> String,
) {
    let mut names: Vec<&Name> = wanted.keys().chain(found.keys()).collect();
    names.sort();
    names.dedup();
    let wrong: Vec<String> = names
        .into_iter()
        .filter(|name| wanted.get(*name) != found.get(*name))
        .map(|name| {
            format!(
                "{}: wanted {:?}, found {:?}",
                name.escape_ascii(),
                wanted.get(name),
                found.get(name)
            )
        })
        .collect();
    assert!(wrong.is_empty(), "{}: {what}: {wrong:#?}", about());
}
