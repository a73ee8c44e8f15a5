//! Where things lie when nobody says where: repository, key file and cache in the user's folders, by the XDG rules.
//!
//! Everything made here is for its owner alone (folders 0700, files 0600). A key file appears whole or not at all,
//! and is on the disk before any repository depends on it: a repository whose key was lost in a power cut is lost.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use duramen::error::{Error, Kind, Result};

use super::args::Global;
use super::environment::Environment;

/// Which repository is meant.
#[derive(Debug, PartialEq, Eq)]
pub enum Place {
    /// One that a flag, the environment or the configuration file names.
    Named(String),
    /// The default one, with its key file.
    Default {
        /// The repository's folder.
        repository: PathBuf,
        /// The key file beside it.
        key: PathBuf,
        /// Somebody named it by its path, so it is not to be made in passing.
        named: bool,
    },
}

impl Place {
    /// Flag over environment over configuration file over default.
    ///
    /// # Errors
    /// [`Kind::Usage`] for a place that is not UTF-8, or where there is no home to look in.
    pub fn choose(global: &Global, environment: &Environment) -> Result<Self> {
        let named = global
            .repository
            .as_ref()
            .or(environment.repository.as_ref())
            .or(environment.file.repository.as_ref());
        let default = data_folder(environment).map(|data| Place::Default {
            repository: data.join("repository"),
            key: data.join("key"),
            named: named.is_some(),
        });
        match named {
            Some(place) => match place.to_str() {
                Some(place) => Ok(match default {
                    Ok(Place::Default { ref repository, .. }) if repository == Path::new(place) => {
                        default?
                    }
                    _ => Place::Named(place.into()),
                }),
                None => Err(
                    Error::new(Kind::Usage, "the place of a repository must be UTF-8")
                        .subject(place.to_string_lossy())
                        .hint("name it by a path that is, a symbolic link for example"),
                ),
            },
            None => default,
        }
    }

    /// As the engine and people want to hear it.
    ///
    /// # Errors
    /// [`Kind::Usage`] for a home that is not UTF-8.
    pub fn location(&self) -> Result<String> {
        match self {
            Place::Named(place) => Ok(place.clone()),
            Place::Default { repository, .. } => match repository.to_str() {
                Some(place) => Ok(place.into()),
                None => Err(Error::new(
                    Kind::Usage,
                    "the user's data folder has a name that is not UTF-8",
                )
                .subject(repository.to_string_lossy())
                .hint("name a repository with -r")),
            },
        }
    }
}

fn no_home(what: &str, cure: &str) -> Error {
    Error::new(
        Kind::Usage,
        format!("no place for {what}: HOME is not set and the system knows no home"),
    )
    .hint(cure)
}

/// `$XDG_DATA_HOME/duramen`.
fn data_folder(environment: &Environment) -> Result<PathBuf> {
    let base = match (&environment.xdg_data, &environment.home) {
        (Some(data), _) => data.clone(),
        (None, Some(home)) => home.join(".local/share"),
        (None, None) => {
            return Err(no_home(
                "the default repository",
                "name a repository with -r or DURAMEN_REPOSITORY, or set HOME",
            ));
        }
    };
    Ok(base.join("duramen"))
}

/// Where the index cache may live; none with `--no-cache`.
///
/// # Errors
/// [`Kind::Usage`] where there is no home to put it in.
pub fn cache_folder(global: &Global, environment: &Environment) -> Result<Option<PathBuf>> {
    if global.no_cache {
        return Ok(None);
    }
    let named = global
        .cache_dir
        .as_ref()
        .or(environment.cache_dir.as_ref())
        .or(environment.file.cache_dir.as_ref());
    match (named, &environment.xdg_cache, &environment.home) {
        (Some(folder), _, _) => Ok(Some(folder.clone())),
        (None, Some(cache), _) => Ok(Some(cache.join("duramen"))),
        (None, None, Some(home)) => Ok(Some(home.join(".cache/duramen"))),
        (None, None, None) => Err(no_home(
            "the index cache",
            "name a folder with --cache-dir, or say --no-cache, or set HOME",
        )),
    }
}

/// Where this machine remembers what it saw of each repository; none where there is no home. Not in the cache, which
/// may be thrown away at any time.
pub fn state_folder(environment: &Environment) -> Option<PathBuf> {
    let base = match (&environment.xdg_state, &environment.home) {
        (Some(state), _) => state.clone(),
        (None, home) => home.as_ref()?.join(".local/state"),
    };
    Some(base.join("duramen"))
}

/// Makes a folder and what is missing above it, for its owner alone.
///
/// # Errors
/// As the system says.
pub fn make_private_folder(path: &Path) -> Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|error| Error::io("create the folder", path, error))
}

/// Puts `secret` at `path` with mode 0600, whole or not at all, and on the disk before it returns.
///
/// # Errors
/// [`Kind::Exists`] where something is there already: a key file is never overwritten.
pub fn write_secret(path: &Path, secret: &[u8]) -> Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".new-{}", std::process::id()));
    let temporary = path.with_file_name(name);
    let result = write_and_link(&temporary, path, secret);
    // Gone already where it was renamed; where it cannot be removed, the error of the writing says more.
    let _ = fs::remove_file(&temporary);
    result?;
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|error| Error::io("sync the folder", folder, error))
}

fn write_and_link(temporary: &Path, path: &Path, secret: &[u8]) -> Result<()> {
    let there = || {
        Error::new(Kind::Exists, "a file is there already")
            .subject(path.display().to_string())
            .hint("name another file; a key file is never overwritten")
    };
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(temporary)
        .map_err(|error| Error::io("create", temporary, error))?;
    file.write_all(secret)
        .and_then(|()| file.sync_all())
        .map_err(|error| Error::io("write", temporary, error))?;
    // A link never replaces what is there, so of two first uses at once one wins whole.
    match fs::hard_link(temporary, path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(there()),
        // File systems without hard links.
        Err(_) if path.symlink_metadata().is_ok() => Err(there()),
        Err(_) => fs::rename(temporary, path).map_err(|error| Error::io("create", path, error)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn home(path: &str) -> Environment {
        Environment {
            home: Some(path.into()),
            ..Environment::default()
        }
    }

    #[test]
    fn flag_over_environment_over_default() {
        let mut global = Global::default();
        let mut environment = home("/home/ann");
        assert_eq!(
            Place::choose(&global, &environment).unwrap(),
            Place::Default {
                repository: "/home/ann/.local/share/duramen/repository".into(),
                key: "/home/ann/.local/share/duramen/key".into(),
                named: false,
            }
        );
        global.repository = Some("/home/ann/.local/share/duramen/repository/".into());
        assert!(matches!(
            Place::choose(&global, &environment).unwrap(),
            Place::Default { named: true, .. }
        ));
        global.repository = None;
        environment.repository = Some("/env".into());
        assert_eq!(
            Place::choose(&global, &environment).unwrap(),
            Place::Named("/env".into())
        );
        global.repository = Some("/flag".into());
        assert_eq!(
            Place::choose(&global, &environment).unwrap(),
            Place::Named("/flag".into())
        );
    }

    #[test]
    fn xdg_folders_and_no_home() {
        let mut global = Global::default();
        let mut environment = home("/h");
        assert_eq!(
            cache_folder(&global, &environment).unwrap(),
            Some("/h/.cache/duramen".into())
        );
        environment.xdg_cache = Some("/c".into());
        environment.xdg_data = Some("/d".into());
        assert_eq!(
            cache_folder(&global, &environment).unwrap(),
            Some("/c/duramen".into())
        );
        assert_eq!(
            Place::choose(&global, &environment)
                .unwrap()
                .location()
                .unwrap(),
            "/d/duramen/repository"
        );
        let nowhere = Environment::default();
        let error = Place::choose(&global, &nowhere).unwrap_err();
        assert_eq!(error.kind(), Kind::Usage);
        assert_eq!(
            cache_folder(&global, &nowhere).unwrap_err().kind(),
            Kind::Usage
        );
        global.no_cache = true;
        assert_eq!(cache_folder(&global, &nowhere).unwrap(), None);
    }

    #[test]
    fn secrets_are_private_and_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("a/b");
        make_private_folder(&data).unwrap();
        assert_eq!(data.metadata().unwrap().permissions().mode() & 0o777, 0o700);
        let key = data.join("key");
        write_secret(&key, b"one").unwrap();
        assert_eq!(write_secret(&key, b"two").unwrap_err().kind(), Kind::Exists);
        assert_eq!(fs::read(&key).unwrap(), b"one");
        assert_eq!(key.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(
            fs::read_dir(&data).unwrap().count(),
            1,
            "a temporary is left"
        );
    }
}
