//! A folder on this machine (or one that is mounted as if it were).
//!
//! A file is written to `tmp/`, synced, renamed to its name without replacing anything, and its folder is synced: at
//! no moment does a name stand for a part of a file, and after the call has returned a power cut takes nothing back.
//! A writer holds an advisory lock on its temporary file for as long as it lives, so what a killed process left
//! behind is told from what another is writing just now without asking a clock.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, RenameFlags};
use rustix::io::Errno;

use super::{Item, Storage, Upload, check_name};
use crate::clock::Nanos;
use crate::crypto::random;
use crate::error::{Error, Kind, Result};
use crate::fs::passing;
use crate::id::to_hex;

const TEMPORARY: &str = "tmp";
/// What is read at once and is at least this long is not read again soon.
const BULK: usize = 4 << 20;

/// A folder.
#[derive(Clone, Debug)]
pub struct LocalStorage {
    root: PathBuf,
}

impl LocalStorage {
    /// The folder at `root`, which need not exist yet.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Removes what killed writers left in `tmp/`. Failing to is no error: it only takes space.
    pub fn sweep_temporary(&self) {
        let Ok(entries) = fs::read_dir(self.root.join(TEMPORARY)) else {
            return;
        };
        for entry in entries.flatten() {
            let Ok(file) = File::open(entry.path()) else {
                continue;
            };
            if rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    fn path(&self, name: &str) -> Result<PathBuf> {
        check_name(name)?;
        Ok(self.root.join(name))
    }

    fn open(&self, name: &str) -> Result<(File, PathBuf)> {
        let path = self.path(name)?;
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits() as i32)
            .open(&path)
            .map_err(|error| Error::io("open", &path, error))?;
        Ok((file, path))
    }

    fn make_folder(&self, path: &Path) -> Result<()> {
        if path.is_dir() {
            return Ok(());
        }
        let parent = path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        if !parent.is_dir() {
            self.make_folder(parent)?;
        }
        match fs::DirBuilder::new().mode(0o700).create(path) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(Error::io("create the folder", path, error)),
        }
        sync_folder(parent)
    }

    fn begin(&self) -> Result<LocalUpload> {
        let folder = self.root.join(TEMPORARY);
        self.make_folder(&folder)?;
        // A sweep may catch the file between its creation and its lock; then another is made.
        for _ in 0..100 {
            let path = folder.join(to_hex(&random::array::<12>()?));
            let file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&path)
                .map_err(|error| Error::io("create", &path, error))?;
            match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) if path.exists() => {
                    return Ok(LocalUpload {
                        storage: self.clone(),
                        path: Some(path),
                        file,
                    });
                }
                // Some network file systems have no such locks; then nothing is ever swept there either.
                Err(Errno::NOSYS | Errno::OPNOTSUPP | Errno::NOLCK) => {
                    return Ok(LocalUpload {
                        storage: self.clone(),
                        path: Some(path),
                        file,
                    });
                }
                _ => {}
            }
        }
        Err(
            Error::new(Kind::Failed, "cannot keep a temporary file there")
                .subject(folder.display().to_string()),
        )
    }
}

fn sync_folder(path: &Path) -> Result<()> {
    let folder = File::open(path).map_err(|error| Error::io("open", path, error))?;
    match folder.sync_all() {
        // Some file systems cannot sync a folder and need not.
        Err(error) if error.kind() == std::io::ErrorKind::InvalidInput => Ok(()),
        result => result.map_err(|error| Error::io("sync", path, error)),
    }
}

fn modified(metadata: &fs::Metadata) -> Nanos {
    let seconds = metadata.mtime().saturating_mul(1_000_000_000);
    seconds.saturating_add(metadata.mtime_nsec())
}

impl Storage for LocalStorage {
    fn describe(&self) -> String {
        self.root.display().to_string()
    }

    fn local_path(&self) -> Option<&Path> {
        Some(&self.root)
    }

    fn list(&self, folder: &str) -> Result<Vec<Item>> {
        let mut items = Vec::new();
        let mut folders = vec![folder.to_owned()];
        while let Some(folder) = folders.pop() {
            let path = self.root.join(&folder);
            let entries = match fs::read_dir(&path) {
                Ok(entries) => entries,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => return Err(Error::io("list", &path, error)),
            };
            for entry in entries {
                let entry = entry.map_err(|error| Error::io("list", &path, error))?;
                // Names that are not ours (an editor's, a file manager's) are passed over, not an error.
                let Ok(name) = entry.file_name().into_string() else {
                    continue;
                };
                let name = format!("{folder}/{name}");
                if check_name(&name).is_err() {
                    continue;
                }
                match entry.metadata() {
                    Ok(metadata) if metadata.is_dir() => folders.push(name),
                    Ok(metadata) => items.push(Item {
                        name,
                        size: metadata.len(),
                        modified: Some(modified(&metadata)),
                    }),
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                    Err(error) => {
                        return Err(Error::io("look at", path.join(entry.file_name()), error));
                    }
                }
            }
        }
        Ok(items)
    }

    fn read(&self, name: &str, max: u64) -> Result<Vec<u8>> {
        let (file, path) = self.open(name)?;
        let size = size(&file, &path)?;
        let size = usize::try_from(size).ok().filter(|_| size <= max);
        let Some(size) = size else {
            return Err(
                Error::damage("longer than such a file can be").subject(path.display().to_string())
            );
        };
        let mut bytes = vec![0; size];
        let filled = fill(&file, &path, &mut bytes, 0)?;
        bytes.truncate(filled);
        Ok(bytes)
    }

    fn read_range(&self, name: &str, offset: u64, len: usize) -> Result<Vec<u8>> {
        let (file, path) = self.open(name)?;
        let short = || Error::damage("ends too early").subject(path.display().to_string());
        let size = size(&file, &path)?;
        if offset.checked_add(len as u64).is_none_or(|end| end > size) {
            return Err(short());
        }
        let mut bytes = vec![0; len];
        if fill(&file, &path, &mut bytes, offset)? < len {
            return Err(short());
        }
        Ok(bytes)
    }

    fn size(&self, name: &str) -> Result<Option<u64>> {
        let path = self.path(name)?;
        match fs::symlink_metadata(&path) {
            Ok(metadata) => Ok(Some(metadata.len())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io("look at", &path, error)),
        }
    }

    fn put_new(&self, name: &str, bytes: &[u8]) -> Result<bool> {
        let mut upload = self.begin()?;
        upload.write(bytes)?;
        upload.publish(name)
    }

    fn create(&self) -> Result<Box<dyn Upload>> {
        Ok(Box::new(self.begin()?))
    }

    fn delete(&self, name: &str) -> Result<()> {
        let path = self.path(name)?;
        match fs::remove_file(&path) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(Error::io("remove", &path, error)),
        }
    }
}

fn size(file: &File, path: &Path) -> Result<u64> {
    let metadata = file.metadata();
    let metadata = metadata.map_err(|error| Error::io("look at", path, error))?;
    Ok(metadata.len())
}

/// Reads from `offset` on until `bytes` is full or the file ends; the number of bytes read. What is read in bulk passes
/// through: whole packs are read to be checked, while frames may be asked for again.
fn fill(file: &File, path: &Path, bytes: &mut [u8], offset: u64) -> Result<usize> {
    let mut passes = bytes.len() >= BULK;
    let mut filled = 0;
    while filled < bytes.len() {
        let at = offset + filled as u64;
        match passing::read(file.as_fd(), &mut bytes[filled..], at, &mut passes) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(errno) => return Err(Error::io("read", path, errno)),
        }
    }
    Ok(filled)
}

struct LocalUpload {
    storage: LocalStorage,
    path: Option<PathBuf>,
    file: File,
}

impl LocalUpload {
    /// Renames the synced file to its name; false where the name is taken.
    fn publish(mut self, name: &str) -> Result<bool> {
        let target = self.storage.path(name)?;
        let temporary = self.path.clone().unwrap_or_default();
        self.file
            .sync_all()
            .map_err(|error| Error::io("sync", &temporary, error))?;
        let folder = target.parent().unwrap_or(Path::new("/")).to_owned();
        self.storage.make_folder(&folder)?;
        let here = rustix::fs::CWD;
        let first = match rustix::fs::renameat_with(
            here,
            &temporary,
            here,
            &target,
            RenameFlags::NOREPLACE,
        ) {
            Ok(()) => {
                self.path = None;
                true
            }
            Err(Errno::EXIST) => false,
            // File systems without that flag: a second name is refused where the name is taken, too.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                match fs::hard_link(&temporary, &target) {
                    Ok(()) => true,
                    Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => false,
                    Err(error) => return Err(Error::io("create", &target, error)),
                }
            }
            Err(error) => return Err(Error::io("create", &target, error)),
        };
        // Also where another was first: its rename may not be on disk yet, and the caller will rely on it.
        sync_folder(&folder)?;
        Ok(first)
    }
}

impl Upload for LocalUpload {
    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).map_err(|error| {
            let path = self.path.clone().unwrap_or_default();
            Error::io("write", path, error)
        })
    }

    fn finish(self: Box<Self>, name: &str) -> Result<()> {
        // Named by content: where the name is taken, its file must hold the same bytes, or it is damaged there and
        // this one takes its place.
        let storage = self.storage.clone();
        let target = storage.path(name)?;
        let Some(temporary) = self.path.clone() else {
            return Ok(());
        };
        if target.exists() && !same_bytes(&temporary, &target) {
            self.file
                .sync_all()
                .map_err(|error| Error::io("sync", &temporary, error))?;
            fs::rename(&temporary, &target).map_err(|error| Error::io("create", &target, error))?;
            let mut upload = *self;
            upload.path = None;
            return sync_folder(target.parent().unwrap_or(Path::new("/")));
        }
        self.publish(name).map(|_| ())
    }
}

fn same_bytes(left: &Path, right: &Path) -> bool {
    matches!((fs::read(left), fs::read(right)), (Ok(left), Ok(right)) if left == right)
}

impl Drop for LocalUpload {
    fn drop(&mut self) {
        if let Some(path) = self.path.take() {
            let _ = fs::remove_file(path);
        }
    }
}
