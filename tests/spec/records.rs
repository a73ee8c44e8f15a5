//! The record encoding: one of each record, every variant, and what must be refused.

use duramen::error::Kind;
use duramen::format::codec;
use duramen::format::deployment::CataloguePage;
use duramen::format::entry::{
    Content, Directory, Entry, LinkGroup, Node, PageRef, Piece, Xattr, XattrValue,
};
use duramen::format::extension::Extension;
use duramen::format::keys::Ring;
use duramen::format::page::{Hint, HintPage, ListChild, ListPage, Owner, TreeChild, TreePage};
use duramen::format::records::{
    Annotation, Chunking, Config, Fact, Session, SessionPurpose, Tombstone,
};
use duramen::format::run::{KeyPrefix, LeafRef, RunChild, RunPage};
use duramen::format::snapshot::{
    Counters, Fate, Features, GitState, PathBytes, Problem, Snapshot, SnapshotKind, SourceRecord,
    State,
};
use duramen::id::{ChunkId, PackId, RecordId, RepositoryId, SessionId, from_hex, to_hex};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::deployments::{catalogue, sources};
use crate::make::ring;
use crate::support::{committed, fixed, hold};

const MAX: usize = 4 << 20;

fn chunk(label: &str) -> ChunkId {
    ChunkId(fixed(label))
}

fn session_id() -> SessionId {
    SessionId(fixed("session"))
}

fn extension() -> Vec<Extension> {
    vec![Extension {
        tag: 300,
        critical: false,
        body: b"kept".to_vec(),
    }]
}

fn entry(name: &[u8], node: Node) -> Entry {
    Entry {
        name: name.to_vec(),
        mode: 0o4755,
        uid: 1000,
        gid: 70_000,
        mtime: 1_795_240_800_123_456_789,
        node,
        xattrs: Vec::new(),
        link: None,
        extensions: Vec::new(),
    }
}

fn leaf() -> TreePage {
    let file = |content, size| Node::File { size, content };
    let mut linked = entry(
        b"c linked",
        file(
            Content::List(vec![
                Piece::Data {
                    id: chunk("one"),
                    len: 40_000,
                },
                Piece::Hole { len: 1 << 40 },
                Piece::Data {
                    id: chunk("two"),
                    len: 1,
                },
            ]),
            40_001 + (1 << 40),
        ),
    );
    linked.link = Some(LinkGroup {
        group: u64::MAX - 1,
        count: 3,
    });
    linked.mtime = -1;
    linked.xattrs = vec![
        Xattr {
            name: b"user.large".to_vec(),
            value: XattrValue::Chunk {
                id: chunk("value"),
                len: 65_536,
            },
        },
        Xattr {
            name: b"user.small".to_vec(),
            value: XattrValue::Inline(vec![0, 255]),
        },
    ];
    let mut old = entry(
        b"d paged",
        file(
            Content::Paged(PageRef {
                id: chunk("list"),
                depth: 1,
            }),
            1 << 33,
        ),
    );
    let recipe = entry(
        b"d recipe",
        file(
            Content::Recipe {
                root: PageRef {
                    id: chunk("list"),
                    depth: 0,
                },
                key: chunk("key").0,
            },
            1 << 34,
        ),
    );
    old.mtime = i64::MIN;
    old.extensions = extension();
    let device = |major, minor| (major, minor);
    let (major, minor) = device(8, 1_048_575);
    TreePage::Leaf {
        entries: vec![
            entry(b"a empty", file(Content::Inline(Vec::new()), 0)),
            entry(b"b inline", file(Content::Inline(b"hello\n".to_vec()), 6)),
            linked,
            old,
            recipe,
            entry(
                b"e directory",
                Node::Directory(Directory {
                    root: Some(PageRef {
                        id: chunk("page"),
                        depth: 0,
                    }),
                    entries: 250,
                    files: 251,
                    bytes: 65_535,
                }),
            ),
            entry(b"f empty directory", Node::Directory(Directory::default())),
            entry(
                b"g symlink",
                Node::Symlink {
                    target: b"../\xff".to_vec(),
                },
            ),
            entry(b"h fifo", Node::Fifo),
            entry(b"i socket", Node::Socket),
            entry(b"j character", Node::CharDevice { major, minor }),
            entry(b"k block \xfe\n", Node::BlockDevice { major, minor }),
        ],
        users: vec![Owner {
            number: 1000,
            name: b"ada".to_vec(),
        }],
        groups: vec![Owner {
            number: 70_000,
            name: b"staff".to_vec(),
        }],
        extensions: extension(),
    }
}

fn snapshot() -> Snapshot {
    Snapshot {
        id: session_id(),
        repository: RepositoryId(fixed("repository")),
        features: Features {
            read: Vec::new(),
            write: vec!["later".into()],
            gc: vec!["later".into(), "still-later".into()],
        },
        time: 1_795_240_800_000_000_000,
        started: 1_795_240_801_000_000_000,
        finished: 1_795_240_802_000_000_000,
        kind: SnapshotKind::Differential,
        parent: Some(SessionId(fixed("parent"))),
        host: "h\u{f6}st".into(),
        user: "ada".into(),
        tags: vec!["a".into(), "b".into()],
        paths: vec![PathBytes(b"/home".to_vec()), PathBytes(b"/\xff".to_vec())],
        excludes: vec!["*.tmp".into()],
        sources: vec![SourceRecord::Files {
            root: Box::new(entry(
                b"/",
                Node::Directory(Directory {
                    root: Some(PageRef {
                        id: chunk("root"),
                        depth: 2,
                    }),
                    entries: 1,
                    files: 2,
                    bytes: 3,
                }),
            )),
            owner: [PathBytes(b"root".to_vec()), PathBytes(Vec::new())],
            hints: Some(chunk("hints")),
        }],
        state: State::Partial,
        problems: vec![Problem {
            path: PathBytes(b"/home/x".to_vec()),
            what: "cannot open: permission denied".into(),
        }],
        problem_count: 1,
        counters: Counters {
            files_new: 1,
            files_changed: 2,
            files_unmodified: 3,
            dirs_new: 4,
            dirs_changed: 5,
            dirs_unmodified: 6,
            bytes_processed: 1 << 40,
            bytes_read: 7,
            data_chunks: 8,
            tree_chunks: 9,
            data_added: 250,
            data_added_packed: 251,
        },
        program: "0.1.0".into(),
        git: Some(GitState {
            commit: "0123456789abcdef0123456789abcdef01234567".into(),
            branch: None,
        }),
        seen: fixed("seen"),
        extensions: extension(),
    }
}

fn annotation(fact: Fact) -> Annotation {
    Annotation {
        id: RecordId(fixed("annotation")),
        snapshot: session_id(),
        at: 1_795_240_900_000_000_000,
        host: "host".into(),
        user: "ada".into(),
        fact,
        extensions: Vec::new(),
    }
}

fn shown<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(
    schema: &str,
    record: &T,
) -> Value {
    let bytes = codec::encode(record).unwrap();
    assert_eq!(&codec::decode::<T>(&bytes, MAX, schema).unwrap(), record);
    json!({"schema": schema, "hex": to_hex(&bytes), "value": serde_json::to_value(record).unwrap()})
}

#[test]
fn records_encode_as_in_the_vectors() {
    let config = Config {
        repository: RepositoryId(fixed("repository")),
        features: Features::default(),
        created: 1_795_240_800_000_000_000,
        chunking: Chunking::default(),
        extensions: Vec::new(),
    };
    let session = Session {
        id: session_id(),
        number: 251,
        purpose: SessionPurpose::Prune,
        host: "host".into(),
        user: "ada".into(),
        process: 65_536,
        started: 0,
        renewed: -1,
        tombstones: vec![RecordId(fixed("tombstone"))],
        forgotten: vec![RecordId(fixed("end"))],
        program: "0.1.0".into(),
        extensions: Vec::new(),
    };
    let tombstone = Tombstone {
        id: RecordId(fixed("tombstone")),
        session: session_id(),
        at: 1,
        packs: vec![PackId(fixed("pack one")), PackId(fixed("pack two"))],
        extensions: Vec::new(),
    };
    let mut records = vec![
        shown("CONFIG", &config),
        shown("FATE", &Fate::Committed(Box::new(snapshot()))),
        shown(
            "FATE",
            &Fate::Committed(Box::new(Snapshot {
                sources: sources(),
                ..snapshot()
            })),
        ),
        shown(
            "FATE",
            &Fate::Void {
                session: session_id(),
                at: 250,
            },
        ),
        shown("SESSION", &session),
        shown("TOMBSTONE", &tombstone),
        shown("TREE_PAGE", &leaf()),
        shown(
            "TREE_PAGE",
            &TreePage::Branch {
                children: vec![
                    TreeChild {
                        first: b"a".to_vec(),
                        id: chunk("page"),
                        entries: 64,
                    },
                    TreeChild {
                        first: b"b\xff".to_vec(),
                        id: chunk("other page"),
                        entries: 100_000,
                    },
                ],
                extensions: Vec::new(),
            },
        ),
        shown(
            "HINT_PAGE",
            &HintPage::Leaf {
                page: chunk("page"),
                hints: vec![
                    Hint {
                        inode: 0,
                        device: 2049,
                        ctime: 1_795_240_800_123_456_789,
                        below: None,
                    },
                    Hint {
                        inode: 1 << 33,
                        device: 2049,
                        ctime: -5,
                        below: Some(chunk("below")),
                    },
                ],
            },
        ),
        shown(
            "HINT_PAGE",
            &HintPage::Branch {
                page: chunk("branch"),
                children: vec![chunk("hint page")],
            },
        ),
        shown(
            "LIST_PAGE",
            &ListPage::Leaf(vec![
                Piece::Hole { len: 250 },
                Piece::Data {
                    id: chunk("one"),
                    len: 1 << 20,
                },
                Piece::Part {
                    id: chunk("two"),
                    of: 1 << 20,
                    offset: 250,
                    len: (1 << 20) - 250,
                },
            ]),
        ),
        shown(
            "LIST_PAGE",
            &ListPage::Branch(vec![ListChild {
                id: chunk("list page"),
                bytes: 1 << 32,
            }]),
        ),
        shown(
            "RUN_PAGE",
            &RunPage::Leaf {
                leaves: vec![LeafRef {
                    first: KeyPrefix(vec![0x24, 1]),
                    last: KeyPrefix(vec![0x24, 9]),
                    documents: 300,
                    content: vec![Piece::Data {
                        id: chunk("leaf"),
                        len: 8192,
                    }],
                }],
                extensions: Vec::new(),
            },
        ),
        shown(
            "RUN_PAGE",
            &RunPage::Branch {
                children: vec![RunChild {
                    first: KeyPrefix(vec![0x00]),
                    last: KeyPrefix(vec![0x80]),
                    id: chunk("run page"),
                    documents: 1 << 33,
                    bytes: 1 << 42,
                }],
                extensions: Vec::new(),
            },
        ),
    ];
    for page in &catalogue() {
        page.check().unwrap();
        records.push(shown("CATALOGUE_PAGE", page));
    }
    let (_, ring) = ring();
    let bytes = codec::encode(&ring).unwrap();
    assert!(codec::decode::<Ring>(&bytes, MAX, "ring").unwrap() == ring);
    records.push(json!({"schema": "RING", "hex": to_hex(&bytes), "value": serde_json::to_value(&ring).unwrap()}));
    for fact in [
        Fact::TagAdded("daily".into()),
        Fact::TagRemoved("daily".into()),
        Fact::Held("audit".into()),
        Fact::Released,
        Fact::Note("\u{2713}".into()),
        Fact::Verified { whole: true },
        Fact::Forgotten {
            end: RecordId(fixed("end")),
        },
        Fact::Undone,
        Fact::Final,
    ] {
        records.push(shown("ANNOTATION", &annotation(fact)));
    }
    let unsigned: Vec<Value> = [
        0,
        250,
        251,
        252,
        253,
        254,
        255,
        256,
        65_535,
        65_536,
        4_294_967_295,
        4_294_967_296,
        u64::MAX,
    ]
    .iter()
    .map(|n| json!({"value": n, "hex": to_hex(&codec::encode::<u64>(n).unwrap())}))
    .collect();
    let signed: Vec<Value> = [
        0,
        -1,
        1,
        -125,
        125,
        -126,
        126,
        32_768,
        -32_769,
        i64::MAX,
        i64::MIN,
    ]
    .iter()
    .map(|n| json!({"value": n, "hex": to_hex(&codec::encode::<i64>(n).unwrap())}))
    .collect();
    hold(
        "records.json",
        &json!({"unsigned": unsigned, "signed": signed, "records": records}),
    );
}

/// Bytes that no reader may take, each with what is wrong with them.
fn refused() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let tombstone = |packs: &[u8], rest: &[u8]| {
        [&fixed::<32>("tombstone and session")[..], &[0], packs, rest].concat()
    };
    let page = |name: &[u8]| {
        codec::encode(&TreePage::Leaf {
            entries: vec![entry(name, Node::Fifo)],
            users: Vec::new(),
            groups: Vec::new(),
            extensions: Vec::new(),
        })
        .unwrap()
    };
    let with = |extensions: Vec<Extension>| {
        let mut annotation = annotation(Fact::Released);
        annotation.extensions = extensions;
        codec::encode(&annotation).unwrap()
    };
    let tagged = |tag, critical| Extension {
        tag,
        critical,
        body: Vec::new(),
    };
    vec![
        ("TOMBSTONE", "nothing at all", Vec::new()),
        ("TOMBSTONE", "a byte too many", tombstone(&[0], &[0, 0])),
        ("TOMBSTONE", "a byte too few", tombstone(&[0], &[])),
        (
            "TOMBSTONE",
            "a count in a longer form than it needs",
            tombstone(&[251, 0, 0], &[0]),
        ),
        (
            "TOMBSTONE",
            "2^64 - 1 packs",
            tombstone(&[253, 255, 255, 255, 255, 255, 255, 255, 255], &[0]),
        ),
        (
            "TOMBSTONE",
            "2^31 packs",
            tombstone(&[252, 0, 0, 0, 128], &[0]),
        ),
        (
            "TOMBSTONE",
            "a reserved length byte",
            tombstone(&[255], &[0]),
        ),
        (
            "ANNOTATION",
            "an unknown critical extension",
            with(vec![tagged(7, true)]),
        ),
        (
            "ANNOTATION",
            "extensions out of order",
            with(vec![tagged(8, false), tagged(7, false)]),
        ),
        (
            "ANNOTATION",
            "65 extensions",
            with((0..65).map(|tag| tagged(tag, false)).collect()),
        ),
        ("TREE_PAGE", "an entry named ..", page(b"..")),
        ("TREE_PAGE", "an entry named .", page(b".")),
        ("TREE_PAGE", "an entry without a name", page(b"")),
        ("TREE_PAGE", "an entry with a slash", page(b"a/b")),
        ("TREE_PAGE", "an entry with a NUL", page(b"a\0")),
        ("TREE_PAGE", "a name of 256 bytes", page(&[b'x'; 256])),
        ("TREE_PAGE", "an unknown variant", vec![2, 0, 0, 0, 0]),
        ("TREE_PAGE", "a page without entries", vec![0, 0, 0, 0, 0]),
    ]
}

#[test]
fn what_must_be_refused_is_refused() {
    let cases = refused();
    for (schema, what, bytes) in &cases {
        let refused = match *schema {
            "TOMBSTONE" => codec::decode::<Tombstone>(bytes, MAX, "it").and_then(|r| r.check()),
            "ANNOTATION" => codec::decode::<Annotation>(bytes, MAX, "it").and_then(|r| r.check()),
            _ => codec::decode::<TreePage>(bytes, MAX, "it").and_then(|r| r.check()),
        };
        let kind = refused.expect_err(what).kind();
        assert!(
            matches!(kind, Kind::Damage | Kind::Unsupported),
            "{what}: {kind:?}"
        );
    }
    let made: Vec<Value> = cases
        .iter()
        .map(|(schema, what, bytes)| json!({"schema": schema, "what": what, "hex": to_hex(bytes)}))
        .collect();
    hold("refused.json", &Value::Array(made));
}

/// The committed bytes themselves decode, whatever today's encoder makes.
#[test]
fn committed_records_decode() {
    let vectors = committed("records.json");
    for record in vectors["records"].as_array().unwrap() {
        let bytes = from_hex(record["hex"].as_str().unwrap()).unwrap();
        let value = |result: duramen::error::Result<Value>| result.unwrap();
        fn json<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> duramen::error::Result<Value> {
            codec::decode::<T>(bytes, MAX, "vector")
                .map(|record| serde_json::to_value(record).unwrap())
        }
        let decoded = value(match record["schema"].as_str().unwrap() {
            "CONFIG" => json::<Config>(&bytes),
            "FATE" => json::<Fate>(&bytes),
            "SESSION" => json::<Session>(&bytes),
            "TOMBSTONE" => json::<Tombstone>(&bytes),
            "ANNOTATION" => json::<Annotation>(&bytes),
            "TREE_PAGE" => json::<TreePage>(&bytes),
            "HINT_PAGE" => json::<HintPage>(&bytes),
            "LIST_PAGE" => json::<ListPage>(&bytes),
            "RUN_PAGE" => json::<RunPage>(&bytes),
            "CATALOGUE_PAGE" => json::<CataloguePage>(&bytes),
            "RING" => json::<Ring>(&bytes),
            other => panic!("a vector of unknown schema {other}"),
        });
        assert_eq!(decoded, record["value"], "{}", record["schema"]);
    }
}
