//! `duramen rollback`.

use std::process::ExitCode;

use duramen::error::{Kind, Result};
use duramen::ops::rollback::{self, RollbackReport, RollbackSummary};
use duramen::ops::select::Filter;
use duramen::progress::Progress as _;
use serde::Serialize;

use super::restore_deployment::{DocumentsObject, FailedObject};
use crate::cli::args::RollbackArgs;
use crate::cli::context::Context;
use crate::cli::{deployment, exit, opening, text, time};

#[derive(Serialize)]
struct SummaryObject {
    message_type: &'static str,
    undo_snapshot_id: String,
    earlier_undo_snapshot_id: Option<String>,
    dry_run: bool,
    address: String,
    total_duration: f64,
    collections: Vec<CollectionObject>,
}

#[derive(Serialize)]
struct CollectionObject {
    target: String,
    dropped: bool,
    restored: DocumentsObject,
    removed: DocumentsObject,
    skipped: DocumentsObject,
    unchanged: u64,
    failed_count: u64,
    failed: Vec<FailedObject>,
    problems: Vec<String>,
}

impl From<&RollbackReport> for CollectionObject {
    fn from(own: &RollbackReport) -> Self {
        Self {
            target: own.target.clone(),
            dropped: own.dropped,
            restored: (&own.restored).into(),
            removed: (&own.removed).into(),
            skipped: (&own.skipped).into(),
            unchanged: own.unchanged,
            failed_count: own.failed_count,
            failed: own.failed.iter().map(Into::into).collect(),
            problems: own.problems.clone(),
        }
    }
}

/// `duramen rollback [ID]`.
pub fn run(context: &Context, args: &RollbackArgs) -> Result<ExitCode> {
    let reporter = context.reporter("rollback");
    let repository = opening::open(context, &reporter)?;
    let snapshot = match &args.id {
        Some(id) => duramen::ops::select::one(&repository, id, &Filter::default())?,
        None => {
            // Of a restore that kept nothing nobody knows: so it is said which one this is.
            let newest = rollback::newest(&repository)?;
            reporter.note(&format!(
                "{} takes back the restore of {} to {}",
                newest.id.short(),
                time::local(newest.time),
                rollback::address(&newest)?
            ));
            newest
        }
    };
    let address = match &args.target {
        Some(address) => address.clone(),
        None => rollback::address(&snapshot)?.to_owned(),
    };
    let address = deployment::with_password(context, &address)?;
    let summary = rollback::run(&repository, &snapshot, &address, args.dry_run, &reporter)?;
    reporter.finish();
    context.tell(&object(&summary, args.dry_run), || {
        words(&summary, args.dry_run)
    })?;
    Ok(if summary.is_well() {
        exit::DONE
    } else {
        exit::of_error(Kind::Failed)
    })
}

fn object(summary: &RollbackSummary, dry_run: bool) -> SummaryObject {
    SummaryObject {
        message_type: "summary",
        undo_snapshot_id: summary.id.hex(),
        earlier_undo_snapshot_id: summary.earlier.map(|id| id.hex()),
        dry_run,
        address: summary.address.clone(),
        total_duration: summary.seconds,
        collections: summary.collections.iter().map(Into::into).collect(),
    }
}

fn words(summary: &RollbackSummary, dry_run: bool) -> String {
    let mut words = String::new();
    for own in &summary.collections {
        let counts = [
            ("put back", own.restored.count),
            ("removed", own.removed.count),
            ("changed since and left", own.skipped.count),
            ("unchanged", own.unchanged),
            ("failed", own.failed_count),
        ];
        let counts = counts.into_iter().filter(|(_, count)| *count > 0);
        let mut parts: Vec<String> = counts
            .map(|(what, count)| format!("{} {what}", text::count(count)))
            .collect();
        if own.dropped {
            parts.push("dropped".into());
        }
        if parts.is_empty() {
            parts.push("nothing to do".into());
        }
        words.push_str(&format!(
            "{}: {}\n",
            text::safe(&own.target),
            parts.join(", ")
        ));
        for problem in &own.problems {
            words.push_str(&format!("  problem: {}\n", text::safe(problem)));
        }
        for failed in own.failed.iter().take(3) {
            let (id, why) = (text::safe(&failed.id), text::safe(&failed.why));
            words.push_str(&format!("  failed: {id}: {why}\n"));
        }
    }
    let address = text::safe(&summary.address);
    let took = time::span(summary.seconds);
    let left: u64 = summary
        .collections
        .iter()
        .map(|own| own.skipped.count)
        .sum();
    let but = match left {
        0 => String::new(),
        left => format!(
            " but for {} documents that are not what it made of them",
            text::count(left)
        ),
    };
    words.push_str(&match (dry_run, summary.is_well()) {
        (true, _) => format!("dry run: the restore to {address} would be taken back{but}\n"),
        (false, true) => format!("the restore to {address} is taken back{but}, in {took}\n"),
        (false, false) => format!("the restore to {address} is taken back in part, in {took}\n"),
    });
    if let Some(earlier) = &summary.earlier {
        let short = earlier.short();
        words.push_str(&format!(
            "an earlier restore of the same snapshot to this place is kept as {short}: duramen rollback {short} takes it back too\n"
        ));
    }
    words
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::cli::json::tests::documented;
    use duramen::id::SessionId;

    #[test]
    fn the_summary_for_people_and_for_scripts() {
        let mut own = RollbackReport {
            target: "shop.quotes".into(),
            unchanged: 2,
            ..RollbackReport::default()
        };
        own.restored.add(&(0x10, vec![7, 0, 0, 0])).unwrap();
        own.problems.push("no".into());
        let summary = RollbackSummary {
            id: SessionId([0xab; 16]),
            address: "mongodb://h".into(),
            earlier: None,
            collections: vec![own],
            seconds: 0.5,
        };
        assert_eq!(
            words(&summary, false),
            "shop.quotes: 1 put back, 2 unchanged\n  problem: no\n\
             the restore to mongodb://h is taken back in part, in 0.5 s\n"
        );
        let object = documented("rollback", &object(&summary, false));
        assert_eq!(object["collections"][0]["restored"]["ids"][0], "7");
    }
}
