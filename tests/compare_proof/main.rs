//! Proves the comparer that all other tests lean on: two builds of the oddity tree are the same to it, and every
//! single attribute broken in one of them is reported, alone. A comparer that cannot fail would be a defect.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "../common/mod.rs"]
mod common;

mod cases;

use std::path::Path;

use cases::{Break, keeping_time, lset, set_times};
use common::compare::{Options, compare};
use common::tree::times;
use common::tree_parts::{Scale, oddities};
use rustix::fs::{self, AtFlags, CWD, Uid};

/// The oddities, and two pairs of hard links with the same content and times.
fn build(root: &Path) {
    oddities(root, Scale::Small);
    let at = |name: &str| root.join("empty").join(name);
    keeping_time(&root.join("empty"), || {
        for pair in ["a", "b"] {
            std::fs::write(at(&format!("{pair}1")), b"the same").unwrap();
            set_times(&at(&format!("{pair}1")), &times(7, 7));
            std::fs::hard_link(at(&format!("{pair}1")), at(&format!("{pair}2"))).unwrap();
        }
    });
}

#[test]
fn every_broken_attribute_is_reported_alone() {
    common::facility::need_root();
    let scratch = common::scratch::Scratch::new("compare");
    let a = scratch.at("a");
    build(&a);
    let cases = std::sync::Mutex::new(cases::all().into_iter().enumerate());
    let wrong = std::sync::Mutex::new(Vec::new());
    let one_after_the_other = || {
        loop {
            let Some((at, case)) = cases.lock().unwrap().next() else {
                break;
            };
            let b = scratch.at(&format!("b{at}"));
            build(&b);
            if let Some(what) = judge(&a, &b, case) {
                wrong.lock().unwrap().push(what);
            }
            std::process::Command::new("rm")
                .arg("-rf")
                .arg(&b)
                .status()
                .unwrap();
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(one_after_the_other);
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Breaks `b` and compares; what was found where that is not what must be found.
fn judge(a: &Path, b: &Path, (name, act, mut expected): Break) -> Option<String> {
    act(b);
    let mut found: Vec<_> = compare(a, b, &Options::default())
        .into_iter()
        .map(|difference| (difference.path, difference.attribute))
        .collect();
    if name == "two equal files joined" {
        // The joined file takes the other's time, as it must.
        found
            .retain(|(path, attribute)| !(path == b"links/pair-lookalike" && attribute == "mtime"));
    }
    found.sort();
    expected.sort();
    let expected: Vec<_> = expected
        .into_iter()
        .map(|(path, what)| (path, what.to_string()))
        .collect();
    let show = |list: &[(Vec<u8>, String)]| -> Vec<String> {
        list.iter()
            .map(|(path, what)| format!("{}: {what}", path.escape_ascii()))
            .collect()
    };
    (found != expected).then(|| {
        format!(
            "{name}: expected {:?}, found {:?}",
            show(&expected),
            show(&found)
        )
    })
}

#[test]
fn options_leave_out_what_they_say() {
    common::facility::need_root();
    let scratch = common::scratch::Scratch::new("compare-options");
    let (a, b) = (scratch.at("a"), scratch.at("b"));
    for root in [&a, &b] {
        std::fs::create_dir_all(root.join("gone")).unwrap();
        std::fs::write(root.join("file"), vec![0; 100_000]).unwrap();
        set_times(&root.join("file"), &times(1, 1));
    }
    keeping_time(&b, || std::fs::remove_dir(b.join("gone")).unwrap());
    set_times(&b, &times(2, 2));
    fs::chownat(
        CWD,
        b.join("file"),
        Some(Uid::from_raw(5)),
        None,
        AtFlags::empty(),
    )
    .unwrap();
    lset(&b.join("file"), "user.new", b"1");
    assert_eq!(compare(&a, &b, &Options::default()).len(), 4);
    let options = Options {
        root: false,
        owner: false,
        without_xattrs: vec!["user."],
        without: vec![b"gone".to_vec()],
        ..Options::default()
    };
    assert_eq!(compare(&a, &b, &options), Vec::new());
}
