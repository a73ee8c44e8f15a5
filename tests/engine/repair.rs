//! Repair: what it must do with particular damage, beside others at work, and through its own death at any write.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use duramen::error::Kind;
use duramen::format::records::SessionPurpose;
use duramen::gc;
use duramen::id::SnapshotId;
use duramen::ops::repair::{self, RepairOptions};
use duramen::progress::Silent;
use duramen::repository::{ChunkKind, ChunkWriter, Repository, Standing, WriterOptions};
use duramen::seal::Compression;
use duramen::storage::{Fault, FaultStorage, MemoryStorage, Storage};

use super::lab::{Lab, check, noise, restored};
use super::matrix::{MENDING, contents, flipped, repaired};

fn names(storage: &MemoryStorage, folder: &str) -> Vec<String> {
    let items = storage.list(folder).unwrap();
    items.into_iter().map(|item| item.name).collect()
}

fn read(storage: &MemoryStorage, name: &str) -> Vec<u8> {
    storage.read(name, u64::MAX - 1).unwrap()
}

fn largest_pack(storage: &MemoryStorage) -> String {
    let items = storage.list("packs").unwrap();
    let largest = items.into_iter().max_by_key(|item| item.size).unwrap();
    largest.name
}

fn standing(repository: &Repository, id: &SnapshotId) -> Standing {
    repository.facts(id).unwrap().standing
}

/// Whether all that lies on the disk comes back of a snapshot.
fn comes_back(lab: &Lab, id: &SnapshotId) -> bool {
    let (files, complained) = restored(lab, &lab.open(), &id.hex()).unwrap();
    files == lab.on_disk() && !complained
}

/// A repository with two snapshots.
fn two() -> (Lab, SnapshotId, SnapshotId) {
    two_of(Lab::new())
}

/// Two snapshots, of what stands in the lab already and what it writes.
fn two_of(lab: Lab) -> (Lab, SnapshotId, SnapshotId) {
    let repository = lab.open_later(&lab.storage).unwrap();
    lab.write_tree(1);
    let first = lab.snapshot(&repository).unwrap().id.unwrap();
    lab.write_tree(2);
    let second = lab.snapshot(&repository).unwrap().id.unwrap();
    (lab, first, second)
}

#[test]
fn an_index_that_is_gone_altogether_is_made_again_from_the_packs() {
    let (lab, first, second) = two();
    let expected = restored(&lab, &lab.open(), &first.hex()).unwrap();
    for name in names(&lab.storage, "index") {
        lab.storage.tamper(&name, None);
    }
    assert!(check(&lab.open()).unwrap().damage_count > 0);
    let report = repaired(&lab.open(), &RepairOptions::default()).report;
    assert_eq!(
        report.packs_named as usize,
        names(&lab.storage, "packs").len()
    );
    assert!(report.replaced.is_empty() && report.packs_dropped == 0);
    let repository = lab.open();
    assert_eq!(check(&repository).unwrap().finding_count, 0);
    assert!(restored(&lab, &repository, &first.hex()).unwrap() == expected);
    assert!(comes_back(&lab, &second));
}

#[test]
fn a_loss_that_shows_is_not_handed_down_from_parent_to_child() {
    let (lab, ..) = two();
    // Every file of the second snapshot is unchanged, and the pack that holds most of them is missing.
    lab.storage.tamper(&largest_pack(&lab.storage), None);
    let summary = lab
        .snapshot(&lab.open_later(&lab.storage).unwrap())
        .unwrap();
    assert!(summary.parent.is_some());
    assert!(summary.counters.files_unmodified > 0, "all was read again");
    assert!(comes_back(&lab, &summary.id.unwrap()));
}

#[test]
fn a_segment_that_lies_about_a_pack_is_put_right() {
    let lab = Lab::new();
    lab.write_tree(1);
    let only = lab.snapshot(&lab.open()).unwrap().id.unwrap();
    let repository = lab.open();
    for name in names(&lab.storage, "index") {
        let id = duramen::index::segment_of(&name).unwrap();
        let mut segment =
            duramen::index::read_segment(&lab.storage, repository.keys(), &id).unwrap();
        lab.storage.tamper(&name, None);
        let (left, right) = (segment.chunks[0], segment.chunks[1]);
        segment.chunks[0] = (
            right.0,
            duramen::format::frame::ChunkSpan {
                id: left.1.id,
                ..right.1
            },
        );
        segment.chunks[1] = (
            left.0,
            duramen::format::frame::ChunkSpan {
                id: right.1.id,
                ..left.1
            },
        );
        duramen::index::write_segment(&lab.storage, repository.keys(), segment).unwrap();
    }
    assert!(check(&lab.open()).unwrap().damage_count > 0);
    let report = repaired(&lab.open(), &MENDING).report;
    assert!(
        report.packs_dropped > 0 && report.chunks_lost == 0,
        "{report:?}"
    );
    assert!(report.replaced.is_empty());
    let repository = lab.open();
    assert_eq!(check(&repository).unwrap().damage_count, 0);
    assert!(comes_back(&lab, &only));
}

#[test]
fn one_flipped_bit_costs_one_frame_and_its_files_are_named() {
    // Enough for more than one frame.
    let lab = Lab::new();
    std::fs::create_dir_all(lab.tree()).unwrap();
    std::fs::write(lab.tree().join("larger"), noise("larger", 3 << 20)).unwrap();
    let (lab, first, second) = two_of(lab);
    let pack = largest_pack(&lab.storage);
    let bytes = read(&lab.storage, &pack);
    let middle = bytes.len() / 2;
    lab.storage.tamper(&pack, Some(flipped(&bytes, middle)));
    // What is not read is not found; nothing is done about it.
    let shallow = repaired(&lab.open(), &RepairOptions::default()).report;
    assert_eq!((shallow.mended.count, shallow.replaced.len()), (0, 0));
    let report = repaired(&lab.open(), &MENDING).report;
    assert!(
        report.chunks_saved > 0 && report.chunks_lost > 0,
        "{report:?}"
    );
    assert_eq!(report.replaced.len(), 2);
    let repository = lab.open();
    for replaced in &report.replaced {
        let id = replaced.replacement.unwrap();
        let (old, new) = (
            repository.snapshot(&replaced.original).unwrap(),
            repository.snapshot(&id).unwrap(),
        );
        assert_eq!(
            (new.time, &new.host, &new.paths, new.original()),
            (old.time, &old.host, &old.paths, Some(old.id))
        );
        assert_eq!(new.problem_count, replaced.lost_count);
        assert!(replaced.lost_count > 0 && replaced.lost.len() as u64 == replaced.lost_count);
        let (files, complained) = restored(&lab, &repository, &id.hex()).unwrap();
        assert!(!complained);
        // Every file is there or named, none both.
        assert_eq!(
            files.len() as u64 + replaced.lost_count,
            lab.on_disk().len() as u64,
            "{:?}",
            replaced.lost
        );
    }
    for id in [first, second] {
        assert_eq!(standing(&repository, &id), Standing::Forgotten);
        assert!(repository.facts(&id).unwrap().notes[0].1.contains("repair"));
    }
    // The next snapshot reads only what was lost, and what it stores makes the forgotten one whole again.
    let summary = lab
        .snapshot(&lab.open_later(&lab.storage).unwrap())
        .unwrap();
    assert_eq!(summary.counters.files_new, report.replaced[1].lost_count);
    assert!(summary.counters.files_unmodified > 0);
    let repository = lab.open();
    repository.undo_forget(&second).unwrap();
    assert_eq!(check(&repository).unwrap().damage_count, 0);
    assert!(comes_back(&lab, &second));
}

#[test]
fn holds_and_tags_move_to_the_snapshot_that_stands_in() {
    let (lab, first, second) = two();
    let repository = lab.open();
    repository.hold(&second, "audit").unwrap();
    repository
        .annotate(&second, duramen::repository::Fact::TagAdded("kept".into()))
        .unwrap();
    let pack = largest_pack(&lab.storage);
    lab.storage.tamper(&pack, None);
    let keep = RepairOptions {
        keep: true,
        ..MENDING
    };
    let report = repaired(&lab.open(), &keep).report;
    assert_eq!(report.replaced.len(), 2);
    let repository = lab.open();
    assert_eq!(standing(&repository, &first), Standing::Living);
    assert!(repository.facts(&second).unwrap().is_held());
    // Asked again without --keep, it only forgets.
    let snapshots = repository.snapshots().unwrap().len();
    let report = repaired(&lab.open(), &MENDING).report;
    assert_eq!(report.replaced.len(), 2);
    let repository = lab.open();
    assert_eq!(repository.snapshots().unwrap().len(), snapshots);
    for id in [first, second] {
        assert_eq!(standing(&repository, &id), Standing::Forgotten);
    }
    let new = report.replaced[1].replacement.unwrap();
    let facts = repository.facts(&new).unwrap();
    assert_eq!(facts.holds[0].1, "audit");
    assert_eq!(facts.tags(&repository.snapshot(&new).unwrap()), ["kept"]);
    assert_eq!(check(&repository).unwrap().damage_count, 0);
}

#[test]
fn a_disk_that_is_not_there_is_no_loss() {
    let (lab, first, _) = two();
    let packs: BTreeMap<String, Vec<u8>> = names(&lab.storage, "packs")
        .into_iter()
        .map(|name| (name.clone(), read(&lab.storage, &name)))
        .collect();
    for name in packs.keys() {
        lab.storage.tamper(name, None);
    }
    let before = contents(&lab.storage);
    let error = repair::run(&lab.open(), &MENDING, &Silent).unwrap_err();
    assert_eq!(error.kind(), Kind::Conflict);
    assert!(before == contents(&lab.storage));
    let force = RepairOptions {
        force: true,
        ..MENDING
    };
    repaired(&lab.open(), &force);
    assert_eq!(check(&lab.open()).unwrap().damage_count, 0);
    // Even then: whoever finds the disk again gets all of it back.
    for (name, bytes) in packs {
        lab.storage.tamper(&name, Some(bytes));
    }
    let repository = lab.open();
    repository.undo_forget(&first).unwrap();
    let (files, complained) = restored(&lab, &repository, &first.hex()).unwrap();
    assert!(!complained && files.len() == lab.on_disk().len());
}

#[test]
fn a_snapshot_that_cannot_be_read_is_left_until_somebody_gives_it_up() {
    let (lab, first, _) = two();
    let name = duramen::repository::snapshot_name(&first);
    let bytes = read(&lab.storage, &name);
    lab.storage.tamper(&name, Some(b"no snapshot".to_vec()));
    let timid = RepairOptions {
        forget_unreadable: false,
        ..MENDING
    };
    let report = repaired(&lab.open(), &timid).report;
    assert_eq!((report.mended.count, report.left.count), (0, 1));
    assert!(report.left.kept[0].what.contains("--forget-unreadable"));
    assert_eq!(check(&lab.open()).unwrap().damage_count, 1);
    let report = repaired(&lab.open(), &MENDING).report;
    assert_eq!((report.mended.count, report.left.count), (1, 0));
    assert_eq!(check(&lab.open()).unwrap().damage_count, 0);
    // It comes back from a copy.
    lab.storage.tamper(&name, Some(bytes));
    let repository = lab.open();
    assert!(repository.undo_forget(&first).unwrap());
    assert_eq!(repository.snapshots().unwrap().len(), 2);
    assert_eq!(check(&repository).unwrap().finding_count, 0);
}

#[test]
fn what_cannot_be_read_waits_while_a_prune_is_at_work() {
    let (lab, first, _) = two();
    let tombstone = "tombstones/fedcba9876543210fedcba9876543210".to_owned();
    let annotation = format!(
        "annotations/{}/fedcba9876543210fedcba9876543210",
        first.hex()
    );
    let repository = lab.open();
    let pruner = repository.begin(SessionPurpose::Prune).unwrap();
    lab.storage.tamper(&annotation, Some(b"no record".to_vec()));
    let report = repaired(&lab.open(), &MENDING).report;
    assert_eq!((report.mended.count, report.left.count), (0, 1));
    pruner.end(&repository);
    lab.storage.tamper(&tombstone, Some(b"no record".to_vec()));
    let report = repaired(&lab.open(), &MENDING).report;
    assert_eq!((report.mended.count, report.left.count), (2, 0));
    let facts = lab.open().facts(&first).unwrap();
    assert!(facts.is_held() && !facts.unclear && facts.standing == Standing::Living);
    lab.snapshot(&lab.open()).unwrap();
}

#[test]
fn a_writer_at_work_loses_nothing_to_a_repair_beside_it() {
    let lab = Lab::new();
    lab.write_tree(1);
    let only = lab.snapshot(&lab.open()).unwrap().id.unwrap();
    let pack = largest_pack(&lab.storage);
    // The writer has opened its session and found what it needs in a pack that then turns out to be damaged.
    let writing = lab.open();
    let session = writing.begin(SessionPurpose::Write).unwrap();
    let options = WriterOptions {
        compression: Compression::Default,
        dry_run: false,
    };
    let mut writer = ChunkWriter::new(&writing, &session, options).unwrap();
    let own = noise("of the writer", 50_000);
    let own_id = writing.chunk_id(ChunkKind::Data, &own);
    writer.put(ChunkKind::Data, own_id, &own).unwrap();
    let bytes = read(&lab.storage, &pack);
    let last = bytes.len() - 1;
    lab.storage.tamper(&pack, Some(flipped(&bytes, last)));
    let report = repaired(&lab.open(), &MENDING).report;
    // Only its hash was hurt: all of it is saved, and no snapshot needs another.
    assert!(report.chunks_saved > 0 && report.chunks_lost == 0);
    assert!(report.replaced.is_empty() && report.packs_dropped == 1);
    // The damaged pack still stands: it goes when this writer, which may rely on it, has ended.
    assert!(lab.storage.size(&pack).unwrap().is_some());
    writer.finish().unwrap();
    session.end(&writing);
    let repository = lab.open();
    assert!(repository.read_chunk(ChunkKind::Data, &own_id).is_ok());
    assert_eq!(check(&repository).unwrap().damage_count, 0);
    assert!(comes_back(&lab, &only));
}

#[test]
fn death_at_any_write_of_a_repair_loses_nothing_more() {
    let (mut lab, first, second) = two();
    let mut whole = BTreeMap::new();
    for id in [first, second] {
        whole.insert(id, restored(&lab, &lab.open(), &id.hex()).unwrap().0);
    }
    // A bit of a data pack, a segment, and an annotation at once.
    lab.open().forget(&first).unwrap();
    lab.open().undo_forget(&first).unwrap();
    let pack = largest_pack(&lab.storage);
    let bytes = read(&lab.storage, &pack);
    lab.storage
        .tamper(&pack, Some(flipped(&bytes, bytes.len() / 2)));
    let segment = names(&lab.storage, "index").remove(0);
    lab.storage.tamper(&segment, Some(Vec::new()));
    for name in names(&lab.storage, "annotations") {
        lab.storage.tamper(&name, Some(b"none".to_vec()));
    }
    let before = lab.storage.fork();
    let lost = {
        lab.storage = before.fork();
        let report = repaired(&lab.open(), &MENDING).report;
        let lost = report
            .replaced
            .iter()
            .map(|one| one.lost_count)
            .sum::<u64>();
        assert!(lost > 0);
        lost
    };
    for fault in [Fault::DeadBefore, Fault::DeadAfter, Fault::Full] {
        let mut calls = 0;
        loop {
            lab.storage = before.fork();
            let place = format!("{fault:?} at write {calls}");
            let faulty = Arc::new(FaultStorage::new(lab.storage.clone(), calls, fault));
            let died = repair::run(&lab.open_on(faulty.clone()).unwrap(), &MENDING, &Silent);
            assert!(died.is_ok() || faulty.struck(), "{place}: {died:?}");
            // Another run ends it; nothing that was whole is lost by any of this.
            let report = repaired(&lab.open(), &MENDING).report;
            assert_eq!(report.left.count, 0, "{place}: {:?}", report.left.kept);
            let repository = lab.open();
            let found = check(&repository).unwrap();
            assert_eq!(found.damage_count, 0, "{place}: {:?}", found.findings);
            let mut missing = 0;
            let mut stand_in = BTreeMap::new();
            for (snapshot, facts) in repository.standing(&mut |_, error| Err(error)).unwrap() {
                if facts.standing != Standing::Living {
                    continue;
                }
                let from = snapshot.original().unwrap_or(snapshot.id);
                let twice = stand_in.insert(from, snapshot.id);
                assert_eq!(twice, None, "{place}: replaced twice");
                let (files, complained) = restored(&lab, &repository, &snapshot.id.hex()).unwrap();
                assert!(!complained, "{place}");
                for (file, content) in &files {
                    assert!(whole[&from].get(file) == Some(content), "{place}: {file}");
                }
                missing += (whole[&from].len() - files.len()) as u64;
            }
            assert_eq!(stand_in.len(), 2, "{place}: a snapshot has gone");
            assert_eq!(missing, lost, "{place}");
            let next = lab.snapshot(&lab.open()).unwrap().id.unwrap();
            assert!(comes_back(&lab, &next), "{place}: the next is not whole");
            if !faulty.struck() {
                break;
            }
            calls += 1;
        }
        assert!(calls > 20, "only {calls} writes");
        println!("{fault:?}: {calls} writes");
    }
}

/// Flips a bit in the first frame of that kind that the newest segment names.
fn hurt(lab: &Lab, kind: ChunkKind) {
    for name in names(&lab.storage, "index") {
        let id = duramen::index::segment_of(&name).unwrap();
        let keys = lab.open();
        let segment = duramen::index::read_segment(&lab.storage, keys.keys(), &id).unwrap();
        let of_kind = |(_, frame): &&(u32, duramen::format::frame::FrameInfo)| frame.kind == kind;
        if let Some((pack, frame)) = segment.frames.iter().find(of_kind) {
            let pack = duramen::pack::pack_name(&segment.packs[*pack as usize].id);
            let bytes = read(&lab.storage, &pack);
            let at = (frame.offset + frame.stored / 2) as usize;
            lab.storage.tamper(&pack, Some(flipped(&bytes, at)));
            return;
        }
    }
    panic!("no frame of kind {kind:?}");
}

#[test]
fn each_kind_of_chunk_costs_what_hangs_on_it_and_no_more() {
    // A folder of so many names that its pages fill several frames, a file whose list is long, and an attribute.
    let mut lab = Lab::new();
    let many = lab.tree().join("many");
    std::fs::create_dir_all(&many).unwrap();
    for number in 0..12_000 {
        let file = many.join(format!("file{number:05}"));
        std::fs::write(file, noise(&number.to_string(), 250)).unwrap();
    }
    std::fs::write(lab.tree().join("long"), noise("long", 6 << 20)).unwrap();
    let small = lab.tree().join("small");
    std::fs::write(&small, b"small").unwrap();
    let value = noise("value", 1000);
    let flags = rustix::fs::XattrFlags::empty();
    rustix::fs::setxattr(&small, "user.large", &value, flags).unwrap();
    let repository = lab.open_later(&lab.storage).unwrap();
    let id = lab.snapshot(&repository).unwrap().id.unwrap();
    let all = lab.on_disk().len();
    let whole = lab.storage.clone();
    let of_files = |kind: &ChunkKind| !matches!(kind, ChunkKind::Run | ChunkKind::Catalogue);
    for kind in ChunkKind::ALL.into_iter().filter(of_files) {
        lab.storage = whole.fork();
        hurt(&lab, kind);
        let report = repaired(&lab.open(), &MENDING).report;
        assert!(report.chunks_lost > 0, "{kind:?}");
        let repository = lab.open();
        let found = check(&repository).unwrap();
        assert_eq!(found.damage_count, 0, "{kind:?}: {:?}", found.findings);
        let lost: Vec<(String, String)> = report
            .replaced
            .iter()
            .flat_map(|one| &one.lost)
            .map(|problem| {
                let path = String::from_utf8_lossy(&problem.path.0).into_owned();
                (
                    path.rsplit('/').next().unwrap().to_owned(),
                    problem.what.clone(),
                )
            })
            .collect();
        let now = report
            .replaced
            .first()
            .map_or(id, |one| one.replacement.unwrap());
        let left = restored(&lab, &repository, &now.hex()).unwrap().0.len();
        match kind {
            ChunkKind::Data | ChunkKind::List => {
                assert_eq!(lost, [("long".into(), "its content is lost".into())]);
                assert_eq!(left, all - 1);
            }
            ChunkKind::Tree => {
                assert_eq!(lost.len(), 1, "{lost:?}");
                let entries = all - left;
                assert!(
                    lost[0].1.starts_with(&format!("{entries} of its 12000")),
                    "{lost:?}"
                );
                assert!(left > 500 && entries > 500, "{left} of {all}");
            }
            ChunkKind::Hint => assert_eq!((lost.len(), left), (0, all)),
            ChunkKind::Xattr => {
                assert_eq!(
                    lost,
                    [("small".into(), "its attribute user.large is lost".into())]
                );
                assert_eq!(left, all);
            }
            ChunkKind::Run | ChunkKind::Catalogue => unreachable!("files have none"),
        }
        // The sources are intact: the next snapshot has all of it again, attributes included.
        let repository = lab.open_later(&lab.storage).unwrap();
        let next = lab.snapshot(&repository).unwrap();
        let snapshot = repository.snapshot(&next.id.unwrap()).unwrap();
        let path = small.as_os_str().as_encoded_bytes();
        let entry = repository.find(&snapshot, path).unwrap().entry;
        assert_eq!(entry.xattrs.len(), 1, "{kind:?}");
        assert!(comes_back(&lab, &snapshot.id), "{kind:?}");
        assert_eq!(check(&repository).unwrap().damage_count, 0, "{kind:?}");
    }
}

#[test]
fn what_was_saved_out_of_a_damaged_pack_is_saved_again_while_that_stands() {
    let (lab, first, second) = two();
    let expected = restored(&lab, &lab.open(), &first.hex()).unwrap();
    let before = names(&lab.storage, "packs");
    for name in &before {
        let harmed = [read(&lab.storage, name), b"garbage".to_vec()].concat();
        lab.storage.tamper(name, Some(harmed));
    }
    let report = repaired(&lab.open(), &MENDING).report;
    assert!(report.chunks_lost == 0 && report.replaced.is_empty());
    // No sweep has come yet, and now the packs go that everything was saved to.
    for name in names(&lab.storage, "packs") {
        if !before.contains(&name) {
            lab.storage.tamper(&name, None);
        }
    }
    let report = repaired(&lab.open(), &MENDING).report;
    assert!(
        report.chunks_lost == 0 && report.replaced.is_empty(),
        "{report:?}"
    );
    let repository = lab.open();
    assert_eq!(check(&repository).unwrap().damage_count, 0);
    assert!(restored(&lab, &repository, &first.hex()).unwrap() == expected);
    assert!(comes_back(&lab, &second));
}

#[test]
fn what_was_given_up_is_in_no_prunes_way() {
    // The pack is swept while the snapshots that lack it can still be taken back.
    for harm in ["removed", "flipped", "garbage"] {
        let (lab, first, second) = two();
        let pack = largest_pack(&lab.storage);
        let bytes = read(&lab.storage, &pack);
        let harmed = match harm {
            "removed" => None,
            "flipped" => Some(flipped(&bytes, bytes.len() / 2)),
            _ => Some(noise("garbage", bytes.len())),
        };
        lab.storage.tamper(&pack, harmed);
        let keep = RepairOptions {
            keep: true,
            ..MENDING
        };
        repaired(&lab.open(), &keep);
        // Ten minutes later only the pack's grace is over.
        let later = lab.open_later(&lab.storage).unwrap();
        repaired(&later, &MENDING);
        let options = gc::PruneOptions {
            grace: Duration::from_secs(300),
            max_unused: gc::Unused::Bytes(0),
            ..gc::PruneOptions::default()
        };
        gc::prune(&later, &options, &Silent).unwrap();
        assert_eq!(
            lab.storage.size(&pack).unwrap().is_none(),
            harm == "removed",
            "{harm}: what may still be read goes with the snapshot that needs it"
        );
        for id in [first, second] {
            assert_eq!(standing(&later, &id), Standing::Forgotten);
        }
        assert_eq!(check(&later).unwrap().damage_count, 0, "{harm}");
        let at_once = gc::PruneOptions {
            grace: Duration::ZERO,
            ..options
        };
        gc::prune(&lab.open_later(&lab.storage).unwrap(), &at_once, &Silent).unwrap();
        assert_eq!(lab.storage.size(&pack).unwrap(), None, "{harm}");
        let repository = lab.open();
        assert_eq!(check(&repository).unwrap().finding_count, 0, "{harm}");
        assert!(repository.tombstones().unwrap().is_empty());
    }
}
