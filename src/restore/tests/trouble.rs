//! Damage, hostile neighbours, missing rights, and being stopped.
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use super::*;

#[test]
fn a_damaged_chunk_costs_its_files_and_nothing_else() {
    let mut lab = Lab::new();
    let broken = noise(40, 3 << 20);
    let b = linked(lab.file("b", &broken), 3, 2);
    let c = linked(lab.file("c", &broken), 3, 2);
    let members = vec![
        inline("a", b"fine"),
        b,
        c,
        lab.parts("e", &[Part::Bytes(&broken[..64 << 10]), Part::Hole(5)]),
    ];
    let snapshot = folder(&mut lab, members);
    let place = tempfile::tempdir().unwrap();
    fs::create_dir(place.path().join("d")).unwrap();
    fs::write(place.path().join("d/b"), b"as it was").unwrap();
    for gone in [false, true] {
        for pack in lab.data_packs() {
            let mut bytes = lab.repository.storage().read(&pack, u64::MAX).unwrap();
            // The first frame begins behind the header and holds a part of all of them.
            bytes[200] ^= 1;
            lab.storage.tamper(&pack, (!gone).then_some(bytes));
        }
        let summary = restore(&lab, &snapshot, &options(place.path()));
        assert!(summary.damage);
        assert_eq!((summary.files_restored, summary.problem_count), (1, 3));
        let named: Vec<_> = summary.problems.iter().map(|p| p.path.0.clone()).collect();
        for name in [&b"/d/b"[..], b"/d/c", b"/d/e"] {
            assert!(named.iter().any(|path| path == name), "{named:?}");
        }
        assert!(summary.problems.iter().any(|p| p.what.contains("chunk ")));
        // What stood there stays; half a file does not appear.
        assert_eq!(paths(place.path()), ["d", "d/a", "d/b"]);
        assert_eq!(fs::read(place.path().join("d/b")).unwrap(), b"as it was");
    }
}

/// Asks to stop once so many entries have been looked at.
struct StopAfter(std::sync::atomic::AtomicI64);

impl Progress for StopAfter {
    fn interrupted(&self) -> bool {
        self.0.fetch_sub(1, std::sync::atomic::Ordering::SeqCst) <= 0
    }
}

#[test]
fn being_stopped_leaves_no_temporaries() {
    let mut lab = Lab::new();
    lab.cut = 1000;
    let members = (0..20)
        .map(|n| lab.file(&format!("f{n:02}"), &noise(n, 20_000)))
        .collect();
    let snapshot = folder(&mut lab, members);
    let mut complete = 0;
    for after in (1..100).step_by(7) {
        let place = tempfile::tempdir().unwrap();
        let stop = StopAfter(after.into());
        let window = Size {
            pieces: 50,
            names: 10,
        };
        let asked = options(place.path());
        match within(window, &lab.repository, &snapshot, &asked, &stop) {
            Ok(_) => complete += 1,
            Err(error) => assert_eq!(error.kind(), Kind::Interrupted),
        }
        no_temporaries(place.path());
        // Each file is there whole or not at all.
        for n in 0..20 {
            if let Ok(found) = fs::read(place.path().join(format!("d/f{n:02}"))) {
                assert!(found == noise(n, 20_000), "f{n:02} after {after}");
            }
        }
    }
    assert!(complete < 15, "nothing was ever stopped");
}

#[test]
fn another_user_restores_all_but_owners() {
    let mut lab = Lab::new();
    let mut program = lab.file("program", &noise(50, 100_000));
    program.mode = 0o6755;
    program.xattrs = vec![xattr("trusted.t", b"1"), xattr("user.u", b"2")];
    let mut sealed = lab.dir("sealed", vec![inline("f", b"f")]);
    sealed.mode = 0o500;
    let disk = entry("disk", Node::BlockDevice { major: 7, minor: 0 });
    let members = vec![
        program,
        sealed,
        disk,
        symlink("l", "x"),
        entry("p", Node::Fifo),
    ];
    let snapshot = folder(&mut lab, members);
    let place = tempfile::tempdir().unwrap();
    let target = place.path().join("t");
    fs::create_dir(&target).unwrap();
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
    std::os::unix::fs::chown(&target, Some(65_534), Some(65_534)).unwrap();
    let asked = options(&target);
    // Credentials belong to a thread, and the threads that it starts inherit them.
    let summary = std::thread::scope(|scope| {
        let work = scope.spawn(|| {
            let (uid, gid) = (
                rustix::process::Uid::from_raw(65_534),
                rustix::process::Gid::from_raw(65_534),
            );
            rustix::thread::set_thread_groups(&[]).unwrap();
            rustix::thread::set_thread_res_gid(gid, gid, gid).unwrap();
            rustix::thread::set_thread_res_uid(uid, uid, uid).unwrap();
            restore(&lab, &snapshot, &asked);
            // The second time it must get into the sealed directory again.
            restore(&lab, &snapshot, &asked)
        });
        work.join().unwrap()
    });
    assert_eq!(summary.problem_count, 1, "{:?}", summary.problems);
    assert_eq!(summary.problems[0].path.0, b"/d/disk");
    assert_eq!(summary.files_restored, 4);
    let program = target.join("d/program").metadata().unwrap();
    assert_eq!((program.uid(), program.mode() & 0o7777), (65_534, 0o755));
    assert_eq!(
        target.join("d/sealed").metadata().unwrap().mode() & 0o7777,
        0o500
    );
    let dir = Dir::root(&target.join("d")).unwrap();
    let names = crate::fs::xattr::list(&dir, b"program").unwrap();
    assert_eq!(names, [b"user.u".to_vec()]);
}

/// Puts a symbolic link in the place of a directory as soon as a file below it is worked on.
struct Swap {
    directory: std::path::PathBuf,
    outside: std::path::PathBuf,
    when: Vec<u8>,
}

impl Progress for Swap {
    fn current(&self, path: &[u8]) {
        if path == self.when {
            fs::rename(&self.directory, self.directory.with_extension("away")).unwrap();
            std::os::unix::fs::symlink(&self.outside, &self.directory).unwrap();
        }
    }
}

#[test]
fn a_directory_swapped_for_a_link_leads_nowhere() {
    let mut lab = Lab::new();
    let names = ["a", "b", "c"];
    let members = names.map(|name| lab.file(name, &noise(60, 5000))).to_vec();
    let inner = lab.dir("inner", vec![inline("deep", b"deep")]);
    let snapshot = folder(&mut lab, [members, vec![inner]].concat());
    for window in [1, 1000] {
        for when in ["/d/a", "/d/b", "/d/c", "/d/inner/deep"] {
            let place = tempfile::tempdir().unwrap();
            let outside = place.path().join("outside");
            fs::create_dir(&outside).unwrap();
            let target = place.path().join("target");
            let swap = Swap {
                directory: target.join("d"),
                outside: outside.clone(),
                when: when.as_bytes().to_vec(),
            };
            let size = Size {
                pieces: window,
                names: window,
            };
            let mut asked = options(&target);
            asked.delete = true;
            // The open directory goes on being written wherever it is now, or cannot be found again; either will do.
            let done = within(size, &lab.repository, &snapshot, &asked, &swap).unwrap();
            assert_eq!(done.files_restored + done.problem_count, 4);
            assert_eq!(paths(&outside), Vec::<String>::new(), "{when}");
            no_temporaries(place.path());
        }
    }
}

#[test]
fn names_that_lead_out_are_damage() {
    let mut lab = Lab::new();
    let hostile = entry("..", Node::Fifo);
    let other = entry("a/b", Node::Fifo);
    let snapshot = folder(&mut lab, vec![hostile, other, inline("f", b"")]);
    let place = tempfile::tempdir().unwrap();
    let summary = restore(&lab, &snapshot, &options(place.path()));
    assert!(summary.damage);
    assert_eq!(paths(place.path()), ["d"]);
}

#[test]
fn a_damaged_listing_costs_its_directory_and_deletes_nothing() {
    let mut lab = Lab::new();
    // Wrong order: the page is refused as a whole.
    let mut bad = lab.dir("bad", vec![inline("a", b"a")]);
    if let Node::Directory(directory) = &mut bad.node
        && let Some(root) = &mut directory.root
    {
        root.id = crate::id::ChunkId([7; 32]);
    }
    let snapshot = folder(&mut lab, vec![bad, inline("z", b"z")]);
    let place = tempfile::tempdir().unwrap();
    fs::create_dir_all(place.path().join("d/bad")).unwrap();
    fs::write(place.path().join("d/bad/precious"), b"").unwrap();
    let mut asked = options(place.path());
    asked.delete = true;
    let summary = restore(&lab, &snapshot, &asked);
    assert!(summary.damage);
    assert_eq!((summary.problem_count, summary.files_deleted), (1, 0));
    assert_eq!(summary.problems[0].path.0, b"/d/bad");
    assert_eq!(paths(place.path()), ["d", "d/bad", "d/bad/precious", "d/z"]);
}

#[test]
fn reading_back_finds_what_changed() {
    /// Changes the file as soon as another one is done.
    struct Meddle(std::path::PathBuf);
    impl Progress for Meddle {
        fn advance(&self, files: u64, _: u64) {
            if files == 1 && self.0.exists() {
                fs::write(&self.0, vec![1; 5000]).unwrap();
            }
        }
    }
    let mut lab = Lab::new();
    let members = vec![lab.file("a", &noise(70, 5000)), symlink("l", "x")];
    let snapshot = folder(&mut lab, members);
    let place = tempfile::tempdir().unwrap();
    let mut asked = options(place.path());
    asked.verify = true;
    let meddle = Meddle(place.path().join("d/a"));
    let summary = run(&lab.repository, &snapshot, &asked, &meddle).unwrap();
    assert_eq!((summary.files_restored, summary.files_verified), (2, 1));
    assert_eq!(summary.problem_count, 1);
    assert!(
        summary.problems[0]
            .what
            .contains("other bytes between 0 and 5000")
    );
    assert!(summary.problems[0].what.contains("mtime"));
    assert!(!summary.damage);
}
