//! `duramen scrub`.

use std::process::ExitCode;

use duramen::error::Result;
use duramen::ops::scrub::{self, ScrubSummary};
use serde::Serialize;

use super::findings::{self, FindingObject};
use crate::cli::context::Context;
use crate::cli::places::Place;
use crate::cli::{exit, opening, size, text, time};

#[derive(Serialize)]
struct SummaryObject {
    message_type: &'static str,
    num_errors: u64,
    repository: String,
    files: u64,
    snapshots: u64,
    packs: u64,
    segments: u64,
    bytes_read: u64,
    finding_count: u64,
    findings: Vec<FindingObject>,
    total_duration: f64,
}

/// `duramen scrub`: no credential is read, asked for or used.
pub fn run(context: &Context) -> Result<ExitCode> {
    let place = Place::choose(&context.global, &context.environment)?;
    let options = opening::options(context, &place)?;
    let reporter = context.reporter("scrub");
    let summary = scrub::run(&options, &reporter)?;
    reporter.finish();
    // Whoever looks at one terminal has seen the findings as they were made.
    let seen = context.environment.stdout_terminal && context.environment.stderr_terminal;
    context.tell(&object(&summary), || words(&summary, seen))?;
    Ok(exit::of_check(summary.damage_count))
}

fn object(summary: &ScrubSummary) -> SummaryObject {
    SummaryObject {
        message_type: "summary",
        num_errors: summary.damage_count,
        repository: summary.location.clone(),
        files: summary.files,
        snapshots: summary.snapshots,
        packs: summary.packs,
        segments: summary.segments,
        bytes_read: summary.bytes_read,
        finding_count: summary.finding_count,
        findings: findings::objects(&summary.findings),
        total_duration: summary.seconds,
    }
}

fn words(summary: &ScrubSummary, seen: bool) -> String {
    let mut words = String::new();
    if !seen {
        words.push_str(&findings::lines(&summary.findings, summary.finding_count));
    }
    words.push_str(&format!(
        "scrubbed   {} ({}, {}, {}), {} in {}\n",
        text::plural(summary.files, "file", "files"),
        text::plural(summary.packs, "pack", "packs"),
        text::plural(summary.segments, "segment", "segments"),
        text::plural(summary.snapshots, "snapshot", "snapshots"),
        size::show(summary.bytes_read),
        time::span(summary.seconds)
    ));
    words.push_str(&findings::verdict(summary.damage_count));
    words
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::cli::json::tests::documented;
    use duramen::ops::check::Finding;

    #[test]
    fn what_a_scrub_found_is_told() {
        let summary = ScrubSummary {
            files: 3,
            finding_count: 1,
            damage_count: 1,
            findings: vec![Finding {
                subject: "packs/ab\x1b".into(),
                what: "hash differs".into(),
                damage: true,
            }],
            ..ScrubSummary::default()
        };
        let shown = words(&summary, false);
        assert!(
            shown.starts_with("damage  packs/ab\\x1b: hash differs\n"),
            "{shown}"
        );
        assert!(shown.ends_with("1 damage found\n"), "{shown}");
        assert!(words(&summary, true).starts_with("scrubbed   3 files"));
        let object = documented("scrub", &object(&summary));
        assert_eq!(object["num_errors"], 1);
    }
}
