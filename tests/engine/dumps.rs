//! Dumps that are written anew each night: they come back byte for byte, whatever was done to them, and only what
//! changed is stored.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::sync::Mutex;
use std::time::Duration;

use duramen::format::entry::{Content, Node, Piece, check_pieces};
use duramen::format::snapshot::{RECIPES, Snapshot, SnapshotKind};
use duramen::id::ChunkId;
use duramen::ops;
use duramen::ops::prune::{PruneOptions, Unused};
use duramen::ops::select::Filter;
use duramen::progress::{Progress, Silent};
use duramen::repository::Repository;
use duramen::storage::Storage;

use super::common::random::Random;
use super::common::seed;
use super::lab::{Lab, check, files, options, restore_options, restored};

/// A number, and words that shrink somewhat.
type Documents = Vec<(u32, String)>;

fn words(random: &mut Random, len: usize) -> String {
    random
        .bytes(len)
        .iter()
        .map(|byte| char::from(b'a' + byte % 16))
        .collect()
}

fn document(random: &mut Random, number: u32) -> (u32, String) {
    let len = 200 + random.below(1400) as usize;
    (number, words(random, len))
}

fn bson((number, words): &(u32, String)) -> Vec<u8> {
    let mut body = b"\x10_id\0".to_vec();
    body.extend_from_slice(&number.to_le_bytes());
    body.extend_from_slice(b"\x02words\0");
    body.extend_from_slice(&(words.len() as u32 + 1).to_le_bytes());
    body.extend_from_slice(words.as_bytes());
    body.extend_from_slice(&[0, 0]);
    [(body.len() as u32 + 4).to_le_bytes().to_vec(), body].concat()
}

fn json((number, words): &(u32, String)) -> String {
    format!("{{\"_id\":{number},\"words\":\"{words}\",\"nested\":[{{\"a\":\"}}\\\"\"}}]}}")
}

fn dumps(documents: &Documents) -> BTreeMap<&'static str, Vec<u8>> {
    let raw: Vec<Vec<u8>> = documents.iter().map(bson).collect();
    let text: Vec<String> = documents.iter().map(json).collect();
    let mut archive = vec![
        b"\x6d\xe2\x99\x81".to_vec(),
        bson(&(0, "header".into())),
        vec![0xFF; 4],
    ];
    // Blocks, and ends of collections whose checksums differ each night.
    for (number, some) in raw.chunks(90).enumerate() {
        archive.push(bson(&(1, format!("shop.collection{}", number / 3))));
        archive.extend(some.iter().cloned());
        archive.push(vec![0xFF; 4]);
        if number % 3 == 2 {
            let sum = blake3::hash(&some.concat()).to_hex();
            archive.extend([bson(&(2, sum.to_string())), vec![0xFF; 4]]);
        }
    }
    BTreeMap::from([
        ("collection.bson", raw.concat()),
        ("all.archive", archive.concat()),
        ("lines.json", text.join("\n").into_bytes()),
        (
            "array.json",
            format!("[{}]\n", text.join(",\n")).into_bytes(),
        ),
    ])
}

fn write(lab: &Lab, dumps: &BTreeMap<&'static str, Vec<u8>>) {
    fs::create_dir_all(lab.tree()).unwrap();
    for (name, bytes) in dumps {
        fs::write(lab.tree().join(name), bytes).unwrap();
    }
}

fn contents(repository: &Repository, snapshot: &Snapshot, lab: &Lab) -> BTreeMap<String, Content> {
    let path = lab.tree().into_os_string().into_encoded_bytes();
    let Node::Directory(directory) = repository.find(snapshot, &path).unwrap().entry.node else {
        panic!("no directory");
    };
    repository
        .entries(&directory)
        .filter_map(|listed| {
            let entry = listed.unwrap().entry;
            let name = String::from_utf8(entry.name).unwrap();
            match entry.node {
                Node::File { content, .. } => Some((name, content)),
                _ => None,
            }
        })
        .collect()
}

fn one(repository: &Repository, name: &str) -> Snapshot {
    ops::select::one(repository, name, &Filter::default()).unwrap()
}

fn packs(lab: &Lab) -> u64 {
    let items = lab.storage.list("packs").unwrap();
    items.iter().map(|item| item.size).sum()
}

/// One in a hundred replaced, two in a hundred added, some of them in the middle.
fn night(random: &mut Random, documents: &mut Documents, first: u32) {
    for _ in 0..documents.len() / 100 {
        let at = random.below(documents.len() as u64) as usize;
        documents[at] = document(random, documents[at].0);
    }
    for more in 0..documents.len() as u32 / 50 {
        let new = document(random, first + more);
        let at = match more % 4 {
            0 => random.below(documents.len() as u64) as usize,
            _ => documents.len(),
        };
        documents.insert(at, new);
    }
}

#[test]
fn a_night_stores_only_what_changed() {
    let mut random = Random::new(seed("dumps"));
    let lab = Lab::new();
    let mut documents: Documents = (0..2000).map(|n| document(&mut random, n)).collect();
    write(&lab, &dumps(&documents));
    let first = lab.snapshot(&lab.open()).unwrap();
    let stored = packs(&lab);
    night(&mut random, &mut documents, 10_000);
    write(&lab, &dumps(&documents));
    let second = lab.snapshot(&lab.open()).unwrap();
    let added = packs(&lab) - stored;
    assert!(added * 100 <= stored * 6, "{added} of {stored}");
    let repository = lab.open();
    let snapshot = one(&repository, "latest");
    assert_eq!(snapshot.features.read, [RECIPES]);
    assert_eq!(snapshot.features.gc, [RECIPES]);
    for (name, content) in contents(&repository, &snapshot, &lab) {
        assert!(matches!(content, Content::Recipe { .. }), "{name}");
    }
    // The first is as it was, and both come back.
    let plain = one(&repository, &first.id.unwrap().hex());
    assert!(plain.features.read.is_empty());
    assert_eq!(
        restored(&lab, &repository, "latest").unwrap(),
        (lab.on_disk(), false)
    );
    assert!(check(&repository).unwrap().findings.is_empty());
    // Stored by itself, the same bytes are the same content: nothing is said to differ.
    let mut force = options(&lab.tree());
    force.force = true;
    ops::snapshot::run(&repository, &force, &Silent).unwrap();
    let by_itself = one(&repository, "latest");
    assert!(by_itself.features.read.is_empty());
    let recipes = contents(
        &repository,
        &one(&repository, &second.id.unwrap().hex()),
        &lab,
    );
    for (name, content) in contents(&repository, &by_itself, &lab) {
        assert!(!matches!(content, Content::Recipe { .. }), "{name}");
        assert_eq!(content.key(), recipes[&name].key(), "{name}");
    }
    // Read again against itself it stays the same, and what is kept unread stays a recipe, and so does the feature.
    let mut like = options(&lab.tree());
    like.parent = Some(second.id.unwrap().hex());
    let later = lab.open_later(&lab.storage).unwrap();
    let third = ops::snapshot::run(&later, &like, &Silent).unwrap();
    assert_eq!(third.counters.data_chunks, 0);
    let again = contents(&later, &one(&later, "latest"), &lab);
    assert_eq!(again, recipes);
    let fourth = lab.snapshot(&later).unwrap();
    assert_eq!(fourth.counters.files_unmodified, 4);
    let kept = one(&later, "latest");
    assert_eq!(contents(&later, &kept, &lab), recipes);
    assert_eq!(kept.features.read, [RECIPES]);
    // And who does not want it does without.
    night(&mut random, &mut documents, 20_000);
    write(&lab, &dumps(&documents));
    let mut without = options(&lab.tree());
    without.no_dumps = true;
    let plain = ops::snapshot::run(&repository, &without, &Silent).unwrap();
    let id = plain.id.unwrap().hex();
    assert!(one(&repository, &id).features.read.is_empty());
    assert_eq!(
        restored(&lab, &repository, &id).unwrap(),
        (lab.on_disk(), false)
    );
}

/// Anything that may be done to a file from one night to the next.
fn mishap(random: &mut Random, documents: &mut Documents, dumps: &mut BTreeMap<&str, Vec<u8>>) {
    let names: Vec<&str> = dumps.keys().copied().collect();
    let bytes = dumps
        .get_mut(names[random.below(names.len() as u64) as usize])
        .unwrap();
    let at = random.below(bytes.len() as u64) as usize;
    match random.below(9) {
        0 => bytes.truncate(at),
        1 => bytes.clear(),
        2 => bytes[at] ^= 0x40,
        3 => drop(bytes.splice(at..at, random.bytes(3))),
        4 => *bytes = random.bytes(400_000),
        5 => bytes.extend_from_within(at..),
        6 => bytes.rotate_left(at),
        7 => documents.reverse(),
        _ => {
            let middle = documents.len() / 2;
            documents.rotate_left(middle);
        }
    }
}

#[test]
fn whatever_is_done_to_dumps_they_come_back() {
    let mut random = Random::new(seed("dumps and mishaps"));
    let lab = Lab::new();
    let mut documents: Documents = (0..700).map(|n| document(&mut random, n)).collect();
    let mut taken = Vec::new();
    let mut recipes = 0;
    for round in 0..12u32 {
        let mut written = dumps(&documents);
        if round % 3 == 2 {
            mishap(&mut random, &mut documents, &mut written);
        }
        write(&lab, &written);
        let repository = lab.open();
        let mut options = options(&lab.tree());
        if round % 5 == 4 {
            options.kind = SnapshotKind::Differential;
        }
        let summary = ops::snapshot::run(&repository, &options, &Silent).unwrap();
        assert_eq!(summary.problem_count, 0);
        let snapshot = one(&repository, "latest");
        let all = contents(&repository, &snapshot, &lab);
        recipes += all
            .values()
            .filter(|content| matches!(content, Content::Recipe { .. }))
            .count();
        taken.push((summary.id.unwrap(), lab.on_disk()));
        night(&mut random, &mut documents, 1000 * (round + 1));
    }
    assert!(recipes > 20, "{recipes} recipes");
    let whole = |taken: &[(duramen::id::SnapshotId, BTreeMap<String, Vec<u8>>)]| {
        let repository = lab.open();
        assert!(check(&repository).unwrap().findings.is_empty());
        for (id, tree) in taken {
            let (found, damaged) = restored(&lab, &repository, &id.hex()).unwrap();
            assert!(!damaged && found == *tree, "{}", id.short());
        }
    };
    whole(&taken);
    // What a recipe names of snapshots that have gone stays.
    let repository = lab.open();
    for (id, _) in taken.drain(..9) {
        repository.forget(&id).unwrap();
    }
    let mut now = PruneOptions {
        grace: Duration::ZERO,
        session_expiry: Duration::ZERO,
        max_unused: Unused::Bytes(0),
        purge: true,
        ..PruneOptions::default()
    };
    // What lies beside the parts of a chunk cannot be purged, so it is not said to be.
    for dry_run in [true, false] {
        let refused = ops::prune::run(&repository, &now, dry_run, &Silent);
        assert_eq!(
            refused.unwrap_err().kind(),
            duramen::error::Kind::Unsupported
        );
    }
    now.purge = false;
    let report = ops::prune::run(&repository, &now, false, &Silent).unwrap();
    assert!(report.deleted_packs > 0);
    whole(&taken);
    // Over another night's files, in place and looked at afterwards.
    let target = tempfile::tempdir().unwrap();
    for (id, tree) in taken.iter().chain(taken.iter().rev()) {
        let repository = lab.open();
        let mut restore = restore_options(&lab, target.path());
        (restore.in_place, restore.verify) = (true, true);
        let snapshot = one(&repository, &id.hex());
        let summary = ops::restore::run(&repository, &snapshot, &restore, &Silent).unwrap();
        assert_eq!(summary.problem_count, 0);
        assert_eq!(files(target.path()), *tree);
    }
}

/// A recipe must never name what is lost: the next snapshot is whole again.
#[test]
fn a_loss_is_not_handed_down() {
    let mut random = Random::new(seed("dumps and losses"));
    for damage in ["gone", "changed"] {
        let lab = Lab::new();
        let mut documents: Documents = (0..1500).map(|n| document(&mut random, n)).collect();
        write(&lab, &dumps(&documents));
        lab.snapshot(&lab.open()).unwrap();
        let mut items = lab.storage.list("packs").unwrap();
        items.sort_by_key(|item| item.size);
        let largest = items.pop().unwrap().name;
        let mut bytes = lab.storage.read(&largest, 1 << 30).unwrap();
        lab.storage.delete(&largest).unwrap();
        if damage == "changed" {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            lab.storage.put_new(&largest, &bytes).unwrap();
        }
        night(&mut random, &mut documents, 10_000);
        write(&lab, &dumps(&documents));
        let repository = lab.open();
        lab.snapshot(&repository).unwrap();
        let (found, damaged) = restored(&lab, &lab.open(), "latest").unwrap();
        if damage == "gone" {
            assert!(!damaged && found == lab.on_disk());
        } else {
            // What cannot be read is not known to be damaged until a check has said so; what was compared was read.
            let same = found
                .iter()
                .filter(|(name, bytes)| lab.on_disk()[*name] == **bytes);
            assert!(same.count() > 0);
        }
    }
}

#[test]
fn no_part_lies_beyond_its_chunk() {
    let id = ChunkId([3; 32]);
    let part = |of, offset, len| {
        check_pieces(&[Piece::Part {
            id,
            of,
            offset,
            len,
        }])
    };
    part(10, 0, 9).unwrap();
    part(10, 1, 9).unwrap();
    part(10, 9, 1).unwrap();
    for (of, offset, len) in [
        (10, 0, 10),
        (10, 0, 0),
        (10, 2, 9),
        (10, 10, 1),
        (10, u32::MAX, 2),
        (10, 2, u32::MAX),
        (0, 0, 0),
        (u32::MAX, 0, 1),
    ] {
        part(of, offset, len).unwrap_err();
    }
}

/// Lines that are all alike, with another here and there: they come back, and make no list of a piece a line.
#[test]
fn repeated_records_are_no_flood() {
    let lab = Lab::new();
    let same = "{\"level\":\"info\",\"text\":\"nothing happened\"}\n";
    let log = |first: &str, lines: usize| [first, &same.repeat(lines)].concat().into_bytes();
    for (night, bytes) in [
        log("", 20_000),
        log("{\"night\":2}\n", 150_000),
        log("{\"night\":3}\n", 90_000),
    ]
    .iter()
    .enumerate()
    {
        write(&lab, &BTreeMap::from([("log.json", bytes.clone())]));
        let repository = lab.open();
        lab.snapshot(&repository).unwrap();
        let snapshot = one(&repository, "latest");
        for content in contents(&repository, &snapshot, &lab).values() {
            let pieces = repository.pieces(content).count();
            assert!(pieces < 3000, "night {night}: {pieces} pieces");
        }
        assert_eq!(
            restored(&lab, &repository, "latest").unwrap(),
            (lab.on_disk(), false)
        );
    }
}

/// What is told.
#[derive(Default)]
struct Notes(Mutex<Vec<String>>);

impl Progress for Notes {
    fn note(&self, text: &str) {
        self.0.lock().unwrap().push(text.to_owned());
    }
}

#[test]
fn who_gzips_dumps_is_told_once_what_that_costs() {
    let mut random = Random::new(seed("who_gzips_dumps_is_told_once_what_that_costs"));
    let lab = Lab::new();
    let repository = lab.open();
    let mut night = |no_dumps| {
        fs::create_dir_all(lab.tree()).unwrap();
        let documents: Vec<_> = (0..2000).map(|id| document(&mut random, id)).collect();
        for (name, bytes) in [
            ("a.bson.gz", documents.iter().flat_map(bson).collect()),
            (
                "b.json.gz",
                documents.iter().map(json).collect::<String>().into_bytes(),
            ),
            ("c.gz", random.bytes(600_000)),
        ] {
            let file = fs::File::create(lab.tree().join(name)).unwrap();
            let mut zipped = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
            zipped.write_all(&bytes).unwrap();
            zipped.finish().unwrap();
        }
        let notes = Notes::default();
        let mut options = options(&lab.tree());
        options.no_dumps = no_dumps;
        ops::snapshot::run(&repository, &options, &notes).unwrap();
        notes.0.into_inner().unwrap()
    };
    assert_eq!(night(false), [""; 0], "it may be the only one");
    let notes = night(false);
    assert_eq!(notes.len(), 1, "{notes:?}");
    let own = notes[0].contains("a.bson.gz") || notes[0].contains("b.json.gz");
    assert!(own && notes[0].contains("gzipped dump"), "{notes:?}");
    assert_eq!(night(true), [""; 0]);
}
