//! How the program behaves towards people, scripts and other users of the machine.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;
#[path = "manners/keep.rs"]
mod keep;
#[path = "manners/trust.rs"]
mod trust;

#[path = "manners/calendar.rs"]
mod calendar;
#[path = "manners/nights.rs"]
mod nights;

use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Stdio;

use common::place::{Place, Run, copy, files_below, inside, number, text};
use common::random::Random;
use common::tree::everyday;
use serde_json::Value;

/// Files 0600 (or 0400), folders 0700, all of them.
fn assert_private(root: &Path) {
    let mut folders = vec![root.to_path_buf()];
    let mut count = 0;
    while let Some(folder) = folders.pop() {
        assert_eq!(
            folder.metadata().unwrap().mode() & 0o7777,
            0o700,
            "{}",
            folder.display()
        );
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let mode = path.metadata().unwrap().mode() & 0o7777;
                assert!(
                    mode == 0o600 || mode == 0o400,
                    "{} has mode {mode:o}",
                    path.display()
                );
                count += 1;
            }
        }
    }
    assert!(count > 0, "nothing in {}", root.display());
}

#[test]
fn repository_cache_and_keys_are_private() {
    let place = Place::without_repository("private");
    // Whatever umask: the widest one there is.
    let wide = |args: &[&str]| {
        let command = place.bare();
        let program = std::ffi::OsString::from(common::place::PROGRAM);
        let mut shell = std::process::Command::new("sh");
        shell
            .args(["-c", "umask 000; exec \"$@\"", "sh"])
            .arg(&program);
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        shell.current_dir(place.scratch.path()).stdin(Stdio::null());
        shell
            .arg("-r")
            .arg(&place.repository)
            .arg("--key-file")
            .arg(place.at("made-key"));
        shell
            .arg("--cache-dir")
            .arg(&place.cache)
            .arg("--json")
            .args(args);
        Run::of(shell)
    };
    let tree = place.at("tree");
    everyday(&tree, 3, 200);
    // A key file that is not there yet is generated.
    wide(&["init"]).ok();
    std::fs::copy(place.at("made-key"), &place.key).unwrap();
    place.fill_index();
    assert_eq!(
        place.at("made-key").metadata().unwrap().mode() & 0o7777,
        0o600
    );
    wide(&["snapshot", tree.to_str().unwrap()]).ok();
    wide(&["snapshots"]).ok();
    wide(&["check"]).ok();
    assert_private(&place.repository);
    assert_private(&place.cache);
}

fn contains(bytes: &[u8], needle: &[u8]) -> bool {
    bytes.windows(needle.len()).any(|window| window == needle)
}

#[test]
fn nothing_stored_shows_what_is_in_it() {
    let place = Place::new("plaintext");
    place.fill_index();
    let mark = |name: &str| {
        let words: String = Random::of(name.as_bytes())
            .bytes(12)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        format!("mark{words}")
    };
    let names = [
        "content",
        "name",
        "folder",
        "target",
        "tag",
        "host",
        "exclude",
        "xattr",
        "xattr-name",
        "tiny",
        "stdin",
    ];
    let marks: Vec<String> = names.iter().map(|name| mark(name)).collect();
    let tree = place.scratch.folder("tree").join(mark("folder"));
    std::fs::create_dir(&tree).unwrap();
    everyday(&tree.join("more"), 1, 200);
    std::fs::write(tree.join("content"), mark("content").repeat(4_000)).unwrap();
    std::fs::write(tree.join("tiny"), mark("tiny")).unwrap();
    std::fs::write(tree.join(mark("name")), b"x").unwrap();
    std::os::unix::fs::symlink(mark("target"), tree.join("link")).unwrap();
    let xattr = |name: &str, value: &str| {
        let set = rustix::fs::setxattr(
            tree.join("tiny"),
            name,
            value.as_bytes(),
            rustix::fs::XattrFlags::empty(),
        );
        assert!(common::facility::attribute_set(name, set));
    };
    xattr("user.a", &mark("xattr"));
    xattr(&format!("user.{}", mark("xattr-name")), "v");
    let (tag, host, exclude) = (mark("tag"), mark("host"), mark("exclude"));
    for compression in ["off", "default"] {
        let flags = [
            "--tag",
            &tag,
            "--host",
            &host,
            "--exclude",
            &exclude,
            "--compression",
            compression,
            "--force",
        ];
        let mut args = vec!["snapshot"];
        args.extend_from_slice(&flags);
        args.push(tree.to_str().unwrap());
        place.run(&args).ok();
        let mut command = place.command();
        command.args([
            "snapshot",
            "--stdin",
            "--stdin-filename",
            &mark("stdin"),
            "--compression",
            compression,
        ]);
        command.stdin(Stdio::piped()).stdout(Stdio::null());
        let mut child = command.spawn().unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(mark("stdin").repeat(100).as_bytes())
            .unwrap();
        assert!(child.wait().unwrap().success());
    }
    // The search finds what is there: the marks are in the snapshot, as those with the key can see.
    let listed = place.run(["ls", "--recursive", "latest~1"]).ok().all_text();
    assert!(
        listed.contains(&mark("name")) && place.run(["snapshots"]).ok().all_text().contains(&tag)
    );
    let key = std::fs::read(&place.key).unwrap();
    let secret = key
        .split(|byte| byte.is_ascii_whitespace())
        .max_by_key(|word| word.len())
        .unwrap();
    assert!(secret.len() >= 32, "the key file has no long word in it");
    for file in files_below(&place.repository)
        .into_iter()
        .chain(files_below(&place.cache))
    {
        let bytes = std::fs::read(&file).unwrap();
        for (name, mark) in names.iter().zip(&marks) {
            assert!(
                !contains(&bytes, mark.as_bytes()),
                "the {name} stands in clear in {}",
                file.display()
            );
            assert!(
                !file.to_str().unwrap().contains(mark.as_str()),
                "the {name} is in a file name"
            );
        }
        assert!(
            !contains(&bytes, secret),
            "the key stands in {}",
            file.display()
        );
    }
}

#[test]
fn passwords_are_said_nowhere() {
    let place = Place::without_repository("password");
    let password = "hunter2-5b1f8f0c-secret";
    let wrong = "wrong-77aa-secret";
    let with = |password: &str, args: &[&str]| {
        let mut command = place.bare();
        command
            .env("DURAMEN_PASSWORD", password)
            .arg("-r")
            .arg(&place.repository);
        command
            .arg("--cache-dir")
            .arg(&place.cache)
            .arg("--json")
            .arg("-vv")
            .args(args);
        Run::of(command)
    };
    let mut said = vec![with(password, &["init"]).ok()];
    said.push(with(password, &["key", "list"]).ok());
    said.push(with(wrong, &["snapshots"]).exits(12));
    said.push(with(wrong, &["snapshot", "/etc/passwd"]).exits(12));
    said.push(with(password, &["ls", "latest"]).exits(1));
    // The program's own command line, read by a command that it runs itself.
    let look = "tr '\\0' ' ' </proc/$PPID/cmdline; tr '\\0' '\\n' </proc/$$/cmdline";
    said.push(
        with(
            password,
            &["snapshot", "--stdin-from-command", "--", "sh", "-c", look],
        )
        .ok(),
    );
    let seen = with(password, &["cat", "latest:/stdin"]).ok();
    assert!(seen.all_text().contains("--stdin-from-command"), "{seen}");
    said.push(seen);
    // A key file: neither its text nor a part of it.
    place.run(["key", "list"]).exits(12);
    for run in &said {
        for secret in [password, wrong] {
            assert!(!run.all_text().contains(secret), "said a password: {run}");
        }
    }
    for file in files_below(&place.repository) {
        assert!(
            !contains(&std::fs::read(&file).unwrap(), password.as_bytes()),
            "{}",
            file.display()
        );
    }
    // Password files and commands open it as well.
    let file = place.at("password-file");
    std::fs::write(&file, format!("{password}\n")).unwrap();
    for (flag, value) in [
        ("--password-file", file.to_str().unwrap().to_string()),
        ("--password-command", format!("cat {}", file.display())),
    ] {
        let mut command = place.bare();
        command.arg("-r").arg(&place.repository).args([
            "--no-cache",
            "--json",
            "snapshots",
            flag,
            &value,
        ]);
        Run::of(command).ok();
    }
    // No terminal to ask at: an error, not a hang.
    let mut command = place.bare();
    command
        .arg("-r")
        .arg(&place.repository)
        .args(["--json", "snapshots"]);
    let run = Run::of(command);
    assert!(matches!(run.code, Some(1 | 2 | 12)), "{run}");
}

#[test]
fn json_is_what_the_documents_say() {
    let place = Place::new("json");
    let tree = place.at("tree");
    everyday(&tree, 8, 40);
    let run = place
        .run(["snapshot", "--tag", "t", tree.to_str().unwrap()])
        .ok();
    let has = |object: &Value, fields: &[&str]| {
        for field in fields {
            assert!(object.get(field).is_some(), "no {field} in {object}");
        }
    };
    for object in run.objects() {
        assert!(object["message_type"].is_string(), "{object}");
    }
    let summary = run.summary();
    let work = [
        "files_new",
        "files_changed",
        "files_unmodified",
        "dirs_new",
        "dirs_changed",
        "dirs_unmodified",
        "data_added",
        "data_added_packed",
        "total_files_processed",
        "total_bytes_processed",
        "total_duration",
    ];
    has(&summary, &work);
    has(
        &summary,
        &[
            "snapshot_id",
            "parent",
            "kind",
            "state",
            "problem_count",
            "problems",
        ],
    );
    let files = files_below(&tree).len() as u64;
    assert_eq!(number(&summary, "files_new"), files);
    assert_eq!(number(&summary, "total_files_processed"), files);
    let bytes: u64 = files_below(&tree)
        .iter()
        .filter(|path| !path.is_symlink())
        .map(|path| path.metadata().unwrap().len())
        .sum();
    assert_eq!(number(&summary, "total_bytes_processed"), bytes);
    let all = place.snapshots();
    has(
        &all[0],
        &[
            "id", "short_id", "time", "host", "hostname", "username", "tags", "paths", "kind",
            "parent", "state",
        ],
    );
    has(&all[0]["summary"], &work);
    assert_eq!(all[0]["id"], summary["snapshot_id"]);
    assert!(text(&all[0], "id").starts_with(text(&all[0], "short_id")));
    let restored = place
        .restore_inside("latest", &tree, &place.at("back"))
        .ok()
        .summary();
    has(
        &restored,
        &[
            "files_restored",
            "files_skipped",
            "files_deleted",
            "bytes_restored",
            "total_files",
            "total_bytes",
        ],
    );
    assert_eq!(number(&restored, "files_restored"), files);
    let checked = place.run(["check"]).ok().summary();
    assert_eq!(number(&checked, "snapshots"), 1, "{checked}");
    let keys = place.run(["key", "list"]).ok();
    let keys: Value = serde_json::from_slice(&keys.stdout).unwrap();
    assert_eq!(keys.as_array().map(Vec::len), Some(1), "{keys}");
    has(&keys[0], &["id", "kind", "created", "current"]);
}

#[test]
fn stdout_holds_results_alone() {
    let place = Place::new("stdout");
    let tree = place.scratch.folder("tree");
    std::fs::write(tree.join("a"), b"exact bytes\0\xff").unwrap();
    place.snapshot(&tree);
    let human = |args: &[&std::ffi::OsStr]| {
        let mut command = place.bare();
        command
            .arg("-r")
            .arg(&place.repository)
            .arg("--key-file")
            .arg(&place.key)
            .arg("--no-cache")
            .args(args);
        Run::of(command)
    };
    let at = inside("latest", &tree.join("a"));
    assert_eq!(
        human(&["cat".as_ref(), at.as_os_str(), "-v".as_ref()])
            .ok()
            .stdout,
        b"exact bytes\0\xff"
    );
    let missing = inside("latest", &tree.join("no"));
    let run = human(&["cat".as_ref(), missing.as_os_str()]).exits(1);
    assert!(run.stdout.is_empty() && !run.stderr.is_empty(), "{run}");
    assert!(!run.all_text().contains("panicked"), "{run}");
    let folder = inside("latest", &tree);
    let listing = human(&["ls".as_ref(), folder.as_os_str()]).ok();
    assert!(
        String::from_utf8_lossy(&listing.stdout)
            .lines()
            .any(|line| line.ends_with('a')),
        "{listing}"
    );
    assert!(
        !listing.stdout.contains(&0x1b),
        "colours without a terminal: {listing}"
    );
    // A tar on stdout and what could not go into it on stderr: the stream stays a tar.
    let export = human(&[
        "export".as_ref(),
        folder.as_os_str(),
        "--format".as_ref(),
        "tar".as_ref(),
    ])
    .ok();
    assert_eq!(export.stdout.len() % 512, 0);
    // Quiet is quiet.
    let quiet = human(&["snapshot".as_ref(), "-q".as_ref(), tree.as_os_str()]).ok();
    assert!(quiet.stderr.is_empty(), "{quiet}");
    // A reader that goes away is no crash.
    let mut command = place.command();
    command
        .args(["ls", "--recursive", "latest"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    drop(child.stdout.take());
    let run = Run::from_output(
        child.wait_with_output().unwrap(),
        "ls into a closed pipe".into(),
    );
    assert!(!run.all_text().contains("panicked"), "{run}");
}

#[test]
fn exit_codes_are_the_documented_ones() {
    let place = Place::new("exit-codes");
    let tree = place.at("tree");
    everyday(&tree, 2, 200);
    place.snapshot(&tree);
    place.run(["no-such-command"]).exits(2);
    place.run(["snapshot"]).exits(2);
    place.run(["snapshot", "--no-such-flag", "/etc"]).exits(2);
    place.run(["restore", "latest"]).exits(2);
    place.run(["--help"]).exits(0);
    place
        .run(["restore", "ffffffff", "--target", "/nonexistent-target"])
        .fails(1, "not_found");
    place
        .run(["snapshot", "--parent", "ffffffff", tree.to_str().unwrap()])
        .fails(1, "not_found");
    // Damage is 4: on every command that meets it, and never a crash.
    let whole = place.at("whole");
    copy(&place.repository, &whole);
    // The largest pack is one of file content; the other holds the tree.
    let packs = files_below(&place.repository.join("packs"));
    let pack = packs
        .iter()
        .max_by_key(|pack| pack.metadata().unwrap().len())
        .unwrap();
    let mut bytes = std::fs::read(pack).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    common::place::chmod(pack, 0o600);
    std::fs::write(pack, bytes).unwrap();
    let run = place.run(["check", "--read-data"]).exits(4);
    assert!(
        run.all_text().contains("packs/"),
        "the damaged pack is named: {run}"
    );
    let run = place.restore_inside("latest", &tree, &place.at("back"));
    assert_eq!(run.code, Some(4), "{run}");
    // Restored is what could be, and nothing wrong among it.
    let restored = files_below(&place.at("back"));
    assert!(!restored.is_empty(), "nothing at all was restored");
    for file in restored {
        if !file.is_symlink() {
            let original = tree.join(file.strip_prefix(place.at("back")).unwrap());
            assert!(
                std::fs::read(&file).unwrap() == std::fs::read(original).unwrap(),
                "{}",
                file.display()
            );
        }
    }
    common::place::remove(&place.repository);
    copy(&whole, &place.repository);
    place.assert_clean();
    // Missing packs are damage, too, and `check` finds them without reading data.
    for pack in files_below(&place.repository.join("packs")) {
        std::fs::remove_file(pack).unwrap();
    }
    place.run(["check"]).exits(4);
}

#[test]
fn an_interrupted_snapshot_says_so() {
    let place = Place::new("interrupt");
    let tree = place.at("tree");
    everyday(&tree, 2, 30);
    place.snapshot(&tree);
    // A pipe that nobody writes into: the snapshot waits for it until it is interrupted.
    let mut command = place.command();
    command
        .args(["snapshot", "--stdin"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&[1; 100_000]).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(700));
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    // It may notice at the next bytes: give it some until it is gone.
    while child.try_wait().unwrap().is_none() {
        let _ = stdin.write_all(&[2; 10_000]);
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    drop(stdin);
    let run = Run::from_output(
        child.wait_with_output().unwrap(),
        "interrupted snapshot".into(),
    );
    assert_eq!(run.code, Some(130), "{run}");
    assert_eq!(place.snapshots().len(), 1);
    place.assert_clean();
}
