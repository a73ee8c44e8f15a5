//! The objects of `--json`, field by field as `docs/json.md` documents them: a stable interface.
//!
//! Names are restic's where the meaning is the same. A text that is not UTF-8 in the repository appears twice: with
//! replacement characters, and whole as hexadecimal in a field with `_bytes_hex` at its end.

use std::error::Error as _;

use duramen::clock::Nanos;
use duramen::error::Error;
use duramen::format::snapshot::{Counters, GitState, PathBytes, Problem, Snapshot};
use duramen::id::to_hex;
use duramen::ops::snapshots::Known;
use duramen::repository::Facts;
use serde::Serialize;

use super::time::rfc3339;

/// A line of progress.
#[derive(Serialize)]
pub struct StatusLine {
    pub message_type: &'static str,
    pub phase: String,
    pub seconds_elapsed: u64,
    pub seconds_remaining: Option<u64>,
    pub percent_done: f64,
    pub total_files: u64,
    pub files_done: u64,
    pub total_bytes: u64,
    pub bytes_done: u64,
    pub error_count: u64,
    pub current_files: Vec<String>,
}

/// Something worth knowing.
#[derive(Serialize)]
pub struct NoteLine<'a> {
    pub message_type: &'static str,
    pub message: &'a str,
}

/// An error: the one that ended the command, or one of many problems on the way (`during`, `item`, `error`).
#[derive(Serialize)]
pub struct ErrorLine {
    pub message_type: &'static str,
    pub code: &'static str,
    pub message: String,
    pub subject: Option<String>,
    pub hint: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub during: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub item: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Message>,
}

/// The message alone, where restic has it.
#[derive(Serialize)]
pub struct Message {
    pub message: String,
}

/// The sentence with what lies beneath it, without the subject.
pub fn message(error: &Error) -> String {
    match error.source() {
        Some(source) => format!("{}: {source}", error.message()),
        None => error.message().into(),
    }
}

impl ErrorLine {
    /// The error that ended the command.
    pub fn last(error: &Error) -> Self {
        Self {
            message_type: "error",
            code: error.kind().code(),
            message: message(error),
            subject: error.subject_text().map(Into::into),
            hint: error.hint_text().map(Into::into),
            during: None,
            item: None,
            error: None,
        }
    }

    /// A problem on the way.
    pub fn during(error: &Error, during: &'static str) -> Self {
        Self {
            during: Some(during),
            item: error.subject_text().map(Into::into),
            error: Some(Message {
                message: message(error),
            }),
            ..Self::last(error)
        }
    }
}

/// Where git stood.
#[derive(Serialize)]
pub struct Git {
    pub commit: String,
    pub branch: Option<String>,
}

impl Git {
    /// As recorded.
    pub fn of(git: Option<&GitState>) -> Option<Self> {
        git.map(|git| Self {
            commit: git.commit.clone(),
            branch: git.branch.clone(),
        })
    }
}

/// Something that could not be done to a path.
#[derive(Serialize)]
pub struct ProblemObject {
    pub path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_bytes_hex: Option<String>,
    pub what: String,
}

/// All of a list.
pub fn problems(problems: &[Problem]) -> Vec<ProblemObject> {
    problems
        .iter()
        .map(|problem| ProblemObject {
            path: lossy(&problem.path.0),
            path_bytes_hex: hex_unless_utf8(&problem.path.0),
            what: problem.what.clone(),
        })
        .collect()
}

/// With replacement characters where it is not UTF-8.
pub fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The whole bytes where they are not UTF-8.
pub fn hex_unless_utf8(bytes: &[u8]) -> Option<String> {
    std::str::from_utf8(bytes).is_err().then(|| to_hex(bytes))
}

fn hex_of_all_unless_utf8(paths: &[PathBytes]) -> Option<Vec<String>> {
    paths
        .iter()
        .any(|path| std::str::from_utf8(&path.0).is_err())
        .then(|| paths.iter().map(|path| to_hex(&path.0)).collect())
}

/// Work done, as in `snapshot` and `snapshots`.
#[derive(Serialize)]
pub struct Work {
    pub files_new: u64,
    pub files_changed: u64,
    pub files_unmodified: u64,
    pub dirs_new: u64,
    pub dirs_changed: u64,
    pub dirs_unmodified: u64,
    pub data_chunks: u64,
    pub tree_chunks: u64,
    pub data_added: u64,
    pub data_added_packed: u64,
    pub bytes_read: u64,
    pub total_files_processed: u64,
    pub total_bytes_processed: u64,
    pub backup_start: String,
    pub backup_end: String,
    pub total_duration: f64,
}

impl Work {
    /// From the counters of a snapshot; `seconds` is how long it took.
    pub fn of(counters: &Counters, started: Nanos, finished: Nanos, seconds: f64) -> Self {
        Self {
            files_new: counters.files_new,
            files_changed: counters.files_changed,
            files_unmodified: counters.files_unmodified,
            dirs_new: counters.dirs_new,
            dirs_changed: counters.dirs_changed,
            dirs_unmodified: counters.dirs_unmodified,
            data_chunks: counters.data_chunks,
            tree_chunks: counters.tree_chunks,
            data_added: counters.data_added,
            data_added_packed: counters.data_added_packed,
            bytes_read: counters.bytes_read,
            total_files_processed: files_processed(counters),
            total_bytes_processed: counters.bytes_processed,
            backup_start: rfc3339(started),
            backup_end: rfc3339(finished),
            total_duration: seconds,
        }
    }
}

/// Files that a snapshot holds, by its counters.
pub fn files_processed(counters: &Counters) -> u64 {
    counters
        .files_new
        .saturating_add(counters.files_changed)
        .saturating_add(counters.files_unmodified)
}

/// One snapshot, as `snapshots` and the first line of `ls` show it.
#[derive(Serialize)]
pub struct SnapshotObject {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub struct_type: Option<&'static str>,
    pub id: String,
    pub short_id: String,
    pub time: String,
    pub host: String,
    pub hostname: String,
    pub username: String,
    pub tags: Vec<String>,
    pub paths: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paths_bytes_hex: Option<Vec<String>>,
    pub excludes: Vec<String>,
    pub kind: &'static str,
    pub parent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub original: Option<String>,
    pub program_version: String,
    pub state: &'static str,
    pub problem_count: u64,
    pub problems: Vec<ProblemObject>,
    pub size: u64,
    pub files: u64,
    pub summary: Work,
    pub git: Option<Git>,
    pub holds: Vec<String>,
    pub notes: Vec<NoteObject>,
    pub verified: Option<VerifiedObject>,
    pub forgotten: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flaws: Option<Vec<String>>,
}

/// Words that somebody left with a snapshot.
#[derive(Serialize)]
pub struct NoteObject {
    pub time: String,
    pub note: String,
}

/// All notes, oldest first.
pub fn notes(facts: &Facts) -> Vec<NoteObject> {
    let notes = facts.notes.iter();
    notes
        .map(|(time, note)| NoteObject {
            time: rfc3339(*time),
            note: note.clone(),
        })
        .collect()
}

/// The last verification.
#[derive(Serialize)]
pub struct VerifiedObject {
    pub time: String,
    pub whole: bool,
}

impl SnapshotObject {
    /// An element of the array of `snapshots`.
    pub fn of_known(known: &Known) -> Self {
        let judged = &known.judged;
        let words = judged.flaws.iter().map(|flaw| flaw.words());
        let ahead = judged.ahead.iter().map(ToString::to_string);
        Self {
            flaws: Some(words.chain(ahead).collect()),
            ..Self::of(&known.snapshot, &known.facts)
        }
    }

    /// The same, where nobody asked whether it can be relied upon.
    pub fn of(snapshot: &Snapshot, facts: &Facts) -> Self {
        let extent = snapshot.extent();
        let seconds = snapshot.finished.saturating_sub(snapshot.started).max(0) as f64 / 1e9;
        Self {
            message_type: None,
            struct_type: None,
            id: snapshot.id.hex(),
            short_id: snapshot.id.short(),
            time: rfc3339(snapshot.time),
            host: snapshot.host.clone(),
            hostname: snapshot.host.clone(),
            username: snapshot.user.clone(),
            tags: facts.tags(snapshot),
            paths: snapshot.paths.iter().map(|path| lossy(&path.0)).collect(),
            paths_bytes_hex: hex_of_all_unless_utf8(&snapshot.paths),
            excludes: snapshot.excludes.clone(),
            kind: snapshot.kind.word(),
            parent: snapshot.parent.map(|parent| parent.hex()),
            original: snapshot.original().map(|original| original.hex()),
            program_version: snapshot.program.clone(),
            state: snapshot.state.word(),
            problem_count: snapshot.problem_count,
            problems: problems(&snapshot.problems),
            size: extent.bytes,
            files: extent.files,
            summary: Work::of(
                &snapshot.counters,
                snapshot.started,
                snapshot.finished,
                seconds,
            ),
            git: Git::of(snapshot.git.as_ref()),
            holds: facts.holds.iter().map(|(_, why)| why.clone()).collect(),
            notes: notes(facts),
            verified: facts.verified.map(|(time, whole)| VerifiedObject {
                time: rfc3339(time),
                whole,
            }),
            forgotten: facts.forgotten_at.map(rfc3339),
            flaws: None,
        }
    }

    /// The first line of `ls`.
    pub fn into_line(mut self) -> Self {
        self.message_type = Some("snapshot");
        self.struct_type = Some("snapshot");
        self
    }
}

#[cfg(test)]
pub mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use duramen::error::Kind;
    use serde_json::Value;

    /// Every field of `object` stands in its chapter of the scripting page; comes back as a value to look into.
    pub fn documented(chapter: &str, object: &impl Serialize) -> Value {
        let page = include_str!("../../docs/json.md");
        let start = page.find(&format!("\n## {chapter}\n")).unwrap();
        let rest = &page[start + 4..];
        let chapter_text = &rest[..rest.find("\n## ").unwrap_or(rest.len())];
        fn walk(chapter: &str, text: &str, value: &Value) {
            match value {
                Value::Object(fields) => {
                    for (field, value) in fields {
                        let shown = format!("`{field}`");
                        assert!(
                            text.contains(&shown),
                            "{chapter}: {shown} is not documented"
                        );
                        walk(chapter, text, value);
                    }
                }
                Value::Array(values) => values.iter().for_each(|value| walk(chapter, text, value)),
                _ => {}
            }
        }
        let value = serde_json::to_value(object).unwrap();
        walk(chapter, chapter_text, &value);
        value
    }

    #[test]
    fn status_lines_are_documented() {
        let line = StatusLine {
            message_type: "status",
            phase: "snapshot".into(),
            seconds_elapsed: 1,
            seconds_remaining: None,
            percent_done: 0.5,
            total_files: 2,
            files_done: 1,
            total_bytes: 2,
            bytes_done: 1,
            error_count: 0,
            current_files: Vec::new(),
        };
        documented("Progress (standard output)", &line);
    }

    const ERRORS: &str = "Errors, problems, notes (standard error)";

    #[test]
    fn errors_have_the_documented_fields() {
        let error = Error::io("read", "/x", std::io::Error::from_raw_os_error(13));
        let last = documented(ERRORS, &ErrorLine::last(&error));
        assert_eq!(
            last,
            serde_json::json!({
                "message_type": "error",
                "code": "permission",
                "message": "cannot read: Permission denied (os error 13)",
                "subject": "/x",
                "hint": "run as a user who may, or change the permissions",
            })
        );
        let problem = ErrorLine::during(
            &Error::new(Kind::Failed, "vanished").subject("/y"),
            "snapshot",
        );
        assert_eq!(
            documented(ERRORS, &problem),
            serde_json::json!({
                "message_type": "error", "code": "failed", "message": "vanished", "subject": "/y",
                "hint": null, "during": "snapshot", "item": "/y", "error": {"message": "vanished"},
            })
        );
    }

    #[test]
    fn names_that_are_not_utf8_are_there_whole() {
        assert_eq!(hex_unless_utf8(b"a\xc3\xa9"), None);
        assert_eq!(hex_unless_utf8(b"a\xff").as_deref(), Some("61ff"));
        let found = problems(&[Problem {
            path: PathBytes(b"/\xff".to_vec()),
            what: "vanished".into(),
        }]);
        assert_eq!(
            serde_json::to_value(found).unwrap(),
            serde_json::json!([{"path": "/\u{fffd}", "path_bytes_hex": "2fff", "what": "vanished"}])
        );
    }
}
