#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
use std::fs;
use std::io::Cursor;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::process::Command;

use super::*;
use crate::format::entry::Entry;
use crate::progress::Silent;
use crate::restore::tests::lab::{Lab, Part, entry, linked, noise, symlink, xattr};

fn named(name: &[u8], mut entry: Entry) -> Entry {
    entry.name = name.to_vec();
    entry
}

/// A tree with what archives find hard.
fn tree(lab: &mut Lab) -> (Snapshot, Vec<u8>) {
    let big = noise(3, 300_000);
    let mut old = lab.file("old", b"old");
    old.mtime = -1_500_000_001;
    old.mode = 0o4755;
    old.xattrs = vec![xattr("user.note", b"a\0\xffb")];
    let long = "n".repeat(250);
    let strange = [b"\xff".repeat(200), b"s".to_vec()].concat();
    let members = vec![
        linked(lab.file("big", &big), 9, 2),
        linked(lab.file("big2", &big), 9, 2),
        old,
        lab.file(&long, b"long name"),
        named(&strange, lab.file("x", b"strange name")),
        named(b"\xfe", lab.file("x", b"short strange name")),
        lab.parts("holes", &[Part::Hole(100_000), Part::Bytes(b"end")]),
        symlink("link", "big"),
        symlink("far", &"t/".repeat(90)),
        entry("pipe", Node::Fifo),
        entry("socket", Node::Socket),
        lab.dir("empty", Vec::new()),
    ];
    let mut deep = lab.dir("deep", members);
    deep.mtime = 5;
    let top = lab.dir(&"d".repeat(120), vec![deep]);
    (lab.snapshot(vec![top]), big)
}

fn export(
    lab: &Lab,
    snapshot: &Snapshot,
    path: Option<&[u8]>,
    format: ExportFormat,
) -> (Vec<u8>, ExportSummary) {
    let mut out = Vec::new();
    let summary = archive(&lab.repository, snapshot, path, format, &mut out, &Silent).unwrap();
    (out, summary)
}

#[test]
fn gnu_tar_restores_what_was_exported() {
    let mut lab = Lab::new();
    let (snapshot, big) = tree(&mut lab);
    let (out, summary) = export(&lab, &snapshot, None, ExportFormat::Tar);
    assert_eq!(summary.files, 10);
    assert_eq!(summary.left_out.len(), 1, "{:?}", summary.left_out);
    assert!(summary.left_out[0].path.0.ends_with(b"/deep/socket"));
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("a.tar");
    fs::write(&file, &out).unwrap();
    let done = Command::new("tar")
        .args(["--xattrs", "--xattrs-include=*", "-xpf"])
        .arg(&file)
        .arg("-C")
        .arg(place.path())
        .output()
        .unwrap();
    assert!(done.status.success(), "{done:?}");
    // It warns of times before 1970, and must not of anything else.
    let said = String::from_utf8_lossy(&done.stderr);
    let other = said.lines().find(|line| !line.contains("implausibly old"));
    assert_eq!(other, None);
    let deep = place.path().join("d".repeat(120)).join("deep");
    let meta = |name: &str| deep.join(name).symlink_metadata().unwrap();
    assert_eq!(fs::read(deep.join("big")).unwrap(), big);
    assert_eq!(
        (meta("big").ino(), meta("big").nlink()),
        (meta("big2").ino(), 2)
    );
    let old = meta("old");
    assert_eq!((old.mtime(), old.mtime_nsec()), (-2, 499_999_999));
    assert_eq!(old.mode() & 0o7777, 0o4755);
    let dir = crate::fs::Dir::root(&deep).unwrap();
    let value = crate::fs::xattr::get(&dir, b"old", b"user.note").unwrap();
    assert_eq!(value.unwrap(), b"a\0\xffb");
    assert_eq!(fs::read(deep.join("n".repeat(250))).unwrap(), b"long name");
    let strange = [b"\xff".repeat(200), b"s".to_vec()].concat();
    let strange = std::ffi::OsStr::from_bytes(&strange);
    assert_eq!(fs::read(deep.join(strange)).unwrap(), b"strange name");
    let strange = std::ffi::OsStr::from_bytes(b"\xfe");
    assert_eq!(fs::read(deep.join(strange)).unwrap(), b"short strange name");
    assert_eq!(fs::read(deep.join("holes")).unwrap().len(), 100_003);
    assert_eq!(
        fs::read_link(deep.join("far")).unwrap(),
        Path::new(&"t/".repeat(90))
    );
    assert!(meta("pipe").file_type().is_fifo());
    assert_eq!(deep.metadata().unwrap().mtime_nsec(), 5);
    assert_eq!(meta("link").mtime_nsec(), 123_456_789);
    assert_eq!(fs::read_dir(deep.join("empty")).unwrap().count(), 0);
}

#[test]
fn a_zip_holds_files_folders_and_links() {
    let mut lab = Lab::new();
    let (snapshot, big) = tree(&mut lab);
    let path = format!("/{}/deep", "d".repeat(120));
    let (out, summary) = export(&lab, &snapshot, Some(path.as_bytes()), ExportFormat::Zip);
    // Two names are not text, a pipe and a socket cannot be held.
    assert_eq!(summary.left_out.len(), 4, "{:?}", summary.left_out);
    let mut zip = ::zip::ZipArchive::new(Cursor::new(out)).unwrap();
    for (name, bytes) in [("big", &big[..]), ("big2", &big), ("old", b"old")] {
        let mut found = zip.by_name(name).unwrap();
        let mut read = Vec::new();
        found.read_to_end(&mut read).unwrap();
        assert!(read == bytes, "{name}");
    }
    assert_eq!(zip.by_name("old").unwrap().unix_mode(), Some(0o100_755));
    assert!(zip.by_name("empty/").unwrap().is_dir());
    let mut link = zip.by_name("link").unwrap();
    assert_eq!(link.unix_mode(), Some(0o120_644));
    let mut target = String::new();
    link.read_to_string(&mut target).unwrap();
    assert_eq!(target, "big");
}

#[test]
fn damage_ends_the_stream_in_the_middle() {
    for format in [ExportFormat::Tar, ExportFormat::Zip] {
        let mut lab = Lab::new();
        let content = noise(4, 100_000);
        let members = vec![lab.file("a", &content), lab.file("b", b"b")];
        let snapshot = lab.snapshot(members);
        lab.lose_data();
        let mut out = Vec::new();
        let error = archive(&lab.repository, &snapshot, None, format, &mut out, &Silent);
        let error = error.unwrap_err();
        assert_eq!(error.kind(), Kind::Damage);
        assert_eq!(error.subject_text(), Some("a"));
        // Neither the end of a tar nor the directory of a zip.
        assert!(!out.ends_with(&[0; 1024]), "{format:?}");
        assert!(::zip::ZipArchive::new(Cursor::new(out)).is_err());
    }
}

#[test]
fn cat_gives_bytes_and_says_what_has_none() {
    let mut lab = Lab::new();
    let big = noise(5, 200_000);
    let members = vec![
        lab.parts("f", &[Part::Hole(10), Part::Bytes(&big), Part::Hole(3)]),
        symlink("l", "elsewhere"),
        lab.dir("d", Vec::new()),
        entry("p", Node::Fifo),
    ];
    let snapshot = lab.snapshot(members);
    let run = |path: &[u8]| {
        let mut out = Vec::new();
        cat(&lab.repository, &snapshot, path, &mut out).map(|_| out)
    };
    assert_eq!(run(b"/f").unwrap(), [&[0; 10][..], &big, &[0; 3]].concat());
    for (path, words) in [(&b"/l"[..], "elsewhere"), (b"/d", "ls"), (b"/p", "regular")] {
        let error = run(path).unwrap_err();
        assert_eq!(error.kind(), Kind::Usage);
        assert!(error.hint_text().unwrap().contains(words));
    }
    assert_eq!(run(b"/none").unwrap_err().kind(), Kind::NotFound);
}
