//! Several processes on one repository at once, and a cache that is pulled away or ruined under them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;
#[path = "share/work.rs"]
mod share;

use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use common::compare::{Options, assert_same};
use common::place::{Place, Run, below, copy, files_below, inside, new_key, remove, text};
use common::random::Random;
use common::tree::everyday;

fn spawn(place: &Place, args: &[&str]) -> (Child, String) {
    let mut command = place.command();
    command
        .args(args)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    (command.spawn().unwrap(), format!("{command:?}"))
}

fn end((child, said): (Child, String)) -> Run {
    Run::from_output(child.wait_with_output().unwrap(), said)
}

/// One part that all trees share, and one of its own.
fn partly_equal(place: &Place, at: u64) -> PathBuf {
    let tree = place.at(&format!("tree-{at}"));
    everyday(&tree.join("shared"), 1_000, 150);
    everyday(&tree.join("own"), at, 150);
    std::fs::write(tree.join("large"), Random::new(99).bytes(3_000_000)).unwrap();
    tree
}

fn edit(tree: &Path, random: &mut Random) {
    for path in files_below(tree) {
        if !path.is_symlink() && random.one_in(10) {
            let len = random.below(20_000) as usize;
            std::fs::write(path, random.bytes(len)).unwrap();
        }
    }
    // The same new content for all of them at once: whoever stores it, nobody may miss it.
    std::fs::write(
        tree.join("same-for-all"),
        Random::new(random.below(3)).bytes(2_000_000),
    )
    .unwrap();
}

#[test]
fn four_processes_take_snapshots_at_once() {
    let place = Place::new("concurrent");
    let mut random = Random::new(common::seed("concurrent"));
    let trees: Vec<PathBuf> = (0..4).map(|at| partly_equal(&place, at)).collect();
    for round in 0..3 {
        let running: Vec<_> = trees
            .iter()
            .map(|tree| spawn(&place, &["snapshot", tree.to_str().unwrap()]))
            .collect();
        let ids: Vec<String> = running
            .into_iter()
            .map(|child| text(&end(child).ok().summary(), "snapshot_id").to_string())
            .collect();
        assert_eq!(place.snapshots().len(), 4 * (round + 1));
        for (tree, id) in trees.iter().zip(&ids) {
            place.assert_restores(id, tree);
        }
        place.assert_clean();
        for tree in &trees {
            edit(tree, &mut random);
        }
    }
    // Whoever restores may do so at once, too.
    let ids: Vec<String> = place
        .snapshots()
        .iter()
        .map(|one| text(one, "id").to_string())
        .collect();
    let targets: Vec<PathBuf> = (0..4).map(|at| place.at(&format!("target-{at}"))).collect();
    let running: Vec<_> = (0..4)
        .map(|at| {
            spawn(
                &place,
                &[
                    "restore",
                    &ids[at],
                    "--target",
                    targets[at].to_str().unwrap(),
                ],
            )
        })
        .collect();
    for child in running {
        end(child).ok();
    }
    for (id, target) in ids.iter().zip(&targets) {
        let again = place.at("again");
        place
            .run(["restore", id, "--target", again.to_str().unwrap()])
            .ok();
        assert_same(&again, target, &Options::default());
        remove(&again);
    }
}

#[test]
fn writers_and_pruners_share_a_repository_and_nothing_is_lost() {
    let (seconds, sweeps) = if common::is_soak() {
        (300, 20)
    } else {
        (10, 3)
    };
    share::run(std::time::Duration::from_secs(seconds), sweeps);
}

#[test]
fn readers_are_never_in_the_way_of_writers() {
    let place = Place::new("readers");
    let tree = partly_equal(&place, 7);
    place.snapshot(&tree);
    let mut random = Random::new(common::seed("readers"));
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for args in [
            vec!["check"],
            vec!["snapshots"],
            vec!["ls", "--recursive", "latest"],
        ] {
            let (place, done) = (&place, &done);
            scope.spawn(move || {
                while !done.load(Ordering::Relaxed) {
                    place.run(&args).ok();
                }
            });
        }
        let writing = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for _ in 0..5 {
                edit(&tree, &mut random);
                place.snapshot(&tree);
            }
        }));
        done.store(true, Ordering::Relaxed);
        writing.unwrap();
    });
    place.assert_restores("latest", &tree);
    place.assert_clean();
}

#[test]
fn of_two_that_init_at_once_one_wins() {
    for _ in 0..6 {
        let place = Place::without_repository("init-race");
        let other = place.at("other-key");
        new_key(&other);
        let start = |key: &Path| {
            let mut command = place.bare();
            command
                .arg("-r")
                .arg(&place.repository)
                .arg("--key-file")
                .arg(key)
                .args(["--json", "--no-cache", "init"]);
            command.stdout(Stdio::piped()).stderr(Stdio::piped());
            (command.spawn().unwrap(), format!("{command:?}"))
        };
        let running = [start(&place.key), start(&other)];
        let [first, second] = running.map(end);
        let (won, lost) = match (first.code, second.code) {
            (Some(0), Some(1)) => ((&place.key, &first), (&other, &second)),
            (Some(1), Some(0)) => ((&other, &second), (&place.key, &first)),
            _ => panic!("not exactly one won:\n{first}\n{second}"),
        };
        let word = lost.1.error()["code"].clone();
        assert!(word == "exists" || word == "conflict", "{}", lost.1);
        let with = |key: &Path| {
            let mut command = place.bare();
            command
                .arg("-r")
                .arg(&place.repository)
                .arg("--key-file")
                .arg(key)
                .args(["--json", "--no-cache", "check"]);
            Run::of(command)
        };
        with(won.0).ok();
        with(lost.0).fails(12, "wrong_key");
    }
    // Much later it is there just as well.
    let place = Place::new("init-twice");
    place.run(["init"]).fails(1, "exists");
    place.assert_clean();
}

#[test]
fn a_cache_that_is_deleted_while_in_use_is_no_loss() {
    let place = Place::new("cache-deleted");
    let tree = partly_equal(&place, 3);
    let mut random = Random::new(common::seed("cache-deleted"));
    place.fill_index();
    place.snapshot(&tree);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let _ = std::fs::remove_dir_all(&place.cache);
                std::thread::sleep(std::time::Duration::from_millis(3));
            }
        });
        let working = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for _ in 0..3 {
                edit(&tree, &mut random);
                place.snapshot(&tree);
                place.assert_restores("latest", &tree);
            }
        }));
        done.store(true, Ordering::Relaxed);
        working.unwrap();
    });
    place.assert_clean();
}

/// A way to ruin a file.
type Ruin = (&'static str, fn(&Path));

#[test]
fn a_ruined_cache_is_rebuilt_and_never_believed() {
    let ruins: [Ruin; 8] = [
        ("emptied", |path| std::fs::write(path, b"").unwrap()),
        ("cut in half", |path| {
            let bytes = std::fs::read(path).unwrap();
            std::fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
        }),
        ("garbage of the same length", |path| {
            let len = std::fs::read(path).unwrap().len();
            std::fs::write(path, Random::new(5).bytes(len)).unwrap();
        }),
        ("short garbage", |path| {
            std::fs::write(path, b"no cache at all").unwrap()
        }),
        ("a byte changed early", |path| flip(path, 1, 100)),
        ("a byte changed in the middle", |path| flip(path, 1, 2)),
        ("a byte changed late", |path| flip(path, 99, 100)),
        ("a folder in its place", |path| {
            std::fs::remove_file(path).unwrap();
            std::fs::create_dir(path).unwrap();
        }),
    ];
    let place = Place::new("cache-ruined");
    let tree = partly_equal(&place, 4);
    let mut random = Random::new(6);
    place.fill_index();
    place.snapshot(&tree);
    for (name, ruin) in ruins {
        let files: Vec<_> = files_below(&place.cache)
            .into_iter()
            .filter(|path| path.is_file())
            .collect();
        assert!(!files.is_empty(), "there is no cache to be ruined ({name})");
        for file in files {
            ruin(&file);
        }
        // The tree as the cache knows it, and then something new.
        let run = place.restore_inside("latest", &tree, &place.at("back"));
        assert_eq!(run.code, Some(0), "{name}: {run}");
        assert_same(
            &tree,
            &place.at("back"),
            &Options {
                root: false,
                ..Options::default()
            },
        );
        remove(&place.at("back"));
        edit(&tree, &mut random);
        let run = place.run(["snapshot", tree.to_str().unwrap()]);
        assert_eq!(run.code, Some(0), "{name}: {run}");
        println!("{name}: survived");
    }
    // What others see without that cache is sound.
    let mut command = place.bare();
    command
        .arg("-r")
        .arg(&place.repository)
        .arg("--key-file")
        .arg(&place.key);
    command.args(["--json", "--no-cache", "check", "--read-data"]);
    Run::of(command).ok();
    place.assert_restores("latest", &tree);
}

fn flip(path: &Path, part: usize, of: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    if let Some(byte) = bytes
        .len()
        .checked_mul(part)
        .map(|at| at / of)
        .filter(|at| *at < bytes.len())
    {
        bytes[byte] ^= 0x40;
        std::fs::write(path, bytes).unwrap();
    }
}

#[test]
fn a_cache_from_the_past_or_from_elsewhere_is_no_harm() {
    let place = Place::new("cache-old");
    let tree = partly_equal(&place, 5);
    let mut random = Random::new(6);
    place.fill_index();
    place.snapshot(&tree);
    let old = place.at("old-cache");
    copy(&place.cache, &old);
    edit(&tree, &mut random);
    place.snapshot(&tree);
    remove(&place.cache);
    copy(&old, &place.cache);
    place.assert_restores("latest", &tree);
    edit(&tree, &mut random);
    place.snapshot(&tree);
    place.assert_restores("latest", &tree);
    // The repository put back to an older state (a copy restored after a disk died), under a newer cache: chunks that
    // the cache has seen are not there any more, and must not be taken for granted.
    let place = Place::new("cache-new");
    let tree = partly_equal(&place, 6);
    place.snapshot(&tree);
    let past = place.at("past");
    copy(&place.repository, &past);
    edit(&tree, &mut random);
    place.fill_index();
    place.snapshot(&tree);
    assert!(
        !files_below(&place.cache).is_empty(),
        "there is no cache to be too new"
    );
    remove(&place.repository);
    copy(&past, &place.repository);
    place.snapshot(&tree);
    let target = place.at("back");
    place
        .run(["restore", "latest", "--target", target.to_str().unwrap()])
        .ok();
    assert_same(&tree, &below(&target, &tree), &Options::default());
    // This machine remembers the snapshot that went with the disk, until it is told that it was meant.
    place.run(["check", "--read-data"]).exits(4);
    remove(&place.at("home").join(".local/state/duramen"));
    place.assert_clean();
    let mut command = place.command();
    command
        .arg("cat")
        .arg(inside("latest", &tree.join("same-for-all")));
    assert!(Run::of(command).ok().stdout == std::fs::read(tree.join("same-for-all")).unwrap());
}
