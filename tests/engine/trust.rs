//! When a file is taken as unchanged, unread: the one place where a snapshot could quietly lie.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use duramen::clock::{Clock, Nanos, SystemClock};
use duramen::ops::snapshot::run;
use duramen::progress::Silent;
use duramen::repository::Repository;
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};

use super::lab::{Lab, environment, options, restored};

/// The machine's clock, so many nanoseconds ahead.
struct Ahead(SystemClock, Nanos);

impl Clock for Ahead {
    fn now(&self) -> Nanos {
        self.0.now() + self.1
    }

    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

fn open(lab: &Lab, ahead: Nanos) -> Repository {
    let mut environment = environment(None);
    environment.clock = Arc::new(Ahead(SystemClock::default(), ahead));
    Repository::open(
        Arc::new(lab.storage.clone()),
        std::slice::from_ref(&lab.credential),
        environment,
    )
    .unwrap()
}

/// Writes in place and sets an old mtime: same size, same inode, same mtime; only ctime tells.
fn write(path: &Path, content: &str) {
    std::fs::write(path, content).unwrap();
    let old = Timespec {
        tv_sec: 1_000_000_000,
        tv_nsec: 0,
    };
    let times = Timestamps {
        last_access: old,
        last_modification: old,
    };
    utimensat(CWD, path, &times, AtFlags::empty()).unwrap();
}

/// The second snapshot's count of files taken unread, and what it holds.
fn second(ahead: Nanos, ignore_ctime: bool) -> (u64, String) {
    let lab = Lab::new();
    std::fs::create_dir(lab.tree()).unwrap();
    let file = lab.tree().join("file");
    write(&file, "before");
    run(&open(&lab, ahead), &options(&lab.tree()), &Silent).unwrap();
    write(&file, "after!");
    let mut again = options(&lab.tree());
    again.ignore_ctime = ignore_ctime;
    let done = run(&open(&lab, ahead), &again, &Silent).unwrap();
    let (files, _) = restored(&lab, &lab.open(), "latest").unwrap();
    (
        done.counters.files_unmodified,
        String::from_utf8(files["file"].clone()).unwrap(),
    )
}

const LATER: Nanos = 60_000_000_000;

#[test]
fn ctime_tells_what_size_and_mtime_hide() {
    assert_eq!(second(LATER, false), (0, "after!".into()));
}

#[test]
fn a_fresh_entry_is_never_trusted() {
    // Looked at within two seconds of its change: even without ctime it must be read again.
    assert_eq!(second(0, true), (0, "after!".into()));
    // A clock that was set back makes everything fresh.
    assert_eq!(second(-LATER, true), (0, "after!".into()));
}

#[test]
fn ignoring_ctime_does_what_it_says() {
    // The proof that the two tests above can fail: here nothing but ctime could tell, and it is not asked.
    assert_eq!(second(LATER, true).1, "before");
}
