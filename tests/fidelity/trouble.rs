//! Files that cannot be read, change while they are read, or vanish: named, counted, exit code 3, state partial, and
//! everything else stored all the same.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;

use crate::common::place::{Place, Run, chmod, number, text};
use crate::common::random::Random;

/// Fails unless the run said partial in all the ways in which it must, and returns the problems.
fn partial(run: Run) -> Vec<Value> {
    let run = run.exits(3);
    let summary = run.summary();
    assert_eq!(text(&summary, "state"), "partial", "{run}");
    assert!(summary["snapshot_id"].is_string(), "{run}");
    let problems = summary["problems"]
        .as_array()
        .unwrap_or_else(|| panic!("no problems: {run}"))
        .clone();
    assert!(!problems.is_empty(), "{run}");
    assert!(
        number(&summary, "problem_count") >= problems.len() as u64,
        "{run}"
    );
    for problem in &problems {
        let path = text(problem, "path");
        assert!(
            String::from_utf8_lossy(&run.stderr).contains(path),
            "{path} is not named on stderr: {run}"
        );
    }
    problems
}

#[test]
fn what_may_not_be_read_is_named() {
    let mut place = Place::new("unreadable");
    place.open_to_all();
    let source = place.scratch.folder("source");
    for (path, mode) in [
        ("open", 0o644),
        ("secret", 0o600),
        ("dir/inside", 0o644),
        ("locked/inside", 0o644),
    ] {
        let path = source.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, b"content").unwrap();
        chmod(&path, mode);
    }
    chmod(&source, 0o755);
    chmod(&source.join("dir"), 0o755);
    chmod(&source.join("locked"), 0o700);
    let own = place.repository.clone();
    let give = Command::new("chown")
        .args(["-R", "65534:65534"])
        .arg(&own)
        .arg(&place.key)
        .status()
        .unwrap();
    assert!(give.success());
    let mut command = place.command_as_nobody();
    command.arg("snapshot").arg(&source);
    let problems = partial(Run::of(command));
    let mut paths: Vec<&str> = problems
        .iter()
        .map(|problem| text(problem, "path"))
        .collect();
    // A folder may be named twice: for its members, and for its attributes.
    paths.dedup();
    assert_eq!(paths.len(), 2, "{problems:?}");
    assert!(
        paths.iter().any(|path| path.ends_with("/secret")),
        "{paths:?}"
    );
    assert!(
        paths.iter().any(|path| path.ends_with("/locked")),
        "{paths:?}"
    );
    // The list shows it, the rest is there, and the repository is sound.
    let newest = place.snapshots().pop().unwrap();
    assert_eq!(text(&newest, "state"), "partial");
    let target = place.at("back");
    place.restore_inside("latest", &source, &target).ok();
    for path in ["open", "dir/inside"] {
        assert_eq!(std::fs::read(target.join(path)).unwrap(), b"content");
    }
    assert!(
        !target.join("secret").exists(),
        "a file that could not be read came back as something"
    );
    place.assert_clean();
    // Once it may be read, the next snapshot has it, though nothing else changed.
    chmod(&source.join("secret"), 0o644);
    chmod(&source.join("locked"), 0o755);
    let mut command = place.command_as_nobody();
    command.arg("snapshot").arg(&source);
    assert_eq!(text(&Run::of(command).ok().summary(), "state"), "complete");
    place.assert_restores("latest", &source);
}

/// Snapshots while `meddle` runs again and again, until the change was caught; few rounds are enough, since it
/// meddles thousands of times in the time that one snapshot takes.
fn until_caught(place: &Place, source: &Path, meddle: impl Fn(u64) + Sync) -> Vec<Value> {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut count = 0;
            while !done.load(Ordering::Relaxed) {
                meddle(count);
                count += 1;
            }
        });
        let caught = (0..20).find_map(|_| {
            let run = place.run(["snapshot", "--force", source.to_str().unwrap()]);
            (run.code != Some(0)).then(|| partial(run))
        });
        done.store(true, Ordering::Relaxed);
        caught.expect("20 snapshots, and none saw a change that went on all the time")
    })
}

#[test]
fn a_file_that_changes_while_it_is_read_is_named() {
    let place = Place::new("changing");
    let source = place.scratch.folder("source");
    let (busy, calm) = (source.join("busy"), source.join("calm"));
    std::fs::write(&busy, Random::new(8).bytes(80_000_000)).unwrap();
    std::fs::write(&calm, b"calm").unwrap();
    let file = std::fs::OpenOptions::new().write(true).open(&busy).unwrap();
    let problems = until_caught(&place, &source, |count| {
        use std::os::unix::fs::FileExt;
        file.write_all_at(&count.to_le_bytes(), count * 4_096 % 80_000_000)
            .unwrap();
    });
    assert!(
        problems
            .iter()
            .all(|problem| text(problem, "path").ends_with("/busy")),
        "{problems:?}"
    );
    place.assert_clean();
    // The next one, in peace, is complete and right.
    let summary = place.snapshot(&source);
    assert_eq!(text(&summary, "state"), "complete");
    place.assert_restores("latest", &source);
}

#[test]
fn a_file_that_grows_or_shrinks_while_it_is_read_is_named() {
    let place = Place::new("growing");
    let source = place.scratch.folder("source");
    let log = source.join("log");
    std::fs::write(&log, Random::new(8).bytes(40_000_000)).unwrap();
    let file = std::fs::OpenOptions::new().append(true).open(&log).unwrap();
    let problems = until_caught(&place, &source, |_| {
        use std::io::Write;
        (&file).write_all(b"one more line\n").unwrap();
    });
    assert!(
        problems
            .iter()
            .all(|problem| text(problem, "path").ends_with("/log")),
        "{problems:?}"
    );
    let problems = until_caught(&place, &source, |count| {
        file.set_len(40_000_000 - count % 30_000_000).unwrap()
    });
    assert!(
        problems
            .iter()
            .all(|problem| text(problem, "path").ends_with("/log")),
        "{problems:?}"
    );
    place.assert_clean();
    place.snapshot(&source);
    place.assert_restores("latest", &source);
}

#[test]
fn files_that_vanish_are_named() {
    let place = Place::new("vanishing");
    let source = place.scratch.folder("source");
    std::fs::write(source.join("stays"), b"stays").unwrap();
    let name = |at: u64| source.join(format!("comes-and-goes-{at:03}"));
    let problems = until_caught(&place, &source, |count| {
        let (old, new) = (count % 300, (count + 150) % 300);
        let _ = std::fs::remove_file(name(old));
        std::fs::write(name(new), vec![7; 3_000]).unwrap();
    });
    for problem in &problems {
        let path = text(problem, "path");
        // The folder itself may be named too: it changed while it was read.
        assert!(
            path.contains("/comes-and-goes-") || path.ends_with("/source"),
            "{problem}"
        );
    }
    place.assert_clean();
    let summary = place.snapshot(&source);
    assert_eq!(text(&summary, "state"), "complete");
    place.assert_restores("latest", &source);
}
