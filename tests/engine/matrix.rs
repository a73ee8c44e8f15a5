//! The damage matrix: every kind of stored file x every harm x what happens next (check, restore, snapshot, repair, and
//! the snapshot and the check after it). Nothing panics, no wrong byte ever appears under a file's own name, what the
//! damage did not touch stays, and after repair everything that is left is sound.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use duramen::error::{Error, Kind};
use duramen::format::frame::PackClass;
use duramen::format::records::SessionPurpose;
use duramen::format::snapshot::Snapshot;
use duramen::gc::{self, PruneOptions, Unused};
use duramen::id::{PackId, SnapshotId};
use duramen::ops::repair::{self, RepairOptions, RepairSummary};
use duramen::progress::Silent;
use duramen::repository::{Fact, Repository, Standing};
use duramen::storage::{MemoryStorage, Storage};

use super::lab::{Lab, check, restored};

type Harm = (&'static str, fn(&[u8], &[u8]) -> Option<Vec<u8>>);
type Files = BTreeMap<String, Vec<u8>>;

pub const HARMS: [Harm; 9] = [
    ("first bit flipped", |bytes, _| Some(flipped(bytes, 0))),
    ("bit in the header flipped", |bytes, _| {
        Some(flipped(bytes, 40.min(bytes.len() - 1)))
    }),
    ("bit in the middle flipped", |bytes, _| {
        Some(flipped(bytes, bytes.len() / 2))
    }),
    ("last bit flipped", |bytes, _| {
        Some(flipped(bytes, bytes.len() - 1))
    }),
    ("cut in half", |bytes, _| {
        Some(bytes[..bytes.len() / 2].to_vec())
    }),
    ("emptied", |_, _| Some(Vec::new())),
    ("garbage appended", |bytes, _| {
        Some([bytes, b"garbage"].concat())
    }),
    ("another file of its kind in its place", |_, other| {
        Some(other.to_vec())
    }),
    ("removed", |_, _| None),
];

pub fn flipped(bytes: &[u8], at: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[at] ^= 1;
    bytes
}

pub const MENDING: RepairOptions = RepairOptions {
    read_data: true,
    dry_run: false,
    keep: false,
    forget_unreadable: true,
    force: false,
};

pub fn repaired(repository: &Repository, options: &RepairOptions) -> RepairSummary {
    repair::run(repository, options, &Silent).unwrap()
}

/// Every file in the storage.
pub fn all_files(storage: &MemoryStorage) -> Vec<String> {
    let mut names = vec!["config".to_owned()];
    for folder in [
        "keys",
        "keyring",
        "packs",
        "index",
        "snapshots",
        "annotations",
        "sessions",
        "tombstones",
    ] {
        let items = storage.list(folder).unwrap();
        assert!(!items.is_empty(), "nothing of kind {folder}");
        names.extend(items.into_iter().map(|item| item.name));
    }
    names
}

/// Everything in the storage, byte for byte.
pub fn contents(storage: &MemoryStorage) -> Files {
    let mut all = Files::new();
    for folder in [
        "keys",
        "keyring",
        "packs",
        "index",
        "snapshots",
        "annotations",
        "sessions",
        "tombstones",
    ] {
        for item in storage.list(folder).unwrap() {
            let bytes = storage.read(&item.name, u64::MAX - 1).unwrap();
            all.insert(item.name, bytes);
        }
    }
    all
}

/// A repository that has one of everything, and what its two snapshots hold.
struct Whole {
    lab: Lab,
    storage: MemoryStorage,
    content: BTreeMap<SnapshotId, Files>,
    newest: SnapshotId,
}

fn whole() -> Whole {
    let lab = Lab::new();
    let repository = lab.open_later(&lab.storage).unwrap();
    let mut content = BTreeMap::new();
    lab.write_tree(1);
    let first = lab.snapshot(&repository).unwrap().id.unwrap();
    content.insert(first, lab.on_disk());
    lab.write_tree(2);
    let newest = lab.snapshot(&repository).unwrap().id.unwrap();
    content.insert(newest, lab.on_disk());
    repository
        .annotate(&first, Fact::TagAdded("tag".into()))
        .unwrap();
    repository.hold(&first, "for a while").unwrap();
    repository.release(&first).unwrap();
    repository.forget(&newest).unwrap();
    repository.undo_forget(&newest).unwrap();
    // A pruner that was killed, and a tombstone of packs that went long ago.
    let session = repository.begin(SessionPurpose::Write).unwrap();
    repository
        .put_tombstones(&session, &[PackId([7; 32])])
        .unwrap();
    let storage = lab.storage.clone();
    Whole {
        lab,
        storage,
        content,
        newest,
    }
}

/// A prune that waits for nothing but sessions, and leaves no packs that are partly needed alone.
fn at_once() -> PruneOptions {
    PruneOptions {
        grace: Duration::ZERO,
        session_expiry: Duration::ZERO,
        max_unused: Unused::Bytes(0),
        ..PruneOptions::default()
    }
}

/// Damage that nobody can notice who does not remember what there was.
fn is_silent(kind: &str, harm: &str) -> bool {
    harm == "removed" && ["snapshots", "annotations", "sessions", "tombstones"].contains(&kind)
}

fn fits(error: &Error) -> bool {
    matches!(
        error.kind(),
        Kind::Damage | Kind::NotFound | Kind::Unsupported | Kind::Conflict
    )
}

/// Whatever comes back of a snapshot is right, and what does not is complained about. True where all of it came back.
fn comes_back(
    lab: &Lab,
    repository: &Repository,
    id: &SnapshotId,
    expected: &Files,
    place: &str,
) -> bool {
    match restored(lab, repository, &id.hex()) {
        Ok((files, complained)) => {
            for (file, content) in &files {
                assert!(
                    expected.get(file) == Some(content),
                    "{place}: {file} came back wrong"
                );
            }
            let all = files.len() == expected.len();
            assert!(complained || all, "{place}: files missing without a word");
            all && !complained
        }
        Err(error) => {
            assert!(fits(&error), "{place}: {:?} {error}", error.kind());
            false
        }
    }
}

fn living(repository: &Repository) -> Vec<Snapshot> {
    repository
        .standing(&mut |_, _| Ok(()))
        .unwrap()
        .into_iter()
        .filter(|(_, facts)| facts.standing == Standing::Living)
        .map(|(snapshot, _)| snapshot)
        .collect()
}

/// After repair: everything living comes back without a complaint, and what is missing in it is named by path.
fn all_sound(lab: &Lab, repository: &Repository, whole: &Whole, place: &str) {
    let report = check(repository).unwrap();
    assert_eq!(report.damage_count, 0, "{place}: {:?}", report.findings);
    let mut there = BTreeSet::new();
    for snapshot in living(repository) {
        let from = snapshot.original().unwrap_or(snapshot.id);
        there.insert(from);
        let Some(expected) = whole.content.get(&from) else {
            continue;
        };
        let (files, complained) = match restored(lab, repository, &snapshot.id.hex()) {
            // Nothing is left of the folder that was asked for.
            Err(error) if error.kind() == Kind::NotFound => (Files::new(), false),
            back => back.unwrap(),
        };
        assert!(!complained, "{place}: a repaired snapshot is not whole");
        for (file, content) in &files {
            assert!(
                expected.get(file) == Some(content),
                "{place}: {file} came back wrong"
            );
        }
        for file in expected.keys().filter(|file| !files.contains_key(*file)) {
            let named = snapshot.problems.iter().any(|problem| {
                let path = String::from_utf8_lossy(&problem.path.0).into_owned();
                let path = path.trim_end_matches('/');
                let lost = format!("{}/{file}", lab.tree().display());
                lost == path || lost.starts_with(&format!("{path}/"))
            });
            assert!(named, "{place}: {file} is missing and not named");
        }
    }
    if !place.starts_with("snapshots/") && !place.ends_with("removed") {
        let all = whole.content.keys().all(|id| there.contains(id));
        assert!(all, "{place}: a snapshot is not living any more");
    }
}

#[test]
fn every_damage_is_noticed_contained_and_mended() {
    let whole = whole();
    let names = all_files(&whole.storage);
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(name) = names.get(next.fetch_add(1, Ordering::SeqCst)) {
                    one_file(&whole, &names, name);
                }
            });
        }
    });
}

fn one_file(whole: &Whole, names: &[String], name: &str) {
    let lab = &whole.lab;
    let bytes = whole.storage.read(name, u64::MAX - 1).unwrap();
    let kind = name.split('/').next().unwrap();
    let other = names
        .iter()
        .find(|other| *other != name && other.split('/').next().unwrap() == kind);
    let other = other.map_or_else(
        || bytes.iter().rev().copied().collect(),
        |other| whole.storage.read(other, u64::MAX - 1).unwrap(),
    );
    for (harm, how) in HARMS {
        let place = format!("{name}: {harm}");
        let storage = whole.storage.fork();
        storage.tamper(name, how(&bytes, &other));
        let open = |storage: &MemoryStorage| lab.open_later(storage);
        let repository = match open(&storage) {
            Ok(repository) => repository,
            Err(error) => {
                let key = matches!(kind, "config" | "keys" | "keyring");
                assert!(key, "{place}: {error}");
                let fits = matches!(
                    error.kind(),
                    Kind::Damage | Kind::NoRepository | Kind::Unsupported
                );
                assert!(fits, "{place}: {:?} {error}", error.kind());
                continue;
            }
        };
        // Check and restore.
        let report = check(&repository).unwrap();
        let silent = is_silent(kind, harm);
        assert_eq!(
            report.damage_count == 0,
            silent,
            "{place}: {:?}",
            report.findings
        );
        for (id, expected) in &whole.content {
            comes_back(lab, &repository, id, expected, &place);
        }
        // A snapshot before anybody repaired anything: it never makes things worse, and where the loss shows in a
        // listing, it heals.
        let beside = storage.fork();
        let repository = open(&beside).unwrap();
        match lab.snapshot(&repository) {
            Ok(summary) => {
                let repository = open(&beside).unwrap();
                let expected = &whole.content[&whole.newest];
                let id = summary.id.unwrap();
                let all = comes_back(lab, &repository, &id, expected, &place);
                let shows = kind != "packs" || harm == "removed";
                assert!(all || !shows, "{place}: the next snapshot is not whole");
            }
            Err(error) => assert!(fits(&error), "{place}: {:?} {error}", error.kind()),
        }
        // A prune before anybody repaired anything deletes nothing that is needed, and says why.
        let beside = storage.fork();
        let repository = open(&beside).unwrap();
        match gc::prune(&repository, &at_once(), &Silent) {
            Ok(_) => {}
            Err(error) => assert!(fits(&error), "{place}: {:?} {error}", error.kind()),
        }
        let mended = repaired(&open(&beside).unwrap(), &MENDING).report;
        assert!(
            kind == "packs" || mended.replaced.is_empty(),
            "{place}: a prune made it worse: {mended:?}"
        );
        all_sound(lab, &open(&beside).unwrap(), whole, &place);
        // A dry run changes nothing.
        let repository = open(&storage).unwrap();
        let before = contents(&storage);
        let dry = RepairOptions {
            dry_run: true,
            ..MENDING
        };
        let rehearsed = repaired(&repository, &dry).report;
        assert!(before == contents(&storage), "{place}: a dry run wrote");
        // Repair.
        let repository = open(&storage).unwrap();
        let mended = repaired(&repository, &MENDING).report;
        assert_eq!(mended.left.count, 0, "{place}: {:?}", mended.left.kept);
        assert_eq!(
            mended.mended.count == 0 && mended.replaced.is_empty(),
            silent,
            "{place}: {mended:?}"
        );
        assert_eq!(
            (rehearsed.mended.count, rehearsed.replaced.len()),
            (mended.mended.count, mended.replaced.len()),
            "{place}: {:?} {:?}",
            rehearsed.mended.kept,
            mended.mended.kept
        );
        assert_eq!(
            (rehearsed.chunks_saved, rehearsed.chunks_lost),
            (mended.chunks_saved, mended.chunks_lost),
            "{place}"
        );
        let repository = open(&storage).unwrap();
        all_sound(lab, &repository, whole, &place);
        if kind != "packs" {
            assert!(mended.replaced.is_empty(), "{place}: {mended:?}");
        }
        // Once is enough.
        let again = repaired(&repository, &MENDING).report;
        assert_eq!(
            (again.mended.count, again.left.count, again.replaced.len()),
            (0, 0, 0),
            "{place}: {again:?}"
        );
        // The next snapshot of the intact sources is whole, and what it stored again makes old snapshots whole where
        // the content is the same.
        let repository = open(&storage).unwrap();
        let next = lab.snapshot(&repository).unwrap().id.unwrap();
        let repository = open(&storage).unwrap();
        let expected = &whole.content[&whole.newest];
        assert!(
            comes_back(lab, &repository, &next, expected, &place),
            "{place}: the next snapshot is not whole"
        );
        all_sound(lab, &repository, whole, &place);
        // Pages hold the times of folders above the tree that nobody can bring back (`/tmp` itself); a pack's eleventh
        // byte is its class.
        let pages = kind == "packs" && bytes[10] == PackClass::Metadata as u8;
        if kind != "snapshots" && !pages {
            assert!(
                comes_back(lab, &repository, &whole.newest, expected, &place),
                "{place}: what was stored again is not found by the old snapshot"
            );
        }
        // The sweep takes what is damaged away, and nothing else; twice, for the one that ends what was forgotten.
        for _ in 0..2 {
            gc::prune(&repository, &at_once(), &Silent).unwrap();
        }
        let repository = open(&storage).unwrap();
        assert!(repository.tombstones().unwrap().is_empty(), "{place}");
        all_sound(lab, &repository, whole, &place);
        assert!(
            comes_back(lab, &repository, &next, expected, &place),
            "{place}: a prune took something"
        );
        let last = repaired(&repository, &MENDING).report;
        assert_eq!(
            (last.mended.count, last.left.count, last.replaced.len()),
            (0, 0, 0),
            "{place}: {last:?}"
        );
    }
}
