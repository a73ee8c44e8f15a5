//! What is said of snapshots later: nothing of it is lost by two people at once, and what cannot be read never counts
//! against a snapshot.

use duramen::error::Kind;
use duramen::id::SnapshotId;
use duramen::ops::select::{self, Filter};
use duramen::repository::{Fact, Repository, Standing};
use duramen::storage::Storage;

use super::lab::{Lab, check};

fn one() -> (Lab, Repository, SnapshotId) {
    let lab = Lab::new();
    lab.write_tree(1);
    let repository = lab.open();
    let id = lab.snapshot(&repository).unwrap().id.unwrap();
    (lab, repository, id)
}

fn standing(repository: &Repository, id: &SnapshotId) -> Standing {
    repository.facts(id).unwrap().standing
}

#[test]
fn forgetting_can_be_taken_back_and_repeated() {
    let (lab, repository, id) = one();
    repository.forget(&id).unwrap();
    assert_eq!(standing(&repository, &id), Standing::Forgotten);
    assert!(
        select::list(&repository, &Filter::default())
            .unwrap()
            .is_empty()
    );
    assert!(select::one(&repository, "latest", &Filter::default()).is_err());
    // Whoever names it may still read it.
    assert_eq!(
        select::one(&repository, &id.hex(), &Filter::default())
            .unwrap()
            .id,
        id
    );
    assert!(repository.undo_forget(&id).unwrap());
    assert_eq!(standing(&repository, &id), Standing::Living);
    assert!(!repository.undo_forget(&id).unwrap());
    repository.forget(&id).unwrap();
    assert_eq!(standing(&repository, &id), Standing::Forgotten);
    // It is no parent: the next snapshot compares with nothing.
    let next = lab.snapshot(&lab.open()).unwrap();
    assert_eq!(next.parent, None);
    assert_eq!(check(&repository).unwrap().damage_count, 0);
}

#[test]
fn a_hold_keeps_and_takes_back_and_each_release_ends_its_own() {
    let (_lab, repository, id) = one();
    repository.forget(&id).unwrap();
    repository.hold(&id, "audit").unwrap();
    assert_eq!(standing(&repository, &id), Standing::Living);
    assert_eq!(repository.forget(&id).unwrap_err().kind(), Kind::Conflict);
    // Two hold it; whoever releases what he saw leaves alone what came since.
    let before = repository.facts(&id).unwrap();
    repository.hold(&id, "court").unwrap();
    assert_eq!(before.holds.len(), 1);
    assert_eq!(repository.facts(&id).unwrap().holds.len(), 2);
    assert!(repository.release(&id).unwrap());
    assert!(!repository.facts(&id).unwrap().is_held());
    assert!(!repository.release(&id).unwrap());
    repository.forget(&id).unwrap();
    assert_eq!(standing(&repository, &id), Standing::Forgotten);
}

#[test]
fn tags_and_notes_follow_each_other_whatever_the_clock_says() {
    let (_lab, repository, id) = one();
    let snapshot = repository.snapshot(&id).unwrap();
    let tags = || repository.facts(&id).unwrap().tags(&snapshot);
    for round in 0..20 {
        repository
            .annotate(&id, Fact::TagAdded("a".into()))
            .unwrap();
        assert_eq!(tags(), ["a"], "round {round}");
        repository
            .annotate(&id, Fact::TagRemoved("a".into()))
            .unwrap();
        assert!(tags().is_empty(), "round {round}");
    }
    repository
        .annotate(&id, Fact::Note("first".into()))
        .unwrap();
    repository
        .annotate(&id, Fact::Note("second".into()))
        .unwrap();
    let notes = repository.facts(&id).unwrap().notes;
    assert_eq!(
        notes
            .iter()
            .map(|(_, words)| words.as_str())
            .collect::<Vec<_>>(),
        ["first", "second"]
    );
}

#[test]
fn what_cannot_be_read_never_counts_against_a_snapshot() {
    let (lab, repository, id) = one();
    repository.forget(&id).unwrap();
    repository.undo_forget(&id).unwrap();
    let names: Vec<String> = lab
        .storage
        .list("annotations")
        .unwrap()
        .into_iter()
        .map(|item| item.name)
        .collect();
    assert_eq!(names.len(), 2);
    for name in &names {
        // Whichever of the two is lost, the snapshot lives; and nobody builds on it or is stopped by it.
        let fork = Lab {
            storage: lab.storage.fork(),
            credential: lab.credential.clone(),
            folder: tempfile::tempdir().unwrap(),
        };
        fork.write_tree(1);
        let mut bytes = lab.storage.read(name, 1 << 20).unwrap();
        bytes[40] ^= 1;
        fork.storage.tamper(name, Some(bytes));
        let repository = fork.open();
        let facts = repository.facts(&id).unwrap();
        assert!(facts.unclear);
        assert_eq!(facts.standing, Standing::Living);
        assert_eq!(
            select::list(&repository, &Filter::default()).unwrap().len(),
            1
        );
        assert_eq!(fork.snapshot(&repository).unwrap().parent, None);
        assert_eq!(check(&repository).unwrap().damage_count, 1);
    }
}
