//! Comparing two trees, independent of the program: what it misses, no test of ours would see, so
//! `tests/compare_proof.rs` breaks every attribute once and expects exactly that difference.
//!
//! It works relative to open directories, never follows a symbolic link, and holds two of them open however deep the
//! trees are: it comes back up by `..`, and makes sure that it came back to where it was.
//!
//! Compared: type, permission bits, owner, group, size, bytes, modification time to the nanosecond, link target,
//! device numbers, every extended attribute (ACLs among them), number of names, which paths share an inode, and where
//! the holes of a file are.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{self, AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::compare_file;
use super::tree::{open_dir, proc_path};

/// One difference.
#[derive(Clone, PartialEq, Eq)]
pub struct Difference {
    /// Relative to both trees; empty for the roots.
    pub path: Vec<u8>,
    /// `mode`, `mtime`, `xattr user.x` and so on.
    pub attribute: String,
    /// What the first has, and what the second has.
    pub detail: String,
}

impl fmt::Debug for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = if self.path.len() > 300 {
            format!("...{}", self.path[self.path.len() - 200..].escape_ascii())
        } else {
            self.path.escape_ascii().to_string()
        };
        write!(f, "{path}: {}: {}", self.attribute, self.detail)
    }
}

/// What to hold against each other.
#[derive(Clone)]
pub struct Options {
    /// The two roots' own attributes.
    pub root: bool,
    /// Owner and group.
    pub owner: bool,
    /// Holes and the blocks in use.
    pub holes: bool,
    /// Number of names of an inode; not where names lie outside the trees.
    pub link_count: bool,
    /// Attributes whose name begins with one of these are left out.
    pub without_xattrs: Vec<&'static str>,
    /// Entries of the first tree that the second need not have, with all below them.
    pub without: Vec<Vec<u8>>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            root: true,
            owner: true,
            holes: true,
            link_count: true,
            without_xattrs: Vec::new(),
            without: Vec::new(),
        }
    }
}

/// Everything that differs between the trees at `a` and `b`.
pub fn compare(a: &Path, b: &Path, options: &Options) -> Vec<Difference> {
    let open = |path: &Path| {
        fs::openat(
            CWD,
            path,
            OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )
        .unwrap_or_else(|error| panic!("open {}: {error}", path.display()))
    };
    let mut walk = Walk {
        options,
        differences: Vec::new(),
        path: Vec::new(),
        groups: [Groups::default(), Groups::default()],
    };
    walk.all(open(a), open(b));
    walk.hard_links();
    walk.differences
}

/// Fails with the differences where there are any.
#[track_caller]
pub fn assert_same(a: &Path, b: &Path, options: &Options) {
    let differences = compare(a, b, options);
    assert!(
        differences.is_empty(),
        "{} and {} differ in {} places, the first are:\n{:#?}",
        a.display(),
        b.display(),
        differences.len(),
        &differences[..differences.len().min(40)]
    );
}

#[derive(Default)]
struct Groups {
    /// First path, in walking order, of an inode with several names.
    first: HashMap<(u64, u64), Vec<u8>>,
    /// Path to that first path.
    of: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Groups {
    fn note(&mut self, stat: &Stat, path: &[u8]) {
        if stat.st_nlink > 1 {
            let first = self
                .first
                .entry((stat.st_dev, stat.st_ino))
                .or_insert_with(|| path.to_vec())
                .clone();
            self.of.insert(path.to_vec(), first);
        }
    }
}

struct Level {
    /// Common subdirectories still to be visited, last first.
    pending: Vec<Vec<u8>>,
    path_len: usize,
    /// Device and inode of both directories.
    identity: [(u64, u64); 2],
}

struct Walk<'o> {
    options: &'o Options,
    differences: Vec<Difference>,
    path: Vec<u8>,
    groups: [Groups; 2],
}

impl Walk<'_> {
    fn all(&mut self, mut a: OwnedFd, mut b: OwnedFd) {
        if self.options.root {
            let stats = [fs::fstat(&a).unwrap(), fs::fstat(&b).unwrap()];
            self.attributes(&stats, [&a, &b], b".");
        }
        let mut levels = vec![self.directory(&a, &b)];
        while let Some(level) = levels.last_mut() {
            if let Some(name) = level.pending.pop() {
                (a, b) = (open_dir(&a, &name), open_dir(&b, &name));
                self.push(&name);
                let level = self.directory(&a, &b);
                levels.push(level);
            } else {
                levels.pop();
                let Some(above) = levels.last() else { break };
                (a, b) = (open_dir(&a, b".."), open_dir(&b, b".."));
                assert_eq!(
                    [identity(&a), identity(&b)],
                    above.identity,
                    "a directory moved while it was compared"
                );
                self.path.truncate(above.path_len);
            }
        }
    }

    fn push(&mut self, name: &[u8]) {
        if !self.path.is_empty() {
            self.path.push(b'/');
        }
        self.path.extend_from_slice(name);
    }

    fn differ(&mut self, attribute: impl Into<String>, a: impl fmt::Display, b: impl fmt::Display) {
        self.differences.push(Difference {
            path: self.path.clone(),
            attribute: attribute.into(),
            detail: format!("{a} and {b}"),
        });
    }

    /// Compares the members of two directories, their subdirectories' members left for later.
    fn directory(&mut self, a: &OwnedFd, b: &OwnedFd) -> Level {
        let path_len = self.path.len();
        let mut names: BTreeMap<Vec<u8>, [bool; 2]> = BTreeMap::new();
        for (side, dir) in [a, b].into_iter().enumerate() {
            for name in names_in(dir) {
                names.entry(name).or_default()[side] = true;
            }
        }
        let mut pending = Vec::new();
        for (name, there) in names {
            self.push(&name);
            if !self.options.without.contains(&self.path) {
                match there {
                    [true, true] => {
                        if self.member(a, b, &name) {
                            pending.push(name);
                        }
                    }
                    [true, false] => self.differ("missing", "there", "not there"),
                    [false, true] => self.differ("extra", "not there", "there"),
                    [false, false] => {}
                }
            }
            self.path.truncate(path_len);
        }
        pending.reverse();
        Level {
            pending,
            path_len,
            identity: [identity(a), identity(b)],
        }
    }

    /// Whether both are directories.
    fn member(&mut self, a: &OwnedFd, b: &OwnedFd, name: &[u8]) -> bool {
        let stats = [a, b].map(|dir| {
            fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)
                .unwrap_or_else(|error| panic!("stat {}: {error}", self.path.escape_ascii()))
        });
        let [kind_a, kind_b] = stats.map(|stat| FileType::from_raw_mode(stat.st_mode));
        if kind_a != kind_b {
            self.differ("type", format!("{kind_a:?}"), format!("{kind_b:?}"));
            return false;
        }
        self.attributes(&stats, [a, b], name);
        match kind_a {
            FileType::Directory => return true,
            FileType::RegularFile => self.file(&stats, [a, b], name),
            FileType::Symlink => {
                let [target_a, target_b] =
                    [a, b].map(|dir| fs::readlinkat(dir, name, Vec::new()).unwrap().into_bytes());
                if target_a != target_b {
                    self.differ("target", target_a.escape_ascii(), target_b.escape_ascii());
                }
            }
            FileType::CharacterDevice | FileType::BlockDevice
                if stats[0].st_rdev != stats[1].st_rdev =>
            {
                let [x, y] = stats
                    .map(|stat| format!("{}:{}", fs::major(stat.st_rdev), fs::minor(stat.st_rdev)));
                self.differ("device", x, y);
            }
            _ => {}
        }
        for (groups, stat) in self.groups.iter_mut().zip(&stats) {
            groups.note(stat, &self.path);
        }
        let [links_a, links_b] = stats.map(|stat| stat.st_nlink);
        if self.options.link_count && links_a != links_b {
            self.differ("link-count", links_a, links_b);
        }
        false
    }

    fn attributes(&mut self, stats: &[Stat; 2], dirs: [&OwnedFd; 2], name: &[u8]) {
        let [a, b] = stats;
        let mode = |stat: &Stat| stat.st_mode & 0o7777;
        if mode(a) != mode(b) {
            self.differ("mode", format!("{:o}", mode(a)), format!("{:o}", mode(b)));
        }
        if self.options.owner && a.st_uid != b.st_uid {
            self.differ("uid", a.st_uid, b.st_uid);
        }
        if self.options.owner && a.st_gid != b.st_gid {
            self.differ("gid", a.st_gid, b.st_gid);
        }
        let time = |stat: &Stat| format!("{} s {} ns", stat.st_mtime, stat.st_mtime_nsec);
        if time(a) != time(b) {
            self.differ("mtime", time(a), time(b));
        }
        let [xattrs_a, xattrs_b] = dirs.map(|dir| xattrs(dir, name));
        let mut all: Vec<_> = xattrs_a.keys().chain(xattrs_b.keys()).collect();
        all.sort();
        all.dedup();
        for xattr in all {
            let text = String::from_utf8_lossy(xattr).into_owned();
            if self
                .options
                .without_xattrs
                .iter()
                .any(|without| text.starts_with(without))
            {
                continue;
            }
            let [x, y] = [&xattrs_a, &xattrs_b].map(|xattrs| match xattrs.get(xattr) {
                Some(value) => format!(
                    "{} bytes {:.80}",
                    value.len(),
                    value.escape_ascii().to_string()
                ),
                None => "none".into(),
            });
            if xattrs_a.get(xattr) != xattrs_b.get(xattr) {
                self.differ(format!("xattr {text}"), x, y);
            }
        }
    }

    fn file(&mut self, stats: &[Stat; 2], dirs: [&OwnedFd; 2], name: &[u8]) {
        let [size_a, size_b] = stats.map(|stat| stat.st_size as u64);
        if size_a != size_b {
            self.differ("size", size_a, size_b);
            return;
        }
        let files = dirs.map(|dir| {
            let file = fs::openat(
                dir,
                name,
                OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
                Mode::empty(),
            )
            .unwrap_or_else(|error| panic!("open {}: {error}", self.path.escape_ascii()));
            std::fs::File::from(file)
        });
        let extents = [0, 1].map(|side| compare_file::data_extents(&files[side], size_a));
        if let Some(at) = compare_file::first_different_byte(&files, &extents) {
            self.differ(
                "content",
                format!("one thing at byte {at}"),
                "another there",
            );
        }
        if self.options.holes {
            let block = stats
                .iter()
                .map(|stat| stat.st_blksize as u64)
                .max()
                .unwrap()
                .max(4096);
            let [holes_a, holes_b] =
                [0, 1].map(|side| compare_file::whole_blocks(&extents[side], block));
            if holes_a != holes_b {
                self.differ(
                    "holes",
                    format!("data at {holes_a:.160?}"),
                    format!("data at {holes_b:.160?}"),
                );
            }
            let bytes = stats.map(|stat| stat.st_blocks as u64 * 512);
            if bytes[1] > bytes[0] + (64 << 10) {
                self.differ(
                    "blocks",
                    format!("{} bytes on disk", bytes[0]),
                    format!("{} bytes on disk", bytes[1]),
                );
            }
        }
    }

    /// Which paths of both trees are names of one inode.
    fn hard_links(&mut self) {
        let [a, b] = std::mem::take(&mut self.groups);
        // The first path of a group is renamed where that very path is missing on the other side; then the path
        // itself is reported, and the others once with it.
        let mut paths: Vec<_> = a.of.keys().chain(b.of.keys()).cloned().collect();
        paths.sort();
        paths.dedup();
        for path in paths {
            let [x, y] = [&a, &b].map(|groups| groups.of.get(&path).unwrap_or(&path));
            if x != y {
                let (x, y) = (x.escape_ascii().to_string(), y.escape_ascii().to_string());
                self.path = path;
                self.differ(
                    "link-group",
                    format!("the same as {x}"),
                    format!("the same as {y}"),
                );
            }
        }
        self.path.clear();
    }
}

fn identity(dir: impl AsFd) -> (u64, u64) {
    let stat = fs::fstat(dir).unwrap();
    (stat.st_dev, stat.st_ino)
}

fn names_in(dir: &OwnedFd) -> Vec<Vec<u8>> {
    Dir::read_from(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_bytes().to_vec())
        .filter(|name| name != b"." && name != b"..")
        .collect()
}

fn xattrs(dir: &OwnedFd, name: &[u8]) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let path = proc_path(dir, name);
    let len = match fs::llistxattr_query(path.as_slice()) {
        Ok(len) => len,
        Err(Errno::NOTSUP) => 0,
        Err(error) => panic!("list attributes of {}: {error}", name.escape_ascii()),
    };
    if len == 0 {
        return BTreeMap::new();
    }
    let mut buffer = vec![0; 1 << 16];
    let len = fs::llistxattr(path.as_slice(), buffer.as_mut_slice())
        .unwrap_or_else(|error| panic!("list attributes of {}: {error}", name.escape_ascii()));
    let names: Vec<Vec<u8>> = buffer[..len]
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
        .map(<[u8]>::to_vec)
        .collect();
    names
        .into_iter()
        .map(|xattr| {
            let len = fs::lgetxattr(path.as_slice(), xattr.as_slice(), buffer.as_mut_slice())
                .unwrap_or_else(|error| {
                    panic!(
                        "read {} of {}: {error}",
                        xattr.escape_ascii(),
                        name.escape_ascii()
                    )
                });
            (xattr, buffer[..len].to_vec())
        })
        .collect()
}
