//! `duramen import`.

use std::os::unix::ffi::OsStrExt;
use std::process::ExitCode;

use duramen::error::{Error, Kind, Result};
use duramen::ops::import::{self, Basis, Became, ImportOptions, ImportSummary, Imported};
use serde::Serialize;

use crate::cli::args::ImportArgs;
use crate::cli::context::Context;
use crate::cli::json::{hex_unless_utf8, lossy};
use crate::cli::{exit, opening, size, text, time};

/// Files that a dry run shows of those that it would leave.
const LEFT_SHOWN: usize = 20;

#[derive(Serialize)]
struct SummaryObject {
    message_type: &'static str,
    dry_run: bool,
    files: Vec<FileObject>,
    files_left: u64,
    left: Vec<String>,
    problem_count: usize,
}

#[derive(Serialize)]
struct FileObject {
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    path_bytes_hex: Option<String>,
    size: u64,
    time: String,
    /// `field`, `name`, `records` or `modified`.
    time_from: &'static str,
    /// The field, where it was one.
    time_field: Option<String>,
    collections: Vec<CollectionObject>,
    snapshot_id: Option<String>,
    already: bool,
}

#[derive(Serialize)]
struct CollectionObject {
    name: String,
    records: u64,
}

/// `duramen import PATH...`.
pub fn run(context: &Context, args: ImportArgs) -> Result<ExitCode> {
    let tags = args.tags.iter().map(|tag| tag.trim().to_owned());
    let options = ImportOptions {
        paths: args.paths,
        host: args
            .host
            .unwrap_or_else(|| context.environment.host.clone()),
        user: context.environment.user.clone(),
        tags: tags.filter(|tag| !tag.is_empty()).collect(),
        compression: args.compression,
        dry_run: args.dry_run,
    };
    let reporter = context.reporter_beside_results("import");
    let repository = match args.dry_run {
        true => opening::open(context, &reporter)?,
        false => opening::open_or_make(context, &reporter)?,
    };
    let summary = import::run(&repository, &options, &reporter)?;
    reporter.finish();
    if summary.files.is_empty() && summary.problems.is_empty() {
        let paths: Vec<String> = options
            .paths
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        return Err(
            Error::new(Kind::NotFound, "no JSON file with records in it")
                .subject(paths.join(", "))
                .hint("name the file itself, if it is one"),
        );
    }
    context.tell(&object(&summary, options.dry_run), || {
        words(&summary, options.dry_run)
    })?;
    Ok(match summary.problems.is_empty() {
        true => exit::DONE,
        false => exit::of_error(Kind::Failed),
    })
}

fn object(summary: &ImportSummary, dry_run: bool) -> SummaryObject {
    SummaryObject {
        message_type: "summary",
        dry_run,
        files: summary.files.iter().map(file).collect(),
        files_left: summary.left_count,
        left: summary
            .left
            .iter()
            .map(|path| path.to_string_lossy().into_owned())
            .collect(),
        problem_count: summary.problems.len(),
    }
}

fn file(own: &Imported) -> FileObject {
    let path = own.path.as_os_str().as_bytes();
    let (time_from, time_field) = match &own.basis {
        Basis::Field(name) => ("field", Some(name.clone())),
        Basis::Name => ("name", None),
        Basis::Records => ("records", None),
        Basis::Modified => ("modified", None),
    };
    let (id, already) = match own.became {
        Became::Snapshot(id) => (Some(id), false),
        Became::Already(id) => (Some(id), true),
        Became::Nothing => (None, false),
    };
    let collection = |(name, records): &(String, u64)| CollectionObject {
        name: name.clone(),
        records: *records,
    };
    FileObject {
        path: lossy(path),
        path_bytes_hex: hex_unless_utf8(path),
        size: own.size,
        time: time::rfc3339(own.time),
        time_from,
        time_field,
        collections: own.records.iter().map(collection).collect(),
        snapshot_id: id.map(|id| id.hex()),
        already,
    }
}

fn words(summary: &ImportSummary, dry_run: bool) -> String {
    let mut out = String::new();
    for own in &summary.files {
        let from = match &own.basis {
            Basis::Field(name) => format!("its {name}"),
            Basis::Name => "its name".into(),
            Basis::Records => "its newest record".into(),
            Basis::Modified => "its last change".into(),
        };
        let became = match own.became {
            Became::Snapshot(id) => format!("snapshot {}", id.short()),
            Became::Already(id) => format!("already snapshot {}", id.short()),
            Became::Nothing => "not stored".into(),
        };
        let records = own
            .records
            .iter()
            .map(|(name, count)| format!("{} {count}", text::safe(name)));
        let records: Vec<String> = records.collect();
        out += &format!(
            "{}  {became}, by {from}\n    {} ({}): {}\n",
            time::local(own.time),
            text::safe(&own.path.to_string_lossy()),
            size::show(own.size),
            records.join(", "),
        );
    }
    let is = |wanted: fn(&Became) -> bool| {
        let own = summary.files.iter().filter(|own| wanted(&own.became));
        own.count() as u64
    };
    let new = is(|own| matches!(own, Became::Snapshot(_)));
    let already = is(|own| matches!(own, Became::Already(_)));
    out += &match dry_run {
        true => format!(
            "dry run: {} would be imported",
            text::plural(is(|own| *own == Became::Nothing), "file", "files")
        ),
        false => format!("{} imported", text::plural(new, "file", "files")),
    };
    out += &format!(
        ", {already} already, {} without records\n",
        text::plural(summary.left_count, "JSON file", "JSON files")
    );
    if dry_run {
        for path in summary.left.iter().take(LEFT_SHOWN) {
            out += &format!("    left: {}\n", text::safe(&path.to_string_lossy()));
        }
    }
    out
}
