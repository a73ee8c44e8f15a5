#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;

/// Held by tests that close descriptors of other tests or that must not have theirs closed.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    lock(&ALONE)
}

fn make(parent: &Arc<Dir>, name: &[u8]) -> Arc<Dir> {
    parent
        .with_fd(|fd| rustix::fs::mkdirat(fd, name, Mode::from_raw_mode(0o755)))
        .unwrap();
    parent.open_child(name).unwrap()
}

/// `depth` directories one in another, names of `width` bytes; the innermost.
fn chain(root: &Arc<Dir>, depth: usize, width: usize) -> Arc<Dir> {
    let mut dir = Arc::clone(root);
    for level in 0..depth {
        let name = format!("{level:0width$}");
        dir = make(&dir, name.as_bytes());
    }
    dir
}

fn touch(dir: &Dir, name: &[u8]) -> rustix::io::Result<()> {
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
    dir.with_fd(|fd| rustix::fs::openat(fd, name, flags, Mode::from_raw_mode(0o600)))
        .map(drop)
}

/// Takes a chain apart from the innermost: the helper that made the folder cannot remove paths so long.
fn dismantle(mut dir: Arc<Dir>) {
    while let Some(parent) = dir.parent().cloned() {
        let name = dir.name().to_vec();
        parent
            .with_fd(|fd| rustix::fs::unlinkat(fd, &*name, rustix::fs::AtFlags::REMOVEDIR))
            .unwrap();
        dir = parent;
    }
}

#[test]
fn paths_and_names() {
    let place = tempfile::tempdir().unwrap();
    let root = Dir::root(place.path()).unwrap();
    let inner = make(&make(&root, b"a\xff"), b"b");
    let mut expected = place.path().as_os_str().as_bytes().to_vec();
    assert_eq!(root.path(), expected);
    expected.extend_from_slice(b"/a\xff/b");
    assert_eq!(inner.path(), expected);
    expected.extend_from_slice(b"/c");
    assert_eq!(inner.path_of(b"c"), expected);
    assert_eq!(inner.name(), b"b");
    assert_eq!(inner.parent().unwrap().name(), b"a\xff");
    let top = Dir::root(Path::new("/")).unwrap();
    assert_eq!(top.path(), b"/");
    assert_eq!(top.path_of(b"etc"), b"/etc");
}

#[test]
fn a_symbolic_link_is_not_opened_unless_asked() {
    let place = tempfile::tempdir().unwrap();
    let root = Dir::root(place.path()).unwrap();
    let real = make(&root, b"real");
    std::os::unix::fs::symlink("real", place.path().join("link")).unwrap();
    assert_eq!(
        root.try_open_child(b"link", false).unwrap_err(),
        Errno::NOTDIR
    );
    let followed = root.try_open_child(b"link", true).unwrap();
    assert_eq!(followed.identity(), real.identity());
    assert!(followed.path().ends_with(b"/link"));
    for name in [&b""[..], b".", b"..", b"real/..", b"/"] {
        assert_eq!(root.try_open_child(name, false).unwrap_err(), Errno::INVAL);
    }
    let error = root.open_child(b"none").unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound);
    assert!(error.subject_text().unwrap().ends_with("/none"));
}

#[test]
fn a_directory_a_thousand_deep_is_reopened() {
    let _alone = alone();
    let place = tempfile::tempdir().unwrap();
    let root = Dir::root(place.path()).unwrap();
    // Names of 12 bytes: the path is longer than the 4,096 that the system takes at once.
    let innermost = chain(&root, 1_000, 12);
    assert!(innermost.path().len() > 13_000);
    close_all();
    touch(&innermost, b"file").unwrap();
    // Every level is found again on the way up, most of them closed meanwhile.
    let mut level = Arc::clone(&innermost);
    while let Some(parent) = level.parent().cloned() {
        stat::of_member(&parent, level.name()).unwrap();
        level = parent;
    }
    assert!(lock(&CLOCK).ring.len() <= OPEN_MAX);
    innermost
        .with_fd(|fd| rustix::fs::unlinkat(fd, "file", rustix::fs::AtFlags::empty()))
        .unwrap();
    drop(level);
    dismantle(innermost);
}

#[test]
fn more_directories_than_descriptors() {
    let _alone = alone();
    let place = tempfile::tempdir().unwrap();
    let root = Dir::root(place.path()).unwrap();
    let dirs: Vec<_> = (0..3 * OPEN_MAX)
        .map(|n| make(&root, format!("{n}").as_bytes()))
        .collect();
    let open = dirs.iter().filter(|dir| dir.slot.get().is_some()).count();
    assert!(open <= OPEN_MAX, "{open} open");
    std::thread::scope(|scope| {
        for half in 0..2 {
            let dirs = &dirs;
            scope.spawn(move || {
                for dir in dirs {
                    touch(dir, format!("{half}").as_bytes()).unwrap();
                }
            });
        }
    });
    for n in 0..dirs.len() {
        assert!(place.path().join(format!("{n}/0")).exists());
        assert!(place.path().join(format!("{n}/1")).exists());
    }
}

#[test]
fn a_replaced_directory_is_noticed() {
    let _alone = alone();
    let place = tempfile::tempdir().unwrap();
    let root = Dir::root(place.path()).unwrap();
    let outer = make(&root, b"outer");
    let inner = make(&outer, b"inner");
    // While it is open, a directory that was moved is still the same directory.
    std::fs::rename(place.path().join("outer"), place.path().join("moved")).unwrap();
    std::fs::create_dir_all(place.path().join("outer/inner")).unwrap();
    let close = || {
        inner.slot.close();
        outer.slot.close();
    };
    close();
    assert_eq!(touch(&inner, b"x").unwrap_err(), Errno::STALE);
    assert!(!place.path().join("outer/inner/x").exists());
    // A symbolic link to the very directory is not accepted either.
    std::fs::remove_dir_all(place.path().join("outer")).unwrap();
    std::os::unix::fs::symlink("moved", place.path().join("outer")).unwrap();
    close();
    assert_eq!(touch(&inner, b"x").unwrap_err(), Errno::STALE);
    std::fs::remove_file(place.path().join("outer")).unwrap();
    assert_eq!(touch(&inner, b"x").unwrap_err(), Errno::STALE);
    assert!(!place.path().join("moved/inner/x").exists());
    let error = inner.error("write", b"x", Errno::STALE);
    assert!(error.message().contains("replaced meanwhile"), "{error}");
    // Back in its place, it is found again.
    std::fs::rename(place.path().join("moved"), place.path().join("outer")).unwrap();
    touch(&inner, b"x").unwrap();
}

#[test]
fn a_very_long_chain_is_dropped_in_a_small_stack() {
    let place = tempfile::tempdir().unwrap();
    let root = Dir::root(place.path()).unwrap();
    let fd = || {
        let fd = rustix::fs::open("/dev/null", OFlags::RDONLY, Mode::empty()).unwrap();
        Arc::new(Slot::new(fd))
    };
    let slot = fd();
    let mut dir = Arc::clone(&root);
    for _ in 0..200_000 {
        dir = Arc::new(Dir {
            name: b"x".to_vec(),
            parent: Some(dir),
            identity: root.identity(),
            follow: false,
            slot: Arc::clone(&slot),
        });
    }
    std::thread::Builder::new()
        .stack_size(64 << 10)
        .spawn(move || drop(dir))
        .unwrap()
        .join()
        .unwrap();
}
