//! The configuration file: where it is found, and what is said when it makes no sense.

use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use duramen::config::{Base, CONFIG_BYTES_MAX, Config, Finding};
use duramen::error::{Error, Kind, Result};

use super::args::Global;
use super::environment::{Environment, FileSettings};

const NAME: &str = "duramen.toml";

/// The configuration of the whole machine.
pub const OF_THE_MACHINE: &str = "/etc/duramen/duramen.toml";

/// A file that was read.
pub struct Configuration {
    /// Where it is, absolute.
    pub path: PathBuf,
    /// What it says.
    pub config: Config,
}

/// The user's own configuration.
///
/// # Errors
/// [`Kind::Usage`] where there is no home.
pub fn of_the_user(environment: &Environment) -> Result<PathBuf> {
    let folder = match (&environment.xdg_config, &environment.home) {
        (Some(folder), _) => folder.clone(),
        (None, Some(home)) => home.join(".config"),
        (None, None) => {
            return Err(Error::new(
                Kind::Usage,
                "no place for a configuration: HOME is not set and the system knows no home",
            )
            .hint("name a file, or set HOME"));
        }
    };
    Ok(folder.join("duramen").join(NAME))
}

/// The file that is meant: named, or the first that exists. Named ones need not exist.
///
/// # Errors
/// [`Kind::Permission`] for a file in the current folder that somebody else may have put there.
pub fn find(global: &Global, environment: &Environment) -> Result<Option<PathBuf>> {
    let absolute = |path: &Path| {
        std::path::absolute(path).map_err(|error| Error::io("find the whole path of", path, error))
    };
    if let Some(named) = global.config.as_ref().or(environment.config.as_ref()) {
        return absolute(named).map(Some);
    }
    let here = Path::new(NAME);
    if exists(here) {
        let here = absolute(here)?;
        let metadata = fs::metadata(&here).map_err(|error| Error::io("read", &here, error))?;
        ours(&here, metadata.uid(), metadata.mode())?;
        return Ok(Some(here));
    }
    if let Ok(own) = of_the_user(environment)
        && exists(&own)
    {
        return Ok(Some(own));
    }
    let machine = Path::new(OF_THE_MACHINE);
    // One that only root may read is not meant for others.
    let readable =
        !matches!(File::open(machine), Err(error) if error.kind() == ErrorKind::PermissionDenied);
    Ok((exists(machine) && readable).then(|| machine.to_path_buf()))
}

fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// A configuration runs commands. One that merely lies in the current folder, a shared one perhaps, must not run those
/// of somebody else.
fn ours(path: &Path, owner: u32, mode: u32) -> Result<()> {
    const OTHERS_MAY_WRITE: u32 = 0o002;
    let me = rustix::process::geteuid().as_raw();
    if (owner == me || owner == 0) && mode & OTHERS_MAY_WRITE == 0 {
        return Ok(());
    }
    Err(Error::new(
        Kind::Permission,
        "this configuration in the current folder belongs to somebody else, or others may write it, and it can run commands",
    )
    .subject(path.display().to_string())
    .hint("name it with --config if you trust it, or go to another folder"))
}

/// Reads a file's text.
///
/// # Errors
/// As the system says; [`Kind::Usage`] where it is too long or not UTF-8.
pub fn read(path: &Path) -> Result<String> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| {
            file.take(CONFIG_BYTES_MAX as u64 + 1)
                .read_to_end(&mut bytes)
        })
        .map_err(|error| {
            let error = Error::io("read the configuration", path, error);
            match error.kind() {
                Kind::NotFound => error.hint("duramen config init writes one to begin with"),
                _ => error,
            }
        })?;
    String::from_utf8(bytes).map_err(|_| {
        Error::new(Kind::Usage, "a configuration must be UTF-8").subject(path.display().to_string())
    })
}

/// What a text says that stands at `path`.
pub fn parse(
    path: &Path,
    text: &str,
    environment: &Environment,
) -> std::result::Result<Config, Vec<Finding>> {
    let base = Base {
        folder: path.parent().unwrap_or(Path::new("/")),
        home: environment.home.as_deref(),
    };
    Config::parse(text, base)
}

/// Finds and reads the configuration, and puts its settings behind those of flags and environment.
///
/// # Errors
/// As [`find`] and [`read`]; [`Kind::Usage`] naming line, column and cure of the first thing that makes no sense.
pub fn load(global: &Global, environment: &mut Environment) -> Result<Option<Configuration>> {
    let Some(path) = find(global, environment)? else {
        return Ok(None);
    };
    let text = read(&path)?;
    let config = parse(&path, &text, environment).map_err(|findings| as_error(&path, &findings))?;
    environment.file = FileSettings::of(&config);
    Ok(Some(Configuration { path, config }))
}

fn as_error(path: &Path, findings: &[Finding]) -> Error {
    let Some(first) = findings.first() else {
        return Error::new(Kind::Usage, "makes no sense").subject(path.display().to_string());
    };
    let more = match findings.len() - 1 {
        0 => String::new(),
        more => format!(" (and {more} more: duramen config check)"),
    };
    let error = Error::new(Kind::Usage, format!("{}{more}", first.what)).subject(format!(
        "{}:{}:{}",
        path.display(),
        first.line,
        first.column
    ));
    match &first.hint {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_first_that_exists_and_named_ones_before() {
        let home = tempfile::tempdir().unwrap();
        let mut environment = Environment {
            home: Some(home.path().into()),
            ..Environment::default()
        };
        let mut global = Global::default();
        let own = home.path().join(".config/duramen/duramen.toml");
        assert_eq!(of_the_user(&environment).unwrap(), own);
        fs::create_dir_all(own.parent().unwrap()).unwrap();
        fs::write(&own, "repository = \"/r\"").unwrap();
        assert_eq!(find(&global, &environment).unwrap(), Some(own));
        let loaded = load(&global, &mut environment).unwrap().unwrap();
        assert_eq!(loaded.config.repository.as_deref(), Some("/r"));
        assert_eq!(environment.file.repository, Some("/r".into()));
        environment.config = Some("/env.toml".into());
        assert_eq!(
            find(&global, &environment).unwrap(),
            Some("/env.toml".into())
        );
        global.config = Some("/flag.toml".into());
        assert_eq!(
            find(&global, &environment).unwrap(),
            Some("/flag.toml".into())
        );
        let error = load(&global, &mut environment).err().unwrap();
        assert_eq!(error.kind(), Kind::NotFound);
        assert!(error.hint_text().unwrap().contains("config init"));
    }

    #[test]
    fn what_others_may_have_put_there_is_not_run() {
        let me = rustix::process::geteuid().as_raw();
        let path = Path::new("/tmp/duramen.toml");
        assert!(ours(path, me, 0o100_644).is_ok());
        assert!(ours(path, 0, 0o100_664).is_ok());
        assert!(ours(path, me, 0o100_646).is_err());
        assert_eq!(
            ours(path, me + 7, 0o100_600).unwrap_err().kind(),
            Kind::Permission
        );
    }
}
