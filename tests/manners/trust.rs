//! Keys, scrub and memory as people and scripts meet them.

use std::ffi::OsStr;
use std::os::unix::fs::MetadataExt;
use std::process::Command;

use serde_json::Value;

use crate::common::place::{Place, Run, chmod, copy, files_below, number, remove, text};
use crate::common::tree::everyday;

/// The program on the repository, with nothing that opens it.
fn keyless(place: &Place) -> Command {
    let mut command = place.bare();
    command.arg("-r").arg(&place.repository).arg("--json");
    command
}

fn with_passphrase(
    place: &Place,
    passphrase: &str,
    args: &[&str],
    variables: &[(&str, &str)],
) -> Run {
    let mut command = keyless(place);
    command.env("DURAMEN_PASSWORD", passphrase).args(args);
    for (name, value) in variables {
        command.env(name, value);
    }
    Run::of(command)
}

#[test]
fn a_new_passphrase_comes_by_file_command_or_environment_and_the_old_one_goes() {
    let place = Place::new("passwd");
    std::fs::write(place.at("file"), "by file\n").unwrap();
    let file = place.at("file");
    let file = file.to_str().unwrap();
    place
        .run(["key", "add", "--new-password-file", file, "--label", "mine"])
        .ok();
    let opens = |passphrase: &str| with_passphrase(&place, passphrase, &["snapshots"], &[]);
    opens("by file").ok();
    let command = ["key", "passwd", "--new-password-command", "echo by command"];
    let changed = with_passphrase(&place, "by file", &command, &[]).ok();
    let object: Value = serde_json::from_slice(&changed.stdout).unwrap();
    assert_eq!(object["message_type"], "key_changed");
    assert_eq!(
        (&object["kind"], &object["label"]),
        (&"passphrase".into(), &"mine".into())
    );
    opens("by file").fails(12, "wrong_key");
    let by_environment = [("DURAMEN_NEW_PASSWORD", "by environment")];
    let changed = with_passphrase(&place, "by command", &["key", "passwd"], &by_environment).ok();
    opens("by command").fails(12, "wrong_key");
    with_passphrase(
        &place,
        "by environment",
        &["key", "add"],
        &[("DURAMEN_NEW_PASSWORD", "second")],
    )
    .ok();
    opens("second").ok();
    opens("by environment").ok();
    for said in ["by file", "by command", "by environment"] {
        assert!(!changed.all_text().contains(said), "{changed}");
    }
    // Nobody there to be asked, and nothing given: said before anything is opened.
    with_passphrase(&place, "second", &["key", "passwd"], &[]).fails(2, "usage");
    // What a key file opened has no passphrase to change.
    let mut by_key = place.command();
    by_key
        .args(["key", "passwd"])
        .env("DURAMEN_NEW_PASSWORD", "x");
    Run::of(by_key).fails(2, "usage");
    assert_eq!(
        place.run(["key", "rotate"]).ok().objects()[0]["message_type"],
        "key_rotated"
    );
    opens("second").ok();
    let slots: Value = serde_json::from_slice(&place.run(["key", "list"]).ok().stdout).unwrap();
    let measured = |slot: &&Value| slot["kdf"]["seconds"].as_f64().is_some_and(|it| it > 0.0);
    assert_eq!(slots.as_array().unwrap().iter().filter(measured).count(), 2);
    place.assert_clean();
}

#[test]
fn words_on_paper_lead_back_on_a_new_machine() {
    let place = Place::new("words");
    let tree = place.at("tree");
    everyday(&tree, 1, 20);
    place.snapshot(&tree);
    let exported = place.run(["key", "export"]).ok();
    let object = &exported.objects()[0];
    let words: Vec<&str> = object["words"]
        .as_array()
        .unwrap()
        .iter()
        .map(|word| word.as_str().unwrap())
        .collect();
    assert_eq!(words.len(), 24);
    // They stand nowhere: not whole, not in part.
    for stored in files_below(&place.repository) {
        let bytes = std::fs::read(stored).unwrap();
        let pair = format!("{} {}", words[0], words[1]);
        assert!(
            !bytes
                .windows(pair.len())
                .any(|window| window == pair.as_bytes())
        );
    }
    let paper = |name: &str, words: &[&str]| {
        std::fs::write(place.at(name), words.join("\n")).unwrap();
        place.at(name)
    };
    let import = |repository: Option<&OsStr>, to: &str, words: &std::path::Path| {
        let mut command = place.bare();
        if let Some(repository) = repository {
            command.arg("-r").arg(repository);
        }
        command
            .args(["--json", "key", "import"])
            .arg(place.at(to))
            .arg("--words-file")
            .arg(words);
        Run::of(command)
    };
    let ours = Some(place.repository.as_os_str());
    let good = paper("good", &words);
    let done = import(ours, "new-key", &good).ok();
    assert_eq!(done.objects()[0]["repository_id"], object["repository_id"]);
    assert_eq!(
        place.at("new-key").metadata().unwrap().mode() & 0o7777,
        0o600
    );
    let mut command = keyless(&place);
    command
        .arg("snapshots")
        .arg("--key-file")
        .arg(place.at("new-key"));
    Run::of(command).ok();
    // Nothing is overwritten, and without a repository the words are taken as they are.
    import(ours, "new-key", &good).fails(1, "exists");
    assert!(import(None, "untried", &good).ok().objects()[0]["repository_id"].is_null());
    // A slip is named by the number of its word, and the word is not shown.
    let mut wrong = words.clone();
    wrong[6] = "xylograph";
    let error = import(ours, "bad", &paper("wrong", &wrong)).fails(12, "wrong_key");
    assert!(text(&error, "message").contains("word 7 is not"), "{error}");
    assert!(!error.to_string().contains("xylograph"), "{error}");
    let error = import(ours, "bad", &paper("short", &words[..23])).fails(12, "wrong_key");
    assert!(text(&error, "message").contains("23 words"), "{error}");
    // Another repository's words: whole, and yet not these; the id that the paper shows is named.
    let other = Place::new("words-other");
    let error = import(Some(other.repository.as_os_str()), "bad", &good).fails(12, "wrong_key");
    assert!(
        !text(&error, "hint").contains(text(object, "repository_id")),
        "{error}"
    );
    assert!(text(&error, "hint").contains("its id is "), "{error}");
    assert!(
        !place.at("bad").exists(),
        "a key that opens nothing was written"
    );
    // Nobody there to type them.
    let mut command = keyless(&place);
    command.args(["key", "import"]).arg(place.at("asked"));
    Run::of(command).fails(2, "usage");
    // Words go as any key goes.
    let mut command = place.command();
    command.args(["key", "remove", text(object, "short_id")]);
    Run::of(command).ok();
    import(ours, "late", &good).fails(12, "wrong_key");
}

#[test]
fn a_scrub_needs_no_key_and_a_part_can_be_drawn_again() {
    let place = Place::new("scrub");
    let tree = place.at("tree");
    everyday(&tree, 4, 60);
    place.snapshot(&tree);
    let scrub = || {
        let mut command = keyless(&place);
        command.arg("scrub");
        Run::of(command)
    };
    let summary = scrub().ok().summary();
    let stored = files_below(&place.repository).len() as u64;
    assert_eq!(number(&summary, "files"), stored, "{summary}");
    assert_eq!(number(&summary, "bytes_read"), place.stored());
    let part = place
        .run(["check", "--read-data-subset", "50%"])
        .ok()
        .summary();
    let seed = number(&part, "seed").to_string();
    let again = place
        .run(["check", "--read-data-subset", "50%", "--seed", &seed])
        .ok()
        .summary();
    assert_eq!(again["bytes_read"], part["bytes_read"]);
    for bad in ["0%", "3/2", "all"] {
        place
            .run(["check", "--read-data-subset", bad])
            .fails(2, "usage");
    }
    place.run(["check", "--record"]).fails(2, "usage");
    let one = place
        .run(["check", "latest", "--read-data", "--record"])
        .ok()
        .summary();
    assert_eq!(
        (number(&one, "snapshots"), number(&one, "recorded")),
        (1, 1)
    );

    let pack = files_below(&place.repository.join("packs")).remove(0);
    chmod(&pack, 0o600);
    let mut bytes = std::fs::read(&pack).unwrap();
    bytes[100] ^= 1;
    std::fs::write(&pack, bytes).unwrap();
    let summary = scrub().exits(4).summary();
    assert_eq!(number(&summary, "num_errors"), 1);
    let name = pack.strip_prefix(&place.repository).unwrap();
    assert_eq!(
        text(&summary["findings"][0], "subject"),
        name.to_str().unwrap()
    );
    remove(&place.repository);
    scrub().fails(10, "no_repository");
}

#[test]
fn a_machine_remembers_what_it_saw() {
    let place = Place::new("memory");
    let tree = place.at("tree");
    everyday(&tree, 5, 20);
    place.snapshot(&tree);
    let before = place.at("before");
    copy(&place.repository, &before);
    std::fs::write(tree.join("more"), "more").unwrap();
    let second = place.snapshot(&tree);
    // A copy in another place lacks nothing that was ever seen there.
    let mut elsewhere = place.bare();
    elsewhere
        .arg("-r")
        .arg(&before)
        .arg("--key-file")
        .arg(&place.key)
        .arg("check");
    Run::of(elsewhere).ok();
    // The cache may go; the memory stays.
    if place.cache.exists() {
        remove(&place.cache);
    }
    remove(&place.repository);
    copy(&before, &place.repository);
    let check = place.run(["check"]).exits(4);
    let missing = format!("snapshots/{}", text(&second, "snapshot_id"));
    assert!(check.all_text().contains(&missing), "{check}");
    // Everything else works, with a word about it.
    let list = place.run(["snapshots"]).ok();
    assert!(
        String::from_utf8_lossy(&list.stderr).contains(&missing),
        "{list}"
    );
    let mut quiet = place.command();
    quiet.args(["snapshot", "--quiet"]).arg(&tree);
    let quiet = Run::of(quiet).ok();
    assert!(
        String::from_utf8_lossy(&quiet.stderr).contains(&missing),
        "{quiet}"
    );
    place.assert_restores("latest", &tree);
    // The way out that is named is one.
    let state = place.at("home").join(".local/state/duramen");
    assert_eq!(state.metadata().unwrap().mode() & 0o7777, 0o700);
    assert!(
        check.all_text().contains(state.to_str().unwrap()),
        "the file to remove is named"
    );
    for file in files_below(&state) {
        assert_eq!(file.metadata().unwrap().mode() & 0o7777, 0o600);
        std::fs::remove_file(file).unwrap();
    }
    place.assert_clean();
}
