//! `duramen find`.

use std::io::Write as _;
use std::process::ExitCode;

use duramen::error::{Error, Kind, Result};
use duramen::format::entry::Node;
use duramen::format::snapshot::Snapshot;
use duramen::ops::find::{self, FindOptions, FindSummary, Found};
use serde::Serialize;

use super::split;
use crate::cli::args::FindArgs;
use crate::cli::context::{Context, filter_of, usage};
use crate::cli::node::{self, NodeObject};
use crate::cli::output::{self, json_line, put};
use crate::cli::{exit, opening, size, text, time};

/// A version of a path, and the run of snapshots in which it stands.
#[derive(Serialize)]
struct MatchLine {
    #[serde(flatten)]
    node: NodeObject,
    host: String,
    first_snapshot: String,
    first_time: String,
    last_snapshot: String,
    last_time: String,
    snapshot_count: u64,
}

/// `duramen find PATTERN...`.
pub fn run(context: &Context, args: FindArgs) -> Result<ExitCode> {
    let options = options(args)?;
    let reporter = context.reporter_beside_results("find");
    let repository = opening::open(context, &reporter)?;
    let summary = find::run(&repository, &options, &reporter)?;
    reporter.finish();
    if summary.found.is_empty() && !context.global.json {
        let looked = text::plural(summary.snapshots.len() as u64, "snapshot", "snapshots");
        context.remark(&format!("nothing found in {looked}\n"));
    }
    let terminal = context.environment.stdout_terminal;
    output::results(|out| {
        if context.global.json {
            for found in &summary.found {
                put(out, json_line(&line(&summary, found))?.as_bytes())?;
            }
            return Ok(());
        }
        for versions in summary.found.chunk_by(|a, b| a.path == b.path) {
            put(out, &words(&summary, versions, terminal))?;
        }
        Ok(())
    })?;
    Ok(exit::DONE)
}

fn options(args: FindArgs) -> Result<FindOptions> {
    let (mut patterns, mut ipatterns) = (args.patterns, args.iname);
    if args.ignore_case {
        ipatterns.append(&mut patterns);
    }
    let mut options = FindOptions {
        patterns,
        ipatterns,
        kinds: args.kind.iter().map(|kind| kind.letter()).collect(),
        newer: args.newer.as_deref().map(time::parse).transpose()?,
        older: args.older.as_deref().map(time::parse).transpose()?,
        chunk: args.content,
        snapshots: args.snapshots,
        filter: filter_of(&args.filter)?,
        ..FindOptions::default()
    };
    for text in &args.size {
        let (least, most) = sizes(text)?;
        options.size_min = options.size_min.max(least);
        options.size_max = match (options.size_max, most) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
    }
    if let Some(place) = &args.content_of {
        let (name, Some(path)) = split(place) else {
            return Err(usage("no path in the snapshot was given")
                .subject(place.to_string_lossy())
                .hint("name it behind a colon: --content-of latest:/home/ann/photo.jpg"));
        };
        options.content_of = Some((name, path));
    }
    Ok(options)
}

/// Fewest and most bytes that `+SIZE`, `-SIZE` or `SIZE` means.
fn sizes(text: &str) -> Result<(Option<u64>, Option<u64>)> {
    if let Some(more) = text.strip_prefix('+') {
        return Ok((Some(size::parse(more)?.saturating_add(1)), None));
    }
    if let Some(less) = text.strip_prefix('-') {
        let most = size::parse(less)?.checked_sub(1).ok_or_else(|| {
            Error::new(Kind::Usage, "no file is smaller than nothing").subject(text)
        })?;
        return Ok((None, Some(most)));
    }
    let exact = size::parse(text)?;
    Ok((Some(exact), Some(exact)))
}

fn ends<'s>(summary: &'s FindSummary, found: &Found) -> [&'s Snapshot; 2] {
    [found.first, found.last].map(|at| &summary.snapshots[at])
}

fn line(summary: &FindSummary, found: &Found) -> MatchLine {
    let [first, last] = ends(summary, found);
    MatchLine {
        node: NodeObject::named("match", &found.path, &found.listed),
        host: last.host.clone(),
        first_snapshot: first.id.hex(),
        first_time: time::rfc3339(first.time),
        last_snapshot: last.id.hex(),
        last_time: time::rfc3339(last.time),
        snapshot_count: found.snapshots,
    }
}

/// The path, and a line below it for each version.
fn words(summary: &FindSummary, versions: &[Found], terminal: bool) -> Vec<u8> {
    let mut out = Vec::new();
    let Some(first) = versions.first() else {
        return out;
    };
    out.extend(text::raw_or_safe(&first.path, terminal));
    if matches!(first.listed.entry.node, Node::Directory(_)) && first.path != b"/" {
        out.push(b'/');
    }
    out.push(b'\n');
    let several = |snapshot: &&Snapshot| snapshot.host != summary.snapshots[first.last].host;
    let hosts = summary.snapshots.iter().any(|snapshot| several(&snapshot));
    for found in versions {
        let [first, last] = ends(summary, found);
        let entry = &found.listed.entry;
        let bytes = match node::size(&entry.node) {
            Some(bytes) => size::show(bytes),
            None => node::kind(&entry.node).to_owned(),
        };
        // Writing to a vector cannot fail.
        let _ = write!(
            out,
            "    {bytes:>10}  {}  in {}",
            time::local(entry.mtime),
            stands(first, last, found.snapshots)
        );
        if hosts {
            let _ = write!(out, " of {}", text::safe(&last.host));
        }
        out.push(b'\n');
    }
    out
}

/// Which snapshots: `3f2a1b00 (2026-11-20 14:00:00)`, or the first and last of a run.
pub fn stands(first: &Snapshot, last: &Snapshot, count: u64) -> String {
    let one =
        |snapshot: &Snapshot| format!("{} ({})", snapshot.id.short(), time::local(snapshot.time));
    if count == 1 {
        one(last)
    } else {
        format!(
            "{} .. {}, {}",
            one(first),
            one(last),
            text::plural(count, "snapshot", "snapshots")
        )
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::cli::commands::snapshots::tests::sample;
    use crate::cli::json::tests::documented;
    use crate::cli::node::tests::listed;

    #[test]
    fn sizes_as_find_has_them() {
        assert_eq!(sizes("+1K").unwrap(), (Some(1025), None));
        assert_eq!(sizes("-1K").unwrap(), (None, Some(1023)));
        assert_eq!(sizes("7").unwrap(), (Some(7), Some(7)));
        for wrong in ["-0", "+", "big", "--1"] {
            assert_eq!(sizes(wrong).unwrap_err().kind(), Kind::Usage, "{wrong}");
        }
    }

    #[test]
    fn a_match_in_words_and_as_an_object() {
        let found = Found {
            path: b"/d/p\x1b".to_vec(),
            listed: listed(b"p\x1b", 0o600, Node::Fifo),
            first: 0,
            last: 1,
            snapshots: 2,
        };
        let summary = FindSummary {
            snapshots: vec![sample(1, "h", b"/d"), sample(2, "h", b"/d")],
            found: vec![found],
        };
        let object = documented("find", &line(&summary, &summary.found[0]));
        assert_eq!(object["message_type"], "match");
        assert_eq!(object["type"], "fifo");
        assert_eq!(object["snapshot_count"], 2);
        let shown = String::from_utf8(words(&summary, &summary.found, true)).unwrap();
        assert!(shown.starts_with("/d/p\\x1b\n          fifo  "), "{shown}");
        assert!(shown.contains(" in 01010101 ("), "{shown}");
        assert!(shown.ends_with("), 2 snapshots\n"), "{shown}");
    }
}
