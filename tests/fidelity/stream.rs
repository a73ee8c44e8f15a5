//! Standard input and the output of a command as sources; `cat` and `ls` as the way back.

use std::io::Write;
use std::process::Stdio;

use crate::common::place::{Place, Run, number, text};
use crate::common::random::Random;

fn feed(place: &Place, args: &[&str], bytes: &[u8]) -> Run {
    let mut command = place.command();
    command
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            // A program that ends early closes the pipe: its exit code tells, not this.
            let _ = stdin.write_all(bytes);
        });
        Run::from_output(child.wait_with_output().unwrap(), format!("{command:?}"))
    })
}

#[test]
fn standard_input_comes_back_by_cat() {
    let place = Place::new("stdin");
    let bytes = Random::new(3).bytes(9_000_001);
    let summary = feed(
        &place,
        &["snapshot", "--stdin", "--stdin-filename", "dump.sql"],
        &bytes,
    )
    .ok()
    .summary();
    assert_eq!(
        number(&summary, "total_bytes_processed"),
        bytes.len() as u64
    );
    assert!(
        place.run(["cat", "latest:/dump.sql"]).ok().stdout == bytes,
        "cat gave other bytes"
    );
    // The name is `stdin` where none is given, and an empty stream is an empty file.
    feed(&place, &["snapshot", "--stdin"], b"").ok();
    assert_eq!(place.run(["cat", "latest:/stdin"]).ok().stdout, b"");
    // The same stream again stores next to nothing.
    let before = place.stored();
    feed(
        &place,
        &["snapshot", "--stdin", "--stdin-filename", "dump.sql"],
        &bytes,
    )
    .ok();
    assert!(place.stored() - before < 20_000);
    place.assert_clean();
    let target = place.at("back");
    place
        .run(["restore", "latest", "--target", target.to_str().unwrap()])
        .ok();
    assert!(std::fs::read(target.join("dump.sql")).unwrap() == bytes);
}

#[test]
fn a_command_that_fails_makes_no_snapshot() {
    let place = Place::new("command");
    let script = |text: &str| {
        place.run([
            "snapshot",
            "--stdin-from-command",
            "--stdin-filename",
            "all.sql",
            "--",
            "sh",
            "-c",
            text,
        ])
    };
    let summary = script("printf 'one\\ntwo\\n'").ok().summary();
    assert_eq!(text(&summary, "state"), "complete");
    assert_eq!(
        place.run(["cat", "latest:/all.sql"]).ok().stdout,
        b"one\ntwo\n"
    );
    for bad in ["echo some; exit 7", "echo some; kill -9 $$", "exit 1"] {
        let run = script(bad);
        assert_eq!(run.code, Some(1), "{bad}: {run}");
        assert_eq!(place.snapshots().len(), 1, "{bad} made a snapshot");
    }
    let run = script("exit 7");
    assert!(
        run.error()["message"].as_str().unwrap().contains('7'),
        "the command's own exit code is named: {run}"
    );
    let run = place
        .run(["snapshot", "--stdin-from-command", "--", "/no/such/program"])
        .exits(1);
    assert!(run.all_text().contains("/no/such/program"), "{run}");
    assert_eq!(place.snapshots().len(), 1);
    place.assert_clean();
}

#[test]
fn ls_lists_and_cat_prints() {
    let place = Place::new("ls");
    let root = place.at("source");
    std::fs::create_dir_all(root.join("sub/deeper")).unwrap();
    for (name, bytes) in [
        ("a", &b"alpha"[..]),
        ("sub/b", b"beta"),
        ("sub/deeper/c", b"gamma"),
    ] {
        std::fs::write(root.join(name), bytes).unwrap();
    }
    std::os::unix::fs::symlink("a", root.join("link")).unwrap();
    place.snapshot(&root);
    let at = |name: &str| format!("latest:{}{name}", root.to_str().unwrap());
    let paths = |args: &[&str]| -> Vec<String> {
        let objects = place.run(args).ok().objects();
        assert_eq!(
            objects[0]["message_type"], "snapshot",
            "the first line names the snapshot"
        );
        objects[1..]
            .iter()
            .map(|object| text(object, "path").rsplit('/').next().unwrap().to_string())
            .collect()
    };
    assert_eq!(paths(&["ls", &at("")]), ["source", "a", "link", "sub"]);
    assert_eq!(paths(&["ls", &at("/sub")]), ["sub", "b", "deeper"]);
    assert_eq!(
        paths(&["ls", "-R", &at("")]),
        ["source", "a", "link", "sub", "b", "deeper", "c"]
    );
    assert_eq!(paths(&["ls", &at("/a")]), ["a"]);
    let objects = place.run(["ls", &at("/sub")]).ok().objects();
    assert_eq!(text(&objects[2], "type"), "file");
    assert_eq!(number(&objects[2], "size"), 4);
    assert_eq!(text(&objects[3], "type"), "dir");
    assert_eq!(place.run(["cat", &at("/sub/b")]).ok().stdout, b"beta");
    place.run(["cat", &at("/missing")]).fails(1, "not_found");
    let error = place.run(["cat", &at("/sub")]).exits(2).error();
    assert!(
        error["subject"].as_str().unwrap().contains("/sub"),
        "{error}"
    );
    place.run(["ls", &at("/missing")]).fails(1, "not_found");
}
