//! A small repository in memory and a tree to put into it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use duramen::clock::{Clock, Nanos, SystemClock};
use duramen::error::Result;
use duramen::format::records::Chunking;
use duramen::format::snapshot::SnapshotKind;
use duramen::ops;
use duramen::ops::snapshot::{Excludes, Input, Selection, SnapshotOptions, SnapshotSummary};
use duramen::progress::Silent;
use duramen::repository::{Credential, Environment, Repository, create, new_key_file};
use duramen::seal::Compression;
use duramen::storage::{MemoryStorage, Storage};

pub struct Lab {
    pub storage: MemoryStorage,
    pub credential: Credential,
    pub folder: tempfile::TempDir,
}

/// Pseudo-random bytes that never repeat, from a label.
pub fn noise(label: &str, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new()
        .update(label.as_bytes())
        .finalize_xof()
        .fill(&mut bytes);
    bytes
}

pub fn environment(cache: Option<PathBuf>) -> Environment {
    Environment {
        cache,
        state: None,
        threads: 2,
        clock: Arc::new(SystemClock::default()),
        host: "host".into(),
        user: "user".into(),
    }
}

pub fn options(path: &Path) -> SnapshotOptions {
    SnapshotOptions {
        input: Input::Paths(vec![path.to_owned()]),
        databases: Vec::new(),
        reading: Default::default(),
        no_dumps: false,
        collections: Selection::default(),
        excludes: Excludes::default(),
        kind: SnapshotKind::Incremental,
        host: String::new(),
        user: String::new(),
        tags: Vec::new(),
        time: None,
        parent: None,
        force: false,
        dry_run: false,
        compression: Compression::Default,
        ignore_inode: false,
        ignore_ctime: false,
    }
}

/// The machine's clock, ten minutes on.
struct Later(SystemClock);

impl Clock for Later {
    fn now(&self) -> Nanos {
        self.0.now() + 600_000_000_000
    }

    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

impl Lab {
    pub fn new() -> Self {
        let storage = MemoryStorage::new();
        let credential = Credential::KeyFile(new_key_file().unwrap());
        create(
            &storage,
            &credential,
            &environment(None),
            Chunking::default(),
        )
        .unwrap();
        Self {
            storage,
            credential,
            folder: tempfile::tempdir().unwrap(),
        }
    }

    pub fn tree(&self) -> PathBuf {
        self.folder.path().join("tree")
    }

    /// Writes files of many sizes; those of another `version` differ in some.
    pub fn write_tree(&self, version: u32) {
        for folder in ["a", "b/c"] {
            std::fs::create_dir_all(self.tree().join(folder)).unwrap();
        }
        for number in 0..12 {
            let label = if number % 3 == 0 {
                format!("{number} {version}")
            } else {
                format!("{number}")
            };
            let folder = if number % 2 == 0 { "a" } else { "b/c" };
            let file = self.tree().join(folder).join(format!("file{number}"));
            std::fs::write(file, noise(&label, 10usize.pow(number % 6))).unwrap();
        }
        std::fs::write(self.tree().join("large"), noise("large", 700_000)).unwrap();
        std::fs::write(
            self.tree().join("words"),
            "so many words ".repeat(20_000 + version as usize),
        )
        .unwrap();
    }

    pub fn open_on(&self, storage: Arc<dyn Storage>) -> Result<Repository> {
        Repository::open(
            storage,
            std::slice::from_ref(&self.credential),
            environment(None),
        )
    }

    pub fn open(&self) -> Repository {
        self.open_on(Arc::new(self.storage.clone())).unwrap()
    }

    /// Opens it on a machine where it is later, so that what was just written is not too fresh to be trusted as
    /// unchanged.
    pub fn open_later(&self, storage: &MemoryStorage) -> Result<Repository> {
        let environment = Environment {
            clock: Arc::new(Later(SystemClock::default())),
            ..environment(None)
        };
        let credential = std::slice::from_ref(&self.credential);
        Repository::open(Arc::new(storage.clone()), credential, environment)
    }

    pub fn snapshot(&self, repository: &Repository) -> Result<SnapshotSummary> {
        ops::snapshot::run(repository, &options(&self.tree()), &Silent)
    }

    /// What lies on the disk: relative paths with their bytes.
    pub fn on_disk(&self) -> BTreeMap<String, Vec<u8>> {
        files(&self.tree())
    }
}

pub fn files(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else {
            continue;
        };
        for entry in entries {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path
                    .strip_prefix(root)
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .to_owned();
                found.insert(name, std::fs::read(&path).unwrap());
            }
        }
    }
    found
}

/// Restores a snapshot's tree; what came back, and whether the summary speaks of damage.
pub fn restored(
    lab: &Lab,
    repository: &Repository,
    name: &str,
) -> Result<(BTreeMap<String, Vec<u8>>, bool)> {
    let target = tempfile::tempdir().unwrap();
    let snapshot = ops::select::one(repository, name, &ops::select::Filter::default())?;
    let restore = restore_options(lab, &target.path().join("out"));
    let summary = ops::restore::run(repository, &snapshot, &restore, &Silent)?;
    Ok((
        files(&target.path().join("out")),
        summary.damage || summary.problem_count > 0,
    ))
}

pub fn check(repository: &Repository) -> Result<ops::check::CheckSummary> {
    ops::check::run(
        repository,
        &ops::check::CheckOptions {
            read: ops::check::ReadData::All,
            ..Default::default()
        },
        &Silent,
    )
}

/// The inside of the lab's tree to `target`.
pub fn restore_options(lab: &Lab, target: &Path) -> ops::restore::RestoreOptions {
    ops::restore::RestoreOptions {
        path: Some(lab.tree().into_os_string().into_encoded_bytes()),
        target: target.to_owned(),
        include: Vec::new(),
        iinclude: Vec::new(),
        exclude: Vec::new(),
        iexclude: Vec::new(),
        overwrite: ops::restore::Overwrite::Always,
        in_place: false,
        delete: false,
        dry_run: false,
        verify: false,
        sparse: false,
        ownership: None,
        numeric_owner: false,
        read_only: None,
    }
}
