//! `fuzz/seeds/`: small valid inputs from which the fuzzer starts, one or more a target.
//!
//! They are compared with what the format is now, so that a change of it cannot leave the fuzzer beginning with bytes
//! that nothing accepts any more. `WRITE_SEEDS=1 cargo test --test seeds` writes them anew.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use duramen::error::Result;
use duramen::format::codec::encode;
use duramen::format::deployment::{CataloguePage, Collection, CollectionKind, RawDocument};
use duramen::format::entry::{Content, Directory, Entry, LinkGroup, Node, PageRef, Piece};
use duramen::format::entry::{Xattr, XattrValue};
use duramen::format::extension::Extension;
use duramen::format::file::{FileType, RecordHeader};
use duramen::format::frame::{ChunkKind, ChunkSpan, Codec, FrameInfo, PackClass};
use duramen::format::keys::{Ring, RingFile, RingSlot, SLOT_SEALED, SealRoot, Slot, SlotKind};
use duramen::format::pack::{PackDirectory, PackFooter, PackHeader};
use duramen::format::page::{Hint, HintPage, ListChild, ListPage, Owner, TreeChild, TreePage};
use duramen::format::records::{Annotation, Chunking, Config, Fact};
use duramen::format::records::{Session, SessionPurpose, Tombstone};
use duramen::format::run::{KeyPrefix, LeafRef, RunPage};
use duramen::format::segment::{Segment, SegmentPack};
use duramen::format::snapshot::{Counters, Fate, Features, GitState, PathBytes, Problem};
use duramen::format::snapshot::{Snapshot, SnapshotKind, SourceRecord, State};
use duramen::id::{ChunkId, PackId, RecordId, RepositoryId, SegmentId, SessionId, SlotId};
use duramen::index::{FramePlace, Location, TableBuilder};
use duramen::source::mongo::command::Builder;

const CHUNK: ChunkId = ChunkId([0xC1; 32]);
const REPOSITORY: RepositoryId = RepositoryId([0x5E; 32]);
const SESSION: SessionId = SessionId([0x55; 16]);

fn entry(name: &str, node: Node) -> Entry {
    Entry {
        name: name.into(),
        mode: 0o644,
        uid: 0,
        gid: 100,
        mtime: -1,
        node,
        xattrs: Vec::new(),
        link: None,
        extensions: Vec::new(),
    }
}

fn tree_leaf() -> TreePage {
    let list = vec![Piece::Data { id: CHUNK, len: 7 }, Piece::Hole { len: 4096 }];
    let mut linked = entry(
        "a",
        Node::File {
            size: 4103,
            content: Content::List(list),
        },
    );
    linked.link = Some(LinkGroup { group: 9, count: 2 });
    linked.xattrs = vec![Xattr {
        name: b"user.a".to_vec(),
        value: XattrValue::Inline(vec![1]),
    }];
    let directory = Directory {
        root: Some(PageRef {
            id: CHUNK,
            depth: 1,
        }),
        entries: 3,
        files: 2,
        bytes: 5,
    };
    let inline = Node::File {
        size: 2,
        content: Content::Inline(b"hi".to_vec()),
    };
    let recipe = Node::File {
        size: 9,
        content: Content::Recipe {
            root: PageRef {
                id: CHUNK,
                depth: 0,
            },
            key: [3; 32],
        },
    };
    let owner = Owner {
        number: 0,
        name: b"root".to_vec(),
    };
    TreePage::Leaf {
        entries: vec![
            linked,
            entry("b", inline),
            entry("c", Node::Directory(directory)),
            entry(
                "d",
                Node::Symlink {
                    target: b"a".to_vec(),
                },
            ),
            entry("e", Node::Fifo),
            entry("f", Node::CharDevice { major: 1, minor: 3 }),
            entry("g", recipe),
        ],
        users: vec![owner],
        groups: Vec::new(),
        extensions: vec![Extension {
            tag: 7,
            critical: false,
            body: vec![1, 2],
        }],
    }
}

fn run_leaf() -> RunPage {
    let key = |number| KeyPrefix(vec![0x24, number]);
    RunPage::Leaf {
        leaves: vec![LeafRef {
            first: key(1),
            last: key(9),
            documents: 2,
            content: vec![Piece::Data { id: CHUNK, len: 80 }],
        }],
        extensions: Vec::new(),
    }
}

/// `{_id: ObjectId, a: "b", c: {}}`, `{}`.
fn documents() -> Vec<u8> {
    let mut bytes = b"\x27\0\0\0\x07_id\0".to_vec();
    bytes.extend_from_slice(&[7; 12]);
    bytes.extend_from_slice(b"\x02a\0\x02\0\0\0b\0\x03c\0\x05\0\0\0\0\0");
    bytes.extend_from_slice(b"\x05\0\0\0\0");
    bytes
}

/// An insert, and the end of a transaction with a removal in it.
/// Pieces of a recipe.
fn parts() -> Vec<Piece> {
    let part = |offset, len| Piece::Part {
        id: CHUNK,
        of: 9,
        offset,
        len,
    };
    vec![part(3, 6), Piece::Hole { len: 4096 }, part(0, 2)]
}

/// A mongodump archive of nothing but its header.
fn dump_archive() -> Vec<u8> {
    let header = Builder::new().string("version", "0.1").finish();
    let parts: [&[u8]; 4] = [&[1], &[0x6D, 0xE2, 0x99, 0x81], &header, &[0xFF; 4]];
    parts.concat()
}

/// Events of a change stream: a document that came, and a collection that was renamed over another.
fn changes() -> Vec<u8> {
    let event = |operation: &str| {
        Builder::new()
            .string("operationType", operation)
            .timestamp("clusterTime", 7 << 32 | 9)
            .uuid("collectionUUID", &[4; 16])
            .document(
                "ns",
                Builder::new().string("db", "shop").string("coll", "quotes"),
            )
    };
    let came = event("insert")
        .document("documentKey", Builder::new().int32("_id", 1))
        .document("fullDocument", Builder::new().int32("_id", 1));
    let renamed = event("rename")
        .document(
            "to",
            Builder::new().string("db", "shop").string("coll", "old"),
        )
        .document(
            "operationDescription",
            Builder::new().uuid("dropTarget", &[5; 16]),
        );
    [came.finish(), renamed.finish()].concat()
}

fn oplog() -> Vec<u8> {
    let entry = |op: &str, body: Builder| {
        Builder::new()
            .timestamp("ts", 7 << 32 | 1)
            .string("op", op)
            .string("ns", "a.b")
            .uuid("ui", &[1; 16])
            .document("o", body)
    };
    let id = Builder::new().int32("_id", 1);
    let removal = entry("d", id.clone()).finish();
    let transaction = Builder::new().array("applyOps", [(3, &removal[..])]);
    let before = Builder::new().timestamp("ts", 7 << 32);
    [
        entry("i", id).finish(),
        entry("c", transaction)
            .document("prevOpTime", before)
            .finish(),
    ]
    .concat()
}

fn tree_branch() -> TreePage {
    TreePage::Branch {
        children: vec![TreeChild {
            first: b"a".to_vec(),
            id: CHUNK,
            entries: 6,
        }],
        extensions: Vec::new(),
    }
}

fn snapshot() -> Snapshot {
    Snapshot {
        id: SESSION,
        repository: REPOSITORY,
        time: 1,
        started: 2,
        finished: 3,
        kind: SnapshotKind::Full,
        parent: None,
        host: "host".into(),
        user: "root".into(),
        tags: vec!["daily".into()],
        paths: vec![PathBytes(b"/etc".to_vec())],
        excludes: vec!["*.tmp".into()],
        sources: vec![SourceRecord::Files {
            root: Box::new(entry("/", Node::Directory(Directory::default()))),
            owner: [PathBytes(b"root".to_vec()), PathBytes(Vec::new())],
            hints: Some(CHUNK),
        }],
        state: State::Partial,
        problems: vec![Problem {
            path: PathBytes(b"/etc/a".to_vec()),
            what: "cannot read".into(),
        }],
        problem_count: 1,
        counters: Counters::default(),
        program: "0.1.0".into(),
        git: Some(GitState {
            commit: "0".repeat(40),
            branch: Some("main".into()),
        }),
        seen: [0; 32],
        features: Features::default(),
        extensions: Vec::new(),
    }
}

fn catalogue_leaf() -> CataloguePage {
    CataloguePage::Leaf(vec![Collection {
        namespace: "shop.quotes".into(),
        kind: CollectionKind::Plain,
        uuid: Some([1; 16]),
        options: b"\x05\0\0\0\0".to_vec(),
        indexes: vec![RawDocument(b"\x05\0\0\0\0".to_vec())],
        documents: Some(2),
        runs: Vec::new(),
        extensions: Vec::new(),
    }])
}

fn frame() -> FrameInfo {
    FrameInfo {
        offset: 64,
        stored: 38,
        raw: 10,
        epoch: 1,
        kind: ChunkKind::Data,
        codec: Codec::Raw,
    }
}

fn spans() -> Vec<ChunkSpan> {
    [(0, 4), (4, 6)]
        .map(|(offset, len)| ChunkSpan {
            id: CHUNK,
            offset,
            len,
        })
        .to_vec()
}

fn ring() -> Ring {
    Ring {
        generation: 1,
        dedup_root: [1; 32],
        seal_roots: vec![SealRoot {
            epoch: 1,
            root: [2; 32],
        }],
        slots: vec![RingSlot {
            id: SlotId([3; 16]),
            kind: SlotKind::KeyFile,
            public: [4; 32],
            created: 5,
            label: "first".into(),
            host: "host".into(),
            user: "root".into(),
        }],
        extensions: Vec::new(),
    }
}

/// A stored file without the hash that the target puts behind it.
fn without_hash(mut file: Vec<u8>) -> Vec<u8> {
    file.truncate(file.len() - 32);
    file
}

/// What a machine remembers of a repository.
fn checkout_state() -> Vec<u8> {
    let stand = duramen::checkout::Stand {
        snapshot: SESSION,
        path: b"/home".to_vec(),
    };
    let state = duramen::checkout::State {
        repository: REPOSITORY,
        standing: Some(vec![stand]),
        complete: true,
        folder: [1, 2],
        before: Some([0o755, 0, 0]),
    };
    state.encode().unwrap()
}

fn memory() -> Vec<u8> {
    let (mark, snapshot) = ("cd".repeat(32), SESSION.hex());
    format!("duramen-memory-1\nring 2 1 {mark}\nsnapshot {snapshot}\n").into_bytes()
}

/// A file of the index cache with one entry, but for the checksum at its end.
fn index_table() -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("table");
    let mut builder = TableBuilder::create(&path, 1).unwrap();
    let place = Location {
        frame: FramePlace::new(PackId([6; 32]), &frame()),
        offset: 0,
        len: 7,
    };
    builder.add(&CHUNK, &place).unwrap();
    builder.finish(&[SegmentId([8; 32])].into()).unwrap();
    let mut bytes = fs::read(&path).unwrap();
    bytes.truncate(bytes.len() - 4);
    bytes
}

/// Every seed: target, name, bytes.
fn seeds() -> Result<Vec<(&'static str, &'static str, Vec<u8>)>> {
    let directory = PackDirectory {
        frames: vec![(frame(), spans())],
        extensions: Vec::new(),
    };
    let segment = Segment {
        packs: vec![SegmentPack {
            id: PackId([6; 32]),
            size: 400,
            class: PackClass::Data,
        }],
        frames: vec![(0, frame())],
        chunks: spans().into_iter().map(|span| (0, span)).collect(),
        extensions: Vec::new(),
    };
    let header = PackHeader {
        class: PackClass::Metadata,
        repository: REPOSITORY,
        session: SESSION,
    };
    let footer = PackFooter {
        directory_len: 200,
        epoch: 1,
    };
    let mut frame_bytes = Vec::new();
    frame().encode(&mut frame_bytes);
    let record = RecordHeader {
        file_type: FileType::Snapshot,
        sealed_len: 16,
        repository: REPOSITORY,
        epoch: 1,
        nonce: [7; 12],
    };
    let slot = Slot {
        kind: SlotKind::Passphrase,
        cost: [65_536, 3, 1],
        repository: REPOSITORY,
        salt: [1; 32],
        check: [2; 32],
        public: [3; 32],
        nonce: [4; 12],
        sealed: vec![5; SLOT_SEALED],
    };
    let ring_file = RingFile {
        repository: REPOSITORY,
        generation: 1,
        wraps: vec![(SlotId([3; 16]), [8; 80])],
        sealed: vec![9; 40],
        mac: [10; 32],
    };
    let hints = HintPage::Leaf {
        page: CHUNK,
        hints: vec![Hint {
            inode: 1,
            device: 2,
            ctime: 3,
            below: Some(CHUNK),
        }],
    };
    let config = Config {
        repository: REPOSITORY,
        created: 1,
        chunking: Chunking::default(),
        features: Features::default(),
        extensions: Vec::new(),
    };
    let session = Session {
        id: SESSION,
        number: 1,
        purpose: SessionPurpose::Write,
        host: "host".into(),
        user: "root".into(),
        process: 1,
        started: 1,
        renewed: 2,
        tombstones: vec![RecordId([1; 16])],
        forgotten: vec![RecordId([2; 16])],
        program: "0.1.0".into(),
        extensions: Vec::new(),
    };
    let tombstone = Tombstone {
        id: RecordId([1; 16]),
        session: SESSION,
        at: 1,
        packs: vec![PackId([6; 32])],
        extensions: Vec::new(),
    };
    let annotation = Annotation {
        id: RecordId([2; 16]),
        snapshot: SESSION,
        at: 1,
        host: "host".into(),
        user: "root".into(),
        fact: Fact::Verified { whole: true },
        extensions: Vec::new(),
    };
    let void = Fate::Void {
        session: SESSION,
        at: 1,
    };
    let children = vec![ListChild {
        id: CHUNK,
        bytes: 9,
    }];
    let zstd = zstd::bulk::compress(b"aaaaaaaaaa", 3).unwrap();
    let plain = segment.encode()?;
    let packed = zstd::bulk::compress(&plain, 3).unwrap();
    let place = [&[1][..], &102_u64.to_le_bytes()].concat();
    Ok(vec![
        ("tree_page", "leaf", encode(&tree_leaf())?),
        ("tree_page", "branch", encode(&tree_branch())?),
        ("hint_page", "leaf", encode(&hints)?),
        ("index_table", "one", index_table()),
        ("list_page", "branch", encode(&ListPage::Branch(children))?),
        ("list_page", "leaf", encode(&ListPage::Leaf(parts()))?),
        ("run_page", "leaf", encode(&run_leaf())?),
        ("catalogue_page", "leaf", encode(&catalogue_leaf())?),
        ("bson", "documents", documents()),
        ("oplog", "entries", oplog()),
        ("oplog", "changes", changes()),
        (
            "dump",
            "nested",
            b"\x02{\"exported_at\":\"2025-10-11T14:30:00Z\",\"quotes\":[{\"id\":1}],\"s\":{\"a\":{\"fecha\":1760193005}}}".to_vec(),
        ),
        ("dump", "documents", [&[0][..], &oplog()].concat()),
        (
            "dump",
            "lines",
            b"\x02{\"_id\":1,\"t\":\"}\"}\n{\"_id\":2}\n".to_vec(),
        ),
        (
            "dump",
            "array",
            b"\x03[{\"_id\":1},\n{\"_id\":[{}]}]".to_vec(),
        ),
        ("dump", "archive", dump_archive()),
        (
            "snapshot",
            "committed",
            encode(&Fate::Committed(Box::new(snapshot())))?,
        ),
        ("snapshot", "void", encode(&void)?),
        ("config", "config", encode(&config)?),
        ("session", "session", encode(&session)?),
        ("tombstone", "tombstone", encode(&tombstone)?),
        ("annotation", "annotation", encode(&annotation)?),
        ("ring", "ring", encode(&ring())?),
        ("slot", "passphrase", without_hash(slot.encode())),
        ("ring_file", "ring_file", without_hash(ring_file.encode())),
        (
            "record_header",
            "snapshot",
            [&record.encode()[..], &[0; 16]].concat(),
        ),
        ("pack_header", "metadata", header.encode().to_vec()),
        ("pack_footer", "footer", footer.encode().to_vec()),
        ("frame", "zstd", [&[10, 0, 0][..], &zstd].concat()),
        ("frame_info", "data", frame_bytes),
        (
            "pack_directory",
            "data",
            [place, directory.encode()?].concat(),
        ),
        ("segment", "segment", plain.clone()),
        (
            "segment_file",
            "segment",
            [&(plain.len() as u32).to_le_bytes()[..], &packed].concat(),
        ),
        ("checkout_state", "complete", checkout_state()),
        (
            "configuration",
            "example",
            duramen::config::EXAMPLE.as_bytes().to_vec(),
        ),
        ("memory", "memory", memory()),
        (
            "recovery_words",
            "zero",
            format!("{}art", "abandon ".repeat(23)).into_bytes(),
        ),
    ])
}

#[test]
fn seeds_that_are_no_stored_bytes_are_what_they_should_be() {
    let bytes = documents();
    let read: Result<Vec<_>> = duramen::format::bson::documents(&bytes).collect();
    let read = read.unwrap();
    assert_eq!((read.len(), read[0].elements().count()), (2, 3));
    assert!(duramen::repository::Memory::decode(&memory()).is_some());
    let words = format!("{}art", "abandon ".repeat(23));
    duramen::repository::from_recovery_words(words.as_bytes()).unwrap();
}

#[test]
fn every_fuzz_target_starts_from_what_the_format_is_now() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let write = std::env::var_os("WRITE_SEEDS").is_some();
    let mut seeded = BTreeSet::new();
    for (target, name, bytes) in seeds().unwrap() {
        let folder = fuzz.join("seeds").join(target);
        let path = folder.join(name);
        if write {
            fs::create_dir_all(&folder).unwrap();
            fs::write(&path, &bytes).unwrap();
        }
        let stored = fs::read(&path).unwrap();
        assert!(stored == bytes, "{} is of another format", path.display());
        seeded.insert(target.to_owned());
    }
    let targets: BTreeSet<String> = fs::read_dir(fuzz.join("targets"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    assert_eq!(seeded, targets, "targets and seeds");
}
