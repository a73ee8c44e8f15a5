//! Looking ahead where the disk is slow.
//!
//! A walk asks for one name after the other, and on a cold cache each answer may have to come from the disk, or over the
//! network, while everything else stands still. So where the listing of a directory came from there, a few scouts go
//! ahead through it and look at what the walk will ask for; nothing of what they see is used. The walk then asks again and
//! is answered from memory, in its own order, with what is true at that moment. Where nothing is waited for there are no
//! scouts, and nothing is asked for twice. They know no rules: of a tree that is left out they look at a little in vain.

use std::mem::MaybeUninit;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_channel::{Receiver, Sender, bounded};
use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawDir, StatxFlags, makedev};

use crate::fs::{Dir, Names};

/// More of them wait for the same disk in vain.
const SCOUTS: usize = 4;
/// Names that one scout takes at once.
const SHARE: usize = 32;
/// Names of one directory that are offered at once; the walk offers more when it gets there.
pub const AHEAD: usize = 4096;
/// Shares that wait; more are not taken, for the walk is soon there.
const WAITING: usize = AHEAD / SHARE;
/// Names that a scout looks at below one name: what lies there may be left out by the walk.
const BELOW: usize = 2048;
/// Directories that it goes down.
const DEPTH: usize = 16;

/// A part of a directory.
struct Share {
    dir: Arc<Dir>,
    names: Arc<Names>,
    from: usize,
}

/// The threads that look ahead; none until something is offered. Dropped, they end at the next name, and nobody waits for
/// them: one may hang in a file system that does not answer, and that the walk leaves out.
#[derive(Default)]
pub struct Scouts {
    to: Option<Sender<Share>>,
    ends: Arc<AtomicBool>,
}

impl Scouts {
    /// Names of `dir` from `from` on are about to be asked for.
    pub fn offer(&mut self, dir: &Arc<Dir>, names: &Arc<Names>, from: usize) {
        let to = match &self.to {
            Some(to) => to.clone(),
            None => {
                let (to, shares) = bounded(WAITING);
                for _ in 0..SCOUTS {
                    let (shares, ends) = (shares.clone(), Arc::clone(&self.ends));
                    // Without a thread there is one scout less.
                    let _ = std::thread::Builder::new()
                        .name("scout".into())
                        .spawn(move || scout(&shares, &ends));
                }
                self.to.insert(to).clone()
            }
        };
        for from in (from..names.len().min(from + AHEAD)).step_by(SHARE) {
            let share = Share {
                dir: Arc::clone(dir),
                names: Arc::clone(names),
                from,
            };
            if to.try_send(share).is_err() {
                return;
            }
        }
    }
}

impl Drop for Scouts {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
    }
}

fn scout(shares: &Receiver<Share>, ends: &AtomicBool) {
    for Share { dir, names, from } in shares {
        for index in from..names.len().min(from + SHARE) {
            let Some(name) = names.get(index) else { break };
            // Whatever cannot be looked at, the walk will say so.
            let _ = dir.with_fd(|fd| {
                let mut left = BELOW;
                look(fd, name, dir.identity().device, DEPTH, &mut left, ends);
                Ok(BELOW - left)
            });
        }
    }
}

/// Looks at `name`, and at what is below it on the same file system.
fn look(
    parent: BorrowedFd<'_>,
    name: &[u8],
    device: u64,
    depth: usize,
    left: &mut usize,
    ends: &AtomicBool,
) {
    if *left == 0 || ends.load(Ordering::Relaxed) {
        return;
    }
    *left -= 1;
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
    let Ok(stat) = rustix::fs::statx(parent, name, flags, StatxFlags::BASIC_STATS) else {
        return;
    };
    let is_directory = FileType::from_raw_mode(u32::from(stat.stx_mode)) == FileType::Directory;
    let same = makedev(stat.stx_dev_major, stat.stx_dev_minor) == device;
    if !is_directory || !same || depth == 0 {
        return;
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let Ok(fd) = rustix::fs::openat(parent, name, flags, Mode::empty()) else {
        return;
    };
    let mut members: Vec<Vec<u8>> = Vec::new();
    let mut buffer = [MaybeUninit::uninit(); 4096];
    let mut entries = RawDir::new(&fd, &mut buffer);
    while let Some(Ok(entry)) = entries.next() {
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            members.push(name.to_vec());
        }
        if members.len() > *left {
            break;
        }
    }
    // The walk's order.
    members.sort_unstable();
    for member in members {
        look(fd.as_fd(), &member, device, depth - 1, left, ends);
    }
}

/// How much this thread has had to fetch so far: blocks that were read from a disk. What comes over a network is not counted there,
/// and how often it waited for anything must do; of a disk that would not, for a thread waits for its own siblings too.
pub fn fetched(network: bool) -> std::ffi::c_long {
    use nix::sys::resource::{UsageWho, getrusage};
    getrusage(UsageWho::RUSAGE_THREAD).map_or(0, |usage| match network {
        true => usage.voluntary_context_switches(),
        false => usage.block_reads(),
    })
}

/// Whether a directory lies on another machine, or behind a program, as far as the names of file systems tell
/// (`linux/magic.h`).
pub fn is_remote(dir: &Dir) -> bool {
    const REMOTE: [u64; 8] = [
        0x6969,      // NFS
        0xFF53_4D42, // CIFS
        0xFE53_4D42, // SMB2
        0x517B,      // SMB
        0x6573_5546, // FUSE
        0x0102_1997, // 9P
        0x00C3_6400, // Ceph
        0x5346_414F, // AFS
    ];
    let kind = dir.with_fd(|fd| rustix::fs::fstatfs(fd).map(|found| found.f_type as u64));
    kind.is_ok_and(|kind| REMOTE.contains(&(kind & 0xFFFF_FFFF)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::fs::Lister;

    #[test]
    fn a_look_sees_what_the_walk_will_ask_for_and_no_more() {
        let place = tempfile::tempdir().unwrap();
        let seen = |name: &str, most: usize| {
            let dir = Dir::root(place.path()).unwrap();
            let device = dir.identity().device;
            let mut left = most;
            let ends = AtomicBool::new(false);
            let look = |fd: BorrowedFd<'_>| {
                look(fd, name.as_bytes(), device, DEPTH, &mut left, &ends);
                Ok(())
            };
            dir.with_fd(look).unwrap();
            most - left
        };
        let mut deep = place.path().join("deep");
        for level in 0..3 * DEPTH {
            deep.push(format!("{level}"));
        }
        std::fs::create_dir_all(&deep).unwrap();
        assert_eq!(seen("deep", 1000), DEPTH + 1);
        let wide = place.path().join("wide");
        std::fs::create_dir(&wide).unwrap();
        for number in 0..500 {
            std::fs::write(wide.join(format!("file{number}")), b"x").unwrap();
        }
        assert_eq!(seen("wide", 1000), 501);
        assert_eq!(seen("wide", 100), 100);
        // Links are looked at and not followed; a pipe is not opened; what is not there is no matter.
        std::os::unix::fs::symlink("wide", place.path().join("link")).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, place.path().join("pipe"), Mode::RWXU).unwrap();
        for name in ["link", "pipe", "none"] {
            assert_eq!(seen(name, 1000), 1, "{name}");
        }
    }

    #[test]
    fn they_end_when_they_are_dropped_whatever_becomes_of_the_tree() {
        let place = tempfile::tempdir().unwrap();
        for number in 0..5000 {
            std::fs::write(place.path().join(format!("file{number}")), b"x").unwrap();
        }
        let dir = Dir::root(place.path()).unwrap();
        let names = Arc::new(Lister::default().list(&dir).0);
        let mut scouts = Scouts::default();
        for from in (0..names.len() + AHEAD).step_by(AHEAD) {
            scouts.offer(&dir, &names, from);
        }
        std::fs::remove_dir_all(place.path()).unwrap();
        drop(scouts);
        let held = || Arc::strong_count(&dir) > 1 || Arc::strong_count(&names) > 1;
        let patience = (0..60_000).take_while(|_| held());
        patience.for_each(|_| std::thread::sleep(std::time::Duration::from_millis(1)));
        assert!(!held(), "a scout goes on");
    }
}
