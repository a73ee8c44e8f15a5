//! What older scripts left behind: JSON files with conversations, quotes or whatever else, each of which becomes a snapshot
//! of the time that it states.
//!
//! A file is taken as it is, byte for byte; its records are seen with `--dump` by whatever looks into snapshots. So nothing
//! depends on whether its shape was understood.

use std::fs;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::select::{self, Filter};
use super::snapshot::{self, Excludes, Input, Reading, Selection, SnapshotOptions};
use super::undump::NESTED_MAX;
use crate::clock::Nanos;
use crate::error::{Error, Kind, Result};
use crate::format::entry::Node;
use crate::format::snapshot::{Snapshot, SnapshotKind};
use crate::id::SnapshotId;
use crate::progress::Progress;
use crate::repository::Repository;
use crate::seal::Compression;
use crate::source::dump::nested;
pub use crate::source::dump::stated::Basis;
use crate::source::dump::stated::stated;

/// Files that were left and are named.
const LEFT_MAX: usize = 1000;
/// The tag of imported snapshots.
pub const TAG: &str = "import";
/// Folders below one that was named.
const DEPTH_MAX: usize = 64;
/// Folders in which nobody keeps what is looked for.
const PASSED_OVER: [&str; 6] = [
    ".git",
    "node_modules",
    "__pycache__",
    ".venv",
    "venv",
    "site-packages",
];
/// Words in the names of files that are looked into whatever their records look like.
const NAMES: [&str; 12] = [
    "backup",
    "chat",
    "conversa",
    "cotiza",
    "export",
    "kb_",
    "mensaje",
    "message",
    "quote",
    "recovery_report",
    "respaldo",
    "session",
];
/// Fields by which records are known to be some.
const TIMES: [&str; 6] = [
    "timestamp",
    "created_at",
    "createdAt",
    "updated_at",
    "updatedAt",
    "fecha",
];

/// What to import, and how.
#[derive(Debug, Clone)]
pub struct ImportOptions {
    /// Files, and folders in which such files are looked for.
    pub paths: Vec<PathBuf>,
    /// Host name to record.
    pub host: String,
    /// User name to record.
    pub user: String,
    /// Tags for the snapshots besides [`TAG`].
    pub tags: Vec<String>,
    /// How hard to compress.
    pub compression: Compression,
    /// Find, read and tell, and store nothing.
    pub dry_run: bool,
}

/// What became of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Became {
    /// This snapshot.
    Snapshot(SnapshotId),
    /// Nothing new: it is this snapshot already.
    Already(SnapshotId),
    /// Nothing, it was a dry run.
    Nothing,
}

/// A file that holds records.
#[derive(Debug, Clone)]
pub struct Imported {
    /// Where it lies, with no link on the way.
    pub path: PathBuf,
    /// Its bytes.
    pub size: u64,
    /// The time that it states.
    pub time: Nanos,
    /// Where it states it.
    pub basis: Basis,
    /// Its collections, and how many records each holds; none where it could not be understood.
    pub records: Vec<(String, u64)>,
    /// When it was last changed.
    changed: Nanos,
    /// What became of it.
    pub became: Became,
}

/// What was done.
#[derive(Debug, Default)]
pub struct ImportSummary {
    /// Files with records, oldest first.
    pub files: Vec<Imported>,
    /// JSON files that were looked into and left, for they hold no records; the first of them by name.
    pub left: Vec<PathBuf>,
    /// All of them.
    pub left_count: u64,
    /// What could not be read or stored.
    pub problems: Vec<Error>,
}

/// Imports them.
///
/// # Errors
/// Where a path that was named is not there, and whatever the repository says. A file that cannot be read is a problem of its
/// own in the summary.
pub fn run(
    repository: &Repository,
    options: &ImportOptions,
    progress: &dyn Progress,
) -> Result<ImportSummary> {
    progress.phase("look for files");
    let mut search = Search {
        progress,
        now: repository.environment().clock.now(),
        summary: ImportSummary::default(),
    };
    for path in &options.paths {
        let found = fs::metadata(path).map_err(|error| Error::io("read", path, error))?;
        match found.is_dir() {
            true => search.folder(path, DEPTH_MAX)?,
            false => search.file(path, true)?,
        }
    }
    let mut files = std::mem::take(&mut search.summary.files);
    files.sort_by(|left, right| (left.time, &left.path).cmp(&(right.time, &right.path)));
    files.dedup_by(|left, right| left.path == right.path);
    let (known, _) = select::list_readable(repository, &Filter::default())?;
    for mut file in files {
        progress.go_on()?;
        if let Some(id) = already(repository, &known, &file, &options.host) {
            file.became = Became::Already(id);
        } else if !options.dry_run {
            match take(repository, options, &file, progress) {
                Ok((id, problem)) => {
                    file.became = Became::Snapshot(id);
                    search.summary.problems.extend(problem);
                }
                Err(error) if error.kind() == Kind::Interrupted => return Err(error),
                Err(error) => search.problem(error.or_subject(|| shown(&file.path))),
            }
            if matches!(file.became, Became::Snapshot(_)) && !is_as_it_was(&file) {
                search.problem(
                    Error::new(Kind::Failed, "it changed while it was imported")
                        .subject(shown(&file.path))
                        .hint("import it again"),
                );
            }
        }
        search.summary.files.push(file);
    }
    Ok(search.summary)
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// Whether a file is still the one that was looked into.
fn is_as_it_was(file: &Imported) -> bool {
    let meta = fs::metadata(&file.path);
    meta.is_ok_and(|meta| (meta.len(), modified(&meta)) == (file.size, file.changed))
}

/// The snapshot that this file became before.
fn already(
    repository: &Repository,
    known: &[Snapshot],
    file: &Imported,
    host: &str,
) -> Option<SnapshotId> {
    let path = file.path.as_os_str().as_bytes();
    let own = known.iter().filter(|own| {
        let imported = own.tags.iter().any(|tag| tag == TAG);
        imported && own.host == host && own.paths.iter().any(|own| own.0 == path)
    });
    let mut own = own.filter(|own| {
        let listed = repository.find(own, path);
        listed.is_ok_and(|listed| match listed.entry.node {
            Node::File { size, .. } => size == file.size && listed.entry.mtime == file.changed,
            _ => false,
        })
    });
    own.next().map(|own| own.id)
}

/// The snapshot that it became, and what was not well with it, which was told.
fn take(
    repository: &Repository,
    options: &ImportOptions,
    file: &Imported,
    progress: &dyn Progress,
) -> Result<(SnapshotId, Option<Error>)> {
    let mut tags = options.tags.clone();
    tags.push(TAG.to_owned());
    let options = SnapshotOptions {
        input: Input::Paths(vec![file.path.clone()]),
        databases: Vec::new(),
        collections: Selection::default(),
        reading: Reading::default(),
        excludes: Excludes::default(),
        kind: SnapshotKind::Incremental,
        host: options.host.clone(),
        user: options.user.clone(),
        tags,
        time: Some(file.time),
        parent: None,
        force: false,
        dry_run: false,
        compression: options.compression,
        ignore_inode: false,
        ignore_ctime: false,
        no_dumps: false,
    };
    let summary = snapshot::run(repository, &options, progress)?;
    let problem = summary.problems.first();
    let problem = problem.map(|own| Error::new(Kind::Failed, &own.what).subject(shown(&file.path)));
    let id = summary
        .id
        .ok_or_else(|| Error::new(Kind::Failed, "it could not be stored"))?;
    Ok((id, problem))
}

struct Search<'s> {
    progress: &'s dyn Progress,
    now: Nanos,
    summary: ImportSummary,
}

impl Search<'_> {
    /// All files in it and below, by their names; links are not followed.
    fn folder(&mut self, path: &Path, depth: usize) -> Result<()> {
        self.progress.go_on()?;
        let entries: std::io::Result<Vec<_>> = fs::read_dir(path).and_then(Iterator::collect);
        let mut entries = match entries {
            Ok(entries) => entries,
            Err(error) => {
                self.problem(Error::io("read", path, error));
                return Ok(());
            }
        };
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let (name, path) = (entry.file_name(), entry.path());
            let Ok(kind) = entry.file_type() else {
                continue;
            };
            if kind.is_dir() && depth > 0 && !PASSED_OVER.iter().any(|own| name == *own) {
                self.folder(&path, depth - 1)?;
            } else if kind.is_file() && stem(&path).is_some() {
                self.file(&path, false)?;
            }
        }
        Ok(())
    }

    fn problem(&mut self, error: Error) {
        self.progress.problem(&error);
        self.summary.problems.push(error);
    }

    /// Looks into a file; one that was named itself must hold records.
    fn file(&mut self, path: &Path, named: bool) -> Result<()> {
        self.progress.go_on()?;
        self.progress.current(path.as_os_str().as_bytes());
        match self.look(path, named) {
            Ok(Some((file, problem))) => {
                self.summary.files.push(file);
                if let Some(problem) = problem {
                    self.problem(problem);
                }
            }
            Ok(None) => {
                self.summary.left_count += 1;
                if self.summary.left.len() < LEFT_MAX {
                    self.summary.left.push(path.to_owned());
                }
            }
            Err(error) => self.problem(error),
        }
        Ok(())
    }

    /// What a file is, if it holds records; one that says by its name that it does is taken even if it cannot be understood.
    fn look(&self, path: &Path, named: bool) -> Result<Option<(Imported, Option<Error>)>> {
        let own = fs::canonicalize(path).map_err(|error| Error::io("read", path, error))?;
        let meta = fs::metadata(&own).map_err(|error| Error::io("read", path, error))?;
        let meant = named || is_named(path);
        let values = read(&own).and_then(|text| match text.len() as u64 > NESTED_MAX {
            true => Err(Error::new(Kind::Limit, "more than 64 MiB of JSON")),
            false => nested::values(&text),
        });
        let (values, problem) = match values {
            Ok(values) => (values, None),
            Err(error) if error.kind() == Kind::Permission => return Err(error),
            Err(error) if !meant && error.kind() != Kind::Limit => return Ok(None),
            // What is not looked into may be anything, so it is said whatever it is called.
            Err(error) if !meant => return Err(error.subject(shown(path))),
            Err(error) => {
                let told = Error::new(error.kind(), error.to_string()).subject(shown(path));
                (
                    Vec::new(),
                    Some(told.hint("it is stored as it is, without records")),
                )
            }
        };
        let changed = modified(&meta);
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let time = stated(&values, &name, changed.min(self.now));
        let is_some =
            is_named(path) || are_records(&values) || values.iter().any(|own| holds(own, 3));
        let all = nested::collections(values, &stem(path).unwrap_or_default());
        let records: Vec<(String, u64)> = all
            .into_iter()
            .map(|own| (own.name, own.documents.len() as u64))
            .filter(|(_, count)| *count > 0)
            .collect();
        if records.is_empty() && named && problem.is_none() {
            return Err(Error::new(Kind::Usage, "no records in it").subject(shown(path)));
        }
        if (records.is_empty() && problem.is_none()) || !(named || is_some) {
            return Ok(None);
        }
        let (time, basis) = time.unwrap_or((changed.min(self.now), Basis::Modified));
        let file = Imported {
            path: own,
            size: meta.len(),
            changed,
            time,
            basis,
            records,
            became: Became::Nothing,
        };
        Ok(Some((file, problem)))
    }
}

/// When a file was last changed.
fn modified(meta: &fs::Metadata) -> Nanos {
    meta.mtime()
        .saturating_mul(1_000_000_000)
        .saturating_add(meta.mtime_nsec())
}

/// A file's text, unzipped; at most one byte more than is looked into.
fn read(path: &Path) -> Result<Vec<u8>> {
    let io = |error| Error::io("read", path, error);
    let file = fs::File::open(path).map_err(io)?;
    let mut text = Vec::new();
    let zipped = path.extension().is_some_and(|end| end == "gz");
    let mut reader: Box<dyn Read> = match zipped {
        true => Box::new(flate2::read::MultiGzDecoder::new(file)),
        false => Box::new(file),
    };
    reader
        .by_ref()
        .take(NESTED_MAX + 1)
        .read_to_end(&mut text)
        .map_err(io)?;
    Ok(text)
}

/// The name of a JSON file without its endings; none for other files.
fn stem(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_string_lossy();
    let lower = name.to_ascii_lowercase();
    let plain = lower.strip_suffix(".gz").unwrap_or(&lower);
    let ends = [".json", ".jsonl", ".ndjson"];
    let own = ends.iter().find_map(|end| plain.strip_suffix(end))?;
    Some(name.get(..own.len())?.to_owned())
}

/// Whether its name says what it is.
fn is_named(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let name = name.to_lowercase();
    NAMES.iter().any(|word| name.contains(word))
}

/// Whether there are records in it, at most so deep, or it is one.
fn holds(value: &Value, depth: usize) -> bool {
    match value {
        Value::Array(own) => are_records(own),
        Value::Object(own) => {
            is_one(value, &nested::IDENTITIES[..7])
                || are_records(own.values())
                || (depth > 0 && own.values().any(|value| holds(value, depth - 1)))
        }
        _ => false,
    }
}

/// Whether most of them say which they are, or when they were.
fn are_records<'v>(all: impl IntoIterator<Item = &'v Value>) -> bool {
    let (mut records, mut others) = (0usize, 0usize);
    for own in all {
        match is_one(own, &nested::IDENTITIES) || is_one(own, &TIMES) {
            true => records += 1,
            false => others += 1,
        }
    }
    records > others
}

fn is_one(value: &Value, names: &[&str]) -> bool {
    names.iter().any(|name| value.get(name).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_known_by_their_names_and_by_their_records() {
        for (name, own) in [
            ("/a/conversations_2025.json", Some("conversations_2025")),
            ("quotes.json.gz", Some("quotes")),
            ("lines.ndjson", Some("lines")),
            ("Chats.JSON", Some("Chats")),
            ("a.bson", None),
            ("json", None),
        ] {
            assert_eq!(stem(Path::new(name)).as_deref(), own, "{name}");
        }
        assert!(is_named(Path::new("/x/Conversaciones.json")));
        assert!(!is_named(Path::new("/backup/package.json")));
        for (text, some) in [
            (r#"[{"session_id": 1}, {"id": 2}]"#, true),
            (r#"[{"session_id": 1}, {"id": 1}, {"name": 2}]"#, true),
            (r#"[{"session_id": 1}, {"name": 2}]"#, false),
            (r#"{"data": {"list": [{"timestamp": 1}]}}"#, true),
            (r#"{"sessions": {"a1": {"created_at": 1}}}"#, true),
            (r#"{"conversation_id": "x", "text": ""}"#, true),
            (r#"{"name": "left-pad", "id": 7, "files": ["a"]}"#, false),
            (r#"{"references": [{"path": "../a"}]}"#, false),
            (r#"{"dependencies": {"a": {"version": "1"}}}"#, false),
            ("[]", false),
        ] {
            let value: Value = serde_json::from_str(text).unwrap_or_default();
            assert_eq!(holds(&value, 3), some, "{text}");
        }
    }
}
