#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
//! A restore as a whole, from a repository in memory to a folder.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::Path;

use super::lab::{Lab, Part, entry, linked, noise, symlink, xattr};
use super::*;
use crate::format::entry::{Content, Entry};
use crate::format::snapshot::PathBytes;
use crate::progress::Silent;

fn options(target: &Path) -> RestoreOptions {
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
    }
}

fn restore(lab: &Lab, snapshot: &Snapshot, options: &RestoreOptions) -> RestoreSummary {
    run(&lab.repository, snapshot, options, &Silent).unwrap()
}

/// Every path below `root`, sorted, temporaries too.
fn paths(root: &Path) -> Vec<String> {
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

fn inline(name: &str, bytes: &[u8]) -> Entry {
    entry(
        name,
        Node::File {
            size: bytes.len() as u64,
            content: Content::Inline(bytes.to_vec()),
        },
    )
}

fn nanos(meta: &fs::Metadata) -> i64 {
    meta.mtime() * 1_000_000_000 + meta.mtime_nsec()
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

/// A snapshot of one folder `d` with these files.
fn folder(lab: &mut Lab, members: Vec<Entry>) -> Snapshot {
    let d = lab.dir("d", members);
    lab.snapshot(vec![d])
}

fn no_temporaries(root: &Path) {
    let left = paths(root);
    let temporary = left.iter().find(|path| path.contains(".duramen-"));
    assert_eq!(temporary, None);
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
        asked.verify = true;
        let window = Size { pieces, names };
        let summary = within(window, &lab.repository, &snapshot, &asked, &Silent).unwrap();
        assert_eq!(summary.problems, []);
        assert_eq!((summary.files_restored, summary.files_verified), (72, 72));
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
fn overwriting_follows_the_rule() {
    let mut lab = Lab::new();
    let content = noise(20, 10_000);
    let members = vec![
        lab.file("same", &content),
        lab.file("older", &content),
        lab.file("newer", &content),
        symlink("link", "to"),
    ];
    let snapshot = folder(&mut lab, members);
    let time = |delta: i64| {
        std::time::UNIX_EPOCH
            + std::time::Duration::from_nanos((1_600_000_000_123_456_789 + delta) as u64)
    };
    let prepare = |root: &Path| {
        let d = root.join("d");
        fs::create_dir(&d).unwrap();
        for (name, delta) in [("same", 0), ("older", -1), ("newer", 1)] {
            // The right length, other bytes: only what is written anew gets the right ones.
            fs::write(d.join(name), vec![7; 10_000]).unwrap();
            let file = fs::File::options().write(true).open(d.join(name)).unwrap();
            file.set_modified(time(delta)).unwrap();
        }
        std::os::unix::fs::symlink("to", d.join("link")).unwrap();
    };
    for (overwrite, rewritten, unchanged, skipped) in [
        (Overwrite::Always, vec!["newer", "older", "same"], 0, 0),
        (Overwrite::IfChanged, vec!["newer", "older"], 2, 0),
        (Overwrite::IfNewer, vec!["older"], 0, 3),
        (Overwrite::Never, vec![], 0, 4),
    ] {
        let place = tempfile::tempdir().unwrap();
        prepare(place.path());
        let mut asked = options(place.path());
        asked.overwrite = overwrite;
        asked.dry_run = true;
        let dry = restore(&lab, &snapshot, &asked);
        assert_eq!(
            fs::read(place.path().join("d/older")).unwrap(),
            vec![7; 10_000]
        );
        asked.dry_run = false;
        let mut done = restore(&lab, &snapshot, &asked);
        let mut found: Vec<&str> = ["newer", "older", "same"]
            .into_iter()
            .filter(|name| fs::read(place.path().join("d").join(name)).unwrap() == content)
            .collect();
        found.sort_unstable();
        assert_eq!(found, rewritten, "{overwrite:?}");
        assert_eq!(
            (done.files_unchanged, done.files_skipped),
            (unchanged, skipped),
            "{overwrite:?}"
        );
        assert_eq!(done.problems, []);
        done.seconds = dry.seconds;
        assert_eq!(
            format!("{dry:?}"),
            format!("{done:?}"),
            "a dry run says the same"
        );
        let mode = place.path().join("d/same").metadata().unwrap().mode() & 0o7777;
        let corrected = overwrite == Overwrite::IfChanged || overwrite == Overwrite::Always;
        assert_eq!(mode == 0o644, corrected || mode_of_new_files() == 0o644);
        no_temporaries(place.path());
    }
}

fn mode_of_new_files() -> u32 {
    let file = tempfile::tempdir().unwrap();
    let path = file.path().join("x");
    fs::write(&path, b"").unwrap();
    path.metadata().unwrap().mode() & 0o7777
}

#[test]
fn unchanged_content_keeps_its_inode_and_gets_its_metadata() {
    let mut lab = Lab::new();
    let mut file = lab.file("f", b"content");
    file.mode = 0o640;
    file.xattrs = vec![xattr("user.a", b"1")];
    let snapshot = folder(&mut lab, vec![file]);
    let place = tempfile::tempdir().unwrap();
    let mut asked = options(place.path());
    restore(&lab, &snapshot, &asked);
    let path = place.path().join("d/f");
    let inode = path.metadata().unwrap().ino();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
    let dir = Dir::root(&place.path().join("d")).unwrap();
    crate::fs::xattr::set(&dir, b"f", b"user.a", b"2").unwrap();
    crate::fs::xattr::set(&dir, b"f", b"user.b", b"3").unwrap();
    asked.overwrite = Overwrite::IfChanged;
    asked.verify = true;
    let summary = restore(&lab, &snapshot, &asked);
    assert_eq!((summary.files_unchanged, summary.files_verified), (1, 1));
    assert_eq!(summary.problems, []);
    assert_eq!(path.metadata().unwrap().ino(), inode);
    assert_eq!(path.metadata().unwrap().mode() & 0o7777, 0o640);
    let all = crate::fs::xattr::all(&dir, b"f").unwrap();
    assert_eq!(all, [(b"user.a".to_vec(), b"1".to_vec())]);
}

#[test]
fn what_is_in_the_way_is_replaced_but_never_followed() {
    let mut lab = Lab::new();
    let inner = lab.dir("dir", vec![inline("f", b"restored")]);
    let members = vec![inner, inline("file", b"restored"), symlink("link", "x")];
    let snapshot = folder(&mut lab, members);
    let place = tempfile::tempdir().unwrap();
    let outside = place.path().join("outside");
    let target = place.path().join("target");
    let prepare = || {
        let _ = fs::remove_dir_all(&target);
        let _ = fs::remove_dir_all(&outside);
        fs::create_dir_all(target.join("d/link")).unwrap();
        fs::create_dir_all(&outside).unwrap();
        fs::write(outside.join("f"), b"outside").unwrap();
        std::os::unix::fs::symlink(&outside, target.join("d/dir")).unwrap();
        std::os::unix::fs::symlink(outside.join("f"), target.join("d/file")).unwrap();
    };
    prepare();
    let mut asked = options(&target);
    let summary = restore(&lab, &snapshot, &asked);
    assert_eq!(summary.problems, []);
    assert_eq!(fs::read(outside.join("f")).unwrap(), b"outside");
    assert_eq!(paths(&outside), ["f"]);
    assert_eq!(
        paths(&target),
        ["d", "d/dir", "d/dir/f", "d/file", "d/link"]
    );
    assert!(target.join("d/file").symlink_metadata().unwrap().is_file());

    prepare();
    asked.overwrite = Overwrite::Never;
    let summary = restore(&lab, &snapshot, &asked);
    assert_eq!((summary.files_restored, summary.files_skipped), (0, 3));
    assert_eq!(paths(&outside), ["f"]);
    assert!(
        target
            .join("d/dir")
            .symlink_metadata()
            .unwrap()
            .is_symlink()
    );
    assert_eq!(fs::read(outside.join("f")).unwrap(), b"outside");

    // A directory that is not empty stays, unless deleting is allowed.
    prepare();
    fs::write(target.join("d/link/precious"), b"").unwrap();
    asked.overwrite = Overwrite::Always;
    let summary = restore(&lab, &snapshot, &asked);
    assert_eq!((summary.problem_count, summary.files_restored), (1, 2));
    assert_eq!(summary.problems[0].path.0, b"/d/link");
    assert!(target.join("d/link/precious").exists());
    asked.delete = true;
    let summary = restore(&lab, &snapshot, &asked);
    assert_eq!(summary.problems, []);
    assert_eq!(
        fs::read_link(target.join("d/link")).unwrap(),
        Path::new("x")
    );
}

#[test]
fn deleting_spares_what_is_excluded_unknown_or_outside() {
    let mut lab = Lab::new();
    let keep = lab.dir("keep", vec![inline("f", b"f")]);
    let d = lab.dir("d", vec![keep, inline("g", b"g")]);
    let mut snapshot = lab.snapshot(vec![d]);
    snapshot.paths = vec![PathBytes(b"/d".to_vec())];
    let place = tempfile::tempdir().unwrap();
    let outside = place.path().join("outside");
    let target = place.path().join("target");
    fs::create_dir_all(&outside).unwrap();
    fs::write(outside.join("precious"), b"").unwrap();
    fs::create_dir_all(target.join("d/keep")).unwrap();
    fs::create_dir_all(target.join("d/extra/deep/er")).unwrap();
    fs::create_dir_all(target.join("sibling")).unwrap();
    for name in [
        "d/extra/a",
        "d/extra/deep/b.log",
        "d/keep/c",
        "d/h.log",
        "d/unread",
        "d/.duramen-0123456789abcdef.tmp",
    ] {
        fs::write(target.join(name), b"").unwrap();
    }
    std::os::unix::fs::symlink(&outside, target.join("d/way-out")).unwrap();
    snapshot.problems = vec![crate::format::snapshot::Problem {
        path: PathBytes(b"/d/unread".to_vec()),
        what: "permission denied".into(),
    }];
    snapshot.problem_count = 1;
    let mut asked = options(&target);
    asked.delete = true;
    asked.exclude = vec!["*.log".into()];
    asked.dry_run = true;
    let before = paths(&target);
    let dry = restore(&lab, &snapshot, &asked);
    assert_eq!(paths(&target), before);
    asked.dry_run = false;
    let done = restore(&lab, &snapshot, &asked);
    assert_eq!(done.problems, []);
    assert_eq!(
        paths(&target),
        [
            "d",
            "d/extra",
            "d/extra/deep",
            "d/extra/deep/b.log",
            "d/g",
            "d/h.log",
            "d/keep",
            "d/keep/f",
            "d/unread",
            "sibling"
        ]
    );
    // a, er, c, the temporary and the link.
    assert_eq!((done.files_deleted, dry.files_deleted), (5, 5));
    assert_eq!(paths(&outside), ["precious"]);

    // Of a partial snapshot whose gaps are not all named nothing is known.
    snapshot.problem_count = 2;
    fs::write(target.join("d/other"), b"").unwrap();
    assert_eq!(restore(&lab, &snapshot, &asked).files_deleted, 0);
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
fn in_place_rewrites_what_differs_in_the_same_inode() {
    let mut lab = Lab::new();
    let mut content = noise(30, 2 << 20);
    let hole = [
        Part::Bytes(&content[..1 << 20]),
        Part::Hole(1 << 20),
        Part::Bytes(&content[1 << 20..]),
    ];
    let file = lab.parts("f", &hole);
    let snapshot = folder(&mut lab, vec![file]);
    content.splice(1 << 20..1 << 20, vec![0; 1 << 20]);
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("d/f");
    fs::create_dir(place.path().join("d")).unwrap();
    let mut other = content.clone();
    other[100] ^= 1;
    other[(1 << 20) + 5] = 9;
    other.extend_from_slice(&[5; 1000]);
    fs::write(&path, &other).unwrap();
    let inode = path.metadata().unwrap().ino();
    let mut asked = options(place.path());
    asked.in_place = true;
    asked.verify = true;
    let summary = restore(&lab, &snapshot, &asked);
    assert_eq!(summary.problems, []);
    assert_eq!((summary.files_restored, summary.files_verified), (1, 1));
    // One chunk of 64 KiB and the hole.
    assert_eq!(summary.bytes_restored, (64 << 10) + (1 << 20));
    assert!(fs::read(&path).unwrap() == content);
    let meta = path.metadata().unwrap();
    assert_eq!(
        (meta.ino(), nanos(&meta)),
        (inode, 1_600_000_000_123_456_789)
    );
    assert!(meta.blocks() <= (2 << 20) / 512 + 16);

    // With a second name for it, both must not change.
    let second = place.path().join("second");
    fs::hard_link(&path, &second).unwrap();
    fs::write(&path, &other).unwrap();
    restore(&lab, &snapshot, &asked);
    assert!(fs::read(&path).unwrap() == content);
    assert!(fs::read(&second).unwrap() == other);
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

#[test]
fn a_damaged_chunk_costs_its_files_and_nothing_else() {
    let mut lab = Lab::new();
    let broken = noise(40, 3 << 20);
    let b = linked(lab.file("b", &broken), 3, 2);
    let c = linked(lab.file("c", &broken), 3, 2);
    let members = vec![
        inline("a", b"fine"),
        b,
        c,
        lab.parts("e", &[Part::Bytes(&broken[..64 << 10]), Part::Hole(5)]),
    ];
    let snapshot = folder(&mut lab, members);
    let place = tempfile::tempdir().unwrap();
    fs::create_dir(place.path().join("d")).unwrap();
    fs::write(place.path().join("d/b"), b"as it was").unwrap();
    for gone in [false, true] {
        for pack in lab.data_packs() {
            let mut bytes = lab.repository.storage().read(&pack, u64::MAX).unwrap();
            // The first frame begins behind the header and holds a part of all of them.
            bytes[200] ^= 1;
            lab.storage.tamper(&pack, (!gone).then_some(bytes));
        }
        let summary = restore(&lab, &snapshot, &options(place.path()));
        assert!(summary.damage);
        assert_eq!((summary.files_restored, summary.problem_count), (1, 3));
        let named: Vec<_> = summary.problems.iter().map(|p| p.path.0.clone()).collect();
        for name in [&b"/d/b"[..], b"/d/c", b"/d/e"] {
            assert!(named.iter().any(|path| path == name), "{named:?}");
        }
        assert!(summary.problems.iter().any(|p| p.what.contains("chunk ")));
        // What stood there stays; half a file does not appear.
        assert_eq!(paths(place.path()), ["d", "d/a", "d/b"]);
        assert_eq!(fs::read(place.path().join("d/b")).unwrap(), b"as it was");
    }
}
