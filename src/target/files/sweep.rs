//! Taking away what should not be there, without following links and without leaving the device.

use std::sync::Arc;

use rustix::fs::{AtFlags, StatxAttributes, StatxFlags};

use super::meta::lend_access;
use super::place::{look, remove_directory, unlink};
use crate::error::{Error, Kind, Result};
use crate::fs::{Dir, Lister, Names};

/// The names in a directory, sorted; an error where not all of them can be read.
///
/// # Errors
/// Names the directory.
pub fn names(dir: &Dir) -> Result<Names> {
    match Lister::default().list(dir) {
        (names, None) => Ok(names),
        (_, Some(errno)) => Err(dir.error("list", b"", errno)),
    }
}

/// Whoever asks for something to be removed.
pub trait Sweep {
    /// Whether it must stay: `path` is its path below the name given to [`remove`], that name included.
    fn keep(&mut self, path: &[u8], is_dir: bool) -> bool;

    /// It is gone, or would be.
    fn removed(&mut self, path: &[u8], is_dir: bool);

    /// It could not be removed.
    fn problem(&mut self, path: &[u8], error: Error);

    /// Whether to only say what would be done.
    fn dry_run(&self) -> bool;

    /// Whether directories that their owner may not write in are to be made writable first.
    fn lends(&self) -> bool {
        false
    }

    /// Called now and then; an error stops everything.
    ///
    /// # Errors
    /// [`Kind::Interrupted`].
    fn go_on(&mut self) -> Result<()>;
}

impl dyn Sweep + '_ {
    /// Removes `name` in `parent` and everything below it but what must stay.
    ///
    /// # Errors
    /// Only that of [`Sweep::go_on`]; everything else is told as a problem.
    pub fn remove(&mut self, parent: &Arc<Dir>, name: &[u8]) -> Result<()> {
        let mut path = Vec::new();
        let mut levels: Vec<Level> = vec![Level {
            dir: Arc::clone(parent),
            names: Names::new([name]),
            next: 0,
            kept: false,
            path_length: 0,
        }];
        while let Some(level) = levels.last_mut() {
            path.truncate(level.path_length);
            let name = level.names.get(level.next).map(<[u8]>::to_vec);
            level.next += 1;
            let Some(name) = name else {
                let done = levels.pop();
                // The lowest level is the directory that `name` stood in.
                if let (Some(done), Some(above)) = (done, levels.last_mut()) {
                    if done.kept {
                        above.kept = true;
                    } else {
                        let name = done.dir.name().to_vec();
                        above.kept |= !self.take_directory(&above.dir, &name, &path);
                    }
                }
                continue;
            };
            self.go_on()?;
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(&name);
            match self.take(&level.dir, &name, &path) {
                Ok(Taken::Gone) => {}
                Ok(Taken::Kept) => level.kept = true,
                Ok(Taken::Enter(dir, names)) => levels.push(Level {
                    dir,
                    names,
                    next: 0,
                    kept: false,
                    path_length: path.len(),
                }),
                Err(error) => {
                    level.kept = true;
                    self.problem(&path, error);
                }
            }
        }
        Ok(())
    }

    fn take(&mut self, dir: &Arc<Dir>, name: &[u8], path: &[u8]) -> Result<Taken> {
        let Some(stat) = look(dir, name)? else {
            return Ok(Taken::Gone);
        };
        if self.keep(path, stat.is_directory()) {
            return Ok(Taken::Kept);
        }
        if stat.is_directory() {
            let mut below = dir.open_child(name)?;
            if below.identity().device != dir.identity().device || is_mount_point(&below) {
                return Err(Error::new(
                    Kind::Failed,
                    "not removed: another file system is mounted there",
                )
                .subject(String::from_utf8_lossy(&below.path()).into_owned())
                .hint("unmount it, or exclude it"));
            }
            if self.lends() && !self.dry_run() && lend_access(&below, &stat) {
                // What could not be listed before can be now.
                below = dir.open_child(name)?;
            }
            let names = names(&below)?;
            return Ok(Taken::Enter(below, names));
        }
        if !self.dry_run() {
            unlink(dir, name)?;
        }
        self.removed(path, false);
        Ok(Taken::Gone)
    }

    fn take_directory(&mut self, above: &Arc<Dir>, name: &[u8], path: &[u8]) -> bool {
        if self.dry_run() {
            self.removed(path, true);
            return true;
        }
        match remove_directory(above, name) {
            Ok(true) => {
                self.removed(path, true);
                true
            }
            Ok(false) => {
                let error = Error::new(
                    Kind::Failed,
                    "not removed: something was put into it meanwhile",
                )
                .subject(String::from_utf8_lossy(&above.path_of(name)).into_owned());
                self.problem(path, error);
                false
            }
            Err(error) => {
                self.problem(path, error);
                false
            }
        }
    }
}

struct Level {
    dir: Arc<Dir>,
    names: Names,
    next: usize,
    /// Something in it stays, so it stays too.
    kept: bool,
    path_length: usize,
}

enum Taken {
    Gone,
    Kept,
    Enter(Arc<Dir>, Names),
}

/// A bind mount may lie on the same device; the kernel still knows it.
fn is_mount_point(dir: &Dir) -> bool {
    dir.with_fd(|fd| {
        let stat = rustix::fs::statx(fd, c"", AtFlags::EMPTY_PATH, StatxFlags::empty())?;
        Ok(stat.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
    })
    .unwrap_or(false)
}
