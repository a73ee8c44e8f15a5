//! One error type for the whole program.
//!
//! An error names the thing it is about (`subject`), says what went wrong (`message`), what lies beneath it
//! (`source`) and what to do next (`hint`). Its [`Kind`] decides the exit code; nothing else does.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::path::Path;

/// What sort of thing went wrong; stable, part of the `--json` interface and of the exit codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Anything that has no narrower kind.
    Failed,
    /// The command line or a setting makes no sense.
    Usage,
    /// There is no repository at that place.
    NoRepository,
    /// None of the given passphrases or keys opens a key slot.
    WrongKey,
    /// Stored bytes are not what was stored.
    Damage,
    /// Written by a newer version, or with a feature that this version does not have.
    Unsupported,
    /// It is there already.
    Exists,
    /// It is not there.
    NotFound,
    /// The operating system refuses access.
    Permission,
    /// No space left, or a quota is used up.
    NoSpace,
    /// The place cannot be written.
    ReadOnly,
    /// A length or a count is over its limit.
    Limit,
    /// Another process decided first (an expired session).
    Conflict,
    /// The user asked to stop.
    Interrupted,
}

impl Kind {
    /// The word for `code` in JSON errors.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Kind::Failed => "failed",
            Kind::Usage => "usage",
            Kind::NoRepository => "no_repository",
            Kind::WrongKey => "wrong_key",
            Kind::Damage => "damage",
            Kind::Unsupported => "unsupported",
            Kind::Exists => "exists",
            Kind::NotFound => "not_found",
            Kind::Permission => "permission",
            Kind::NoSpace => "no_space",
            Kind::ReadOnly => "read_only",
            Kind::Limit => "limit",
            Kind::Conflict => "conflict",
            Kind::Interrupted => "interrupted",
        }
    }

    /// The exit code of a command that ends with this error.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Kind::Usage => 2,
            Kind::Damage => 4,
            Kind::NoRepository => 10,
            Kind::WrongKey => 12,
            Kind::Interrupted => 130,
            _ => 1,
        }
    }
}

/// Result with this crate's error.
pub type Result<T> = std::result::Result<T, Error>;

/// An error with everything a person needs to act on it.
pub struct Error(Box<Inner>);

struct Inner {
    kind: Kind,
    message: String,
    subject: Option<String>,
    hint: Option<String>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// A new error; `message` is a sentence without a full stop, starting in lower case.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            message: message.into(),
            subject: None,
            hint: None,
            source: None,
        }))
    }

    /// Stored bytes are not what was stored.
    pub fn damage(message: impl Into<String>) -> Self {
        Self::new(Kind::Damage, message)
    }

    /// An operating system error while doing `action` ("read", "create") to `path`.
    pub fn io(action: &str, path: impl AsRef<Path>, error: impl Into<io::Error>) -> Self {
        Self::io_named(action, path.as_ref().display().to_string(), error)
    }

    /// As [`Error::io`], where the subject is not a path on this machine.
    pub fn io_named(action: &str, subject: impl Into<String>, error: impl Into<io::Error>) -> Self {
        let error = error.into();
        let kind = match error.kind() {
            // A file where a folder should be: what was looked for below it is not there.
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Kind::NotFound,
            io::ErrorKind::PermissionDenied => Kind::Permission,
            io::ErrorKind::AlreadyExists => Kind::Exists,
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Kind::NoSpace,
            io::ErrorKind::ReadOnlyFilesystem => Kind::ReadOnly,
            _ => Kind::Failed,
        };
        let hint = match kind {
            Kind::NoSpace => Some(
                "free some space there and run the command again; what was stored stays stored",
            ),
            Kind::ReadOnly => Some("mount it writable, or choose another place"),
            Kind::Permission => Some("run as a user who may, or change the permissions"),
            _ => None,
        };
        let made = Self::new(kind, format!("cannot {action}"))
            .subject(subject)
            .cause(error);
        match hint {
            Some(hint) => made.hint(hint),
            None => made,
        }
    }

    /// Names the thing that the error is about.
    #[must_use]
    pub fn subject(mut self, subject: impl Into<String>) -> Self {
        self.0.subject = Some(subject.into());
        self
    }

    /// Names the thing that the error is about where nothing deeper did.
    #[must_use]
    pub fn or_subject(self, subject: impl FnOnce() -> String) -> Self {
        if self.0.subject.is_some() {
            self
        } else {
            self.subject(subject())
        }
    }

    /// Says what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Keeps the error beneath.
    #[must_use]
    pub fn cause(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// What sort of thing went wrong.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// The sentence alone, without subject and cause.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The sentence with its cause, for where the subject stands already.
    #[must_use]
    pub fn detail(&self) -> String {
        match &self.0.source {
            Some(source) => format!("{}: {source}", self.0.message),
            None => self.0.message.clone(),
        }
    }

    /// The thing the error is about.
    #[must_use]
    pub fn subject_text(&self) -> Option<&str> {
        self.0.subject.as_deref()
    }

    /// What to do next.
    #[must_use]
    pub fn hint_text(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }
}

impl fmt::Display for Error {
    /// `subject: message: cause`, the hint left out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(subject) = &self.0.subject {
            write!(f, "{subject}: ")?;
        }
        f.write_str(&self.0.message)?;
        if let Some(source) = &self.0.source {
            write!(f, ": {source}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {self}", self.0.kind)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0
            .source
            .as_ref()
            .map(|source| &**source as &(dyn StdError + 'static))
    }
}
