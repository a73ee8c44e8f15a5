//! One sequence: edits, snapshots, whatever else happens to these (`life.rs`), and restores of random earlier ones, each
//! compared with what the map remembers. In process, so that a thousand of them are minutes.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use duramen::error::Kind;
use duramen::format::snapshot::SnapshotKind;
use duramen::format::snapshot::State;
use duramen::id::SnapshotId;
use duramen::ops::init::new_key_file;
use duramen::ops::open::{Credential, OpenOptions};
use duramen::ops::restore::{Overwrite, RestoreOptions};
use duramen::ops::select::Filter;
use duramen::ops::snapshot::{Excludes, Input, Selection, SnapshotOptions};
use duramen::ops::{check, init, open, restore, select, snapshot};
use duramen::progress::Silent;
use duramen::repository::{Repository, Standing};
use duramen::seal::Compression;

use super::life::Taken;
use super::model::Model;
use crate::common::random::Random;
use crate::common::scratch::Scratch;
use crate::common::seen::{Seen, see};

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

pub struct Sequence {
    pub options: OpenOptions,
    source: PathBuf,
    target: PathBuf,
    pub random: Random,
    seed: u64,
    history: Vec<String>,
    /// All snapshots, in the order in which they were taken.
    pub taken: Vec<Taken>,
    /// Snapshots that were damaged, and so may give back anything or nothing.
    pub lost: Vec<SnapshotId>,
}

fn one(seed: u64, settling: bool) {
    let scratch = Scratch::new("property");
    let options = OpenOptions {
        location: scratch.at("repository").to_str().unwrap().into(),
        credentials: vec![Credential::KeyFile(new_key_file().unwrap())],
        cache: Some(scratch.at("cache")),
        state: None,
        threads: 2,
        rates: Default::default(),
    };
    init::run(&options, &Silent).unwrap();
    let mut sequence = Sequence {
        options,
        source: scratch.folder("source"),
        target: scratch.at("target"),
        random: Random::new(seed),
        seed,
        history: Vec::new(),
        taken: Vec::new(),
        lost: Vec::new(),
    };
    let mut model = Model::default();
    for step in 0..5 {
        for _ in 0..sequence.random.below(25) {
            model.edit(&sequence.source, &mut sequence.random);
        }
        let seen = see(&sequence.source);
        assert_eq!(
            seen.words,
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
        sequence.taken.push(Taken::new(id, Some(seen)));
        for _ in 0..sequence.random.below(5) {
            sequence.live();
        }
        if !sequence.taken.is_empty() {
            let earlier = sequence.random.index(sequence.taken.len());
            sequence.restore(earlier);
        }
    }
    for at in 0..sequence.taken.len() {
        sequence.restore(at);
    }
    let repository = sequence.open();
    let options = check::CheckOptions {
        read: check::ReadData::All,
        ..Default::default()
    };
    let summary = check::run(&repository, &options, &Silent).unwrap();
    let damage = summary.findings.iter().any(|finding| finding.damage);
    assert!(!damage, "{:?}: {}", summary.findings, sequence.about());
}

impl Sequence {
    /// As a new process would: nothing is kept in memory from one command to the next.
    pub fn open(&self) -> Repository {
        open::open(&self.options, &Silent).unwrap()
    }

    pub fn note(&mut self, what: String) {
        self.history.push(what);
    }

    /// How to run it again, and what was done.
    pub fn about(&self) -> String {
        format!("seed {} after {:#?}", self.seed, self.history)
    }

    fn snapshot(&mut self) -> SnapshotId {
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
            databases: Vec::new(),
            reading: Default::default(),
            no_dumps: false,
            collections: Selection::default(),
            excludes: Excludes::default(),
            kind,
            host: "host".into(),
            user: "user".into(),
            tags: Vec::new(),
            time: None,
            parent: None,
            force: self.random.one_in(8),
            dry_run: false,
            compression: *self.random.pick(&[
                Compression::Off,
                Compression::Level(1),
                Compression::Default,
            ]),
            ignore_inode: false,
            ignore_ctime: false,
        };
        let repository = self.open();
        let summary = snapshot::run(&repository, &options, &Silent).unwrap();
        assert_eq!(summary.state, State::Complete, "{:?}", summary.problems);
        let id = summary.id.unwrap();
        self.note(format!("{kind:?} {}", id.short()));
        id
    }

    /// Restores a snapshot that was taken; one that has gone is not there.
    fn restore(&mut self, at: usize) {
        let wanted = self.taken[at].clone();
        if wanted.standing == Standing::Gone {
            let found = select::one(&self.open(), &wanted.id.hex(), &Filter::default());
            assert_eq!(
                found.unwrap_err().kind(),
                Kind::NotFound,
                "{}",
                self.about()
            );
            return;
        }
        match (&wanted.seen, self.restored(&wanted.id, wanted.is_heir)) {
            (Some(wanted), Some(seen)) => wanted.assert_is(&seen, &|| self.about()),
            (None, None) => {}
            (_, None) => panic!("the whole tree is missing: {}", self.about()),
            (None, _) => panic!("a lost tree is back: {}", self.about()),
        }
    }

    /// What comes back of a snapshot, into a fresh folder, or over whatever an earlier restore left there; none where
    /// the tree itself is not in it. Whatever stands where a snapshot says that something is lost stays, so those want a
    /// `fresh` folder.
    pub fn restored(&mut self, id: &SnapshotId, fresh: bool) -> Option<Seen> {
        if fresh || self.random.one_in(2) {
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
        self.note(format!("restore {} with {options:?}", id.short()));
        let repository = self.open();
        let found = select::one(&repository, &id.hex(), &Filter::default()).unwrap();
        let summary = match restore::run(&repository, &found, &options, &Silent) {
            Err(error) if error.kind() == Kind::NotFound => return None,
            other => other.unwrap(),
        };
        assert_eq!(
            summary.problem_count,
            0,
            "{:?}: {}",
            summary.problems,
            self.about()
        );
        Some(see(&self.target))
    }
}

fn bytes(path: &Path) -> Vec<u8> {
    use std::os::unix::ffi::OsStrExt;
    path.as_os_str().as_bytes().to_vec()
}
