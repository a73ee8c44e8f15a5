//! `duramen snapshots`.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;

use duramen::error::{Error, Kind, Result};
use duramen::format::snapshot::{PathBytes, State};
use duramen::id::SnapshotId;
use duramen::ops::snapshots::{self, Known, Which};
use duramen::ops::{recall, select};
use duramen::repository::Repository;

use crate::cli::args::SnapshotsArgs;
use crate::cli::context::{Context, filter_of};
use crate::cli::json::SnapshotObject;
use crate::cli::output::{self, put};
use crate::cli::{exit, opening, size, text, time};

/// `duramen snapshots [SNAPSHOT...]`.
pub fn run(context: &Context, args: &SnapshotsArgs) -> Result<ExitCode> {
    let reporter = context.reporter_beside_results("snapshots");
    let repository = opening::open(context, &reporter)?;
    recall::tell(&repository, false, &reporter)?;
    let (mut found, broken) = chosen(&repository, args)?;
    for error in &broken {
        duramen::progress::Progress::problem(&reporter, error);
    }
    reporter.finish();
    if let Some(latest) = args.latest {
        found = newest_of_each(found, latest);
    }
    let text = if context.global.json {
        output::json_line(
            &found
                .iter()
                .map(SnapshotObject::of_known)
                .collect::<Vec<_>>(),
        )?
    } else if found.is_empty() {
        context.remark("no snapshots\n");
        String::new()
    } else {
        table(&found, context.colour_on_stdout())
    };
    output::results(|out| put(out, text.as_bytes()))?;
    // What cannot be read was told above; the rest is shown, and the exit code says that it is not all.
    match broken.into_iter().next() {
        Some(error) => Ok(ExitCode::from(error.kind().exit_code())),
        None => Ok(exit::DONE),
    }
}

/// The snapshots asked for, and the records that could not be read.
fn chosen(repository: &Repository, args: &SnapshotsArgs) -> Result<(Vec<Known>, Vec<Error>)> {
    let filter = filter_of(&args.filter)?;
    let which = match args.forgotten {
        true => Which::Forgotten,
        false => Which::Living,
    };
    let (all, broken) = snapshots::run(repository, &filter, which)?;
    if args.names.is_empty() {
        return Ok((all, broken));
    }
    let mut wanted = BTreeSet::new();
    for name in &args.names {
        if is_prefix(name) {
            let matching = matching(&all, name);
            if matching.is_empty() {
                return Err(
                    Error::new(Kind::NotFound, "no snapshot has an id that begins so")
                        .subject(name.clone())
                        .hint("duramen snapshots lists them all, with --forgotten those that were forgotten"),
                );
            }
            wanted.extend(matching);
        } else {
            wanted.insert(select::one(repository, name, &filter)?.id);
        }
    }
    let chosen = all
        .into_iter()
        .filter(|known| wanted.contains(&known.snapshot.id))
        .collect();
    Ok((chosen, broken))
}

fn is_prefix(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn matching(all: &[Known], prefix: &str) -> Vec<SnapshotId> {
    let prefix = prefix.to_ascii_lowercase();
    all.iter()
        .map(|known| known.snapshot.id)
        .filter(|id| id.hex().starts_with(&prefix))
        .collect()
}

/// The last `latest` of each host and set of paths, in the old order.
fn newest_of_each(snapshots: Vec<Known>, latest: usize) -> Vec<Known> {
    let mut seen: BTreeMap<(String, Vec<PathBytes>), usize> = BTreeMap::new();
    let mut kept: Vec<Known> = snapshots
        .into_iter()
        .rev()
        .filter(|Known { snapshot, .. }| {
            let mut paths = snapshot.paths.clone();
            paths.sort();
            let count = seen.entry((snapshot.host.clone(), paths)).or_default();
            *count += 1;
            *count <= latest
        })
        .collect();
    kept.reverse();
    kept
}

fn table(snapshots: &[Known], colour: bool) -> String {
    let heads = [
        "id", "time", "host", "tags", "kind", "state", "size", "paths",
    ];
    let mut rows = vec![heads.map(String::from).to_vec()];
    rows.extend(snapshots.iter().map(row));
    let plain = text::table(
        &rows,
        &[false, false, false, false, false, false, true, false],
    );
    let counted = format!(
        "{plain}{}\n",
        text::plural(snapshots.len() as u64, "snapshot", "snapshots")
    );
    if !colour {
        return counted;
    }
    // Only whole lines are coloured, so that columns keep their width.
    let mut lines = counted.lines();
    let mut coloured = String::new();
    if let Some(head) = lines.next() {
        coloured.push_str(&format!("\x1b[1m{head}\x1b[0m\n"));
    }
    for (at, line) in lines.enumerate() {
        if snapshots
            .get(at)
            .is_some_and(|known| !known.judged.is_good())
        {
            coloured.push_str(&format!("\x1b[33m{line}\x1b[0m\n"));
        } else {
            coloured.push_str(&format!("{line}\n"));
        }
    }
    coloured
}

/// What is to be known of it, in a word each.
fn state(known: &Known) -> String {
    let mut words = Vec::new();
    let snapshot = &known.snapshot;
    if snapshot.state == State::Partial {
        words.push(format!("partial ({})", text::count(snapshot.problem_count)));
    }
    if let Some(shrunken) = known.judged.shrunken() {
        words.push(
            if shrunken.now.files == 0 {
                "empty"
            } else {
                "shrunken"
            }
            .into(),
        );
    }
    if words.is_empty() {
        words.push("ok".into());
    }
    if known.facts.is_held() {
        words.push("held".into());
    }
    if known.facts.unclear {
        words.push("unclear".into());
    }
    words.join(", ")
}

fn row(known: &Known) -> Vec<String> {
    let snapshot = &known.snapshot;
    let paths: Vec<String> = snapshot
        .paths
        .iter()
        .map(|path| text::safe_bytes(&path.0))
        .collect();
    vec![
        snapshot.id.short(),
        time::local(snapshot.time),
        text::safe(&snapshot.host),
        text::safe(&known.facts.tags(snapshot).join(",")),
        snapshot.kind.word().into(),
        state(known),
        size::show(snapshot.extent().bytes),
        paths.join(" "),
    ]
}

#[cfg(test)]
pub mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::cli::json::tests::documented;
    use duramen::format::snapshot::{Counters, Features, Snapshot, SnapshotKind};
    use duramen::id::{RepositoryId, SessionId};
    use duramen::ops::snapshots::{Flaw, Judged};
    use duramen::repository::Facts;

    /// A snapshot record with little in it.
    pub fn sample(id: u8, host: &str, path: &[u8]) -> Snapshot {
        Snapshot {
            id: SessionId([id; 16]),
            repository: RepositoryId([1; 32]),
            time: i64::from(id) * 1_000_000_000,
            started: 0,
            finished: 0,
            kind: SnapshotKind::Full,
            parent: None,
            host: host.into(),
            user: "ann".into(),
            tags: vec!["a".into(), "b".into()],
            paths: vec![PathBytes(path.to_vec())],
            excludes: Vec::new(),
            sources: Vec::new(),
            state: State::Partial,
            problems: Vec::new(),
            problem_count: 2,
            counters: Counters::default(),
            program: "duramen 0.1.0".into(),
            git: None,
            seen: [0; 32],
            features: Features::default(),
            extensions: Vec::new(),
        }
    }

    fn known(id: u8, host: &str, path: &[u8]) -> Known {
        Known {
            snapshot: sample(id, host, path),
            facts: Facts::default(),
            judged: Judged {
                flaws: vec![Flaw::Partial],
                ahead: None,
            },
        }
    }

    fn ids(snapshots: &[Known]) -> Vec<u8> {
        let snapshots = snapshots.iter();
        snapshots.map(|known| known.snapshot.id.0[0]).collect()
    }

    #[test]
    fn latest_counts_each_host_and_path_apart() {
        let all = vec![
            known(1, "a", b"/x"),
            known(2, "a", b"/x"),
            known(3, "b", b"/x"),
            known(4, "a", b"/y"),
            known(5, "a", b"/x"),
        ];
        assert_eq!(ids(&newest_of_each(all.clone(), 1)), [3, 4, 5]);
        assert_eq!(ids(&newest_of_each(all.clone(), 2)), [2, 3, 4, 5]);
        assert_eq!(ids(&newest_of_each(all, 0)), [0u8; 0]);
    }

    #[test]
    fn prefixes_of_any_length() {
        let all = [known(0x1a, "a", b"/"), known(0x1b, "a", b"/")];
        assert_eq!(matching(&all, "1").len(), 2);
        assert_eq!(matching(&all, "1A1").len(), 1);
        assert!(is_prefix("0aF") && !is_prefix("latest") && !is_prefix(""));
    }

    #[test]
    fn the_table_and_the_object() {
        let all = [known(0xab, "h\x1b", b"/\xff\n")];
        let shown = table(&all, false);
        let line = shown.lines().nth(1).unwrap();
        assert!(line.starts_with("abababab  "), "{line}");
        assert!(
            line.contains("h\\x1b") && line.ends_with("/\\xff\\n"),
            "{line}"
        );
        assert!(line.contains("partial (2)"), "{line}");
        assert!(shown.ends_with("1 snapshot\n"));
        assert!(table(&all, true).contains("\x1b[33mabababab"));

        let object = serde_json::to_value(SnapshotObject::of_known(&all[0])).unwrap();
        // The page says of the counters that they are those of `snapshot`.
        let mut rest = object.clone();
        rest.as_object_mut().unwrap().remove("summary");
        documented("snapshots", &rest);
        assert_eq!(object["short_id"], "abababab");
        assert_eq!(object["time"], "1970-01-01T00:02:51.000000000Z");
        assert_eq!(object["host"], object["hostname"]);
        assert_eq!(object["paths_bytes_hex"][0], "2fff0a");
        assert_eq!(object["state"], "partial");
        assert_eq!(object["flaws"][0], "partial");
        assert!(object.get("message_type").is_none());
        assert_eq!(object["summary"]["files_new"], 0);
        let line = serde_json::to_value(SnapshotObject::of_known(&all[0]).into_line()).unwrap();
        assert_eq!(line["struct_type"], "snapshot");
    }
}
