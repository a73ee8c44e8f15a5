//! `duramen repair`.

use std::process::ExitCode;

use duramen::error::Result;
use duramen::ops::repair::{self, Line, Lines, RepairOptions, RepairSummary, Replaced};
use serde::Serialize;

use crate::cli::args::RepairArgs;
use crate::cli::context::Context;
use crate::cli::json::{self, ProblemObject};
use crate::cli::{exit, opening, size, text, time};

/// Lost paths that are printed of each snapshot; `--json` and the new snapshot's record have more.
const LOST_SHOWN: usize = 20;

#[derive(Serialize)]
struct SummaryObject {
    message_type: &'static str,
    dry_run: bool,
    packs_indexed: u64,
    segments_removed: u64,
    packs_read: u64,
    bytes_read: u64,
    packs_dropped: u64,
    chunks_saved: u64,
    chunks_lost: u64,
    snapshots: u64,
    replaced: Vec<ReplacedObject>,
    mended_count: u64,
    mended: Vec<LineObject>,
    left_count: u64,
    left: Vec<LineObject>,
    total_duration: f64,
}

#[derive(Serialize)]
struct ReplacedObject {
    original: String,
    snapshot_id: Option<String>,
    lost_count: u64,
    lost: Vec<ProblemObject>,
}

#[derive(Serialize)]
struct LineObject {
    subject: String,
    what: String,
}

/// `duramen repair`.
pub fn run(context: &Context, args: &RepairArgs) -> Result<ExitCode> {
    let reporter = context.reporter("repair");
    let repository = opening::open(context, &reporter)?;
    let options = RepairOptions {
        read_data: args.read_data,
        dry_run: args.dry_run,
        keep: args.keep,
        forget_unreadable: args.forget_unreadable,
        force: args.force,
    };
    let summary = repair::run(&repository, &options, &reporter)?;
    reporter.finish();
    context.tell(&object(&summary, args.dry_run), || {
        words(&summary, &options)
    })?;
    Ok(exit::of_repair(&summary))
}

fn lines(lines: &Lines) -> Vec<LineObject> {
    let object = |line: &Line| LineObject {
        subject: line.subject.clone(),
        what: line.what.clone(),
    };
    lines.kept.iter().map(object).collect()
}

fn object(summary: &RepairSummary, dry_run: bool) -> SummaryObject {
    let report = &summary.report;
    let replaced = |one: &Replaced| ReplacedObject {
        original: one.original.hex(),
        snapshot_id: one.replacement.map(|id| id.hex()),
        lost_count: one.lost_count,
        lost: json::problems(&one.lost),
    };
    SummaryObject {
        message_type: "summary",
        dry_run,
        packs_indexed: report.packs_named,
        segments_removed: report.segments_removed,
        packs_read: report.packs_read,
        bytes_read: report.bytes_read,
        packs_dropped: report.packs_dropped,
        chunks_saved: report.chunks_saved,
        chunks_lost: report.chunks_lost,
        snapshots: report.snapshots,
        replaced: report.replaced.iter().map(replaced).collect(),
        mended_count: report.mended.count,
        mended: lines(&report.mended),
        left_count: report.left.count,
        left: lines(&report.left),
        total_duration: summary.seconds,
    }
}

fn list(words: &mut String, label: &str, lines: &Lines) {
    for Line { subject, what } in &lines.kept {
        let (subject, what) = (text::safe(subject), text::safe(what));
        words.push_str(&format!("{label}  {subject}: {what}\n"));
    }
    let more = lines.count.saturating_sub(lines.kept.len() as u64);
    if more > 0 {
        words.push_str(&format!("and {} more\n", text::count(more)));
    }
}

fn replacement(words: &mut String, one: &Replaced, options: &RepairOptions) {
    let lost = text::plural(one.lost_count, "path or document", "paths or documents");
    let original = one.original.short();
    words.push_str(&match one.replacement {
        None if !options.dry_run && options.keep => {
            format!("snapshot {original}: nothing of it is left\n")
        }
        None if !options.dry_run => {
            format!("snapshot {original}: nothing of it is left, and it was forgotten\n")
        }
        None => format!("snapshot {original} would be taken again without {lost}\n"),
        Some(id) if options.keep => {
            format!(
                "snapshot {original} was taken again as {} without {lost}\n",
                id.short()
            )
        }
        Some(id) => format!(
            "snapshot {original} was taken again as {} without {lost}, and forgotten\n",
            id.short()
        ),
    });
}

fn losses(words: &mut String, one: &Replaced) {
    for problem in one.lost.iter().take(LOST_SHOWN) {
        let path = text::safe(&json::lossy(&problem.path.0));
        words.push_str(&format!("lost    {path}: {}\n", text::safe(&problem.what)));
    }
    let more = one
        .lost_count
        .saturating_sub(one.lost.len().min(LOST_SHOWN) as u64);
    if more > 0 && one.lost_count > 0 {
        words.push_str(&format!("and {} more\n", text::count(more)));
    }
}

fn words(summary: &RepairSummary, options: &RepairOptions) -> String {
    let report = &summary.report;
    let mut words = String::new();
    let label = if options.dry_run { "would " } else { "mended" };
    list(&mut words, label, &report.mended);
    let mut before: Option<&Replaced> = None;
    for one in &report.replaced {
        replacement(&mut words, one, options);
        match before {
            Some(before) if before.lost == one.lost => {
                let same = format!("lost    the same as of {}\n", before.original.short());
                words.push_str(&same);
            }
            _ => losses(&mut words, one),
        }
        before = Some(one);
    }
    list(&mut words, "left  ", &report.left);
    words.push_str(&format!(
        "looked at  {}, {} ({}) in {}\n",
        text::plural(report.snapshots, "snapshot", "snapshots"),
        text::plural(report.packs_read, "pack", "packs"),
        size::show(report.bytes_read),
        time::span(summary.seconds)
    ));
    if !options.read_data {
        words.push_str("data       not read (--read-data reads and verifies all of it)\n");
    }
    if report.packs_dropped > 0 {
        words.push_str(&format!(
            "packs      {} dropped, {} saved, {} lost\n",
            text::count(report.packs_dropped),
            text::plural(report.chunks_saved, "chunk", "chunks"),
            text::count(report.chunks_lost)
        ));
    }
    words.push_str(
        match (report.mended.count, report.left.count, &report.replaced) {
            (0, 0, replaced) if replaced.is_empty() => "nothing to mend\n",
            (_, 1.., _) => "something is still damaged: see the lines that begin with `left`\n",
            _ if options.dry_run => "nothing was changed\n",
            (_, _, replaced) if replaced.is_empty() => "mended, and nothing was lost\n",
            _ => {
                "mended; take a snapshot of the sources now, it stores again what they still have\n"
            }
        },
    );
    words
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::cli::json::tests::documented;
    use duramen::format::snapshot::{PathBytes, Problem};
    use duramen::id::SessionId;

    #[test]
    fn what_was_lost_is_told_by_path_and_by_exit_code() {
        let mut summary = RepairSummary::default();
        let options = RepairOptions::default();
        assert_eq!(exit::of_repair(&summary), exit::DONE);
        assert!(words(&summary, &options).ends_with("nothing to mend\n"));
        summary.report.mended.count = 1;
        assert_eq!(exit::of_repair(&summary), exit::DONE);
        assert!(words(&summary, &options).ends_with("mended, and nothing was lost\n"));
        summary.report.mended.kept.push(Line {
            subject: "packs/ab/abcd".into(),
            what: "is missing: taken out of the index".into(),
        });
        summary
            .report
            .left
            .kept
            .clone_from(&summary.report.mended.kept);
        summary.report.replaced.push(Replaced {
            original: SessionId([1; 16]),
            replacement: Some(SessionId([2; 16])),
            lost: vec![Problem {
                path: PathBytes(b"/etc/\x1b[2Jshadow".to_vec()),
                what: "its content is lost".into(),
            }],
            lost_count: 3,
        });
        assert_eq!(exit::of_repair(&summary), ExitCode::from(4));
        let said = words(&summary, &options);
        assert!(said.contains("snapshot 01010101 was taken again as 02020202 without 3 paths"));
        assert!(said.contains("and 2 more\n"), "{said}");
        assert!(!said.contains('\x1b'), "{said}");
        let object = documented("repair", &object(&summary, false));
        assert_eq!(object["replaced"][0]["lost_count"], 3);
        assert_eq!(object["mended"][0]["subject"], "packs/ab/abcd");
    }
}
