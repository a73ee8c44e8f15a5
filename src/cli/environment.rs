//! What the program takes from the machine it runs on: environment variables, host, user and terminal.
//!
//! Read once, here and nowhere else, so that no other room can behave differently at night under cron than by day
//! in a shell. An empty variable counts as one that is not set.

use std::ffi::OsString;
use std::io::IsTerminal;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use duramen::config::Config;
use duramen::error::{Error, Kind, Result};
use zeroize::Zeroizing;

/// The settings of a configuration file that flags and environment variables exist for.
#[derive(Default)]
pub struct FileSettings {
    /// `repository`.
    pub repository: Option<OsString>,
    /// `password-file`.
    pub password_file: Option<PathBuf>,
    /// `password-command`.
    pub password_command: Option<OsString>,
    /// `key-file`.
    pub key_file: Option<PathBuf>,
    /// `cache-dir`.
    pub cache_dir: Option<PathBuf>,
    /// `threads`.
    pub threads: Option<usize>,
    /// `nice`.
    pub nice: Option<u8>,
    /// `limit-upload`, bytes a second.
    pub limit_upload: Option<u64>,
    /// `limit-download`, bytes a second.
    pub limit_download: Option<u64>,
}

impl FileSettings {
    /// Those of a configuration.
    pub fn of(config: &Config) -> Self {
        Self {
            repository: config.repository.clone().map(Into::into),
            password_file: config.password_file.clone(),
            password_command: config.password_command.clone().map(Into::into),
            key_file: config.key_file.clone(),
            cache_dir: config.cache_dir.clone(),
            threads: config.threads,
            nice: config.nice,
            limit_upload: config.rates.upload,
            limit_download: config.rates.download,
        }
    }
}

/// The environment as it was at start.
#[derive(Default)]
pub struct Environment {
    /// `DURAMEN_CONFIG`.
    pub config: Option<PathBuf>,
    /// What the configuration file says, where there is one: it comes after everything else here.
    pub file: FileSettings,
    /// `DURAMEN_REPOSITORY`.
    pub repository: Option<OsString>,
    /// `DURAMEN_PASSWORD`, taken as it is.
    pub password: Option<Zeroizing<Vec<u8>>>,
    /// `DURAMEN_NEW_PASSWORD`, for a key slot that is to be made.
    pub new_password: Option<Zeroizing<Vec<u8>>>,
    /// `DURAMEN_PASSWORD_FILE`.
    pub password_file: Option<PathBuf>,
    /// `DURAMEN_PASSWORD_COMMAND`.
    pub password_command: Option<OsString>,
    /// `DURAMEN_KEY_FILE`.
    pub key_file: Option<PathBuf>,
    /// `DURAMEN_MONGODB_PASSWORD`, for addresses that name a user and no password.
    pub mongodb_password: Option<Zeroizing<Vec<u8>>>,
    /// `DURAMEN_MONGODB_PASSWORD_FILE`.
    pub mongodb_password_file: Option<PathBuf>,
    /// `DURAMEN_CACHE_DIR`.
    pub cache_dir: Option<PathBuf>,
    /// `DURAMEN_THREADS`.
    pub threads: Option<OsString>,
    /// `XDG_DATA_HOME`, where absolute.
    pub xdg_data: Option<PathBuf>,
    /// `XDG_CACHE_HOME`, where absolute.
    pub xdg_cache: Option<PathBuf>,
    /// `XDG_STATE_HOME`, where absolute.
    pub xdg_state: Option<PathBuf>,
    /// `XDG_CONFIG_HOME`, where absolute.
    pub xdg_config: Option<PathBuf>,
    /// `HOME`, or what the system's table of users says.
    pub home: Option<PathBuf>,
    /// The user's name.
    pub user: String,
    /// The host's name.
    pub host: String,
    /// Standard output is a terminal.
    pub stdout_terminal: bool,
    /// Standard error is a terminal.
    pub stderr_terminal: bool,
    /// There is a person who can be asked something.
    pub can_ask: bool,
    /// `NO_COLOR` is set.
    pub no_color: bool,
}

fn var(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

fn absolute(name: &str) -> Option<PathBuf> {
    // The XDG rules say that relative paths are to be ignored.
    var(name)
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
}

impl Environment {
    /// Reads it.
    pub fn read() -> Self {
        let account = Account::of(rustix::process::geteuid().as_raw());
        let stderr_terminal = std::io::stderr().is_terminal();
        Self {
            config: var("DURAMEN_CONFIG").map(PathBuf::from),
            file: FileSettings::default(),
            repository: var("DURAMEN_REPOSITORY"),
            password: var("DURAMEN_PASSWORD").map(|value| Zeroizing::new(value.into_vec())),
            new_password: var("DURAMEN_NEW_PASSWORD").map(|value| Zeroizing::new(value.into_vec())),
            password_file: var("DURAMEN_PASSWORD_FILE").map(PathBuf::from),
            mongodb_password: var("DURAMEN_MONGODB_PASSWORD")
                .map(|value| Zeroizing::new(value.into_vec())),
            mongodb_password_file: var("DURAMEN_MONGODB_PASSWORD_FILE").map(PathBuf::from),
            password_command: var("DURAMEN_PASSWORD_COMMAND"),
            key_file: var("DURAMEN_KEY_FILE").map(PathBuf::from),
            cache_dir: var("DURAMEN_CACHE_DIR").map(PathBuf::from),
            threads: var("DURAMEN_THREADS"),
            xdg_data: absolute("XDG_DATA_HOME"),
            xdg_cache: absolute("XDG_CACHE_HOME"),
            xdg_state: absolute("XDG_STATE_HOME"),
            xdg_config: absolute("XDG_CONFIG_HOME"),
            // Services are often started without HOME.
            home: absolute("HOME").or(account.home),
            user: account
                .name
                .or_else(|| var("USER").or_else(|| var("LOGNAME")).map(lossy))
                .unwrap_or_else(|| rustix::process::geteuid().as_raw().to_string()),
            host: rustix::system::uname()
                .nodename()
                .to_string_lossy()
                .into_owned(),
            stdout_terminal: std::io::stdout().is_terminal(),
            stderr_terminal,
            can_ask: stderr_terminal || std::io::stdin().is_terminal(),
            no_color: var("NO_COLOR").is_some(),
        }
    }

    /// Threads that `DURAMEN_THREADS` allows, or else the configuration file.
    ///
    /// # Errors
    /// [`Kind::Usage`] where it is no number.
    pub fn threads(&self) -> Result<Option<usize>> {
        let Some(value) = &self.threads else {
            return Ok(self.file.threads);
        };
        let number = value.to_str().and_then(|text| text.trim().parse().ok());
        number.map(Some).ok_or_else(|| {
            Error::new(Kind::Usage, "not a number of threads")
                .subject("DURAMEN_THREADS")
                .hint("set it to a number, 0 for one thread a core, or unset it")
        })
    }
}

fn lossy(text: OsString) -> String {
    text.to_string_lossy().into_owned()
}

/// What `/etc/passwd` says of a user. Accounts that come from elsewhere have their environment to tell of them.
#[derive(Default, Debug, PartialEq, Eq)]
struct Account {
    name: Option<String>,
    home: Option<PathBuf>,
}

impl Account {
    fn of(uid: u32) -> Self {
        match std::fs::read("/etc/passwd") {
            Ok(table) => Self::find(&table, uid),
            Err(_) => Self::default(),
        }
    }

    fn find(table: &[u8], uid: u32) -> Self {
        let uid = uid.to_string();
        for line in table.split(|byte| *byte == b'\n') {
            let fields: Vec<&[u8]> = line.split(|byte| *byte == b':').collect();
            if fields.len() >= 6 && fields[2] == uid.as_bytes() {
                let home = PathBuf::from(OsString::from_vec(fields[5].to_vec()));
                return Self {
                    name: Some(String::from_utf8_lossy(fields[0]).into_owned()),
                    home: Some(home).filter(|home| home.is_absolute()),
                };
            }
        }
        Self::default()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn accounts_are_found_by_number() {
        let table =
            b"root:x:0:0:root:/root:/bin/sh\nbroken\nann:x:1000:1000::/home/ann:\nx:x:7:7::rel:\n";
        assert_eq!(
            Account::find(table, 1000),
            Account {
                name: Some("ann".into()),
                home: Some("/home/ann".into())
            }
        );
        assert_eq!(Account::find(table, 100), Account::default());
        assert_eq!(Account::find(table, 7).home, None);
    }

    #[test]
    fn threads_are_a_number() {
        let with = |value: &str| Environment {
            threads: Some(value.into()),
            ..Environment::default()
        };
        assert_eq!(with("3").threads().unwrap(), Some(3));
        assert_eq!(with("x").threads().unwrap_err().kind(), Kind::Usage);
        assert_eq!(Environment::default().threads().unwrap(), None);
    }
}
