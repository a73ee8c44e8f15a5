//! The long runs: `cargo test --release --features soak --test soak`, some forty minutes; a name behind `--` runs one.
//!
//! - `million`: a million entries in one directory
//! - `kill`: 200 kills at random moments of snapshot, forget, prune and repair
//! - `writes`: a kill at every write of a snapshot
//! - `share`: four writers and two pruners on one repository for five minutes
//! - `property`: 1,000 property sequences
//!
//! `TMPDIR` chooses the disk; one in memory (`TMPDIR=/dev/shm`) makes them faster, and a kill is no power cut.
//!
//! A program of its own instead of ignored tests: what is asked for by name runs, and all of it runs.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;
#[path = "property/life.rs"]
mod life;
#[path = "property/model.rs"]
mod model;
#[path = "kill/rounds.rs"]
mod rounds;
#[path = "property/sequence.rs"]
mod sequence;
#[path = "share/work.rs"]
mod share;
#[path = "kill/writes.rs"]
mod writes;

use std::path::Path;
use std::time::{Duration, Instant};

use common::place::{Place, number, remove, settle, text};

const MILLION: usize = 1_000_000;

fn main() {
    let wanted: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with('-'))
        .collect();
    let parts: [(&str, fn()); 5] = [
        ("million", a_million_entries),
        ("kill", || rounds::run(&rounds::LONG)),
        ("writes", writes::run),
        ("share", || share::run(Duration::from_secs(300), 20)),
        ("property", || sequence::run(1_000)),
    ];
    for (name, part) in parts {
        if wanted.is_empty() || wanted.iter().any(|one| name.contains(one.as_str())) {
            println!("soak: {name}");
            let started = Instant::now();
            part();
            println!("soak: {name}: done in {:.1?}", started.elapsed());
        }
    }
}

fn count(folder: &Path) -> usize {
    std::fs::read_dir(folder).unwrap().count()
}

/// One directory with a million files: one more of them must cost a page at each level, not the directory.
fn a_million_entries() {
    let place = Place::new("million");
    let folder = place.scratch.folder("folder");
    for at in 0..MILLION {
        // Half of them empty, the others a few bytes: a million inodes are what this is about.
        let bytes = format!("{at}");
        let bytes = if at % 2 == 0 {
            &b""[..]
        } else {
            bytes.as_bytes()
        };
        std::fs::write(
            folder.join(format!(
                "entry-{:016x}",
                (at as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15)
            )),
            bytes,
        )
        .unwrap();
    }
    settle();
    let take = |what: &str| {
        let (started, before) = (Instant::now(), place.stored());
        let summary = place.snapshot(&folder);
        let grown = place.stored() - before;
        println!(
            "{what}: {:.1?}, {grown} bytes stored: {summary}",
            started.elapsed()
        );
        (grown, summary)
    };
    let (_, first) = take("a million files");
    assert_eq!(number(&first, "files_new"), MILLION as u64);
    let (grown, _) = take("nothing changed");
    assert!(grown < 4096, "an unchanged snapshot stored {grown} bytes");
    std::fs::write(folder.join("one-more"), b"one more").unwrap();
    settle();
    let (grown, third) = take("one file more");
    assert!(grown < 200 * 1024, "one file more stored {grown} bytes");
    assert_eq!(
        (number(&third, "files_new"), text(&third, "state")),
        (1, "complete")
    );
    let target = place.at("target");
    let started = Instant::now();
    place.restore_inside("latest", &folder, &target).ok();
    println!("restored in {:.1?}", started.elapsed());
    assert_eq!(count(&target), MILLION + 1);
    assert_eq!(std::fs::read(target.join("one-more")).unwrap(), b"one more");
    common::compare::assert_same(
        &folder,
        &target,
        &common::compare::Options {
            root: false,
            ..Default::default()
        },
    );
    remove(&target);
    place.assert_clean();
}
