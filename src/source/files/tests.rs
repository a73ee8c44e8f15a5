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

#[test]
fn patterns() {
    let place = place();
    let base = place.path();
    make(
        base,
        &[
            "a/x.o",
            "a/x.c",
            "node_modules/f",
            "b/node_modules/k/g",
            "keep.o",
            "b/h",
        ],
    );
    fs::write(base.join(OsStr::from_bytes(b"\xff.o")), "").unwrap();
    let mut excludes = Excludes {
        patterns: ["*.o", "node_modules", "!keep.o"]
            .map(String::from)
            .to_vec(),
        ..Excludes::default()
    };
    let told = walk(base, &[""], &excludes);
    assert_eq!(
        told.short(),
        ["D ", "D /a", "F /a/x.c", "D /b", "F /b/h", "F /keep.o"]
    );
    // What was given itself too, but never what lies above it.
    let told = walk(
        base,
        &["b/node_modules/k", "node_modules", "a/x.o", "b"],
        &excludes,
    );
    let way = [
        "D ",
        "D /a",
        "D /b",
        "F /b/h",
        "D /b/node_modules",
        "D /b/node_modules/k",
    ];
    assert_eq!(
        told.short(),
        [&way[..], &["F /b/node_modules/k/g"]].concat()
    );
    excludes.patterns = vec![format!("{}/a", base.display())];
    assert!(
        !walk(base, &[""], &excludes)
            .lines
            .contains(&"D /a".to_owned())
    );
    excludes.patterns = vec!["tmp".to_owned(), format!("{}/", base.display())];
    assert_eq!(
        walk(base, &["b/h"], &excludes).short(),
        ["D ", "D /b", "F /b/h"]
    );
}

#[test]
fn patterns_in_the_tree() {
    let place = place();
    let base = place.path();
    make(
        base,
        &[
            "a/keep.o", "a/x.o", "a/sub/t", "a/sub/u", "b/x.o", "b/sub/t", "x.o", "c/no.c",
        ],
    );
    fs::write(base.join(".gitignore"), "*.o\n/c\n[bad\n").unwrap();
    fs::write(base.join("a/.gitignore"), "!keep.o\nsub/t\n").unwrap();
    let excludes = Excludes {
        ignore_files: vec![".gitignore".into()],
        ..Excludes::default()
    };
    let expected = [
        "D ",
        "F /.gitignore",
        "D /a",
        "F /a/.gitignore",
        "F /a/keep.o",
        "D /a/sub",
        "F /a/sub/u",
        "D /b",
        "D /b/sub",
        "F /b/sub/t",
    ];
    assert_eq!(walk(base, &[""], &excludes).short(), expected);
    // Those above a given path are not looked at.
    assert!(
        walk(base, &["c", "x.o"], &excludes)
            .short()
            .contains(&"F /c/no.c")
    );
    // The user's own go first.
    let mut stronger = excludes.clone();
    stronger.patterns = ["!x.o", "keep.o"].map(String::from).to_vec();
    let told = walk(base, &[""], &stronger);
    assert!(told.short().contains(&"F /a/x.o") && !told.short().contains(&"F /a/keep.o"));
    // One that is no regular file is named, and the walk goes on.
    fs::remove_file(base.join("a/.gitignore")).unwrap();
    symlink("/etc/passwd", base.join("a/.gitignore")).unwrap();
    let told = walk(base, &[""], &excludes);
    assert!(told.short().contains(&"L /a/.gitignore"));
    assert_eq!(
        told.lines
            .iter()
            .filter(|line| line.starts_with('!'))
            .count(),
        1
    );
}

#[test]
fn tagged_directories_keep_only_their_tag() {
    let place = place();
    let base = place.path();
    let signature = "Signature: 8a477f597d28d172789f06886806bc55";
    make(
        base,
        &[
            "cache/x",
            "cache/sub/y",
            "fake/x",
            "no/x",
            "no/in/y",
            "part/x",
            "f",
        ],
    );
    fs::write(
        base.join("cache/CACHEDIR.TAG"),
        format!("{signature}\n# more\n"),
    )
    .unwrap();
    fs::write(base.join("fake/CACHEDIR.TAG"), &signature[..20]).unwrap();
    fs::write(base.join("no/.no"), "").unwrap();
    fs::write(base.join("part/.part"), "head: x").unwrap();
    let mut excludes = Excludes {
        caches: true,
        if_present: vec![".no".into(), ".part:head: ".into()],
        ..Excludes::default()
    };
    let expected = [
        "D ",
        "D /cache",
        "F /cache/CACHEDIR.TAG",
        "F /f",
        "D /fake",
        "F /fake/CACHEDIR.TAG",
        "F /fake/x",
        "D /no",
        "F /no/.no",
        "D /part",
        "F /part/.part",
    ];
    assert_eq!(walk(base, &[""], &excludes).short(), expected);
    excludes.if_present = vec![".part:tail".into()];
    let told = walk(base, &["no", "part"], &excludes);
    assert!(told.short().contains(&"F /part/x") && told.short().contains(&"F /no/in/y"));
    // What was given itself is kept.
    let told = walk(base, &["cache", "cache/sub"], &excludes);
    let expected = [
        "D ",
        "D /cache",
        "F /cache/CACHEDIR.TAG",
        "D /cache/sub",
        "F /cache/sub/y",
    ];
    assert_eq!(told.short(), expected);
}

#[test]
fn large_files() {
    let place = place();
    let base = place.path();
    fs::write(base.join("ten"), [0; 10]).unwrap();
    fs::write(base.join("eleven"), [0; 11]).unwrap();
    fs::create_dir(base.join("directory")).unwrap();
    let excludes = Excludes {
        larger_than: Some(10),
        ..Excludes::default()
    };
    assert_eq!(
        walk(base, &[""], &excludes).short(),
        ["D ", "D /directory", "F /ten"]
    );
}

/// `/proc` is another file system wherever tests run.
#[test]
fn one_file_system() {
    let mut excludes = Excludes {
        patterns: ["/*", "!/proc"].map(String::from).to_vec(),
        one_file_system: true,
        ..Excludes::default()
    };
    let base = Path::new("/");
    assert_eq!(
        walk(base, &[""], &excludes).lines,
        ["D ", "D proc", "leave", "leave"]
    );
    let told = walk(base, &["", "proc/sys/kernel/ostype"], &excludes);
    let expected = [
        "D ",
        "D proc",
        "D proc/sys",
        "D proc/sys/kernel",
        "F proc/sys/kernel/ostype",
    ];
    assert_eq!(told.short(), expected);
    // Given itself, its own file system is the one to stay on.
    excludes.patterns = vec![
        "/proc/[0-9]*".into(),
        "/proc/sys/*".into(),
        "/proc/*/**".into(),
    ];
    let told = walk(base, &["proc"], &excludes);
    assert!(told.short().contains(&"F proc/version") && told.short().contains(&"D proc/sys"));
}

#[test]
fn the_repository_is_not_part_of_its_own_snapshot() {
    struct Notes(Mutex<Vec<String>>);
    impl Progress for Notes {
        fn note(&self, text: &str) {
            self.0.lock().unwrap().push(text.to_owned());
        }
    }
    let place = place();
    let base = place.path();
    make(base, &["a/repository/packs/p", "a/x"]);
    symlink("a/repository", base.join("way")).unwrap();
    let left_out = LeftOut::directory(&base.join("way"), "the repository itself").unwrap();
    let given = [base.to_path_buf(), base.join("way/packs/p")];
    let mut source = FilesSource::new(&given, &Excludes::default(), vec![left_out]).unwrap();
    let notes = Notes(Mutex::default());
    let mut events = Vec::new();
    source
        .walk(&notes, &mut |batch| {
            events.extend(batch);
            Ok(())
        })
        .unwrap();
    assert_eq!(told(base, events).short(), ["D ", "D /a", "F /a/x"]);
    let notes = notes.0.into_inner().unwrap();
    let expected = |at: &str| {
        format!(
            "{}{at}: left out, it is the repository itself",
            base.display()
        )
    };
    assert_eq!(notes, [expected("/a/repository"), expected("/way")]);
    assert!(LeftOut::directory(&base.join("none"), "x").is_none());
    assert!(LeftOut::directory(&base.join("a/x"), "x").is_none());
}

#[test]
fn a_tree_that_changes_underneath() {
    let place = place();
    let base = place.path();
    // Enough before `d` that the events of it are handed over while `d` is still to come.
    make(
        base,
        &[
            "d/in/f", "d/gone/f", "e/f", "f", "g", "h/f", "secret/s", "moved/m",
        ],
    );
    for n in 0..300 {
        fs::write(base.join(format!("a{n:03}")), "").unwrap();
    }
    let mut source =
        FilesSource::new(&[base.to_path_buf()], &Excludes::default(), Vec::new()).unwrap();
    let mut changed = false;
    let events = collect(&mut source, |_| {
        if std::mem::replace(&mut changed, true) {
            return;
        }
        fs::remove_dir_all(base.join("d/gone")).unwrap();
        // A directory that became a link is a link.
        fs::remove_dir_all(base.join("e")).unwrap();
        symlink("secret", base.join("e")).unwrap();
        fs::remove_file(base.join("f")).unwrap();
        // A file that became a directory is a directory.
        fs::remove_file(base.join("g")).unwrap();
        make(base, &["g/new"]);
        fs::remove_dir_all(base.join("h")).unwrap();
    });
    let told = told(base, events);
    let short = told.short();
    assert_eq!(
        short[301..],
        [
            "D /d",
            "D /d/in",
            "F /d/in/f",
            "L /e",
            "! /f: vanished while the snapshot ran",
            "D /g",
            "F /g/new",
            "! /h: vanished while the snapshot ran",
            "D /moved",
            "F /moved/m",
            "D /secret",
            "F /secret/s",
        ]
    );
}

#[test]
fn a_directory_swapped_while_it_is_walked_is_not_mixed_up() {
    let place = place();
    let base = place.path();
    for n in 0..600 {
        make(base, &[&format!("d/a{n:03}"), &format!("evil/a{n:03}")]);
    }
    let ino = |path: &str| fs::symlink_metadata(base.join(path)).unwrap().ino();
    let expected: Vec<u64> = (0..600).map(|n| ino(&format!("d/a{n:03}"))).collect();
    let given = [base.join("d")];
    let mut source = FilesSource::new(&given, &Excludes::default(), Vec::new()).unwrap();
    let mut swapped = false;
    let events = collect(&mut source, |_| {
        if !std::mem::replace(&mut swapped, true) {
            fs::rename(base.join("d"), base.join("away")).unwrap();
            symlink("evil", base.join("d")).unwrap();
        }
    });
    let told = told(base, events);
    let got: Vec<u64> = (0..600)
        .map(|n| told.stat(&format!("/d/a{n:03}")).inode)
        .collect();
    assert_eq!(got, expected);
}

#[test]
fn very_deep_and_longer_than_any_path() {
    let place = place();
    let root = Dir::root(place.path()).unwrap();
    let mut dir = Arc::clone(&root);
    for level in 0..1_100 {
        let name = format!("{level:0>10}").into_bytes();
        let mode = Mode::from_raw_mode(0o755);
        dir.with_fd(|fd| rustix::fs::mkdirat(fd, &*name, mode))
            .unwrap();
        // A member that sorts after the directory, so that every level is needed again on the way up.
        dir.with_fd(|fd| rustix::fs::symlinkat("t", fd, "z"))
            .unwrap();
        dir = dir.open_child(&name).unwrap();
    }
    let excludes = Excludes {
        // Rules by path work there too.
        patterns: vec!["nothing".into()],
        ..Excludes::default()
    };
    let given = [place.path().to_path_buf()];
    let mut source = FilesSource::new(&given, &excludes, Vec::new()).unwrap();
    let events = collect(&mut source, |_| {});
    let (mut links, mut longest) = (0, 0);
    for event in &events {
        match event {
            Event::Member { name, origin, .. } => {
                assert_eq!(origin.read_link(name).unwrap(), b"t");
                assert_eq!(origin.xattrs(name).unwrap(), []);
                longest = longest.max(origin.path(name).len());
                links += 1;
            }
            Event::Problem { error, .. } => panic!("{error}"),
            _ => {}
        }
    }
    assert_eq!(links, 1_100);
    assert!(longest > 12_000);
    drop(events);
    // The helper that made the folder cannot remove a tree so deep everywhere.
    while let Some(parent) = dir.parent().cloned() {
        let remove = |name: &[u8], flags| {
            parent
                .with_fd(|fd| rustix::fs::unlinkat(fd, name, flags))
                .unwrap();
        };
        remove(dir.name(), AtFlags::REMOVEDIR);
        remove(b"z", AtFlags::empty());
        dir = parent;
    }
}

/// As another user than root: permissions count.
#[test]
fn without_permission() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let place = place();
    let base = place.path().to_path_buf();
    fs::set_permissions(&base, fs::Permissions::from_mode(0o755)).unwrap();
    make(&base, &["closed/f", "search/f", "open/secret", "open/f"]);
    let mode = |path: &str, mode| {
        fs::set_permissions(base.join(path), fs::Permissions::from_mode(mode)).unwrap();
    };
    mode("closed", 0o700);
    mode("search", 0o711);
    mode("open/secret", 0o600);
    std::thread::spawn(move || {
        let nobody = rustix::fs::Uid::from_raw(65_534);
        rustix::thread::set_thread_res_uid(nobody, nobody, nobody).unwrap();
        let told = all(&base);
        let expected = [
            "D ",
            "D /closed",
            "! /closed: cannot list",
            "D /open",
            "F /open/f",
            "F /open/secret",
            "D /search",
            "! /search: cannot list",
        ];
        assert_eq!(told.short(), expected);
        // A file of another owner can be read, but its access time cannot be left alone; a secret one cannot.
        let origin = content::DirOrigin(Dir::root(&base.join("open")).unwrap());
        let open = |name| crate::source::Origin::open(&origin, name);
        assert_eq!(
            open(b"f").unwrap().next(&mut [0; 100]).unwrap(),
            Run::Data(6)
        );
        assert_eq!(open(b"secret").err().unwrap().kind(), Kind::Permission);
        // The way may lead through a directory that cannot be listed.
        let told = walk(&base, &["search/f"], &Excludes::default());
        assert_eq!(told.short(), ["D ", "D /search", "F /search/f"]);
        let given = [base.join("closed/f")];
        let mut source = FilesSource::new(&given, &Excludes::default(), Vec::new()).unwrap();
        let short = super::tests::told(&base, collect(&mut source, |_| {}));
        assert_eq!(
            short.short(),
            ["D ", "D /closed", "! /closed/f: cannot look at"]
        );
    })
    .join()
    .unwrap();
}

#[test]
fn stops_at_once() {
    struct Stop;
    impl Progress for Stop {
        fn interrupted(&self) -> bool {
            true
        }
    }
    let place = place();
    for n in 0..600 {
        make(place.path(), &[&format!("a{n:03}")]);
    }
    let given = [place.path().to_path_buf()];
    let mut source = FilesSource::new(&given, &Excludes::default(), Vec::new()).unwrap();
    let error = source
        .walk(&Stop, &mut |_| panic!("handed over"))
        .unwrap_err();
    assert_eq!(error.kind(), Kind::Interrupted);
    let mut calls = 0;
    let error = source.walk(&Silent, &mut |_| {
        calls += 1;
        Err(Error::new(Kind::NoSpace, "full"))
    });
    assert_eq!((error.unwrap_err().kind(), calls), (Kind::NoSpace, 1));
}
