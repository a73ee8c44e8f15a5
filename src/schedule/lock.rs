//! One run at a time: a lock that the system takes back when its holder ends, however it ends.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::clock::Nanos;
use crate::error::{Error, Result};

/// Held until it is dropped.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "closing the file gives the lock back")] File);

/// Somebody else holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holder {
    /// Its process, where it said so.
    pub pid: Option<u32>,
    /// When it began, where it said so.
    pub since: Option<Nanos>,
}

/// Takes the lock in `folder`, or says who has it.
///
/// # Errors
/// As the system says.
pub fn take(folder: &Path, now: Nanos) -> Result<std::result::Result<Lock, Holder>> {
    let path = folder.join("lock");
    let failed = |error: std::io::Error| Error::io("lock", &path, error);
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(failed)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => {
            let mut text = String::new();
            // Only for words: one that just began may not have written yet.
            let _ = (&mut file).take(64).read_to_string(&mut text);
            let mut numbers = text.split_whitespace();
            return Ok(Err(Holder {
                pid: numbers.next().and_then(|number| number.parse().ok()),
                since: numbers.next().and_then(|number| number.parse().ok()),
            }));
        }
        Err(error) => return Err(failed(error.into())),
    }
    file.set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| writeln!(file, "{} {now}", std::process::id()))
        .map_err(failed)?;
    Ok(Ok(Lock(file)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn one_holder_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let first = take(folder.path(), 17).unwrap().unwrap();
        let holder = take(folder.path(), 18).unwrap().unwrap_err();
        assert_eq!(
            holder,
            Holder {
                pid: Some(std::process::id()),
                since: Some(17)
            }
        );
        drop(first);
        assert!(take(folder.path(), 19).unwrap().is_ok());
    }
}
