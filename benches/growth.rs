//! Makes a repository with a long history, to see how commands grow with it:
//!
//! ```text
//! cargo bench --locked --bench growth -- FOLDER FILES SNAPSHOTS
//! ```
//! puts `repository`, `key` and an index cache into FOLDER: FILES files of ninety chunks each, of which one in ten thousand
//! changes from snapshot to snapshot. The chunks are small (a few hundred bytes), so that ten million of them fit on a
//! disk; all else is as it comes: the files are read, cut and stored by the engine itself.
//! `benches/peers/grow` measures the commands.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::path::PathBuf;
use std::sync::Arc;

use duramen::clock::{Nanos, SystemClock};
use duramen::error::Result;
use duramen::format::entry::Entry;
use duramen::format::records::{Chunking, SessionPurpose};
use duramen::format::snapshot::{Features, PathBytes, Snapshot, SnapshotKind, SourceRecord, State};
use duramen::id::ChunkId;
use duramen::progress::{Progress, Silent};
use duramen::repository::{
    Credential, Environment, Repository, WriterOptions, create, new_key_file,
};
use duramen::seal::Compression;
use duramen::snapshot::{TakeOptions, Trust, take};
use duramen::source::{Content, Event, Origin, RawXattr, Run, Source, Stat, StatKind};
use duramen::storage::LocalStorage;

/// Smallest and average chunk.
const CHUNK: u32 = 256;
/// Mean bytes of a chunk, as they come out.
const CHUNK_MEAN: u64 = 286;
const CHUNKS_A_FILE: u64 = 90;
const FILES_A_FOLDER: usize = 1000;
const HOUR: Nanos = 3_600_000_000_000;
/// Long before the first snapshot, so that nothing looks freshly changed.
const CHANGED: Nanos = 1_600_000_000_000_000_000;

fn stat(kind: StatKind, inode: u64, size: u64, version: u32) -> Stat {
    let changed = CHANGED + i64::from(version);
    Stat {
        kind,
        mode: 0o644,
        uid: 0,
        gid: 0,
        size,
        blocks: size.div_ceil(512),
        mtime: changed,
        ctime: changed,
        inode,
        device: 1,
        links: 1,
    }
}

/// Files that exist nowhere: of each only how often it was changed.
struct Imagined {
    versions: Arc<Vec<u32>>,
}

struct Folder {
    first: usize,
    versions: Arc<Vec<u32>>,
}

fn file_stat(number: usize, version: u32) -> Stat {
    let size = CHUNKS_A_FILE * CHUNK_MEAN;
    stat(StatKind::File, number as u64 + 1_000_000, size, version)
}

impl Origin for Folder {
    fn open(&self, name: &[u8]) -> Result<Box<dyn Content>> {
        let number: usize = std::str::from_utf8(&name[4..]).unwrap().parse().unwrap();
        let number = self.first + number;
        let version = self.versions[number];
        Ok(Box::new(Bytes {
            stat: file_stat(number, version),
            left: CHUNKS_A_FILE * CHUNK_MEAN,
            state: (number as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15)
                ^ u64::from(version) << 32
                | 1,
        }))
    }

    fn read_link(&self, _: &[u8]) -> Result<Vec<u8>> {
        unreachable!("there are no links")
    }

    fn xattrs(&self, _: &[u8]) -> Result<Vec<RawXattr>> {
        Ok(Vec::new())
    }

    fn path(&self, name: &[u8]) -> Vec<u8> {
        name.to_vec()
    }
}

/// Noise, the same for the same file and version.
struct Bytes {
    stat: Stat,
    left: u64,
    state: u64,
}

impl Content for Bytes {
    fn next(&mut self, buffer: &mut [u8]) -> Result<Run> {
        let len = self.left.min(buffer.len() as u64) as usize;
        for word in buffer[..len].chunks_mut(8) {
            self.state ^= self.state << 13;
            self.state ^= self.state >> 7;
            self.state ^= self.state << 17;
            word.copy_from_slice(&self.state.to_le_bytes()[..word.len()]);
        }
        self.left -= len as u64;
        Ok(if len == 0 { Run::End } else { Run::Data(len) })
    }

    fn stat(&self) -> Result<Option<Stat>> {
        Ok(Some(self.stat.clone()))
    }

    fn xattrs(&self) -> Result<Option<Vec<RawXattr>>> {
        Ok(None)
    }
}

impl Source for Imagined {
    fn walk(
        &mut self,
        _: &dyn Progress,
        emit: &mut dyn FnMut(Vec<Event>) -> Result<()>,
    ) -> Result<()> {
        let folder = |first| -> Arc<dyn Origin> {
            Arc::new(Folder {
                first,
                versions: Arc::clone(&self.versions),
            })
        };
        let enter = |name: &str, inode, first| Event::Enter {
            name: name.into(),
            stat: stat(StatKind::Directory, inode, 0, 0),
            origin: folder(first),
        };
        emit(vec![enter("/", 1, 0), enter("data", 2, 0)])?;
        for (number, versions) in self.versions.chunks(FILES_A_FOLDER).enumerate() {
            let first = number * FILES_A_FOLDER;
            emit(vec![enter(
                &format!("folder{number:05}"),
                10 + number as u64,
                first,
            )])?;
            let origin = folder(first);
            let members: Vec<(usize, &u32)> = versions.iter().enumerate().collect();
            for batch in members.chunks(250) {
                let member = |(at, version): &(usize, &u32)| Event::Member {
                    name: format!("file{at:04}").into_bytes(),
                    stat: file_stat(first + at, **version),
                    origin: Arc::clone(&origin),
                };
                emit(batch.iter().map(member).collect())?;
            }
            emit(vec![Event::Leave])?;
        }
        emit(vec![Event::Leave, Event::Leave])
    }
}

fn main() {
    let words: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with('-'))
        .collect();
    let [folder, files, snapshots] = &words[..] else {
        println!("to make a repository: growth FOLDER FILES SNAPSHOTS");
        return;
    };
    let folder = PathBuf::from(folder);
    let [files, snapshots] = [files, snapshots].map(|n| n.parse::<u64>().unwrap());
    std::fs::create_dir_all(&folder).unwrap();
    let key = new_key_file().unwrap();
    std::fs::write(folder.join("key"), &*key).unwrap();
    let storage = LocalStorage::new(folder.join("repository"));
    let environment = Environment {
        cache: Some(folder.join("cache/duramen")),
        state: None,
        threads: std::thread::available_parallelism().map_or(1, usize::from),
        clock: Arc::new(SystemClock::default()),
        host: "bench".into(),
        user: "bench".into(),
    };
    let chunking = Chunking {
        min: CHUNK,
        average: CHUNK,
        max: 4 * CHUNK,
    };
    let credential = Credential::KeyFile(key);
    create(&storage, &credential, &environment, chunking).unwrap();
    let repository = Repository::open(
        Arc::new(storage),
        std::slice::from_ref(&credential),
        environment.clone(),
    )
    .unwrap();
    let more = (files / 10_000).max(1);
    let begin = environment.clock.now() - snapshots as i64 * HOUR;
    let mut versions = vec![0u32; files as usize];
    let (mut parent, mut stored): (Option<(Entry, Option<ChunkId>)>, u64) = (None, 0);
    for number in 0..snapshots {
        if number > 0 {
            for at in 0..more {
                let file = (number * 104_729 + at * 7_919) % files;
                versions[file as usize] = number as u32;
            }
        }
        let session = repository.begin(SessionPurpose::Write).unwrap();
        let options = TakeOptions {
            writer: WriterOptions {
                compression: Compression::Level(1),
                dry_run: false,
            },
            trust: Trust::default(),
            dumps: false,
        };
        let mut source = Imagined {
            versions: Arc::new(versions.clone()),
        };
        let taken = take(&repository, &session, &mut source, parent, options, &Silent).unwrap();
        stored += taken.counters.data_chunks;
        let time = begin + number as i64 * HOUR;
        let snapshot = Snapshot {
            id: session.id,
            repository: repository.id(),
            features: Features::default(),
            time,
            started: time,
            finished: time,
            kind: SnapshotKind::Incremental,
            parent: None,
            host: "bench".into(),
            user: "bench".into(),
            tags: Vec::new(),
            paths: vec![PathBytes(b"/data".to_vec())],
            excludes: Vec::new(),
            sources: vec![SourceRecord::Files {
                root: Box::new(taken.tree.root.clone()),
                owner: taken.tree.owner,
                hints: taken.tree.hints,
            }],
            state: State::Complete,
            problems: Vec::new(),
            problem_count: 0,
            counters: taken.counters,
            program: "bench".into(),
            git: None,
            seen: repository.seen().unwrap(),
            extensions: Vec::new(),
        };
        repository
            .commit(&session, &snapshot, &taken.relied)
            .unwrap();
        session.end(&repository);
        parent = Some((taken.tree.root, taken.tree.hints));
        if number % 100 == 0 {
            println!("{number} snapshots, {stored} chunks");
        }
    }
    println!("{snapshots} snapshots, {stored} chunks");
}
