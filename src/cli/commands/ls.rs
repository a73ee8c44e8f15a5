//! `duramen ls`.

use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::process::ExitCode;

use duramen::error::Result;
use duramen::format::entry::Node;
use duramen::ops::documents::{self, Collection};
use duramen::ops::look;
use duramen::progress::Progress as _;
use duramen::repository::Listed;
use serde::Serialize;

use super::{split, viewed};
use crate::cli::args::LsArgs;
use crate::cli::context::Context;
use crate::cli::json::SnapshotObject;
use crate::cli::node::{NodeObject, permissions};
use crate::cli::output::{self, json_line, put};
use crate::cli::{exit, opening, text, time};

/// `duramen ls SNAP[:PATH]`.
pub fn run(context: &Context, args: &LsArgs) -> Result<ExitCode> {
    let (name, path) = split(&args.snapshot);
    let reporter = context.reporter_beside_results("ls");
    let repository = opening::open(context, &reporter)?;
    let snapshot = context.snapshot(&repository, &name, &args.filter)?;
    let facts = repository.facts(&snapshot.id)?;
    let snapshot = viewed(&repository, snapshot, &args.at, &reporter)?;
    reporter.finish();
    let terminal = context.environment.stdout_terminal;
    output::results(|out| {
        if context.global.json {
            let line = json_line(&SnapshotObject::of(&snapshot, &facts).into_line())?;
            put(out, line.as_bytes())?;
        }
        let mut each = |path: &[u8], listed: &Listed| {
            reporter.go_on()?;
            if context.global.json {
                put(out, json_line(&NodeObject::of(path, listed))?.as_bytes())
            } else if args.long {
                put(out, &long(path, listed, terminal))
            } else {
                put(out, &text::raw_or_safe(path, terminal))?;
                put(out, b"\n")
            }
        };
        let of_files =
            args.at.is_empty() && !documents::are_meant(&snapshot, args.snapshot.as_bytes());
        if of_files {
            look::ls(
                &repository,
                &snapshot,
                path.as_deref(),
                args.recursive,
                &mut each,
            )?;
        }
        if of_files && path.is_some() {
            return Ok(());
        }
        // Behind the files, where all of it is listed.
        documents::collections(&repository, &snapshot, path.as_deref(), &mut |collection| {
            reporter.go_on()?;
            let line = if context.global.json {
                json_line(&CollectionObject::of(collection))?
            } else if args.long {
                long_collection(collection)
            } else {
                text::safe(&collection.namespace) + "\n"
            };
            put(out, line.as_bytes())
        })
    })?;
    Ok(exit::DONE)
}

/// A collection, as a line of JSON.
#[derive(Serialize)]
struct CollectionObject {
    message_type: &'static str,
    struct_type: &'static str,
    namespace: String,
    #[serde(rename = "type")]
    kind: &'static str,
    uuid: Option<String>,
    documents: Option<u64>,
    indexes: usize,
}

impl CollectionObject {
    fn of(own: &Collection) -> Self {
        Self {
            message_type: "collection",
            struct_type: "collection",
            namespace: own.namespace.clone(),
            kind: own.kind.word(),
            uuid: own.uuid.map(|uuid| duramen::id::to_hex(&uuid)),
            documents: own.documents,
            indexes: own.indexes.len(),
        }
    }
}

fn long_collection(own: &Collection) -> String {
    let documents = own.documents.map_or("-".into(), text::count);
    let indexes = text::plural(own.indexes.len() as u64, "index", "indexes");
    format!(
        "{:<12} {documents:>14} {indexes:>11}  {}\n",
        own.kind.word(),
        text::safe(&own.namespace)
    )
}

fn long(path: &[u8], listed: &Listed, terminal: bool) -> Vec<u8> {
    let entry = &listed.entry;
    let owner = |name: Option<&[u8]>, number: u32| match name {
        Some(name) if !name.is_empty() => text::safe_bytes(name),
        _ => number.to_string(),
    };
    let size = match entry.node {
        Node::File { size, .. } => size.to_string(),
        Node::CharDevice { major, minor } | Node::BlockDevice { major, minor } => {
            format!("{major},{minor}")
        }
        _ => "-".into(),
    };
    let mut line = Vec::new();
    // Writing to a vector cannot fail.
    let _ = write!(
        line,
        "{} {:<8} {:<8} {size:>12} {} ",
        permissions(&entry.node, entry.mode),
        owner(listed.user.as_deref(), entry.uid),
        owner(listed.group.as_deref(), entry.gid),
        time::local(entry.mtime),
    );
    line.extend(text::raw_or_safe(path, terminal));
    if let Node::Symlink { target } = &entry.node {
        line.extend_from_slice(b" -> ");
        line.extend(text::raw_or_safe(target, terminal));
    }
    line.push(b'\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::node::tests::listed;
    use duramen::format::entry::Content;

    #[test]
    fn long_lines_are_raw_only_off_the_terminal() {
        let file = listed(
            b"\xff",
            0o600,
            Node::File {
                size: 12,
                content: Content::Inline(vec![0; 12]),
            },
        );
        let raw = long(b"/\xff", &file, false);
        assert!(raw.starts_with(b"-rw------- root     1000               12 "));
        assert!(raw.ends_with(b" /\xff\n"));
        assert!(long(b"/\xff", &file, true).ends_with(b" /\\xff\n"));
    }
}
