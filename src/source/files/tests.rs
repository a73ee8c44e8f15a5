#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::sync::{Arc, Mutex};

use rustix::fs::{AtFlags, CWD, FileType, Mode, Timespec, Timestamps, makedev};

use super::*;
use crate::fs::{Stat, StatKind};
use crate::progress::Silent;
use crate::source::Run;

/// What a walk told, a line each: `D path` and `leave`, `F`, `L` and so on with the path, `! path: error`; `base` is
/// cut off in front.
struct Told {
    lines: Vec<String>,
    stats: Vec<(String, Stat)>,
}

impl Told {
    fn stat(&self, path: &str) -> &Stat {
        &self.stats.iter().find(|(at, _)| at == path).unwrap().1
    }

    /// Without `leave` and what lies above `base`.
    fn short(&self) -> Vec<&str> {
        let lines = self.lines.iter().map(String::as_str);
        lines
            .filter(|line| *line != "leave" && line.get(2..3) != Some("^"))
            .collect()
    }
}

fn told(base: &Path, events: Vec<Event>) -> Told {
    let base = base.as_os_str().as_bytes();
    let shown = |path: &[u8]| match path.strip_prefix(base) {
        Some(below) => below.escape_ascii().to_string(),
        None => format!("^{}", path.escape_ascii()),
    };
    let (mut lines, mut stats, mut stack) = (Vec::new(), Vec::new(), Vec::<Vec<u8>>::new());
    for event in events {
        match event {
            Event::Enter { name, stat, origin } => {
                let path = origin.path(b"");
                assert!(path.ends_with(&name));
                if let Some(above) = stack.last() {
                    assert!(path.starts_with(above), "entered from its parent");
                } else {
                    assert_eq!(name, b"/");
                }
                assert!(stat.is_directory());
                lines.push(format!("D {}", shown(&path)));
                stats.push((shown(&path), stat));
                stack.push(path);
            }
            Event::Leave => {
                stack.pop().unwrap();
                lines.push("leave".to_owned());
            }
            Event::Member { name, stat, origin } => {
                assert_eq!(&origin.path(b""), stack.last().unwrap());
                let kind = match stat.kind {
                    StatKind::File => "F",
                    StatKind::Symlink => "L",
                    StatKind::Directory => panic!("a directory is entered"),
                    _ => "S",
                };
                let path = shown(&origin.path(&name));
                lines.push(format!("{kind} {path}"));
                stats.push((path, stat));
            }
            Event::Problem { path, error } => {
                assert!(!stack.is_empty(), "the first event enters the root");
                lines.push(format!("! {}: {}", shown(&path), error.message()));
            }
        }
    }
    assert!(stack.is_empty());
    Told { lines, stats }
}

fn collect(source: &mut FilesSource, mut then: impl FnMut(usize)) -> Vec<Event> {
    let mut all = Vec::new();
    source
        .walk(&Silent, &mut |events| {
            assert!(!events.is_empty() && events.len() <= 300);
            all.extend(events);
            then(all.len());
            Ok(())
        })
        .unwrap();
    all
}

/// Walks `paths` below `base`.
fn walk(base: &Path, paths: &[&str], excludes: &Excludes) -> Told {
    let paths: Vec<_> = paths.iter().map(|path| base.join(path)).collect();
    let mut source = FilesSource::new(&paths, excludes, Vec::new()).unwrap();
    told(base, collect(&mut source, |_| {}))
}

fn all(base: &Path) -> Told {
    walk(base, &[""], &Excludes::default())
}

/// Makes files (and the directories above them); one that ends with `/` is a directory.
fn make(base: &Path, files: &[&str]) {
    for file in files {
        let path = base.join(file);
        if file.ends_with('/') {
            fs::create_dir_all(path).unwrap();
        } else {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, *file).unwrap();
        }
    }
}

fn place() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn in_the_order_of_raw_names_with_directories_among_them() {
    let place = place();
    make(place.path(), &["b", "a/x", "a/w/", "a.b", "a-b", "B"]);
    fs::write(place.path().join(OsStr::from_bytes(b"\xff")), "").unwrap();
    fs::write(place.path().join("n".repeat(255)), "").unwrap();
    let told = all(place.path());
    let long = format!("F /{}", "n".repeat(255));
    let at = told.lines.iter().position(|line| line == "D ").unwrap();
    let expected = [
        "D ", "F /B", "D /a", "D /a/w", "leave", "F /a/x", "leave", "F /a-b", "F /a.b", "F /b",
        &long, "F /\\xff", "leave",
    ];
    assert_eq!(told.lines[at..at + expected.len()], expected);
    // Above it, only the way there, each with its own stat.
    let depth = place.path().components().count() - 1;
    assert_eq!(at, depth);
    assert_eq!(told.lines.len(), at + expected.len() + depth);
    assert!(told.lines[..at].iter().all(|line| line.starts_with("D ^/")));
    assert_eq!(told.lines[0], "D ^/");
    assert_eq!(told.stat("^/").inode, fs::metadata("/").unwrap().ino());
    let above = fs::metadata(place.path().parent().unwrap()).unwrap();
    assert_eq!(told.stats[at - 1].1.inode, above.ino());
    assert_eq!(told.stats[at - 1].1.device, above.dev());
}

#[test]
fn what_the_system_says_of_each_kind() {
    let place = place();
    let base = place.path();
    make(base, &["file", "dir/"]);
    symlink("nowhere", base.join("link")).unwrap();
    fs::hard_link(base.join("file"), base.join("twin")).unwrap();
    std::os::unix::net::UnixListener::bind(base.join("socket")).unwrap();
    let node = |name: &str, kind| {
        let mode = Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(CWD, base.join(name), kind, mode, makedev(1, 7))
    };
    node("fifo", FileType::Fifo).unwrap();
    let devices = node("char", FileType::CharacterDevice)
        .and_then(|()| node("block", FileType::BlockDevice))
        .is_ok();
    fs::set_permissions(base.join("file"), fs::Permissions::from_mode(0o6751)).unwrap();
    fs::set_permissions(base.join("dir"), fs::Permissions::from_mode(0o1777)).unwrap();
    let before_1970 = Timespec {
        tv_sec: -2,
        tv_nsec: 999_999_999,
    };
    let times = Timestamps {
        last_access: before_1970,
        last_modification: before_1970,
    };
    rustix::fs::utimensat(CWD, base.join("link"), &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
    let told = all(base);
    let file = told.stat("/file");
    let found = fs::metadata(base.join("file")).unwrap();
    assert_eq!(
        (file.kind, file.mode, file.size, file.links),
        (StatKind::File, 0o6751, 4, 2)
    );
    assert_eq!((file.inode, file.device), (found.ino(), found.dev()));
    assert_eq!(
        (file.uid, file.gid, file.blocks),
        (found.uid(), found.gid(), found.blocks())
    );
    assert_eq!(
        file.mtime,
        found.mtime() * 1_000_000_000 + found.mtime_nsec()
    );
    assert_eq!(
        file.ctime,
        found.ctime() * 1_000_000_000 + found.ctime_nsec()
    );
    assert_eq!(told.stat("/twin"), file);
    assert_eq!(told.stat("/dir").mode, 0o1777);
    assert_eq!((told.stat("/dir").size, told.stat("/link").size), (0, 0));
    assert_eq!(told.stat("/link").mtime, -1_000_000_001);
    assert_eq!(told.stat("/socket").kind, StatKind::Socket);
    assert_eq!(told.stat("/fifo").kind, StatKind::Fifo);
    if devices {
        let (major, minor) = (1, 7);
        assert_eq!(
            told.stat("/char").kind,
            StatKind::CharDevice { major, minor }
        );
        assert_eq!(
            told.stat("/block").kind,
            StatKind::BlockDevice { major, minor }
        );
    }
}

#[test]
fn given_paths_fall_together() {
    let place = place();
    let base = place.path();
    make(base, &["a/b/c/d", "a/b/e", "a/f", "x/y", "x/z", "w"]);
    let none = Excludes::default();
    let told = walk(base, &["x/y", "a/b/c/d", "w", "a/b", "a/b/../b/c"], &none);
    let expected = [
        "D ",
        "D /a",
        "D /a/b",
        "D /a/b/c",
        "F /a/b/c/d",
        "F /a/b/e",
        "F /w",
        "D /x",
        "F /x/y",
    ];
    assert_eq!(told.short(), expected);
    let paths = [base.join("x//y"), base.join("x/./y"), base.join("a")];
    let source = FilesSource::new(&paths, &none, Vec::new()).unwrap();
    assert_eq!(source.paths(), [base.join("a"), base.join("x/y")]);
    assert_eq!(
        FilesSource::new(&[], &none, Vec::new()).unwrap_err().kind(),
        Kind::Usage
    );
}

#[test]
fn links_among_the_given_paths() {
    let place = place();
    let base = place.path();
    make(base, &["real/deep/f", "real/deep/g", "w/k"]);
    symlink("real", base.join("link")).unwrap();
    symlink(base.join("real/deep"), base.join("w/inner")).unwrap();
    let none = Excludes::default();
    assert_eq!(walk(base, &["link"], &none).short(), ["D ", "L /link"]);
    let told = walk(base, &["link/deep/f"], &none);
    assert_eq!(
        told.short(),
        ["D ", "D /link", "D /link/deep", "F /link/deep/f"]
    );
    assert_eq!(
        told.stat("/link").inode,
        fs::metadata(base.join("real")).unwrap().ino()
    );
    // A link on the way to something given is a directory with only that in it, even within a given directory.
    let told = walk(base, &["w", "w/inner/g"], &none);
    assert_eq!(
        told.short(),
        ["D ", "D /w", "D /w/inner", "F /w/inner/g", "F /w/k"]
    );
    // Elsewhere it stays a link.
    assert_eq!(
        walk(base, &["w"], &none).short(),
        ["D ", "D /w", "L /w/inner", "F /w/k"]
    );
}

#[test]
fn missing_paths() {
    let place = place();
    let base = place.path();
    make(base, &["a"]);
    symlink("nowhere", base.join("dangling")).unwrap();
    let told = walk(
        base,
        &["none", "a", "a/below", "dangling"],
        &Excludes::default(),
    );
    let expected = ["D ", "F /a", "L /dangling"];
    let (problems, rest): (Vec<_>, Vec<_>) = told
        .short()
        .into_iter()
        .partition(|line| line.starts_with('!'));
    assert_eq!(rest, expected);
    assert_eq!(
        problems,
        ["! /a/below: cannot read", "! /none: cannot read"]
    );
    assert_eq!(told.lines[0], "D ^/");
    for paths in [&["none"][..], &["none", "nothing"]] {
        let paths: Vec<_> = paths.iter().map(|path| base.join(path)).collect();
        let error = FilesSource::new(&paths, &Excludes::default(), Vec::new()).unwrap_err();
        assert_eq!(error.kind(), Kind::NotFound);
        assert!(error.subject_text().unwrap().ends_with("/none"));
    }
}

mod changing;
mod leaving_out;
