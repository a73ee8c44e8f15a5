//! A name that nobody else uses, removed again unless it is renamed.

use std::sync::Arc;

use rustix::fd::BorrowedFd;
use rustix::fs::AtFlags;
use rustix::io::Errno;

use crate::error::{Error, Kind, Result};
use crate::fs::Dir;

/// Names tried before giving up: with 64 random bits the second is never needed, unless somebody plays tricks.
const TRIES: usize = 8;

/// Something under a temporary name in the directory where it will stand. Dropping it removes it.
#[derive(Debug)]
pub struct Temporary {
    dir: Arc<Dir>,
    name: Vec<u8>,
    renamed: bool,
}

impl Temporary {
    /// Whether `name` is one that a restore uses while it writes.
    #[must_use]
    pub fn is_one(name: &[u8]) -> bool {
        name.strip_prefix(b".duramen-")
            .and_then(|rest| rest.strip_suffix(b".tmp"))
            .is_some_and(|middle| middle.len() == 16 && middle.iter().all(u8::is_ascii_hexdigit))
    }

    /// Makes something in `dir` under a fresh name. `make` must fail with `EEXIST` where the name is taken.
    ///
    /// # Errors
    /// What `make` says, about `for_name` in `dir`: the person knows that name, not the temporary one.
    pub fn create<T>(
        dir: &Arc<Dir>,
        for_name: &[u8],
        mut make: impl FnMut(BorrowedFd<'_>, &[u8]) -> rustix::io::Result<T>,
    ) -> Result<(Self, T)> {
        for _ in 0..TRIES {
            let mut random = [0; 8];
            crate::crypto::random::fill(&mut random)?;
            let name = format!(".duramen-{}.tmp", crate::id::to_hex(&random)).into_bytes();
            match dir.with_fd(|fd| make(fd, &name)) {
                Ok(made) => {
                    let temporary = Self {
                        dir: Arc::clone(dir),
                        name,
                        renamed: false,
                    };
                    return Ok((temporary, made));
                }
                Err(Errno::EXIST) => {}
                Err(errno) => return Err(dir.error("create", for_name, errno)),
            }
        }
        Err(
            Error::new(Kind::Failed, "every temporary name is taken already")
                .subject(String::from_utf8_lossy(&dir.path()).into_owned()),
        )
    }

    /// The directory that it stands in.
    #[must_use]
    pub fn dir(&self) -> &Arc<Dir> {
        &self.dir
    }

    /// Its name there.
    #[must_use]
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// Gives it its own name, replacing what stands there.
    ///
    /// # Errors
    /// Names the path; the temporary is gone then.
    pub fn rename(mut self, name: &[u8]) -> Result<()> {
        self.dir
            .with_fd(|fd| rustix::fs::renameat(fd, self.name.as_slice(), fd, name))
            .map_err(|errno| self.dir.error("replace", name, errno))?;
        self.renamed = true;
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.renamed {
            // Nobody is left to hear of a failure, and what stays has a name that says what it is.
            let _ = self
                .dir
                .with_fd(|fd| rustix::fs::unlinkat(fd, self.name.as_slice(), AtFlags::empty()));
        }
    }
}
