//! `duramen prune`.

use std::process::ExitCode;

use duramen::error::{Error, Kind, Result};
use duramen::ops::prune::{self, PruneOptions, PruneReport, Until, Unused, Wait};
use serde::Serialize;

use crate::cli::args::{PruneArgs, PruneHow};
use crate::cli::context::Context;
use crate::cli::{exit, opening, size, text, time};

#[derive(Serialize)]
struct SummaryObject {
    message_type: &'static str,
    dry_run: bool,
    snapshots: u64,
    snapshots_gone: u64,
    sessions_expired: u64,
    chunks_needed: u64,
    packs: u64,
    bytes_total: u64,
    bytes_unused: u64,
    packs_marked: u64,
    bytes_marked: u64,
    bytes_copied: u64,
    bytes_unused_kept: u64,
    packs_deleted: u64,
    bytes_deleted: u64,
    packs_unreadable: u64,
    segments_removed: u64,
    segments_written: u64,
    wait_count: u64,
    waits: Vec<WaitObject>,
}

#[derive(Serialize)]
struct WaitObject {
    what: String,
    until: Option<String>,
    session: Option<String>,
    host: Option<String>,
    user: Option<String>,
    process: Option<u32>,
    started: Option<String>,
    renewed: Option<String>,
}

/// `duramen prune`.
pub fn run(context: &Context, args: &PruneArgs) -> Result<ExitCode> {
    let options = options(&args.how)?;
    let reporter = context.reporter("prune");
    let repository = opening::open(context, &reporter)?;
    let report = prune::run(&repository, &options, args.dry_run, &reporter)?;
    reporter.finish();
    tell(context, &report, args.dry_run)
}

/// Tells what was done.
///
/// # Errors
/// Where it cannot be written.
pub fn tell(context: &Context, report: &PruneReport, dry_run: bool) -> Result<ExitCode> {
    context.tell(&object(report, dry_run), || words(report, dry_run))?;
    Ok(exit::of_prune(report))
}

/// What the flags say.
///
/// # Errors
/// [`Kind::Usage`] naming what makes no sense.
pub fn options(how: &PruneHow) -> Result<PruneOptions> {
    Ok(PruneOptions {
        grace: time::duration(&how.grace)?,
        session_expiry: time::duration(&how.session_expiry)?,
        max_unused: unused(&how.max_unused)?,
        max_repack: how
            .max_repack_size
            .as_deref()
            .map(size::parse)
            .transpose()?,
        purge: how.purge,
    })
}

fn unused(text: &str) -> Result<Unused> {
    if text == "unlimited" {
        return Ok(Unused::Any);
    }
    let Some(percent) = text.strip_suffix('%') else {
        return Ok(Unused::Bytes(size::parse(text)?));
    };
    match percent.trim().parse::<f64>() {
        Ok(percent) if (0.0..=100.0).contains(&percent) => Ok(Unused::Share(percent / 100.0)),
        _ => Err(Error::new(Kind::Usage, "not a share")
            .subject(text)
            .hint("write a share like 5%, a size like 10G, or unlimited")),
    }
}

fn object(report: &PruneReport, dry_run: bool) -> SummaryObject {
    SummaryObject {
        message_type: "summary",
        dry_run,
        snapshots: report.snapshots,
        snapshots_gone: report.snapshots_gone,
        sessions_expired: report.expired,
        chunks_needed: report.chunks,
        packs: report.packs,
        bytes_total: report.bytes,
        bytes_unused: report.unused,
        packs_marked: report.marked_packs,
        bytes_marked: report.marked,
        bytes_copied: report.copied,
        bytes_unused_kept: report.stays_unused,
        packs_deleted: report.deleted_packs,
        bytes_deleted: report.deleted,
        packs_unreadable: report.unreadable,
        segments_removed: report.segments.removed,
        segments_written: report.segments.written,
        wait_count: report.wait_count,
        waits: report.waits.iter().map(wait_object).collect(),
    }
}

fn wait_object(wait: &Wait) -> WaitObject {
    let mut object = WaitObject {
        what: wait.what.clone(),
        until: None,
        session: None,
        host: None,
        user: None,
        process: None,
        started: None,
        renewed: None,
    };
    match &wait.until {
        Until::Time(at) => object.until = Some(time::rfc3339(*at)),
        Until::Session { id, who } => {
            object.session = Some(id.hex());
            if let Some(who) = who {
                object.host = Some(who.host.clone());
                object.user = Some(who.user.clone());
                object.process = Some(who.process);
                object.started = Some(time::rfc3339(who.started));
                object.renewed = Some(time::rfc3339(who.renewed));
            }
        }
    }
    object
}

fn words(report: &PruneReport, dry_run: bool) -> String {
    let mut words = String::new();
    let mut line = |name: &str, rest: String| words.push_str(&format!("{name:<11}{rest}\n"));
    let packs = |count: u64| text::plural(count, "pack", "packs");
    if report.expired > 0 {
        let sessions = text::plural(report.expired, "silent session", "silent sessions");
        line("given up", sessions);
    }
    line(
        "needed",
        format!(
            "{} in {} for {}",
            text::plural(report.chunks, "chunk", "chunks"),
            packs(report.packs),
            text::plural(report.snapshots, "snapshot", "snapshots"),
        ),
    );
    line(
        "unused",
        format!(
            "{} of {}",
            size::show(report.unused),
            size::show(report.bytes)
        ),
    );
    if report.snapshots_gone > 0 {
        let snapshots = text::plural(report.snapshots_gone, "snapshot", "snapshots");
        line("gone", format!("{snapshots} for good"));
    }
    line(
        if dry_run { "would mark" } else { "marked" },
        format!(
            "{}, {}; {} of them copied; {} unused stay",
            packs(report.marked_packs),
            size::show(report.marked),
            size::show(report.copied),
            size::show(report.stays_unused),
        ),
    );
    if !dry_run {
        line(
            "deleted",
            format!(
                "{}, {} freed",
                packs(report.deleted_packs),
                size::show(report.deleted)
            ),
        );
    }
    for wait in &report.waits {
        line("waits", waits(wait));
    }
    let hidden = report.wait_count.saturating_sub(report.waits.len() as u64);
    if hidden > 0 {
        line("waits", format!("and {} more", text::count(hidden)));
    }
    if report.unreadable > 0 {
        let unreadable = packs(report.unreadable);
        line(
            "damage",
            format!(
                "{unreadable} kept: something needed in them cannot be read; see `duramen check --read-data`"
            ),
        );
    }
    words
}

fn waits(wait: &Wait) -> String {
    let what = text::safe(&wait.what);
    match &wait.until {
        Until::Time(at) => format!("{what}: until {}", time::local(*at)),
        Until::Session { id, who: None } => {
            format!("{what}: for session {}, which cannot be read", id.short())
        }
        Until::Session { id, who: Some(who) } => format!(
            "{what}: for {}@{} (process {}, session {}), at work since {}, last heard of {}",
            text::safe(&who.user),
            text::safe(&who.host),
            who.process,
            id.short(),
            time::local(who.started),
            time::local(who.renewed)
        ),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::cli::json::tests::documented;
    use duramen::id::SessionId;

    #[test]
    fn limits_are_read_as_people_write_them() {
        assert_eq!(unused("5%").unwrap(), Unused::Share(0.05));
        assert_eq!(unused("0").unwrap(), Unused::Bytes(0));
        assert_eq!(unused("1G").unwrap(), Unused::Bytes(1 << 30));
        assert_eq!(unused("unlimited").unwrap(), Unused::Any);
        for wrong in ["101%", "-1%", "%", "many"] {
            assert_eq!(unused(wrong).unwrap_err().kind(), Kind::Usage, "{wrong}");
        }
    }

    #[test]
    fn what_waits_is_told() {
        let session = Wait {
            what: "3 packs".into(),
            until: Until::Session {
                id: SessionId([7; 16]),
                who: None,
            },
        };
        let grace = Wait {
            what: "snapshot 0a".into(),
            until: Until::Time(0),
        };
        let report = PruneReport {
            waits: vec![session, grace],
            wait_count: 5,
            ..PruneReport::default()
        };
        let told = words(&report, false);
        assert!(told.contains("3 packs: for session 07070707"), "{told}");
        assert!(told.contains("and 3 more"), "{told}");
        let object = documented("prune", &object(&report, true));
        assert_eq!(
            object["waits"][1]["until"],
            "1970-01-01T00:00:00.000000000Z"
        );
    }
}
