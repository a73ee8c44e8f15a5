//! `duramen history`.

use std::process::ExitCode;

use duramen::error::Result;
use duramen::format::entry::Node;
use duramen::ops::history::{self, HistorySummary, Stretch, Version};
use serde::Serialize;

use super::document_history;
use crate::cli::args::HistoryArgs;
use crate::cli::context::{Context, absolute_bytes, filter_of};
use crate::cli::json::{hex_unless_utf8, lossy};
use crate::cli::node::{self, NodeObject};
use crate::cli::output::{self, json_line, put};
use crate::cli::{exit, opening, size, text, time};

/// A run of snapshots in which the path stood unchanged, or was gone.
#[derive(Serialize)]
struct StretchLine {
    #[serde(flatten)]
    node: Option<NodeObject>,
    #[serde(flatten)]
    gone: Option<GoneObject>,
    host: String,
    version: Option<u64>,
    differences: Vec<&'static str>,
    same_content_as_version: Option<u64>,
    first_snapshot: String,
    first_time: String,
    last_snapshot: String,
    last_time: String,
    snapshot_count: u64,
}

#[derive(Serialize)]
struct GoneObject {
    message_type: &'static str,
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    path_bytes_hex: Option<String>,
}

/// `duramen history PATH`.
pub fn run(context: &Context, args: &HistoryArgs) -> Result<ExitCode> {
    if let Some(id) = &args.id {
        return document_history::run(context, args, id);
    }
    let path = absolute_bytes(&args.path)?;
    let filter = filter_of(&args.filter)?;
    let reporter = context.reporter_beside_results("history");
    let repository = opening::open(context, &reporter)?;
    let summary = history::run(&repository, &path, &filter, &reporter)?;
    reporter.finish();
    let text = if context.global.json {
        lines(&summary, &path)?
    } else {
        words(&summary)
    };
    output::results(|out| put(out, text.as_bytes()))?;
    Ok(exit::DONE)
}

/// Each stretch with the number of its version, from 1.
fn numbered(stretches: &[Stretch]) -> impl Iterator<Item = (&Stretch, Option<(u64, &Version)>)> {
    let mut number = 0;
    stretches.iter().map(move |stretch| {
        let version = stretch.version.as_ref().map(|version| {
            number += 1;
            (number, version)
        });
        (stretch, version)
    })
}

fn lines(summary: &HistorySummary, path: &[u8]) -> Result<String> {
    let mut out = String::new();
    for (host, stretches) in &summary.hosts {
        for (stretch, version) in numbered(stretches) {
            out.push_str(&json_line(&line(summary, path, host, stretch, version))?);
        }
    }
    Ok(out)
}

fn line(
    summary: &HistorySummary,
    path: &[u8],
    host: &str,
    stretch: &Stretch,
    version: Option<(u64, &Version)>,
) -> StretchLine {
    let (first, last) = (
        &summary.snapshots[stretch.first],
        &summary.snapshots[stretch.last],
    );
    let held = version.map(|(_, version)| version);
    StretchLine {
        node: held.map(|held| NodeObject::named("version", path, &held.listed)),
        gone: held.is_none().then(|| GoneObject {
            message_type: "gone",
            path: lossy(path),
            path_bytes_hex: hex_unless_utf8(path),
        }),
        host: host.to_owned(),
        version: version.map(|(number, _)| number),
        differences: held.map(|held| held.what.words()).unwrap_or_default(),
        same_content_as_version: held
            .and_then(|held| held.same_content_as)
            .map(|earlier| earlier as u64 + 1),
        first_snapshot: first.id.hex(),
        first_time: time::rfc3339(first.time),
        last_snapshot: last.id.hex(),
        last_time: time::rfc3339(last.time),
        snapshot_count: stretch.snapshots,
    }
}

fn words(summary: &HistorySummary) -> String {
    let mut out = String::new();
    for (at, (host, stretches)) in summary.hosts.iter().enumerate() {
        if summary.hosts.len() > 1 {
            let gap = if at > 0 { "\n" } else { "" };
            out.push_str(&format!("{gap}on {}\n", text::safe(host)));
        }
        let heads = [
            "version",
            "size",
            "modified",
            "from",
            "to",
            "snapshots",
            "what changed",
        ];
        let mut rows = vec![heads.map(String::from).to_vec()];
        rows.extend(numbered(stretches).map(|(stretch, version)| row(summary, stretch, version)));
        out.push_str(&text::table(
            &rows,
            &[true, true, false, false, false, true, false],
        ));
    }
    out
}

fn row(
    summary: &HistorySummary,
    stretch: &Stretch,
    version: Option<(u64, &Version)>,
) -> Vec<String> {
    let named = |at: usize| {
        let snapshot = &summary.snapshots[at];
        format!("{} {}", snapshot.id.short(), time::local(snapshot.time))
    };
    let (from, to) = (named(stretch.first), named(stretch.last));
    let count = text::count(stretch.snapshots);
    let Some((number, version)) = version else {
        return vec![
            "-".into(),
            "-".into(),
            "-".into(),
            from,
            to,
            count,
            "gone".into(),
        ];
    };
    let entry = &version.listed.entry;
    let bytes = match &entry.node {
        Node::Directory(directory) => size::show(directory.bytes),
        node => node::size(node).map_or_else(|| "-".into(), size::show),
    };
    let mut what = match number {
        1 => format!("first seen ({})", node::kind(&entry.node)),
        _ => version.what.words().join(", "),
    };
    if what.is_empty() {
        what = "back as it was".into();
    }
    if let Some(earlier) = version.same_content_as {
        what.push_str(&format!("; the same content as version {}", earlier + 1));
    }
    vec![
        number.to_string(),
        bytes,
        time::local(entry.mtime),
        from,
        to,
        count,
        what,
    ]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::cli::commands::snapshots::tests::sample;
    use crate::cli::json::tests::documented;
    use crate::cli::node::tests::listed;
    use duramen::ops::diff::Differences;

    fn stretch(at: usize, version: Option<Version>) -> Stretch {
        Stretch {
            version,
            first: at,
            last: at,
            snapshots: 1,
        }
    }

    fn version(what: Differences, same_content_as: Option<usize>) -> Option<Version> {
        Some(Version {
            listed: listed(b"f", 0o644, Node::Fifo),
            what,
            same_content_as,
        })
    }

    #[test]
    fn versions_are_numbered_and_gaps_are_named() {
        let content = Differences {
            content: true,
            ..Differences::default()
        };
        let stretches = vec![
            stretch(0, version(Differences::default(), None)),
            stretch(1, None),
            stretch(2, version(Differences::default(), None)),
            stretch(3, version(content, Some(0))),
        ];
        let summary = HistorySummary {
            snapshots: (1..5).map(|id| sample(id, "h", b"/")).collect(),
            hosts: vec![("h".into(), stretches)],
        };
        let shown = words(&summary);
        let ends: Vec<&str> = shown
            .lines()
            .map(|line| line.rsplit("  ").next().unwrap())
            .collect();
        assert_eq!(
            ends,
            [
                "what changed",
                "first seen (fifo)",
                "gone",
                "back as it was",
                "content; the same content as version 1"
            ],
            "{shown}"
        );
        let objects: Vec<serde_json::Value> = numbered(&summary.hosts[0].1)
            .map(|(stretch, version)| {
                documented("history", &line(&summary, b"/f", "h", stretch, version))
            })
            .collect();
        let fields = |name: &str| {
            objects
                .iter()
                .map(|it| it[name].clone())
                .collect::<Vec<_>>()
        };
        assert_eq!(
            fields("message_type"),
            ["version", "gone", "version", "version"]
        );
        assert_eq!(
            serde_json::json!(fields("version")),
            serde_json::json!([1, null, 2, 3])
        );
        assert_eq!(objects[3]["same_content_as_version"], 1);
        assert_eq!(objects[1]["path"], "/f");
    }
}
