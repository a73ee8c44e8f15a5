//! `duramen restore SNAP --target mongodb://...`.

use std::os::unix::ffi::OsStrExt;
use std::process::ExitCode;

use duramen::error::{Kind, Result};
use duramen::ops::documents;
use duramen::ops::restore_deployment::{
    self, CollectionReport, Conflict, DeploymentRestoreOptions, DeploymentRestoreSummary,
    Documents, FailedDocument, Moment, Selection,
};
use serde::Serialize;

use super::{report, split, viewed};
use crate::cli::args::{ConflictArg, MongoArgs, RestoreArgs};
use crate::cli::context::{Context, usage};
use crate::cli::{exit, opening, text, time};

#[derive(Serialize)]
pub(super) struct SummaryObject {
    pub message_type: &'static str,
    pub snapshot_id: String,
    pub dry_run: bool,
    pub address: String,
    /// Null where nothing was to be changed, or nothing kept.
    pub undo_snapshot_id: Option<String>,
    pub total_duration: f64,
    pub collections: Vec<CollectionObject>,
}

/// What was done to one collection.
#[derive(Serialize)]
pub(super) struct CollectionObject {
    pub namespace: String,
    pub target: String,
    pub created: bool,
    pub restored: DocumentsObject,
    pub replaced: DocumentsObject,
    pub merged: DocumentsObject,
    pub skipped: DocumentsObject,
    pub unchanged: u64,
    pub verified: u64,
    pub failed_count: u64,
    pub failed: Vec<FailedObject>,
    pub indexes: u64,
    pub deferred_indexes: Vec<String>,
    pub problems: Vec<String>,
}

#[derive(Serialize)]
pub(super) struct DocumentsObject {
    pub count: u64,
    pub ids: Vec<String>,
}

#[derive(Serialize)]
pub(super) struct FailedObject {
    pub id: String,
    pub why: String,
}

impl From<&Documents> for DocumentsObject {
    fn from(own: &Documents) -> Self {
        Self {
            count: own.count,
            ids: own.ids.clone(),
        }
    }
}

impl From<&FailedDocument> for FailedObject {
    fn from(own: &FailedDocument) -> Self {
        Self {
            id: own.id.clone(),
            why: own.why.clone(),
        }
    }
}

impl From<&CollectionReport> for CollectionObject {
    fn from(own: &CollectionReport) -> Self {
        Self {
            namespace: own.namespace.clone(),
            target: own.target.clone(),
            created: own.created,
            restored: (&own.restored).into(),
            replaced: (&own.replaced).into(),
            merged: (&own.merged).into(),
            skipped: (&own.skipped).into(),
            unchanged: own.unchanged,
            verified: own.verified,
            failed_count: own.failed_count,
            failed: own.failed.iter().map(Into::into).collect(),
            indexes: own.indexes,
            deferred_indexes: own.deferred.clone(),
            problems: own.problems.clone(),
        }
    }
}

/// The first flag of these that was given.
pub fn first_given(args: &MongoArgs) -> Option<&'static str> {
    let given = [
        (!args.ns_include.is_empty(), "--ns-include"),
        (!args.ns_exclude.is_empty(), "--ns-exclude"),
        (!args.ns_from.is_empty(), "--ns-from"),
        (!args.ns_to.is_empty(), "--ns-to"),
        (args.users, "--users"),
        (args.at.at.is_some(), "--at"),
        (args.at.dump.is_some(), "--dump"),
        (args.conflict.is_some(), "--conflict"),
        (args.newest_field.is_some(), "--newest-field"),
        (args.no_indexes, "--no-indexes"),
        (args.no_verify, "--no-verify"),
        (args.defer_ttl, "--defer-ttl"),
        (args.no_safety, "--no-safety"),
        (args.report.is_some(), "--report"),
    ];
    let own = given
        .iter()
        .find(|(given, _)| *given)
        .map(|(_, flag)| *flag);
    own.or_else(|| args.documents.first_given())
}

/// Flags that are about files.
fn of_files(args: &RestoreArgs) -> Option<&'static str> {
    use crate::cli::args::OverwriteArg;
    let patterns = |given: &[String]| !given.is_empty();
    let given = [
        (patterns(&args.include), "--include"),
        (patterns(&args.iinclude), "--iinclude"),
        (patterns(&args.exclude), "--exclude"),
        (patterns(&args.iexclude), "--iexclude"),
        (args.overwrite != OverwriteArg::Always, "--overwrite"),
        (args.in_place, "--in-place"),
        (args.delete, "--delete"),
        (args.verify, "--verify"),
        (args.sparse, "--sparse"),
        (args.ownership, "--ownership"),
        (args.no_ownership, "--no-ownership"),
        (args.numeric_owner, "--numeric-owner"),
    ];
    given
        .iter()
        .find(|(given, _)| *given)
        .map(|(_, flag)| *flag)
}

/// Brings collections back to that address.
pub fn run(context: &Context, args: RestoreArgs, address: String) -> Result<ExitCode> {
    if let Some(flag) = of_files(&args) {
        return Err(usage(format!(
            "{flag} is about files, and the target is a MongoDB server"
        )));
    }
    let (name, path) = split(&args.snapshot);
    let at = args.mongo.at.clone();
    let report = args.mongo.report.clone();
    let options = options(args.mongo, path, address, args.dry_run)?;
    let reporter = context.reporter("restore");
    let repository = opening::open(context, &reporter)?;
    let snapshot = context.snapshot(&repository, &name, &args.filter)?;
    let snapshot = viewed(&repository, snapshot, &at, &reporter)?;
    let summary = restore_deployment::run(&repository, &snapshot, &options, &reporter)?;
    reporter.finish();
    let told = object(&summary, snapshot.id.hex(), options.dry_run);
    context.tell(&told, || {
        words(&summary, &snapshot.id.short(), options.dry_run)
    })?;
    if let Some(file) = report {
        report::write(&file, &told)?;
    }
    Ok(if summary.is_well() {
        exit::DONE
    } else {
        exit::of_error(Kind::Failed)
    })
}

fn options(
    args: MongoArgs,
    path: Option<Vec<u8>>,
    address: String,
    dry_run: bool,
) -> Result<DeploymentRestoreOptions> {
    let within = path.as_deref().map(documents::pattern).transpose()?;
    let conflict = match (args.conflict, args.newest_field) {
        (Some(ConflictArg::Newest), Some(field)) => Conflict::Newest(field),
        (Some(ConflictArg::Newest), None) => {
            return Err(usage("--conflict newest needs the field that decides")
                .hint("name it with --newest-field"));
        }
        (_, Some(_)) => return Err(usage("--newest-field is about --conflict newest")),
        (Some(ConflictArg::Overwrite), None) => Conflict::Overwrite,
        (Some(ConflictArg::Merge), None) => Conflict::Merge,
        (Some(ConflictArg::Skip) | None, None) => Conflict::Skip,
    };
    Ok(DeploymentRestoreOptions {
        address,
        collections: Selection {
            database: None,
            within,
            include: args.ns_include,
            exclude: args.ns_exclude,
            users: args.users,
        },
        documents: args.documents.filter()?,
        names_from: args.ns_from,
        names_to: args.ns_to,
        conflict,
        dry_run,
        no_indexes: args.no_indexes,
        no_verify: args.no_verify,
        defer_ttl: args.defer_ttl,
        no_safety: args.no_safety,
        at: args.at.at,
        dump: args.at.dump.map(|path| path.as_bytes().to_vec()),
    })
}

fn object(summary: &DeploymentRestoreSummary, snapshot_id: String, dry_run: bool) -> SummaryObject {
    SummaryObject {
        message_type: "summary",
        snapshot_id,
        dry_run,
        address: summary.address.clone(),
        undo_snapshot_id: summary.undo.map(|id| id.hex()),
        total_duration: summary.seconds,
        collections: summary.collections.iter().map(Into::into).collect(),
    }
}

fn words(summary: &DeploymentRestoreSummary, short_id: &str, dry_run: bool) -> String {
    let mut words = String::new();
    for own in &summary.collections {
        let mut parts = Vec::new();
        for (what, count) in [
            ("restored", own.restored.count),
            ("replaced", own.replaced.count),
            ("merged", own.merged.count),
            ("skipped", own.skipped.count),
            ("unchanged", own.unchanged),
            ("failed", own.failed_count),
        ] {
            if count > 0 {
                parts.push(format!("{} {what}", text::count(count)));
            }
        }
        if own.indexes > 0 {
            parts.push(text::plural(own.indexes, "index", "indexes"));
        }
        if parts.is_empty() {
            parts.push(if own.created { "made" } else { "nothing to do" }.into());
        }
        let renamed = if own.target == own.namespace {
            String::new()
        } else {
            format!(" as {}", text::safe(&own.target))
        };
        let name = text::safe(&own.namespace);
        words.push_str(&format!("{name}{renamed}: {}\n", parts.join(", ")));
        for index in &own.deferred {
            words.push_str(&format!("  index left to you: {}\n", text::safe(index)));
        }
        for problem in &own.problems {
            words.push_str(&format!("  problem: {}\n", text::safe(problem)));
        }
        for failed in own.failed.iter().take(3) {
            words.push_str(&format!(
                "  failed: {}: {}\n",
                text::safe(&failed.id),
                text::safe(&failed.why)
            ));
        }
    }
    let sum = |of: fn(&CollectionReport) -> u64| summary.collections.iter().map(of).sum::<u64>();
    words.push_str(&format!(
        "restored   {}, {} verified, in {}\n",
        text::plural(
            sum(|own| own.restored.count + own.replaced.count + own.merged.count),
            "document",
            "documents"
        ),
        text::count(sum(|own| own.verified)),
        time::span(summary.seconds)
    ));
    if let Moment::Between { .. } = summary.moment {
        words.push_str("what it shows is not one point in time\n");
    }
    if let Some(undo) = &summary.undo {
        words.push_str(&format!(
            "before     kept as {0}; undo it with duramen rollback {0}\n",
            undo.short()
        ));
    }
    let address = text::safe(&summary.address);
    words.push_str(&match (dry_run, summary.is_well()) {
        (true, _) => format!("dry run: snapshot {short_id} would be restored to {address}\n"),
        (false, true) => format!("snapshot {short_id} restored to {address}\n"),
        (false, false) => format!("snapshot {short_id} restored in part to {address}\n"),
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

    fn parse(line: &[&str]) -> Result<DeploymentRestoreOptions> {
        let mut whole = vec!["duramen", "restore", "latest", "-t", "mongodb://h"];
        whole.extend(line);
        match Cli::try_parse_from(whole).unwrap().command {
            Command::Restore(args) => options(args.mongo, None, "mongodb://h".into(), args.dry_run),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn flags_become_options() {
        assert_eq!(parse(&[]).unwrap().conflict, Conflict::Skip);
        assert_eq!(
            parse(&["--conflict", "newest", "--newest-field", "at"])
                .unwrap()
                .conflict,
            Conflict::Newest("at".into())
        );
        for wrong in [
            &["--conflict", "newest"][..],
            &["--newest-field", "at"],
            &["--conflict", "merge", "--newest-field", "at"],
            &["--date-field", "at"],
        ] {
            assert_eq!(parse(wrong).unwrap_err().kind(), Kind::Usage, "{wrong:?}");
        }
        let of = |path: &str| {
            let path = Some(path.as_bytes().to_vec());
            let options = options(MongoArgs::default(), path, String::new(), false);
            options.unwrap().collections.within
        };
        assert_eq!(of("shop").unwrap(), "shop.*");
        assert_eq!(of("shop.quotes").unwrap(), "shop.quotes");
    }

    #[test]
    fn the_summary_for_people_and_for_scripts() {
        let documents = |count: u64| Documents {
            count,
            ids: vec!["1".into()],
        };
        let mut own = CollectionReport {
            namespace: "shop.quotes".into(),
            target: "old.quotes".into(),
            created: true,
            restored: documents(1200),
            skipped: documents(3),
            verified: 1200,
            indexes: 2,
            ..CollectionReport::default()
        };
        own.fail(&(0x10, vec![7, 0, 0, 0]), "no").unwrap();
        let summary = DeploymentRestoreSummary {
            address: "mongodb://h".into(),
            moment: Moment::Between { from: 0, to: 1 },
            undo: None,
            collections: vec![own],
            seconds: 0.5,
        };
        assert_eq!(
            words(&summary, "abababab", false),
            "shop.quotes as old.quotes: 1,200 restored, 3 skipped, 1 failed, 2 indexes\n\
             \u{20}\u{20}failed: 7: no\n\
             restored   1,200 documents, 1,200 verified, in 0.5 s\n\
             what it shows is not one point in time\n\
             snapshot abababab restored in part to mongodb://h\n"
        );
        let object = documented("restore", &object(&summary, "ab".repeat(16), false));
        assert_eq!(object["collections"][0]["restored"]["count"], 1200);
        assert_eq!(object["collections"][0]["failed"][0]["id"], "7");
    }
}
