//! One source: what a snapshot is taken of, and how.

use std::ffi::OsString;
use std::path::PathBuf;

use super::read::{At, Table};
use super::{Base, Hooks, Retention, When};
use crate::error::{Error, Kind};
use crate::format::snapshot::SnapshotKind;
use crate::ops::level::{self, Compression};
use crate::ops::snapshot::{Excludes, Reading, is_address};
use crate::size;

/// Kinds of work, which no source can be named after: `run` takes names of both.
pub const JOB_WORDS: [&str; 4] = ["snapshot", "forget", "prune", "check"];

/// Longest name of a source, in bytes.
const NAME_BYTES_MAX: usize = 64;

/// What is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// Files and folders, absolute.
    Paths(Vec<PathBuf>),
    /// What a command prints, as one file.
    Command {
        /// Program and arguments.
        argv: Vec<OsString>,
        /// Name of the file in the snapshot.
        filename: String,
    },
}

/// A MongoDB deployment of a source, alone or beside its paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mongo {
    /// `mongodb://` or `mongodb+srv://`; may lack the password of the user that it names.
    pub address: String,
    /// File that holds that password.
    pub password_file: Option<PathBuf>,
    /// Patterns of collections that are taken; all where empty.
    pub include: Vec<String>,
    /// Patterns of collections that are left out.
    pub exclude: Vec<String>,
    /// Users and roles too.
    pub users: bool,
    /// How it is read.
    pub reading: Reading,
}

/// One source.
#[derive(Debug, Clone)]
pub struct Source {
    /// Its name; snapshots carry it as the tag `source:NAME`.
    pub name: String,
    /// What is read.
    pub what: What,
    /// A deployment that is read.
    pub mongo: Option<Mongo>,
    /// What is left out.
    pub excludes: Excludes,
    /// Tags for its snapshots, besides the one with its name.
    pub tags: Vec<String>,
    /// Host to record instead of this machine's.
    pub host: Option<String>,
    /// What a snapshot is compared with.
    pub kind: SnapshotKind,
    /// How hard to compress.
    pub compression: Compression,
    /// Another inode number is no change.
    pub ignore_inode: bool,
    /// Another inode change time is no change.
    pub ignore_ctime: bool,
    /// Dumps are stored like any other file.
    pub no_dumps: bool,
    /// When, where not as `[schedule]` says; the inner none is never.
    pub schedule: Option<Option<When>>,
    /// How long, where not as `[retention]` says.
    pub retention: Option<Retention>,
    /// What is run besides; `on_failure` takes the place of the general one.
    pub hooks: Hooks,
}

impl Source {
    /// The tag that says which source a snapshot is of.
    #[must_use]
    pub fn tag(&self) -> String {
        format!("source:{}", self.name)
    }

    pub(super) fn read_all(sources: &Table<'_, '_>, base: Base<'_>) -> Vec<Self> {
        sources
            .named_tables()
            .into_iter()
            .filter_map(|(name, table)| Self::read(name, table, base))
            .collect()
    }

    fn read(name: At<String>, table: Table<'_, '_>, base: Base<'_>) -> Option<Self> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        let fits = !name.value.is_empty()
            && name.value.len() <= NAME_BYTES_MAX
            && name.value.chars().all(plain);
        if !fits || JOB_WORDS.contains(&name.value.as_str()) {
            table.find(
                name.span.clone(),
                format!("{:?} cannot be the name of a source", name.value),
                format!(
                    "use letters, digits, '.', '_' and '-', and none of {}",
                    JOB_WORDS.join(", ")
                ),
            );
        }
        let mongo = mongo(&table, &name, base);
        let what = what(&table, &name, base);
        let excludes = Excludes {
            patterns: values(table.texts("exclude")),
            patterns_any_case: values(table.texts("iexclude")),
            pattern_files: base.paths(&table, "exclude-file"),
            if_present: values(table.texts("exclude-if-present")),
            caches: table.flag("exclude-caches"),
            larger_than: table.parsed(table.number_or_text("exclude-larger-than"), size::parse),
            one_file_system: table.flag("one-file-system"),
            ignore_files: values(table.texts("ignore-file")),
        };
        let source = Self {
            name: name.value,
            excludes,
            tags: tags(&table),
            host: table.text("host").map(|host| host.value),
            kind: table
                .parsed(table.text("type"), kind)
                .unwrap_or(SnapshotKind::Incremental),
            compression: table
                .parsed(table.number_or_text("compression"), level::parse)
                .unwrap_or_default(),
            ignore_inode: table.flag("ignore-inode"),
            ignore_ctime: table.flag("ignore-ctime"),
            no_dumps: table.flag("no-dumps"),
            schedule: table.parsed(table.text("schedule"), When::parse),
            retention: table.table("retention").map(Retention::read),
            hooks: table.table("hooks").map(Hooks::read).unwrap_or_default(),
            what: what.unwrap_or(What::Paths(Vec::new())),
            mongo,
        };
        table.finish();
        Some(source)
    }
}

fn values(texts: Vec<At<String>>) -> Vec<String> {
    texts.into_iter().map(|text| text.value).collect()
}

fn tags(table: &Table<'_, '_>) -> Vec<String> {
    let mut tags = Vec::new();
    for tag in table.texts("tags") {
        if tag.value.contains(',') || tag.value.starts_with("source:") {
            table.find(
                tag.span,
                format!("{:?} cannot be a tag here", tag.value),
                "write several tags as an array; source: is how a run marks its own snapshots",
            );
        } else {
            tags.push(tag.value.trim().to_owned());
        }
    }
    tags
}

fn mongo(table: &Table<'_, '_>, name: &At<String>, base: Base<'_>) -> Option<Mongo> {
    let address = table.text("mongodb");
    let given = [
        "mongodb-password-file",
        "ns-include",
        "ns-exclude",
        "users",
        "no-oplog",
        "scrub-sample",
        "max-read-rate",
    ];
    let mongo = Mongo {
        address: address
            .as_ref()
            .map(|own| own.value.clone())
            .unwrap_or_default(),
        password_file: base.paths(table, "mongodb-password-file").pop(),
        include: values(table.texts("ns-include")),
        exclude: values(table.texts("ns-exclude")),
        users: table.flag("users"),
        reading: Reading {
            no_oplog: table.flag("no-oplog"),
            scrub_sample: table
                .number("scrub-sample", u32::MAX)
                .unwrap_or_default()
                .into(),
            max_rate: table
                .parsed(table.number_or_text("max-read-rate"), size::parse_rate)
                .flatten(),
        },
    };
    let Some(address) = address else {
        if let Some(key) = given.iter().find(|key| table.has(key)) {
            table.find(
                name.span.clone(),
                format!("source {:?} has {key} and no mongodb", name.value),
                "write mongodb = \"mongodb://localhost\"",
            );
        }
        return None;
    };
    if !is_address(&address.value) {
        table.find(
            address.span,
            "mongodb is not the address of a server",
            "write mongodb = \"mongodb://localhost\", with the user and without the password, if there is one",
        );
    }
    Some(mongo)
}

fn what(table: &Table<'_, '_>, name: &At<String>, base: Base<'_>) -> Option<What> {
    let before = table.found();
    let paths = base.paths(table, "paths");
    let argv = table.texts("command");
    let filename = table.text("filename");
    if table.found() > before {
        return None;
    }
    let complain = |what: &str, hint: &str| {
        table.find(
            name.span.clone(),
            format!("source {:?} {what}", name.value),
            hint,
        );
        None
    };
    match (table.has("paths"), table.has("command")) {
        (false, true) if table.has("mongodb") => {
            complain("has both mongodb and a command", "make two sources of it")
        }
        (false, false) if table.has("mongodb") => Some(What::Paths(Vec::new())),
        (true, true) => complain("has both paths and a command", "make two sources of it"),
        (false, false) => complain(
            "says nothing of what to read",
            "write paths = [\"/home\"], or command = [\"pg_dumpall\"] with filename = \"all.sql\"",
        ),
        (true, false) if table.has("filename") => complain(
            "has a filename, which goes with a command",
            "leave filename out",
        ),
        (true, false) if paths.is_empty() => complain("has no path", "write paths = [\"/home\"]"),
        (true, false) => Some(What::Paths(paths)),
        (false, true) if argv.is_empty() => {
            complain("has an empty command", "write command = [\"pg_dumpall\"]")
        }
        (false, true) => match filename {
            Some(filename) => Some(What::Command {
                argv: argv.into_iter().map(|text| text.value.into()).collect(),
                filename: filename.value,
            }),
            None => complain(
                "has a command but no name for what it prints",
                "write filename = \"all.sql\"",
            ),
        },
    }
}

fn kind(text: &str) -> crate::error::Result<SnapshotKind> {
    [
        SnapshotKind::Full,
        SnapshotKind::Incremental,
        SnapshotKind::Differential,
    ]
    .into_iter()
    .find(|kind| kind.word() == text)
    .ok_or_else(|| {
        Error::new(Kind::Usage, "not a type of snapshot")
            .hint("write incremental, differential or full")
    })
}
