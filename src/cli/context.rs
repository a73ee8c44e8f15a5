//! What every command has in hand: flags, environment, the wish to stop, and the ways to speak.

use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use duramen::error::{Error, Kind, Result};
use duramen::format::snapshot::Snapshot;
use duramen::ops::select::{self, Filter};
use duramen::ops::snapshot;
use duramen::repository::Repository;

use super::args::{FilterArgs, Global};
use super::configuration::Configuration;
use super::environment::Environment;
use super::output;
use super::progress::{Manner, Reporter, Style};
use super::{json, text};

/// Flags, environment and signals of this run.
pub struct Context {
    /// Flags of every command.
    pub global: Global,
    /// The environment as it was at start.
    pub environment: Environment,
    /// The configuration file, where there is one and the command has use for it.
    pub configuration: Option<Configuration>,
    /// Turns true at the first Ctrl-C.
    pub stop: Arc<AtomicBool>,
    /// The mask for new files that the caller had.
    pub caller_umask: rustix::fs::Mode,
}

impl Context {
    /// Starts to report on a command whose standard output may carry status lines.
    pub fn reporter(&self, during: &'static str) -> Reporter {
        let style = if self.global.json && !self.global.quiet {
            Style::Lines
        } else {
            self.bar_or_silent()
        };
        self.start(during, style)
    }

    /// Starts to report on a command whose standard output belongs to its results alone.
    pub fn reporter_beside_results(&self, during: &'static str) -> Reporter {
        self.start(during, self.bar_or_silent())
    }

    fn bar_or_silent(&self) -> Style {
        let global = &self.global;
        if self.environment.stderr_terminal && !(global.quiet || global.no_progress || global.json)
        {
            Style::Bar
        } else {
            Style::Silent
        }
    }

    fn start(&self, during: &'static str, style: Style) -> Reporter {
        let manner = Manner {
            json: self.global.json,
            quiet: self.global.quiet,
            verbose: self.global.verbose,
            colour: self.colour_on_stderr(),
        };
        Reporter::start(during, style, manner, Arc::clone(&self.stop))
    }

    /// Whether standard error shows colours.
    pub fn colour_on_stderr(&self) -> bool {
        self.environment.stderr_terminal && !self.environment.no_color
    }

    /// Whether standard output shows colours.
    pub fn colour_on_stdout(&self) -> bool {
        self.environment.stdout_terminal && !self.environment.no_color
    }

    /// Tells what was done: `object` to scripts, `words` to people unless they want quiet.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn tell<T: serde::Serialize>(
        &self,
        object: &T,
        words: impl FnOnce() -> String,
    ) -> Result<()> {
        if self.global.json {
            output::about_work(&output::json_line(object)?)
        } else if self.global.quiet {
            Ok(())
        } else {
            output::about_work(&words())
        }
    }

    /// A remark on standard error, where it can disturb no result.
    pub fn remark(&self, words: &str) {
        if self.global.quiet {
            return;
        }
        let line = if self.global.json {
            let note = json::NoteLine {
                message_type: "note",
                message: words.trim_end(),
            };
            output::json_line(&note).unwrap_or_default()
        } else {
            words.to_string()
        };
        // Nowhere is left to tell that standard error is gone.
        let _ = std::io::stderr().lock().write_all(line.as_bytes());
    }

    /// The one snapshot that a name means.
    ///
    /// # Errors
    /// [`Kind::NotFound`] and the like, as `ops` says.
    pub fn snapshot(
        &self,
        repository: &Repository,
        name: &str,
        filter: &FilterArgs,
    ) -> Result<Snapshot> {
        select::one(repository, name, &filter_of(filter)?)
    }
}

/// As the engine wants it: paths absolute, addresses without what is secret in them.
///
/// # Errors
/// Where the current folder cannot be told.
pub fn filter_of(filter: &FilterArgs) -> Result<Filter> {
    Ok(Filter {
        hosts: filter.hosts.clone(),
        tags: filter.tags.clone(),
        paths: filter
            .paths
            .iter()
            .map(
                |path| match path.to_str().filter(|path| snapshot::is_address(path)) {
                    Some(address) => Ok(snapshot::without_secrets(address).into_bytes()),
                    None => absolute_bytes(path),
                },
            )
            .collect::<Result<_>>()?,
    })
}

/// The whole raw path, without slashes at its end.
///
/// # Errors
/// Where the current folder cannot be told.
pub fn absolute_bytes(path: &Path) -> Result<Vec<u8>> {
    use std::os::unix::ffi::OsStrExt;
    let whole = std::path::absolute(path)
        .map_err(|error| Error::io("find the whole path of", path, error))?;
    let mut bytes = whole.as_os_str().as_bytes().to_vec();
    while bytes.len() > 1 && bytes.ends_with(b"/") {
        bytes.pop();
    }
    Ok(bytes)
}

/// Words for people where an error ends the command, or JSON for scripts, on standard error.
pub fn report(error: &Error, json_wanted: bool, colour: bool) {
    let message = if json_wanted {
        output::json_line(&json::ErrorLine::last(error)).unwrap_or_default()
    } else {
        let name = if colour {
            "\x1b[1;31mduramen:\x1b[0m"
        } else {
            "duramen:"
        };
        let mut message = format!("{name} {}\n", text::safe(&error.to_string()));
        if let Some(hint) = error.hint_text() {
            message.push_str(&format!("  hint: {}\n", text::safe(hint)));
        }
        message
    };
    // Nowhere is left to tell that standard error is gone.
    let _ = std::io::stderr().lock().write_all(message.as_bytes());
}

/// An error about the command line.
pub fn usage(message: impl Into<String>) -> Error {
    Error::new(Kind::Usage, message)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn paths_of_filters_are_absolute_and_raw() {
        use std::os::unix::ffi::OsStrExt;
        let raw = Path::new(std::ffi::OsStr::from_bytes(b"/a/\xff/"));
        assert_eq!(absolute_bytes(raw).unwrap(), b"/a/\xff");
        assert_eq!(absolute_bytes(Path::new("/")).unwrap(), b"/");
        let here = absolute_bytes(Path::new("x")).unwrap();
        assert!(here.starts_with(b"/") && here.ends_with(b"/x"));
    }
}
