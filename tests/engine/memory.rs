//! A machine that remembers: what a storage removes, hides or puts back is noticed, and what owners ended is not.

use std::path::Path;
use std::sync::Arc;

use duramen::error::{Kind, Result};
use duramen::format::codec;
use duramen::format::file::FileType;
use duramen::format::records::{Annotation, Fact};
use duramen::format::snapshot::Fate;
use duramen::id::{RecordId, SessionId, SnapshotId};
use duramen::ops::key;
use duramen::repository::{Repository, Standing, snapshot_name};
use duramen::seal::seal_record;
use duramen::storage::{MemoryStorage, Storage};

use super::lab::{Lab, check, environment, restored};

fn open_on(lab: &Lab, storage: &MemoryStorage, state: &Path) -> Repository {
    let mut environment = environment(None);
    environment.state = Some(state.to_owned());
    let credentials = std::slice::from_ref(&lab.credential);
    Repository::open(Arc::new(storage.clone()), credentials, environment).unwrap()
}

fn open(lab: &Lab, state: &Path) -> Repository {
    open_on(lab, &lab.storage, state)
}

fn lab_of_two(state: &Path) -> (Lab, SnapshotId, SnapshotId) {
    let lab = Lab::new();
    lab.write_tree(1);
    let first = lab.snapshot(&open(&lab, state)).unwrap().id.unwrap();
    lab.write_tree(2);
    let second = lab.snapshot(&open(&lab, state)).unwrap().id.unwrap();
    (lab, first, second)
}

fn put(lab: &Lab, file_type: FileType, name: &str, record: &impl serde::Serialize) {
    let body = codec::encode(record).unwrap();
    let file = seal_record(lab.open().keys(), file_type, name, &body, 4 << 20).unwrap();
    assert!(lab.storage.put_new(name, &file).unwrap());
}

fn put_fact(lab: &Lab, snapshot: SnapshotId, id: u8, fact: Fact) -> String {
    let id = RecordId([id; 16]);
    let annotation = Annotation {
        id,
        snapshot,
        at: 0,
        host: String::new(),
        user: String::new(),
        fact,
        extensions: Vec::new(),
    };
    let name = format!("annotations/{}/{}", snapshot.hex(), id.hex());
    put(lab, FileType::Annotation, &name, &annotation);
    name
}

fn damage(repository: &Repository) -> Vec<String> {
    let found = check(repository).unwrap().findings;
    found
        .into_iter()
        .filter(|it| it.damage)
        .map(|it| it.subject)
        .collect()
}

#[test]
fn a_snapshot_that_was_removed_is_missed_by_whoever_saw_it() {
    let state = tempfile::tempdir().unwrap();
    let (lab, first, second) = lab_of_two(state.path());
    assert!(damage(&open(&lab, state.path())).is_empty());
    for id in [first, second] {
        let storage = lab.storage.fork();
        storage.tamper(&snapshot_name(&id), None);
        let missed = vec![snapshot_name(&id)];
        // Every time, not once.
        for _ in 0..2 {
            assert_eq!(damage(&open_on(&lab, &storage, state.path())), missed);
        }
        // Whoever never saw it cannot know.
        let stranger = tempfile::tempdir().unwrap();
        assert!(damage(&open_on(&lab, &storage, stranger.path())).is_empty());
    }
    // Hidden for a while and shown again: nothing is wrong any more.
    assert!(damage(&open(&lab, state.path())).is_empty());
    // A writer says so and goes on.
    lab.storage.tamper(&snapshot_name(&first), None);
    let repository = open(&lab, state.path());
    assert_eq!(repository.recall().unwrap().missing, [first]);
    lab.snapshot(&repository).unwrap();
    assert_eq!(
        restored(&lab, &repository, "latest").unwrap(),
        (lab.on_disk(), false)
    );
}

#[test]
fn what_its_owners_ended_is_not_missed() {
    let state = tempfile::tempdir().unwrap();
    let (lab, first, second) = lab_of_two(state.path());
    let end = RecordId([9; 16]);
    let forgotten = put_fact(&lab, first, 1, Fact::Forgotten { end });
    // Forgotten and not ended is no reason to be gone.
    let name = snapshot_name(&first);
    let record = lab.storage.read(&name, 1 << 20).unwrap();
    lab.storage.tamper(&name, None);
    assert_eq!(damage(&open(&lab, state.path())), [name.as_str()]);
    lab.storage.tamper(&name, Some(record.clone()));
    // The end of another snapshot under this one's name proves nothing, and nor does garbage.
    let others = put_fact(&lab, second, 9, Fact::Undone);
    let proof = put_fact(&lab, first, 9, Fact::Final);
    let sealed = lab.storage.read(&proof, 1 << 20).unwrap();
    let wrong = lab.storage.read(&others, 1 << 20).unwrap();
    lab.storage.tamper(&name, None);
    lab.storage.tamper(&proof, Some(wrong));
    assert!(damage(&open(&lab, state.path())).contains(&name));
    // As after a prune: the record is gone, of its annotations the end stays.
    lab.storage.tamper(&proof, Some(sealed));
    lab.storage.tamper(&forgotten, None);
    assert!(damage(&open(&lab, state.path())).is_empty());
    // A storage that brings the record back does not bring the snapshot back.
    lab.storage.tamper(&name, Some(record));
    let repository = open(&lab, state.path());
    assert_eq!(repository.facts(&first).unwrap().standing, Standing::Gone);
    assert!(damage(&repository).is_empty());
    lab.storage.tamper(&name, None);
    assert!(damage(&open(&lab, state.path())).is_empty());
    // It is not remembered any more.
    lab.storage.tamper(&proof, None);
    assert!(damage(&open(&lab, state.path())).is_empty());
}

#[test]
fn what_another_machine_forgot_and_pruned_is_not_missed() {
    use duramen::gc::{PruneOptions, prune};
    let (ours, theirs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (lab, first, second) = lab_of_two(ours.path());
    let other = open(&lab, theirs.path());
    other.forget(&first).unwrap();
    let options = PruneOptions {
        grace: std::time::Duration::ZERO,
        ..PruneOptions::default()
    };
    for _ in 0..2 {
        prune(&other, &options, &duramen::progress::Silent).unwrap();
    }
    assert_eq!(other.snapshot_ids().unwrap(), [second], "it was not pruned");
    for state in [ours.path(), theirs.path()] {
        let repository = open(&lab, state);
        assert!(damage(&repository).is_empty());
        assert_eq!(
            restored(&lab, &repository, "latest").unwrap(),
            (lab.on_disk(), false)
        );
    }
    // And removing the other one by hand is still noticed.
    lab.storage.tamper(&snapshot_name(&second), None);
    assert_eq!(damage(&open(&lab, ours.path())), [snapshot_name(&second)]);
}

#[test]
fn a_key_ring_that_was_put_back_is_refused_by_writers_and_read_by_readers() {
    let state = tempfile::tempdir().unwrap();
    let (lab, ..) = lab_of_two(state.path());
    let added = key::export(&open(&lab, state.path())).unwrap().0;
    let with_removed = lab.storage.fork();
    key::remove(&open(&lab, state.path()), &added.id.hex(), false).unwrap();
    open(&lab, state.path()).recall().unwrap();
    let back = open_on(&lab, &with_removed, state.path());
    assert_eq!(damage(&back), ["keyring"]);
    assert_eq!(lab.snapshot(&back).unwrap_err().kind(), Kind::Damage);
    assert_eq!(
        restored(&lab, &back, "latest").unwrap(),
        (lab.on_disk(), false)
    );
    // A later ring, made by somebody who never had the newest sealing key (one who was removed): two changes to the
    // old state make generations as high, and the root of the last is not the known one.
    key::rotate(&back).unwrap();
    key::rotate(&back).unwrap();
    let forged = open_on(&lab, &with_removed, state.path());
    assert_eq!(damage(&forged), ["keyring"]);
    let refused = lab.snapshot(&forged).unwrap_err();
    assert_eq!(refused.kind(), Kind::Damage);
    assert!(
        refused.hint_text().unwrap().contains("remove "),
        "{refused}"
    );
    // With the memory gone it is taken as it is: that is how somebody says that it was meant.
    for file in std::fs::read_dir(state.path()).unwrap() {
        std::fs::remove_file(file.unwrap().path()).unwrap();
    }
    lab.snapshot(&forged).unwrap();
}

#[test]
fn only_commits_are_remembered() {
    let state = tempfile::tempdir().unwrap();
    let (lab, ..) = lab_of_two(state.path());
    let session = SessionId([5; 16]);
    let (void, junk) = (snapshot_name(&session), snapshot_name(&SessionId([6; 16])));
    put(
        &lab,
        FileType::Snapshot,
        &void,
        &Fate::Void { session, at: 0 },
    );
    lab.storage.tamper(&junk, Some(b"no record".to_vec()));
    open(&lab, state.path()).recall().unwrap();
    lab.storage.tamper(&void, None);
    lab.storage.tamper(&junk, None);
    assert!(damage(&open(&lab, state.path())).is_empty());
}

fn the_file(state: &Path) -> std::path::PathBuf {
    let mut files = std::fs::read_dir(state).unwrap();
    let file = files.next().unwrap().unwrap().path();
    assert!(files.next().is_none(), "more than one file");
    file
}

#[test]
fn a_memory_that_is_lost_or_spoilt_is_no_error() {
    use std::os::unix::fs::PermissionsExt;
    let state = tempfile::tempdir().unwrap();
    let (lab, ..) = lab_of_two(state.path());
    let file = the_file(state.path());
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let good = std::fs::read(&file).unwrap();
    for bad in [
        &b""[..],
        b"garbage\n",
        &good[..good.len() - 1],
        &[0xff; 100],
    ] {
        std::fs::write(&file, bad).unwrap();
        let report = check(&open(&lab, state.path())).unwrap();
        assert_eq!(
            (report.damage_count, report.finding_count),
            (0, 1),
            "{:?}",
            report.findings
        );
        assert_eq!(std::fs::read(&file).unwrap().len(), good.len());
        assert_eq!(check(&open(&lab, state.path())).unwrap().finding_count, 0);
    }
    std::fs::remove_file(&file).unwrap();
    assert_eq!(check(&open(&lab, state.path())).unwrap().finding_count, 0);
    // A folder that cannot be: a file is in its way.
    lab.snapshot(&open(&lab, &file)).unwrap();
    let report = check(&open(&lab, &file)).unwrap();
    assert_eq!(
        (report.damage_count, report.finding_count),
        (0, 1),
        "{:?}",
        report.findings
    );
}

#[test]
fn two_at_once_leave_one_whole_memory() -> Result<()> {
    let state = tempfile::tempdir().unwrap();
    let (lab, ..) = lab_of_two(state.path());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for number in 0..20u8 {
                    let repository = open(&lab, state.path());
                    repository.remember(SessionId([100 + number; 16]));
                    assert!(repository.recall().unwrap().unkept.is_none());
                }
            });
        }
    });
    the_file(state.path());
    let recalled = open(&lab, state.path()).recall()?;
    assert!(recalled.unkept.is_none() && !recalled.missing.is_empty());
    Ok(())
}
