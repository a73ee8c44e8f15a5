//! `duramen restore`.

use std::process::ExitCode;

use duramen::error::Result;
use duramen::ops::restore::{self, RestoreOptions, RestoreSummary};
use serde::Serialize;

use super::split;
use crate::cli::args::RestoreArgs;
use crate::cli::context::{Context, usage};
use crate::cli::json::{self, ProblemObject};
use crate::cli::{deployment, exit, opening, size, text, time};

#[derive(Serialize)]
struct SummaryObject {
    message_type: &'static str,
    snapshot_id: String,
    dry_run: bool,
    seconds_elapsed: u64,
    total_duration: f64,
    total_files: u64,
    files_restored: u64,
    files_unchanged: u64,
    files_skipped: u64,
    files_deleted: u64,
    dirs: u64,
    total_bytes: u64,
    bytes_restored: u64,
    bytes_skipped: u64,
    files_verified: u64,
    damage: bool,
    problem_count: u64,
    problems: Vec<ProblemObject>,
}

/// `duramen restore SNAP[:PATH] --target FOLDER`.
pub fn run(context: &Context, args: RestoreArgs) -> Result<ExitCode> {
    if let Some(address) = args
        .target
        .to_str()
        .filter(|target| deployment::is_address(target))
    {
        let address = deployment::with_password(context, address)?;
        return super::restore_deployment::run(context, args, address);
    }
    if let Some(flag) = super::restore_deployment::first_given(&args.mongo) {
        return Err(usage(format!(
            "{flag} is about MongoDB, and the target is a folder"
        ))
        .hint("name a mongodb:// address with --target"));
    }
    let (name, path) = split(&args.snapshot);
    let reporter = context.reporter("restore");
    let repository = opening::open(context, &reporter)?;
    let snapshot = context.snapshot(&repository, &name, &args.filter)?;
    let options = options(args, path);
    let summary = restore::run(&repository, &snapshot, &options, &reporter)?;
    reporter.finish();
    let object = object(&summary, snapshot.id.hex(), options.dry_run);
    context.tell(&object, || words(&summary, &snapshot.id.short(), &options))?;
    Ok(exit::of_restore(&summary))
}

fn options(args: RestoreArgs, path: Option<Vec<u8>>) -> RestoreOptions {
    RestoreOptions {
        path,
        target: args.target,
        include: args.include,
        iinclude: args.iinclude,
        exclude: args.exclude,
        iexclude: args.iexclude,
        overwrite: args.overwrite.into(),
        in_place: args.in_place,
        delete: args.delete,
        dry_run: args.dry_run,
        verify: args.verify,
        sparse: args.sparse,
        ownership: match (args.ownership, args.no_ownership) {
            (true, _) => Some(true),
            (_, true) => Some(false),
            _ => None,
        },
        numeric_owner: args.numeric_owner,
        read_only: None,
    }
}

fn object(summary: &RestoreSummary, snapshot_id: String, dry_run: bool) -> SummaryObject {
    SummaryObject {
        message_type: "summary",
        snapshot_id,
        dry_run,
        seconds_elapsed: summary.seconds as u64,
        total_duration: summary.seconds,
        total_files: summary.total_files,
        files_restored: summary.files_restored,
        files_unchanged: summary.files_unchanged,
        files_skipped: summary.files_skipped,
        files_deleted: summary.files_deleted,
        dirs: summary.dirs,
        total_bytes: summary.total_bytes,
        bytes_restored: summary.bytes_restored,
        bytes_skipped: summary.bytes_skipped,
        files_verified: summary.files_verified,
        damage: summary.damage,
        problem_count: summary.problem_count,
        problems: json::problems(&summary.problems),
    }
}

fn words(summary: &RestoreSummary, short_id: &str, options: &RestoreOptions) -> String {
    let mut words = format!(
        "restored   {}, {}, in {}\n",
        text::plural(summary.files_restored, "file", "files"),
        size::show(summary.bytes_restored),
        time::span(summary.seconds)
    );
    for (what, number) in [
        ("unchanged", summary.files_unchanged),
        ("skipped", summary.files_skipped),
        ("deleted", summary.files_deleted),
        ("verified", summary.files_verified),
    ] {
        if number > 0 {
            words.push_str(&format!(
                "{what:<9}  {}\n",
                text::plural(number, "file", "files")
            ));
        }
    }
    if summary.problem_count > 0 {
        words.push_str(&format!(
            "failed     {}\n",
            text::plural(summary.problem_count, "problem", "problems")
        ));
    }
    if summary.damage {
        words.push_str("damage     some stored data is damaged; run duramen check --read-data\n");
    }
    let target = text::safe(&options.target.display().to_string());
    words.push_str(&if options.dry_run {
        format!("dry run: snapshot {short_id} would be restored to {target}\n")
    } else if summary.problem_count > 0 || summary.damage {
        format!("snapshot {short_id} restored in part to {target}\n")
    } else {
        format!("snapshot {short_id} restored to {target}\n")
    });
    words
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use crate::cli::args::{Cli, Command};
    use crate::cli::json::tests::documented;
    use clap::Parser;
    use duramen::ops::restore::Overwrite;

    fn parse(line: &[&str]) -> RestoreOptions {
        let mut whole = vec!["duramen", "restore", "latest", "-t", "/t"];
        whole.extend(line);
        match Cli::try_parse_from(whole).unwrap().command {
            Command::Restore(args) => options(*args, None),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn flags_become_options() {
        let plain = parse(&[]);
        assert_eq!(plain.ownership, None);
        assert_eq!(plain.overwrite, Overwrite::Always);
        assert!(!plain.delete && !plain.in_place && !plain.dry_run && !plain.verify);
        assert_eq!(parse(&["--ownership"]).ownership, Some(true));
        assert_eq!(parse(&["--no-ownership"]).ownership, Some(false));
        assert_eq!(
            parse(&["--overwrite", "if-newer"]).overwrite,
            Overwrite::IfNewer
        );
        let full = parse(&[
            "-i",
            "*.c",
            "--iexclude",
            "X",
            "--delete",
            "-n",
            "--verify",
            "--sparse",
        ]);
        assert_eq!(full.include, ["*.c"]);
        assert_eq!(full.iexclude, ["X"]);
        assert!(full.delete && full.dry_run && full.verify && full.sparse);
    }

    #[test]
    fn the_summary_for_people() {
        let summary = RestoreSummary {
            files_restored: 1200,
            bytes_restored: 3 << 20,
            files_unchanged: 1,
            problem_count: 2,
            seconds: 0.5,
            ..RestoreSummary::default()
        };
        let object = documented("restore", &object(&summary, "ab".repeat(16), false));
        assert_eq!(object["files_restored"], 1200);
        assert_eq!(
            words(&summary, "abababab", &parse(&[])),
            "restored   1,200 files, 3.00 MiB, in 0.5 s\n\
             unchanged  1 file\n\
             failed     2 problems\n\
             snapshot abababab restored in part to /t\n"
        );
    }
}
