//! What a configuration file says: where the repository is, what opens it, what is taken from where, how long it is
//! kept, and when all that happens.
//!
//! A file is read at night, when nobody sees a warning. So nothing in it is passed over: a key that nobody knows, a
//! number out of range or a schedule that never comes is an error with its line, and no command starts on half a
//! configuration. This room turns a text into types and does nothing else; it reads no file, no environment and no
//! home, all of which are handed in.

mod hook;
mod read;
mod retention;
mod source;
mod when;

use std::path::{Path, PathBuf};

use toml::de::DeTable;

pub use hook::{Hook, Hooks};
pub use read::{Finding, nearest};
pub use retention::Retention;
pub use source::{Mongo, Source, What};
pub use when::When;

use crate::error::{Error, Kind, Result};
use crate::ops::check::ReadData;
use crate::ops::open::Rates;
use crate::size;
use read::{Reader, Table};

/// No configuration is longer, in bytes.
pub const CONFIG_BYTES_MAX: usize = 1 << 20;

/// A configuration to begin with, every key explained.
pub const EXAMPLE: &str = include_str!("example.toml");

/// Longest random delay before a scheduled run, in minutes.
const JITTER_MINUTES_MAX: u32 = 12 * 60;

/// More threads are never used.
const THREADS_MAX: u32 = 256;
/// Nobody can step back further.
const NICE_MAX: u32 = 19;

/// All that a file says. Paths are absolute.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// Where the repository is; the default one where it says nothing.
    pub repository: Option<String>,
    /// A key file that opens it.
    pub key_file: Option<PathBuf>,
    /// A file that holds the passphrase.
    pub password_file: Option<PathBuf>,
    /// A shell command that prints the passphrase.
    pub password_command: Option<String>,
    /// Folder below which the index cache lives.
    pub cache_dir: Option<PathBuf>,
    /// Worker threads, 0 for one a core.
    pub threads: Option<usize>,
    /// How far other programs go before, 0 to 19.
    pub nice: Option<u8>,
    /// Bytes a second to and from the repository.
    pub rates: Rates,
    /// The file that runs are logged to.
    pub log: Option<PathBuf>,
    /// What snapshots are taken of, in the order of the file.
    pub sources: Vec<Source>,
    /// How long they are kept.
    pub retention: Retention,
    /// When things are done.
    pub schedule: Schedule,
    /// What else is run.
    pub hooks: Hooks,
}

/// When each kind of work is due; none for never.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    /// Snapshots of all sources that say nothing else.
    pub snapshot: Option<When>,
    /// Forgetting what retention does not keep.
    pub forget: Option<When>,
    /// Freeing the space of what was forgotten.
    pub prune: Option<When>,
    /// Checking the repository.
    pub check: Option<When>,
    /// What the check reads besides the structure.
    pub check_read: ReadData,
    /// Longest random delay before a scheduled run, in seconds.
    pub jitter: u32,
}

impl Default for Schedule {
    fn default() -> Self {
        let at = |words: &str| When::parse(words).ok().flatten();
        Self {
            snapshot: at("daily at 03:30"),
            forget: at("daily at 03:30"),
            prune: at("weekly on sunday at 03:30"),
            check: at("monthly on 1 at 03:30"),
            check_read: ReadData::None,
            jitter: 0,
        }
    }
}

/// What relative paths in a file begin at.
#[derive(Debug, Clone, Copy)]
pub struct Base<'p> {
    /// The folder that the file lies in, absolute.
    pub folder: &'p Path,
    /// What `~/` stands for.
    pub home: Option<&'p Path>,
}

impl Base<'_> {
    /// The absolute path that a text means.
    pub(crate) fn path(&self, text: &str) -> Result<PathBuf> {
        let rest = match text {
            "~" => Some(""),
            _ => text.strip_prefix("~/"),
        };
        match (rest, self.home) {
            (Some(rest), Some(home)) => Ok(home.join(rest)),
            (Some(_), None) => Err(
                Error::new(Kind::Usage, "there is no home for ~ to stand for")
                    .hint("write the whole path"),
            ),
            (None, _) if text.starts_with('~') => Err(Error::new(
                Kind::Usage,
                "only ~/ is understood, not the homes of other users",
            )
            .hint("write the whole path")),
            (None, _) => Ok(self.folder.join(text)),
        }
    }

    fn paths(&self, table: &Table<'_, '_>, key: &'static str) -> Vec<PathBuf> {
        table
            .texts(key)
            .into_iter()
            .filter_map(|text| table.parsed(Some(text), |text| self.path(text)))
            .collect()
    }
}

impl Config {
    /// Reads a file's text.
    ///
    /// # Errors
    /// Everything that makes no sense, in the order of the text.
    pub fn parse(text: &str, base: Base<'_>) -> std::result::Result<Self, Vec<Finding>> {
        let reader = Reader::new(text);
        if text.len() > CONFIG_BYTES_MAX {
            reader.find(0..0, "too long for a configuration", None);
            return Err(reader.findings());
        }
        let document = match DeTable::parse(text) {
            Ok(document) => document,
            Err(error) => {
                let what = format!("not TOML: {}", error.message().replace('\n', ", "));
                reader.find(error.span().unwrap_or(0..0), what, None);
                return Err(reader.findings());
            }
        };
        let config = Self::of(Table::top(&reader, document.get_ref()), base);
        let findings = reader.findings();
        if findings.is_empty() {
            Ok(config)
        } else {
            Err(findings)
        }
    }

    fn of(top: Table<'_, '_>, base: Base<'_>) -> Self {
        let path = |key| top.parsed(top.text(key), |text| base.path(text));
        let repository = top.parsed(top.text("repository"), |text| {
            if text.contains("://") {
                return Ok(text.to_owned());
            }
            let path = base.path(text)?;
            path.into_os_string()
                .into_string()
                .map_err(|_| Error::new(Kind::Usage, "the place of a repository must be UTF-8"))
        });
        let rate = |key| {
            top.parsed(top.number_or_text(key), size::parse_rate)
                .flatten()
        };
        let hooks = top.table("hooks").map(Hooks::read);
        let retention = top.table("retention").map(Retention::read);
        let config = Self {
            repository,
            key_file: path("key-file"),
            password_file: path("password-file"),
            password_command: top.text("password-command").map(|text| text.value),
            cache_dir: path("cache-dir"),
            threads: top.number("threads", THREADS_MAX).map(|n| n as usize),
            nice: top.number("nice", NICE_MAX).map(|n| n as u8),
            rates: Rates {
                upload: rate("limit-upload"),
                download: rate("limit-download"),
            },
            log: path("log"),
            schedule: top
                .table("schedule")
                .map(Schedule::read)
                .unwrap_or_default(),
            retention: retention.unwrap_or_default(),
            hooks: hooks.unwrap_or_default(),
            sources: top
                .table("sources")
                .map(|table| Source::read_all(&table, base))
                .unwrap_or_default(),
        };
        top.finish();
        config
    }
}

impl Schedule {
    fn read(table: Table<'_, '_>) -> Self {
        let default = Self::default();
        let when = |key, default: Option<When>| {
            table
                .parsed(table.text(key), When::parse)
                .unwrap_or(default)
        };
        let read = Self {
            snapshot: when("snapshot", default.snapshot),
            forget: when("forget", default.forget),
            prune: when("prune", default.prune),
            check: when("check", default.check),
            check_read: check_read(&table),
            jitter: table
                .parsed(table.text("jitter"), jitter)
                .unwrap_or(default.jitter),
        };
        table.finish();
        read
    }
}

fn check_read(table: &Table<'_, '_>) -> ReadData {
    let all = table.flag("check-read-data");
    let subset = table.text("check-read-data-subset");
    match (all, subset) {
        (true, Some(subset)) => {
            table.find(
                subset.span,
                "all data is read already",
                "take out check-read-data or check-read-data-subset",
            );
            ReadData::All
        }
        (true, None) => ReadData::All,
        (false, subset) => table
            .parsed(subset, ReadData::subset)
            .unwrap_or(ReadData::None),
    }
}

/// `30s`, `10m` or `1h` in seconds.
fn jitter(text: &str) -> Result<u32> {
    let (number, unit) = text.split_at(text.len() - usize::from(text.ends_with(['s', 'm', 'h'])));
    let factor = match unit {
        "s" => Some(1),
        "m" => Some(60),
        "h" => Some(3600),
        _ => None,
    };
    let seconds = number
        .parse::<u32>()
        .ok()
        .zip(factor)
        .and_then(|(number, factor)| number.checked_mul(factor));
    seconds
        .filter(|seconds| *seconds <= JITTER_MINUTES_MAX * 60)
        .ok_or_else(|| {
            Error::new(Kind::Usage, "not a delay of at most 12 hours")
                .hint("write it like 30s, 10m or 1h")
        })
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
