//! Restoring a part, over what is there, and not at all.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::common::compare::{Options, assert_same};
use crate::common::place::{Place, Run, below, copy, number, settle};
use crate::common::random::Random;
use crate::common::tree::{everyday, times};

fn set_mtime(path: &Path, seconds: i64) {
    let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
    rustix::fs::utimensat(rustix::fs::CWD, path, &times(seconds, 0), flags).unwrap();
}

fn read(path: impl AsRef<Path>) -> String {
    String::from_utf8(std::fs::read(path).unwrap()).unwrap()
}

/// Everything but the target's own time and mode, which are the target's.
fn members() -> Options {
    Options {
        root: false,
        ..Options::default()
    }
}

fn restore(place: &Place, source: &Path, target: &Path, flags: &[&str]) -> Run {
    let mut command = place.command();
    command
        .arg("restore")
        .arg(crate::common::place::inside("latest", source))
        .arg("--target")
        .arg(target)
        .args(flags);
    Run::of(command)
}

/// A source with these files, a second apart in time, and its snapshot.
fn stored(name: &str, files: &[(&str, &str)]) -> (Place, PathBuf) {
    let place = Place::new(name);
    let source = place.at("source");
    for (at, (path, text)) in files.iter().enumerate() {
        let path = source.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        set_mtime(&path, 1_600_000_000 + at as i64);
    }
    place.snapshot(&source);
    (place, source)
}

#[test]
fn a_part_of_a_snapshot() {
    let (place, source) = stored(
        "part",
        &[
            ("a/one", "1"),
            ("a/b/two", "2"),
            ("a/b/c/three", "3"),
            ("d/four", "4"),
        ],
    );
    let target = place.at("inside");
    restore(&place, &source.join("a/b"), &target, &[]).ok();
    assert_same(&source.join("a/b"), &target, &members());
    // One file goes into the target under its own name.
    let target = place.at("file");
    restore(&place, &source.join("d/four"), &target, &[]).ok();
    assert_eq!(read(target.join("four")), "4");
    // What is not in the snapshot is not found, and nothing is made.
    let target = place.at("nothing");
    restore(&place, &source.join("a/x"), &target, &[]).fails(1, "not_found");
    assert!(!target.exists());
}

#[test]
fn includes_and_excludes() {
    let files = [
        ("a.txt", "1"),
        ("b.log", "2"),
        ("sub/c.txt", "3"),
        ("sub/d.log", "4"),
        ("Sub2/E.TXT", "5"),
    ];
    let (place, source) = stored("include", &files);
    let restored = |flags: &[&str]| {
        let target = place.at(&format!("t{}", crate::common::place::unique()));
        restore(&place, &source, &target, flags).ok();
        let mut found: Vec<String> = if target.exists() {
            let files = crate::common::place::files_below(&target);
            files
                .iter()
                .map(|path| {
                    path.strip_prefix(&target)
                        .unwrap()
                        .to_str()
                        .unwrap()
                        .to_string()
                })
                .collect()
        } else {
            Vec::new()
        };
        found.sort();
        found
    };
    assert_eq!(restored(&["--include", "*.txt"]), ["a.txt", "sub/c.txt"]);
    assert_eq!(
        restored(&["--iinclude", "*.txt"]),
        ["Sub2/E.TXT", "a.txt", "sub/c.txt"]
    );
    assert_eq!(
        restored(&["--exclude", "*.log"]),
        ["Sub2/E.TXT", "a.txt", "sub/c.txt"]
    );
    assert_eq!(restored(&["--iexclude", "*.TXT"]), ["b.log", "sub/d.log"]);
    assert_eq!(
        restored(&["--exclude", "sub"]),
        ["Sub2/E.TXT", "a.txt", "b.log"]
    );
    assert_eq!(restored(&["--include", "sub"]), ["sub/c.txt", "sub/d.log"]);
    assert_eq!(
        restored(&["--include", "*.txt", "--exclude", "sub"]),
        ["a.txt"]
    );
}

#[test]
fn overwriting_only_when_asked() {
    // Names say how the target's version relates to the stored one; stored times are 1,600,000,000 and some seconds.
    let names = [
        "same",
        "other-size",
        "other-time",
        "older",
        "newer",
        "same-looks",
        "missing",
    ];
    let files: Vec<(&str, &str)> = names.iter().map(|name| (*name, "stored")).collect();
    let (place, source) = stored("overwrite", &files);
    let prepare = || {
        let target = place.at(&format!("t{}", crate::common::place::unique()));
        copy(&source, &target);
        let change = |name: &str, text: &str, moved: i64| {
            let path = target.join(name);
            let time = path.metadata().unwrap().mtime();
            std::fs::write(&path, text).unwrap();
            set_mtime(&path, time + moved);
        };
        change("other-size", "longer than stored", 0);
        change("other-time", "edited", 5);
        change("older", "old...", -100);
        change("newer", "new...", 100);
        change("same-looks", "hidden", 0);
        std::fs::remove_file(target.join("missing")).unwrap();
        target
    };
    let after = |when: &[&str]| {
        let target = prepare();
        restore(&place, &source, &target, when).ok();
        names.map(|name| read(target.join(name)))
    };
    let all = ["stored"; 7];
    assert_eq!(after(&[]), all);
    assert_eq!(after(&["--overwrite", "always"]), all);
    let looks = [
        "stored", "stored", "stored", "stored", "stored", "hidden", "stored",
    ];
    assert_eq!(after(&["--overwrite", "if-changed"]), looks);
    let newer = [
        "stored",
        "longer than stored",
        "edited",
        "stored",
        "new...",
        "hidden",
        "stored",
    ];
    assert_eq!(after(&["--overwrite", "if-newer"]), newer);
    let never = [
        "stored",
        "longer than stored",
        "edited",
        "old...",
        "new...",
        "hidden",
        "stored",
    ];
    assert_eq!(after(&["--overwrite", "never"]), never);
    // A second restore over the first has nothing to do.
    let target = prepare();
    restore(&place, &source, &target, &[]).ok();
    let inodes = || names.map(|name| target.join(name).metadata().unwrap().ino());
    let before = inodes();
    let summary = restore(&place, &source, &target, &["--overwrite", "if-changed"])
        .ok()
        .summary();
    assert_eq!(inodes(), before);
    assert_eq!(number(&summary, "files_restored"), 0, "{summary}");
    assert_same(&source, &target, &members());
}

#[test]
fn delete_makes_the_same_and_goes_no_further() {
    let (place, source) = stored(
        "delete",
        &[("keep", "1"), ("dir/keep", "2"), ("empty-soon/x", "3")],
    );
    let extra = |target: &Path| {
        for path in ["extra", "dir/extra", "dir/more/deep/extra", ".hidden"] {
            let path = target.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, b"x").unwrap();
        }
        std::os::unix::fs::symlink("/", target.join("link-to-root")).unwrap();
    };
    let target = place.at("target");
    restore(&place, &source, &target, &[]).ok();
    extra(&target);
    restore(&place, &source, &target, &[]).ok();
    assert!(
        target.join("dir/more/deep/extra").exists(),
        "deleted without --delete"
    );
    restore(&place, &source, &target, &["--delete", "--dry-run"]).ok();
    assert!(
        target.join("dir/more/deep/extra").exists(),
        "deleted in a dry run"
    );
    let summary = restore(&place, &source, &target, &["--delete"])
        .ok()
        .summary();
    assert_same(&source, &target, &members());
    assert!(number(&summary, "files_deleted") >= 5, "{summary}");
    // With whole paths, the folders above what was snapshotted are not known as a whole: nothing goes there.
    let whole = place.at("whole");
    let source_there = below(&whole, &source);
    place
        .run(["restore", "latest", "--target", whole.to_str().unwrap()])
        .ok();
    extra(&source_there);
    std::fs::write(whole.join("beside"), b"x").unwrap();
    std::fs::write(source_there.parent().unwrap().join("sibling"), b"x").unwrap();
    place
        .run([
            "restore",
            "latest",
            "--delete",
            "--target",
            whole.to_str().unwrap(),
        ])
        .ok();
    assert!(
        whole.join("beside").exists() && source_there.parent().unwrap().join("sibling").exists()
    );
    std::fs::remove_file(source_there.parent().unwrap().join("sibling")).unwrap();
    assert_same(&source, &source_there, &Options::default());
}

#[test]
fn in_place_rewrites_what_differs() {
    let place = Place::new("in-place");
    let source = place.at("source");
    std::fs::create_dir_all(&source).unwrap();
    let bytes = Random::new(1).bytes(24_000_000);
    for name in ["large", "shorter", "longer", "holes"] {
        std::fs::write(source.join(name), &bytes).unwrap();
    }
    let holes = std::fs::OpenOptions::new()
        .write(true)
        .open(source.join("holes"))
        .unwrap();
    holes.set_len(30_000_000).unwrap();
    drop(holes);
    place.snapshot(&source);
    let target = place.at("target");
    copy(&source, &target);
    let patched = |name: &str, at: u64, what: &[u8]| {
        use std::os::unix::fs::FileExt;
        let file = std::fs::OpenOptions::new()
            .write(true)
            .open(target.join(name))
            .unwrap();
        file.write_all_at(what, at).unwrap();
    };
    patched("large", 5_000_000, &[9; 70_000]);
    patched("longer", 24_000_000, &[9; 100_000]);
    patched("holes", 27_000_000, &[9; 100_000]);
    let short = std::fs::OpenOptions::new()
        .write(true)
        .open(target.join("shorter"))
        .unwrap();
    short.set_len(20_000_000).unwrap();
    drop(short);
    let inodes = || {
        ["large", "shorter", "longer", "holes"]
            .map(|name| target.join(name).metadata().unwrap().ino())
    };
    let before = inodes();
    let summary = restore(&place, &source, &target, &["--in-place", "--verify"])
        .ok()
        .summary();
    assert_eq!(inodes(), before, "in place means in place");
    assert_same(&source, &target, &members());
    let written = number(&summary, "bytes_restored");
    assert!(
        written < 12_000_000,
        "{written} bytes written for three small differences: {summary}"
    );
    // Without it, the new file takes the old one's name, and whoever has the old one open keeps it whole.
    patched("large", 5_000_000, &[9; 70_000]);
    let open = std::fs::File::open(target.join("large")).unwrap();
    restore(&place, &source, &target, &[]).ok();
    assert_ne!(inodes()[0], open.metadata().unwrap().ino());
    assert_same(&source, &target, &members());
}

#[test]
fn a_dry_run_writes_nothing() {
    let (place, source) = stored("restore-dry", &[("a", "1"), ("sub/b", "2")]);
    let target = place.at("target");
    let summary = restore(&place, &source, &target, &["--dry-run"])
        .ok()
        .summary();
    assert!(!target.exists(), "a dry run made the target");
    assert_eq!(number(&summary, "total_files"), 2, "{summary}");
    copy(&source, &target);
    std::fs::write(target.join("a"), b"changed").unwrap();
    let before = place.at("before");
    copy(&target, &before);
    restore(
        &place,
        &source,
        &target,
        &["--dry-run", "--delete", "--in-place"],
    )
    .ok();
    assert_same(&before, &target, &Options::default());
}

#[test]
fn what_stands_in_the_way_is_replaced_by_its_kind() {
    let (place, source) = stored(
        "in-the-way",
        &[("file", "f"), ("dir/member", "m"), ("other", "o")],
    );
    std::os::unix::fs::symlink("file", source.join("link")).unwrap();
    place.snapshot(&source);
    let target = place.at("target");
    for (path, text) in [
        ("dir", "a file where a folder comes"),
        ("link", "a file where a link comes"),
    ] {
        std::fs::create_dir_all(&target).unwrap();
        std::fs::write(target.join(path), text).unwrap();
    }
    std::fs::create_dir(target.join("file")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", target.join("other")).unwrap();
    let passwd = std::fs::read("/etc/passwd").unwrap();
    restore(&place, &source, &target, &["--delete"]).ok();
    assert_same(&source, &target, &members());
    assert_eq!(std::fs::read("/etc/passwd").unwrap(), passwd);
    // A folder full of somebody's files is not deleted for a file's sake, unless deleting was asked for.
    std::fs::remove_file(target.join("file")).unwrap();
    std::fs::create_dir(target.join("file")).unwrap();
    std::fs::write(target.join("file/somebodys"), b"precious").unwrap();
    let run = restore(&place, &source, &target, &[]).exits(1);
    assert!(run.all_text().contains("/file"), "{run}");
    assert_eq!(read(target.join("file/somebodys")), "precious");
}

#[test]
fn restoring_over_a_restored_tree_changes_nothing() {
    let place = Place::new("twice");
    let source = place.at("source");
    everyday(&source, 4, 200);
    place.snapshot(&source);
    settle();
    let target = place.at("target");
    restore(&place, &source, &target, &[]).ok();
    let summary = restore(
        &place,
        &source,
        &target,
        &["--overwrite", "if-changed", "--verify"],
    )
    .ok()
    .summary();
    assert_eq!(number(&summary, "files_restored"), 0, "{summary}");
    assert_eq!(number(&summary, "bytes_restored"), 0, "{summary}");
    assert_same(&source, &target, &members());
    // Where it came from, in place.
    let ruined = crate::common::place::files_below(&source).pop().unwrap();
    std::fs::remove_file(&ruined).unwrap();
    std::fs::write(&ruined, b"ruined").unwrap();
    let twin = place.at("twin");
    copy(&target, &twin);
    place
        .run([
            "restore",
            "latest",
            "--target",
            "/",
            "--include",
            source.to_str().unwrap(),
        ])
        .ok();
    assert_same(&twin, &source, &members());
}

#[test]
fn a_target_that_cannot_be_written_is_an_error() {
    let (mut place, source) = stored("unwritable", &[("a", "1")]);
    place.open_to_all();
    let target = place.scratch.folder("locked");
    let mut command = place.command_as_nobody();
    command
        .arg("restore")
        .arg(crate::common::place::inside("latest", &source))
        .arg("--target")
        .arg(target.join("x"));
    let run = Run::of(command).exits(1);
    assert!(
        run.all_text().contains("locked"),
        "the folder is named: {run}"
    );
    // A file where the target should be.
    let file = place.at("file");
    std::fs::write(&file, b"mine").unwrap();
    restore(&place, &source, &file, &[]).exits(1);
    assert_eq!(read(&file), "mine");
}
