//! `duramen diff` of collections.

use std::io::Write as _;

use duramen::error::Result;
use duramen::format::snapshot::Snapshot;
use duramen::ops::document_diff::{self, Difference, DocumentDiffSummary, Field};
use duramen::progress::Progress;
use duramen::repository::Repository;
use serde::Serialize;
use serde_json::Value;

use crate::cli::args::DiffArgs;
use crate::cli::context::Context;
use crate::cli::output::{self, json_line, put};
use crate::cli::text;

#[derive(Serialize)]
struct CollectionLine<'d> {
    message_type: &'static str,
    collection: &'d str,
    modifier: &'static str,
    differences: &'d [&'static str],
}

#[derive(Serialize)]
struct DocumentLine<'d> {
    message_type: &'static str,
    collection: &'d str,
    modifier: &'static str,
    /// As Extended JSON.
    id: Value,
    fields: Vec<FieldObject<'d>>,
}

#[derive(Serialize)]
struct FieldObject<'d> {
    path: &'d str,
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<Value>,
}

#[derive(Serialize)]
struct StatisticsLine {
    message_type: &'static str,
    source_snapshot: String,
    /// Null where it was compared with a server.
    target_snapshot: Option<String>,
    documents_added: u64,
    documents_removed: u64,
    documents_changed: u64,
    collections_added: u64,
    collections_removed: u64,
    collections_changed: u64,
}

/// One of the two: what it holds, and which part is meant.
pub type Side<'s> = (&'s Snapshot, Option<&'s [u8]>);

/// Compares collections, the second a server's where `live` is set; whether anything differs.
pub fn run(
    context: &Context,
    args: &DiffArgs,
    repository: &Repository,
    (before, after): (Side<'_>, Side<'_>),
    live: bool,
    progress: &dyn Progress,
) -> Result<bool> {
    for side in [before.0, after.0] {
        super::tell_of_damage(side, progress);
    }
    let terminal = context.environment.stdout_terminal;
    let summary = output::results(|out| {
        let mut each = |difference: &Difference| match (context.global.json, context.global.quiet) {
            (true, _) => put(out, line(difference)?.as_bytes()),
            (false, true) => Ok(()),
            (false, false) => put(out, &words(difference, args, terminal)),
        };
        let summary = document_diff::run(repository, before, after, progress, &mut each)?;
        if context.global.json {
            let target = (!live).then(|| after.0.id.hex());
            put(
                out,
                json_line(&statistics(&summary, before.0.id.hex(), target))?.as_bytes(),
            )?;
        } else if !context.global.quiet {
            put(out, last_words(&summary).as_bytes())?;
        }
        Ok(summary)
    })?;
    Ok(summary.any())
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_default()
}

fn line(difference: &Difference) -> Result<String> {
    match difference {
        Difference::Collection {
            namespace,
            modifier,
            differences,
        } => json_line(&CollectionLine {
            message_type: "collection_change",
            collection: namespace,
            modifier,
            differences,
        }),
        Difference::Document {
            namespace,
            modifier,
            id,
            fields,
        } => json_line(&DocumentLine {
            message_type: "document_change",
            collection: namespace,
            modifier,
            id: parsed(id),
            fields: fields
                .iter()
                .map(|field| FieldObject {
                    path: &field.path,
                    before: field.before.as_deref().map(parsed),
                    after: field.after.as_deref().map(parsed),
                })
                .collect(),
        }),
    }
}

fn statistics(
    summary: &DocumentDiffSummary,
    source_snapshot: String,
    target_snapshot: Option<String>,
) -> StatisticsLine {
    StatisticsLine {
        message_type: "document_statistics",
        source_snapshot,
        target_snapshot,
        documents_added: summary.added,
        documents_removed: summary.removed,
        documents_changed: summary.changed,
        collections_added: summary.collections_added,
        collections_removed: summary.collections_removed,
        collections_changed: summary.collections_changed,
    }
}

fn words(difference: &Difference, args: &DiffArgs, terminal: bool) -> Vec<u8> {
    let mut out = Vec::new();
    let shown = |text: &str| text::raw_or_safe(text.as_bytes(), terminal);
    match difference {
        Difference::Collection { modifier: "U", .. } if !args.metadata => {}
        Difference::Collection {
            namespace,
            modifier,
            differences,
        } => {
            out.extend_from_slice(format!("{modifier}  ").as_bytes());
            out.extend(shown(namespace));
            if !differences.is_empty() {
                out.extend_from_slice(format!("  ({})", differences.join(", ")).as_bytes());
            }
            out.push(b'\n');
        }
        Difference::Document {
            namespace,
            modifier,
            id,
            fields,
        } => {
            out.extend_from_slice(format!("{modifier}  ").as_bytes());
            out.extend(shown(&format!("{namespace}  {id}")));
            let names: Vec<&str> = fields.iter().map(name).collect();
            if !names.is_empty() && !args.content {
                out.extend(shown(&format!("  ({})", names.join(", "))));
            }
            out.push(b'\n');
            for field in fields.iter().filter(|_| args.content) {
                for (sign, value) in [("-", &field.before), ("+", &field.after)] {
                    if let Some(value) = value {
                        out.extend_from_slice(format!("     {sign} ").as_bytes());
                        out.extend(shown(&format!("{}: {value}", name(field))));
                        out.push(b'\n');
                    }
                }
            }
        }
    }
    out
}

fn name(field: &Field) -> &str {
    match field.path.as_str() {
        "" => "the order of its fields",
        path => path,
    }
}

fn last_words(summary: &DocumentDiffSummary) -> String {
    let mut out = Vec::new();
    let documents = |count| text::plural(count, "document", "documents");
    let collections = |count| text::plural(count, "collection", "collections");
    for (word, own, of) in [
        ("added", summary.added, summary.collections_added),
        ("removed", summary.removed, summary.collections_removed),
        ("changed", summary.changed, summary.collections_changed),
    ] {
        // Writing to a vector cannot fail.
        let _ = writeln!(out, "{word:<10} {}, {}", documents(own), collections(of));
    }
    String::from_utf8(out).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::json::tests::documented;

    #[test]
    fn the_lines_are_documented() {
        let field = Field {
            path: "a.b".into(),
            before: Some("1".into()),
            after: Some("\"x\"".into()),
        };
        let of = |difference: &Difference| {
            serde_json::from_str::<Value>(&line(difference).unwrap_or_default()).unwrap_or_default()
        };
        let document = Difference::Document {
            namespace: "shop.quotes".into(),
            modifier: "M",
            id: "{\"$oid\":\"00\"}".into(),
            fields: vec![field],
        };
        let mut shown = of(&document);
        assert_eq!(shown["id"]["$oid"], "00");
        shown["id"] = Value::Null;
        let shown = documented("diff", &shown);
        assert_eq!(shown["fields"][0]["after"], "x");
        documented(
            "diff",
            &of(&Difference::Collection {
                namespace: "shop.quotes".into(),
                modifier: "U",
                differences: vec!["options"],
            }),
        );
        let summary = DocumentDiffSummary::default();
        documented("diff", &statistics(&summary, "a".into(), None));
    }
}
