//! `duramen init`, and what the first snapshot does in its stead.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use duramen::error::{Error, Kind, Result};
use duramen::ops::init::{self, InitSummary};
use duramen::ops::open::{self, Credential};
use serde::Serialize;

use crate::cli::context::Context;
use crate::cli::credentials::{self, Given, Origin};
use crate::cli::opening;
use crate::cli::places::{self, Place};
use crate::cli::progress::Reporter;
use crate::cli::{exit, text, time};

/// A repository that was just made.
pub struct Made {
    summary: InitSummary,
    /// The key file that opens it, and whether it was generated.
    key_file: Option<(PathBuf, bool)>,
    /// Nobody named a place.
    default: bool,
}

#[derive(Serialize)]
struct MadeObject {
    message_type: &'static str,
    id: String,
    repository: String,
    key_file: Option<String>,
    key_file_generated: bool,
    kdf_seconds: Option<f64>,
}

/// `duramen init`.
pub fn run(context: &Context) -> Result<ExitCode> {
    let place = Place::choose(&context.global, &context.environment)?;
    let reporter = context.reporter_beside_results("init");
    let made = make(context, &place, &reporter)?;
    reporter.finish();
    context.tell(&made.object(), || {
        let mut words = format!(
            "repository {} made at {}\n",
            made.summary.id.short(),
            text::safe(&made.summary.location)
        );
        if let Some(seconds) = made.summary.kdf_seconds {
            words.push_str(&format!("opening it takes {}\n", time::span(seconds)));
        }
        words
    })?;
    if !context.global.json {
        context.remark(&made.advice());
    }
    Ok(exit::DONE)
}

/// Makes the repository that `place` means.
///
/// # Errors
/// [`Kind::Exists`] where one is there, [`Kind::Usage`] where nothing says what shall open it.
pub fn make(context: &Context, place: &Place, reporter: &Reporter) -> Result<Made> {
    let mut options = opening::options(context, place)?;
    // A key file must not be generated, nor a person asked, for a repository that is there already.
    match open::open(&options, reporter) {
        Err(error) if error.kind() == Kind::NoRepository => {}
        Err(error) if error.kind() != Kind::WrongKey => return Err(error),
        Ok(_) | Err(_) => {
            return Err(Error::new(Kind::Exists, "there is a repository already")
                .subject(options.location)
                .hint("use it, or name another place"));
        }
    }
    let given = Given::collect(&context.global, &context.environment);
    let (credential, key_file) = match (given.single()?, place) {
        (Some(Origin::KeyFile(path)), _) => key_file(path)?,
        (Some(other), _) => (other.read()?, None),
        (
            None,
            Place::Default {
                repository, key, ..
            },
        ) => {
            if let Some(data) = repository.parent() {
                places::make_private_folder(data)?;
            }
            key_file(key)?
        }
        (None, Place::Named(location)) if context.environment.can_ask => {
            (reporter.aside(|| credentials::ask_new(location))?, None)
        }
        (None, Place::Named(location)) => return Err(credentials::missing(location)),
    };
    options.credentials = vec![credential];
    Ok(Made {
        summary: init::run(&options, reporter)?,
        key_file,
        default: matches!(place, Place::Default { .. }),
    })
}

/// A key file and where it is, generated where it does not exist yet.
pub type KeyFile = (Credential, Option<(PathBuf, bool)>);

/// Reads a key file, or generates it: on the disk before anything depends on it.
///
/// # Errors
/// As the system says.
pub fn key_file(path: &Path) -> Result<KeyFile> {
    let origin = Origin::KeyFile(path);
    match origin.read() {
        Ok(credential) => Ok((credential, Some((path.into(), false)))),
        Err(error) if error.kind() == Kind::NotFound => {
            let key = init::new_key_file()?;
            match places::write_secret(path, &key) {
                Ok(()) => Ok((Credential::KeyFile(key), Some((path.into(), true)))),
                // Another first use was quicker: its key is the one.
                Err(error) if error.kind() == Kind::Exists => {
                    Ok((origin.read()?, Some((path.into(), false))))
                }
                Err(error) => Err(error),
            }
        }
        Err(error) => Err(error),
    }
}

impl Made {
    fn object(&self) -> MadeObject {
        let key = self.key_file.as_ref();
        MadeObject {
            message_type: "init",
            id: self.summary.id.hex(),
            repository: self.summary.location.clone(),
            key_file: key.map(|(path, _)| path.display().to_string()),
            key_file_generated: key.is_some_and(|(_, generated)| *generated),
            kdf_seconds: self.summary.kdf_seconds,
        }
    }

    /// Tells whoever took a first snapshot where it goes to.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn tell_first_use(&self, context: &Context) -> Result<()> {
        if context.global.json {
            return context.tell(&self.object(), String::new);
        }
        context.remark(&format!(
            "No repository was named, so the default one has been made:\n  repository  {}\n",
            text::safe(&self.summary.location)
        ));
        context.remark(&self.advice());
        Ok(())
    }

    /// What somebody must know who wants to see the data again.
    fn advice(&self) -> String {
        let mut words = String::new();
        if let Some((path, generated)) = &self.key_file {
            let path = path.display().to_string();
            let state = if *generated { "  (just generated)" } else { "" };
            words.push_str(&format!("  key file    {}{state}\n", text::safe(&path)));
            if self.default {
                words.push_str(&format!(
                    "Both are on this disk and so are not yet a backup: what breaks the disk takes both.\n  \
                     For a repository in another place:\n    duramen -r /mnt/other/repository init --key-file {0}\n",
                    text::shell(&path)
                ));
            }
            words.push_str(&format!(
                "  Copy the key file to another place; without it nobody can read the repository, you included:\n    \
                 cp {} /mnt/other/\n",
                text::shell(&path)
            ));
            words.push_str(&format!(
                "  Or write a key down as 24 words on paper:\n    duramen {}key export\n",
                if self.default {
                    String::new()
                } else {
                    format!(
                        "-r {} --key-file {} ",
                        text::shell(&self.summary.location),
                        text::shell(&path)
                    )
                }
            ));
        } else {
            if self.default {
                words.push_str(
                    "It is on this disk and so is not yet a backup: what breaks the disk takes it too.\n  \
                     For a repository in another place: duramen -r /mnt/other/repository init\n",
                );
            }
            words.push_str(
                "  Without its passphrase nobody can read the repository, you included: keep it in another place too.\n",
            );
        }
        words
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::cli::json::tests::documented;
    use duramen::id::RepositoryId;

    fn made(key_file: Option<(PathBuf, bool)>) -> Made {
        Made {
            summary: InitSummary {
                id: RepositoryId([0xab; 32]),
                location: "/r".into(),
                kdf_seconds: None,
            },
            key_file,
            default: true,
        }
    }

    #[test]
    fn what_was_made_is_told() {
        let object = documented("init", &made(Some(("/a b/key".into(), true))).object());
        assert_eq!(object["key_file"], "/a b/key");
        assert_eq!(object["key_file_generated"], true);
        assert_eq!(object["id"], "ab".repeat(32));
        let advice = made(Some(("/a b/key".into(), true))).advice();
        assert!(advice.contains("not yet a backup"), "{advice}");
        assert!(
            advice.contains("duramen -r /mnt/other/repository init --key-file '/a b/key'"),
            "{advice}"
        );
        assert!(advice.contains("cp '/a b/key' /mnt/other/"), "{advice}");
        assert!(advice.contains("duramen key export\n"), "{advice}");
        assert!(made(None).advice().contains("passphrase"));
    }

    #[test]
    fn a_key_file_is_generated_only_where_there_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        std::fs::write(&path, "what is there").unwrap();
        let (credential, from) = key_file(&path).unwrap();
        assert!(matches!(credential, Credential::KeyFile(text) if *text == b"what is there"));
        assert_eq!(from, Some((path, false)));
    }
}
