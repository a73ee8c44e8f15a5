//! Symbolic links in the target, put there to lead a restore out of it. Nothing outside the target may change,
//! whatever the flags, and also when the links move while the restore runs.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::common::compare::{Options, assert_same, compare};
use crate::common::place::{Place, Run, copy, inside, remove};

struct Trap {
    place: Place,
    source: PathBuf,
    target: PathBuf,
    outside: PathBuf,
    /// How `outside` must stay.
    untouched: PathBuf,
}

impl Trap {
    fn new(name: &str) -> Self {
        let place = Place::new(name);
        let [source, target, outside, untouched] =
            ["source", "target", "outside", "untouched"].map(|at| place.at(at));
        for file in ["dir/a", "dir/b", "dir/sub/c", "file", "large"] {
            let path = source.join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, file.repeat(10)).unwrap();
        }
        std::fs::write(source.join("large"), vec![5; 20_000_000]).unwrap();
        place.snapshot(&source);
        for file in ["a", "sub/c", "file", "other"] {
            let path = outside.join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, b"outside").unwrap();
        }
        std::fs::write(outside.join("large"), vec![6; 20_000_000]).unwrap();
        copy(&outside, &untouched);
        std::fs::create_dir(&target).unwrap();
        Self {
            place,
            source,
            target,
            outside,
            untouched,
        }
    }

    fn restore(&self, flags: &[&str]) -> Run {
        let mut command = self.place.command();
        command
            .arg("restore")
            .arg(inside("latest", &self.source))
            .arg("--target")
            .arg(&self.target)
            .args(flags);
        Run::of(command)
    }

    fn assert_untouched(&self) {
        assert_same(&self.untouched, &self.outside, &Options::default());
    }
}

fn link(to: &Path, at: PathBuf) {
    std::os::unix::fs::symlink(to, at).unwrap();
}

const FLAGS: [&[&str]; 8] = [
    &[],
    &["--delete"],
    &["--in-place"],
    &["--in-place", "--delete"],
    &["--overwrite", "if-changed"],
    &["--overwrite", "if-newer"],
    &["--overwrite", "never"],
    &["--verify", "--sparse"],
];

#[test]
fn links_that_stand_in_the_target_lead_nowhere() {
    let trap = Trap::new("hostile");
    for flags in FLAGS {
        remove(&trap.target);
        std::fs::create_dir(&trap.target).unwrap();
        link(&trap.outside, trap.target.join("dir"));
        link(&trap.outside.join("file"), trap.target.join("file"));
        link(&trap.outside.join("large"), trap.target.join("large"));
        let run = trap.restore(flags);
        trap.assert_untouched();
        // Either it came back as it was, or the command said that it did not.
        let differences = compare(
            &trap.source,
            &trap.target,
            &Options {
                root: false,
                ..Options::default()
            },
        );
        let left = flags.contains(&"never") || flags.contains(&"if-newer");
        if run.code == Some(0) && !left {
            assert!(
                differences.is_empty(),
                "{flags:?}: exit 0, and yet {differences:#?}"
            );
        }
        assert!(matches!(run.code, Some(0 | 1)), "{flags:?}: {run}");
    }
}

#[test]
fn links_deeper_down_lead_nowhere() {
    let trap = Trap::new("hostile-deep");
    for flags in FLAGS {
        remove(&trap.target);
        std::fs::create_dir_all(trap.target.join("dir")).unwrap();
        link(&trap.outside, trap.target.join("dir/sub"));
        link(Path::new("../../outside/other"), trap.target.join("dir/a"));
        link(Path::new("../.."), trap.target.join("dir/extra"));
        trap.restore(flags);
        trap.assert_untouched();
    }
    trap.place.assert_clean();
}

#[test]
fn links_that_move_while_the_restore_runs_lead_nowhere() {
    let trap = Trap::new("hostile-race");
    for at in 0..400 {
        std::fs::write(trap.source.join(format!("dir/file-{at}")), b"new").unwrap();
    }
    trap.place.snapshot(&trap.source);
    let done = AtomicBool::new(false);
    let (dir, away, bait) = (
        trap.target.join("dir"),
        trap.place.at("away"),
        trap.place.at("bait"),
    );
    link(&trap.outside, bait.clone());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                // The folder goes away and a link to the outside takes its name, and back again.
                let _ = std::fs::rename(&dir, &away);
                let _ = std::fs::rename(&bait, &dir);
                std::thread::yield_now();
                let _ = std::fs::rename(&dir, &bait);
                let _ = std::fs::rename(&away, &dir);
            }
        });
        for round in 0..12 {
            trap.restore(FLAGS[round % FLAGS.len()]);
            trap.assert_untouched();
        }
        done.store(true, Ordering::Relaxed);
    });
    trap.assert_untouched();
}
