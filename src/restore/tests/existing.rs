//! Restoring to where something stands already.
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use super::*;

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
        no_temporaries(place.path());
    }
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
