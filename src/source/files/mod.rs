//! Files and folders on this machine.
//!
//! The tree begins at `/`, whatever paths were given: the directories above a given path are entered too, for their
//! metadata, with only the wanted member in each, so that `/etc/x` is stored as `etc/x` and comes back there.
//! A given path that is a symbolic link is stored as a link. Symbolic links in the directories above it are followed
//! (they are part of what the user typed), and the tree shows a directory under the typed name.

mod content;
mod paths;
mod rules;
mod scout;
mod walk;

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::error::{Error, Kind, Result};
use crate::fs::{Dir, Identity};
use crate::progress::Progress;
use crate::source::excludes::Excludes;
use crate::source::{Event, Source};

use paths::Wanted;
pub use paths::{absolute, names};
use rules::Rules;

/// A directory that must not become part of the snapshot, wherever it is met.
#[derive(Clone, Debug)]
pub struct LeftOut {
    /// Which one, whatever its name.
    pub identity: Identity,
    /// What it is, for the note: "the repository itself".
    pub what: &'static str,
}

impl LeftOut {
    /// The directory at `path`, symbolic links followed; none where there is none.
    #[must_use]
    pub fn directory(path: &Path, what: &'static str) -> Option<Self> {
        let found = std::fs::metadata(path).ok()?;
        found.is_dir().then(|| Self {
            identity: Identity {
                device: found.dev(),
                inode: found.ino(),
            },
            what,
        })
    }
}

/// Paths on this machine as one tree.
#[derive(Debug)]
pub struct FilesSource {
    paths: Vec<PathBuf>,
    wanted: Wanted,
    missing: Vec<(PathBuf, std::io::Error)>,
    rules: Rules,
    left_out: Vec<LeftOut>,
}

impl FilesSource {
    /// Prepares to walk `paths`; nothing but these is looked at yet. A path that is not there becomes an
    /// [`Event::Problem`] later, as long as another one is.
    ///
    /// # Errors
    /// No paths, patterns that cannot be understood ([`Kind::Usage`]); none of the paths is there
    /// ([`Kind::NotFound`]).
    pub fn new(paths: &[PathBuf], excludes: &Excludes, left_out: Vec<LeftOut>) -> Result<Self> {
        let rules = Rules::new(excludes)?;
        let mut given = Vec::with_capacity(paths.len());
        for path in paths {
            given.push(absolute(path)?);
        }
        given.sort_unstable();
        given.dedup();
        let mut wanted = Wanted::default();
        let mut missing = Vec::new();
        for path in &given {
            match std::fs::symlink_metadata(path) {
                Err(error) if is_missing(&error) => missing.push((path.clone(), error)),
                // Any other error shows again, with more to say, when the path is walked.
                _ => wanted.add(path),
            }
        }
        if missing.len() == given.len() {
            return Err(match missing.into_iter().next() {
                Some((path, error)) if given.len() == 1 => Error::io("read", &path, error),
                Some((path, _)) => Error::new(Kind::NotFound, "none of the given paths is there")
                    .subject(path.display().to_string()),
                None => Error::new(Kind::Usage, "nothing to take a snapshot of")
                    .hint("name files or folders"),
            });
        }
        Ok(Self {
            paths: given,
            wanted,
            missing,
            rules,
            left_out,
        })
    }

    /// The given paths, absolute, sorted, each once; those that are missing too.
    #[must_use]
    pub fn paths(&self) -> &[PathBuf] {
        &self.paths
    }
}

fn is_missing(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory)
}

impl Source for FilesSource {
    fn walk(
        &mut self,
        progress: &dyn Progress,
        emit: &mut dyn FnMut(Vec<Event>) -> Result<()>,
    ) -> Result<()> {
        let root = Dir::root(Path::new("/"))?;
        let mut walk = walk::Walk::new(&self.rules, &self.left_out, progress, emit);
        walk.begin(root, &self.wanted)?;
        for (path, error) in self.missing.drain(..) {
            walk.problem(
                Error::io("read", &path, error),
                path.into_os_string().into_encoded_bytes(),
            )?;
        }
        walk.run()
    }
}

#[cfg(test)]
mod tests;
