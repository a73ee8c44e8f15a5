#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::error::{Error, Kind, Result};
use crate::fs::Dir;

const RULES: Rules = Rules {
    ownership: true,
    privileged: true,
    sparse: false,
};

fn meta(mode: u32, uid: u32, mtime: i64) -> Meta {
    Meta {
        mode,
        uid,
        gid: uid,
        mtime,
        xattrs: Vec::new(),
    }
}

fn members(dir: &Path) -> Vec<String> {
    let mut found: Vec<String> = fs::read_dir(dir)
        .unwrap()
        .map(|item| item.unwrap().file_name().into_string().unwrap())
        .collect();
    found.sort();
    found
}

#[test]
fn nothing_shows_under_the_name_before_it_is_finished() {
    let place = tempfile::tempdir().unwrap();
    let dir = Dir::root(place.path()).unwrap();
    fs::write(place.path().join("f"), b"old").unwrap();
    let mut writing = Writing::fresh(&dir, b"f").unwrap();
    writing.resize(10).unwrap();
    writing.write(6, b"back", false).unwrap();
    writing.close();
    assert!(!writing.is_open());
    writing.write(0, b"front", false).unwrap();
    assert_eq!(fs::read(place.path().join("f")).unwrap(), b"old");
    let temporary = members(place.path()).remove(0);
    assert!(Temporary::is_one(temporary.as_bytes()), "{temporary}");
    writing.finish(&meta(0o600, 0, 5), RULES).unwrap();
    assert_eq!(fs::read(place.path().join("f")).unwrap(), b"front\0back");
    assert_eq!(members(place.path()), ["f"]);

    drop(Writing::fresh(&dir, b"f").unwrap());
    assert_eq!(members(place.path()), ["f"]);
}

#[test]
fn a_temporary_swapped_for_another_file_is_not_written() {
    let place = tempfile::tempdir().unwrap();
    let dir = Dir::root(place.path()).unwrap();
    let precious = place.path().join("precious");
    fs::write(&precious, b"precious").unwrap();
    let mut writing = Writing::fresh(&dir, b"f").unwrap();
    writing.close();
    let temporary = place.path().join(&members(place.path())[0]);
    fs::remove_file(&temporary).unwrap();
    fs::hard_link(&precious, &temporary).unwrap();
    assert!(writing.write(0, b"hostile", false).is_err());
    fs::remove_file(&temporary).unwrap();
    symlink(&precious, &temporary).unwrap();
    assert!(writing.write(0, b"hostile", false).is_err());
    drop(writing);
    assert_eq!(fs::read(&precious).unwrap(), b"precious");
    assert_eq!(members(place.path()), ["precious"]);
}

#[test]
fn owner_before_mode_and_attributes_as_wanted_only() {
    let place = tempfile::tempdir().unwrap();
    let dir = Dir::root(place.path()).unwrap();
    let mut wanted = meta(0o6711, 12_345, -1);
    wanted.xattrs = vec![
        (b"trusted.t".to_vec(), b"root's".to_vec()),
        (b"user.u".to_vec(), vec![0, 255]),
    ];
    let applied = Writing::fresh(&dir, b"f")
        .unwrap()
        .finish(&wanted, RULES)
        .unwrap();
    assert!(applied.problems.is_empty(), "{:?}", applied.problems);
    assert_eq!((applied.bits_dropped, applied.withheld), (false, 0));
    assert_eq!(
        differences(&dir, b"f", &wanted, RULES).unwrap(),
        Vec::<String>::new()
    );
    let found = place.path().join("f").metadata().unwrap();
    assert_eq!((found.mode() & 0o7777, found.uid()), (0o6711, 12_345));
    assert_eq!((found.mtime(), found.mtime_nsec()), (-1, 999_999_999));

    // Each attribute changed once is found.
    for change in 0..5 {
        let mut other = wanted.clone();
        match change {
            0 => other.mode ^= 1,
            1 => other.gid += 1,
            2 => other.mtime += 1,
            3 => other.xattrs[1].1[0] = 1,
            _ => drop(other.xattrs.pop()),
        }
        // Setgid belongs to the group, so that a wrong group shows twice.
        let wrong = differences(&dir, b"f", &other, RULES).unwrap();
        assert_eq!(wrong.len(), if change == 1 { 2 } else { 1 }, "{wrong:?}");
        apply_to_member(&dir, b"f", &other, RULES, |_| true).unwrap();
        assert!(differences(&dir, b"f", &other, RULES).unwrap().is_empty());
        apply_to_member(&dir, b"f", &wanted, RULES, |_| true).unwrap();
    }

    // Without ownership the bits that lend rights go.
    let rules = Rules {
        ownership: false,
        privileged: false,
        sparse: false,
    };
    let applied = Writing::fresh(&dir, b"g")
        .unwrap()
        .finish(&wanted, rules)
        .unwrap();
    assert_eq!((applied.bits_dropped, applied.withheld), (true, 1));
    let found = place.path().join("g").metadata().unwrap();
    assert_eq!((found.mode() & 0o7777, found.uid()), (0o711, 0));
}

#[test]
fn links_and_nodes_get_their_own_metadata() {
    let place = tempfile::tempdir().unwrap();
    let dir = Dir::root(place.path()).unwrap();
    fs::write(place.path().join("target"), b"").unwrap();
    let before = place.path().join("target").metadata().unwrap();
    let mut wanted = meta(0o640, 77, -5_000_000_001);
    wanted.xattrs = vec![(b"trusted.t".to_vec(), b"1".to_vec())];
    for (name, special) in [
        (&b"link"[..], Special::Symlink(b"target")),
        (b"pipe", Special::Fifo),
        (b"socket", Special::Socket),
    ] {
        let applied = make(&dir, name, special, &wanted, RULES).unwrap();
        assert!(applied.problems.is_empty(), "{:?}", applied.problems);
        assert!(differences(&dir, name, &wanted, RULES).unwrap().is_empty());
        // In the place of what stands there.
        make(&dir, name, special, &wanted, RULES).unwrap();
    }
    let after = place.path().join("target").metadata().unwrap();
    assert_eq!(
        (after.uid(), after.mtime_nsec()),
        (before.uid(), before.mtime_nsec())
    );
    assert_eq!(members(place.path()), ["link", "pipe", "socket", "target"]);
}

#[test]
fn linking_replaces_and_knows_its_first_name() {
    let place = tempfile::tempdir().unwrap();
    let dir = Dir::root(place.path()).unwrap();
    fs::write(place.path().join("a"), b"a").unwrap();
    fs::write(place.path().join("b"), b"b").unwrap();
    let first = identity(&look(&dir, b"a").unwrap().unwrap());
    assert!(link((&dir, b"a"), first, &dir, b"b").unwrap());
    assert!(!link((&dir, b"a"), first, &dir, b"b").unwrap());
    assert_eq!(place.path().join("b").metadata().unwrap().nlink(), 2);
    fs::remove_file(place.path().join("a")).unwrap();
    symlink("/etc/passwd", place.path().join("a")).unwrap();
    assert!(link((&dir, b"a"), first, &dir, b"c").is_err());
    assert_eq!(members(place.path()), ["a", "b"]);
}

struct Broom(Vec<String>, Vec<Error>);

impl Sweep for Broom {
    fn keep(&mut self, path: &[u8], _: bool) -> bool {
        path.ends_with(b"keep")
    }
    fn removed(&mut self, path: &[u8], _: bool) {
        self.0.push(String::from_utf8(path.to_vec()).unwrap());
    }
    fn problem(&mut self, _: &[u8], error: Error) {
        self.1.push(error);
    }
    fn dry_run(&self) -> bool {
        false
    }
    fn go_on(&mut self) -> Result<()> {
        if self.0.len() > 100 {
            return Err(Error::new(Kind::Interrupted, "enough"));
        }
        Ok(())
    }
}

#[test]
fn sweeping_takes_links_not_what_they_point_to() {
    let place = tempfile::tempdir().unwrap();
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("precious"), b"").unwrap();
    let root = place.path().join("x");
    fs::create_dir_all(root.join("a/b")).unwrap();
    fs::create_dir_all(root.join("c")).unwrap();
    fs::write(root.join("a/b/f"), b"").unwrap();
    fs::write(root.join("c/keep"), b"").unwrap();
    symlink(outside.path(), root.join("a/out")).unwrap();
    let dir: Arc<Dir> = Dir::root(place.path()).unwrap();
    let mut broom = Broom(Vec::new(), Vec::new());
    let sweep: &mut dyn Sweep = &mut broom;
    sweep.remove(&dir, b"x").unwrap();
    assert_eq!(broom.0, ["x/a/b/f", "x/a/b", "x/a/out", "x/a"]);
    assert!(broom.1.is_empty());
    assert!(root.join("c/keep").exists());
    assert!(outside.path().join("precious").exists());
}
