//! Disks that are full, read-only or somebody else's; keys and formats that do not fit; files that do not belong.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;

use common::place::{Place, Run, files_below, inside, new_key, text};
use common::random::Random;
use common::tree::everyday;

fn small_tree(place: &Place) -> PathBuf {
    let tree = place.at("small");
    everyday(&tree, 11, 80);
    tree
}

fn remount(path: &Path, options: &str) {
    let status = Command::new("mount")
        .args(["-o", &format!("remount,{options}")])
        .arg(path)
        .status()
        .unwrap();
    assert!(
        status.success(),
        "remount {} with {options}",
        path.display()
    );
}

/// A place whose repository lies on a small disk of its own; none where this container may not mount.
fn on_a_small_disk(name: &str, size: &str) -> Option<(Place, PathBuf)> {
    let mut place = Place::without_repository(name);
    let disk = place.scratch.mount_tmpfs("disk", size)?;
    place.repository = disk.join("repository");
    place.run(["init"]).ok();
    Some((place, disk))
}

#[test]
fn a_disk_that_fills_up_loses_nothing() {
    let Some((place, disk)) = on_a_small_disk("full", "24m") else {
        return;
    };
    let tree = small_tree(&place);
    let first = place.snapshot(&tree);
    let large = place.scratch.folder("large");
    for at in 0..12 {
        std::fs::write(
            large.join(format!("part-{at}")),
            Random::new(at).bytes(5_000_000),
        )
        .unwrap();
    }
    for _ in 0..2 {
        let error = place
            .run(["snapshot", large.to_str().unwrap()])
            .fails(1, "no_space");
        let subject = text(&error, "subject");
        assert!(
            subject.contains("disk/repository"),
            "the full place is named: {error}"
        );
        assert!(error["hint"].is_string(), "{error}");
        // Reading goes on while it is full.
        let all = place.snapshots();
        assert_eq!(all.len(), 1);
        assert_eq!(all[0]["id"], first["snapshot_id"]);
        place.run(["check"]).ok();
        place.assert_restores("latest", &tree);
    }
    // With room again, the next one succeeds; nothing was left that hinders or that stays for good.
    remount(&disk, "size=200m");
    place.snapshot(&large);
    place.assert_restores("latest", &large);
    place.assert_restores("latest~1", &tree);
    place.assert_clean();
    for file in files_below(&place.repository) {
        let name = file.file_name().unwrap().to_str().unwrap().to_string();
        let known = name == "config"
            || name
                .bytes()
                .all(|byte| byte.is_ascii_hexdigit() || byte == b'.');
        assert!(known, "left behind: {}", file.display());
    }
}

#[test]
fn a_full_cache_hinders_nobody() {
    let mut place = Place::new("full-cache");
    let Some(disk) = place.scratch.mount_tmpfs("cache-disk", "64k") else {
        return;
    };
    place.cache = disk.join("cache");
    let tree = small_tree(&place);
    place.snapshot(&tree);
    everyday(&tree.join("more"), 12, 400);
    place.snapshot(&tree);
    place.assert_restores("latest", &tree);
    place.assert_clean();
}

#[test]
fn a_target_that_fills_up_is_an_error() {
    let place = Place::new("full-target");
    let tree = place.scratch.folder("tree");
    for at in 0..8 {
        std::fs::write(
            tree.join(format!("part-{at}")),
            Random::new(at).bytes(3_000_000),
        )
        .unwrap();
    }
    place.snapshot(&tree);
    let Some(disk) = place.scratch.mount_tmpfs("target-disk", "10m") else {
        return;
    };
    let run = place
        .restore_inside("latest", &tree, &disk.join("back"))
        .exits(1);
    assert!(run.all_text().contains("no_space"), "{run}");
    // What stands there under its own name is whole.
    for entry in std::fs::read_dir(disk.join("back")).unwrap() {
        let name = entry.unwrap().file_name();
        if !name.to_str().unwrap().starts_with('.') {
            let [there, original] = [disk.join("back").join(&name), tree.join(&name)];
            assert!(
                std::fs::read(there).unwrap() == std::fs::read(original).unwrap(),
                "{name:?} is half a file"
            );
        }
    }
    remount(&disk, "size=60m");
    place
        .restore_inside("latest", &tree, &disk.join("back"))
        .ok();
    let options = common::compare::Options {
        root: false,
        ..Default::default()
    };
    common::compare::assert_same(&tree, &disk.join("back"), &options);
}

#[test]
fn a_read_only_repository_can_be_read() {
    let Some((place, disk)) = on_a_small_disk("read-only", "40m") else {
        return;
    };
    let tree = small_tree(&place);
    place.snapshot(&tree);
    remount(&disk, "ro");
    assert_eq!(place.snapshots().len(), 1);
    place.assert_restores("latest", &tree);
    place.run(["ls", "latest"]).ok();
    place.run(["check", "--read-data"]).ok();
    place.run(["key", "list"]).ok();
    let error = place
        .run(["snapshot", tree.to_str().unwrap()])
        .fails(1, "read_only");
    assert!(
        text(&error, "subject").contains("disk/repository"),
        "{error}"
    );
    remount(&disk, "rw");
    place.snapshot(&tree);
    assert_eq!(place.snapshots().len(), 2);
}

#[test]
fn a_repository_of_somebody_else() {
    let mut place = Place::new("permission");
    let tree = small_tree(&place);
    place.snapshot(&tree);
    place.open_to_all();
    let as_nobody = |args: &[&str]| {
        let mut command = place.command_as_nobody();
        command.args(args);
        Run::of(command)
    };
    // Readable and not writable.
    as_nobody(&["snapshots"]).ok();
    as_nobody(&["ls", "latest"]).ok();
    as_nobody(&["check", "--read-data"]).ok();
    let error = as_nobody(&["snapshot", tree.to_str().unwrap()]).fails(1, "permission");
    assert!(text(&error, "subject").contains("repository"), "{error}");
    // Not readable either: not "no repository", and nothing about keys.
    common::place::chmod(&place.repository, 0o700);
    as_nobody(&["snapshots"]).fails(1, "permission");
    common::place::chmod(&place.repository, 0o755);
    common::place::chmod(&place.key, 0o600);
    let error = as_nobody(&["snapshots"]).fails(1, "permission");
    assert!(
        text(&error, "subject").ends_with("key"),
        "the key file is named: {error}"
    );
    assert_eq!(place.snapshots().len(), 1);
}

#[test]
fn wrong_keys_and_places_without_a_repository() {
    let mut place = Place::new("wrong-key");
    let wrong = place.at("wrong-key");
    let right = std::mem::replace(&mut place.key, wrong);
    new_key(&place.key);
    let error = place.run(["snapshots"]).fails(12, "wrong_key");
    assert!(error["hint"].is_string(), "{error}");
    place
        .run(["snapshot", "/etc/passwd"])
        .fails(12, "wrong_key");
    place.run(["check"]).fails(12, "wrong_key");
    place.key = right;
    place.run(["snapshots"]).ok();
    let nowhere = place.at("nowhere");
    let real = std::mem::replace(&mut place.repository, nowhere);
    for command in [
        vec!["snapshots"],
        vec!["snapshot", "/etc/passwd"],
        vec!["check"],
        vec!["ls", "latest"],
    ] {
        let error = place.run(&command).fails(10, "no_repository");
        assert!(text(&error, "subject").contains("nowhere"), "{error}");
        assert!(!place.at("nowhere").exists(), "{command:?} made something");
    }
    place.repository = place.scratch.folder("empty");
    place.run(["snapshots"]).fails(10, "no_repository");
    std::fs::write(place.at("empty/something"), b"else").unwrap();
    place.run(["snapshots"]).fails(10, "no_repository");
    // What lies there already is left as it is when a repository is made beside it.
    place.run(["init"]).ok();
    assert_eq!(std::fs::read(place.at("empty/something")).unwrap(), b"else");
    place.repository = place.at("empty/something");
    place.run(["snapshots"]).fails(10, "no_repository");
    // A key file that is none.
    place.repository = real;
    place.key = place.at("not-a-key");
    std::fs::write(&place.key, b"these are not the bytes of a key").unwrap();
    let run = place.run(["snapshots"]);
    assert!(matches!(run.code, Some(1 | 2 | 12)), "{run}");
    assert!(run.all_text().contains("key"), "{run}");
}

/// Puts another version into a stored file and makes its hash right again.
fn make_newer(file: &Path) {
    let mut bytes = std::fs::read(file).unwrap();
    let body = bytes.len() - 32;
    bytes[8..10].copy_from_slice(&900u16.to_le_bytes());
    let hash = *blake3::hash(&bytes[..body]).as_bytes();
    bytes[body..].copy_from_slice(&hash);
    common::place::chmod(file, 0o600);
    std::fs::write(file, bytes).unwrap();
}

/// A place with one snapshot, and all files of this part of its repository from the future.
fn with_newer(folder: &str) -> (Place, PathBuf) {
    let place = Place::new("newer");
    let tree = place.scratch.folder("tree");
    std::fs::write(tree.join("a"), b"1").unwrap();
    place.snapshot(&tree);
    let there = place.repository.join(folder);
    let files = if there.is_dir() {
        files_below(&there)
    } else {
        vec![there]
    };
    assert!(!files.is_empty(), "no {folder} in the repository");
    for file in &files {
        make_newer(file);
    }
    (place, tree)
}

#[test]
fn a_newer_repository_is_refused_by_name() {
    for folder in ["config", "keyring", "keys"] {
        let (place, tree) = with_newer(folder);
        let before = files_below(&place.repository);
        let error = place
            .run(["snapshot", tree.to_str().unwrap()])
            .fails(1, "unsupported");
        assert!(error.to_string().contains("900"), "{folder}: {error}");
        assert!(error["hint"].is_string(), "{folder}: {error}");
        assert_eq!(
            files_below(&place.repository),
            before,
            "{folder}: something was written or removed"
        );
        place
            .run([
                "restore",
                "latest",
                "--target",
                place.at("back").to_str().unwrap(),
            ])
            .fails(1, "unsupported");
        place.run(["check"]).fails(1, "unsupported");
    }
}

#[test]
fn a_newer_snapshot_is_never_passed_over_in_silence() {
    let (place, tree) = with_newer("snapshots");
    let target = place.at("back");
    let latest = ["restore", "latest", "--target", target.to_str().unwrap()];
    place.run(latest).fails(1, "unsupported");
    // It can serve as no parent, which is said; a new snapshot is whole without it.
    let run = place.run(["snapshot", tree.to_str().unwrap()]).ok();
    assert!(
        String::from_utf8_lossy(&run.stderr).contains("900"),
        "{run}"
    );
    assert_eq!(text(&run.summary(), "kind"), "full");
    // An older one must not be taken for the latest while there is one that cannot be read: name it, or be refused.
    let run = place.run(latest);
    assert!(run.all_text().contains("900"), "{run}");
    let id = text(
        &place
            .run(["snapshot", tree.to_str().unwrap()])
            .ok()
            .summary(),
        "snapshot_id",
    )
    .to_string();
    place
        .run(["restore", &id, "--target", target.to_str().unwrap()])
        .ok();
}

#[test]
fn files_that_do_not_belong_are_no_damage() {
    let place = Place::new("foreign");
    let tree = small_tree(&place);
    place.snapshot(&tree);
    let foreign = |name: &str| {
        let path = place.repository.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, b"not ours").unwrap();
    };
    for folder in [
        "lost+found",
        "System Volume Information",
        "packs/lost+found",
        "packs/.AppleDouble",
    ] {
        std::fs::create_dir_all(place.repository.join(folder)).unwrap();
    }
    for name in [
        ".DS_Store",
        "Thumbs.db",
        "README.txt",
        "config~",
        "config.bak",
        "packs/.DS_Store",
        "packs/00/.DS_Store",
        "packs/zz/something",
        "index/.DS_Store",
        "index/notes.txt",
        "snapshots/.DS_Store",
        "snapshots/.snapshot.swp",
        "snapshots/conflicted copy (1)",
        "keys/.DS_Store",
        "keys/mine.bak",
        "keyring/.DS_Store",
        "sessions/.DS_Store",
        "tombstones/.DS_Store",
        "annotations/.DS_Store",
    ] {
        foreign(name);
    }
    place.run(["check", "--read-data"]).ok();
    assert_eq!(place.snapshots().len(), 1);
    place.assert_restores("latest", &tree);
    std::fs::write(tree.join("new"), b"new").unwrap();
    place.snapshot(&tree);
    place.assert_restores("latest", &tree);
    place.run(["key", "list"]).ok();
    assert_eq!(
        std::fs::read(place.repository.join("config~")).unwrap(),
        b"not ours"
    );
    let mut command = place.command();
    command.arg("cat").arg(inside("latest", &tree.join("new")));
    assert_eq!(Run::of(command).ok().stdout, b"new");
}

#[test]
fn a_clock_set_back_is_no_harm() {
    let place = Place::new("clock");
    let tree = small_tree(&place);
    let at = |time: &str| {
        place
            .run(["snapshot", "--time", time, tree.to_str().unwrap()])
            .ok()
            .summary()
    };
    let late = at("2036-01-01T00:00:00Z");
    std::fs::write(tree.join("edited"), b"1").unwrap();
    let early = at("2005-01-01T00:00:00Z");
    // Files from the future and from before everything.
    for (name, seconds) in [("future", 4_000_000_000), ("past", -1_000_000_000)] {
        std::fs::write(tree.join(name), name).unwrap();
        let times = common::tree::times(seconds, 1);
        rustix::fs::utimensat(
            rustix::fs::CWD,
            tree.join(name),
            &times,
            rustix::fs::AtFlags::empty(),
        )
        .unwrap();
    }
    let now = place.snapshot(&tree);
    place.assert_restores(text(&now, "snapshot_id"), &tree);
    let listed: Vec<_> = place
        .snapshots()
        .iter()
        .map(|one| one["id"].clone())
        .collect();
    assert_eq!(
        listed,
        [
            early["snapshot_id"].clone(),
            now["snapshot_id"].clone(),
            late["snapshot_id"].clone()
        ]
    );
    place.assert_clean();
}
