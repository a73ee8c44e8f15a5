//! The file that says what stands in a checkout.

use std::io::{Read, Write};
use std::sync::Arc;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::clock::Nanos;
use crate::error::{Error, Kind, Result};
use crate::fs::{Dir, StatKind, of_descriptor};
use crate::id::{RepositoryId, SnapshotId, from_hex, to_hex};
use crate::target::files::Temporary;

/// Its name in the folder.
pub const NAME: &[u8] = b".duramen-checkout";
/// Snapshots that are remembered as standing there in part; with more of them everything is written anew.
pub const STANDING_MAX: usize = 8;

const VERSION: u32 = 1;
const BYTES_MAX: u64 = 1 << 20;
const WORDS: &str = "This folder is a read-only checkout. `duramen unmount` removes it.";

/// A snapshot and a path in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stand {
    /// The snapshot.
    pub snapshot: SnapshotId,
    /// Absolute raw path; `/` for everything.
    pub path: Vec<u8>,
}

/// What a checkout knows of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// Where the snapshots are.
    pub repository: RepositoryId,
    /// What stands there: the one snapshot where `complete`, otherwise all of which something may stand there. None
    /// where that is not known any more.
    pub standing: Option<Vec<Stand>>,
    /// It stands there whole.
    pub complete: bool,
    /// Device and inode of the folder: a copy of a checkout is none.
    pub folder: [u64; 2],
    /// Mode, owner and group that the folder had before; none where it was made for the checkout.
    pub before: Option<[u32; 3]>,
}

/// The state as it is written: JSON, for people who look into it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    what: String,
    version: u32,
    repository: String,
    standing: Option<Vec<WrittenStand>>,
    complete: bool,
    folder: [u64; 2],
    before: Option<[u32; 3]>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenStand {
    snapshot: String,
    path_hex: String,
}

impl State {
    /// As a file.
    ///
    /// # Errors
    /// None that can happen.
    pub fn encode(&self) -> Result<Vec<u8>> {
        let stand = |stand: &Stand| WrittenStand {
            snapshot: stand.snapshot.hex(),
            path_hex: to_hex(&stand.path),
        };
        let written = Written {
            what: WORDS.into(),
            version: VERSION,
            repository: self.repository.hex(),
            standing: self
                .standing
                .as_ref()
                .map(|standing| standing.iter().map(stand).collect()),
            complete: self.complete,
            folder: self.folder,
            before: self.before,
        };
        let mut bytes = serde_json::to_vec_pretty(&written)
            .map_err(|error| Error::new(Kind::Failed, "cannot write JSON").cause(error))?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// From a file.
    ///
    /// # Errors
    /// [`Kind::Failed`] where it is none of ours, [`Kind::Unsupported`] where a newer program wrote it.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let wrong = || Error::new(Kind::Failed, "not the state of a checkout");
        let version = serde_json::from_slice::<serde_json::Value>(bytes)
            .map_err(|error| wrong().cause(error))?
            .get("version")
            .and_then(serde_json::Value::as_u64)
            .ok_or_else(wrong)?;
        if version != u64::from(VERSION) {
            return Err(Error::new(
                Kind::Unsupported,
                "a checkout made by another version of duramen",
            )
            .hint("use a newer version of duramen"));
        }
        let written: Written =
            serde_json::from_slice(bytes).map_err(|error| wrong().cause(error))?;
        let stand = |stand: WrittenStand| {
            Some(Stand {
                snapshot: SnapshotId::from_hex(&stand.snapshot)?,
                path: from_hex(&stand.path_hex)?,
            })
        };
        let standing = match written.standing {
            Some(standing) if standing.len() > STANDING_MAX => return Err(wrong()),
            Some(standing) => Some(
                standing
                    .into_iter()
                    .map(stand)
                    .collect::<Option<Vec<_>>>()
                    .ok_or_else(wrong)?,
            ),
            None => None,
        };
        Ok(Self {
            repository: RepositoryId::from_hex(&written.repository).ok_or_else(wrong)?,
            standing,
            complete: written.complete,
            folder: written.folder,
            before: written.before,
        })
    }

    /// The state in `dir` and when it was written, by the file system's clock; none where there is no such file.
    ///
    /// # Errors
    /// As [`State::decode`], naming the file; where it cannot be read.
    pub fn read(dir: &Dir) -> Result<Option<(Self, Nanos)>> {
        // Whatever stands there: no link is followed, and no pipe waited for.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let opened = dir.with_fd(|fd| {
            let file = rustix::fs::openat(fd, NAME, flags, Mode::empty())?;
            let stat = of_descriptor(std::os::fd::AsFd::as_fd(&file))?;
            Ok((file, stat))
        });
        let (file, stat) = match opened {
            Ok(opened) => opened,
            Err(Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(dir.error("open", NAME, errno)),
        };
        let subject = || String::from_utf8_lossy(&dir.path_of(NAME)).into_owned();
        if stat.kind != StatKind::File || stat.size > BYTES_MAX {
            return Err(Error::new(Kind::Failed, "not the state of a checkout").subject(subject()));
        }
        let mut bytes = Vec::new();
        std::fs::File::from(file)
            .take(BYTES_MAX)
            .read_to_end(&mut bytes)
            .map_err(|error| Error::io_named("read", subject(), error))?;
        let state = Self::decode(&bytes).map_err(|error| error.or_subject(subject))?;
        Ok(Some((state, stat.ctime)))
    }

    /// Puts it into `dir` in place of an older one, durably.
    ///
    /// # Errors
    /// Names the file.
    pub fn write(&self, dir: &Arc<Dir>) -> Result<()> {
        let bytes = self.encode()?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let (temporary, file) = Temporary::create(dir, NAME, |fd, name| {
            rustix::fs::openat(fd, name, flags, Mode::RUSR | Mode::WUSR)
        })?;
        let mut file = std::fs::File::from(file);
        file.write_all(&bytes)
            .and_then(|()| file.sync_all())
            .map_err(|error| {
                let path = String::from_utf8_lossy(&dir.path_of(NAME)).into_owned();
                Error::io_named("write", path, error)
            })?;
        temporary.rename(NAME)?;
        dir.with_fd(|fd| rustix::fs::fsync(fd))
            .map_err(|errno| dir.error("write out", b"", errno))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::os::unix::fs::symlink;

    fn sample() -> State {
        State {
            repository: RepositoryId([7; 32]),
            standing: Some(vec![Stand {
                snapshot: SnapshotId::from_hex(&"ab".repeat(16)).unwrap(),
                path: b"/\xff\n".to_vec(),
            }]),
            complete: true,
            folder: [1, u64::MAX],
            before: Some([0o755, 0, 7]),
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let dir = Dir::root(folder.path()).unwrap();
        assert!(State::read(&dir).unwrap().is_none());
        let mut state = sample();
        state.write(&dir).unwrap();
        assert_eq!(State::read(&dir).unwrap().unwrap().0, state);
        (state.standing, state.before, state.complete) = (None, None, false);
        state.write(&dir).unwrap();
        assert_eq!(State::read(&dir).unwrap().unwrap().0, state);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_is_none_of_ours_is_refused() {
        let good = sample().encode().unwrap();
        assert_eq!(State::decode(&good).unwrap(), sample());
        let text = String::from_utf8(good).unwrap();
        for bad in [
            String::new(),
            "{}".into(),
            "[1]".into(),
            text.replace("07", "zz"),
            text.replace("complete", "other"),
            text.replace("abab", "ab"),
        ] {
            let error = State::decode(bad.as_bytes()).unwrap_err();
            assert_eq!(error.kind(), Kind::Failed, "{bad}");
        }
        let newer = text.replace("\"version\": 1", "\"version\": 2");
        assert_eq!(
            State::decode(newer.as_bytes()).unwrap_err().kind(),
            Kind::Unsupported
        );
    }

    #[test]
    fn a_link_or_a_pipe_in_its_place_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let dir = Dir::root(folder.path()).unwrap();
        let at = folder.path().join(".duramen-checkout");
        std::fs::write(folder.path().join("real"), sample().encode().unwrap()).unwrap();
        symlink("real", &at).unwrap();
        assert!(State::read(&dir).is_err());
        std::fs::remove_file(&at).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &at,
            rustix::fs::FileType::Fifo,
            Mode::RUSR | Mode::WUSR,
            0,
        )
        .unwrap();
        assert!(State::read(&dir).is_err());
    }
}
