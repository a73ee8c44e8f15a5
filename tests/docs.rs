//! The documentation is true: every shell block of the guide runs as it stands, from top to bottom in one shell, in a
//! home that knows nothing yet; and so does what the README's first command does once the program is built.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

#[path = "tidy/markdown.rs"]
mod markdown;

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// Runs `script` in a new home, with the program on its path and places of a real machine moved below that home.
/// Returns all that was printed.
fn run(script: &str) -> String {
    let home = tempfile::tempdir().unwrap();
    let place = |name: &str| home.path().join(name).to_str().unwrap().to_owned();
    fs::create_dir(place("mnt")).unwrap();
    let script = script
        .replace("/mnt/backup", &place("mnt"))
        .replace("/tmp/duramen-restored", &place("restored"));
    let program = PathBuf::from(env!("CARGO_BIN_EXE_duramen"));
    let path = format!(
        "{}:{}",
        program.parent().unwrap().display(),
        std::env::var("PATH").unwrap()
    );
    let output = Command::new("bash")
        .args(["-euxo", "pipefail", "-c", &script])
        .env_clear()
        .env("HOME", home.path())
        .env("PATH", path)
        .env("LANG", "C.UTF-8")
        .current_dir(home.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "{:?}\n{said}", output.status);
    said
}

#[test]
fn a_command_that_fails_fails_the_test() {
    let failed = std::panic::catch_unwind(|| run("duramen snapshots | cat\ntrue"));
    assert!(failed.is_err(), "a failure in the middle went unnoticed");
}

#[test]
fn the_guide_works_as_it_is_written() {
    let guide = read("docs/guide.md");
    let blocks = markdown::shell_blocks(&guide);
    assert!(blocks.len() > 10, "the guide has lost its commands");
    let said = run(&blocks.concat());
    // Once from the newest snapshot, once more only from the one before the cake.
    assert!(said.contains("and a cake"), "{said}");
    assert!(said.contains("Dear Ann"), "{said}");
    assert!(said.contains("no damage found"), "{said}");
}

#[test]
fn the_nights_work_as_they_are_written() {
    let page = read("docs/nights.md");
    let blocks = markdown::shell_blocks(&page);
    assert!(blocks.len() >= 4, "the page has lost its commands");
    let said = run(&blocks.concat());
    for part in [
        "makes sense",
        "snapshot photos: ok",
        "nothing is due",
        "OnCalendar=",
    ] {
        assert!(said.contains(part), "{part}\n{said}");
    }
}

#[test]
fn the_readme_brings_back_what_it_took() {
    let readme = read("README.md");
    let main_job = markdown::shell_blocks(&readme).remove(0);
    let ours: Vec<&str> = main_job
        .trim()
        .split(" && ")
        .filter(|step| step.starts_with("duramen "))
        .collect();
    assert!(ours.len() >= 3, "{main_job}");
    let said = run(&format!(
        "{}\ntest -e /tmp/duramen-restored/etc/passwd\ncmp /etc/passwd /tmp/duramen-restored/etc/passwd",
        ours.join("\n")
    ));
    assert!(said.contains("/etc"), "{said}");
}
