//! `duramen checkout` and `duramen unmount`.

use std::io::{BufRead, BufReader, Write as _};
use std::process::ExitCode;

use duramen::error::{Error, Kind, Result};
use duramen::ops::checkout::{self, Changed, CheckoutOptions, Plan, UnmountSummary};
use duramen::ops::restore::RestoreSummary;
use serde::Serialize;

use super::split;
use crate::cli::args::{CheckoutArgs, UnmountArgs};
use crate::cli::context::Context;
use crate::cli::json::{self, ProblemObject, hex_unless_utf8, lossy};
use crate::cli::{exit, opening, output, size, text, time};

/// Changed paths that are shown; the rest are counted.
const CHANGED_SHOWN: usize = 10;

#[derive(Serialize)]
struct PlanLine {
    message_type: &'static str,
    snapshot_id: String,
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    path_bytes_hex: Option<String>,
    from_snapshot_id: Option<String>,
    interrupted: bool,
    files_to_write: u64,
    bytes_to_write: u64,
    files_unchanged: u64,
    entries_to_delete: u64,
    changed_by_hand: u64,
    changed_paths: Vec<ChangedObject>,
    bytes_free: Option<u64>,
    seconds_estimated: f64,
}

#[derive(Serialize)]
struct ChangedObject {
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    path_bytes_hex: Option<String>,
}

#[derive(Serialize)]
struct SummaryObject {
    message_type: &'static str,
    snapshot_id: String,
    folder: String,
    files_written: u64,
    bytes_written: u64,
    files_unchanged: u64,
    entries_deleted: u64,
    damage: bool,
    problem_count: u64,
    problems: Vec<ProblemObject>,
    total_duration: f64,
}

#[derive(Serialize)]
struct UnmountObject {
    message_type: &'static str,
    folder: String,
    entries_removed: u64,
    folder_removed: bool,
    problem_count: u64,
}

/// `duramen checkout SNAP[:PATH] DIR`.
pub fn run(context: &Context, args: &CheckoutArgs) -> Result<ExitCode> {
    let (name, path) = split(&args.snapshot);
    let reporter = context.reporter("checkout");
    let repository = opening::open(context, &reporter)?;
    let snapshot = context.snapshot(&repository, &name, &args.filter)?;
    let shown = path.clone().unwrap_or_else(|| b"/".to_vec());
    let options = CheckoutOptions {
        path,
        folder: args.folder.clone(),
    };
    let prepared = checkout::prepare(&repository, &snapshot, &options, &reporter)?;
    let plan = prepared.plan();
    let line = plan_line(plan, snapshot.id.hex(), &shown);
    if args.dry_run {
        reporter.finish();
        context.tell(&line, || plan_words(plan))?;
        return Ok(exit::DONE);
    }
    if context.global.json && !context.global.quiet {
        output::about_work(&output::json_line(&line)?)?;
    }
    let go_on = || -> Result<()> {
        if !context.global.json {
            context.remark(&plan_words(plan));
        }
        if plan.asks() && !args.yes {
            consent(context, &why(plan))?;
        }
        Ok(())
    };
    reporter.aside(go_on)?;
    let summary = prepared.run(&reporter)?;
    reporter.finish();
    let folder = args.folder.display().to_string();
    let object = object(&summary, snapshot.id.hex(), folder.clone());
    context.tell(&object, || words(&summary, &snapshot.id.short(), &folder))?;
    Ok(exit::of_restore(&summary))
}

/// `duramen unmount DIR`.
pub fn unmount(context: &Context, args: &UnmountArgs) -> Result<ExitCode> {
    let reporter = context.reporter_beside_results("unmount");
    let prepared = checkout::prepare_unmount(&args.folder, &reporter)?;
    let changed = prepared.changed();
    if changed.count > 0 {
        let go_on = || -> Result<()> {
            if !context.global.json {
                context.remark(&changed_words(changed));
            }
            if args.yes {
                return Ok(());
            }
            consent(context, &lost(changed))
        };
        reporter.aside(go_on)?;
    }
    let summary = prepared.run(&reporter)?;
    reporter.finish();
    let folder = args.folder.display().to_string();
    let object = UnmountObject {
        message_type: "summary",
        folder: folder.clone(),
        entries_removed: summary.entries,
        folder_removed: summary.folder_removed,
        problem_count: summary.problems,
    };
    context.tell(&object, || unmount_words(&summary, &folder))?;
    Ok(if summary.problems > 0 {
        exit::of_error(Kind::Failed)
    } else {
        exit::DONE
    })
}

/// Asks whoever can be asked.
///
/// # Errors
/// [`Kind::Usage`] saying `why` where nobody can be, [`Kind::Interrupted`] where the answer is no.
fn consent(context: &Context, why: &str) -> Result<()> {
    let refused = || Error::new(Kind::Usage, why).hint("say --yes to go on all the same");
    if context.global.json || !context.environment.can_ask {
        return Err(refused());
    }
    let Ok(terminal) = std::fs::File::open("/dev/tty") else {
        return Err(refused());
    };
    // Nowhere is left to ask where standard error is gone; then no answer comes either.
    let _ = std::io::stderr()
        .lock()
        .write_all(format!("{}. Go on? [y/N] ", text::safe(why)).as_bytes());
    let mut answer = String::new();
    BufReader::new(terminal)
        .read_line(&mut answer)
        .map_err(|error| Error::io_named("read the answer from", "the terminal", error))?;
    if matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes") {
        Ok(())
    } else {
        Err(Error::new(Kind::Interrupted, "nothing was done"))
    }
}

/// What makes it worth asking.
fn why(plan: &Plan) -> String {
    if plan.changed.count > 0 {
        return lost(&plan.changed);
    }
    let much = format!(
        "{} in {} would be written",
        size::show(plan.bytes),
        text::plural(plan.files, "file", "files")
    );
    match plan.free {
        Some(free) if free < plan.bytes => {
            format!("{much}, and {} are free", size::show(free))
        }
        _ => much,
    }
}

fn lost(changed: &Changed) -> String {
    format!(
        "{} by hand in this checkout would be lost",
        text::plural(changed.count, "change", "changes")
    )
}

fn changed_words(changed: &Changed) -> String {
    let mut words = format!(
        "changed by hand: {}\n",
        text::plural(changed.count, "entry", "entries")
    );
    for path in changed.paths.iter().take(CHANGED_SHOWN) {
        words.push_str(&format!("  {}\n", text::safe_bytes(path)));
    }
    let rest = changed.count.saturating_sub(CHANGED_SHOWN as u64);
    if rest > 0 {
        words.push_str(&format!("  and {} more\n", text::count(rest)));
    }
    words
}

fn plan_words(plan: &Plan) -> String {
    let mut words = String::new();
    if plan.interrupted {
        words
            .push_str("a checkout that did not come to its end stands there; it is gone on with\n");
    } else if let Some(from) = &plan.from {
        words.push_str(&format!(
            "snapshot {} stands there now\n",
            from.snapshot.short()
        ));
    }
    if plan.all_anew {
        words.push_str("what stands there is known to no snapshot any more: all is written anew\n");
    }
    if plan.changed.count > 0 {
        words.push_str(&changed_words(&plan.changed));
    }
    let span = if plan.seconds < 1.0 {
        "less than a second".into()
    } else {
        format!("about {}", time::span(plan.seconds))
    };
    words.push_str(&format!(
        "to write   {}, {}, {span}\n",
        text::plural(plan.files, "file", "files"),
        size::show(plan.bytes)
    ));
    if plan.unchanged > 0 || plan.deletes > 0 {
        words.push_str(&format!(
            "to delete  {}\nto keep    {}\n",
            text::plural(plan.deletes, "entry", "entries"),
            text::plural(plan.unchanged, "file", "files")
        ));
    }
    words
}

fn plan_line(plan: &Plan, snapshot_id: String, path: &[u8]) -> PlanLine {
    PlanLine {
        message_type: "plan",
        snapshot_id,
        path: lossy(path),
        path_bytes_hex: hex_unless_utf8(path),
        from_snapshot_id: plan.from.as_ref().map(|from| from.snapshot.hex()),
        interrupted: plan.interrupted,
        files_to_write: plan.files,
        bytes_to_write: plan.bytes,
        files_unchanged: plan.unchanged,
        entries_to_delete: plan.deletes,
        changed_by_hand: plan.changed.count,
        changed_paths: plan
            .changed
            .paths
            .iter()
            .map(|path| ChangedObject {
                path: lossy(path),
                path_bytes_hex: hex_unless_utf8(path),
            })
            .collect(),
        bytes_free: plan.free,
        seconds_estimated: plan.seconds,
    }
}

fn object(summary: &RestoreSummary, snapshot_id: String, folder: String) -> SummaryObject {
    SummaryObject {
        message_type: "summary",
        snapshot_id,
        folder,
        files_written: summary.files_restored,
        bytes_written: summary.bytes_restored,
        files_unchanged: summary.files_unchanged,
        entries_deleted: summary.files_deleted,
        damage: summary.damage,
        problem_count: summary.problem_count,
        problems: json::problems(&summary.problems),
        total_duration: summary.seconds,
    }
}

fn words(summary: &RestoreSummary, short_id: &str, folder: &str) -> String {
    let mut words = format!(
        "written    {}, {}, in {}\n",
        text::plural(summary.files_restored, "file", "files"),
        size::show(summary.bytes_restored),
        time::span(summary.seconds)
    );
    for (what, number) in [
        ("kept", summary.files_unchanged),
        ("deleted", summary.files_deleted),
        ("failed", summary.problem_count),
    ] {
        if number > 0 {
            words.push_str(&format!("{what:<9}  {}\n", text::count(number)));
        }
    }
    if summary.damage {
        words.push_str("damage     some stored data is damaged; run duramen check --read-data\n");
    }
    let part = if summary.problem_count > 0 || summary.damage {
        " in part"
    } else {
        ""
    };
    words.push_str(&format!(
        "snapshot {short_id} stands{part} in {}; duramen unmount takes it away\n",
        text::safe(folder)
    ));
    words
}

fn unmount_words(summary: &UnmountSummary, folder: &str) -> String {
    let folder = text::safe(folder);
    let removed = text::plural(summary.entries, "entry", "entries");
    if summary.problems > 0 {
        format!(
            "removed {removed}; {} could not be, and {folder} is still a checkout\n",
            text::count(summary.problems)
        )
    } else if summary.folder_removed {
        format!("removed {removed} and {folder}\n")
    } else {
        format!("removed {removed}; {folder} is empty again\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::json::tests::documented;

    #[test]
    fn a_plan_in_words_and_as_an_object() {
        let plan = Plan {
            interrupted: true,
            files: 1200,
            bytes: 3 << 30,
            unchanged: 7,
            deletes: 1,
            changed: Changed {
                paths: vec![b"a\x1b".to_vec(); 12],
                count: 13,
            },
            free: Some(1 << 30),
            seconds: 31.0,
            ..Plan::default()
        };
        let object = documented(
            "checkout, unmount",
            &plan_line(&plan, "ab".repeat(16), b"/\xff"),
        );
        assert_eq!(object["changed_by_hand"], 13);
        let shown = plan_words(&plan);
        for part in [
            "did not come to its end",
            "changed by hand: 13 entries\n  a\\x1b\n",
            "  and 3 more\n",
            "to write   1,200 files, 3.00 GiB, about 31 s\n",
            "to delete  1 entry\nto keep    7 files\n",
        ] {
            assert!(shown.contains(part), "{part}: {shown}");
        }
        assert!(plan.asks());
        assert_eq!(
            why(&plan),
            "13 changes by hand in this checkout would be lost"
        );
        let large = Plan {
            changed: Changed::default(),
            ..plan
        };
        assert!(large.asks());
        assert_eq!(
            why(&large),
            "3.00 GiB in 1,200 files would be written, and 1.00 GiB are free"
        );
        assert!(!Plan::default().asks());
    }

    #[test]
    fn the_end_in_words_and_as_an_object() {
        let summary = RestoreSummary {
            files_restored: 2,
            bytes_restored: 10,
            files_deleted: 1,
            seconds: 0.5,
            ..RestoreSummary::default()
        };
        documented(
            "checkout, unmount",
            &object(&summary, "ab".repeat(16), "/mnt".into()),
        );
        assert_eq!(
            words(&summary, "abababab", "/mnt"),
            "written    2 files, 10 B, in 0.5 s\ndeleted    1\n\
             snapshot abababab stands in /mnt; duramen unmount takes it away\n"
        );
        let removed = UnmountSummary {
            entries: 3,
            problems: 0,
            folder_removed: true,
        };
        assert_eq!(
            unmount_words(&removed, "/mnt"),
            "removed 3 entries and /mnt\n"
        );
    }
}
