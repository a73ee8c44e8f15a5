//! `duramen snapshot`.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use duramen::error::{Error, Kind, Result};
use duramen::format::snapshot::State;
use duramen::ops::snapshot::{
    self, DeploymentSummary, Excludes, Input, Moment, Reading, Selection, Shrunken,
    SnapshotOptions, SnapshotSummary,
};
use serde::Serialize;

use crate::cli::args::SnapshotArgs;
use crate::cli::context::{Context, usage};
use crate::cli::json::{self, Git, ProblemObject, Work};
use crate::cli::{deployment, exit, opening, size, text, time};

#[derive(Serialize)]
struct SummaryObject {
    message_type: &'static str,
    snapshot_id: Option<String>,
    dry_run: bool,
    #[serde(flatten)]
    work: Work,
    state: &'static str,
    problem_count: u64,
    problems: Vec<ProblemObject>,
    kind: &'static str,
    parent: Option<String>,
    git: Option<Git>,
    deployments: Vec<DeploymentObject>,
    shrunken: Option<ShrunkenObject>,
}

/// What was done of one MongoDB deployment.
#[derive(Serialize)]
struct DeploymentObject {
    address: String,
    /// Null where it is not one point in time.
    at: Option<String>,
    /// The same as the server writes it: seconds, and the number within that second.
    cluster_time: Option<[u32; 2]>,
    collections: u64,
    documents: u64,
    collections_read: u64,
    documents_read: u64,
    /// Null where nothing was kept of the oplog.
    recorded_since: Option<String>,
    scrubbed: Option<u64>,
    scrub_differences: u64,
}

impl DeploymentObject {
    fn of(own: &DeploymentSummary) -> Self {
        let cluster_time = match own.moment {
            Moment::At(position) => Some(position.time),
            Moment::Between { .. } => None,
        };
        Self {
            address: own.address.clone(),
            at: cluster_time.map(|time| time::rfc3339(time::of_cluster(time))),
            cluster_time: cluster_time.map(|time| [(time >> 32) as u32, time as u32]),
            collections: own.collections,
            documents: own.documents,
            collections_read: own.collections_read,
            documents_read: own.documents_read,
            recorded_since: own
                .recorded
                .map(|from| time::rfc3339(time::of_cluster(from.time))),
            scrubbed: own.scrubbed,
            scrub_differences: own.scrub_differences,
        }
    }
}

/// Abnormally little, and what is normal (`null` for an empty source that never was anything else).
#[derive(Serialize)]
struct ShrunkenObject {
    files: u64,
    bytes: u64,
    normal_snapshot_id: Option<String>,
    normal_files: Option<u64>,
    normal_bytes: Option<u64>,
}

impl ShrunkenObject {
    fn of(shrunken: &Shrunken) -> Self {
        let before = shrunken.before;
        Self {
            files: shrunken.now.files,
            bytes: shrunken.now.bytes,
            normal_snapshot_id: before.map(|(id, _)| id.hex()),
            normal_files: before.map(|(_, extent)| extent.files),
            normal_bytes: before.map(|(_, extent)| extent.bytes),
        }
    }
}

/// `duramen snapshot PATH...`.
pub fn run(context: &Context, args: SnapshotArgs) -> Result<ExitCode> {
    let options = options(context, args)?;
    let reporter = context.reporter("snapshot");
    let repository = opening::open_or_make(context, &reporter)?;
    let summary = snapshot::run(&repository, &options, &reporter)?;
    reporter.finish();
    context.tell(&object(&summary, options.dry_run), || {
        words(&summary, options.dry_run)
    })?;
    let mut deployments = summary.deployments.iter();
    // What earlier snapshots hold of it is not what was there.
    if deployments.any(|own| own.scrub_differences > 0) {
        return Ok(exit::of_error(Kind::Damage));
    }
    Ok(exit::of_snapshot(summary.state))
}

fn options(context: &Context, args: SnapshotArgs) -> Result<SnapshotOptions> {
    let (input, databases) = input(context, &args)?;
    Ok(SnapshotOptions {
        input,
        databases,
        collections: Selection {
            database: None,
            within: None,
            include: args.ns_include,
            exclude: args.ns_exclude,
            users: args.users,
        },
        reading: Reading {
            no_oplog: args.no_oplog,
            scrub_sample: args.scrub_sample,
            max_rate: args.max_read_rate.flatten(),
        },
        excludes: Excludes {
            patterns: args.exclude,
            patterns_any_case: args.iexclude,
            pattern_files: args.exclude_file,
            if_present: args.exclude_if_present,
            caches: args.exclude_caches,
            larger_than: args.exclude_larger_than,
            one_file_system: args.one_file_system,
            ignore_files: args.ignore_file,
        },
        kind: args.kind.into(),
        host: args
            .host
            .unwrap_or_else(|| context.environment.host.clone()),
        user: context.environment.user.clone(),
        tags: tags(&args.tags),
        time: args.time,
        parent: args.parent,
        force: args.force,
        dry_run: args.dry_run,
        compression: args.compression,
        ignore_inode: args.ignore_inode,
        ignore_ctime: args.ignore_ctime,
        no_dumps: args.no_dumps,
    })
}

/// Sorted, without duplicates and without the empty ones that a doubled comma makes.
fn tags(given: &[String]) -> Vec<String> {
    let mut tags: Vec<String> = given
        .iter()
        .map(|tag| tag.trim().to_string())
        .filter(|tag| !tag.is_empty())
        .collect();
    tags.sort();
    tags.dedup();
    tags
}

/// What to read, and addresses of databases.
fn input(context: &Context, args: &SnapshotArgs) -> Result<(Input, Vec<String>)> {
    let filename = || args.stdin_filename.as_bytes().to_vec();
    if args.stdin {
        let filename = filename();
        return Ok((Input::Stdin { filename }, Vec::new()));
    }
    if args.stdin_from_command {
        let argv = args.paths.clone();
        let filename = filename();
        return Ok((Input::Command { argv, filename }, Vec::new()));
    }
    let mut databases = Vec::new();
    let mut paths: Vec<PathBuf> = Vec::new();
    for given in &args.paths {
        match given.to_str() {
            Some(address) if deployment::is_address(address) => {
                databases.push(deployment::with_password(context, address)?);
            }
            _ => paths.push(given.into()),
        }
    }
    let lists = args.files_from.iter().chain(&args.files_from_raw);
    if lists.filter(|list| list.as_os_str() == "-").count() > 1 {
        return Err(usage("standard input can be read as one list only"));
    }
    for list in &args.files_from {
        paths.extend(lines(&read_list(list)?));
    }
    for list in &args.files_from_raw {
        paths.extend(nul_separated(list, &read_list(list)?)?);
    }
    if let Some(at) = paths.iter().position(|path| path.as_os_str().is_empty()) {
        return Err(usage(format!("path number {} is empty", at + 1)));
    }
    if paths.is_empty() && databases.is_empty() {
        return Err(usage("nothing to read: no path was given")
            .hint("name a file, a folder or a mongodb:// address to snapshot"));
    }
    if databases.len() > 1 {
        return Err(usage("one MongoDB deployment a snapshot, and several addresses were given")
            .hint("take a snapshot of each; the members of one replica set are one address: mongodb://a,b,c"));
    }
    let mongo = [
        (!args.ns_include.is_empty(), "--ns-include"),
        (!args.ns_exclude.is_empty(), "--ns-exclude"),
        (args.users, "--users"),
        (args.no_oplog, "--no-oplog"),
        (args.scrub_sample > 0, "--scrub-sample"),
        (args.max_read_rate.is_some(), "--max-read-rate"),
    ];
    if let (true, Some((_, flag))) = (databases.is_empty(), mongo.iter().find(|(given, _)| *given))
    {
        return Err(
            usage(format!("{flag} is about MongoDB, and no address was given"))
                .hint("name a mongodb:// address to snapshot"),
        );
    }
    Ok((Input::Paths(paths), databases))
}

fn read_list(list: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if list.as_os_str() == OsStr::new("-") {
        std::io::stdin()
            .lock()
            .read_to_end(&mut bytes)
            .map_err(|error| Error::io_named("read", "standard input", error))?;
    } else {
        File::open(list)
            .and_then(|mut file| file.read_to_end(&mut bytes))
            .map_err(|error| Error::io("read", list, error))?;
    }
    Ok(bytes)
}

/// A path a line, as raw bytes; empty lines and those that begin with `#` say nothing.
fn lines(bytes: &[u8]) -> Vec<PathBuf> {
    bytes
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty() && !line.starts_with(b"#"))
        .map(path)
        .collect()
}

/// Every path is ended by a NUL; a last one without it may be torn off and is refused.
fn nul_separated(list: &Path, bytes: &[u8]) -> Result<Vec<PathBuf>> {
    let Some(whole) = bytes.strip_suffix(b"\0") else {
        if bytes.is_empty() {
            return Ok(Vec::new());
        }
        return Err(
            usage("the list does not end with a NUL: its last path may be torn off")
                .subject(list.display().to_string())
                .hint("write it with find -print0 or the like, or use --files-from"),
        );
    };
    Ok(whole.split(|byte| *byte == 0).map(path).collect())
}

fn path(bytes: &[u8]) -> PathBuf {
    OsString::from_vec(bytes.to_vec()).into()
}

fn object(summary: &SnapshotSummary, dry_run: bool) -> SummaryObject {
    SummaryObject {
        message_type: "summary",
        snapshot_id: summary.id.map(|id| id.hex()),
        dry_run,
        work: Work::of(
            &summary.counters,
            summary.started,
            summary.finished,
            summary.seconds,
        ),
        state: summary.state.word(),
        problem_count: summary.problem_count,
        problems: json::problems(&summary.problems),
        kind: summary.kind.word(),
        parent: summary.parent.map(|parent| parent.hex()),
        git: Git::of(summary.git.as_ref()),
        deployments: summary
            .deployments
            .iter()
            .map(DeploymentObject::of)
            .collect(),
        shrunken: summary.shrunken.as_ref().map(ShrunkenObject::of),
    }
}

fn words(summary: &SnapshotSummary, dry_run: bool) -> String {
    let counters = &summary.counters;
    let compared = match summary.parent {
        Some(parent) => format!("{}, compared with {}", summary.kind.word(), parent.short()),
        None => format!("{}, compared with none", summary.kind.word()),
    };
    let lines = [
        (
            "files",
            [
                counters.files_new,
                counters.files_changed,
                counters.files_unmodified,
            ],
        ),
        (
            "folders",
            [
                counters.dirs_new,
                counters.dirs_changed,
                counters.dirs_unmodified,
            ],
        ),
    ];
    let lines = lines.map(|(what, numbers)| (what, numbers.map(text::count)));
    let width = |at: usize| {
        lines
            .iter()
            .map(|(_, numbers)| numbers[at].len())
            .max()
            .unwrap_or(0)
    };
    let mut words = String::new();
    // Nothing is said of files where only databases were asked for.
    let files = summary.deployments.is_empty() || json::files_processed(counters) > 0;
    for (what, [new, changed, unmodified]) in lines.iter().filter(|_| files) {
        words.push_str(&format!(
            "{what:<9}  {new:>0$} new, {changed:>1$} changed, {unmodified:>2$} unmodified\n",
            width(0),
            width(1),
            width(2)
        ));
    }
    for deployment in &summary.deployments {
        words.push_str(&deployment_words(deployment));
    }
    let processed = if files {
        text::plural(json::files_processed(counters), "file", "files") + ", "
    } else {
        String::new()
    };
    words.push_str(&format!(
        "processed  {processed}{}, in {}\n",
        size::show(counters.bytes_processed),
        time::span(summary.seconds)
    ));
    words.push_str(&if dry_run {
        format!("would add  {}\n", size::show(counters.data_added))
    } else {
        format!(
            "added      {}, stored as {}\n",
            size::show(counters.data_added),
            size::show(counters.data_added_packed)
        )
    });
    if let Some(git) = &summary.git {
        words.push_str(&format!(
            "git        {}{}\n",
            text::safe(git.commit.get(..12).unwrap_or(&git.commit)),
            git.branch
                .as_ref()
                .map(|branch| format!(" on {}", text::safe(branch)))
                .unwrap_or_default()
        ));
    }
    if summary.state == State::Partial || summary.problem_count > 0 {
        words.push_str(&format!(
            "missing    {}: something could not be read as it should be\n",
            text::plural(summary.problem_count, "problem", "problems")
        ));
    }
    if let Some(shrunken) = &summary.shrunken {
        words.push_str(&shrunken_words(shrunken));
    }
    words.push_str(&match summary.id {
        Some(id) if summary.state == State::Partial => {
            format!("snapshot {} saved in part ({compared})\n", id.short())
        }
        Some(id) => format!("snapshot {} saved ({compared})\n", id.short()),
        None => format!("dry run: no snapshot saved ({compared})\n"),
    });
    words
}

/// What was done of a deployment.
fn deployment_words(own: &DeploymentSummary) -> String {
    let when = match own.moment {
        Moment::At(position) => format!("as at {}", time::local(time::of_cluster(position.time))),
        Moment::Between { .. } => "not one point in time".into(),
    };
    format!(
        "mongodb    {}: {} in {}, {when}\n           {} read, all of {}\n",
        text::safe(&own.address),
        text::plural(own.documents, "document", "documents"),
        text::plural(own.collections, "collection", "collections"),
        text::plural(own.documents_read, "document", "documents"),
        text::plural(own.collections_read, "collection", "collections"),
    ) + &match own.recorded {
        Some(from) => format!(
            "           any second since {} can be had back\n",
            time::local(time::of_cluster(from.time))
        ),
        None => String::new(),
    } + &match (own.scrubbed, own.scrub_differences) {
        (None, _) => String::new(),
        (Some(0), _) => {
            "           no documents of the parent compared: nothing was taken over\n".into()
        }
        (Some(all), 0) => format!(
            "           {} of the parent compared, all as they are on the server\n",
            text::plural(all, "document", "documents")
        ),
        (Some(all), other) => format!(
            "           {other} of {} of the parent were NOT as they are on the server; what they are in was read anew\n",
            text::plural(all, "document", "documents")
        ),
    }
}

/// How little there is, and what that means.
fn shrunken_words(shrunken: &Shrunken) -> String {
    let normal = match &shrunken.before {
        Some((before, extent)) => format!(
            "; {} had {}, {}",
            before.short(),
            text::plural(extent.files, "file", "files"),
            size::show(extent.bytes)
        ),
        None => String::new(),
    };
    format!(
        "abnormal   {}{normal}: it takes no good snapshot's place\n",
        shrunken.words()
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::cli::json::tests::documented;
    use duramen::format::snapshot::{Counters, Extent, SnapshotKind};
    use duramen::id::SessionId;

    fn summary(state: State) -> SnapshotSummary {
        SnapshotSummary {
            id: Some(SessionId([0xab; 16])),
            kind: SnapshotKind::Incremental,
            parent: Some(SessionId([0xcd; 16])),
            state,
            problems: Vec::new(),
            problem_count: u64::from(state == State::Partial),
            shrunken: None,
            counters: Counters {
                files_new: 12,
                files_changed: 3,
                files_unmodified: 1204,
                dirs_new: 1,
                dirs_changed: 2,
                dirs_unmodified: 310,
                bytes_processed: 5 << 30,
                bytes_read: 20 << 20,
                data_chunks: 90,
                tree_chunks: 7,
                data_added: 12 << 20,
                data_added_packed: 4 << 20,
            },
            deployments: Vec::new(),
            git: None,
            started: 0,
            finished: 1_500_000_000,
            seconds: 1.5,
        }
    }

    #[test]
    fn the_summary_for_people() {
        assert_eq!(
            words(&summary(State::Partial), false),
            "files      12 new, 3 changed, 1,204 unmodified\n\
             folders     1 new, 2 changed,   310 unmodified\n\
             processed  1,219 files, 5.00 GiB, in 1.5 s\n\
             added      12.0 MiB, stored as 4.00 MiB\n\
             missing    1 problem: something could not be read as it should be\n\
             snapshot abababab saved in part (incremental, compared with cdcdcdcd)\n"
        );
    }

    #[test]
    fn an_abnormally_small_snapshot_says_so() {
        let mut summary = summary(State::Complete);
        let extent = |files, bytes| Extent { files, bytes };
        summary.shrunken = Some(Shrunken {
            now: extent(3, 1 << 20),
            before: Some((SessionId([0xcd; 16]), extent(1219, 5 << 30))),
        });
        let words = words(&summary, false);
        let expected = "abnormal   shrunken: 0 % of the files and 0 % of the bytes of cdcdcdcd; cdcdcdcd had 1,219 files, \
                        5.00 GiB: it takes no good snapshot's place\n";
        assert!(words.contains(expected), "{words}");
        let object = documented("snapshot", &object(&summary, false));
        assert_eq!(object["shrunken"]["files"], 3);
        assert_eq!(object["shrunken"]["normal_files"], 1219);
    }

    #[test]
    fn the_summary_for_scripts() {
        let object = documented("snapshot", &object(&summary(State::Complete), false));
        for (field, value) in [
            ("message_type", serde_json::json!("summary")),
            ("snapshot_id", serde_json::json!("ab".repeat(16))),
            ("files_new", serde_json::json!(12)),
            ("dirs_unmodified", serde_json::json!(310)),
            ("data_chunks", serde_json::json!(90)),
            ("data_added_packed", serde_json::json!(4 << 20)),
            ("total_files_processed", serde_json::json!(1219)),
            ("total_duration", serde_json::json!(1.5)),
            (
                "backup_end",
                serde_json::json!("1970-01-01T00:00:01.500000000Z"),
            ),
            ("state", serde_json::json!("complete")),
            ("kind", serde_json::json!("incremental")),
            ("dry_run", serde_json::json!(false)),
            ("git", serde_json::Value::Null),
        ] {
            assert_eq!(object[field], value, "{field}");
        }
    }

    #[test]
    fn lists_of_paths_are_raw() {
        assert_eq!(
            lines(b"# comment\n/a\n\n \xff b\r\n./#c"),
            [&b"/a"[..], b" \xff b\r", b"./#c"].map(path)
        );
        let list = Path::new("list");
        assert_eq!(
            nul_separated(list, b"/a\nb\0#c\0").unwrap(),
            [&b"/a\nb"[..], b"#c"].map(path)
        );
        assert!(nul_separated(list, b"/a\0/b").is_err());
        assert!(nul_separated(list, b"").unwrap().is_empty());
    }

    #[test]
    fn tags_are_a_set() {
        let given = ["b", " a", "", "b"].map(String::from);
        assert_eq!(tags(&given), ["a", "b"]);
    }
}
