//! Death, and a full disk, at every single write of a snapshot: what was committed stays, what is there is whole, and
//! the next snapshot succeeds.

use std::sync::Arc;

use duramen::error::Kind;
use duramen::storage::{Fault, FaultStorage};

use super::lab::{Lab, check, restored};

#[test]
fn death_at_any_write_loses_nothing() {
    let mut lab = Lab::new();
    lab.write_tree(1);
    lab.snapshot(&lab.open()).unwrap();
    let first = lab.on_disk();
    lab.write_tree(2);
    let second = lab.on_disk();
    let before = lab.storage.fork();
    for fault in [Fault::DeadBefore, Fault::DeadAfter, Fault::Full] {
        let mut calls = 0;
        loop {
            lab.storage = before.fork();
            let faulty = Arc::new(FaultStorage::new(lab.storage.clone(), calls, fault));
            let place = format!("{fault:?} at write {calls}");
            let result = lab.snapshot(&lab.open_on(faulty.clone()).unwrap());
            let committed = lab.open().snapshots().unwrap().len();
            if let Ok(summary) = &result {
                assert!(
                    summary.id.is_some() && committed == 2,
                    "{place}: said to be done, but is not"
                );
            } else if fault == Fault::Full {
                assert_eq!(
                    result.as_ref().unwrap_err().kind(),
                    Kind::NoSpace,
                    "{place}"
                );
            }
            let repository = lab.open();
            assert_eq!(check(&repository).unwrap().damage_count, 0, "{place}");
            let expected = if committed == 2 { &second } else { &first };
            assert_eq!(
                restored(&lab, &repository, "latest").unwrap(),
                (expected.clone(), false),
                "{place}"
            );
            if committed == 2 {
                assert_eq!(
                    restored(&lab, &repository, "latest~1").unwrap(),
                    (first.clone(), false),
                    "{place}"
                );
            }
            lab.snapshot(&lab.open()).unwrap();
            let repository = lab.open();
            assert_eq!(
                check(&repository).unwrap().damage_count,
                0,
                "{place}, after the next"
            );
            assert_eq!(
                restored(&lab, &repository, "latest").unwrap(),
                (second.clone(), false),
                "{place}, after the next"
            );
            if !faulty.struck() {
                break;
            }
            calls += 1;
        }
        assert!(
            calls > 10,
            "only {calls} writes: the fault was never anywhere interesting"
        );
        println!("{fault:?}: {calls} writes");
    }
}

#[test]
fn what_was_stored_before_a_death_is_used_again() {
    let lab = Lab::new();
    lab.write_tree(1);
    let whole = {
        let storage = lab.storage.fork();
        let repository = lab.open_on(Arc::new(storage)).unwrap();
        lab.snapshot(&repository).unwrap().counters
    };
    // Die at the commit: everything but the snapshot record is there.
    let mut calls = 0;
    let reused = loop {
        let storage = lab.storage.fork();
        let faulty = Arc::new(FaultStorage::new(storage.clone(), calls, Fault::DeadBefore));
        let died = lab.snapshot(&lab.open_on(faulty.clone()).unwrap());
        let segments = duramen::storage::Storage::list(&storage, "index")
            .unwrap()
            .len();
        if died.is_err() && segments > 0 {
            break lab
                .snapshot(&lab.open_on(Arc::new(storage)).unwrap())
                .unwrap()
                .counters;
        }
        assert!(
            died.is_err(),
            "no death between the checkpoint and the commit"
        );
        calls += 1;
    };
    assert!(whole.data_chunks > 20);
    assert_eq!(reused.data_chunks, 0, "stored again: {reused:?}");
}

#[test]
fn an_expired_session_cannot_commit() {
    use duramen::format::snapshot::Fate;
    // Whoever expires a session puts a void under the name that the commit needs.
    let lab = Lab::new();
    lab.write_tree(1);
    let repository = lab.open();
    let session = repository
        .begin(duramen::format::records::SessionPurpose::Write)
        .unwrap();
    let name = duramen::repository::snapshot_name(&session.id);
    let void = duramen::format::codec::encode(&Fate::Void {
        session: session.id,
        at: 0,
    })
    .unwrap();
    let file = duramen::seal::seal_record(
        repository.keys(),
        duramen::format::file::FileType::Snapshot,
        &name,
        &void,
        4 << 20,
    )
    .unwrap();
    duramen::storage::Storage::put_new(&lab.storage, &name, &file).unwrap();
    let committed = lab.snapshot(&lab.open()).unwrap().id.unwrap();
    let mut snapshot = repository.snapshot(&committed).unwrap();
    snapshot.id = session.id;
    let error = repository
        .commit(&session, &snapshot, &std::collections::HashSet::new())
        .unwrap_err();
    assert_eq!(error.kind(), Kind::Conflict);
    assert_eq!(repository.snapshots().unwrap().len(), 1);
    assert_eq!(
        repository.snapshot(&session.id).unwrap_err().kind(),
        Kind::NotFound
    );
}

#[test]
fn a_pack_that_was_lost_is_stored_again() {
    use duramen::storage::Storage;
    let lab = Lab::new();
    lab.write_tree(1);
    lab.snapshot(&lab.open()).unwrap();
    for pack in lab.storage.list("packs").unwrap() {
        lab.storage.tamper(&pack.name, None);
    }
    let mut options = super::lab::options(&lab.tree());
    options.force = true;
    let repository = lab.open();
    duramen::ops::snapshot::run(&repository, &options, &duramen::progress::Silent).unwrap();
    assert_eq!(
        restored(&lab, &lab.open(), "latest").unwrap(),
        (lab.on_disk(), false)
    );
}
