//! Prune, alone and dying at every write: what is needed stays whole, what is not is freed, and what a death left is
//! finished by the next.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use duramen::error::Kind;
use duramen::format::records::SessionPurpose;
use duramen::id::SnapshotId;
use duramen::ops::prune::{PruneOptions, PruneReport, Until, Unused, run};
use duramen::progress::Silent;
use duramen::repository::{ChunkKind, Standing};
use duramen::storage::{Fault, FaultStorage, Storage};

use super::lab::{Lab, check, noise, restored};

fn now() -> PruneOptions {
    PruneOptions {
        grace: Duration::ZERO,
        session_expiry: Duration::ZERO,
        max_unused: Unused::Bytes(0),
        ..PruneOptions::default()
    }
}

fn prune(lab: &Lab, options: &PruneOptions) -> PruneReport {
    run(&lab.open(), options, false, &Silent).unwrap()
}

fn bytes_in(lab: &Lab, folder: &str) -> u64 {
    let items = lab.storage.list(folder).unwrap();
    items.iter().map(|item| item.size).sum()
}

fn names(lab: &Lab, folder: &str) -> Vec<String> {
    let items = lab.storage.list(folder).unwrap();
    items.into_iter().map(|item| item.name).collect()
}

type Tree = BTreeMap<String, Vec<u8>>;

/// A repository of three snapshots of a changing tree, and what each holds.
fn three() -> (Lab, Vec<(SnapshotId, Tree)>) {
    let lab = Lab::new();
    let mut taken = Vec::new();
    for version in 1..=3 {
        lab.write_tree(version);
        std::fs::write(
            lab.tree().join("only"),
            noise(&format!("only {version}"), 1_500_000),
        )
        .unwrap();
        let id = lab.snapshot(&lab.open()).unwrap().id.unwrap();
        taken.push((id, lab.on_disk()));
    }
    (lab, taken)
}

fn whole(lab: &Lab, taken: &[(SnapshotId, Tree)], place: &str) {
    let repository = lab.open();
    let summary = check(&repository).unwrap();
    assert_eq!(summary.damage_count, 0, "{place}: {:?}", summary.findings);
    for (id, tree) in taken {
        assert_eq!(
            restored(lab, &repository, &id.hex()).unwrap(),
            (tree.clone(), false),
            "{place}"
        );
    }
}

fn nothing_left_over(lab: &Lab, place: &str) {
    for folder in ["sessions", "tombstones"] {
        assert_eq!(names(lab, folder), [""; 0], "{place}");
    }
    let summary = check(&lab.open()).unwrap();
    assert_eq!(summary.finding_count, 0, "{place}: {:?}", summary.findings);
}

#[test]
fn what_was_forgotten_is_freed_and_the_rest_stays_whole() {
    let (lab, taken) = three();
    let before = bytes_in(&lab, "packs");
    let repository = lab.open();
    for (id, _) in &taken[..2] {
        repository.forget(id).unwrap();
    }
    let report = prune(&lab, &now());
    assert_eq!(report.snapshots_gone, 2);
    assert!(
        report.deleted_packs > 0 && report.deleted > 2_000_000,
        "{report:?}"
    );
    assert_eq!(report.waits, [], "{report:?}");
    let after = bytes_in(&lab, "packs");
    assert!(after + 2_000_000 < before, "{before} became {after}");
    whole(&lab, &taken[2..], "after");
    nothing_left_over(&lab, "after");
    // Of each that has gone the word that it has is left, and the record is not.
    assert_eq!(names(&lab, "snapshots").len(), 1);
    assert_eq!(names(&lab, "annotations").len(), 2);
    for (id, _) in &taken[..2] {
        assert_eq!(repository.facts(id).unwrap().standing, Standing::Gone);
        assert_eq!(
            repository.undo_forget(id).unwrap_err().kind(),
            Kind::NotFound
        );
    }
    // Nothing is left to do, and what is there is what a repository of this snapshot alone would hold, about.
    let again = prune(&lab, &now());
    assert_eq!(
        (again.marked_packs, again.deleted_packs),
        (0, 0),
        "{again:?}"
    );
    let next = lab.snapshot(&lab.open()).unwrap();
    assert_eq!(next.counters.data_chunks, 0, "what stayed is found again");
}

#[test]
fn a_grace_keeps_everything_and_says_for_what_it_waits() {
    let (lab, taken) = three();
    lab.open().forget(&taken[0].0).unwrap();
    let report = prune(&lab, &PruneOptions::default());
    assert_eq!((report.snapshots_gone, report.deleted_packs), (0, 0));
    assert!(
        matches!(report.waits[..], [ref wait] if matches!(wait.until, Until::Time(_))),
        "{report:?}"
    );
    assert!(lab.open().undo_forget(&taken[0].0).unwrap());
    prune(&lab, &now());
    whole(&lab, &taken, "after undo");
}

#[test]
fn a_writer_at_work_is_waited_for_by_name() {
    let (lab, taken) = three();
    let writer = lab.open();
    let session = writer.begin(SessionPurpose::Write).unwrap();
    lab.open().forget(&taken[0].0).unwrap();
    let patient = PruneOptions {
        session_expiry: Duration::from_secs(3600),
        ..now()
    };
    let report = prune(&lab, &patient);
    assert_eq!((report.snapshots_gone, report.deleted_packs), (0, 0));
    let waits = |report: &PruneReport| {
        report
            .waits
            .iter()
            .any(|wait| matches!(&wait.until, Until::Session { id, .. } if *id == session.id))
    };
    assert!(waits(&report), "{report:?}");
    session.end(&writer);
    let report = prune(&lab, &patient);
    assert!(
        report.snapshots_gone == 1 && report.deleted_packs > 0,
        "{report:?}"
    );
    whole(&lab, &taken[1..], "after");
    nothing_left_over(&lab, "after");
}

#[test]
fn a_held_snapshot_never_goes() {
    let (lab, taken) = three();
    let repository = lab.open();
    repository.forget(&taken[0].0).unwrap();
    repository.hold(&taken[0].0, "audit").unwrap();
    prune(&lab, &now());
    whole(&lab, &taken, "held");
}

#[test]
fn purge_leaves_no_byte_of_what_was_forgotten() {
    let (lab, taken) = three();
    let repository = lab.open();
    let secret = noise("only 1", 1_500_000);
    // Cut as the snapshot cut it: its pieces' ids.
    let listed = repository
        .find(
            &repository.snapshot(&taken[0].0).unwrap(),
            lab.tree().join("only").as_os_str().as_encoded_bytes(),
        )
        .unwrap();
    let duramen::format::entry::Node::File { content, size } = listed.entry.node else {
        panic!()
    };
    assert_eq!(size, secret.len() as u64);
    let ids: Vec<_> = repository
        .pieces(&content)
        .map(|piece| match piece.unwrap() {
            duramen::format::entry::Piece::Data { id, .. } => id,
            duramen::format::entry::Piece::Hole { .. }
            | duramen::format::entry::Piece::Part { .. } => panic!(),
        })
        .collect();
    repository.forget(&taken[0].0).unwrap();
    prune(
        &lab,
        &PruneOptions {
            purge: true,
            max_unused: Unused::Any,
            ..now()
        },
    );
    let repository = lab.open();
    repository.index().refresh().unwrap();
    for id in ids {
        assert!(repository.index().locate_all(&id).unwrap().is_empty());
        assert!(repository.read_chunk(ChunkKind::Data, &id).is_err());
    }
    let report = prune(&lab, &now());
    assert_eq!(report.unused, 0, "{report:?}");
    whole(&lab, &taken[1..], "after");
}

#[test]
fn limits_are_kept() {
    let (lab, taken) = three();
    lab.open().forget(&taken[0].0).unwrap();
    let report = prune(
        &lab,
        &PruneOptions {
            max_repack: Some(0),
            ..now()
        },
    );
    assert_eq!(report.copied, 0, "{report:?}");
    let report = prune(
        &lab,
        &PruneOptions {
            max_unused: Unused::Any,
            ..now()
        },
    );
    assert_eq!(report.copied, 0, "{report:?}");
    assert!(report.stays_unused > 0, "{report:?}");
    let report = prune(&lab, &now());
    assert!(report.copied > 0, "{report:?}");
    whole(&lab, &taken[1..], "after");
}

#[test]
fn a_rehearsal_changes_nothing_and_says_what_would_be() {
    let (lab, taken) = three();
    for (id, _) in &taken[..2] {
        lab.open().forget(id).unwrap();
    }
    prune(
        &lab,
        &PruneOptions {
            max_unused: Unused::Any,
            max_repack: Some(0),
            ..now()
        },
    );
    let all = |lab: &Lab| {
        [
            "packs",
            "index",
            "snapshots",
            "annotations",
            "tombstones",
            "sessions",
        ]
        .map(|folder| names(lab, folder))
    };
    let before = all(&lab);
    let said = run(&lab.open(), &now(), true, &Silent).unwrap();
    assert_eq!(before, all(&lab));
    let done = prune(&lab, &now());
    assert_eq!(
        (said.marked_packs, said.unused),
        (done.marked_packs, done.unused)
    );
}

#[test]
fn what_is_not_certain_is_not_deleted() {
    let (mut lab, taken) = three();
    lab.open().forget(&taken[0].0).unwrap();
    let untouched = lab.storage.fork();
    for folder in ["packs", "index", "snapshots"] {
        lab.storage = untouched.fork();
        for name in names(&lab, folder) {
            lab.storage = untouched.fork();
            let forgotten = name.ends_with(&taken[0].0.hex());
            let bytes = lab.storage.read(&name, 1 << 26).unwrap();
            lab.storage
                .tamper(&name, Some(bytes[..bytes.len() / 2].to_vec()));
            let before = names(&lab, "packs");
            match run(&lab.open(), &now(), false, &Silent) {
                Err(error) => {
                    assert_eq!(error.kind(), Kind::Damage, "{name}: {error}");
                    assert_eq!(before, names(&lab, "packs"), "{name}");
                }
                Ok(report) => assert!(
                    report.unreadable > 0 || forgotten || report.deleted_packs > 0,
                    "{name}: {report:?}"
                ),
            }
            // Whatever it did, what could be restored before still can.
            lab.storage.tamper(&name, Some(bytes));
            if names(&lab, folder).contains(&name) {
                for (id, tree) in &taken[1..] {
                    assert_eq!(
                        restored(&lab, &lab.open(), &id.hex()).unwrap(),
                        (tree.clone(), false),
                        "{name}"
                    );
                }
            }
        }
    }
}

#[test]
fn death_at_any_write_of_a_prune_loses_nothing() {
    let (mut lab, taken) = three();
    for (id, _) in &taken[..2] {
        lab.open().forget(id).unwrap();
    }
    let before = lab.storage.fork();
    for fault in [Fault::DeadBefore, Fault::DeadAfter, Fault::Full] {
        let mut calls = 0;
        loop {
            lab.storage = before.fork();
            let faulty = Arc::new(FaultStorage::new(lab.storage.clone(), calls, fault));
            let place = format!("{fault:?} at write {calls}");
            let result = run(
                &lab.open_on(faulty.clone()).unwrap(),
                &now(),
                false,
                &Silent,
            );
            if faulty.struck()
                && fault == Fault::Full
                && let Err(error) = &result
            {
                assert_eq!(error.kind(), Kind::NoSpace, "{place}");
            }
            whole(&lab, &taken[2..], &place);
            // A snapshot in the state that the death left, and then the next prune.
            lab.snapshot(&lab.open()).unwrap();
            prune(&lab, &now());
            whole(&lab, &taken[2..], &format!("{place}, after the next"));
            prune(&lab, &now());
            nothing_left_over(&lab, &place);
            if !faulty.struck() {
                break;
            }
            calls += 1;
        }
        assert!(
            calls > 20,
            "only {calls} writes: the fault was never anywhere interesting"
        );
        println!("{fault:?}: {calls} writes");
    }
}

#[test]
fn many_small_packs_and_segments_become_few() {
    let lab = Lab::new();
    lab.write_tree(1);
    for round in 0..20 {
        std::fs::write(
            lab.tree().join("words"),
            format!("round {round} ").repeat(5_000),
        )
        .unwrap();
        lab.snapshot(&lab.open()).unwrap();
    }
    let (packs, segments) = (names(&lab, "packs").len(), names(&lab, "index").len());
    assert!(packs > 30 && segments >= 20, "{packs} {segments}");
    prune(&lab, &now());
    let (packs, segments) = (names(&lab, "packs").len(), names(&lab, "index").len());
    assert!(packs <= 4 && segments <= 4, "{packs} {segments}");
    assert_eq!(check(&lab.open()).unwrap().finding_count, 0);
    assert_eq!(lab.open().snapshots().unwrap().len(), 20);
}

#[test]
fn two_prunes_at_once_and_a_writer_lose_nothing() {
    let (lab, taken) = three();
    for (id, _) in &taken[..2] {
        lab.open().forget(id).unwrap();
    }
    let options = PruneOptions {
        session_expiry: Duration::from_secs(3600),
        ..now()
    };
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| run(&lab.open(), &options, false, &Silent).unwrap());
        }
        scope.spawn(|| lab.snapshot(&lab.open()).unwrap());
    });
    whole(&lab, &taken[2..], "after all");
    prune(&lab, &options);
    prune(&lab, &options);
    nothing_left_over(&lab, "after all");
}
