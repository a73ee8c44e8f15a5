//! Trees that change while they are walked, that are very deep, or that may not be read.

use super::*;

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
    let _alone = crate::fs::alone();
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
    let _alone = crate::fs::alone();
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
        let short = super::told(&base, collect(&mut source, |_| {}));
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

#[test]
fn a_directory_that_cannot_be_found_again_is_one_problem() {
    let _alone = crate::fs::alone();
    let place = place();
    let base = place.path();
    for n in 0..600 {
        make(base, &[&format!("d/a{n:03}")]);
    }
    make(base, &["e/f"]);
    let mut source =
        FilesSource::new(&[base.to_path_buf()], &Excludes::default(), Vec::new()).unwrap();
    let mut moved = false;
    let events = collect(&mut source, |_| {
        if !std::mem::replace(&mut moved, true) {
            fs::rename(base.join("d"), base.join("z")).unwrap();
            crate::fs::close_all();
        }
    });
    let told = told(base, events);
    let problems: Vec<_> = told
        .lines
        .iter()
        .filter(|line| line.starts_with('!'))
        .collect();
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].starts_with("! /d: ") && problems[0].ends_with("replaced meanwhile"));
    assert!(told.short().ends_with(&["D /e", "F /e/f"]));
}
