//! `duramen history COLLECTION --id ID`.

use std::process::ExitCode;

use duramen::error::Result;
use duramen::ops::document_history::{self, DocumentVersion};
use serde::Serialize;

use crate::cli::args::HistoryArgs;
use crate::cli::context::{Context, filter_of, usage};
use crate::cli::output::{self, json_line, put};
use crate::cli::{exit, opening, time};

/// A document from one moment on.
#[derive(Serialize)]
struct VersionLine {
    message_type: &'static str,
    at: String,
    /// Null where the recorded oplog tells of it.
    snapshot_id: Option<String>,
    /// Null where it is not there.
    document: Option<serde_json::Value>,
}

/// `duramen history COLLECTION --id ID`.
pub fn run(context: &Context, args: &HistoryArgs, id: &str) -> Result<ExitCode> {
    let namespace = args.path.to_str().filter(|name| name.contains('.'));
    let namespace = namespace.ok_or_else(|| {
        usage("--id is about a document of MongoDB, and this is no collection")
            .subject(args.path.display().to_string())
            .hint("name it with its database: duramen history shop.quotes --id 1017")
    })?;
    let filter = filter_of(&args.filter)?;
    let reporter = context.reporter_beside_results("history");
    let repository = opening::open(context, &reporter)?;
    let versions = document_history::run(&repository, namespace, id, &filter, &reporter)?;
    reporter.finish();
    let mut text = String::new();
    for version in &versions {
        text.push_str(&match context.global.json {
            true => json_line(&line(version))?,
            false => words(version),
        });
    }
    output::results(|out| put(out, text.as_bytes()))?;
    Ok(exit::DONE)
}

fn line(own: &DocumentVersion) -> VersionLine {
    VersionLine {
        message_type: "document_version",
        at: time::rfc3339(own.at),
        snapshot_id: own.snapshot.map(|id| id.hex()),
        document: own
            .document
            .as_ref()
            .map(|text| serde_json::from_str(text).unwrap_or_default()),
    }
}

fn words(own: &DocumentVersion) -> String {
    let from = match own.snapshot {
        Some(id) => format!("snapshot {}", id.short()),
        None => "oplog            ".into(),
    };
    let document = own.document.as_deref().unwrap_or("not there");
    format!("{}  {from}  {document}\n", time::local(own.at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::json::tests::documented;
    use duramen::id::SessionId;

    #[test]
    fn versions_for_people_and_for_scripts() {
        let own = DocumentVersion {
            at: 1_000_000_000,
            snapshot: Some(SessionId([0xab; 16])),
            document: Some("{\"_id\":1}".into()),
        };
        assert!(words(&own).ends_with("  snapshot abababab  {\"_id\":1}\n"));
        let line = documented("history", &line(&own));
        assert_eq!(line["snapshot_id"], "ab".repeat(16));
        let gone = DocumentVersion {
            document: None,
            ..own
        };
        assert!(words(&gone).ends_with("  not there\n"));
    }
}
