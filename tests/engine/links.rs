//! Hard links over several snapshots: a group is never taken over from the parent, where it may by now be another's.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use duramen::clock::SystemClock;
use duramen::format::entry::Node;
use duramen::ops;
use duramen::ops::snapshot::run;
use duramen::progress::Silent;
use duramen::repository::Repository;

use super::lab::{Lab, environment, options};

/// The machine's clock a minute ahead: nothing is too fresh to be trusted.
struct Later(SystemClock);

impl duramen::clock::Clock for Later {
    fn now(&self) -> i64 {
        self.0.now() + 60_000_000_000
    }

    fn elapsed(&self) -> std::time::Duration {
        self.0.elapsed()
    }
}

fn open(lab: &Lab) -> Repository {
    let mut environment = environment(None);
    environment.clock = Arc::new(Later(SystemClock::default()));
    Repository::open(
        Arc::new(lab.storage.clone()),
        std::slice::from_ref(&lab.credential),
        environment,
    )
    .unwrap()
}

fn restore(lab: &Lab, target: &Path) -> PathBuf {
    let repository = lab.open();
    let snapshot =
        ops::select::one(&repository, "latest", &ops::select::Filter::default()).unwrap();
    let restore = super::lab::restore_options(lab, target);
    let summary = ops::restore::run(&repository, &snapshot, &restore, &Silent).unwrap();
    assert_eq!(summary.problem_count, 0, "{:?}", summary.problems);
    target.to_owned()
}

#[test]
fn a_renamed_folder_does_not_hand_its_group_to_another_inode() {
    // Whichever of the two is met first in the walk.
    for (renamed, elsewhere) in [("d2", "d3"), ("z", "b")] {
        let lab = Lab::new();
        let at = |name: &str| lab.tree().join(name);
        for folder in ["d1", elsewhere, "d4"] {
            std::fs::create_dir_all(at(folder)).unwrap();
        }
        std::fs::write(
            at("d1/a"),
            "the old inode, longer than what stands in a page".repeat(20),
        )
        .unwrap();
        let other = at(elsewhere).join("b");
        std::fs::hard_link(at("d1/a"), &other).unwrap();
        run(&open(&lab), &options(&lab.tree()), &Silent).unwrap();

        std::fs::rename(at("d1"), at(renamed)).unwrap();
        std::fs::create_dir(at("d1")).unwrap();
        std::fs::write(
            at("d1/a"),
            "the new inode, which takes the old one's first name".repeat(20),
        )
        .unwrap();
        std::fs::hard_link(at("d1/a"), at("d4/c")).unwrap();
        let done = run(&open(&lab), &options(&lab.tree()), &Silent).unwrap();
        assert!(
            done.counters.files_unmodified > 0,
            "nothing was kept: the test tests nothing"
        );

        let target = tempfile::tempdir().unwrap();
        let out = restore(&lab, &target.path().join("out"));
        let inode = |name: &str| std::fs::metadata(out.join(name)).unwrap().ino();
        let (old, new) = (format!("{renamed}/a"), "d1/a");
        for name in [old.as_str(), new, "d4/c", &format!("{elsewhere}/b")] {
            assert_eq!(
                std::fs::read(out.join(name)).unwrap(),
                std::fs::read(at(name)).unwrap(),
                "{name}"
            );
        }
        assert_eq!(inode(&old), inode(&format!("{elsewhere}/b")));
        assert_eq!(inode(new), inode("d4/c"));
        assert_ne!(inode(new), inode(&old));
    }
}

#[test]
fn more_attributes_than_can_be_stored_are_a_problem_and_not_a_lost_page() {
    let lab = Lab::new();
    lab.write_tree(1);
    let file = lab.tree().join("a/file0");
    let set = |number: u32| {
        let name = format!("user.{number:05}");
        rustix::fs::setxattr(&file, name, b"x", rustix::fs::XattrFlags::empty())
    };
    // Some file systems hold fewer: what matters is that neither way loses anything.
    let held = (0..4200).take_while(|number| set(*number).is_ok()).count();
    let done = run(&lab.open(), &options(&lab.tree()), &Silent).unwrap();
    assert_eq!(done.problem_count > 0, held > 4096, "{held} attributes");
    let repository = lab.open();
    let snapshot =
        ops::select::one(&repository, "latest", &ops::select::Filter::default()).unwrap();
    let found = repository
        .find(&snapshot, file.as_os_str().as_encoded_bytes())
        .unwrap();
    assert!(matches!(found.entry.node, Node::File { .. }));
    assert_eq!(found.entry.xattrs.len(), held.min(4096));
}
