//! `duramen forget`.

use std::process::ExitCode;

use duramen::error::Result;
use duramen::id::SnapshotId;
use duramen::ops::forget::{self, Decided, DecidedGroup, ForgetSummary, GroupKey, Named};
use duramen::ops::{prune, recall};
use serde::Serialize;

use crate::cli::args::ForgetArgs;
use crate::cli::context::{Context, filter_of};
use crate::cli::json::{SnapshotObject, lossy};
use crate::cli::{exit, opening, text, time};

/// As restic has it, with the reasons of those that go beside those that stay.
#[derive(Serialize)]
struct GroupObject {
    host: Option<String>,
    paths: Option<Vec<String>>,
    tags: Option<Vec<String>>,
    keep: Vec<SnapshotObject>,
    remove: Vec<SnapshotObject>,
    reasons: Vec<ReasonObject>,
    remove_reasons: Vec<ReasonObject>,
}

#[derive(Serialize)]
struct ReasonObject {
    snapshot: ShortObject,
    matches: Vec<String>,
}

#[derive(Serialize)]
struct ShortObject {
    id: String,
    short_id: String,
    time: String,
}

#[derive(Serialize)]
struct NamedObject {
    message_type: &'static str,
    dry_run: bool,
    forgotten: Vec<String>,
    undone: Vec<String>,
}

/// `duramen forget`.
pub fn run(context: &Context, args: &ForgetArgs) -> Result<ExitCode> {
    let prune = super::prune::options(&args.how)?;
    let reporter = context.reporter_beside_results("forget");
    let repository = opening::open(context, &reporter)?;
    recall::tell(&repository, !args.dry_run, &reporter)?;
    let broken = if args.undo || !args.names.is_empty() {
        let filter = filter_of(&args.filter)?;
        let done = if args.undo {
            forget::undo(&repository, &args.names, &filter)?
        } else {
            forget::named(&repository, &args.names, &filter, args.dry_run)?
        };
        context.tell(&named_object(&done, args), || named_words(&done, args))?;
        Vec::new()
    } else {
        let summary = forget::by_rules(&repository, &args.options()?, &reporter)?;
        for error in &summary.broken {
            duramen::progress::Progress::problem(&reporter, error);
        }
        let groups: Vec<GroupObject> = summary.groups.iter().map(group_object).collect();
        context.tell(&groups, || words(&summary, args.dry_run))?;
        summary.broken
    };
    let mut code = exit::DONE;
    if args.prune {
        let report = prune::run(&repository, &prune, args.dry_run, &reporter)?;
        reporter.finish();
        code = super::prune::tell(context, &report, args.dry_run)?;
    } else {
        reporter.finish();
    }
    // What cannot be read was told above, and stays; the exit code says that it is not all.
    match broken.first() {
        Some(error) => Ok(ExitCode::from(error.kind().exit_code())),
        None => Ok(code),
    }
}

fn group_object(group: &DecidedGroup) -> GroupObject {
    let some = |keep: bool| {
        let chosen = group.snapshots.iter();
        chosen.filter(move |decided| decided.keep == keep)
    };
    let reason = |decided: &Decided| ReasonObject {
        snapshot: ShortObject {
            id: decided.known.snapshot.id.hex(),
            short_id: decided.known.snapshot.id.short(),
            time: time::rfc3339(decided.known.snapshot.time),
        },
        matches: decided.reasons.clone(),
    };
    let object = |decided: &Decided| SnapshotObject::of_known(&decided.known);
    GroupObject {
        host: group.key.host.clone(),
        paths: group
            .key
            .paths
            .as_ref()
            .map(|paths| paths.iter().map(|path| lossy(&path.0)).collect()),
        tags: group.key.tags.clone(),
        keep: some(true).map(object).collect(),
        remove: some(false).map(object).collect(),
        reasons: some(true).map(reason).collect(),
        remove_reasons: some(false).map(reason).collect(),
    }
}

/// What the snapshots of a group have in common.
fn heading(key: &GroupKey) -> String {
    let mut parts = Vec::new();
    if let Some(host) = &key.host {
        parts.push(format!("host {}", text::safe(host)));
    }
    if let Some(paths) = &key.paths {
        let paths: Vec<String> = paths.iter().map(|path| text::safe_bytes(&path.0)).collect();
        parts.push(format!("paths {}", paths.join(" ")));
    }
    if let Some(tags) = &key.tags {
        parts.push(match tags.as_slice() {
            [] => "no tags".into(),
            tags => format!("tags {}", text::safe(&tags.join(","))),
        });
    }
    match parts.is_empty() {
        true => "all snapshots".into(),
        false => parts.join(", "),
    }
}

fn words(summary: &ForgetSummary, dry_run: bool) -> String {
    let mut words = String::new();
    for group in &summary.groups {
        words.push_str(&format!("{}:\n", heading(&group.key)));
        let mut rows: Vec<Vec<String>> = group.snapshots.iter().map(row).collect();
        if rows.iter().all(|row| row[TAGS].is_empty()) {
            rows.iter_mut().for_each(|row| drop(row.remove(TAGS)));
        }
        words.push_str(&text::table(&rows, &[]));
        words.push('\n');
    }
    let (keep, go) = summary.count();
    let snapshots = text::plural(go, "snapshot", "snapshots");
    words.push_str(&match (go, dry_run) {
        (0, _) => format!("{} kept, nothing to forget\n", text::count(keep)),
        (_, true) => format!(
            "{} kept, {snapshots} to forget (dry run: nothing was done)\n",
            text::count(keep)
        ),
        (_, false) => format!(
            "{} kept, {snapshots} forgotten\n{}",
            text::count(keep),
            back("[ID]")
        ),
    });
    words
}

/// Column of the tags, which is left out where nobody wears one.
const TAGS: usize = 3;

fn row(decided: &Decided) -> Vec<String> {
    let known = &decided.known;
    vec![
        if decided.keep { "keep" } else { "forget" }.into(),
        known.snapshot.id.short(),
        time::local(known.snapshot.time),
        text::safe(&known.facts.tags(&known.snapshot).join(",")),
        text::safe(&decided.reasons.join("; ")),
    ]
}

/// How it is taken back, and until when.
fn back(ids: &str) -> String {
    format!(
        "taken back by  duramen forget --undo {ids}  until a prune ends it; `duramen snapshots --forgotten` lists \
         them\n"
    )
}

fn named_object(done: &[Named], args: &ForgetArgs) -> NamedObject {
    let changed = || {
        let changed = done.iter().filter(|named| named.changed);
        changed.map(|named| named.id.hex()).collect()
    };
    let (forgotten, undone) = match args.undo {
        true => (Vec::new(), changed()),
        false => (changed(), Vec::new()),
    };
    NamedObject {
        message_type: "summary",
        dry_run: args.dry_run,
        forgotten,
        undone,
    }
}

fn named_words(done: &[Named], args: &ForgetArgs) -> String {
    let mut words = String::new();
    let mut forgotten = Vec::new();
    for Named { id, changed, last } in done {
        let what = match (args.undo, *changed, args.dry_run) {
            (true, true, _) => "is back: it stays",
            (true, false, _) => "was not forgotten",
            (false, false, _) => "was forgotten already",
            (false, true, true) => "would be forgotten (dry run)",
            (false, true, false) => {
                forgotten.push(SnapshotId::short(id));
                "forgotten"
            }
        };
        words.push_str(&format!("snapshot {} {what}\n", id.short()));
        if *last && *changed {
            words.push_str("  nothing as good is left of its source\n");
        }
    }
    if done.is_empty() {
        words.push_str("no snapshot is forgotten\n");
    }
    if !forgotten.is_empty() {
        words.push_str(&back(&forgotten.join(" ")));
    }
    words
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::cli::commands::snapshots::tests::sample;
    use crate::cli::json::tests::documented;
    use duramen::ops::snapshots::{Judged, Known};
    use duramen::repository::Facts;

    fn decided(id: u8, keep: bool, reasons: &[&str]) -> Decided {
        Decided {
            known: Known {
                snapshot: sample(id, "h", b"/x\n"),
                facts: Facts::default(),
                judged: Judged::default(),
            },
            keep,
            reasons: reasons.iter().map(ToString::to_string).collect(),
        }
    }

    fn summary() -> ForgetSummary {
        ForgetSummary {
            groups: vec![DecidedGroup {
                key: GroupKey {
                    host: Some("h".into()),
                    paths: Some(sample(1, "h", b"/x\n").paths),
                    tags: None,
                },
                snapshots: vec![
                    decided(1, false, &["no rule reaches it", "empty"]),
                    decided(2, true, &["daily: last of 1970-01-01", "held: \x1b"]),
                ],
            }],
            broken: Vec::new(),
        }
    }

    #[test]
    fn every_snapshot_has_its_line() {
        let words = words(&summary(), true);
        let lines: Vec<&str> = words.lines().collect();
        assert_eq!(lines[0], "host h, paths /x\\n:");
        assert!(lines[1].starts_with("forget  01010101  1970"), "{words}");
        assert!(
            lines[1].ends_with("a,b  no rule reaches it; empty"),
            "{words}"
        );
        assert!(
            lines[2].ends_with("daily: last of 1970-01-01; held: \\x1b"),
            "{words}"
        );
        assert_eq!(
            lines[4],
            "1 kept, 1 snapshot to forget (dry run: nothing was done)"
        );
        let done = super::words(&summary(), false);
        assert!(done.contains("1 kept, 1 snapshot forgotten\n"), "{done}");
        assert!(done.contains("--undo"), "{done}");
    }

    #[test]
    fn groups_for_scripts() {
        let object = serde_json::to_value(group_object(&summary().groups[0])).unwrap();
        // Snapshots in it are those of `snapshots`.
        let mut rest = object.clone();
        rest["keep"] = serde_json::json!([]);
        rest["remove"] = serde_json::json!([]);
        documented("forget", &rest);
        assert_eq!(object["keep"][0]["id"], "02".repeat(16));
        assert_eq!(
            object["reasons"][0]["matches"][0],
            "daily: last of 1970-01-01"
        );
        assert_eq!(
            object["remove_reasons"][0]["snapshot"]["short_id"],
            "01010101"
        );
        assert_eq!(object["tags"], serde_json::Value::Null);
        let named = NamedObject {
            message_type: "summary",
            dry_run: false,
            forgotten: Vec::new(),
            undone: Vec::new(),
        };
        documented("forget", &named);
    }

    #[test]
    fn groups_are_named_by_what_they_have_in_common() {
        let tagged = |tags: &[&str]| GroupKey {
            tags: Some(tags.iter().map(ToString::to_string).collect()),
            ..GroupKey::default()
        };
        assert_eq!(heading(&GroupKey::default()), "all snapshots");
        assert_eq!(heading(&tagged(&[])), "no tags");
        assert_eq!(heading(&tagged(&["a", "b"])), "tags a,b");
    }
}
