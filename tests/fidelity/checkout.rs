//! Checkouts with the real program: what stands in the folder is what a restore brings back, read-only; switching
//! writes only what differs; a kill at any moment is gone on from; and nothing outside is ever touched.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use crate::common::compare::{Options, assert_same};
use crate::common::facility::is_root;
use crate::common::place::{Place, Run, chmod, inside, number, remove, text};
use crate::common::random::Random;
use crate::common::tree::everyday;

const STATE: &str = ".duramen-checkout";

/// Everything below `root` but symbolic links, the folder itself left out.
fn entries(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let kind = entry.file_type().unwrap();
            if kind.is_dir() {
                folders.push(entry.path());
            }
            if !kind.is_symlink() {
                found.push(entry.path());
            }
        }
    }
    found
}

/// Holds the checkout against a restore of the same snapshot from which the permissions to write were taken.
#[track_caller]
fn assert_shows(place: &Place, snapshot: &str, source: &Path, folder: &Path) {
    let fresh = place.at("fresh");
    place.restore_inside(snapshot, source, &fresh).ok();
    for path in entries(&fresh) {
        let mode = fs::symlink_metadata(&path).unwrap().permissions().mode();
        chmod(&path, mode & 0o555);
    }
    let options = Options {
        root: false,
        without: vec![STATE.as_bytes().to_vec()],
        ..Options::default()
    };
    assert_same(&fresh, folder, &options);
    let remains: Vec<PathBuf> = entries(folder)
        .into_iter()
        .filter(|path| path.to_string_lossy().ends_with(".tmp"))
        .collect();
    assert!(remains.is_empty(), "{remains:?}");
    unlock(&fresh);
    remove(&fresh);
}

/// Makes folders without permission to write removable for those who are not root.
fn unlock(root: &Path) {
    chmod(root, 0o700);
    for path in entries(root) {
        if path.is_dir() {
            chmod(&path, 0o700);
        }
    }
}

fn checkout(place: &Place, snapshot: &str, source: &Path, folder: &Path, more: &[&str]) -> Run {
    let mut command = place.command();
    command
        .arg("checkout")
        .arg(inside(snapshot, source))
        .arg(folder)
        .args(more);
    Run::of(command)
}

fn unmount(place: &Place, folder: &Path, more: &[&str]) -> Run {
    let mut command = place.command();
    command.arg("unmount").arg(folder).args(more);
    Run::of(command)
}

/// What it said would be done.
#[track_caller]
fn plan(run: &Run) -> serde_json::Value {
    let found = run
        .objects()
        .into_iter()
        .find(|it| it["message_type"] == "plan");
    found.unwrap_or_else(|| panic!("no plan\n{run}"))
}

fn keep_time(path: &Path, change: impl FnOnce()) {
    let time = fs::metadata(path).unwrap().modified().unwrap();
    change();
    let file = fs::File::options().write(true).open(path).unwrap();
    file.set_modified(time).unwrap();
}

/// Two snapshots that differ in every way that a switch must see; the newest is of the source as it stands.
fn two(place: &Place) -> PathBuf {
    let source = place.at("source");
    everyday(&source, 77, 120);
    let at = |name: &str| source.join(name);
    for name in [
        "same-size-and-time",
        "edited",
        "gone",
        "becomes-folder",
        "pair-1",
        "odd-1",
    ] {
        fs::write(at(name), format!("{name} {}", "before ".repeat(200))).unwrap();
    }
    fs::hard_link(at("pair-1"), at("pair-2")).unwrap();
    fs::write(at("odd-2"), fs::read(at("odd-1")).unwrap()).unwrap();
    keep_time(&at("odd-2"), || {});
    fs::create_dir_all(at("becomes-file/below")).unwrap();
    fs::write(at("becomes-file/below/x"), "x").unwrap();
    fs::create_dir(at("old-folder")).unwrap();
    fs::write(at("old-folder/y"), "y").unwrap();
    symlink("edited", at("link")).unwrap();
    chmod(&at("edited"), 0o4755);
    place.snapshot(&source);

    keep_time(&at("same-size-and-time"), || {
        let bytes = fs::read_to_string(at("same-size-and-time")).unwrap();
        fs::write(at("same-size-and-time"), bytes.replace("before", "behind")).unwrap();
    });
    fs::write(at("edited"), "after").unwrap();
    fs::remove_file(at("gone")).unwrap();
    fs::remove_file(at("becomes-folder")).unwrap();
    fs::create_dir(at("becomes-folder")).unwrap();
    fs::write(at("becomes-folder/new"), "new").unwrap();
    fs::remove_dir_all(at("becomes-file")).unwrap();
    fs::write(at("becomes-file"), "a file now").unwrap();
    fs::rename(at("old-folder"), at("new-folder")).unwrap();
    fs::remove_file(at("link")).unwrap();
    symlink("elsewhere", at("link")).unwrap();
    // The same bytes and times, other links: apart, and together.
    let time = fs::metadata(at("pair-1")).unwrap().modified().unwrap();
    let bytes = fs::read(at("pair-1")).unwrap();
    fs::remove_file(at("pair-2")).unwrap();
    fs::write(at("pair-2"), bytes).unwrap();
    fs::File::options()
        .write(true)
        .open(at("pair-2"))
        .unwrap()
        .set_modified(time)
        .unwrap();
    fs::remove_file(at("odd-2")).unwrap();
    fs::hard_link(at("odd-1"), at("odd-2")).unwrap();
    place.snapshot(&source);
    source
}

fn inodes(folder: &Path) -> BTreeMap<PathBuf, u64> {
    let files = entries(folder).into_iter();
    files
        .filter(|path| path.is_file())
        .map(|path| (path.clone(), fs::metadata(&path).unwrap().ino()))
        .collect()
}

#[test]
fn switching_is_a_fresh_restore_that_writes_only_what_differs() {
    let place = Place::new("checkout");
    let source = two(&place);
    let folder = place.at("shown");
    let said = checkout(&place, "latest~1", &source, &folder, &[]).ok();
    assert_eq!(
        number(&plan(&said), "files_to_write"),
        number(&said.summary(), "files_written")
    );
    assert_shows(&place, "latest~1", &source, &folder);

    let before = inodes(&folder);
    let said = checkout(&place, "latest", &source, &folder, &[]).ok();
    assert_shows(&place, "latest", &source, &folder);
    let after = inodes(&folder);
    let rewritten: Vec<&str> = after
        .iter()
        .filter(|(path, inode)| before.get(*path) != Some(inode))
        .filter_map(|(path, _)| path.strip_prefix(&folder).ok()?.to_str())
        .filter(|path| *path != STATE)
        .collect();
    let expected = [
        "becomes-file",
        "becomes-folder/new",
        "edited",
        "new-folder/y",
        "odd-1",
        "odd-2",
        "pair-1",
        "pair-2",
        "same-size-and-time",
    ];
    assert_eq!(rewritten, expected);
    assert!(number(&said.summary(), "files_unchanged") >= 110);
    let summary = said.summary();
    let plan_said = plan(&said);
    assert_eq!(
        number(&plan_said, "files_to_write"),
        number(&summary, "files_written")
    );
    assert_eq!(
        number(&plan_said, "entries_to_delete"),
        number(&summary, "entries_deleted")
    );

    checkout(&place, "latest~1", &source, &folder, &[]).ok();
    assert_shows(&place, "latest~1", &source, &folder);
    // Again the same: nothing is written.
    let said = checkout(&place, "latest~1", &source, &folder, &["--dry-run"]).ok();
    assert_eq!(number(&plan(&said), "files_to_write"), 0);
    let said = checkout(&place, "latest~1", &source, &folder, &[]).ok();
    assert_eq!(number(&said.summary(), "files_written"), 0);
    let removed = unmount(&place, &folder, &[]).ok().summary();
    assert_eq!(removed["folder_removed"], true);
    assert!(!folder.exists());
}

#[test]
fn only_an_empty_folder_or_a_checkout_is_taken() {
    let place = Place::new("checkout-refuses");
    let source = two(&place);
    let full = place.at("full");
    fs::create_dir(&full).unwrap();
    fs::write(full.join("precious"), "precious").unwrap();
    let error = checkout(&place, "latest", &source, &full, &["--yes"]).fails(1, "exists");
    assert!(text(&error, "message").contains("not empty"), "{error}");
    unmount(&place, &full, &["--yes"]).fails(1, "not_found");
    checkout(&place, "latest", &source, &full.join("precious"), &[]).fails(1, "exists");
    checkout(
        &place,
        "latest",
        &source.join("edited"),
        &place.at("x"),
        &[],
    )
    .fails(2, "usage");
    assert_eq!(fs::read(full.join("precious")).unwrap(), b"precious");

    // A folder that was there stays, empty, with the permissions that it had.
    let mine = place.at("mine");
    fs::create_dir(&mine).unwrap();
    chmod(&mine, 0o711);
    checkout(&place, "latest", &source, &mine, &[]).ok();
    // A copy of a checkout belongs to whoever made it.
    let copied = place.at("copied");
    let status = std::process::Command::new("cp")
        .arg("-a")
        .arg(&mine)
        .arg(&copied)
        .status();
    assert!(status.unwrap().success());
    unmount(&place, &copied, &["--yes"]).fails(1, "exists");
    checkout(&place, "latest", &source, &copied, &["--yes"]).fails(1, "exists");
    unlock(&copied);
    // Another repository's checkout is not switched.
    let other = Place::new("checkout-other");
    other.snapshot(&source);
    checkout(&other, "latest", &source, &mine, &["--yes"]).fails(1, "exists");
    unmount(&place, &mine, &[]).ok();
    assert_eq!(fs::read_dir(&mine).unwrap().count(), 0);
    assert_eq!(
        fs::metadata(&mine).unwrap().permissions().mode() & 0o777,
        0o711
    );
}

#[test]
fn what_was_changed_by_hand_is_named_and_asked_about() {
    let place = Place::new("checkout-hand");
    let source = two(&place);
    let folder = place.at("shown");
    checkout(&place, "latest", &source, &folder, &[]).ok();
    for path in [&folder, &folder.join("new-folder")] {
        chmod(path, 0o755);
    }
    chmod(&folder.join("edited"), 0o644);
    fs::write(folder.join("edited"), "mine").unwrap();
    fs::write(folder.join("added"), "mine").unwrap();
    fs::remove_file(folder.join("new-folder/y")).unwrap();
    let said = checkout(&place, "latest~1", &source, &folder, &["--dry-run"]).ok();
    let said = plan(&said);
    let paths: Vec<&str> = said["changed_paths"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| text(it, "path"))
        .collect();
    assert_eq!(paths, ["added", "edited", "new-folder"]);
    checkout(&place, "latest~1", &source, &folder, &[]).fails(2, "usage");
    unmount(&place, &folder, &[]).fails(2, "usage");
    assert_eq!(fs::read(folder.join("added")).unwrap(), b"mine");
    checkout(&place, "latest~1", &source, &folder, &["--yes"]).ok();
    assert_shows(&place, "latest~1", &source, &folder);
    unmount(&place, &folder, &[]).ok();
}

#[test]
fn links_that_were_put_there_lead_nowhere() {
    let place = Place::new("checkout-links");
    let source = two(&place);
    let (folder, outside) = (place.at("shown"), place.at("outside"));
    fs::create_dir_all(outside.join("below")).unwrap();
    fs::write(outside.join("new"), "outside").unwrap();
    fs::write(outside.join("below/x"), "outside").unwrap();
    let kept = inodes(&outside);
    for end in ["latest~1", "unmount"] {
        checkout(&place, "latest", &source, &folder, &["--yes"]).ok();
        for path in [&folder, &folder.join("becomes-folder")] {
            chmod(path, 0o755);
        }
        fs::remove_dir_all(folder.join("becomes-folder")).unwrap();
        symlink(&outside, folder.join("becomes-folder")).unwrap();
        fs::remove_file(folder.join("becomes-file")).unwrap();
        symlink(&outside, folder.join("becomes-file")).unwrap();
        symlink(&outside, folder.join("added")).unwrap();
        match end {
            "unmount" => {
                unmount(&place, &folder, &["--yes"]).ok();
                assert!(!folder.exists());
            }
            name => {
                checkout(&place, name, &source, &folder, &["--yes"]).ok();
                assert_shows(&place, name, &source, &folder);
            }
        }
        assert_eq!(inodes(&outside), kept, "{end}");
        assert_eq!(fs::read(outside.join("new")).unwrap(), b"outside");
    }
}

#[test]
fn a_kill_at_any_moment_is_gone_on_from() {
    let place = Place::new("checkout-kill");
    let mut random = Random::new(crate::common::seed("checkout-kill"));
    let source = two(&place);
    let folder = place.at("shown");
    let mut killed = 0;
    for round in 0..crate::common::rounds(16, 200) {
        let name = ["latest", "latest~1"][round % 2];
        let mut command = place.command();
        if round % 5 == 4 && folder.exists() {
            command.arg("unmount").arg(&folder).arg("--yes");
        } else {
            command
                .arg("checkout")
                .arg(inside(name, &source))
                .arg(&folder)
                .arg("--yes");
        }
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_micros(random.below(40_000)));
        let _ = child.kill();
        killed += usize::from(child.wait().unwrap().code().is_none());
        if random.one_in(2) {
            checkout(&place, name, &source, &folder, &["--yes"]).ok();
            assert_shows(&place, name, &source, &folder);
        } else if random.one_in(2) && folder.exists() {
            // Before its state stood there it was no checkout, and after that was gone it is empty.
            let run = unmount(&place, &folder, &["--yes"]);
            assert!(matches!(run.code, Some(0 | 1)), "{run}");
            if folder.exists() {
                assert_eq!(fs::read_dir(&folder).unwrap().count(), 0, "{run}");
                fs::remove_dir(&folder).unwrap();
            }
        }
    }
    println!("{killed} were killed");
    assert!(killed > 0, "no kill hit");
    checkout(&place, "latest", &source, &folder, &["--yes"]).ok();
    assert_shows(&place, "latest", &source, &folder);
    unmount(&place, &folder, &[]).ok();
}

#[test]
fn damage_leaves_no_older_version_standing() {
    let place = Place::new("checkout-damage");
    let source = place.at("source");
    fs::create_dir(&source).unwrap();
    let mut random = Random::new(5);
    fs::write(source.join("file"), random.bytes(50_000)).unwrap();
    place.snapshot(&source);
    let old: Vec<PathBuf> = crate::common::place::files_below(&place.repository.join("packs"));
    fs::write(source.join("file"), random.bytes(60_000)).unwrap();
    place.snapshot(&source);
    let folder = place.at("shown");
    checkout(&place, "latest~1", &source, &folder, &[]).ok();
    let new = crate::common::place::files_below(&place.repository.join("packs"));
    let largest = new
        .into_iter()
        .filter(|path| !old.contains(path))
        .max_by_key(|path| fs::metadata(path).unwrap().len())
        .unwrap();
    let mut bytes = fs::read(&largest).unwrap();
    bytes[30_000] ^= 1;
    chmod(&largest, 0o600);
    fs::write(&largest, bytes).unwrap();
    checkout(&place, "latest", &source, &folder, &[]).exits(4);
    assert!(
        !folder.join("file").exists(),
        "the older version stands under the newer name"
    );
    let said = checkout(&place, "latest~1", &source, &folder, &["--dry-run"]).ok();
    assert_eq!(plan(&said)["interrupted"], true);
    checkout(&place, "latest~1", &source, &folder, &[]).ok();
    assert_shows(&place, "latest~1", &source, &folder);
    unmount(&place, &folder, &[]).ok();
}

#[test]
fn without_being_root() {
    if !is_root() {
        return;
    }
    let mut place = Place::new("checkout-nobody");
    let source = place.at("source");
    everyday(&source, 78, 60);
    for path in entries(&source) {
        chmod(&path, if path.is_dir() { 0o755 } else { 0o644 });
    }
    chmod(&source, 0o755);
    place.snapshot(&source);
    fs::remove_dir_all(source.join("dir00000")).unwrap();
    fs::write(source.join("dir00000"), "a file now").unwrap();
    place.snapshot(&source);
    place.open_to_all();
    let home = place.at("home-of-nobody");
    let folder = home.join("shown");
    for name in ["latest", "latest~1", "latest"] {
        let mut command = place.command_as_nobody();
        command
            .arg("checkout")
            .arg(inside(name, &source))
            .arg(&folder);
        Run::of(command).ok();
        for path in entries(&folder) {
            let mode = fs::metadata(&path).unwrap().permissions().mode();
            let is_state = path == folder.join(STATE);
            assert!(mode & 0o222 == 0 || is_state, "{path:?} {mode:o}");
        }
        let fresh = place.at(&format!("fresh-{}", crate::common::place::unique()));
        place.restore_inside(name, &source, &fresh).ok();
        let here = |root: &Path| -> BTreeMap<PathBuf, Vec<u8>> {
            let files = entries(root).into_iter().filter(|path| path.is_file());
            files
                .map(|path| {
                    (
                        path.strip_prefix(root).unwrap().to_owned(),
                        fs::read(path).unwrap(),
                    )
                })
                .filter(|(path, _)| path != Path::new(STATE))
                .collect()
        };
        assert_eq!(here(&folder), here(&fresh), "{name}");
    }
    let mut command = place.command_as_nobody();
    command.arg("unmount").arg(&folder);
    Run::of(command).ok();
    assert!(!folder.exists());
}
