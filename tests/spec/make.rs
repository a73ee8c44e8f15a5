//! A whole small repository, every byte of it fixed: keys, nonces, times; made from the parts that `src/format` and
//! `src/crypto` give, so that a change in any of them shows.

use std::collections::BTreeMap;

use duramen::crypto::Secret;
use duramen::crypto::aead::{NONCE, SealKey};
use duramen::crypto::derive::Purpose;
use duramen::crypto::passphrase::{FLOOR, stretch};
use duramen::crypto::wrap::public_key;
use duramen::format::codec;
use duramen::format::entry::{Content, Directory, Entry, Node, PageRef, Piece, Xattr, XattrValue};
use duramen::format::file::{FileType, HEADER, RecordHeader, finish};
use duramen::format::frame::{ChunkKind, ChunkSpan, Codec, FrameInfo, PackClass};
use duramen::format::keys::{Ring, RingFile, RingSlot, SealRoot, Slot, SlotKind};
use duramen::format::pack::{PackDirectory, PackFooter, PackHeader};
use duramen::format::page::{Hint, HintPage, Owner, TreePage};
use duramen::format::records::{
    Annotation, Chunking, Config, Fact, Session, SessionPurpose, Tombstone,
};
use duramen::format::segment::{Segment, SegmentPack};
use duramen::format::snapshot::{
    Counters, Fate, Features, PathBytes, Snapshot, SnapshotKind, SourceRecord, State,
};
use duramen::id::{PackId, RecordId, RepositoryId, SessionId, SlotId, from_hex, to_hex};
use duramen::seal::Keys;
use zeroize::Zeroizing;

use crate::support::{committed, fixed, writing};

pub const PASSPHRASE: &[u8] = b"vector";
const TIME: i64 = 1_795_240_800_000_000_000;

fn repository() -> RepositoryId {
    RepositoryId(fixed("repository"))
}

fn slot_ids() -> [SlotId; 2] {
    let mut ids = [
        SlotId(fixed("key file slot")),
        SlotId(fixed("passphrase slot")),
    ];
    ids.sort_unstable();
    ids
}

fn slot_kind(id: SlotId) -> SlotKind {
    if id == SlotId(fixed("key file slot")) {
        SlotKind::KeyFile
    } else {
        SlotKind::Passphrase
    }
}

fn private(id: SlotId) -> Secret {
    Zeroizing::new(fixed(&format!("private key of {}", id.hex())))
}

/// The ring of all vectors.
pub fn ring() -> (RepositoryId, Ring) {
    let slots = slot_ids().map(|id| RingSlot {
        id,
        kind: slot_kind(id),
        public: public_key(&private(id)),
        created: TIME,
        label: slot_kind(id).word().into(),
        host: "host".into(),
        user: "ada".into(),
    });
    let root = |epoch: u32| SealRoot {
        epoch,
        root: fixed(&format!("sealing root {epoch}")),
    };
    let ring = Ring {
        generation: 1,
        dedup_root: fixed("dedup root"),
        seal_roots: vec![root(1), root(2)],
        slots: slots.to_vec(),
        extensions: Vec::new(),
    };
    (repository(), ring)
}

pub fn keys() -> Keys {
    Keys::new(ring().0, &ring().1).unwrap()
}

pub fn key_file() -> String {
    let key = fixed::<32>("key file");
    let check = to_hex(&blake3::hash(&key).as_bytes()[..4]);
    format!("duramen-key-1 {} {check}\n", to_hex(&key))
}

fn nonce(label: &str) -> [u8; NONCE] {
    fixed(&format!("nonce of {label}"))
}

fn slot(id: SlotId) -> (String, Vec<u8>) {
    let name = format!("keys/{}", id.hex());
    let salt = fixed::<32>(&format!("salt of {}", id.hex()));
    let (secret, cost) = match slot_kind(id) {
        SlotKind::KeyFile => (Zeroizing::new(fixed("key file")), [0; 3]),
        SlotKind::Passphrase => (
            stretch(PASSPHRASE, &salt, FLOOR).unwrap(),
            [FLOOR.memory_kib, FLOOR.passes, FLOOR.lanes],
        ),
    };
    let key = Purpose::SlotKey.derive(&[&*secret, &salt, &repository().0]);
    let mut slot = Slot {
        kind: slot_kind(id),
        cost,
        repository: repository(),
        salt,
        check: *Purpose::SlotCheck.derive(&[&*key]),
        public: public_key(&private(id)),
        nonce: nonce(&name),
        sealed: Vec::new(),
    };
    let aad = [&slot.header()[..], name.as_bytes()].concat();
    let mut sealed = [&private(id)[..], &fixed::<32>("ring authentication")].concat();
    SealKey::new(&key)
        .seal_with(&slot.nonce, &aad, &mut sealed, 0)
        .unwrap();
    slot.sealed = sealed;
    (name, slot.encode())
}

pub fn ring_file() -> (String, Vec<u8>) {
    let (repository, ring) = ring();
    let ring_key = Zeroizing::new(fixed::<32>("ring key"));
    let wraps = ring
        .slots
        .iter()
        .map(|slot| {
            let fresh = Zeroizing::new(fixed::<32>(&format!("fresh key for {}", slot.id.hex())));
            let public = public_key(&fresh);
            let shared = x25519_dalek::StaticSecret::from(*fresh)
                .diffie_hellman(&x25519_dalek::PublicKey::from(slot.public));
            let about = [&repository.0[..], &1u64.to_le_bytes(), &slot.id.0].concat();
            let key = Purpose::RingWrap.derive(&[shared.as_bytes(), &public, &slot.public, &about]);
            let mut wrap = [&public[..], &ring_key[..]].concat();
            SealKey::new(&key)
                .seal_with(&[0; NONCE], b"", &mut wrap, 32)
                .unwrap();
            (slot.id, wrap.try_into().unwrap())
        })
        .collect();
    let mut file = RingFile {
        repository,
        generation: 1,
        wraps,
        sealed: Vec::new(),
        mac: [0; 32],
    };
    let body = codec::encode(&ring).unwrap();
    let header = file.header((body.len() + 28) as u32);
    file.sealed = message(
        &Purpose::RingBody.derive(&[&*ring_key]),
        "ring",
        &header,
        &body,
    );
    let mac = Purpose::RingMac.derive(&[&fixed::<32>("ring authentication")]);
    file.mac = *blake3::keyed_hash(&mac, &file.covered()).as_bytes();
    ("keyring/0000000001".into(), file.encode())
}

/// `nonce | sealed | tag`.
fn message(key: &Secret, label: &str, aad: &[u8], plain: &[u8]) -> Vec<u8> {
    let nonce = nonce(label);
    let mut message = [&nonce[..], plain].concat();
    SealKey::new(key)
        .seal_with(&nonce, aad, &mut message, NONCE)
        .unwrap();
    message
}

fn root_of(epoch: u32) -> [u8; 32] {
    fixed(&format!("sealing root {epoch}"))
}

/// A sealed record under `epoch`; segments are bound to no name.
fn sealed(file_type: FileType, purpose: Purpose, epoch: u32, name: &str, plain: &[u8]) -> Vec<u8> {
    let header = RecordHeader {
        file_type,
        sealed_len: (plain.len() + 16) as u32,
        repository: repository(),
        epoch,
        nonce: nonce(file_type.word()),
    };
    let mut file = header.encode().to_vec();
    let aad = [&file[..], name.as_bytes()].concat();
    file.extend_from_slice(plain);
    SealKey::new(&purpose.derive(&[&root_of(epoch)]))
        .seal_with(&header.nonce, &aad, &mut file, HEADER)
        .unwrap();
    finish(file)
}

/// A zstd frame of one raw block, by hand: its bytes depend on no library.
fn stored_zstd(raw: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x28, 0xB5, 0x2F, 0xFD, 0x60];
    frame.extend_from_slice(&u16::try_from(raw.len() - 256).unwrap().to_le_bytes());
    frame.extend_from_slice(&((raw.len() as u32) << 3 | 1).to_le_bytes()[..3]);
    frame.extend_from_slice(raw);
    frame
}

/// What a library made of [`text`] when the vectors were written; from then on it is input.
pub fn compressed_text() -> Vec<u8> {
    if writing() {
        return zstd::bulk::compress(&text(), 3).unwrap();
    }
    from_hex(committed("files.json")["compressed_text"].as_str().unwrap()).unwrap()
}

pub fn text() -> Vec<u8> {
    (0..200u32)
        .flat_map(|n| format!("line {n} of a text that compresses well\n").into_bytes())
        .collect()
}

struct Pack {
    id: PackId,
    bytes: Vec<u8>,
    class: PackClass,
    frames: Vec<(FrameInfo, Vec<ChunkSpan>)>,
}

/// One frame a tuple: epoch, kind, its chunks, the payload where it is compressed.
type Frame = (u32, ChunkKind, Vec<Vec<u8>>, Option<Vec<u8>>);

fn pack(class: PackClass, label: &str, parts: Vec<Frame>) -> Pack {
    let keys = keys();
    let header = PackHeader {
        class,
        repository: repository(),
        session: SessionId(fixed("session")),
    }
    .encode();
    let mut bytes = header.to_vec();
    let mut directory = PackDirectory::default();
    for (number, (epoch, kind, chunks, payload)) in parts.into_iter().enumerate() {
        let raw = chunks.concat();
        let codec = if payload.is_some() {
            Codec::Zstd
        } else {
            Codec::Raw
        };
        let payload = payload.unwrap_or_else(|| raw.clone());
        let info = FrameInfo {
            offset: bytes.len() as u32,
            stored: payload.len() as u32 + 28,
            raw: raw.len() as u32,
            epoch,
            kind,
            codec,
        };
        let purpose = match kind.class() {
            PackClass::Data => Purpose::DataFrame,
            PackClass::Metadata => Purpose::MetadataFrame,
        };
        let key = purpose.derive(&[&root_of(epoch)]);
        let aad = info.aad(&repository().0);
        bytes.extend(message(
            &key,
            &format!("{label} frame {number}"),
            &aad,
            &payload,
        ));
        let mut offset = 0;
        let spans = chunks
            .iter()
            .map(|chunk| {
                let span = ChunkSpan {
                    id: keys.chunk_id(kind, chunk),
                    offset,
                    len: chunk.len() as u32,
                };
                offset += span.len;
                span
            })
            .collect();
        directory.frames.push((info, spans));
    }
    let plain = directory.encode().unwrap();
    let footer = PackFooter {
        directory_len: plain.len() as u32 + 28,
        epoch: 2,
    };
    let key = Purpose::PackDirectory.derive(&[&root_of(2)]);
    bytes.extend(message(
        &key,
        &format!("{label} directory"),
        &footer.aad(&header),
        &plain,
    ));
    bytes.extend_from_slice(&footer.encode());
    let bytes = finish(bytes);
    let id = PackId(*bytes.last_chunk().unwrap());
    duramen::pack::open_pack(&keys, &id, &bytes).unwrap();
    Pack {
        id,
        bytes,
        class,
        frames: directory.frames,
    }
}

fn entry(name: &[u8], node: Node) -> Entry {
    Entry {
        name: name.to_vec(),
        mode: 0o644,
        uid: 0,
        gid: 0,
        mtime: TIME,
        node,
        xattrs: Vec::new(),
        link: None,
        extensions: Vec::new(),
    }
}

/// Every file of the repository by name.
pub fn files() -> BTreeMap<String, Vec<u8>> {
    let keys = keys();
    let (first, second, value) = (
        b"the first chunk".to_vec(),
        b"and the second".to_vec(),
        vec![7; 300],
    );
    let id = |kind, bytes: &[u8]| keys.chunk_id(kind, bytes);
    let data = |bytes: &[u8]| Piece::Data {
        id: id(ChunkKind::Data, bytes),
        len: bytes.len() as u32,
    };
    let mut holed = entry(
        b"holed",
        Node::File {
            size: 29 + 4096,
            content: Content::List(vec![data(&first), Piece::Hole { len: 4096 }, data(&second)]),
        },
    );
    holed.xattrs.push(Xattr {
        name: b"user.value".to_vec(),
        value: XattrValue::Chunk {
            id: id(ChunkKind::Xattr, &value),
            len: 300,
        },
    });
    let page = codec::encode(&TreePage::Leaf {
        entries: vec![
            holed,
            entry(
                b"inline",
                Node::File {
                    size: 3,
                    content: Content::Inline(b"abc".to_vec()),
                },
            ),
            entry(
                b"text",
                Node::File {
                    size: text().len() as u64,
                    content: Content::List(vec![data(&text())]),
                },
            ),
        ],
        users: vec![Owner {
            number: 0,
            name: b"root".to_vec(),
        }],
        groups: vec![Owner {
            number: 0,
            name: b"root".to_vec(),
        }],
        extensions: Vec::new(),
    })
    .unwrap();
    let page_id = id(ChunkKind::Tree, &page);
    let hint = Hint {
        inode: 5,
        device: 2049,
        ctime: TIME,
        below: None,
    };
    let hints = codec::encode(&HintPage::Leaf {
        page: page_id,
        hints: vec![hint; 3],
    })
    .unwrap();
    let hints_id = id(ChunkKind::Hint, &hints);
    let packs = [
        pack(
            PackClass::Data,
            "data",
            vec![
                (1, ChunkKind::Data, vec![first, second], None),
                (2, ChunkKind::Data, vec![text()], Some(compressed_text())),
                (2, ChunkKind::Xattr, vec![value], None),
            ],
        ),
        pack(
            PackClass::Metadata,
            "metadata",
            vec![
                (2, ChunkKind::Tree, vec![page], None),
                (2, ChunkKind::Hint, vec![hints], None),
            ],
        ),
    ];
    let mut segment = Segment::default();
    for (number, pack) in packs.iter().enumerate() {
        segment.packs.push(SegmentPack {
            id: pack.id,
            size: pack.bytes.len() as u64,
            class: pack.class,
        });
        for (frame, chunks) in &pack.frames {
            let at = segment.frames.len() as u32;
            segment.frames.push((number as u32, *frame));
            segment
                .chunks
                .extend(chunks.iter().map(|chunk| (at, *chunk)));
        }
    }
    segment.sort();
    let body = segment.encode().unwrap();
    let plain = [&(body.len() as u32).to_le_bytes()[..], &stored_zstd(&body)].concat();
    let segment = sealed(FileType::Segment, Purpose::Segment, 2, "", &plain);

    let mut files: BTreeMap<String, Vec<u8>> = slot_ids().map(slot).into_iter().collect();
    files.extend([ring_file()]);
    for pack in packs {
        files.insert(duramen::pack::pack_name(&pack.id), pack.bytes);
    }
    files.insert(
        format!("index/{}", to_hex(&segment[segment.len() - 32..])),
        segment,
    );
    let session = SessionId(fixed("session"));
    let record_id = RecordId(fixed("annotation"));
    let tombstone = RecordId(fixed("tombstone"));
    let mut add = |file_type, purpose, epoch, name: String, plain: Vec<u8>| {
        let file = sealed(file_type, purpose, epoch, &name, &plain);
        files.insert(name, file);
    };
    add(
        FileType::Config,
        Purpose::Config,
        1,
        "config".into(),
        codec::encode(&Config {
            repository: repository(),
            features: Features::default(),
            created: TIME,
            chunking: Chunking::default(),
            extensions: Vec::new(),
        })
        .unwrap(),
    );
    let root = entry(
        b"/",
        Node::Directory(Directory {
            root: Some(PageRef {
                id: page_id,
                depth: 0,
            }),
            entries: 3,
            files: 3,
            bytes: 29 + 4096 + 3 + text().len() as u64,
        }),
    );
    add(
        FileType::Snapshot,
        Purpose::Snapshot,
        2,
        format!("snapshots/{}", session.hex()),
        codec::encode(&Fate::Committed(Box::new(Snapshot {
            id: session,
            repository: repository(),
            features: Features::default(),
            time: TIME,
            started: TIME,
            finished: TIME + 1,
            kind: SnapshotKind::Full,
            parent: None,
            host: "host".into(),
            user: "ada".into(),
            tags: Vec::new(),
            paths: vec![PathBytes(b"/".to_vec())],
            excludes: Vec::new(),
            sources: vec![SourceRecord::Files {
                root: Box::new(root),
                owner: [PathBytes(b"root".to_vec()), PathBytes(b"root".to_vec())],
                hints: Some(hints_id),
            }],
            state: State::Complete,
            problems: Vec::new(),
            problem_count: 0,
            counters: Counters::default(),
            program: "0.1.0".into(),
            git: None,
            seen: *blake3::hash(b"").as_bytes(),
            extensions: Vec::new(),
        })))
        .unwrap(),
    );
    let void = SessionId(fixed("void"));
    add(
        FileType::Snapshot,
        Purpose::Snapshot,
        2,
        format!("snapshots/{}", void.hex()),
        codec::encode(&Fate::Void {
            session: void,
            at: TIME,
        })
        .unwrap(),
    );
    add(
        FileType::Session,
        Purpose::Session,
        2,
        format!("sessions/{}.0000000000", session.hex()),
        codec::encode(&Session {
            id: session,
            number: 0,
            purpose: SessionPurpose::Write,
            host: "host".into(),
            user: "ada".into(),
            process: 1,
            started: TIME,
            renewed: TIME,
            tombstones: Vec::new(),
            forgotten: Vec::new(),
            program: "0.1.0".into(),
            extensions: Vec::new(),
        })
        .unwrap(),
    );
    add(
        FileType::Tombstone,
        Purpose::Tombstone,
        2,
        format!("tombstones/{}", tombstone.hex()),
        codec::encode(&Tombstone {
            id: tombstone,
            session: void,
            at: TIME,
            packs: vec![PackId(fixed("a pack that was dropped"))],
            extensions: Vec::new(),
        })
        .unwrap(),
    );
    add(
        FileType::Annotation,
        Purpose::Annotation,
        2,
        format!("annotations/{}/{}", session.hex(), record_id.hex()),
        codec::encode(&Annotation {
            id: record_id,
            snapshot: session,
            at: TIME,
            host: "host".into(),
            user: "ada".into(),
            fact: Fact::Note("a vector".into()),
            extensions: Vec::new(),
        })
        .unwrap(),
    );
    files
}
