//! How large should chunks be? Stores the same data with several sizes, edits it, stores it again, and prints what
//! each costs: bytes, chunks, index, CPU. The choice that came of it, and its numbers, stand in `docs/chunk-sizes.md`.
//!
//! ```text
//! cargo bench --locked --bench chunk_sizes -- [FOLDER]
//! ```
//! With a folder it also stores that one, as it is.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use duramen::clock::SystemClock;
use duramen::format::records::Chunking;
use duramen::format::snapshot::SnapshotKind;
use duramen::ops::snapshot::{Excludes, Input, Selection, SnapshotOptions, run};
use duramen::progress::Silent;
use duramen::repository::{Credential, Environment, Repository, create, new_key_file};
use duramen::seal::Compression;
use duramen::storage::{LocalStorage, Storage};

const SIZES_KIB: [(u32, u32, u32); 5] = [
    (4, 16, 64),
    (8, 32, 128),
    (16, 64, 256),
    (32, 128, 512),
    (256, 512, 1024),
];
/// Documents of the dump; about 1 KB each.
const DOCUMENTS: u64 = 150_000;

/// A generator that needs no seed from outside: the same numbers in every run.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }
}

/// One chat-like document; `version` changes its words, not its place.
fn document(number: u64, version: u64, out: &mut Vec<u8>) {
    const WORDS: [&str; 16] = [
        "hello", "price", "order", "please", "window", "glass", "thanks", "tomorrow", "delivery",
        "colour", "would", "like", "the", "quote", "for", "metres",
    ];
    let mut numbers = Numbers(number.wrapping_mul(2_654_435_761) ^ version << 40);
    out.extend_from_slice(
        format!(
            "{{\"_id\":\"{number:024x}\",\"session\":\"{:016x}\",\"messages\":[",
            numbers.next()
        )
        .as_bytes(),
    );
    for message in 0..4 + numbers.next() % 8 {
        let comma = if message > 0 { "," } else { "" };
        out.extend_from_slice(
            format!(
                "{comma}{{\"at\":{},\"text\":\"",
                1_700_000_000 + numbers.next() % 50_000_000
            )
            .as_bytes(),
        );
        for _ in 0..6 + numbers.next() % 12 {
            out.extend_from_slice(WORDS[(numbers.next() % 16) as usize].as_bytes());
            out.push(b' ');
        }
        out.extend_from_slice(b"\"}");
    }
    out.extend_from_slice(b"]}\n");
}

/// A dump of all documents; of another version 1 % are changed and 2 % appended.
fn write_dump(path: &Path, version: u64) {
    let mut bytes = Vec::new();
    for number in 0..DOCUMENTS {
        let changed = version > 0 && number % 100 == 37;
        document(number, if changed { version } else { 0 }, &mut bytes);
    }
    for number in 0..if version > 0 { DOCUMENTS / 50 } else { 0 } {
        document(DOCUMENTS + number, version, &mut bytes);
    }
    std::fs::write(path, bytes).unwrap();
}

/// User and system seconds of this process so far.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap()
        .split_whitespace()
        .collect();
    let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
    ticks / 100.0
}

fn options(path: &Path) -> SnapshotOptions {
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
        compression: Compression::Level(3),
        ignore_inode: false,
        ignore_ctime: false,
    }
}

struct Store {
    storage: LocalStorage,
    credential: Credential,
    environment: Environment,
    _folder: tempfile::TempDir,
}

impl Store {
    fn new((min, average, max): (u32, u32, u32)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let storage = LocalStorage::new(folder.path().join("repository"));
        let credential = Credential::KeyFile(new_key_file().unwrap());
        let environment = Environment {
            cache: Some(folder.path().join("cache")),
            state: None,
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            clock: Arc::new(SystemClock::default()),
            host: "bench".into(),
            user: "bench".into(),
        };
        let chunking = Chunking {
            min: min << 10,
            average: average << 10,
            max: max << 10,
        };
        create(&storage, &credential, &environment, chunking).unwrap();
        Self {
            storage,
            credential,
            environment,
            _folder: folder,
        }
    }

    /// CPU seconds, stored bytes, chunks of data.
    fn snapshot(&self, path: &Path) -> (f64, u64, u64) {
        let storage = Arc::new(self.storage.clone());
        let start = cpu_seconds();
        let repository = Repository::open(
            storage,
            std::slice::from_ref(&self.credential),
            self.environment.clone(),
        )
        .unwrap();
        let done = run(&repository, &options(path), &Silent).unwrap();
        (
            cpu_seconds() - start,
            done.counters.data_added_packed,
            done.counters.data_chunks,
        )
    }

    fn index_bytes(&self) -> u64 {
        self.storage
            .list("index")
            .unwrap()
            .iter()
            .map(|item| item.size)
            .sum()
    }
}

fn main() {
    let folder: Option<PathBuf> = std::env::args()
        .skip(1)
        .find(|word| !word.starts_with('-'))
        .map(Into::into);
    let data = tempfile::tempdir().unwrap();
    let dump = data.path().join("dump.json");
    println!(
        "| sizes KiB | data | first CPU s | first MB | chunks | index KB | edit CPU s | edit adds MB |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for sizes in SIZES_KIB {
        let name = format!("{}/{}/{}", sizes.0, sizes.1, sizes.2);
        let store = Store::new(sizes);
        write_dump(&dump, 0);
        let (cpu, bytes, chunks) = store.snapshot(&dump);
        let index = store.index_bytes();
        write_dump(&dump, 1);
        let (edit_cpu, edit_bytes, _) = store.snapshot(&dump);
        let mb = |bytes: u64| bytes as f64 / 1e6;
        println!(
            "| {name} | dump | {cpu:.2} | {:.1} | {chunks} | {:.0} | {edit_cpu:.2} | {:.2} |",
            mb(bytes),
            index as f64 / 1e3,
            mb(edit_bytes)
        );
        if let Some(folder) = &folder {
            let store = Store::new(sizes);
            let (cpu, bytes, chunks) = store.snapshot(folder);
            println!(
                "| {name} | folder | {cpu:.2} | {:.1} | {chunks} | {:.0} | | |",
                mb(bytes),
                store.index_bytes() as f64 / 1e3
            );
        }
    }
}
