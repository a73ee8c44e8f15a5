//! `duramen check`.

use std::process::ExitCode;

use duramen::error::Result;
use duramen::ops::check::{self, CheckOptions, CheckSummary, ReadData};
use serde::Serialize;

use super::findings::{self, FindingObject};
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
    read_data_subset: Option<String>,
    seed: Option<u64>,
    packs_read: u64,
    recorded: u64,
    bytes_read: u64,
    finding_count: u64,
    findings: Vec<FindingObject>,
    total_duration: f64,
}

/// `duramen check [SNAPSHOT...]`.
pub fn run(context: &Context, args: &CheckArgs) -> Result<ExitCode> {
    let reporter = context.reporter("check");
    let repository = opening::open(context, &reporter)?;
    let read = match &args.read_data_subset {
        Some((read, _)) => *read,
        None if args.read_data => ReadData::All,
        None => ReadData::None,
    };
    let options = CheckOptions {
        snapshots: args.snapshots.clone(),
        read,
        seed: args.seed,
        record: args.record,
    };
    let summary = check::run(&repository, &options, &reporter)?;
    reporter.finish();
    // Whoever looks at one terminal has seen the findings as they were made.
    let seen = context.environment.stdout_terminal && context.environment.stderr_terminal;
    context.tell(&object(&summary, args), || words(&summary, args, seen))?;
    Ok(exit::of_check(summary.damage_count))
}

fn object(summary: &CheckSummary, args: &CheckArgs) -> SummaryObject {
    SummaryObject {
        message_type: "summary",
        num_errors: summary.damage_count,
        snapshots: summary.snapshots,
        packs: summary.packs,
        segments: summary.segments,
        chunks: summary.chunks,
        trees: summary.trees,
        read_data: args.read_data,
        read_data_subset: args.read_data_subset.as_ref().map(|(_, text)| text.clone()),
        seed: summary.seed,
        packs_read: summary.packs_read,
        recorded: summary.recorded,
        bytes_read: summary.bytes_read,
        finding_count: summary.finding_count,
        findings: findings::objects(&summary.findings),
        total_duration: summary.seconds,
    }
}

fn words(summary: &CheckSummary, args: &CheckArgs, seen: bool) -> String {
    let mut words = String::new();
    if !seen {
        words.push_str(&findings::lines(&summary.findings, summary.finding_count));
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
    let read = || {
        format!(
            "{} in {} read and verified",
            size::show(summary.bytes_read),
            text::plural(summary.packs_read, "pack", "packs")
        )
    };
    words.push_str(&match (&args.read_data_subset, summary.seed) {
        (Some((_, subset)), Some(seed)) => {
            format!("data       {subset}: {}; --seed {seed}\n", read())
        }
        (Some((_, subset)), None) => format!("data       {subset}: {}\n", read()),
        (None, _) if args.read_data => format!("data       {}\n", read()),
        (None, _) => "data       not read (--read-data reads and verifies all of it)\n".into(),
    });
    if args.record {
        words.push_str(&format!(
            "recorded   with {}\n",
            text::plural(summary.recorded, "snapshot", "snapshots")
        ));
    }
    words.push_str(&findings::verdict(summary.damage_count));
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
        let mut args = CheckArgs {
            snapshots: Vec::new(),
            read_data: false,
            read_data_subset: None,
            seed: None,
            record: false,
        };
        let mut summary = CheckSummary {
            finding_count: 1,
            findings: vec![Finding {
                subject: "packs/ab".into(),
                what: "no segment names it".into(),
                damage: false,
            }],
            ..CheckSummary::default()
        };
        assert!(words(&summary, &args, false).ends_with("no damage found\n"));
        summary.findings[0].damage = true;
        // However many notes came first.
        summary.damage_count = 1;
        assert_eq!(exit::of_check(summary.damage_count), ExitCode::from(4));
        assert!(words(&summary, &args, false).starts_with("damage  packs/ab: no segment"));
        assert!(words(&summary, &args, true).starts_with("checked "));
        args.read_data_subset = Some((ReadData::Percent(5.0), "5%".into()));
        summary.seed = Some(7);
        assert!(
            words(&summary, &args, true)
                .contains("5%: 0 B in 0 packs read and verified; --seed 7\n")
        );
        let object = documented("check", &object(&summary, &args));
        assert_eq!(object["num_errors"], 1);
        assert_eq!(object["findings"][0]["subject"], "packs/ab");
        assert_eq!(object["read_data_subset"], "5%");
    }
}
