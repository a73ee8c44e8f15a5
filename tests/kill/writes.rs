//! Killed exactly at a write: strace delivers SIGKILL to the n-th call of each kind that can change a disk, for every
//! n until the program ends by itself. What random moments rarely hit is hit here for sure.
//!
//! Part of the soak alone, since it needs strace (`apt-get install strace`).

use std::path::Path;
use std::process::{Command, Stdio};

use crate::common::compare::{Options, assert_same};
use crate::common::place::{PROGRAM, Place, copy, remove, text};
use crate::common::random::Random;
use crate::common::tree::everyday;

const CALLS: [&str; 13] = [
    "write",
    "pwrite64",
    "writev",
    "fsync",
    "fdatasync",
    "syncfs",
    "rename",
    "renameat",
    "renameat2",
    "linkat",
    "mkdir",
    "unlink",
    "ftruncate",
];

/// Each thread counts its own calls: beyond this many, one thread has long been at its end.
const CALLS_MAX: usize = 60;

pub fn run() {
    let there = Command::new("strace")
        .arg("-V")
        .stdout(Stdio::null())
        .status();
    assert!(
        there.is_ok_and(|status| status.success()),
        "this test needs strace: apt-get install strace"
    );
    let place = Place::new("kill-writes");
    let (source, kept) = (place.at("source"), place.at("kept"));
    everyday(&source, 21, 40);
    let mut random = Random::new(22);
    place.snapshot(&source);
    copy(&source, &kept);
    let mut kills = 0;
    for call in CALLS {
        for nth in 1..=CALLS_MAX {
            std::fs::write(source.join("edited"), random.bytes(30_000)).unwrap();
            std::fs::write(
                source.join(format!("new-{call}-{}", nth % 5)),
                random.bytes(3_000),
            )
            .unwrap();
            let died = killed(&place, &["snapshot", source.to_str().unwrap()], call, nth);
            if died {
                kills += 1;
                stands(&place, &source, &kept, &format!("{call} {nth}"));
                place.snapshot(&source);
            }
            remove(&kept);
            copy(&source, &kept);
            if !died {
                break;
            }
        }
    }
    println!("killed at {kills} calls");
    assert!(kills >= 15, "only {kills} calls were there to be killed at");
    place.assert_clean();
    init();
}

/// A killed `init` leaves a repository, or none, or remains that the next one names.
fn init() {
    let mut kills = 0;
    for call in CALLS {
        for nth in 1..=CALLS_MAX {
            let place = Place::without_repository("kill-init");
            if !killed(&place, &["init"], call, nth) {
                break;
            }
            kills += 1;
            let there = place.run(["snapshots"]);
            if there.code != Some(0) {
                assert_eq!(there.code, Some(10), "{call} {nth}: {there}");
                let again = place.run(["init"]);
                // Half a repository looks like one that is being made: said so, with what to do.
                if again.code != Some(0) {
                    let error = again.fails(1, "exists");
                    assert!(error["hint"].is_string(), "{call} {nth}: {error}");
                    remove(&place.repository);
                    place.run(["init"]).ok();
                }
            }
            place.snapshot(Path::new("/etc/passwd"));
            place.assert_clean();
        }
    }
    println!("init killed at {kills} calls");
    assert!(kills >= 10, "only {kills} calls were there to be killed at");
}

/// Whether the program was killed, and did not come to its end before the `nth` call.
fn killed(place: &Place, args: &[&str], call: &str, nth: usize) -> bool {
    let plain = place.command();
    let mut command = Command::new("strace");
    command
        .args(["-f", "-qq", "-o", "/dev/null", "-e"])
        .arg(format!("trace={call}"));
    command
        .arg("-e")
        .arg(format!("inject={call}:signal=KILL:when={nth}"));
    command.arg(PROGRAM).args(plain.get_args()).args(args);
    command
        .env("HOME", place.at("home"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    // strace ends as the program did.
    command.status().unwrap().code() != Some(0)
}

fn stands(place: &Place, source: &Path, kept: &Path, when: &str) {
    let check = place.run(["check"]);
    assert_eq!(check.code, Some(0), "{when}: {check}");
    // The newest is the one before, or the one that was killed after its commit.
    let all = place.snapshots();
    let newest = text(all.last().unwrap(), "id");
    let target = place.at("restored");
    let run = place.restore_inside(newest, source, &target);
    assert_eq!(run.code, Some(0), "{when}: {run}");
    let options = Options {
        root: false,
        ..Options::default()
    };
    let old = crate::common::compare::compare(kept, &target, &options);
    if !old.is_empty() {
        assert_same(source, &target, &options);
    }
    remove(&target);
}
