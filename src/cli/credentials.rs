//! Passphrases and key files: from flags, from the environment, from the configuration file, or from the person at the
//! terminal.
//!
//! Secrets are held in memory that is wiped when it is let go, are never flags themselves (the process list shows
//! those to everybody), and never stand in a message.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use duramen::error::{Error, Kind, Result};
use duramen::ops::open::Credential;
use zeroize::Zeroizing;

use super::args::Global;
use super::environment::Environment;

/// No passphrase and no key file is longer; what is, is the wrong file.
const SECRET_BYTES_MAX: usize = 1 << 16;

/// Where a credential comes from, before anything has been read. Cannot be printed: one of them is a secret.
#[derive(PartialEq, Eq)]
pub enum Origin<'a> {
    /// The first line of a file.
    PasswordFile(&'a Path),
    /// What a shell command prints.
    PasswordCommand(&'a OsStr),
    /// `DURAMEN_PASSWORD`.
    Password(&'a Zeroizing<Vec<u8>>),
    /// A key file.
    KeyFile(&'a Path),
}

impl Origin<'_> {
    /// Reads it.
    ///
    /// # Errors
    /// [`Kind::Usage`] for an empty passphrase; otherwise whatever the system says, never with the secret in it.
    pub fn read(&self) -> Result<Credential> {
        match self {
            Origin::PasswordFile(path) => {
                let secret = read_secret(open(path)?, &path.display().to_string())?;
                passphrase(without_newline(secret), &path.display().to_string())
            }
            Origin::PasswordCommand(command) => {
                let secret = run(command)?;
                passphrase(without_newline(secret), "the password command")
            }
            Origin::Password(secret) => passphrase((*secret).clone(), "DURAMEN_PASSWORD"),
            Origin::KeyFile(path) => {
                let secret = read_secret(open(path)?, &path.display().to_string())?;
                Ok(Credential::KeyFile(secret))
            }
        }
    }
}

/// Everything that flags name, then everything that the environment names; what the configuration file names counts
/// where these say nothing.
pub struct Given<'a> {
    /// By flags.
    pub flags: Vec<Origin<'a>>,
    /// By the environment.
    pub environment: Vec<Origin<'a>>,
    /// By the configuration file, where flags and environment name nothing.
    pub file: Vec<Origin<'a>>,
}

impl<'a> Given<'a> {
    /// Collects it; nothing is read yet.
    pub fn collect(global: &'a Global, environment: &'a Environment) -> Self {
        let flags = origins(
            global.password_file.as_ref(),
            global.password_command.as_deref(),
            global.key_file.as_ref(),
        );
        let mut from_environment = origins(
            environment.password_file.as_ref(),
            environment.password_command.as_deref(),
            environment.key_file.as_ref(),
        );
        if let Some(password) = &environment.password {
            from_environment.insert(0, Origin::Password(password));
        }
        let file = if flags.is_empty() && from_environment.is_empty() {
            origins(
                environment.file.password_file.as_ref(),
                environment.file.password_command.as_deref(),
                environment.file.key_file.as_ref(),
            )
        } else {
            Vec::new()
        };
        Self {
            flags,
            environment: from_environment,
            file,
        }
    }

    /// All credentials, in the order in which they are to be tried.
    ///
    /// # Errors
    /// The first that cannot be read.
    pub fn read(&self) -> Result<Vec<Credential>> {
        self.flags
            .iter()
            .chain(&self.environment)
            .chain(&self.file)
            .map(Origin::read)
            .collect()
    }

    /// The key files among them, for messages.
    pub fn key_files(&self) -> Vec<String> {
        let all = self.flags.iter().chain(&self.environment).chain(&self.file);
        all.filter_map(|origin| match origin {
            Origin::KeyFile(path) => Some(path.display().to_string()),
            _ => None,
        })
        .collect()
    }

    /// The one that a new key slot is to be made for: flags go before the environment.
    ///
    /// # Errors
    /// [`Kind::Usage`] where several are named at the same rank.
    pub fn single(&self) -> Result<Option<&Origin<'a>>> {
        let ranks = [&self.flags, &self.environment];
        let rank = ranks
            .into_iter()
            .find(|rank| !rank.is_empty())
            .unwrap_or(&self.file);
        match rank.as_slice() {
            [] => Ok(None),
            [one] => Ok(Some(one)),
            _ => Err(several()),
        }
    }
}

/// What is said to somebody who names two things where one slot is made.
pub fn several() -> Error {
    Error::new(
        Kind::Usage,
        "several passphrases or key files for one key slot",
    )
    .hint("give one of them, and add the others with duramen key add")
}

/// The origins that a set of three flags names.
pub fn origins<'a>(
    password_file: Option<&'a PathBuf>,
    password_command: Option<&'a OsStr>,
    key_file: Option<&'a PathBuf>,
) -> Vec<Origin<'a>> {
    let mut all = Vec::new();
    all.extend(password_file.map(|path| Origin::PasswordFile(path)));
    all.extend(password_command.map(Origin::PasswordCommand));
    all.extend(key_file.map(|path| Origin::KeyFile(path)));
    all
}

fn open(path: &Path) -> Result<File> {
    File::open(path).map_err(|error| {
        let missing = error.kind() == std::io::ErrorKind::NotFound;
        let error = Error::io("read", path, error);
        if missing {
            error.hint("name the file that holds the passphrase or the key")
        } else {
            error
        }
    })
}

fn read_secret(from: impl Read, name: &str) -> Result<Zeroizing<Vec<u8>>> {
    // All room at once: a vector that grows leaves copies of the secret behind.
    let mut secret = Zeroizing::new(Vec::with_capacity(SECRET_BYTES_MAX + 1));
    from.take(SECRET_BYTES_MAX as u64 + 1)
        .read_to_end(&mut secret)
        .map_err(|error| Error::io_named("read", name, error))?;
    if secret.len() > SECRET_BYTES_MAX {
        return Err(Error::new(Kind::Usage, "too long for a passphrase or a key").subject(name));
    }
    Ok(secret)
}

/// Without the line end that an editor leaves behind it.
pub fn without_newline(mut secret: Zeroizing<Vec<u8>>) -> Zeroizing<Vec<u8>> {
    if secret.last() == Some(&b'\n') {
        secret.pop();
        if secret.last() == Some(&b'\r') {
            secret.pop();
        }
    }
    secret
}

fn passphrase(secret: Zeroizing<Vec<u8>>, name: &str) -> Result<Credential> {
    if secret.is_empty() {
        return Err(Error::new(Kind::Usage, "an empty passphrase")
            .subject(name)
            .hint("a passphrase has at least one character"));
    }
    Ok(Credential::Passphrase(secret))
}

fn run(command: &OsStr) -> Result<Zeroizing<Vec<u8>>> {
    const NAME: &str = "the password command";
    let mut child = Command::new("/bin/sh")
        .arg("-c")
        .arg(command)
        .env_remove("DURAMEN_PASSWORD")
        .env_remove("DURAMEN_NEW_PASSWORD")
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| Error::io_named("start", NAME, error))?;
    let secret = match child.stdout.take() {
        Some(stdout) => read_secret(stdout, NAME),
        None => Ok(Zeroizing::default()),
    };
    let status = child
        .wait()
        .map_err(|error| Error::io_named("wait for", NAME, error))?;
    let secret = secret?;
    if !status.success() {
        return Err(Error::new(Kind::Failed, format!("failed ({status})"))
            .subject(NAME)
            .hint("run it by hand: it must print the passphrase and exit with 0"));
    }
    Ok(secret)
}

/// The whole of a small secret file.
///
/// # Errors
/// As the system says; [`Kind::Usage`] where it is too long.
pub fn read_file(path: &Path) -> Result<Zeroizing<Vec<u8>>> {
    read_secret(open(path)?, &path.display().to_string())
}

/// Asks for `count` recovery words, one after the other or several at once; one that `known` does not know is asked
/// for again at once.
///
/// # Errors
/// [`Kind::WrongKey`] where a word is mistyped again and again; otherwise as [`ask`].
pub fn ask_words(
    count: usize,
    known: fn(&str) -> Option<&'static str>,
) -> Result<Zeroizing<Vec<u8>>> {
    const TRIES: usize = 10;
    let mut words = Zeroizing::new(Vec::with_capacity(SECRET_BYTES_MAX));
    let (mut have, mut failed, mut again) = (0, 0, "");
    while have < count {
        let line = prompt(&format!(
            "{again}word {} of {count} (not shown): ",
            have + 1
        ))?;
        again = "";
        let line = std::str::from_utf8(&line).unwrap_or_default();
        for typed in line.split_ascii_whitespace() {
            let Some(word) = known(typed) else {
                failed += 1;
                if failed == TRIES {
                    return Err(Error::new(
                        Kind::WrongKey,
                        format!("word {} is not in the list of words that can be", have + 1),
                    )
                    .subject("the recovery words")
                    .hint(
                        "compare it with the paper; the first four letters of each word are enough",
                    ));
                }
                again = "that is no word of the list; ";
                break;
            };
            words.extend_from_slice(word.as_bytes());
            words.push(b' ');
            have += 1;
        }
    }
    Ok(words)
}

/// Asks for the passphrase of a repository.
///
/// # Errors
/// Where nobody can be asked, or the person gives up.
pub fn ask(location: &str) -> Result<Credential> {
    passphrase(
        prompt(&format!("passphrase for {location}: "))?,
        "passphrase",
    )
}

/// Asks for a new passphrase, twice.
///
/// # Errors
/// [`Kind::Usage`] where it is empty, or the two differ; otherwise as [`ask`].
pub fn ask_new(what: &str) -> Result<Credential> {
    let first = prompt(&format!("new passphrase for {what}: "))?;
    let credential = passphrase(first.clone(), "passphrase")?;
    if prompt("the same again: ")? != first {
        return Err(Error::new(Kind::Usage, "the two passphrases differ")
            .hint("run the command again and type the same twice"));
    }
    Ok(credential)
}

fn prompt(text: &str) -> Result<Zeroizing<Vec<u8>>> {
    let typed = rpassword::prompt_password(super::text::safe(text)).map_err(|error| {
        if error.kind() == std::io::ErrorKind::Interrupted {
            Error::new(Kind::Interrupted, "interrupted")
        } else {
            Error::io_named("read a passphrase from", "the terminal", error).hint(MISSING_HINT)
        }
    })?;
    Ok(Zeroizing::new(typed.into_bytes()))
}

/// How to hand in a passphrase or a key where nobody can be asked.
pub const MISSING_HINT: &str = "name a passphrase with --password-file or --password-command, or a key with \
     --key-file (DURAMEN_PASSWORD, DURAMEN_PASSWORD_FILE, DURAMEN_PASSWORD_COMMAND and DURAMEN_KEY_FILE do the same)";

/// What is said where nothing was given and nobody can be asked.
pub fn missing(location: &str) -> Error {
    Error::new(Kind::Usage, "no passphrase and no key file was given")
        .subject(location)
        .hint(MISSING_HINT)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    fn text(credential: Credential) -> Vec<u8> {
        match credential {
            Credential::Passphrase(secret) | Credential::KeyFile(secret) => secret.to_vec(),
        }
    }

    #[test]
    fn one_trailing_newline_is_no_part_of_a_passphrase() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p");
        for (content, meant) in [
            ("secret", "secret"),
            ("secret\n", "secret"),
            ("secret\r\n", "secret"),
            ("secret\n\n", "secret\n"),
            (" se cret \n", " se cret "),
        ] {
            std::fs::write(&path, content).unwrap();
            let read = Origin::PasswordFile(&path).read().unwrap();
            assert_eq!(text(read), meant.as_bytes(), "{content:?}");
        }
        for empty in ["", "\n"] {
            std::fs::write(&path, empty).unwrap();
            let error = Origin::PasswordFile(&path).read().err().unwrap();
            assert_eq!(error.kind(), Kind::Usage, "{empty:?}");
        }
    }

    #[test]
    fn commands_print_passphrases_or_fail() {
        let read = |command: &str| Origin::PasswordCommand(OsStr::new(command)).read();
        assert_eq!(text(read("echo 'open sesame'").unwrap()), b"open sesame");
        let error = read("echo secret; exit 3").err().unwrap();
        assert!(!error.to_string().contains("secret"), "{error}");
        assert_eq!(error.kind(), Kind::Failed);
        assert_eq!(read("true").err().unwrap().kind(), Kind::Usage);
        assert_eq!(
            read("head -c 70000 /dev/zero").err().unwrap().kind(),
            Kind::Usage
        );
    }

    #[test]
    fn flags_go_first_and_one_slot_takes_one() {
        let mut global = Global::default();
        let environment = Environment {
            password: Some(Zeroizing::new(b"from env".to_vec())),
            ..Environment::default()
        };
        let given = Given::collect(&global, &environment);
        assert!(matches!(given.single().unwrap(), Some(Origin::Password(_))));
        drop(given);
        global.key_file = Some("/k".into());
        let given = Given::collect(&global, &environment);
        assert!(given.single().unwrap() == Some(&Origin::KeyFile(Path::new("/k"))));
        drop(given);
        global.password_file = Some("/p".into());
        let given = Given::collect(&global, &environment);
        assert_eq!(given.single().err().unwrap().kind(), Kind::Usage);
        assert_eq!(given.flags.len() + given.environment.len(), 3);
    }

    #[test]
    fn the_file_speaks_where_nobody_else_does() {
        let mut environment = Environment::default();
        environment.file.key_file = Some("/file".into());
        let mut global = Global::default();
        let given = Given::collect(&global, &environment);
        assert!(given.single().unwrap() == Some(&Origin::KeyFile(Path::new("/file"))));
        assert_eq!(given.key_files(), ["/file"]);
        drop(given);
        global.key_file = Some("/flag".into());
        assert_eq!(Given::collect(&global, &environment).key_files(), ["/flag"]);
    }
}
