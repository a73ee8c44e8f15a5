//! Making trees: the tools ([`Builder`]) and small everyday trees. The tree with every oddity stands in
//! [`super::tree_parts`].
//!
//! The same seed makes the same tree, times included, so that two built trees compare as equal. Everything is made
//! relative to an open directory, because some of it lies deeper than any path can say.

use std::collections::BTreeSet;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{
    self, AtFlags, CWD, FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid, XattrFlags,
};

use super::facility;
use super::random::Random;

/// POSIX ACL tags, as they stand in `system.posix_acl_*`.
pub const ACL_USER_OBJ: u16 = 0x01;
pub const ACL_USER: u16 = 0x02;
pub const ACL_GROUP_OBJ: u16 = 0x04;
pub const ACL_GROUP: u16 = 0x08;
pub const ACL_MASK: u16 = 0x10;
pub const ACL_OTHER: u16 = 0x20;
const ACL_NO_ID: u32 = u32::MAX;

/// The raw bytes of an ACL: version 2, then tag, permissions and id of each entry, little-endian.
pub fn acl(entries: &[(u16, u16, Option<u32>)]) -> Vec<u8> {
    let mut bytes = 2u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in entries {
        bytes.extend_from_slice(&tag.to_le_bytes());
        bytes.extend_from_slice(&permissions.to_le_bytes());
        bytes.extend_from_slice(&id.unwrap_or(ACL_NO_ID).to_le_bytes());
    }
    bytes
}

/// Seconds and nanoseconds; the nanoseconds always count forward.
pub fn times(seconds: i64, nanoseconds: i64) -> Timestamps {
    let time = Timespec {
        tv_sec: seconds,
        tv_nsec: nanoseconds,
    };
    Timestamps {
        last_access: time,
        last_modification: time,
    }
}

/// Where `path` hangs below an open directory, for the calls that take no directory.
pub fn proc_path(dir: &OwnedFd, path: &[u8]) -> Vec<u8> {
    use std::os::fd::AsRawFd;
    let mut whole = format!("/proc/self/fd/{}/", dir.as_raw_fd()).into_bytes();
    whole.extend_from_slice(path);
    whole
}

pub fn open_dir(at: impl std::os::fd::AsFd, path: &[u8]) -> OwnedFd {
    fs::openat(
        at,
        path,
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .unwrap_or_else(|error| panic!("open directory {}: {error}", path.escape_ascii()))
}

/// Makes things below one directory and remembers their names, to set their times at the end.
pub struct Builder {
    pub root: OwnedFd,
    made: BTreeSet<Vec<u8>>,
    /// Times that were asked for; all others are drawn from the path.
    asked: std::collections::BTreeMap<Vec<u8>, (i64, i64)>,
}

impl Builder {
    /// Makes `root` and opens it.
    pub fn new(root: &Path) -> Self {
        std::fs::create_dir_all(root).expect("make the tree's root");
        let root = fs::openat(
            CWD,
            root,
            OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )
        .expect("open the tree's root");
        // Whatever umask the tests run under.
        fs::fchmod(&root, Mode::from_raw_mode(0o755)).unwrap();
        Self {
            root,
            made: BTreeSet::new(),
            asked: Default::default(),
        }
    }

    fn note(&mut self, path: &[u8]) {
        assert!(
            self.made.insert(path.to_vec()),
            "{} made twice",
            path.escape_ascii()
        );
    }

    pub fn dir(&mut self, path: &[u8]) {
        fs::mkdirat(&self.root, path, Mode::from_raw_mode(0o700))
            .unwrap_or_else(|error| panic!("mkdir {}: {error}", path.escape_ascii()));
        self.note(path);
        self.mode(path, 0o755);
    }

    fn create(&mut self, path: &[u8]) -> OwnedFd {
        let flags =
            OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = fs::openat(&self.root, path, flags, Mode::from_raw_mode(0o600))
            .unwrap_or_else(|error| panic!("create {}: {error}", path.escape_ascii()));
        self.note(path);
        fs::fchmod(&file, Mode::from_raw_mode(0o644)).unwrap();
        file
    }

    pub fn file(&mut self, path: &[u8], bytes: &[u8]) {
        let file = self.create(path);
        write_at(&file, bytes, 0);
    }

    /// A file of so many seeded bytes, a stream of its own for every path.
    pub fn random_file(&mut self, path: &[u8], len: usize) {
        let bytes = Random::of(path).bytes(len);
        self.file(path, &bytes);
    }

    /// A file of `size` bytes that has only these runs of seeded data: (offset, length); the rest are holes.
    pub fn sparse(&mut self, path: &[u8], size: u64, data: &[(u64, usize)]) {
        let file = self.create(path);
        fs::ftruncate(&file, size)
            .unwrap_or_else(|error| panic!("a file of {size} bytes: {error}"));
        let mut random = Random::of(path);
        for (offset, len) in data {
            write_at(&file, &random.bytes(*len), *offset);
        }
    }

    pub fn symlink(&mut self, path: &[u8], target: &[u8]) {
        fs::symlinkat(target, &self.root, path)
            .unwrap_or_else(|error| panic!("symlink {}: {error}", path.escape_ascii()));
        self.note(path);
    }

    /// Another name for what is there already.
    pub fn link(&mut self, old: &[u8], new: &[u8]) {
        fs::linkat(&self.root, old, &self.root, new, AtFlags::empty())
            .unwrap_or_else(|error| panic!("link {}: {error}", new.escape_ascii()));
        self.note(new);
    }

    pub fn fifo(&mut self, path: &[u8]) {
        fs::mknodat(
            &self.root,
            path,
            FileType::Fifo,
            Mode::from_raw_mode(0o640),
            0,
        )
        .expect("make a named pipe");
        self.note(path);
        self.mode(path, 0o640);
    }

    /// A socket that something bound, as a dead server leaves it behind.
    pub fn socket(&mut self, path: &[u8]) {
        use std::os::unix::ffi::OsStringExt;
        let whole = std::ffi::OsString::from_vec(proc_path(&self.root, path));
        drop(std::os::unix::net::UnixListener::bind(whole).expect("bind a socket"));
        self.note(path);
        self.mode(path, 0o755);
    }

    /// False where this container cannot make devices.
    pub fn device(&mut self, path: &[u8], kind: FileType, major: u32, minor: u32) -> bool {
        let made = facility::device_made(fs::mknodat(
            &self.root,
            path,
            kind,
            Mode::from_raw_mode(0o660),
            fs::makedev(major, minor),
        ));
        if made {
            self.note(path);
            self.mode(path, 0o660);
        }
        made
    }

    pub fn mode(&self, path: &[u8], mode: u32) {
        fs::chmodat(
            &self.root,
            path,
            Mode::from_raw_mode(mode),
            AtFlags::empty(),
        )
        .unwrap_or_else(|error| panic!("chmod {}: {error}", path.escape_ascii()));
    }

    /// Before [`Builder::mode`] and attributes: a change of owner takes setuid and capabilities away.
    pub fn owner(&self, path: &[u8], uid: u32, gid: u32) {
        fs::chownat(
            &self.root,
            path,
            Some(Uid::from_raw(uid)),
            Some(Gid::from_raw(gid)),
            AtFlags::SYMLINK_NOFOLLOW,
        )
        .unwrap_or_else(|error| panic!("chown {}: {error}", path.escape_ascii()));
    }

    /// False where this container cannot set it.
    pub fn xattr(&self, path: &[u8], name: &str, value: &[u8]) -> bool {
        let whole = proc_path(&self.root, path);
        facility::attribute_set(name, fs::lsetxattr(whole, name, value, XattrFlags::empty()))
    }

    /// Asks for one time instead of the drawn one.
    pub fn mtime(&mut self, path: &[u8], seconds: i64, nanoseconds: i64) {
        self.asked.insert(path.to_vec(), (seconds, nanoseconds));
    }

    /// Sets all times, the root's too: those asked for, and odd ones drawn from the path for all else.
    pub fn finish(self) {
        let set = |path: &[u8], (seconds, nanoseconds): (i64, i64)| {
            fs::utimensat(
                &self.root,
                path,
                &times(seconds, nanoseconds),
                AtFlags::SYMLINK_NOFOLLOW,
            )
            .unwrap_or_else(|error| panic!("set the time of {}: {error}", path.escape_ascii()));
        };
        for path in &self.made {
            let time = self
                .asked
                .get(path)
                .copied()
                .unwrap_or_else(|| drawn_time(path));
            set(path, time);
        }
        set(b".", (1_234_567_890, 123_456_789));
    }
}

/// A time drawn from the path: most of our days, some before 1970, some after 2038, nearly all with nanoseconds.
pub fn drawn_time(path: &[u8]) -> (i64, i64) {
    let mut random = Random::of(path);
    let nanoseconds = random.below(1_000_000_000) as i64;
    match random.below(8) {
        0 => (-(random.below(2_000_000_000) as i64) - 1, nanoseconds),
        1 => (
            2_147_483_648 + random.below(4_000_000_000) as i64,
            nanoseconds,
        ),
        2 => (1_000_000_000 + random.below(600_000_000) as i64, 0),
        _ => (
            1_000_000_000 + random.below(600_000_000) as i64,
            nanoseconds,
        ),
    }
}

pub fn write_at(file: &OwnedFd, mut bytes: &[u8], mut offset: u64) {
    while !bytes.is_empty() {
        let written = rustix::io::pwrite(file, bytes, offset).expect("write a test file");
        bytes = &bytes[written..];
        offset += written as u64;
    }
}

/// An everyday tree of text and binary files: `files` of them, a few kilobytes each, some larger.
pub fn everyday(root: &Path, seed: u64, files: usize) {
    let mut random = Random::new(seed);
    let mut builder = Builder::new(root);
    let mut dirs = vec![Vec::new()];
    for at in 0..files {
        if at % 12 == 0 && dirs.len() < 400 {
            let mut path = random.pick(&dirs).clone();
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(format!("dir{at:05}").as_bytes());
            builder.dir(&path);
            dirs.push(path);
        }
        let mut path = random.pick(&dirs).clone();
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(format!("file{at:05}").as_bytes());
        let len = match random.below(20) {
            0 => random.below(400_000),
            1..=4 => random.below(40_000),
            5 => 0,
            _ => random.below(6_000),
        } as usize;
        let bytes = if random.one_in(3) {
            random.bytes(len)
        } else {
            random.text(len)
        };
        builder.file(&path, &bytes);
        if random.one_in(30) {
            let mut link = path.clone();
            link.extend_from_slice(b".link");
            builder.symlink(&link, b"../elsewhere");
        }
    }
    builder.finish();
}
