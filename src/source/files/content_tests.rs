#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, MetadataExt, symlink};
use std::path::Path;

use rustix::fs::{CWD, FileType};

use super::*;

fn origin(path: &Path) -> DirOrigin {
    DirOrigin(Dir::root(path).unwrap())
}

fn runs(content: &mut dyn Content, buffer: usize) -> (Vec<u8>, Vec<(u64, u64)>) {
    let mut buffer = vec![0; buffer];
    let (mut bytes, mut holes) = (Vec::new(), Vec::new());
    loop {
        match content.next(&mut buffer).unwrap() {
            Run::Data(0) | Run::Hole(0) => panic!("an empty run"),
            Run::Data(len) => bytes.extend_from_slice(&buffer[..len]),
            Run::Hole(len) => {
                holes.push((bytes.len() as u64, len));
                bytes.resize(bytes.len() + usize::try_from(len).unwrap(), 0);
            }
            Run::End => break,
        }
    }
    assert_eq!(content.next(&mut buffer).unwrap(), Run::End);
    (bytes, holes)
}

#[test]
fn read_to_the_end() {
    let place = tempfile::tempdir().unwrap();
    let data: Vec<u8> = (0..5_000_000_u32).map(|n| (n % 251) as u8).collect();
    std::fs::write(place.path().join("large"), &data).unwrap();
    std::fs::write(place.path().join("empty"), b"").unwrap();
    let origin = origin(place.path());
    for buffer in [1 << 20, 999, 6_000_000] {
        let mut content = origin.open(b"large").unwrap();
        let (read, holes) = runs(&mut *content, buffer);
        assert!(read == data && holes.is_empty());
        assert_eq!(content.stat().unwrap().unwrap().size, 5_000_000);
    }
    assert_eq!(
        runs(&mut *origin.open(b"empty").unwrap(), 10),
        (vec![], vec![])
    );
    assert!(origin.open(b"large").unwrap().next(&mut []).is_err());
    assert_eq!(origin.open(b"none").err().unwrap().kind(), Kind::NotFound);
    assert_eq!(head(&origin.0, b"large", 100).unwrap(), data[..100]);
    assert_eq!(head(&origin.0, b"empty", 100).unwrap(), b"");
}

#[test]
fn holes_are_told_of() {
    let place = tempfile::tempdir().unwrap();
    let file = File::create(place.path().join("sparse")).unwrap();
    file.set_len(50 << 30).unwrap();
    file.write_all_at(b"x", 1 << 20).unwrap();
    file.write_all_at(&[1; 4096], (50 << 30) - 4096).unwrap();
    let mut content = origin(place.path()).open(b"sparse").unwrap();
    let mut buffer = vec![9; 1 << 20];
    let mut at = 0;
    let mut data = Vec::new();
    loop {
        match content.next(&mut buffer).unwrap() {
            Run::Data(len) => {
                data.push((at, buffer[..len].to_vec()));
                at += len as u64;
            }
            Run::Hole(len) => at += len,
            Run::End => break,
        }
    }
    assert_eq!(at, 50 << 30);
    assert_eq!(data.len(), 2);
    assert_eq!(data[0].0, 1 << 20);
    assert_eq!(data[0].1[0], b'x');
    assert_eq!(data[1], ((50 << 30) - 4096, vec![1; 4096]));
    // Nothing but a hole, and one at the end.
    File::create(place.path().join("hole"))
        .unwrap()
        .set_len(3000)
        .unwrap();
    let (bytes, holes) = runs(&mut *origin(place.path()).open(b"hole").unwrap(), 100);
    assert_eq!((bytes, holes), (vec![0; 3000], vec![(0, 3000)]));
    assert_eq!(head(&origin(place.path()).0, b"hole", 10).unwrap(), [0; 10]);
}

#[test]
fn a_file_that_grows_or_shrinks_comes_to_an_end() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("f");
    std::fs::write(&path, [1; 10_000]).unwrap();
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    let origin = origin(place.path());
    let mut content = origin.open(b"f").unwrap();
    let mut buffer = [0; 4_000];
    assert_eq!(content.next(&mut buffer).unwrap(), Run::Data(4_000));
    file.set_len(20_000).unwrap();
    assert_eq!(runs(&mut *content, 4_000).0.len(), 6_000);
    assert_eq!(content.stat().unwrap().unwrap().size, 20_000);

    let mut content = origin.open(b"f").unwrap();
    assert_eq!(content.next(&mut buffer).unwrap(), Run::Data(4_000));
    file.set_len(5_000).unwrap();
    assert_eq!(runs(&mut *content, 4_000).0.len(), 1_000);
    assert_eq!(content.stat().unwrap().unwrap().size, 5_000);

    // A sparse one: nothing is made up of the part that went.
    file.set_len(0).unwrap();
    file.set_len(1 << 30).unwrap();
    file.write_all_at(&[1; 4096], 0).unwrap();
    let mut content = origin.open(b"f").unwrap();
    assert_eq!(content.next(&mut buffer).unwrap(), Run::Data(4_000));
    file.set_len(8_192).unwrap();
    assert_eq!(runs(&mut *content, 4_000).0.len(), 4_192);
    let mut content = origin.open(b"f").unwrap();
    assert_eq!(content.next(&mut buffer).unwrap(), Run::Data(4_000));
    file.set_len(0).unwrap();
    assert_eq!(content.next(&mut buffer).unwrap(), Run::End);
}

#[test]
fn only_regular_files_are_opened() {
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("f"), b"secret").unwrap();
    symlink("f", place.path().join("link")).unwrap();
    std::fs::create_dir(place.path().join("d")).unwrap();
    let pipe = place.path().join("pipe");
    rustix::fs::mknodat(CWD, &pipe, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    std::os::unix::net::UnixListener::bind(place.path().join("socket")).unwrap();
    let origin = origin(place.path());
    // The pipe would block for ever.
    for name in ["link", "d", "pipe", "socket"] {
        let error = origin.open(name.as_bytes()).err().unwrap();
        assert!(error.message().contains("replaced"), "{name}: {error}");
        assert!(error.subject_text().unwrap().ends_with(name));
    }
    assert_eq!(origin.read_link(b"link").unwrap(), b"f");
    assert!(
        origin
            .read_link(b"f")
            .unwrap_err()
            .message()
            .contains("replaced")
    );
}

#[test]
fn long_and_odd_link_targets() {
    let place = tempfile::tempdir().unwrap();
    use std::os::unix::ffi::OsStrExt;
    let target = [&b"\xff/"[..], &vec![b'x'; 4_000]].concat();
    symlink(std::ffi::OsStr::from_bytes(&target), place.path().join("l")).unwrap();
    assert_eq!(origin(place.path()).read_link(b"l").unwrap(), target);
}

#[test]
fn the_access_time_stays() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("f");
    std::fs::write(&path, b"x").unwrap();
    let old = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000);
    let times = std::fs::FileTimes::new().set_accessed(old);
    OpenOptions::new()
        .write(true)
        .open(&path)
        .unwrap()
        .set_times(times)
        .unwrap();
    let (bytes, _) = runs(&mut *origin(place.path()).open(b"f").unwrap(), 10);
    assert_eq!(bytes, b"x");
    assert_eq!(std::fs::metadata(&path).unwrap().atime(), 1_000);
}

#[test]
fn attributes_and_paths_of_members_and_of_closed_directories() {
    let place = tempfile::tempdir().unwrap();
    std::fs::create_dir(place.path().join("d")).unwrap();
    let origin = origin(place.path());
    xattr::set(&origin.0, b"d", b"user.a", b"1").unwrap();
    let expected = [(b"user.a".to_vec(), b"1".to_vec())];
    assert_eq!(origin.xattrs(b"d").unwrap(), expected);
    assert_eq!(origin.xattrs(b"").unwrap(), []);
    let closed = ClosedOrigin {
        parent: Arc::clone(&origin.0),
        name: b"d".to_vec(),
    };
    assert_eq!(closed.xattrs(b"").unwrap(), expected);
    assert_eq!(closed.path(b""), origin.path(b"d"));
    assert_eq!(
        closed.path(b"x"),
        [origin.path(b"d"), b"/x".to_vec()].concat()
    );
    assert!(closed.open(b"x").is_err() && closed.read_link(b"x").is_err());
    assert!(origin.xattrs(b"none").is_err());
}
