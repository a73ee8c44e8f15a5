//! Changes that hide: same size, same modification time, other bytes. The next snapshot must have them all the same.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::common::place::{Place, inside, settle};
use crate::common::tree::times;

/// New bytes of the same length, under the old modification time.
fn change_in_hiding(path: &Path, bytes: &[u8]) {
    let old = path.metadata().unwrap();
    assert_eq!(old.len(), bytes.len() as u64);
    std::fs::write(path, bytes).unwrap();
    set_time(path, &old);
}

fn set_time(path: &Path, old: &std::fs::Metadata) {
    let times = times(old.mtime(), old.mtime_nsec());
    rustix::fs::utimensat(rustix::fs::CWD, path, &times, rustix::fs::AtFlags::empty()).unwrap();
}

fn stored(place: &Place, path: &Path) -> Vec<u8> {
    let name = inside("latest", path);
    place.run(["cat".as_ref(), name.as_os_str()]).ok().stdout
}

#[test]
fn at_once_and_later() {
    let place = Place::new("hidden");
    let source = place.scratch.folder("source");
    let path = source.join("file");
    std::fs::write(&path, b"version 0").unwrap();
    place.snapshot(&source);
    // So soon after that even the inode's own time may be the same.
    for version in 1..6 {
        change_in_hiding(&path, format!("version {version}").as_bytes());
        place.snapshot(&source);
        assert_eq!(
            stored(&place, &path),
            format!("version {version}").as_bytes()
        );
    }
    settle();
    place.snapshot(&source);
    change_in_hiding(&path, b"version A");
    place.snapshot(&source);
    assert_eq!(stored(&place, &path), b"version A");
    // Another file that takes its name, with the same size and time: another inode.
    settle();
    place.snapshot(&source);
    let old = path.metadata().unwrap();
    let new = source.join("new");
    std::fs::write(&new, b"version B").unwrap();
    set_time(&new, &old);
    settle();
    std::fs::rename(&new, &path).unwrap();
    place.snapshot(&source);
    assert_eq!(stored(&place, &path), b"version B");
    // Attributes alone.
    settle();
    place.snapshot(&source);
    let flags = rustix::fs::XattrFlags::empty();
    let set = rustix::fs::setxattr(&path, "user.new", b"1", flags);
    assert!(crate::common::facility::attribute_set("user.new", set));
    crate::common::place::chmod(&path, 0o604);
    place.snapshot(&source);
    place.assert_restores("latest", &source);
    place.assert_clean();
}

/// A folder that moves takes its files along without a trace on the files themselves: those that are names of one inode
/// with files that stayed must come back as one with them.
#[test]
fn hard_links_of_which_some_moved_with_their_folder() {
    let place = Place::new("links-moved");
    let source = place.scratch.folder("source");
    std::fs::create_dir_all(source.join("old")).unwrap();
    std::fs::write(source.join("old/one"), vec![7; 5_000]).unwrap();
    std::fs::hard_link(source.join("old/one"), source.join("stays")).unwrap();
    std::fs::hard_link(source.join("old/one"), source.join("stays-too")).unwrap();
    settle();
    place.snapshot(&source);
    // The moved name now comes first, then last.
    for name in ["a-new", "z-new"] {
        let from = if name == "a-new" { "old" } else { "a-new" };
        std::fs::rename(source.join(from), source.join(name)).unwrap();
        place.snapshot(&source);
        place.assert_restores("latest", &source);
    }
}
