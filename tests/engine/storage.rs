//! What every storage must keep. A new storage is added to `each`, and nowhere else.

use std::sync::Arc;

use duramen::error::Kind;
use duramen::storage::{LocalStorage, MemoryStorage, Storage};

fn each(test: impl Fn(Arc<dyn Storage>)) {
    test(Arc::new(MemoryStorage::new()));
    let folder = tempfile::tempdir().unwrap();
    test(Arc::new(LocalStorage::new(
        folder.path().join("not/there/yet"),
    )));
}

fn names(storage: &dyn Storage, folder: &str) -> Vec<(String, u64)> {
    let mut names: Vec<_> = storage
        .list(folder)
        .unwrap()
        .into_iter()
        .map(|item| (item.name, item.size))
        .collect();
    names.sort();
    names
}

#[test]
fn what_was_put_is_read_whole_and_in_parts() {
    each(|storage| {
        assert!(storage.put_new("snapshots/one", b"0123456789").unwrap());
        assert_eq!(storage.read("snapshots/one", 10).unwrap(), b"0123456789");
        assert_eq!(storage.read_range("snapshots/one", 3, 4).unwrap(), b"3456");
        assert_eq!(storage.read_range("snapshots/one", 10, 0).unwrap(), b"");
        assert_eq!(storage.size("snapshots/one").unwrap(), Some(10));
        assert_eq!(storage.size("snapshots/two").unwrap(), None);
    });
}

#[test]
fn a_second_put_changes_nothing_and_says_so() {
    each(|storage| {
        assert!(storage.put_new("config", b"first").unwrap());
        assert!(!storage.put_new("config", b"second").unwrap());
        assert_eq!(storage.read("config", 100).unwrap(), b"first");
    });
}

#[test]
fn of_many_that_put_one_name_at_once_exactly_one_is_first() {
    each(|storage| {
        for round in 0..20 {
            let name = format!("snapshots/{round}");
            let barrier = std::sync::Barrier::new(4);
            let firsts: Vec<Option<u8>> = std::thread::scope(|scope| {
                let put = |writer: u8| {
                    let (storage, barrier, name) = (&storage, &barrier, &name);
                    scope.spawn(move || {
                        barrier.wait();
                        storage
                            .put_new(name, &[writer; 9])
                            .unwrap()
                            .then_some(writer)
                    })
                };
                let threads: Vec<_> = (0..4).map(put).collect();
                threads
                    .into_iter()
                    .map(|thread| thread.join().unwrap())
                    .collect()
            });
            let winners: Vec<u8> = firsts.into_iter().flatten().collect();
            assert_eq!(winners.len(), 1, "round {round}");
            assert_eq!(storage.read(&name, 9).unwrap(), [winners[0]; 9]);
        }
    });
}

#[test]
fn an_upload_appears_only_when_it_is_finished() {
    each(|storage| {
        let mut upload = storage.create().unwrap();
        upload.write(b"half").unwrap();
        assert_eq!(names(&*storage, "packs"), []);
        upload.write(b" and half").unwrap();
        upload.finish("packs/ab/abcd").unwrap();
        assert_eq!(names(&*storage, "packs"), [("packs/ab/abcd".into(), 13)]);
        let mut abandoned = storage.create().unwrap();
        abandoned.write(b"never").unwrap();
        drop(abandoned);
        assert_eq!(names(&*storage, "packs").len(), 1);
        assert_eq!(names(&*storage, "tmp"), []);
    });
}

#[test]
fn an_upload_mends_a_damaged_file_of_its_name() {
    each(|storage| {
        storage.put_new("packs/ab/abcd", b"damaged").unwrap();
        let mut upload = storage.create().unwrap();
        upload.write(b"whole").unwrap();
        upload.finish("packs/ab/abcd").unwrap();
        assert_eq!(storage.read("packs/ab/abcd", 100).unwrap(), b"whole");
    });
}

#[test]
fn errors_have_their_kind() {
    each(|storage| {
        assert_eq!(
            storage.read("config", 9).unwrap_err().kind(),
            Kind::NotFound
        );
        assert_eq!(
            storage.read_range("config", 0, 1).unwrap_err().kind(),
            Kind::NotFound
        );
        storage.put_new("config", b"12345").unwrap();
        assert_eq!(storage.read("config", 4).unwrap_err().kind(), Kind::Damage);
        assert_eq!(
            storage.read_range("config", 3, 3).unwrap_err().kind(),
            Kind::Damage
        );
        assert_eq!(
            storage
                .read_range("config", u64::MAX, 1)
                .unwrap_err()
                .kind(),
            Kind::Damage
        );
        for name in ["../up", "/abs", "a//b", "", "a/./b", "A", "a\0b", "a b"] {
            assert!(storage.read(name, 9).is_err(), "{name:?}");
            assert!(storage.put_new(name, b"").is_err(), "{name:?}");
        }
    });
}

#[test]
fn deleting_is_final_and_can_be_repeated() {
    each(|storage| {
        storage.put_new("sessions/a", b"x").unwrap();
        storage.delete("sessions/a").unwrap();
        storage.delete("sessions/a").unwrap();
        assert_eq!(names(&*storage, "sessions"), []);
        assert!(storage.put_new("sessions/a", b"y").unwrap());
    });
}

#[test]
fn listing_passes_over_what_is_not_there_or_not_ours() {
    each(|storage| assert_eq!(names(&*storage, "annotations"), []));
    let folder = tempfile::tempdir().unwrap();
    let storage = LocalStorage::new(folder.path());
    storage.put_new("snapshots/abc", b"").unwrap();
    for foreign in ["snapshots/.DS_Store", "snapshots/A file", "snapshots/#abc#"] {
        std::fs::write(folder.path().join(foreign), "x").unwrap();
    }
    assert_eq!(names(&storage, "snapshots"), [("snapshots/abc".into(), 0)]);
}

#[test]
fn only_what_the_dead_left_is_swept() {
    let folder = tempfile::tempdir().unwrap();
    let storage = LocalStorage::new(folder.path());
    let mut alive = storage.create().unwrap();
    alive.write(b"alive").unwrap();
    std::fs::write(folder.path().join("tmp/left-behind"), "dead").unwrap();
    storage.sweep_temporary();
    assert_eq!(
        std::fs::read_dir(folder.path().join("tmp"))
            .unwrap()
            .count(),
        1
    );
    alive.finish("packs/aa/aaaa").unwrap();
    assert_eq!(storage.read("packs/aa/aaaa", 9).unwrap(), b"alive");
}
