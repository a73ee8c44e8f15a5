//! Scrubbing without a key, and checking a part: what each sees of every kind of damage, and what it cannot see.

use duramen::check::scrub;
use duramen::error::Kind;
use duramen::format::codec;
use duramen::format::file::FileType;
use duramen::format::records::{SessionPurpose, Tombstone};
use duramen::id::{PackId, RecordId, SessionId};
use duramen::ops::check::{self, CheckOptions, CheckSummary, ReadData};
use duramen::ops::key;
use duramen::progress::Silent;
use duramen::repository::{Fact, Repository};
use duramen::seal::seal_record;
use duramen::storage::{MemoryStorage, Storage};

use super::lab::{Lab, options};

const FOLDERS: [&str; 8] = [
    "keys",
    "keyring",
    "packs",
    "index",
    "snapshots",
    "sessions",
    "tombstones",
    "annotations",
];

/// At least two files of every kind.
fn lab_of_everything() -> Lab {
    let lab = Lab::new();
    let repository = lab.open();
    key::export(&repository).unwrap();
    for version in [1, 2] {
        lab.write_tree(version);
        let id = lab.snapshot(&repository).unwrap().id.unwrap();
        repository
            .annotate(&id, Fact::Note("words".into()))
            .unwrap();
        repository.begin(SessionPurpose::Write).unwrap();
        let tombstone = Tombstone {
            id: RecordId([version as u8; 16]),
            session: SessionId([0; 16]),
            at: 0,
            packs: vec![PackId([0; 32])],
            extensions: Vec::new(),
        };
        let name = format!("tombstones/{}", tombstone.id.hex());
        let body = codec::encode(&tombstone).unwrap();
        let sealed = seal_record(
            repository.keys(),
            FileType::Tombstone,
            &name,
            &body,
            1 << 20,
        );
        lab.storage.put_new(&name, &sealed.unwrap()).unwrap();
    }
    lab
}

fn names(storage: &MemoryStorage) -> Vec<String> {
    let mut names = vec!["config".to_owned()];
    for folder in FOLDERS {
        let items = storage.list(folder).unwrap();
        assert!(items.len() >= 2, "{folder}");
        names.extend(items.into_iter().map(|item| item.name));
    }
    names
}

/// Subjects of what was found: damage, and notes.
fn found(storage: &MemoryStorage) -> (Vec<String>, Vec<String>) {
    let report = scrub(storage, 2, &Silent).unwrap();
    let (damage, notes): (Vec<_>, Vec<_>) = report.findings.into_iter().partition(|it| it.damage);
    let subjects = |all: Vec<check::Finding>| all.into_iter().map(|it| it.subject).collect();
    (subjects(damage), subjects(notes))
}

fn flipped(bytes: &[u8], at: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[at] ^= 1;
    bytes
}

#[test]
fn a_scrub_names_every_file_whose_bytes_are_not_those_that_were_stored() {
    let lab = lab_of_everything();
    assert_eq!(found(&lab.storage), (vec![], vec![]));
    for name in names(&lab.storage) {
        let bytes = lab.storage.read(&name, u64::MAX - 1).unwrap();
        let harms = [
            flipped(&bytes, 0),
            flipped(&bytes, 8),
            flipped(&bytes, 40),
            flipped(&bytes, bytes.len() / 2),
            flipped(&bytes, bytes.len() - 1),
            bytes[..bytes.len() / 2].to_vec(),
            bytes[..20].to_vec(),
            Vec::new(),
            [&bytes[..], b"garbage"].concat(),
            vec![0; bytes.len()],
        ];
        for (number, harm) in harms.into_iter().enumerate() {
            let storage = lab.storage.fork();
            storage.tamper(&name, Some(harm));
            assert_eq!(found(&storage).0, [name.as_str()], "harm {number}");
        }
    }
}

#[test]
fn a_scrub_knows_files_that_are_exchanged_as_far_as_no_key_is_needed() {
    let (lab, other) = (lab_of_everything(), lab_of_everything());
    let theirs = names(&other.storage);
    let ours = names(&lab.storage);
    let folder = |name: &str| name.split('/').next().unwrap().to_owned();
    for name in &ours {
        let kind = folder(name);
        let storage = lab.storage.fork();
        let neighbour = ours.iter().find(|it| *it != name && folder(it) == kind);
        if let Some(neighbour) = neighbour {
            storage.tamper(
                name,
                Some(lab.storage.read(neighbour, u64::MAX - 1).unwrap()),
            );
            let seen = ["packs", "index", "keyring"].contains(&kind.as_str());
            // Names of the rest are no hashes: only their seals, and so a key, bind them to their names.
            assert_eq!(
                found(&storage).0.contains(name),
                seen,
                "{name} by a neighbour"
            );
        }
        let stranger = theirs.iter().find(|it| folder(it) == kind).unwrap();
        storage.tamper(
            name,
            Some(other.storage.read(stranger, u64::MAX - 1).unwrap()),
        );
        let (damage, _) = found(&storage);
        // With a strange config it is all the others that do not fit.
        let expected = if kind == "config" { &ours[1] } else { name };
        assert!(
            damage.contains(expected),
            "{name} by another repository's: {damage:?}"
        );
        let another_kind = ours.iter().find(|it| folder(it) != kind).unwrap();
        storage.tamper(
            name,
            Some(lab.storage.read(another_kind, u64::MAX - 1).unwrap()),
        );
        assert_eq!(
            found(&storage).0,
            [name.as_str()],
            "{name} by {another_kind}"
        );
    }
}

#[test]
fn what_a_scrub_says_of_files_that_are_missing_foreign_or_newer() {
    let lab = lab_of_everything();
    for name in names(&lab.storage) {
        let storage = lab.storage.fork();
        storage.tamper(&name, None);
        // The newest ring names the slots in clear; what else there should be stands in sealed places.
        let seen = name == "config" || name.starts_with("keys/");
        let expected = if seen { vec![name.clone()] } else { vec![] };
        assert_eq!(found(&storage).0, expected, "{name} removed");
    }
    let storage = lab.storage.fork();
    for item in storage.list("keyring").unwrap() {
        storage.tamper(&item.name, None);
    }
    assert_eq!(found(&storage).0, ["keyring"]);

    let storage = lab.storage.fork();
    let foreign = ["keys/readme", "packs/ab/notes.txt", "snapshots/desktop.ini"];
    for name in foreign {
        storage.tamper(name, Some(b"not ours".to_vec()));
    }
    assert_eq!(
        found(&storage),
        (vec![], foreign.map(String::from).to_vec())
    );

    // Of a version to come: as it was stored, and that is all that can be said.
    let newer = storage.list("annotations").unwrap()[0].name.clone();
    let storage = lab.storage.fork();
    let mut file = storage.read(&newer, 1 << 20).unwrap();
    file.truncate(file.len() - 32);
    file[8] = 2;
    storage.tamper(&newer, Some(duramen::format::file::finish(file)));
    assert_eq!(found(&storage), (vec![], vec![newer]));

    assert_eq!(
        scrub(&MemoryStorage::new(), 2, &Silent).unwrap_err().kind(),
        Kind::NoRepository
    );
}

#[test]
fn a_removed_slots_file_is_no_damage() {
    let lab = lab_of_everything();
    let (slot, _) = key::export(&lab.open()).unwrap();
    let name = format!("keys/{}", slot.id.hex());
    let file = lab.storage.read(&name, 4096).unwrap();
    key::remove(&lab.open(), &slot.id.hex(), false).unwrap();
    lab.storage.put_new(&name, &file).unwrap();
    assert_eq!(found(&lab.storage), (vec![], vec![name]));
}

fn run(repository: &Repository, snapshots: &[&str], read: ReadData) -> CheckSummary {
    let options = CheckOptions {
        snapshots: snapshots.iter().map(ToString::to_string).collect(),
        read,
        ..CheckOptions::default()
    };
    check::run(repository, &options, &Silent).unwrap()
}

/// Two snapshots that share nothing, and for each a pack of data that it alone needs.
fn lab_of_strangers() -> (Lab, [(String, String); 2]) {
    let lab = Lab::new();
    let repository = lab.open();
    let packs = || -> Vec<String> {
        lab.storage
            .list("packs")
            .unwrap()
            .into_iter()
            .map(|item| item.name)
            .collect()
    };
    let strangers = ["left", "right"].map(|name| {
        let folder = lab.folder.path().join(name);
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join(name), super::lab::noise(name, 300_000)).unwrap();
        let before = packs();
        let done = duramen::ops::snapshot::run(&repository, &options(&folder), &Silent).unwrap();
        let new = packs().into_iter().filter(|pack| !before.contains(pack));
        let largest = new.max_by_key(|pack| lab.storage.size(pack).unwrap());
        (done.id.unwrap().hex(), largest.unwrap())
    });
    (lab, strangers)
}

#[test]
fn checking_one_snapshot_looks_at_what_it_needs_and_nothing_else() {
    let (lab, [(left, pack), (right, _)]) = lab_of_strangers();
    let whole = run(&lab.open(), &[], ReadData::All);
    let one = run(&lab.open(), &[&left], ReadData::All);
    assert_eq!(
        (whole.snapshots, one.snapshots, one.damage_count),
        (2, 1, 0)
    );
    assert!(
        0 < one.packs_read && one.packs_read < whole.packs_read,
        "{one:?}"
    );
    assert_eq!(
        run(&lab.open(), &[&left, &right], ReadData::All).packs_read,
        whole.packs_read
    );
    let bytes = lab.storage.read(&pack, u64::MAX - 1).unwrap();
    for harm in [
        Some(flipped(&bytes, bytes.len() / 3)),
        Some(bytes[..100].to_vec()),
        None,
    ] {
        lab.storage.tamper(&pack, harm);
        let repository = lab.open();
        let found = run(&repository, &[&left], ReadData::All);
        assert!(
            found.findings.iter().any(|it| it.subject == pack),
            "{:?}",
            found.findings
        );
        let path = format!("{}:", &left[..8]);
        assert!(
            found
                .findings
                .iter()
                .any(|it| it.subject.starts_with(&path)),
            "by its path"
        );
        assert_eq!(run(&repository, &[&right], ReadData::All).finding_count, 0);
        assert!(run(&repository, &[], ReadData::All).damage_count > 0);
    }
    let missing = CheckOptions {
        snapshots: vec!["abcdef".into()],
        ..CheckOptions::default()
    };
    let error = check::run(&lab.open(), &missing, &Silent).unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound);
}

#[test]
fn of_all_parts_exactly_one_finds_what_reading_everything_finds() {
    let (lab, [(_, pack), _]) = lab_of_strangers();
    let bytes = lab.storage.read(&pack, u64::MAX - 1).unwrap();
    lab.storage
        .tamper(&pack, Some(flipped(&bytes, bytes.len() / 3)));
    let repository = lab.open();
    for of in [1, 2, 3, 5] {
        let parts: Vec<CheckSummary> = (1..=of)
            .map(|part| run(&repository, &[], ReadData::Part { part, of }))
            .collect();
        assert_eq!(
            parts.iter().filter(|it| it.damage_count > 0).count(),
            1,
            "{of} parts"
        );
        let read: u64 = parts.iter().map(|it| it.packs_read).sum();
        assert_eq!(read, run(&repository, &[], ReadData::All).packs_read);
    }
    let all = run(&repository, &[], ReadData::Percent(100.0));
    assert!(all.damage_count > 0 && all.seed.is_some());
    assert_eq!(run(&repository, &[], ReadData::Bytes(1)).packs_read, 1);
    assert_eq!(run(&repository, &[], ReadData::None).packs_read, 0);
}

#[test]
fn a_verification_is_recorded_only_where_all_was_read_and_is_whole() {
    let (lab, [(left, pack), (right, _)]) = lab_of_strangers();
    let repository = lab.open();
    let record = |snapshots: Vec<String>, read| {
        let options = CheckOptions {
            snapshots,
            read,
            record: true,
            ..CheckOptions::default()
        };
        check::run(&repository, &options, &Silent)
    };
    let verified = |id: &str| {
        let id = SessionId::from_hex(id).unwrap();
        repository
            .facts(&id)
            .unwrap()
            .verified
            .map(|(_, whole)| whole)
    };
    assert_eq!(
        record(vec![], ReadData::Percent(50.0)).unwrap_err().kind(),
        Kind::Usage
    );
    assert_eq!(
        record(vec![left.clone()], ReadData::All).unwrap().recorded,
        1
    );
    assert_eq!((verified(&left), verified(&right)), (Some(true), None));
    lab.storage.tamper(&pack, None);
    assert_eq!(record(vec![], ReadData::All).unwrap().recorded, 0);
    assert_eq!(verified(&right), None);
}
