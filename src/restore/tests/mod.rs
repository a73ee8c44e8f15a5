#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
//! A restore as a whole, from a repository in memory to a folder.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use self::lab::{Lab, Part, entry, linked, noise, symlink, xattr};
use super::*;
use crate::format::entry::{Content, Entry};
use crate::format::snapshot::PathBytes;
use crate::progress::Silent;

mod existing;
pub(crate) mod lab;
mod trouble;

pub(super) fn options(target: &Path) -> RestoreOptions {
    RestoreOptions {
        path: None,
        target: target.to_path_buf(),
        include: Vec::new(),
        iinclude: Vec::new(),
        exclude: Vec::new(),
        iexclude: Vec::new(),
        overwrite: Overwrite::Always,
        in_place: false,
        delete: false,
        dry_run: false,
        verify: false,
        sparse: false,
        ownership: None,
        numeric_owner: false,
        read_only: None,
    }
}

pub(super) fn restore(lab: &Lab, snapshot: &Snapshot, options: &RestoreOptions) -> RestoreSummary {
    run(&lab.repository, snapshot, options, &Silent).unwrap()
}

/// Every path below `root`, sorted, temporaries too.
pub(super) fn paths(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for item in fs::read_dir(&folder).unwrap() {
            let path = item.unwrap().path();
            found.push(path.strip_prefix(root).unwrap().display().to_string());
            if path.symlink_metadata().unwrap().is_dir() {
                folders.push(path);
            }
        }
    }
    found.sort();
    found
}

pub(super) fn inline(name: &str, bytes: &[u8]) -> Entry {
    entry(
        name,
        Node::File {
            size: bytes.len() as u64,
            content: Content::Inline(bytes.to_vec()),
        },
    )
}

pub(super) fn nanos(meta: &fs::Metadata) -> i64 {
    meta.mtime() * 1_000_000_000 + meta.mtime_nsec()
}

/// A snapshot of one folder `d` with these files.
pub(super) fn folder(lab: &mut Lab, members: Vec<Entry>) -> Snapshot {
    let d = lab.dir("d", members);
    lab.snapshot(vec![d])
}

pub(super) fn no_temporaries(root: &Path) {
    let left = paths(root);
    let temporary = left.iter().find(|path| path.contains(".duramen-"));
    assert_eq!(temporary, None);
}

#[test]
fn every_kind_of_name_comes_back() {
    let place = tempfile::tempdir().unwrap();
    let target = place.path().join("new/target");
    let mut lab = Lab::new();
    let big = noise(1, 3 << 20);
    let mut old = inline("old", b"before the epoch");
    old.mtime = -1_500_000_001;
    old.mode = 0o4711;
    old.xattrs = vec![xattr("user.note", b"kept\0")];
    let a = linked(lab.file("a", &big), 5, 2);
    let b = linked(lab.file("b", &big), 5, 2);
    let members = vec![
        a,
        b,
        old,
        inline("empty", b""),
        lab.parts(
            "sparse",
            &[
                Part::Hole(5 << 30),
                Part::Bytes(&big[..4096]),
                Part::Hole(1 << 20),
            ],
        ),
        lab.parts("hole", &[Part::Hole(1 << 40)]),
        symlink("link", "/nowhere\u{e9}"),
        entry("pipe", Node::Fifo),
        entry("socket", Node::Socket),
    ];
    let mut sealed = lab.dir("sealed", vec![inline("x", b"x")]);
    sealed.mode = 0o500;
    sealed.mtime = 77;
    let top = lab.dir("d", members);
    let snapshot = lab.snapshot(vec![top, sealed]);
    let mut asked = options(&target);
    asked.verify = true;
    let summary = restore(&lab, &snapshot, &asked);
    assert_eq!(summary.problems, []);
    assert_eq!((summary.files_restored, summary.total_files), (10, 10));
    assert_eq!((summary.files_verified, summary.dirs), (10, 3));
    assert_eq!(summary.bytes_restored, summary.total_bytes);
    assert!(!summary.damage);

    let d = target.join("d");
    let meta = |name: &str| d.join(name).symlink_metadata().unwrap();
    assert_eq!(fs::read(d.join("a")).unwrap(), big);
    assert_eq!((meta("a").ino(), meta("a").nlink()), (meta("b").ino(), 2));
    assert_eq!(nanos(&meta("old")), -1_500_000_001);
    assert_eq!(meta("old").mode() & 0o7777, 0o4711);
    let dir = Dir::root(&d).unwrap();
    assert_eq!(
        crate::fs::xattr::get(&dir, b"old", b"user.note").unwrap(),
        Some(b"kept\0".to_vec())
    );
    assert_eq!(meta("empty").len(), 0);
    assert_eq!(meta("sparse").len(), (5 << 30) + 4096 + (1 << 20));
    assert!(meta("sparse").blocks() <= 64, "{}", meta("sparse").blocks());
    assert_eq!((meta("hole").len(), meta("hole").blocks()), (1 << 40, 0));
    assert_eq!(
        fs::read_link(d.join("link")).unwrap(),
        Path::new("/nowhere\u{e9}")
    );
    assert_eq!(nanos(&meta("link")), 1_600_000_000_123_456_789);
    assert!(meta("pipe").file_type().is_fifo());
    assert!(meta("socket").file_type().is_socket());
    let sealed = target.join("sealed").metadata().unwrap();
    assert_eq!((sealed.mode() & 0o7777, nanos(&sealed)), (0o500, 77));
    // The target was made, so it is the snapshot's root.
    assert_eq!(
        nanos(&target.metadata().unwrap()),
        1_600_000_000_123_456_789
    );
    assert_eq!(paths(&target).len(), 12);
}

#[test]
fn a_path_goes_inside_and_a_file_under_its_name() {
    let place = tempfile::tempdir().unwrap();
    let mut lab = Lab::new();
    let inner = lab.dir("inner", vec![inline("f", b"f")]);
    let etc = lab.dir("etc", vec![inner, inline("g", b"g")]);
    let snapshot = lab.snapshot(vec![etc]);
    let mut asked = options(&place.path().join("one"));
    asked.path = Some(b"/etc/".to_vec());
    assert_eq!(restore(&lab, &snapshot, &asked).files_restored, 2);
    assert_eq!(paths(&place.path().join("one")), ["g", "inner", "inner/f"]);
    asked = options(&place.path().join("two"));
    asked.path = Some(b"/etc/g".to_vec());
    assert_eq!(restore(&lab, &snapshot, &asked).files_restored, 1);
    assert_eq!(paths(&place.path().join("two")), ["g"]);
    asked.path = Some(b"/etc/none".to_vec());
    let error = run(&lab.repository, &snapshot, &asked, &Silent).unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound);
}

#[test]
fn small_windows_give_the_same_tree() {
    let mut lab = Lab::new();
    lab.cut = 1000;
    let big = noise(10, 100_000);
    let shared = noise(11, 5_000);
    let mut top = Vec::new();
    for d in 0..6 {
        let mut members = vec![lab.file("big", &big), linked(lab.file("l", &shared), 1, 6)];
        for f in 0..10 {
            let bytes = [&shared[..], &[d, f]].concat();
            members.push(lab.file(&format!("f{f}"), &bytes));
        }
        top.push(lab.dir(&format!("d{d}"), members));
    }
    let snapshot = lab.snapshot(top);
    for (pieces, names) in [(1, 1), (7, 3), (64, 50), (100_000, 100_000)] {
        let place = tempfile::tempdir().unwrap();
        let mut asked = options(place.path());
        // Reading back makes every window wait for the disk.
        asked.verify = names == 50;
        let window = Size { pieces, names };
        let summary = within(window, &lab.repository, &snapshot, &asked, &Silent).unwrap();
        assert_eq!(summary.problems, []);
        assert_eq!(summary.files_restored, 72);
        assert_eq!(summary.files_verified, if asked.verify { 72 } else { 0 });
        assert_eq!(summary.bytes_restored, summary.total_bytes);
        assert_eq!(paths(place.path()).len(), 78);
        for d in 0..6u8 {
            let at = |name: &str| place.path().join(format!("d{d}")).join(name);
            assert!(fs::read(at("big")).unwrap() == big);
            assert_eq!(at("l").metadata().unwrap().nlink(), 6);
            for f in 0..10 {
                let bytes = [&shared[..], &[d, f]].concat();
                assert!(fs::read(at(&format!("f{f}"))).unwrap() == bytes);
            }
            assert_eq!(
                nanos(&at("").metadata().unwrap()),
                1_600_000_000_123_456_789
            );
        }
    }
}

#[test]
fn patterns_choose_and_parents_come_along() {
    let mut lab = Lab::new();
    let c = lab.dir("c", vec![inline("x.txt", b"1"), inline("y.bin", b"2")]);
    let a = lab.dir("a", vec![c, inline("z.txt", b"3")]);
    let b = lab.dir("b", vec![inline("y.bin", b"4")]);
    let snapshot = lab.snapshot(vec![a, b]);
    let run = |include: &[&str], exclude: &[&str]| {
        let place = tempfile::tempdir().unwrap();
        let mut asked = options(place.path());
        asked.include = include.iter().map(|p| (*p).into()).collect();
        asked.exclude = exclude.iter().map(|p| (*p).into()).collect();
        let summary = restore(&lab, &snapshot, &asked);
        assert_eq!(summary.total_files, summary.files_restored);
        let parent = place.path().join("a");
        if parent.exists() {
            assert_eq!(
                nanos(&parent.metadata().unwrap()),
                1_600_000_000_123_456_789
            );
        }
        paths(place.path())
    };
    assert_eq!(run(&["*.txt"], &[]), ["a", "a/c", "a/c/x.txt", "a/z.txt"]);
    assert_eq!(run(&["/a/c"], &["*.bin"]), ["a", "a/c", "a/c/x.txt"]);
    assert_eq!(run(&[], &["/a"]), ["b", "b/y.bin"]);
    assert_eq!(run(&["nothing"], &[]), Vec::<String>::new());
}

#[test]
fn zeros_become_holes_where_asked() {
    let mut lab = Lab::new();
    let mut content = vec![0; 4 << 20];
    content[1 << 20] = 1;
    let file = lab.file("f", &content);
    let snapshot = folder(&mut lab, vec![file]);
    for sparse in [false, true] {
        let place = tempfile::tempdir().unwrap();
        let mut asked = options(place.path());
        asked.sparse = sparse;
        restore(&lab, &snapshot, &asked);
        let path = place.path().join("d/f");
        assert!(fs::read(&path).unwrap() == content);
        let kept = path.metadata().unwrap().blocks() * 512;
        assert_eq!(kept < 64 << 10, sparse, "{kept}");
    }
}
