//! Every way to break one attribute, and what must then be reported.

use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{
    self, AtFlags, CWD, FallocateFlags, FileType, Gid, Mode, OFlags, Timestamps, Uid, XattrFlags,
};

use crate::common;
use crate::common::tree::{acl, open_dir, times, write_at};
use crate::common::tree_parts::{DEEP_NAME, Scale, oddities};

pub fn set_times(path: &Path, times: &Timestamps) {
    fs::utimensat(CWD, path, times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
}

fn times_of(path: &Path) -> Timestamps {
    let stat = fs::lstat(path).unwrap();
    times(stat.st_mtime, stat.st_mtime_nsec as i64)
}

/// Does something to `path`, or to the members of a directory, and sets its time back.
pub fn keeping_time<T>(path: &Path, act: impl FnOnce() -> T) -> T {
    let times = times_of(path);
    let result = act();
    set_times(path, &times);
    result
}

/// Makes `path` anew in its old folder, with the same mode and times.
fn replaced(path: &Path, make: impl FnOnce()) {
    let (mode, times) = (fs::lstat(path).unwrap().st_mode & 0o7777, times_of(path));
    keeping_time(path.parent().unwrap(), || {
        if path.is_dir() && !path.is_symlink() {
            std::fs::remove_dir(path).unwrap();
        } else {
            std::fs::remove_file(path).unwrap();
        }
        make();
        if !path.is_symlink() {
            fs::chmod(path, Mode::from_raw_mode(mode)).unwrap();
        }
        set_times(path, &times);
    });
}

fn patch(path: &Path, bytes: &[u8], at: u64) {
    keeping_time(path, || write_at(&writable(path), bytes, at));
}

fn writable(path: &Path) -> OwnedFd {
    fs::open(path, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()).unwrap()
}

pub fn lset(path: &Path, name: &str, value: &[u8]) {
    fs::lsetxattr(path, name, value, XattrFlags::empty()).unwrap();
}

/// The directory at the bottom of the deep chain of the small tree, and its path.
fn bottom(root: &Path) -> (OwnedFd, Vec<u8>) {
    let (mut at, mut path) = (
        open_dir(CWD, root.join("deep").as_os_str().as_bytes()),
        b"deep".to_vec(),
    );
    for _ in 0..40 {
        at = open_dir(&at, DEEP_NAME);
        path.push(b'/');
        path.extend_from_slice(DEEP_NAME);
    }
    (at, path)
}

pub type Break = (
    &'static str,
    Box<dyn Fn(&Path) + Send>,
    Vec<(Vec<u8>, &'static str)>,
);

fn case(
    name: &'static str,
    expected: &[(&str, &'static str)],
    act: impl Fn(&Path) + Send + 'static,
) -> Break {
    let expected = expected
        .iter()
        .map(|(path, attribute)| (path.as_bytes().to_vec(), *attribute))
        .collect();
    (name, Box::new(act), expected)
}

fn content_cases() -> Vec<Break> {
    vec![
        case("nothing", &[], |_| {}),
        case("the last byte", &[("sizes/large", "content")], |b| {
            patch(&b.join("sizes/large"), b"#", 999_999)
        }),
        case("the only byte", &[("sizes/1", "content")], |b| {
            patch(&b.join("sizes/1"), b"#", 0)
        }),
        case("a byte at 25 GB", &[("holes/huge", "content")], |b| {
            patch(&b.join("holes/huge"), b"#", (25 << 30) + 5_000);
        }),
        case(
            "a byte in a hole",
            &[("holes/all", "content"), ("holes/all", "holes")],
            |b| {
                patch(&b.join("holes/all"), b"#", 40_000);
            },
        ),
        case("one byte more", &[("sizes/300", "size")], |b| {
            patch(&b.join("sizes/300"), b"#", 300)
        }),
        case("one byte less", &[("sizes/65537", "size")], |b| {
            let path = b.join("sizes/65537");
            keeping_time(&path, || fs::ftruncate(writable(&path), 65_536).unwrap());
        }),
        case("empty no more", &[("sizes/0", "size")], |b| {
            patch(&b.join("sizes/0"), b"#", 0)
        }),
        case(
            "a hole filled",
            &[("holes/middle", "holes"), ("holes/middle", "blocks")],
            |b| {
                patch(&b.join("holes/middle"), &vec![0; 500_000], 200 << 10);
            },
        ),
        case(
            "a small hole filled",
            &[("holes/one-byte-of-data", "holes")],
            |b| {
                patch(&b.join("holes/one-byte-of-data"), &[0; 4096], 0);
            },
        ),
        case(
            "a hole punched into zeros",
            &[("sizes/written-zeros", "holes")],
            |b| {
                let path = b.join("sizes/written-zeros");
                let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
                keeping_time(&path, || {
                    fs::fallocate(writable(&path), flags, 64 << 10, 128 << 10).unwrap()
                });
            },
        ),
        case("blocks behind the end", &[("sizes/256", "blocks")], |b| {
            let path = b.join("sizes/256");
            keeping_time(&path, || {
                fs::fallocate(writable(&path), FallocateFlags::KEEP_SIZE, 0, 1 << 20).unwrap()
            });
        }),
    ]
}

fn metadata_cases() -> Vec<Break> {
    let owner = |path: PathBuf, uid: Option<u32>, gid: Option<u32>| {
        let (uid, gid) = (uid.map(Uid::from_raw), gid.map(Gid::from_raw));
        fs::chownat(CWD, path, uid, gid, AtFlags::SYMLINK_NOFOLLOW).unwrap();
    };
    let later = |path: PathBuf| {
        let mut times = times_of(&path);
        times.last_modification.tv_nsec ^= 1;
        set_times(&path, &times);
    };
    let chmod = |path: PathBuf, mode: u32| fs::chmod(path, Mode::from_raw_mode(mode)).unwrap();
    vec![
        case("mode", &[("sizes/2", "mode")], move |b| {
            chmod(b.join("sizes/2"), 0o640)
        }),
        case("setuid", &[("modes/setuid", "mode")], move |b| {
            chmod(b.join("modes/setuid"), 0o755)
        }),
        case("sticky", &[("modes/both-and-sticky", "mode")], move |b| {
            chmod(b.join("modes/both-and-sticky"), 0o6777)
        }),
        case("mode of a folder", &[("empty/dir", "mode")], move |b| {
            chmod(b.join("empty/dir"), 0o750)
        }),
        case("mode of a pipe", &[("special/fifo", "mode")], move |b| {
            chmod(b.join("special/fifo"), 0o600)
        }),
        case("mode of the root", &[("", "mode")], move |b| {
            chmod(b.to_path_buf(), 0o700)
        }),
        case("user", &[("modes/known", "uid")], move |b| {
            owner(b.join("modes/known"), Some(3), None)
        }),
        case("group", &[("modes/known", "gid")], move |b| {
            owner(b.join("modes/known"), None, Some(3))
        }),
        case("user of a link", &[("links/owned", "uid")], move |b| {
            owner(b.join("links/owned"), Some(3), None)
        }),
        case("group of a folder", &[("empty/dir", "gid")], move |b| {
            owner(b.join("empty/dir"), None, Some(9))
        }),
        case("one nanosecond", &[("times/2200", "mtime")], move |b| {
            later(b.join("times/2200"))
        }),
        case(
            "one nanosecond of a folder",
            &[("times/dir-1905", "mtime")],
            move |b| later(b.join("times/dir-1905")),
        ),
        case(
            "one nanosecond of a link",
            &[("links/dangling", "mtime")],
            move |b| later(b.join("links/dangling")),
        ),
        case(
            "one nanosecond of a pipe",
            &[("special/fifo", "mtime")],
            move |b| later(b.join("special/fifo")),
        ),
        case("one nanosecond of the root", &[("", "mtime")], move |b| {
            later(b.to_path_buf())
        }),
        case(
            "time before 1970",
            &[("times/one-nanosecond-before-1970", "mtime")],
            |b| {
                set_times(
                    &b.join("times/one-nanosecond-before-1970"),
                    &times(0, 999_999_999),
                );
            },
        ),
    ]
}

fn kind_cases() -> Vec<Break> {
    vec![
        case("target", &[("links/dangling", "target")], |b| {
            let path = b.join("links/dangling");
            replaced(&path, || {
                std::os::unix::fs::symlink("no/such/thinG", &path).unwrap()
            });
        }),
        case("minor number", &[("special/char-null", "device")], |b| {
            let path = b.join("special/char-null");
            replaced(&path, || {
                let device = fs::makedev(1, 5);
                fs::mknodat(CWD, &path, FileType::CharacterDevice, Mode::empty(), device).unwrap();
            });
        }),
        case(
            "block for character device",
            &[("special/char-null", "type")],
            |b| {
                let path = b.join("special/char-null");
                replaced(&path, || {
                    let device = fs::makedev(1, 3);
                    fs::mknodat(CWD, &path, FileType::BlockDevice, Mode::empty(), device).unwrap();
                });
            },
        ),
        case("file for pipe", &[("special/fifo", "type")], |b| {
            let path = b.join("special/fifo");
            replaced(&path, || std::fs::write(&path, b"").unwrap());
        }),
        case("pipe for socket", &[("special/socket", "type")], |b| {
            let path = b.join("special/socket");
            replaced(&path, || {
                fs::mknodat(CWD, &path, FileType::Fifo, Mode::empty(), 0).unwrap()
            });
        }),
        case("file for folder", &[("empty/dir/in-dir", "type")], |b| {
            let path = b.join("empty/dir/in-dir");
            replaced(&path, || std::fs::write(&path, b"").unwrap());
        }),
        case("folder for link", &[("links/to-dir", "type")], |b| {
            let path = b.join("links/to-dir");
            replaced(&path, || std::fs::create_dir(&path).unwrap());
        }),
        case("missing", &[("sizes/255", "missing")], |b| {
            keeping_time(&b.join("sizes"), || {
                std::fs::remove_file(b.join("sizes/255")).unwrap()
            });
        }),
        case("missing folder", &[("empty/dir/in-dir", "missing")], |b| {
            keeping_time(&b.join("empty/dir"), || {
                std::fs::remove_dir(b.join("empty/dir/in-dir")).unwrap()
            });
        }),
        case("extra", &[("empty/dir/in-dir/new", "extra")], |b| {
            keeping_time(&b.join("empty/dir/in-dir"), || {
                std::fs::write(b.join("empty/dir/in-dir/new"), b"").unwrap()
            });
        }),
        case(
            "name",
            &[("names/CON", "missing"), ("names/COn", "extra")],
            |b| {
                keeping_time(&b.join("names"), || {
                    std::fs::rename(b.join("names/CON"), b.join("names/COn")).unwrap()
                });
            },
        ),
    ]
}

fn attribute_cases() -> Vec<Break> {
    vec![
        case("value", &[("attributes/user", "xattr user.small")], |b| {
            lset(&b.join("attributes/user"), "user.small", b"valuE");
        }),
        case(
            "no value",
            &[("attributes/user", "xattr user.empty")],
            |b| {
                fs::lremovexattr(b.join("attributes/user"), "user.empty").unwrap();
            },
        ),
        case(
            "an empty one more",
            &[("sizes/1", "xattr user.empty")],
            |b| lset(&b.join("sizes/1"), "user.empty", b""),
        ),
        case(
            "the last byte of 3,900",
            &[("attributes/user-large", "xattr user.large")],
            |b| {
                let mut value = common::random::Random::new(3900).bytes(3_900);
                value[3_899] ^= 1;
                lset(&b.join("attributes/user-large"), "user.large", &value);
            },
        ),
        case(
            "of a folder",
            &[("attributes/dir", "xattr user.dir")],
            |b| {
                lset(&b.join("attributes/dir"), "user.dir", b"off a directory");
            },
        ),
        case("of the root", &[("", "xattr user.root")], |b| {
            lset(b, "user.root", b"1")
        }),
        case(
            "access ACL",
            &[("attributes/acl", "xattr system.posix_acl_access")],
            |b| {
                let path = b.join("attributes/acl");
                let mut value = vec![0; 100];
                let len =
                    fs::lgetxattr(&path, "system.posix_acl_access", value.as_mut_slice()).unwrap();
                // The second entry is the named user 1: one permission more.
                value[4 + 8 + 2] ^= 1;
                lset(&path, "system.posix_acl_access", &value[..len]);
            },
        ),
        case(
            "default ACL",
            &[("attributes/acl-dir", "xattr system.posix_acl_default")],
            |b| {
                let value = acl(&[(1, 7, None), (4, 5, None), (0x20, 0, None)]);
                lset(
                    &b.join("attributes/acl-dir"),
                    "system.posix_acl_default",
                    &value,
                );
            },
        ),
        case(
            "an ACL inherited",
            &[(
                "attributes/acl-dir/plain-dir",
                "xattr system.posix_acl_default",
            )],
            |b| {
                let value = acl(&[(1, 7, None), (4, 5, None), (0x20, 0, None)]);
                lset(
                    &b.join("attributes/acl-dir/plain-dir"),
                    "system.posix_acl_default",
                    &value,
                );
            },
        ),
    ]
}

fn privileged_cases() -> Vec<Break> {
    vec![
        case(
            "trusted",
            &[("attributes/trusted", "xattr trusted.secret")],
            |b| {
                lset(
                    &b.join("attributes/trusted"),
                    "trusted.secret",
                    b"only root reads thi$",
                );
            },
        ),
        case(
            "trusted on a link",
            &[("attributes/symlink", "xattr trusted.link")],
            |b| {
                fs::lremovexattr(b.join("attributes/symlink"), "trusted.link").unwrap();
            },
        ),
        case(
            "trusted on a pipe",
            &[("attributes/fifo", "xattr trusted.fifo")],
            |b| {
                lset(&b.join("attributes/fifo"), "trusted.fifo", b"");
            },
        ),
        case(
            "security",
            &[("attributes/security", "xattr security.duramen")],
            |b| {
                lset(&b.join("attributes/security"), "security.duramen", b"");
            },
        ),
        case(
            "capability",
            &[("attributes/capability", "xattr security.capability")],
            |b| {
                fs::lremovexattr(b.join("attributes/capability"), "security.capability").unwrap();
            },
        ),
    ]
}

fn link_cases() -> Vec<Break> {
    let copied = |b: &Path, name: &str, of: &str| {
        let (path, bytes) = (b.join(name), std::fs::read(b.join(of)).unwrap());
        replaced(&path, || std::fs::write(&path, bytes).unwrap());
    };
    vec![
        case(
            "a link broken",
            &[
                ("links/pair-1", "link-count"),
                ("links/pair-2", "link-count"),
                ("links/pair-2", "link-group"),
            ],
            move |b| copied(b, "links/pair-2", "links/pair-1"),
        ),
        case(
            "links swapped between equal files",
            &[
                ("empty/a2", "link-group"),
                ("empty/b1", "link-group"),
                ("empty/b2", "link-group"),
            ],
            |b| {
                keeping_time(&b.join("empty"), || {
                    let at = |name: &str| b.join("empty").join(name);
                    std::fs::rename(at("a2"), at("b3")).unwrap();
                    std::fs::rename(at("b2"), at("a2")).unwrap();
                    std::fs::rename(at("b3"), at("b2")).unwrap();
                });
            },
        ),
        case(
            "two equal files joined",
            &[
                ("links/pair-1", "link-count"),
                ("links/pair-2", "link-count"),
                ("links/pair-lookalike", "link-count"),
                ("links/pair-lookalike", "link-group"),
            ],
            |b| {
                let (one, other) = (b.join("links/pair-lookalike"), b.join("links/pair-1"));
                keeping_time(&b.join("links"), || {
                    std::fs::remove_file(&one).unwrap();
                    std::fs::hard_link(&other, &one).unwrap();
                });
            },
        ),
    ]
}

/// Breaks at the bottom of the deep chain.
fn deep_cases() -> Vec<Break> {
    let scratch = common::scratch::Scratch::new("deep-path");
    oddities(&scratch.at("t"), Scale::Small);
    let (_, path) = bottom(&scratch.at("t"));
    let below = |name: &[u8]| [path.as_slice(), b"/", name].concat();
    let flags = OFlags::RDWR | OFlags::CLOEXEC;
    vec![
        (
            "the bottom's content",
            Box::new(move |b| {
                let (dir, _) = bottom(b);
                let file = fs::openat(&dir, b"bottom".as_slice(), flags, Mode::empty()).unwrap();
                write_at(&file, b"#", 99_000);
                fs::futimens(&file, &times(-5, 5)).unwrap();
            }),
            vec![(below(b"bottom"), "content")],
        ),
        (
            "the bottom's time",
            Box::new(|b| {
                let (dir, _) = bottom(b);
                fs::futimens(&dir, &times(5, 5)).unwrap();
            }),
            vec![(path.clone(), "mtime")],
        ),
        (
            "the bottom's link",
            Box::new(|b| {
                let (dir, _) = bottom(b);
                let flags = AtFlags::SYMLINK_NOFOLLOW;
                fs::utimensat(&dir, b"link".as_slice(), &times(99, 98), flags).unwrap();
            }),
            vec![(below(b"link"), "mtime")],
        ),
    ]
}

/// All of them that this container can make.
pub fn all() -> Vec<Break> {
    let mut cases = content_cases();
    cases.extend(metadata_cases());
    cases.extend(kind_cases());
    cases.extend(attribute_cases());
    cases.extend(link_cases());
    if common::facility::can_administer() {
        cases.extend(privileged_cases());
    }
    cases.extend(deep_cases());
    cases
}
