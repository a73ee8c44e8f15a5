//! Whoever reads holds nothing open, so a prune may move what a reader has just looked up, and replace segments that it
//! has just listed: neither is damage.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use duramen::error::Result;
use duramen::format::entry::{Node, Piece};
use duramen::id::SnapshotId;
use duramen::ops::check::{CheckOptions, ReadData};
use duramen::ops::prune::{PruneOptions, Unused, run};
use duramen::progress::Silent;
use duramen::repository::Repository;
use duramen::storage::{Item, MemoryStorage, Storage, Upload};

use super::lab::{Lab, noise, restored};

/// A repository in which a prune has much to move, and the snapshot that stays.
fn half_dead() -> (Lab, SnapshotId) {
    let lab = Lab::new();
    let only = |version: u32| {
        lab.write_tree(version);
        std::fs::write(
            lab.tree().join("only"),
            noise(&format!("only {version}"), 1_500_000),
        )
        .unwrap();
        lab.snapshot(&lab.open()).unwrap().id.unwrap()
    };
    let (first, second) = (only(1), only(2));
    lab.open().forget(&first).unwrap();
    (lab, second)
}

fn prune(repository: &Repository) {
    let options = PruneOptions {
        grace: Duration::ZERO,
        session_expiry: Duration::ZERO,
        max_unused: Unused::Bytes(0),
        purge: true,
        ..PruneOptions::default()
    };
    let report = run(repository, &options, false, &Silent).unwrap();
    assert!(report.copied > 0 && report.deleted > 0, "{report:?}");
}

#[test]
fn a_chunk_that_was_moved_since_its_look_up_is_found_where_it_is_now() {
    let (lab, living) = half_dead();
    let reader = lab.open();
    reader.index().refresh().unwrap();
    prune(&lab.open());
    let (files, complained) = restored(&lab, &reader, &living.hex()).unwrap();
    assert!(files == lab.on_disk() && !complained);
}

/// Does something right after the next listing of a folder, once it is armed.
struct Between {
    inner: MemoryStorage,
    folder: &'static str,
    armed: Arc<AtomicBool>,
    then: Mutex<Box<dyn FnMut() + Send>>,
}

impl Storage for Between {
    fn describe(&self) -> String {
        self.inner.describe()
    }

    fn list(&self, folder: &str) -> Result<Vec<Item>> {
        let listed = self.inner.list(folder);
        if folder == self.folder && self.armed.swap(false, Ordering::SeqCst) {
            (self.then.lock().unwrap())();
        }
        listed
    }

    fn read(&self, name: &str, max: u64) -> Result<Vec<u8>> {
        self.inner.read(name, max)
    }

    fn read_range(&self, name: &str, offset: u64, len: usize) -> Result<Vec<u8>> {
        self.inner.read_range(name, offset, len)
    }

    fn size(&self, name: &str) -> Result<Option<u64>> {
        self.inner.size(name)
    }

    fn put_new(&self, name: &str, bytes: &[u8]) -> Result<bool> {
        self.inner.put_new(name, bytes)
    }

    fn create(&self) -> Result<Box<dyn Upload>> {
        self.inner.create()
    }

    fn delete(&self, name: &str) -> Result<()> {
        self.inner.delete(name)
    }
}

#[test]
fn a_segment_that_was_replaced_since_its_listing_is_found_under_its_new_name() {
    let (lab, living) = half_dead();
    let other = lab.open();
    let armed = Arc::new(AtomicBool::new(false));
    let storage = Between {
        inner: lab.storage.clone(),
        folder: "index",
        armed: armed.clone(),
        then: Mutex::new(Box::new(move || prune(&other))),
    };
    let reader = lab.open_on(Arc::new(storage)).unwrap();
    armed.store(true, Ordering::SeqCst);
    reader.index().refresh().unwrap();
    assert!(!armed.load(Ordering::SeqCst), "nothing was listed");
    // What it has read of the index after one look is all that there is.
    let fresh = lab.open();
    let snapshot = fresh.snapshot(&living).unwrap();
    let moved = lab.tree().join("large");
    let listed = fresh
        .find(&snapshot, moved.as_os_str().as_encoded_bytes())
        .unwrap();
    let Node::File { content, .. } = listed.entry.node else {
        panic!("no file")
    };
    for piece in fresh.pieces(&content) {
        let Piece::Data { id, .. } = piece.unwrap() else {
            panic!("no hole is in it")
        };
        assert!(!reader.index().locate_all(&id).unwrap().is_empty());
    }
    let (files, complained) = restored(&lab, &reader, &living.hex()).unwrap();
    assert!(files == lab.on_disk() && !complained);
}

#[test]
fn a_check_calls_nothing_damage_that_a_prune_did_under_it() {
    for folder in ["index", "tombstones", "packs"] {
        for read in [ReadData::None, ReadData::All] {
            let (lab, _) = half_dead();
            let other = lab.open();
            let armed = Arc::new(AtomicBool::new(false));
            let storage = Between {
                inner: lab.storage.clone(),
                folder,
                armed: armed.clone(),
                then: Mutex::new(Box::new(move || prune(&other))),
            };
            let checker = lab.open_on(Arc::new(storage)).unwrap();
            armed.store(true, Ordering::SeqCst);
            let options = CheckOptions {
                read,
                ..CheckOptions::default()
            };
            let summary = duramen::ops::check::run(&checker, &options, &Silent).unwrap();
            assert!(!armed.load(Ordering::SeqCst), "{folder} was not listed");
            assert_eq!(summary.damage_count, 0, "{folder}: {:?}", summary.findings);
        }
    }
}
