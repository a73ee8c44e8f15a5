//! The tree with every oddity, there and back.

use std::path::Path;

use duramen::format::entry::Node;
use duramen::ops::open::{Credential, OpenOptions};
use duramen::progress::Silent;

use crate::common::compare::{Options, assert_same, compare};
use crate::common::facility;
use crate::common::place::{Place, Run, below, number, remove, settle, text};
use crate::common::tree::everyday;
use crate::common::tree_parts::{Scale, oddities};

/// The directory `path` of a snapshot as its entry stands in the repository, times and all.
fn stored_tree(place: &Place, snapshot: &str, path: &Path) -> duramen::format::entry::Entry {
    use std::os::unix::ffi::OsStrExt;
    let options = OpenOptions {
        location: place.repository.to_str().unwrap().into(),
        credentials: vec![Credential::KeyFile(zeroize::Zeroizing::new(
            std::fs::read(&place.key).unwrap(),
        ))],
        cache: None,
        state: None,
        threads: 1,
        rates: Default::default(),
    };
    let repository = duramen::ops::open::open(&options, &Silent).unwrap();
    let snapshot = duramen::ops::select::one(&repository, snapshot, &Default::default()).unwrap();
    repository
        .find(&snapshot, path.as_os_str().as_bytes())
        .unwrap()
        .entry
}

#[test]
fn every_oddity_comes_back() {
    let mut place = Place::new("oddities");
    let source = place.at("source");
    oddities(&source, Scale::Full);
    settle();

    let first = place.snapshot(&source);
    assert_eq!(text(&first, "state"), "complete", "{first}");

    // All of it, paths kept whole, read back and verified.
    let target = place.at("back");
    place
        .run([
            "restore",
            "latest",
            "--verify",
            "--target",
            target.to_str().unwrap(),
        ])
        .ok();
    assert_same(&source, &below(&target, &source), &Options::default());
    remove(&target);

    // The second snapshot finds nothing new, reads nothing, and stores next to nothing.
    let before = place.stored();
    let second = place.snapshot(&source);
    let grown = place.stored() - before;
    assert!(
        grown < 4096,
        "an unchanged snapshot stored {grown} bytes: {second}"
    );
    assert!(number(&second, "data_added_packed") < 4096, "{second}");
    assert_eq!(
        number(&second, "files_new") + number(&second, "files_changed"),
        0,
        "{second}"
    );
    assert_eq!(
        number(&second, "files_unmodified"),
        number(&first, "files_new"),
        "{second}"
    );
    assert_eq!(number(&second, "bytes_read"), 0, "{second}");
    assert_eq!(text(&second, "kind"), "incremental");
    assert_eq!(second["parent"], first["snapshot_id"], "{second}");
    let trees =
        [&first, &second].map(|summary| stored_tree(&place, text(summary, "snapshot_id"), &source));
    assert!(matches!(trees[0].node, Node::Directory(directory) if directory.root.is_some()));
    assert_eq!(trees[0], trees[1]);

    // Reading everything again finds the same.
    let before = place.stored();
    let forced = place
        .run(["snapshot", "--force", source.to_str().unwrap()])
        .ok()
        .summary();
    assert_eq!(
        stored_tree(&place, text(&forced, "snapshot_id"), &source),
        trees[0]
    );
    let grown = place.stored() - before;
    assert!(
        grown < 200_000,
        "reading the same again stored {grown} bytes: {forced}"
    );

    // A restore is a tree that gives the same snapshot: nothing of this host or this moment is in it.
    let again = place.at("again");
    place.restore_inside("latest", &source, &again).ok();
    assert_same(
        &source,
        &again,
        &Options {
            root: false,
            ..Options::default()
        },
    );
    let copied = place.snapshot(&again);
    let (Node::Directory(old), Node::Directory(new)) = (
        &trees[0].node,
        &stored_tree(&place, text(&copied, "snapshot_id"), &again).node,
    ) else {
        panic!("no directories")
    };
    assert_eq!(
        (old.entries, old.files, old.bytes),
        (new.entries, new.files, new.bytes)
    );
    assert!(
        number(&copied, "data_added") < 400_000,
        "a restored tree stored its content again: {copied}"
    );
    remove(&again);

    place.assert_clean();
    as_a_normal_user(&mut place, &source);
}

/// What root stored, somebody else restores: all bytes and names; what only root may make is named, with exit code 1.
fn as_a_normal_user(place: &mut Place, source: &Path) {
    place.open_to_all();
    let target = place.at("home-of-nobody/back");
    let mut command = place.command_as_nobody();
    command
        .arg("restore")
        .arg(crate::common::place::inside("latest", source))
        .arg("--target")
        .arg(&target);
    // `latest` is the copied tree: name the source's own snapshot.
    let run = Run::of({
        command.arg("--path").arg(source);
        command
    })
    .exits(1);
    let summary = run.summary();
    let problems = summary["problems"]
        .as_array()
        .unwrap_or_else(|| panic!("no problems in {run}"));
    assert!(!problems.is_empty(), "{run}");
    for problem in problems {
        let path = text(problem, "path");
        let fitting = path.contains("/special/char-")
            || path.contains("/special/block")
            || path.contains("/attributes/");
        assert!(fitting, "a normal user can restore this: {problem}");
    }
    let ours = |attribute: &str| ["uid", "gid", "missing", "mode"].contains(&attribute);
    for difference in compare(
        source,
        &target,
        &Options {
            root: false,
            ..Options::default()
        },
    ) {
        let path = difference.path.escape_ascii().to_string();
        match difference.attribute.as_str() {
            "uid" | "gid" => {}
            "missing" => assert!(
                path.starts_with("special/char-") || path.starts_with("special/block"),
                "{difference:?}"
            ),
            // Setuid and setgid bits of a file that changed hands are dropped, not handed to another owner.
            "mode" => assert!(path.starts_with("modes/"), "{difference:?}"),
            attribute
                if attribute.starts_with("xattr trusted.")
                    || attribute.starts_with("xattr security.") => {}
            attribute => panic!(
                "{}: {difference:?}",
                if ours(attribute) {
                    "wrong here"
                } else {
                    "lost"
                }
            ),
        }
    }
}

#[test]
fn an_everyday_tree_restores_for_everybody() {
    let mut place = Place::new("everyday");
    let source = place.at("source");
    everyday(&source, 5, 300);
    place.snapshot(&source);
    place.assert_restores("latest", &source);
    place.open_to_all();
    let target = place.at("home-of-nobody/back");
    let mut command = place.command_as_nobody();
    command
        .arg("restore")
        .arg(crate::common::place::inside("latest", &source))
        .arg("--target")
        .arg(&target);
    Run::of(command).ok();
    assert_same(
        &source,
        &target,
        &Options {
            root: false,
            owner: false,
            ..Options::default()
        },
    );
    // Nothing belongs to anybody else than who restored.
    let stat = rustix::fs::lstat(target.join("file00000"))
        .or_else(|_| rustix::fs::lstat(&target))
        .unwrap();
    assert_eq!((stat.st_uid, stat.st_gid), (65_534, 65_534));
    facility::need_root();
}

#[test]
fn kinds_and_parents() {
    let place = Place::new("kinds");
    let source = place.at("source");
    everyday(&source, 9, 60);
    let take = |kind: &str| {
        place
            .run(["snapshot", "--type", kind, source.to_str().unwrap()])
            .ok()
            .summary()
    };
    // Nothing to compare with yet: everything was read, so it is a full one.
    let first = take("incremental");
    assert_eq!(text(&first, "kind"), "full", "{first}");
    assert!(first["parent"].is_null(), "{first}");
    let second = take("incremental");
    assert_eq!(
        (text(&second, "kind"), &second["parent"]),
        ("incremental", &first["snapshot_id"])
    );
    let third = take("differential");
    assert_eq!(
        (text(&third, "kind"), &third["parent"]),
        ("differential", &first["snapshot_id"])
    );
    let fourth = take("full");
    assert_eq!(text(&fourth, "kind"), "full");
    assert!(fourth["parent"].is_null(), "{fourth}");
    let fifth = take("differential");
    assert_eq!(fifth["parent"], fourth["snapshot_id"]);
    // Another host is another source, unless a parent is named.
    let other = place
        .run(["snapshot", "--host", "other", source.to_str().unwrap()])
        .ok()
        .summary();
    assert!(other["parent"].is_null(), "{other}");
    let named = text(&second, "snapshot_id");
    let led = place
        .run([
            "snapshot",
            "--host",
            "third",
            "--parent",
            named,
            source.to_str().unwrap(),
        ])
        .ok()
        .summary();
    assert_eq!(led["parent"].as_str(), Some(named), "{led}");
    // Every one of them is whole.
    for snapshot in place.snapshots() {
        place.assert_restores(text(&snapshot, "id"), &source);
    }
    let filtered = place.run(["snapshots", "--host", "other"]).ok();
    let filtered: Vec<serde_json::Value> = serde_json::from_slice(&filtered.stdout).unwrap();
    assert_eq!(filtered.len(), 1);
    assert_eq!(filtered[0]["id"], other["snapshot_id"]);
}

#[test]
fn several_paths_in_one_snapshot() {
    let place = Place::new("several");
    let (one, two) = (place.at("one/deep/er"), place.at("two"));
    everyday(&one, 1, 20);
    everyday(&two, 2, 20);
    let lone = place.at("lone file");
    std::fs::write(&lone, b"alone").unwrap();
    std::fs::write(place.at("not asked for"), b"x").unwrap();
    let paths = [&one, &two, &lone].map(|path| path.to_str().unwrap());
    let summary = place
        .run(["snapshot", paths[0], paths[1], paths[2]])
        .ok()
        .summary();
    assert_eq!(text(&summary, "state"), "complete");
    let target = place.at("back");
    place
        .run(["restore", "latest", "--target", target.to_str().unwrap()])
        .ok();
    assert_same(&one, &below(&target, &one), &Options::default());
    assert_same(&two, &below(&target, &two), &Options::default());
    assert_eq!(std::fs::read(below(&target, &lone)).unwrap(), b"alone");
    assert!(!below(&target, &place.at("not asked for")).exists());
    // The folders above come back as they are, too.
    let above = [place.at("one"), below(&target, &place.at("one"))]
        .map(|path| rustix::fs::lstat(path).unwrap());
    assert_eq!(
        (above[0].st_mtime, above[0].st_mode),
        (above[1].st_mtime, above[1].st_mode)
    );
    // Relative paths mean the same.
    let mut command = place.command();
    command.args(["snapshot", "two"]);
    Run::of(command).ok();
    place.assert_restores("latest", &two);
}
