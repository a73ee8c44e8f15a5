//! What goes into a snapshot: excludes of every flag, lists of files, one file system, and doing nothing at all.

use std::collections::BTreeSet;
use std::path::Path;

use crate::common::place::{Place, number, text};

/// What is in the newest snapshot below `root`, as paths relative to it.
fn listed(place: &Place, root: &Path) -> BTreeSet<String> {
    let name = crate::common::place::inside("latest", root);
    let run = place
        .run(["ls".as_ref(), "--recursive".as_ref(), name.as_os_str()])
        .ok();
    let prefix = format!("{}/", root.to_str().unwrap());
    run.objects()
        .iter()
        .filter_map(|object| object["path"].as_str())
        .filter_map(|path| path.strip_prefix(&prefix))
        .map(str::to_string)
        .collect()
}

fn set(paths: &[&str]) -> BTreeSet<String> {
    paths.iter().map(ToString::to_string).collect()
}

fn make(root: &Path, files: &[(&str, &[u8])]) {
    for (path, bytes) in files {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
}

/// Snapshots the tree with these flags; what is in it.
fn with(place: &Place, root: &Path, flags: &[&str]) -> BTreeSet<String> {
    let mut args = vec!["snapshot"];
    args.extend_from_slice(flags);
    args.push(root.to_str().unwrap());
    let summary = place.run(args).ok().summary();
    assert_eq!(
        text(&summary, "state"),
        "complete",
        "what was left out on purpose is no problem: {summary}"
    );
    listed(place, root)
}

#[test]
fn excludes_of_every_flag() {
    let place = Place::new("excludes");
    let root = place.at("source");
    make(
        &root,
        &[
            ("keep.txt", b"k"),
            ("a.tmp", b"t"),
            ("B.TMP", b"t"),
            ("sub/c.tmp", b"t"),
            ("sub/build/out.o", b"o"),
            ("build/out.o", b"o"),
            ("big", &[7; 5_000]),
            ("small", &[7; 999]),
            ("marked/.nobackup", b""),
            ("marked/inside", b"i"),
            ("headed/TAG", b"Signature: yes"),
            ("headed/inside", b"i"),
            ("headed-wrong/TAG", b"something else"),
            ("headed-wrong/inside", b"i"),
            (
                "cached/CACHEDIR.TAG",
                b"Signature: 8a477f597d28d172789f06886806bc55\n# a cache",
            ),
            ("cached/inside", b"i"),
            ("cached-not/CACHEDIR.TAG", b"Signature: no"),
            ("cached-not/inside", b"i"),
            ("git/.gitignore", b"*.log\n!keep.log\n/only-top\n"),
            ("git/x.log", b"l"),
            ("git/keep.log", b"l"),
            ("git/only-top", b"l"),
            ("git/sub/only-top", b"l"),
            ("git/sub/y.log", b"l"),
        ],
    );
    let all = with(&place, &root, &[]);
    assert!(
        all.contains("cached/inside") && all.contains("git/x.log") && all.contains("B.TMP"),
        "{all:?}"
    );
    let without = |flags: &[&str]| -> BTreeSet<String> {
        all.difference(&with(&place, &root, flags))
            .cloned()
            .collect()
    };

    assert_eq!(
        without(&["--exclude", "*.tmp"]),
        set(&["a.tmp", "sub/c.tmp"])
    );
    assert_eq!(
        without(&["--iexclude", "*.tmp"]),
        set(&["a.tmp", "sub/c.tmp", "B.TMP"])
    );
    assert_eq!(
        without(&["--exclude", "build"]),
        set(&["build", "build/out.o", "sub/build", "sub/build/out.o"])
    );
    let anchored = format!("{}/build", root.to_str().unwrap());
    assert_eq!(
        without(&["--exclude", &anchored]),
        set(&["build", "build/out.o"])
    );
    assert_eq!(
        without(&["--exclude", "*.tmp", "--exclude", "!c.tmp"]),
        set(&["a.tmp"])
    );
    let patterns = place.at("patterns");
    std::fs::write(&patterns, "# a comment\n\n*.tmp\nsmall\n").unwrap();
    let patterns = patterns.to_str().unwrap();
    assert_eq!(
        without(&["--exclude-file", patterns]),
        set(&["a.tmp", "sub/c.tmp", "small"])
    );
    assert_eq!(without(&["--exclude-larger-than", "1000"]), set(&["big"]));
    assert_eq!(
        without(&["--exclude-larger-than", "998"]),
        set(&["big", "small"])
    );
    assert_eq!(without(&["--exclude-larger-than", "1K"]), set(&["big"]));
    let marked = without(&["--exclude-if-present", ".nobackup"]);
    assert!(
        marked.contains("marked/inside") && !marked.contains("marked"),
        "{marked:?}"
    );
    assert!(
        marked.iter().all(|path| path.starts_with("marked/")),
        "{marked:?}"
    );
    let headed = without(&["--exclude-if-present", "TAG:Signature"]);
    assert!(
        headed.contains("headed/inside") && headed.iter().all(|path| path.starts_with("headed/")),
        "{headed:?}"
    );
    let cached = without(&["--exclude-caches"]);
    assert!(
        cached.contains("cached/inside") && cached.iter().all(|path| path.starts_with("cached/")),
        "{cached:?}"
    );
    assert_eq!(
        without(&["--ignore-file", ".gitignore"]),
        set(&["git/x.log", "git/only-top", "git/sub/y.log"])
    );
    // Excludes stand in the snapshot, for whoever wonders later.
    let last = place
        .run(["snapshot", "--exclude", "*.tmp", root.to_str().unwrap()])
        .ok();
    assert_eq!(last.code, Some(0));
    let newest = place.snapshots().pop().unwrap();
    assert!(newest["excludes"].to_string().contains("*.tmp"), "{newest}");
    // A pattern that makes no sense is a usage error, before anything is read.
    place
        .run([
            "snapshot",
            "--exclude-file",
            "/no/such/file",
            root.to_str().unwrap(),
        ])
        .exits(1);
}

#[test]
fn what_an_exclude_left_out_comes_in_without_it() {
    let place = Place::new("exclude-later");
    let root = place.at("source");
    make(&root, &[("a", b"1"), ("b", b"2")]);
    assert_eq!(with(&place, &root, &["--exclude", "b"]), set(&["a"]));
    assert_eq!(with(&place, &root, &[]), set(&["a", "b"]));
    assert_eq!(with(&place, &root, &["--exclude", "a"]), set(&["b"]));
}

#[test]
fn lists_of_files() {
    let place = Place::new("files-from");
    let root = place.at("source");
    make(
        &root,
        &[
            ("one", b"1"),
            ("two words", b"2"),
            ("dir/three", b"3"),
            ("not", b"n"),
            ("#hash", b"4"),
        ],
    );
    let at = |name: &str| root.join(name).to_str().unwrap().to_string();
    let list = place.at("list");
    let lines = format!(
        "# comment\n{}\n\n{}\n{}\n",
        at("one"),
        at("two words"),
        at("dir")
    );
    std::fs::write(&list, lines).unwrap();
    place
        .run(["snapshot", "--files-from", list.to_str().unwrap()])
        .ok();
    assert_eq!(
        listed(&place, &root),
        set(&["one", "two words", "dir", "dir/three"])
    );
    std::fs::write(&list, format!("{}\0{}\0", at("#hash"), at("one"))).unwrap();
    place
        .run(["snapshot", "--files-from-raw", list.to_str().unwrap()])
        .ok();
    assert_eq!(listed(&place, &root), set(&["#hash", "one"]));
    // A path that is not there: the rest is stored, the path is named, and the exit code says it.
    std::fs::write(&list, format!("{}\n{}\n", at("one"), at("missing"))).unwrap();
    let run = place
        .run(["snapshot", "--files-from", list.to_str().unwrap()])
        .exits(3);
    assert_eq!(text(&run.summary(), "state"), "partial");
    assert!(
        run.summary()["problems"].to_string().contains("missing"),
        "{run}"
    );
    assert_eq!(listed(&place, &root), set(&["one"]));
    // Nothing of what was asked for is there: no snapshot.
    let before = place.snapshots().len();
    let run = place.run(["snapshot", &at("missing")]);
    assert_ne!(run.code, Some(0), "{run}");
    assert!(run.all_text().contains("missing"), "{run}");
    assert_eq!(
        place.snapshots().len(),
        before,
        "a snapshot of nothing was stored"
    );
}

#[test]
fn one_file_system() {
    let place = Place::new("one-file-system");
    let root = place.at("source");
    make(
        &root,
        &[("here", b"1"), ("mounted/below", b"hidden by the mount")],
    );
    let Some(mounted) = place.scratch.mount_tmpfs("source/mounted", "1m") else {
        return;
    };
    std::fs::write(mounted.join("there"), b"2").unwrap();
    assert_eq!(
        with(&place, &root, &[]),
        set(&["here", "mounted", "mounted/there"])
    );
    assert_eq!(
        with(&place, &root, &["--one-file-system"]),
        set(&["here", "mounted"])
    );
    // The mounted one named itself is meant.
    let paths = [root.to_str().unwrap(), mounted.to_str().unwrap()];
    place.run(["snapshot", "-x", paths[0], paths[1]]).ok();
    assert_eq!(
        listed(&place, &root),
        set(&["here", "mounted", "mounted/there"])
    );
}

#[test]
fn a_dry_run_stores_nothing() {
    let place = Place::new("dry-run");
    let root = place.at("source");
    make(&root, &[("one", &[1; 100_000]), ("two", b"2")]);
    let before = crate::common::place::files_below(&place.repository);
    let summary = place
        .run(["snapshot", "--dry-run", root.to_str().unwrap()])
        .ok()
        .summary();
    assert!(summary["snapshot_id"].is_null(), "{summary}");
    assert_eq!(number(&summary, "files_new"), 2);
    assert_eq!(crate::common::place::files_below(&place.repository), before);
    assert_eq!(place.snapshots().len(), 0);
}

#[test]
fn tags_host_and_time_are_recorded() {
    let place = Place::new("recorded");
    let root = place.at("source");
    make(&root, &[("one", b"1")]);
    let path = root.to_str().unwrap();
    place
        .run([
            "snapshot",
            "--tag",
            "x,y",
            "--host",
            "web1",
            "--time",
            "2001-02-03T04:05:06Z",
            path,
        ])
        .ok();
    place
        .run([
            "snapshot",
            "--tag",
            "x",
            "--host",
            "web2",
            "--time",
            "2011-02-03T04:05:06Z",
            path,
        ])
        .ok();
    let all = place.snapshots();
    assert_eq!(all.len(), 2);
    assert_eq!(all[0]["tags"], serde_json::json!(["x", "y"]));
    assert_eq!(text(&all[0], "host"), "web1");
    assert!(
        text(&all[0], "time").starts_with("2001-02-03T04:05:06"),
        "{}",
        all[0]
    );
    assert_eq!(all[0]["paths"], serde_json::json!([path]));
    // Named by time, by tag, by host, by distance and by prefix.
    std::fs::write(root.join("one"), b"3").unwrap();
    let id = |name: &[&str]| {
        let mut args = vec!["snapshots"];
        args.extend_from_slice(name);
        let run = place.run(args).ok();
        let found: Vec<serde_json::Value> = serde_json::from_slice(&run.stdout).unwrap();
        assert_eq!(found.len(), 1, "{name:?}: {run}");
        text(&found[0], "id").to_string()
    };
    let (old, new) = (text(&all[0], "id"), text(&all[1], "id"));
    assert_eq!(id(&["latest"]), new);
    assert_eq!(id(&["latest~1"]), old);
    assert_eq!(id(&["@2005-01-01T00:00Z"]), old);
    assert_eq!(id(&[&old[..12]]), old);
    assert_eq!(id(&["--tag", "y"]), old);
    assert_eq!(id(&["--host", "web2"]), new);
    assert_eq!(id(&["latest", "--tag", "x,y"]), old);
    place
        .run(["restore", "latest~2", "--target", "/nonexistent-target"])
        .exits(1);
    place
        .run(["restore", "@1999-01-01", "--target", "/nonexistent-target"])
        .exits(1);
}

#[test]
fn git_commit_and_branch_are_recorded() {
    let place = Place::new("git");
    let root = place.at("source");
    make(&root, &[("one", b"1")]);
    let git = |args: &[&str]| {
        let run = std::process::Command::new("git")
            .args(["-c", "user.name=a", "-c", "user.email=a@b", "-C"])
            .arg(&root)
            .args(args)
            .output()
            .expect("run git: install it");
        assert!(
            run.status.success(),
            "git {args:?}: {}",
            String::from_utf8_lossy(&run.stderr)
        );
        String::from_utf8(run.stdout).unwrap().trim().to_string()
    };
    git(&["init", "-q", "-b", "trunk"]);
    git(&["add", "one"]);
    git(&["commit", "-q", "-m", "first"]);
    let head = git(&["rev-parse", "HEAD"]);
    place.snapshot(&root);
    let newest = place.snapshots().pop().unwrap();
    assert_eq!(
        newest["git"],
        serde_json::json!({"commit": head, "branch": "trunk"}),
        "{newest}"
    );
    place.assert_restores("latest", &root);
}
