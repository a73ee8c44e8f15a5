//! Golden repositories: what was once written stays readable, by this program and by a reader that shares no code with
//! it, down to the last attribute. The manifests beside them were taken from the file system that was snapshotted.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::{interpreter, python_ok, root};

fn golden() -> PathBuf {
    root().join("tests/golden/v1")
}

fn arguments(more: &[&str]) -> Vec<String> {
    let folder = golden();
    let own = [
        "--key-file".into(),
        folder.join("key").to_str().unwrap().to_owned(),
        folder.join("repository").to_str().unwrap().to_owned(),
    ];
    own.into_iter()
        .chain(more.iter().map(|word| (*word).to_owned()))
        .collect()
}

fn reader(more: &[&str]) -> String {
    let arguments = arguments(more);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    python_ok("duramen_reader.py", &arguments)
}

/// Ids of the snapshots, oldest first.
fn snapshots() -> Vec<String> {
    reader(&["list"])
        .lines()
        .map(|line| {
            let snapshot: Value = serde_json::from_str(line).unwrap();
            snapshot["id"].as_str().unwrap().to_owned()
        })
        .collect()
}

fn manifest(folder: &Path, number: usize) -> String {
    fs::read_to_string(folder.join(format!("{number}.manifest"))).unwrap()
}

fn make(arguments: &[&str], input: Stdio) -> String {
    let output = Command::new(interpreter())
        .arg(root().join("tests/golden/make.py"))
        .args(arguments)
        .stdin(input)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

fn same(what: &str, expected: &str, found: &str) {
    for (expected, found) in expected.lines().zip(found.lines()) {
        assert_eq!(expected, found, "{what}");
    }
    assert_eq!(expected.lines().count(), found.lines().count(), "{what}");
}

/// What stands in the folder, held against a manifest; owners' names are those of this machine, so numbers count.
fn same_tree(what: &str, number: usize, folder: &Path) {
    same_tree_of(&golden(), what, number, folder);
}

fn same_tree_of(golden: &Path, what: &str, number: usize, folder: &Path) {
    let prefix = folder.join("golden");
    let found = make(
        &["manifest", prefix.to_str().unwrap(), "/golden"],
        Stdio::null(),
    );
    let without_names = |text: &str| -> String {
        text.lines()
            .map(|line| {
                let mut entry: Value = lossy(line);
                if let Some(fields) = entry.as_object_mut() {
                    fields.remove("user");
                    fields.remove("group");
                    // The hash over `many/` covers names of owners as well.
                    fields.remove("many");
                }
                entry.to_string() + "\n"
            })
            .collect()
    };
    same(
        what,
        &without_names(&manifest(golden, number)),
        &without_names(&found),
    );
}

/// Names that are not UTF-8 stand as lone surrogates, which serde_json refuses: they stay as their escapes.
fn lossy(line: &str) -> Value {
    serde_json::from_str(&line.replace("\\ud", "\\\\ud")).unwrap()
}

fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

#[test]
fn the_second_reader_verifies_the_golden_repository() {
    let verified: Value = serde_json::from_str(&reader(&["verify"])).unwrap();
    assert_eq!(verified["snapshots"], 4);
    // Files whose cut points were made again: some of several chunks.
    assert!(verified["cut"].as_u64().unwrap() > 20, "{verified}");
    let folder = golden().join("repository");
    let by_passphrase = ["--passphrase", "golden", folder.to_str().unwrap(), "list"];
    let listed = python_ok("duramen_reader.py", &by_passphrase);
    assert_eq!(listed.lines().count(), 4);
}

#[test]
fn the_second_reader_lists_what_was_there() {
    let scratch = scratch();
    for (number, id) in (1..=3).zip(snapshots()) {
        let listed = scratch.path().join("listed");
        fs::write(&listed, reader(&["ls", &id])).unwrap();
        let found = make(&["listing"], fs::File::open(&listed).unwrap().into());
        same(
            &format!("snapshot {number}"),
            &manifest(&golden(), number),
            &found,
        );
    }
}

#[test]
fn the_second_reader_extracts_what_was_there() {
    let scratch = scratch();
    for (number, id) in (1..=3).zip(snapshots()) {
        let target = scratch.path().join(number.to_string());
        reader(&["extract", &id, target.to_str().unwrap()]);
        same_tree(&format!("snapshot {number} extracted"), number, &target);
    }
}

fn program(more: &[&str]) -> std::process::Output {
    program_on(&golden(), more)
}

fn program_on(folder: &Path, more: &[&str]) -> std::process::Output {
    let output = Command::new(env!("CARGO_BIN_EXE_duramen"))
        .args(["--no-cache", "--no-progress", "-r"])
        .arg(folder.join("repository"))
        .arg("--key-file")
        .arg(folder.join("key"))
        .args(more)
        .env_remove("DURAMEN_REPOSITORY")
        .env_remove("DURAMEN_PASSWORD")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{more:?}: {}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

#[test]
fn the_program_restores_what_was_there() {
    program(&["check", "--read-data"]);
    let scratch = scratch();
    for (number, id) in (1..=3).zip(snapshots()) {
        let target = scratch.path().join(number.to_string());
        program(&["restore", &id, "--target", target.to_str().unwrap()]);
        same_tree(&format!("snapshot {number} restored"), number, &target);
    }
    let stream = format!("{}:/stream", snapshots()[3]);
    let printed = program(&["cat", &stream]).stdout;
    assert_eq!(printed, b"from a pipe\n".repeat(40_000));
}

/// Dumps of three nights, of which the second and the third are recipes.
#[test]
fn recipes_come_back() {
    let folder = root().join("tests/golden/v1-recipes");
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let (key, place) = (text(&folder.join("key")), text(&folder.join("repository")));
    let reader = |more: &[&str]| {
        let own = ["--key-file", &key, &place];
        python_ok("duramen_reader.py", &[&own[..], more].concat())
    };
    let verified: Value = serde_json::from_str(&reader(&["verify"])).unwrap();
    // Three files of three nights, their cut points and the keys of recipes made again.
    assert_eq!(verified["cut"], 9, "{verified}");
    program_on(&folder, &["check", "--read-data"]);
    let scratch = scratch();
    let listed = reader(&["list"]);
    for (number, line) in (1..=3).zip(listed.lines()) {
        let snapshot: Value = serde_json::from_str(line).unwrap();
        let id = snapshot["id"].as_str().unwrap();
        let (own, other) = (
            scratch.path().join(format!("own {number}")),
            scratch.path().join(format!("other {number}")),
        );
        program_on(&folder, &["restore", id, "--target", &text(&own)]);
        same_tree_of(&folder, "restored", number, &own);
        reader(&["extract", id, &text(&other)]);
        same_tree_of(&folder, "extracted", number, &other);
    }
}

/// A replica set in three states, and in one between the second and the third.
#[test]
fn deployments_come_back() {
    let folder = root().join("tests/golden/v1-deployment");
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let (key, place) = (text(&folder.join("key")), text(&folder.join("repository")));
    let reader = |more: &[&str]| {
        let own = ["--key-file", &key, &place];
        python_ok("duramen_reader.py", &[&own[..], more].concat())
    };
    reader(&["verify"]);
    program_on(&folder, &["check", "--read-data"]);
    let scratch = scratch();
    let listed = reader(&["list"]);
    let ids: Vec<String> = listed
        .lines()
        .map(|line| {
            let snapshot: Value = serde_json::from_str(line).unwrap();
            snapshot["id"].as_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(ids.len(), 3);
    let exported = |id: &str, more: &[&str], target: &Path| {
        let to = text(target);
        let own = ["export", id, "--format", "mongodump", "-o", &to];
        program_on(&folder, &[&own[..], more].concat());
        documents(&target.join("golden"), "golden.")
    };
    for (number, id) in (1..=3).zip(&ids) {
        let expected = manifest(&folder, number);
        let target = scratch.path().join(format!("own {number}"));
        same("exported", &expected, &exported(id, &[], &target));
        let target = scratch.path().join(format!("other {number}"));
        fs::create_dir(&target).unwrap();
        reader(&["documents", id, &text(&target)]);
        same("by the second reader", &expected, &documents(&target, ""));
    }
    let between = fs::read_to_string(folder.join("between.manifest")).unwrap();
    let (second, expected) = between.split_once('\n').unwrap();
    let at = jiff::Timestamp::from_second(second.parse().unwrap()).unwrap();
    let target = scratch.path().join("between");
    let found = exported(&ids[2], &["--at", &at.to_string()], &target);
    same("between", expected, &found);
}

/// Hashes of all documents in the `.bson` files of a folder, as a manifest has them.
fn documents(folder: &Path, before: &str) -> String {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let Some(name) = name.strip_suffix(".bson") else {
            continue;
        };
        let bytes = fs::read(&path).unwrap();
        let mut rest = &bytes[..];
        while let Some(length) = rest.first_chunk() {
            let (own, behind) = rest.split_at(u32::from_le_bytes(*length) as usize);
            all.push(format!("{before}{name} {}\n", blake3::hash(own).to_hex()));
            rest = behind;
        }
    }
    all.sort();
    all.concat()
}

/// The second reader is no rubber stamp: any file with a changed byte is refused.
#[test]
fn the_second_reader_refuses_damage() {
    let scratch = scratch();
    let copy = scratch.path().join("repository");
    let status = Command::new("cp")
        .arg("-r")
        .arg(golden().join("repository"))
        .arg(&copy)
        .status();
    assert!(status.unwrap().success());
    let key = golden().join("key");
    let (key, place) = (key.to_str().unwrap(), copy.to_str().unwrap());
    for folder in ["config", "keyring", "index", "snapshots", "packs"] {
        // The last by name: of key rings only that one is read.
        let path = last_file(&copy.join(folder));
        let whole = fs::read(&path).unwrap();
        let mut damaged = whole.clone();
        let middle = damaged.len() / 2;
        damaged[middle] ^= 0x10;
        fs::write(&path, damaged).unwrap();
        let arguments = ["--key-file", key, place, "verify"];
        let output = crate::support::python("duramen_reader.py", &arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            !output.status.success() && said.contains("damage:"),
            "{folder}: {said}"
        );
        fs::write(&path, whole).unwrap();
    }
}

fn last_file(path: &Path) -> PathBuf {
    if path.is_file() {
        return path.to_owned();
    }
    let mut below: Vec<PathBuf> = fs::read_dir(path)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    below.sort();
    last_file(below.last().unwrap())
}
