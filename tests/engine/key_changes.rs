//! Keys that change: killed at any write one of old and new opens, a new sealing key shuts nobody out who may come in,
//! and words on paper lead back.

use std::sync::Arc;

use duramen::error::Kind;
use duramen::format::file::{FileType, RecordHeader};
use duramen::ops::key;
use duramen::repository::{
    Credential, Repository, from_recovery_words, new_key_file, snapshot_name,
};
use duramen::storage::{Fault, FaultStorage, Storage};

use super::lab::{Lab, check, environment, restored};

fn key_file() -> Credential {
    Credential::KeyFile(new_key_file().unwrap())
}

fn open(storage: Arc<dyn Storage>, credential: &Credential) -> duramen::error::Result<Repository> {
    Repository::open(storage, std::slice::from_ref(credential), environment(None))
}

fn slots(lab: &Lab) -> usize {
    key::list(&lab.open(), false).unwrap().len()
}

#[test]
fn death_at_any_write_of_a_change_leaves_a_key_that_opens() {
    let mut lab = Lab::new();
    lab.write_tree(1);
    lab.snapshot(&lab.open()).unwrap();
    let expected = lab.on_disk();
    let (second, new) = (key_file(), key_file());
    let second_slot = key::add(&lab.open(), &second, "second").unwrap().id.hex();
    let before = lab.storage.fork();
    type Change<'c> = Box<dyn Fn(&Repository) -> duramen::error::Result<()> + 'c>;
    let changes: [(&str, Change<'_>); 5] = [
        ("add", Box::new(|it| key::add(it, &new, "new").map(drop))),
        (
            "remove",
            Box::new(|it| key::remove(it, &second_slot, false).map(drop)),
        ),
        ("passwd", Box::new(|it| key::passwd(it, &new).map(drop))),
        ("rotate", Box::new(|it| key::rotate(it).map(drop))),
        ("export", Box::new(|it| key::export(it).map(drop))),
    ];
    for (name, change) in &changes {
        for fault in [Fault::DeadBefore, Fault::DeadAfter, Fault::Full] {
            let mut calls = 0;
            loop {
                lab.storage = before.fork();
                let faulty = Arc::new(FaultStorage::new(lab.storage.clone(), calls, fault));
                let place = format!("{name}: {fault:?} at write {calls}");
                let changed = change(&lab.open_on(faulty.clone()).unwrap());
                let opens =
                    |credential: &Credential| open(Arc::new(lab.storage.clone()), credential);
                let (old, new) = (opens(&lab.credential), opens(&new));
                if changed.is_ok() {
                    assert_eq!(old.is_ok(), *name != "passwd", "{place}");
                    assert_eq!(new.is_ok(), ["add", "passwd"].contains(name), "{place}");
                    assert_eq!(opens(&second).is_ok(), *name != "remove", "{place}");
                } else {
                    assert!(faulty.struck(), "{place}");
                    assert!(*name == "remove" || opens(&second).is_ok(), "{place}");
                }
                let repository = old.or(new).expect(&place);
                assert_eq!(check(&repository).unwrap().damage_count, 0, "{place}");
                let back = restored(&lab, &repository, "latest").unwrap();
                assert_eq!(back, (expected.clone(), false), "{place}");
                // And the keys can still be changed.
                key::rotate(&repository).unwrap();
                if !faulty.struck() {
                    break;
                }
                calls += 1;
            }
            assert!(calls > 0, "{name}: {fault:?} struck nowhere");
            println!("{name}: {fault:?} at {calls} writes");
        }
    }
}

#[test]
fn a_new_sealing_key_is_everybodys_and_stores_nothing_twice() {
    let lab = Lab::new();
    lab.write_tree(1);
    let (second, early) = (key_file(), lab.open());
    key::add(&early, &second, "").unwrap();
    let first = lab.snapshot(&early).unwrap().id.unwrap();
    assert_eq!(key::rotate(&lab.open()).unwrap(), 2);
    let epoch = |id: &duramen::id::SnapshotId| {
        let file = lab.storage.read(&snapshot_name(id), 1 << 20).unwrap();
        RecordHeader::split(FileType::Snapshot, &file, 1 << 20)
            .unwrap()
            .1
            .epoch
    };
    let mut forced = super::lab::options(&lab.tree());
    forced.force = true;
    let late = open(Arc::new(lab.storage.clone()), &second).unwrap();
    let done = duramen::ops::snapshot::run(&late, &forced, &duramen::progress::Silent).unwrap();
    assert_eq!(
        done.counters.data_chunks, 0,
        "stored again under the new key"
    );
    lab.write_tree(2);
    let third = lab.snapshot(&late).unwrap().id.unwrap();
    assert_eq!((epoch(&first), epoch(&third)), (1, 2));
    // Who began before the rotation reads what came after it, and its own work is read by all.
    assert_eq!(
        restored(&lab, &early, "latest").unwrap(),
        (lab.on_disk(), false)
    );
    assert_eq!(check(&early).unwrap().finding_count, 0);
    lab.write_tree(3);
    let fourth = lab.snapshot(&early).unwrap().id.unwrap();
    assert_eq!(epoch(&fourth), 1);
    for repository in [&late, &lab.open()] {
        assert_eq!(
            restored(&lab, repository, "latest").unwrap(),
            (lab.on_disk(), false)
        );
        assert_eq!(check(repository).unwrap().finding_count, 0);
    }
}

#[test]
fn rotations_at_once_all_hold() {
    let lab = Lab::new();
    std::thread::scope(|scope| {
        for _ in 0..6 {
            let repository = lab.open();
            scope.spawn(move || key::rotate(&repository).unwrap());
        }
    });
    assert_eq!(key::rotate(&lab.open()).unwrap(), 8);
    let rings = lab.storage.list("keyring").unwrap().len();
    assert_eq!(rings, 8, "a generation was lost");
}

#[test]
fn who_was_removed_learns_so_from_what_was_sealed_after() {
    let lab = Lab::new();
    lab.write_tree(1);
    let second = key_file();
    let added = key::add(&lab.open(), &second, "").unwrap();
    let theirs = open(Arc::new(lab.storage.clone()), &second).unwrap();
    key::remove(&lab.open(), &added.id.hex(), false).unwrap();
    lab.snapshot(&lab.open()).unwrap();
    assert_eq!(theirs.snapshots().unwrap_err().kind(), Kind::WrongKey);
}

#[test]
fn an_epoch_that_no_ring_has_is_damage() {
    let lab = Lab::new();
    lab.write_tree(1);
    let id = lab.snapshot(&lab.open()).unwrap().id.unwrap();
    let name = snapshot_name(&id);
    let mut file = lab.storage.read(&name, 1 << 20).unwrap();
    file.truncate(file.len() - 32);
    file[48..52].copy_from_slice(&99u32.to_le_bytes());
    lab.storage
        .tamper(&name, Some(duramen::format::file::finish(file)));
    assert_eq!(lab.open().snapshots().unwrap_err().kind(), Kind::Damage);
}

#[test]
fn words_lead_back_until_their_slot_is_removed() {
    let (lab, other) = (Lab::new(), Lab::new());
    lab.write_tree(1);
    lab.snapshot(&lab.open()).unwrap();
    let (slot, words) = key::export(&lab.open()).unwrap();
    assert_eq!(
        (slot.kind, slot.label.as_str()),
        ("key-file", key::RECOVERY_LABEL)
    );
    let (_, others) = key::export(&other.open()).unwrap();
    let credential =
        |words: &str| Credential::KeyFile(from_recovery_words(words.as_bytes()).unwrap());
    let by_words = open(Arc::new(lab.storage.clone()), &credential(&words)).unwrap();
    assert_eq!(
        restored(&lab, &by_words, "latest").unwrap(),
        (lab.on_disk(), false)
    );
    let wrong = open(Arc::new(lab.storage.clone()), &credential(&others))
        .err()
        .unwrap();
    assert_eq!(wrong.kind(), Kind::WrongKey);
    // Each export makes words of its own.
    let (_, again) = key::export(&lab.open()).unwrap();
    assert_ne!(words, again);
    assert_eq!(slots(&lab), 3);
    key::remove(&lab.open(), &slot.id.hex(), false).unwrap();
    let removed = open(Arc::new(lab.storage.clone()), &credential(&words))
        .err()
        .unwrap();
    assert_eq!(removed.kind(), Kind::WrongKey);
    open(Arc::new(lab.storage.clone()), &credential(&again)).unwrap();
}
