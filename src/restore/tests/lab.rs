//! A repository in memory and trees made by hand, for tests of whatever reads snapshots.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::Arc;

use crate::clock::SystemClock;
use crate::format::codec;
use crate::format::entry::XattrValue;
use crate::format::entry::{Content, Directory, Entry, LinkGroup, Node, PageRef, Piece, Xattr};
use crate::format::page::{ListPage, Owner, TreePage};
use crate::format::records::{Chunking, SessionPurpose};
use crate::format::snapshot::{
    Counters, Features, PathBytes, Snapshot, SnapshotKind, SourceRecord, State,
};
use crate::id::ChunkId;
use crate::repository::{
    ChunkKind, ChunkWriter, Credential, Environment, Repository, Session, WriterOptions, create,
    new_key_file,
};
use crate::seal::Compression;
use crate::storage::MemoryStorage;

/// One part of a file.
pub(crate) enum Part<'p> {
    Bytes(&'p [u8]),
    Hole(u64),
}

pub(crate) struct Lab {
    pub(crate) storage: Arc<MemoryStorage>,
    pub(crate) repository: Repository,
    session: Session,
    writer: Option<ChunkWriter>,
    data: Vec<ChunkId>,
    /// Bytes of a chunk.
    pub(crate) cut: usize,
}

impl Lab {
    pub(crate) fn new() -> Self {
        let storage = Arc::new(MemoryStorage::new());
        let credential = Credential::KeyFile(new_key_file().unwrap());
        let environment = Environment {
            cache: None,
            state: None,
            threads: 3,
            clock: Arc::new(SystemClock::default()),
            host: "lab".into(),
            user: "tester".into(),
        };
        create(&*storage, &credential, &environment, Chunking::default()).unwrap();
        let repository = Repository::open(storage.clone(), &[credential], environment).unwrap();
        let session = repository.begin(SessionPurpose::Write).unwrap();
        Self {
            storage,
            repository,
            session,
            writer: None,
            data: Vec::new(),
            cut: 64 << 10,
        }
    }

    /// Removes every pack that holds content.
    pub(crate) fn lose_data(&self) {
        for pack in self.data_packs() {
            self.storage.tamper(&pack, None);
        }
    }

    /// Names of the packs that hold content or attributes.
    pub(crate) fn data_packs(&self) -> Vec<String> {
        self.data
            .iter()
            .map(|id| self.repository.locate(id).unwrap().frame.pack)
            .map(|pack| crate::pack::pack_name(&pack))
            .collect::<std::collections::BTreeSet<_>>()
            .into_iter()
            .collect()
    }

    pub(crate) fn put(&mut self, kind: ChunkKind, bytes: &[u8]) -> ChunkId {
        let id = self.repository.chunk_id(kind, bytes);
        let options = WriterOptions {
            compression: Compression::Level(1),
            dry_run: false,
        };
        let (repository, session) = (&self.repository, &self.session);
        let writer = self
            .writer
            .get_or_insert_with(|| ChunkWriter::new(repository, session, options).unwrap());
        writer.put(kind, id, bytes).unwrap();
        if kind == ChunkKind::Data {
            self.data.push(id);
        }
        id
    }

    /// Content of those parts; long lists are paged as the format has it.
    pub(crate) fn content(&mut self, parts: &[Part<'_>]) -> (u64, Content) {
        let mut pieces = Vec::new();
        for part in parts {
            match part {
                Part::Hole(len) => pieces.push(Piece::Hole { len: *len }),
                Part::Bytes(bytes) => {
                    for chunk in bytes.chunks(self.cut) {
                        let id = self.put(ChunkKind::Data, chunk);
                        let len = chunk.len() as u32;
                        pieces.push(Piece::Data { id, len });
                    }
                }
            }
        }
        let size = pieces.iter().map(Piece::len).sum();
        if pieces.len() <= 16 {
            return (size, Content::List(pieces));
        }
        let page = codec::encode(&ListPage::Leaf(pieces)).unwrap();
        let id = self.put(ChunkKind::List, &page);
        (size, Content::Paged(PageRef { id, depth: 0 }))
    }

    pub(crate) fn file(&mut self, name: &str, bytes: &[u8]) -> Entry {
        self.parts(name, &[Part::Bytes(bytes)])
    }

    pub(crate) fn parts(&mut self, name: &str, parts: &[Part<'_>]) -> Entry {
        let (size, content) = self.content(parts);
        entry(name, Node::File { size, content })
    }

    pub(crate) fn dir(&mut self, name: &str, entries: Vec<Entry>) -> Entry {
        let directory = self.directory(entries);
        let mut made = entry(name, Node::Directory(directory));
        made.mode = 0o755;
        made
    }

    fn directory(&mut self, mut entries: Vec<Entry>) -> Directory {
        if entries.is_empty() {
            return Directory::default();
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        let mut made = Directory {
            entries: entries.len() as u64,
            ..Directory::default()
        };
        for entry in &entries {
            match &entry.node {
                Node::Directory(below) => {
                    made.files += below.files;
                    made.bytes += below.bytes;
                }
                Node::File { size, .. } => {
                    made.files += 1;
                    made.bytes += size;
                }
                _ => made.files += 1,
            }
        }
        let root = Owner {
            number: 0,
            name: b"root".to_vec(),
        };
        let page = TreePage::Leaf {
            entries,
            users: vec![root.clone()],
            groups: vec![root],
            extensions: Vec::new(),
        };
        let id = self.put(ChunkKind::Tree, &codec::encode(&page).unwrap());
        made.root = Some(PageRef { id, depth: 0 });
        made
    }

    /// A snapshot whose root has these members, as if `/` had been asked for. It is not committed: nothing that
    /// reads one needs that.
    pub(crate) fn snapshot(&mut self, entries: Vec<Entry>) -> Snapshot {
        let directory = self.directory(entries);
        if let Some(writer) = self.writer.take() {
            writer.finish().unwrap();
        }
        let mut root = entry("/", Node::Directory(directory));
        root.mode = 0o755;
        let owner = || PathBytes(b"root".to_vec());
        Snapshot {
            id: self.session.id,
            repository: self.repository.id(),
            time: 0,
            started: 0,
            finished: 0,
            kind: SnapshotKind::Full,
            parent: None,
            host: String::new(),
            user: String::new(),
            tags: Vec::new(),
            paths: vec![PathBytes(b"/".to_vec())],
            excludes: Vec::new(),
            sources: vec![SourceRecord::Files {
                root: Box::new(root),
                owner: [owner(), owner()],
                hints: None,
            }],
            state: State::Complete,
            problems: Vec::new(),
            problem_count: 0,
            counters: Counters::default(),
            program: String::new(),
            git: None,
            seen: [0; 32],
            features: Features::default(),
            extensions: Vec::new(),
        }
    }
}

/// A bare entry of this process's own user.
pub(crate) fn entry(name: &str, node: Node) -> Entry {
    Entry {
        name: name.as_bytes().to_vec(),
        mode: 0o644,
        uid: rustix::process::geteuid().as_raw(),
        gid: rustix::process::getegid().as_raw(),
        mtime: 1_600_000_000_123_456_789,
        node,
        xattrs: Vec::new(),
        link: None,
        extensions: Vec::new(),
    }
}

pub(crate) fn symlink(name: &str, target: &str) -> Entry {
    let target = target.as_bytes().to_vec();
    entry(name, Node::Symlink { target })
}

pub(crate) fn xattr(name: &str, value: &[u8]) -> Xattr {
    Xattr {
        name: name.as_bytes().to_vec(),
        value: XattrValue::Inline(value.to_vec()),
    }
}

pub(crate) fn linked(mut entry: Entry, group: u64, count: u32) -> Entry {
    entry.link = Some(LinkGroup { group, count });
    entry
}

/// Bytes that no compressor shortens, the same for the same seed.
pub(crate) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes());
    hasher.finalize_xof().fill(&mut bytes);
    bytes
}
