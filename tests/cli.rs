//! The command line as a script meets it, as far as that needs no repository: help, usage errors, exit codes, what
//! goes to which output, and where things would be made.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// The program in a home of its own, with nothing from our environment and no terminal.
fn duramen(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_duramen"));
    command
        .env_clear()
        .env("HOME", home)
        .stdin(Stdio::null())
        .current_dir(home);
    command
}

fn run(arguments: &[&str]) -> Output {
    let home = tempfile::tempdir().unwrap();
    duramen(home.path()).args(arguments).output().unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap_or_else(|| panic!("{output:?}"))
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn version_in_three_ways() {
    for arguments in [&["version"][..], &["--version"], &["-V"]] {
        let output = run(arguments);
        assert_eq!(code(&output), 0);
        assert_eq!(stdout(&output), "duramen 0.1.0\n");
    }
    let object: Value = serde_json::from_str(&stdout(&run(&["version", "--json"]))).unwrap();
    assert_eq!(object["message_type"], "version");
    assert_eq!(object["version"], "0.1.0");
}

#[test]
fn help_is_a_result_and_names_the_exit_codes() {
    let output = run(&["--help"]);
    assert_eq!(code(&output), 0);
    let text = stdout(&output);
    for part in [
        "snapshot",
        "DURAMEN_REPOSITORY",
        "Exit codes:",
        "130  interrupted",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    for command in [
        "init",
        "snapshot",
        "backup",
        "snapshots",
        "restore",
        "ls",
        "find",
        "diff",
        "history",
        "stats",
        "checkout",
        "mount",
        "unmount",
        "umount",
        "cat",
        "dump",
        "export",
        "forget",
        "annotate",
        "tag",
        "check",
    ] {
        let output = run(&[command, "--help"]);
        assert_eq!(code(&output), 0, "{command}");
        assert!(stdout(&output).contains("Examples:"), "{command}");
        assert!(output.stderr.is_empty(), "{command}");
    }
}

#[test]
fn help_shows_no_value_from_the_environment() {
    let home = tempfile::tempdir().unwrap();
    let output = duramen(home.path())
        .env("DURAMEN_PASSWORD", "sesame-open")
        .env("DURAMEN_REPOSITORY", "scheme://user:sesame-open@host")
        .env("DURAMEN_PASSWORD_COMMAND", "echo sesame-open")
        .args(["snapshot", "--help"])
        .output()
        .unwrap();
    assert!(!stdout(&output).contains("sesame"));
}

#[test]
fn wrong_usage_is_2_and_says_nothing_on_stdout() {
    for arguments in [
        &["no-such-command"][..],
        &[],
        &["snapshot"],
        &["snapshot", "--stdin", "/x"],
        &["snapshot", "--stdin-from-command"],
        &["snapshot", "/x", "--type", "some"],
        &["snapshot", "/x", "--exclude-larger-than", "big"],
        &["snapshot", "/x", "--time", "noon"],
        &["snapshot", "/x", "--compression", "23"],
        &["snapshot", ""],
        &["restore", "latest"],
        &["restore", "latest", "-t", "/t", "--overwrite", "maybe"],
        &["export", "latest"],
        &["key"],
        &[
            "key",
            "add",
            "--new-key-file",
            "a",
            "--new-password-file",
            "b",
        ],
        &["snapshots", "--quiet", "--verbose"],
        &["snapshots", "--password", "secret"],
    ] {
        let output = run(arguments);
        assert_eq!(code(&output), 2, "{arguments:?}: {output:?}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
        assert!(!output.stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn usage_errors_are_json_where_json_is_wanted() {
    for arguments in [
        &["snapshot", "--json", "--no-such-flag"][..],
        &["--json", "restore", "latest"],
        &["snapshot", "--json"],
    ] {
        let output = run(arguments);
        assert_eq!(code(&output), 2, "{arguments:?}");
        let object: Value = serde_json::from_str(&stderr(&output)).unwrap();
        assert_eq!(object["message_type"], "error", "{arguments:?}");
        assert_eq!(object["code"], "usage", "{arguments:?}");
        assert!(object["message"].as_str().unwrap().len() > 5);
        assert!(object["hint"].as_str().is_some());
    }
}

#[test]
fn no_default_repository_is_10_with_the_cure_and_makes_nothing() {
    let home = tempfile::tempdir().unwrap();
    for arguments in [
        &["snapshots"][..],
        &["ls", "latest"],
        &["cat", "latest:/x"],
        &["check"],
        &["restore", "latest", "-t", "back"],
        &["key", "list"],
    ] {
        let output = duramen(home.path()).args(arguments).output().unwrap();
        assert_eq!(code(&output), 10, "{arguments:?}: {output:?}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
        let said = stderr(&output);
        assert!(said.contains("-r") && said.contains("hint:"), "{said}");
    }
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
    let output = duramen(home.path())
        .args(["snapshots", "--json"])
        .output()
        .unwrap();
    let object: Value = serde_json::from_str(&stderr(&output)).unwrap();
    assert_eq!(object["code"], "no_repository");
}

#[test]
fn a_bad_setting_is_2_and_is_named() {
    let home = tempfile::tempdir().unwrap();
    let output = duramen(home.path())
        .env("DURAMEN_THREADS", "many")
        .args(["-r", "x", "snapshots"])
        .output()
        .unwrap();
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("DURAMEN_THREADS"));
}

#[test]
fn a_credential_that_cannot_be_read_is_named_and_never_shown() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("empty"), "\n").unwrap();
    let with = |arguments: &[&str]| {
        duramen(home.path())
            .args(["-r", "x", "snapshots"])
            .args(arguments)
            .output()
            .unwrap()
    };
    let missing = with(&["--password-file", "missing"]);
    assert_eq!(code(&missing), 1);
    assert!(stderr(&missing).contains("missing"));
    let empty = with(&["--password-file", "empty"]);
    assert_eq!(code(&empty), 2);
    let failing = with(&["--password-command", "printf sesame; exit 5"]);
    assert_eq!(code(&failing), 1);
    assert!(!stderr(&failing).contains("sesame"));
}

#[test]
fn lists_of_paths_are_checked_before_anything_is_made() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("torn"), b"/a\0/b").unwrap();
    fs::write(home.path().join("none"), b"# nothing\n\n").unwrap();
    for arguments in [
        &["snapshot", "--files-from-raw", "torn"][..],
        &["snapshot", "--files-from", "none"],
        &["snapshot", "--files-from", "-", "--files-from-raw", "-"],
    ] {
        let output = duramen(home.path()).args(arguments).output().unwrap();
        assert_eq!(code(&output), 2, "{arguments:?}: {output:?}");
    }
    let output = duramen(home.path())
        .args(["snapshot", "--files-from", "absent"])
        .output()
        .unwrap();
    assert_eq!(code(&output), 1);
    assert!(!home.path().join(".local").exists());
}

#[test]
fn unlock_explains_and_succeeds() {
    let output = run(&["unlock"]);
    assert_eq!(code(&output), 0);
    assert!(stdout(&output).contains("no locks"));
    let object: Value = serde_json::from_str(&stdout(&run(&["unlock", "--json"]))).unwrap();
    assert_eq!(object["message_type"], "unlock");
}

#[test]
fn completions_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = run(&["completions", shell]);
        assert_eq!(code(&output), 0, "{shell}");
        let script = stdout(&output);
        assert!(
            script.contains("snapshot") && script.contains("password-file"),
            "{shell}"
        );
    }
}

#[test]
fn manual_pages_one_or_all() {
    let one = run(&["man"]);
    assert_eq!(code(&one), 0);
    assert!(stdout(&one).contains(".TH duramen"), "{}", stdout(&one));
    let home = tempfile::tempdir().unwrap();
    let output = duramen(home.path())
        .args(["man", "pages"])
        .output()
        .unwrap();
    assert_eq!(code(&output), 0, "{output:?}");
    for page in ["duramen.1", "duramen-snapshot.1", "duramen-key-add.1"] {
        let text = fs::read_to_string(home.path().join("pages").join(page)).unwrap();
        assert!(text.contains("duramen"), "{page}");
    }
}

#[test]
fn a_reader_that_goes_away_ends_it_without_a_word() {
    use std::os::unix::process::ExitStatusExt;
    let home = tempfile::tempdir().unwrap();
    let mut child = duramen(home.path())
        .args(["completions", "bash"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.signal(), Some(13), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
}

#[test]
fn output_that_cannot_be_written_is_an_error() {
    let home = tempfile::tempdir().unwrap();
    let full = fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let output = duramen(home.path())
        .args(["completions", "bash"])
        .stdout(full)
        .output()
        .unwrap();
    assert_eq!(code(&output), 1);
    assert!(stderr(&output).contains("standard output"), "{output:?}");
}
