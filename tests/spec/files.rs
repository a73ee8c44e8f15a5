//! The repository of `files.json`: made again byte for byte, opened by the crate, opened by the second reader, and held
//! to what its seals are to bind.

use std::collections::BTreeMap;
use std::sync::Arc;

use duramen::clock::SystemClock;
use duramen::error::Kind;
use duramen::format::entry::{Node, Piece};
use duramen::format::file::{FileType, HEADER, finish};
use duramen::format::frame::{ChunkKind, Codec, FrameInfo, PackClass};
use duramen::format::keys::RingFile;
use duramen::format::pack::PackDirectory;
use duramen::format::segment::Segment;
use duramen::id::{PackId, RepositoryId, from_hex, to_hex};
use duramen::repository::{Credential, Environment, Repository};
use duramen::seal::{FrameOpener, Keys, open_record};
use duramen::storage::{MemoryStorage, Storage};
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use crate::make::{PASSPHRASE, compressed_text, files, key_file, keys, ring, ring_file, text};
use crate::support::{committed, hold, python_ok};

#[test]
fn files_are_those_of_the_vectors() {
    let shown: Map<String, Value> = files()
        .into_iter()
        .map(|(name, bytes)| (name, to_hex(&bytes).into()))
        .collect();
    hold(
        "files.json",
        &json!({"key_file": key_file(), "passphrase": "vector", "compressed_text": to_hex(&compressed_text()), "files": shown}),
    );
}

fn in_memory(files: &BTreeMap<String, Vec<u8>>) -> Arc<MemoryStorage> {
    let storage = MemoryStorage::default();
    for (name, bytes) in files {
        assert!(storage.put_new(name, bytes).unwrap());
    }
    Arc::new(storage)
}

fn committed_files() -> BTreeMap<String, Vec<u8>> {
    committed("files.json")["files"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, hex)| (name.clone(), from_hex(hex.as_str().unwrap()).unwrap()))
        .collect()
}

fn environment() -> Environment {
    Environment {
        cache: None,
        state: None,
        threads: 1,
        clock: Arc::new(SystemClock::default()),
        host: "host".into(),
        user: "ada".into(),
    }
}

#[test]
fn the_crate_reads_the_committed_files() {
    let storage = in_memory(&committed_files());
    let key_file = key_file();
    for credential in [
        Credential::KeyFile(Zeroizing::new(key_file.clone().into_bytes())),
        Credential::Passphrase(Zeroizing::new(PASSPHRASE.to_vec())),
    ] {
        let repository = Repository::open(storage.clone(), &[credential], environment()).unwrap();
        let snapshots = repository.snapshots().unwrap();
        assert_eq!(snapshots.len(), 1, "the void one is none");
        repository.index().refresh().unwrap();
        let found = repository.find(&snapshots[0], b"/text").unwrap();
        let Node::File { content, .. } = &found.entry.node else {
            panic!("no file");
        };
        let bytes: Vec<u8> = repository
            .pieces(content)
            .map(|piece| match piece.unwrap() {
                Piece::Data { id, .. } => repository.read_chunk(ChunkKind::Data, &id).unwrap(),
                Piece::Hole { .. } | Piece::Part { .. } => panic!("no hole in it"),
            })
            .collect::<Vec<_>>()
            .concat();
        assert_eq!(bytes, text());
        assert_eq!(found.user.as_deref(), Some(&b"root"[..]));
    }
    let wrong = Credential::Passphrase(Zeroizing::new(b"wrong".to_vec()));
    let refused = Repository::open(storage, &[wrong], environment())
        .err()
        .unwrap();
    assert_eq!(refused.kind(), Kind::WrongKey);
}

/// Each thing that a seal binds: changed, the seal breaks.
#[test]
fn nothing_that_is_bound_can_be_changed() {
    let keys = keys();
    let files = files();
    for (name, file) in &files {
        let file_type = match name.split('/').next().unwrap() {
            "config" => FileType::Config,
            "snapshots" => FileType::Snapshot,
            "sessions" => FileType::Session,
            "tombstones" => FileType::Tombstone,
            "annotations" => FileType::Annotation,
            _ => continue,
        };
        let open = |name: &str, file: &[u8]| open_record(&keys, file_type, name, file, 4 << 20);
        open(name, file).unwrap();
        assert!(
            open(&format!("{name}0"), file).is_err(),
            "{name} under another name"
        );
        for at in 0..file.len() - 32 {
            let mut changed = file[..file.len() - 32].to_vec();
            changed[at] ^= 1;
            assert!(open(name, &finish(changed)).is_err(), "{name}, byte {at}");
        }
    }
    let data = files
        .iter()
        .find(|(name, file)| name.starts_with("packs/") && file[10] == 1)
        .unwrap()
        .1;
    let id = PackId(*data.last_chunk().unwrap());
    let opened = duramen::pack::open_pack(&keys, &id, data).unwrap();
    let mut opener = FrameOpener::new().unwrap();
    let (frame, _) = opened.directory.frames[1];
    let stored = &data[frame.offset as usize..(frame.offset + frame.stored) as usize];
    assert_eq!(opener.open(&keys, &frame, stored).unwrap(), text());
    let changes: [fn(&mut FrameInfo); 4] = [
        |frame| frame.kind = ChunkKind::Xattr,
        |frame| frame.codec = Codec::Raw,
        |frame| frame.raw += 1,
        |frame| frame.epoch = 1,
    ];
    for (number, change) in changes.iter().enumerate() {
        let mut changed = frame;
        change(&mut changed);
        assert!(
            opener.open(&keys, &changed, stored).is_err(),
            "field {number}"
        );
    }
    let other = Keys::new(RepositoryId([0; 32]), &ring().1).unwrap();
    assert!(
        opener.open(&other, &frame, stored).is_err(),
        "another repository"
    );
    // Header and footer stand in the directory's associated data, though anybody can make the trailer anew.
    for at in (8..HEADER).chain(data.len() - 48..data.len() - 32) {
        let mut changed = data[..data.len() - 32].to_vec();
        changed[at] ^= 1;
        let changed = finish(changed);
        let id = PackId(*changed.last_chunk().unwrap());
        assert!(
            duramen::pack::open_pack(&keys, &id, &changed).is_err(),
            "byte {at}"
        );
    }
}

/// Counts and lengths that claim more than there is are refused before anything is allocated for them.
#[test]
fn overlong_counts_are_refused() {
    for count in 0..4 {
        let mut segment = Segment::default().encode().unwrap();
        segment[count * 4..count * 4 + 4].copy_from_slice(&[0xFF; 4]);
        assert!(Segment::decode(&segment).is_err(), "segment count {count}");
        let mut directory = PackDirectory::default().encode().unwrap();
        directory[count * 4..count * 4 + 4].copy_from_slice(&[0xFF; 4]);
        let decoded = PackDirectory::decode(&directory, PackClass::Data, HEADER as u64);
        assert!(decoded.is_err(), "directory count {count}");
    }
    let (_, mut ring) = ring_file();
    for (at, what) in [(12, "wraps"), (56, "sealed length")] {
        let held = ring[at..at + 4].to_vec();
        ring[at..at + 4].copy_from_slice(&[0xFF; 4]);
        let body = ring[..ring.len() - 32].to_vec();
        assert!(RingFile::decode(&finish(body)).is_err(), "ring {what}");
        ring[at..at + 4].copy_from_slice(&held);
    }
    assert!(RingFile::decode(&ring).is_ok());
}

/// The second reader makes the same of the vectors: keys, cuts, records, and the repository as a whole.
#[test]
fn the_second_reader_agrees_with_the_vectors() {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in committed_files() {
        let path = folder.path().join(&name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    let key = folder.path().join("key");
    std::fs::write(&key, key_file()).unwrap();
    let (repository, key) = (folder.path().to_str().unwrap(), key.to_str().unwrap());
    for credential in [["--key-file", key], ["--passphrase", "vector"]] {
        let [how, what] = credential;
        let verified = python_ok("duramen_reader.py", &[how, what, repository, "verify"]);
        let verified: Value = serde_json::from_str(&verified).unwrap();
        assert_eq!(
            verified,
            json!({"snapshots": 1, "packs": 2, "chunks": 6, "entries": 4, "cut": 2})
        );
    }
    let vectors = crate::support::root().join("format-spec/vectors");
    let said = python_ok("check_vectors.py", &[vectors.to_str().unwrap()]);
    assert!(said.contains("vectors agree"), "{said}");
}
