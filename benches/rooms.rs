//! How fast each room is by itself: cutting, naming, sealing and opening, looking up, walking, merging trees.
//!
//! `cargo bench` measures; nothing here judges, since a time depends on the machine. Inputs are made from fixed seeds,
//! so two runs on one machine can be compared.

#![allow(clippy::unwrap_used, missing_docs)]

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};

use duramen::chunk::Cutter;
use duramen::clock::SystemClock;
use duramen::format::frame::{ChunkKind, ChunkSpan, Codec, FrameInfo, PackClass};
use duramen::format::keys::{Ring, RingSlot, SealRoot, SlotKind};
use duramen::format::records::{Chunking, SessionPurpose};
use duramen::id::{ChunkId, PackId, RepositoryId, SlotId};
use duramen::index::Index;
use duramen::pack::FinishedPack;
use duramen::progress::Silent;
use duramen::repository::{
    Credential, Environment, Repository, WriterOptions, create, new_key_file,
};
use duramen::seal::{Compression, FrameOpener, FrameSealer, Keys};
use duramen::snapshot::{TakeOptions, Trust, take};
use duramen::source::excludes::Excludes;
use duramen::source::files::FilesSource;
use duramen::source::{Event, Source};
use duramen::storage::MemoryStorage;

const MIB: usize = 1 << 20;

fn keys() -> Keys {
    let slot = RingSlot {
        id: SlotId([3; 16]),
        kind: SlotKind::KeyFile,
        public: [4; 32],
        created: 0,
        label: String::new(),
        host: String::new(),
        user: String::new(),
    };
    let ring = Ring {
        generation: 1,
        dedup_root: [1; 32],
        seal_roots: vec![SealRoot {
            epoch: 1,
            root: [2; 32],
        }],
        slots: vec![slot],
        extensions: Vec::new(),
    };
    Keys::new(RepositoryId([5; 32]), &ring).unwrap()
}

/// Bytes that do not compress.
fn noise(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    blake3::Hasher::new().finalize_xof().fill(&mut bytes);
    bytes
}

/// Bytes that compress about as text does: words of a small language in a random order.
fn text(length: usize) -> Vec<u8> {
    let words: Vec<String> = (0..4096).map(|n: u32| format!("w{:x} ", n * n)).collect();
    noise(length)
        .chunks_exact(2)
        .flat_map(|pair| words[usize::from(pair[0]) << 4 | usize::from(pair[1] >> 4)].bytes())
        .take(length)
        .collect()
}

fn cutting(criterion: &mut Criterion) {
    let keys = keys();
    let bytes = noise(16 * MIB);
    let cutter = Cutter::new(Chunking::default(), keys.gear());
    let mut group = criterion.benchmark_group("chunk");
    group.throughput(Throughput::Bytes(bytes.len() as u64));
    group.bench_function("cut 16 MiB", |bencher| {
        bencher.iter(|| {
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                rest = &rest[cutter.cut(black_box(rest))..];
            }
        });
    });
    group.bench_function("name 16 MiB by 32 KiB", |bencher| {
        bencher.iter(|| {
            for chunk in bytes.chunks(32 << 10) {
                black_box(keys.chunk_id(ChunkKind::Data, chunk));
            }
        });
    });
    group.finish();
}

fn sealing(criterion: &mut Criterion) {
    let keys = keys();
    let mut group = criterion.benchmark_group("frame");
    group.throughput(Throughput::Bytes(MIB as u64));
    for (name, raw, compression) in [
        ("text", text(MIB), Compression::Default),
        ("text, level 3", text(MIB), Compression::Level(3)),
        ("text, stored as it is", text(MIB), Compression::Off),
        ("noise", noise(MIB), Compression::Default),
    ] {
        let mut sealer = FrameSealer::new(compression).unwrap();
        group.bench_function(format!("seal 1 MiB of {name}"), |bencher| {
            bencher.iter(|| {
                sealer
                    .seal(&keys, ChunkKind::Data, black_box(&raw))
                    .unwrap()
            });
        });
        let sealed = sealer.seal(&keys, ChunkKind::Data, &raw).unwrap();
        let mut opener = FrameOpener::new().unwrap();
        group.bench_function(format!("open 1 MiB of {name}"), |bencher| {
            bencher.iter(|| opener.open(&keys, &sealed.info, &sealed.stored).unwrap());
        });
    }
    group.finish();
}

/// The id of the chunk with that number.
fn id(number: u32) -> ChunkId {
    ChunkId(*blake3::hash(&number.to_le_bytes()).as_bytes())
}

/// More than an index keeps in memory where it has a cache.
const CHUNKS: u32 = 400_000;

/// An index of so many chunks that its segments say; on disk where `cache` is given.
fn index(cache: Option<&std::path::Path>) -> Index {
    let keys = Arc::new(keys());
    let storage: Arc<MemoryStorage> = Arc::new(MemoryStorage::new());
    let writer = Index::new(storage.clone(), keys.clone(), None);
    for first in (0..CHUNKS).step_by(1000) {
        let chunks = (0..1000).map(|n| ChunkSpan {
            id: id(first + n),
            offset: n * 100,
            len: 100,
        });
        let frame = FrameInfo {
            offset: 64,
            stored: 100_028,
            raw: 100_000,
            epoch: 1,
            kind: ChunkKind::Data,
            codec: Codec::Raw,
        };
        writer.add_pack(FinishedPack {
            id: PackId(id(first).0),
            size: 200_000,
            class: PackClass::Data,
            frames: vec![(frame, chunks.collect())],
        });
    }
    writer.checkpoint().unwrap();
    let index = Index::new(storage, keys, cache.map(Into::into));
    index.refresh().unwrap();
    index
}

fn looking_up(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let places = [
        ("in memory", index(None)),
        ("on disk", index(Some(folder.path()))),
    ];
    let cached = std::fs::read_dir(folder.path()).unwrap().count();
    assert!(cached > 0, "nothing came to the disk");
    let mut group = criterion.benchmark_group("index");
    group.throughput(Throughput::Elements(1000));
    for (name, index) in places {
        let mut at = 0;
        let mut next = |offset: u32| {
            at = (at + 7919) % (CHUNKS - 1000);
            (at..at + 1000).map(|n| id(n + offset)).collect::<Vec<_>>()
        };
        for (what, offset) in [("known", 0), ("unknown", CHUNKS)] {
            group.bench_function(format!("1000 {what} chunks, {name}"), |bencher| {
                bencher.iter_batched(
                    || next(offset),
                    |ids| {
                        for id in &ids {
                            black_box(index.locate(id).unwrap());
                        }
                    },
                    BatchSize::SmallInput,
                );
            });
        }
    }
    group.finish();
}

/// A folder of a hundred folders of a hundred small files.
fn tree(folder: &std::path::Path) {
    for number in 0..10_000 {
        let inside = folder.join(format!("{:02}", number / 100));
        std::fs::create_dir_all(&inside).unwrap();
        std::fs::write(inside.join(format!("{number}")), format!("file {number}")).unwrap();
    }
}

fn walking(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    tree(folder.path());
    let storage = MemoryStorage::new();
    let environment = Environment {
        cache: None,
        state: None,
        threads: 2,
        clock: Arc::new(SystemClock::default()),
        host: "bench".into(),
        user: "bench".into(),
    };
    let credential = Credential::KeyFile(new_key_file().unwrap());
    create(&storage, &credential, &environment, Chunking::default()).unwrap();
    let repository = Repository::open(Arc::new(storage), &[credential], environment).unwrap();
    let session = repository.begin(SessionPurpose::Write).unwrap();
    let source = || {
        let paths = [folder.path().to_owned()];
        FilesSource::new(&paths, &Excludes::default(), Vec::new()).unwrap()
    };
    let taken = |parent, dry_run| {
        let writer = WriterOptions {
            compression: Compression::Default,
            dry_run,
        };
        let trust = Trust::default();
        let options = TakeOptions {
            writer,
            trust,
            dumps: true,
        };
        take(
            &repository,
            &session,
            &mut source(),
            parent,
            options,
            &Silent,
        )
        .unwrap()
    };
    // Files that were changed a moment ago are not trusted.
    std::thread::sleep(std::time::Duration::from_secs(3));
    let first = taken(None, false);
    let mut group = criterion.benchmark_group("tree");
    group.throughput(Throughput::Elements(10_000));
    group.bench_function("walk 10,000 files", |bencher| {
        bencher.iter(|| {
            let mut found = 0;
            let mut count = |events: Vec<Event>| {
                found += events.len();
                Ok(())
            };
            source().walk(&Silent, &mut count).unwrap();
            found
        });
    });
    group.bench_function("walk them and merge them with an equal parent", |bencher| {
        bencher.iter(|| {
            let parent = Some((first.tree.root.clone(), first.tree.hints));
            let again = taken(parent, true);
            assert_eq!(again.counters.files_unmodified, 10_000);
        });
    });
    group.finish();
    session.end(&repository);
}

criterion_group!(rooms, cutting, sealing, looking_up, walking);
criterion_main!(rooms);
