//! `duramen diff`.

use std::io::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::process::ExitCode;

use duramen::error::Result;
use duramen::format::entry::Node;
use duramen::format::snapshot::Snapshot;
use duramen::ops::diff::{
    self, Change, DiffOptions, DiffSummary, Differences, Place, Rename, Tally,
};
use duramen::ops::{document_diff as ops, documents};
use duramen::repository::Listed;
use serde::Serialize;

use super::{document_diff, split};
use crate::cli::args::DiffArgs;
use crate::cli::context::Context;
use crate::cli::deployment::{is_address, with_password};
use crate::cli::json::{hex_unless_utf8, lossy};
use crate::cli::node::{kind, permissions, size as size_of};
use crate::cli::output::{self, json_line, put};
use crate::cli::{exit, opening, size, text, time};

/// The end of a command that found a difference and was asked to say so.
const DIFFERENT: u8 = 1;

#[derive(Serialize)]
struct ChangeLine {
    message_type: &'static str,
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    path_bytes_hex: Option<String>,
    modifier: &'static str,
    #[serde(rename = "type")]
    kind: &'static str,
    differences: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size_before: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size_after: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    diff: Option<String>,
}

#[derive(Serialize)]
struct RenameLine {
    message_type: &'static str,
    source_path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_path_bytes_hex: Option<String>,
    target_path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    target_path_bytes_hex: Option<String>,
    #[serde(rename = "type")]
    kind: &'static str,
}

#[derive(Serialize)]
struct StatisticsLine {
    message_type: &'static str,
    source_snapshot: String,
    target_snapshot: String,
    changed_files: u64,
    changed_bytes_before: u64,
    changed_bytes_after: u64,
    metadata_changed: u64,
    added: TallyObject,
    removed: TallyObject,
    renames: u64,
    renames_incomplete: bool,
}

#[derive(Serialize)]
struct TallyObject {
    files: u64,
    dirs: u64,
    others: u64,
    bytes: u64,
}

impl From<Tally> for TallyObject {
    fn from(tally: Tally) -> Self {
        Self {
            files: tally.files,
            dirs: tally.dirs,
            others: tally.others,
            bytes: tally.bytes,
        }
    }
}

/// How changes are written.
struct Manner {
    json: bool,
    quiet: bool,
    metadata: bool,
    terminal: bool,
    colour: bool,
}

/// `duramen diff SNAP[:PATH] SNAP[:PATH]`.
pub fn run(context: &Context, args: &DiffArgs) -> Result<ExitCode> {
    let (before, old_path) = split(&args.before);
    if let Some(address) = args.after.to_str().filter(|given| is_address(given)) {
        return with_server(context, args, &before, old_path, address);
    }
    let (after, new_path) = split(&args.after);
    let documents_at = (
        old_path.clone().or_else(|| new_path.clone()),
        new_path.clone().or_else(|| old_path.clone()),
    );
    // A path given for one is meant in both.
    let (old_path, new_path) = match (old_path, new_path) {
        (Some(old), Some(new)) => (old, new),
        (Some(one), None) | (None, Some(one)) => (one.clone(), one),
        (None, None) => (b"/".to_vec(), b"/".to_vec()),
    };
    let reporter = context.reporter_beside_results("diff");
    let repository = opening::open(context, &reporter)?;
    let before = context.snapshot(&repository, &before, &args.filter)?;
    let after = context.snapshot(&repository, &after, &args.filter)?;
    // The path that was given, for whichever of the two.
    let typed = match split(&args.before) {
        (_, Some(_)) => &args.before,
        (_, None) => &args.after,
    };
    let meant = |snapshot| documents::are_meant(snapshot, typed.as_bytes());
    let (old, new) = &documents_at;
    let sides = ((&before, old.as_deref()), (&after, new.as_deref()));
    if meant(&before) && meant(&after) {
        let differs = document_diff::run(context, args, &repository, sides, false, &reporter)?;
        reporter.finish();
        return Ok(exit_code(args, differs));
    }
    // Without a path all of both: files first, and then documents.
    let documents_too = old.is_none()
        && [&before, &after]
            .iter()
            .all(|own| own.deployments().next().is_some());
    reporter.finish();
    let options = DiffOptions {
        metadata: args.metadata,
        content: args.content,
    };
    let manner = Manner {
        json: context.global.json,
        quiet: context.global.quiet,
        metadata: args.metadata,
        terminal: context.environment.stdout_terminal,
        colour: context.colour_on_stdout(),
    };
    let summary = output::results(|out| {
        let mut each = |change: &Change<'_>, hunks: Option<&[u8]>| {
            if manner.json {
                put(out, json_line(&change_line(change, hunks))?.as_bytes())
            } else if manner.quiet {
                Ok(())
            } else {
                put(out, &words(change, hunks, &manner))
            }
        };
        let (old, new) = (
            Place {
                snapshot: &before,
                path: &old_path,
            },
            Place {
                snapshot: &after,
                path: &new_path,
            },
        );
        let summary = diff::run(&repository, old, new, &options, &reporter, &mut each)?;
        if manner.json {
            for rename in &summary.renames {
                put(out, json_line(&rename_line(rename))?.as_bytes())?;
            }
            let line = statistics(&summary, &before, &after);
            put(out, json_line(&line)?.as_bytes())?;
        } else if !manner.quiet {
            put(out, &last_words(&summary, &manner))?;
        }
        Ok(summary)
    })?;
    let mut differs = summary.any();
    if documents_too {
        differs |= document_diff::run(context, args, &repository, sides, false, &reporter)?;
    }
    Ok(exit_code(args, differs))
}

fn exit_code(args: &DiffArgs, differs: bool) -> ExitCode {
    match differs && args.exit_code {
        true => ExitCode::from(DIFFERENT),
        false => exit::DONE,
    }
}

/// The collections of a snapshot against those of a server just now.
fn with_server(
    context: &Context,
    args: &DiffArgs,
    before: &str,
    path: Option<Vec<u8>>,
    address: &str,
) -> Result<ExitCode> {
    let address = with_password(context, address)?;
    let reporter = context.reporter_beside_results("diff");
    let repository = opening::open(context, &reporter)?;
    let before = context.snapshot(&repository, before, &args.filter)?;
    let (after, path) = ops::live(&repository, &address, path.as_deref(), &before, &reporter)?;
    let path = path.as_deref();
    let sides = ((&before, path), (&after, path));
    let differs = document_diff::run(context, args, &repository, sides, true, &reporter)?;
    reporter.finish();
    Ok(exit_code(args, differs))
}

/// The same content would be expected: neither size nor time says that anything was written.
fn is_suspicious(change: &Change<'_>) -> bool {
    let (Some(before), Some(after)) = (&change.before, &change.after) else {
        return false;
    };
    let sizes = (size_of(&before.entry.node), size_of(&after.entry.node));
    change.what.content && !change.what.mtime && sizes.0.is_some() && sizes.0 == sizes.1
}

fn modifier(change: &Change<'_>) -> &'static str {
    let Differences { kind, content, .. } = change.what;
    match (&change.before, &change.after) {
        (None, _) => "+",
        (_, None) => "-",
        _ if kind => "T",
        _ if content && is_suspicious(change) => "M?",
        _ if content => "M",
        _ => "U",
    }
}

fn change_line(change: &Change<'_>, hunks: Option<&[u8]>) -> ChangeLine {
    let size = |listed: &Option<Listed>| listed.as_ref().and_then(|it| size_of(&it.entry.node));
    let node = change.after.as_ref().or(change.before.as_ref());
    ChangeLine {
        message_type: "change",
        path: lossy(change.path),
        path_bytes_hex: hex_unless_utf8(change.path),
        modifier: modifier(change),
        kind: node.map_or("", |listed| kind(&listed.entry.node)),
        differences: change.what.words(),
        size_before: size(&change.before),
        size_after: size(&change.after),
        diff: hunks.map(lossy),
    }
}

fn rename_line(rename: &Rename) -> RenameLine {
    RenameLine {
        message_type: "rename",
        source_path: lossy(&rename.from),
        source_path_bytes_hex: hex_unless_utf8(&rename.from),
        target_path: lossy(&rename.to),
        target_path_bytes_hex: hex_unless_utf8(&rename.to),
        kind: if rename.directory { "dir" } else { "file" },
    }
}

fn statistics(summary: &DiffSummary, before: &Snapshot, after: &Snapshot) -> StatisticsLine {
    StatisticsLine {
        message_type: "statistics",
        source_snapshot: before.id.hex(),
        target_snapshot: after.id.hex(),
        changed_files: summary.changed.files + summary.changed.dirs + summary.changed.others,
        changed_bytes_before: summary.changed_bytes_before,
        changed_bytes_after: summary.changed.bytes,
        metadata_changed: summary.metadata_changed,
        added: summary.added.into(),
        removed: summary.removed.into(),
        renames: summary.renames.len() as u64,
        renames_incomplete: summary.renames_incomplete,
    }
}

fn words(change: &Change<'_>, hunks: Option<&[u8]>, manner: &Manner) -> Vec<u8> {
    let modifier = modifier(change);
    let mut path = text::raw_or_safe(change.path, manner.terminal);
    let node = change.after.as_ref().or(change.before.as_ref());
    if matches!(node.map(|it| &it.entry.node), Some(Node::Directory(_))) && path != b"/" {
        path.push(b'/');
    }
    let mut out = Vec::new();
    out.extend(coloured(modifier, &format!("{modifier:<5}"), manner.colour).bytes());
    out.extend_from_slice(&path);
    if let (Some(before), Some(after), true) = (&change.before, &change.after, manner.metadata) {
        // Writing to a vector cannot fail.
        let _ = write!(
            out,
            "  ({})",
            details(before, after, &change.what).join(", ")
        );
    }
    out.push(b'\n');
    if let Some(hunks) = hunks {
        for (mark, side) in [(&b"--- "[..], &b"a"[..]), (b"+++ ", b"b")] {
            out.extend(text::raw_or_safe(
                &[mark, side, change.path].concat(),
                manner.terminal,
            ));
            out.push(b'\n');
        }
        for line in hunks.split_inclusive(|byte| *byte == b'\n') {
            let bare = line.strip_suffix(b"\n").unwrap_or(line);
            let mark = bare
                .get(..1)
                .and_then(|mark| std::str::from_utf8(mark).ok());
            // Tabs are what a terminal is for.
            let parts = bare.split(|byte| *byte == b'\t');
            let parts: Vec<Vec<u8>> = parts
                .map(|part| text::raw_or_safe(part, manner.terminal))
                .collect();
            let shown = parts.join(&b'\t');
            let colour = manner.colour && matches!(mark, Some("+" | "-" | "@"));
            if colour {
                let line = String::from_utf8_lossy(&shown);
                out.extend(coloured(mark.unwrap_or_default(), &line, true).bytes());
            } else {
                out.extend(shown);
            }
            out.push(b'\n');
        }
    }
    out
}

fn coloured(modifier: &str, text: &str, colour: bool) -> String {
    let code = match modifier {
        "+" => "32",
        "-" => "31",
        "@" => "36",
        _ => "33",
    };
    if colour {
        format!("\x1b[{code}m{text}\x1b[0m")
    } else {
        text.to_owned()
    }
}

/// What differs, from what to what.
fn details(before: &Listed, after: &Listed, what: &Differences) -> Vec<String> {
    let (old, new) = (&before.entry, &after.entry);
    let owner = |listed: &Listed| {
        let name = |name: Option<&[u8]>, number: u32| match name {
            Some(name) => text::safe_bytes(name),
            None => number.to_string(),
        };
        format!(
            "{}:{}",
            name(listed.user.as_deref(), listed.entry.uid),
            name(listed.group.as_deref(), listed.entry.gid)
        )
    };
    let links = |listed: &Listed| listed.entry.link.map_or(1, |link| link.count);
    let mut parts = Vec::new();
    if what.kind {
        parts.push(format!("{} -> {}", kind(&old.node), kind(&new.node)));
    } else if what.content {
        parts.push(match (size_of(&old.node), size_of(&new.node)) {
            (Some(a), Some(b)) if a != b => format!("{} -> {}", size::show(a), size::show(b)),
            _ => "content".into(),
        });
    }
    if what.mode {
        let shown = |entry: &duramen::format::entry::Entry| permissions(&entry.node, entry.mode);
        parts.push(format!("{} -> {}", shown(old), shown(new)));
    }
    if what.owner {
        let (a, b) = (owner(before), owner(after));
        parts.push(if a == b {
            // The name went to another number.
            format!("owner {}:{} -> {}:{}", old.uid, old.gid, new.uid, new.gid)
        } else {
            format!("owner {a} -> {b}")
        });
    }
    if what.mtime {
        let (a, b) = (time::local(old.mtime), time::local(new.mtime));
        parts.push(if a == b {
            "time, within a second".into()
        } else {
            format!("time {a} -> {b}")
        });
    }
    if what.xattrs {
        let names: Vec<String> = attributes(before, after)
            .iter()
            .map(|name| text::safe_bytes(name))
            .collect();
        parts.push(format!("attributes {}", names.join(" ")));
    }
    if what.links {
        parts.push(format!("links {} -> {}", links(before), links(after)));
    }
    parts
}

/// Names of the attributes that differ.
fn attributes<'l>(before: &'l Listed, after: &'l Listed) -> Vec<&'l [u8]> {
    let (old, new) = (&before.entry.xattrs, &after.entry.xattrs);
    let mut names: Vec<&[u8]> = old
        .iter()
        .filter(|xattr| !new.contains(xattr))
        .chain(new.iter().filter(|xattr| !old.contains(xattr)))
        .map(|xattr| xattr.name.as_slice())
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn last_words(summary: &DiffSummary, manner: &Manner) -> Vec<u8> {
    let mut out = Vec::new();
    for rename in &summary.renames {
        let path = |path: &[u8]| {
            let mut shown = text::raw_or_safe(path, manner.terminal);
            if rename.directory {
                shown.push(b'/');
            }
            shown
        };
        out.extend(coloured("R", &format!("{:<5}", "R"), manner.colour).bytes());
        out.extend(path(&rename.from));
        out.extend_from_slice(b" -> ");
        out.extend(path(&rename.to));
        out.push(b'\n');
    }
    if !summary.any() {
        out.extend_from_slice(b"nothing differs\n");
        return out;
    }
    out.push(b'\n');
    let tally = |tally: &Tally| {
        let mut parts = vec![
            text::plural(tally.files, "file", "files"),
            text::plural(tally.dirs, "folder", "folders"),
        ];
        if tally.others > 0 {
            parts.push(text::plural(tally.others, "other", "others"));
        }
        format!("{}, {}", parts.join(", "), size::show(tally.bytes))
    };
    // Writing to a vector cannot fail.
    let _ = writeln!(out, "added      {}", tally(&summary.added));
    let _ = writeln!(out, "removed    {}", tally(&summary.removed));
    let changed = &summary.changed;
    let _ = writeln!(
        out,
        "changed    {}, {} -> {}",
        text::plural(
            changed.files + changed.dirs + changed.others,
            "entry",
            "entries"
        ),
        size::show(summary.changed_bytes_before),
        size::show(changed.bytes)
    );
    let only = text::plural(summary.metadata_changed, "entry", "entries");
    let hint = if summary.metadata_changed > 0 && !manner.metadata {
        " (--metadata shows them)"
    } else {
        ""
    };
    let _ = writeln!(out, "metadata   {only}{hint}");
    if summary.renames_incomplete {
        let _ = writeln!(
            out,
            "too much was added and removed to look for every rename"
        );
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::cli::commands::snapshots::tests::sample;
    use crate::cli::json::tests::documented;
    use crate::cli::node::tests::listed;
    use duramen::format::entry::Content;

    const MANNER: Manner = Manner {
        json: false,
        quiet: false,
        metadata: true,
        terminal: true,
        colour: false,
    };

    fn file(mode: u32, text: &str) -> Option<Listed> {
        let content = Content::Inline(text.into());
        let size = text.len() as u64;
        Some(listed(b"f", mode, Node::File { size, content }))
    }

    fn change(before: Option<Listed>, after: Option<Listed>) -> Change<'static> {
        let what = match (&before, &after) {
            (Some(before), Some(after)) => Differences::between(before, after),
            _ => Differences::default(),
        };
        Change {
            path: b"/d/f\x1b",
            before,
            after,
            what,
        }
    }

    #[test]
    fn modifiers_are_restics() {
        let pipe = || Some(listed(b"f", 0o644, Node::Fifo));
        let mut later = file(0o644, "new");
        later.as_mut().unwrap().entry.mtime += 1;
        for (before, after, letter) in [
            (None, pipe(), "+"),
            (pipe(), None, "-"),
            (file(0o644, "old"), pipe(), "T"),
            (file(0o644, "old"), later, "M"),
            (file(0o644, "old"), file(0o644, "new"), "M?"),
            (file(0o644, "old"), file(0o600, "old"), "U"),
        ] {
            assert_eq!(modifier(&change(before, after)), letter);
        }
    }

    #[test]
    fn a_change_in_words_and_as_an_object() {
        let change = change(file(0o644, "old"), file(0o600, "newer"));
        let shown = String::from_utf8(words(
            &change,
            Some(b"@@ -1,1 +1,1 @@\n-\x1b\n+\tx\n"),
            &MANNER,
        ));
        assert_eq!(
            shown.unwrap(),
            "M    /d/f\\x1b  (3 B -> 5 B, -rw-r--r-- -> -rw-------)\n--- a/d/f\\x1b\n+++ b/d/f\\x1b\n\
             @@ -1,1 +1,1 @@\n-\\x1b\n+\tx\n"
        );
        let object = documented("diff", &change_line(&change, Some(b"@@")));
        assert_eq!(
            object["differences"],
            serde_json::json!(["content", "mode"])
        );
        assert_eq!(
            (&object["size_before"], &object["size_after"]),
            (&3.into(), &5.into())
        );
    }

    #[test]
    fn the_end_in_words_and_as_an_object() {
        let mut summary = DiffSummary::default();
        assert_eq!(last_words(&summary, &MANNER), b"nothing differs\n");
        summary.added.files = 1;
        summary.renames.push(Rename {
            from: b"/a".to_vec(),
            to: b"/b".to_vec(),
            directory: true,
        });
        let shown = String::from_utf8(last_words(&summary, &MANNER)).unwrap();
        assert!(
            shown.starts_with("R    /a/ -> /b/\n\nadded      1 file, "),
            "{shown}"
        );
        let (a, b) = (sample(1, "h", b"/"), sample(2, "h", b"/"));
        documented("diff", &statistics(&summary, &a, &b));
        documented("diff", &rename_line(&summary.renames[0]));
    }
}
