//! `duramen check`.

use std::process::ExitCode;

use duramen::error::Result;
use duramen::ops::check::{self, CheckOptions, CheckSummary};
use serde::Serialize;

use crate::cli::args::CheckArgs;
use crate::cli::context::Context;
use crate::cli::{exit, opening, size, text, time};

#[derive(Serialize)]
struct SummaryObject {
    message_type: &'static str,
    num_errors: u64,
    snapshots: u64,
    packs: u64,
    segments: u64,
    chunks: u64,
    trees: u64,
    read_data: bool,
    bytes_read: u64,
    finding_count: u64,
    findings: Vec<FindingObject>,
    total_duration: f64,
}

#[derive(Serialize)]
struct FindingObject {
    subject: String,
    what: String,
    damage: bool,
}

/// `duramen check [--read-data]`.
pub fn run(context: &Context, args: &CheckArgs) -> Result<ExitCode> {
    let reporter = context.reporter("check");
    let repository = opening::open(context, &reporter)?;
    let options = CheckOptions {
        read_data: args.read_data,
    };
    let summary = check::run(&repository, &options, &reporter)?;
    reporter.finish();
    // Whoever looks at one terminal has seen the findings as they were made.
    let seen = context.environment.stdout_terminal && context.environment.stderr_terminal;
    context.tell(&object(&summary, args.read_data), || {
        words(&summary, args.read_data, seen)
    })?;
    Ok(exit::of_check(&summary))
}

fn damages(summary: &CheckSummary) -> u64 {
    summary
        .findings
        .iter()
        .filter(|finding| finding.damage)
        .count() as u64
}

fn object(summary: &CheckSummary, read_data: bool) -> SummaryObject {
    SummaryObject {
        message_type: "summary",
        num_errors: damages(summary),
        snapshots: summary.snapshots,
        packs: summary.packs,
        segments: summary.segments,
        chunks: summary.chunks,
        trees: summary.trees,
        read_data,
        bytes_read: summary.bytes_read,
        finding_count: summary.finding_count,
        findings: summary
            .findings
            .iter()
            .map(|finding| FindingObject {
                subject: finding.subject.clone(),
                what: finding.what.clone(),
                damage: finding.damage,
            })
            .collect(),
        total_duration: summary.seconds,
    }
}

fn words(summary: &CheckSummary, read_data: bool, seen: bool) -> String {
    let mut words = String::new();
    let findings = if seen { &[][..] } else { &summary.findings };
    for finding in findings {
        words.push_str(&format!(
            "{}  {}: {}\n",
            if finding.damage { "damage" } else { "note  " },
            text::safe(&finding.subject),
            text::safe(&finding.what)
        ));
    }
    let hidden = summary
        .finding_count
        .saturating_sub(summary.findings.len() as u64);
    if hidden > 0 && !seen {
        words.push_str(&format!("and {} more\n", text::count(hidden)));
    }
    words.push_str(&format!(
        "checked    {}, {}, {}, {}, {} in {}\n",
        text::plural(summary.snapshots, "snapshot", "snapshots"),
        text::plural(summary.trees, "tree", "trees"),
        text::plural(summary.segments, "segment", "segments"),
        text::plural(summary.packs, "pack", "packs"),
        text::plural(summary.chunks, "chunk", "chunks"),
        time::span(summary.seconds)
    ));
    words.push_str(&if read_data {
        format!(
            "data       {} read and verified\n",
            size::show(summary.bytes_read)
        )
    } else {
        "data       not read (--read-data reads and verifies all of it)\n".into()
    });
    words.push_str(&match damages(summary) {
        0 => "no damage found\n".to_string(),
        found => format!("{} found\n", text::plural(found, "damage", "damages")),
    });
    words
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::cli::json::tests::documented;
    use duramen::ops::check::Finding;
    use std::process::ExitCode;

    #[test]
    fn damage_is_told_and_notes_are_no_damage() {
        let mut summary = CheckSummary {
            finding_count: 1,
            findings: vec![Finding {
                subject: "packs/ab".into(),
                what: "no segment names it".into(),
                damage: false,
            }],
            ..CheckSummary::default()
        };
        assert_eq!(exit::of_check(&summary), exit::DONE);
        assert!(words(&summary, false, false).ends_with("no damage found\n"));
        summary.findings[0].damage = true;
        assert_eq!(exit::of_check(&summary), ExitCode::from(4));
        assert!(words(&summary, false, false).starts_with("damage  packs/ab: no segment"));
        assert!(words(&summary, false, true).starts_with("checked "));
        let object = documented("check", &object(&summary, true));
        assert_eq!(object["num_errors"], 1);
        assert_eq!(object["findings"][0]["subject"], "packs/ab");
    }
}
