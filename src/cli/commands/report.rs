//! What a restore to a MongoDB server did, as a file to keep: Markdown for people, JSON for programs.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use duramen::error::{Error, Result};

use super::restore_deployment::{CollectionObject, DocumentsObject, SummaryObject};
use crate::cli::output::json_line;
use crate::cli::text;

/// Writes it, as the file's name says.
///
/// # Errors
/// Where the file cannot be written.
pub fn write(file: &Path, summary: &SummaryObject) -> Result<()> {
    let json = file.extension().is_some_and(|ending| ending == "json");
    let told = match json {
        true => json_line(summary)?,
        false => markdown(summary),
    };
    // It names documents.
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    options
        .open(file)
        .and_then(|mut open| open.write_all(told.as_bytes()))
        .map_err(|error| Error::io("write", file, error))
}

/// A cell of a table, or a part of a line: nothing in it ends the line, the cell or the code.
fn cell(words: &str) -> String {
    let plain = text::safe(words);
    plain.replace('|', "\\|").replace('`', "\'")
}

fn markdown(summary: &SummaryObject) -> String {
    let mut page = format!(
        "# Restore to {}\n\nSnapshot `{}`{}, {:.1} s.\n\n",
        cell(&summary.address),
        summary.snapshot_id,
        if summary.dry_run { ", a dry run" } else { "" },
        summary.total_duration,
    );
    if let Some(undo) = &summary.undo_snapshot_id {
        page.push_str(&format!(
            "What was there before is kept as `{undo}`: `duramen rollback {undo}` puts it back.\n\n"
        ));
    }
    page.push_str(
        "| collection | as | restored | replaced | merged | skipped | unchanged | failed | verified | indexes |\n\
         |---|---|---|---|---|---|---|---|---|---|\n",
    );
    for own in &summary.collections {
        page.push_str(&format!(
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |\n",
            cell(&own.namespace),
            cell(&own.target),
            own.restored.count,
            own.replaced.count,
            own.merged.count,
            own.skipped.count,
            own.unchanged,
            own.failed_count,
            own.verified,
            own.indexes,
        ));
    }
    for own in &summary.collections {
        page.push_str(&details(own));
    }
    page
}

fn details(own: &CollectionObject) -> String {
    let mut part = String::new();
    let mut named = |what: &str, documents: &DocumentsObject| {
        if documents.ids.is_empty() {
            return;
        }
        let ids: Vec<String> = documents
            .ids
            .iter()
            .map(|id| format!("`{}`", cell(id)))
            .collect();
        let more = documents.count - documents.ids.len() as u64;
        let more = match more {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        part.push_str(&format!("- {what}: {}{more}\n", ids.join(", ")));
    };
    named("restored", &own.restored);
    named("replaced", &own.replaced);
    named("merged", &own.merged);
    named("skipped", &own.skipped);
    for failed in &own.failed {
        part.push_str(&format!(
            "- failed: `{}`: {}\n",
            cell(&failed.id),
            cell(&failed.why)
        ));
    }
    for index in &own.deferred_indexes {
        part.push_str(&format!("- index left to you: `{}`\n", cell(index)));
    }
    for problem in &own.problems {
        part.push_str(&format!("- problem: {}\n", cell(problem)));
    }
    match part.is_empty() {
        true => part,
        false => format!("\n## {}\n\n{part}", cell(&own.target)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use duramen::ops::restore_deployment::{CollectionReport, Documents};

    #[test]
    fn a_report_names_what_was_done_and_nothing_breaks_its_table() {
        let mut own = CollectionReport {
            namespace: "shop.a|b".into(),
            target: "shop.a|b".into(),
            replaced: Documents {
                count: 3,
                ids: vec!["1".into(), "`x`".into()],
            },
            ..CollectionReport::default()
        };
        own.fail(&(0x10, vec![7, 0, 0, 0]), "line\nbreak").unwrap();
        let summary = SummaryObject {
            message_type: "summary",
            snapshot_id: "ab".into(),
            dry_run: false,
            address: "mongodb://h".into(),
            undo_snapshot_id: Some("cd".into()),
            total_duration: 1.25,
            collections: vec![(&own).into()],
        };
        let page = markdown(&summary);
        assert!(
            page.starts_with("# Restore to mongodb://h\n\nSnapshot `ab`, 1.2 s.\n"),
            "{page}"
        );
        assert!(page.contains("`duramen rollback cd`"));
        assert!(
            page.contains("| shop.a\\|b | shop.a\\|b | 0 | 3 | 0 | 0 | 0 | 1 | 0 | 0 |\n"),
            "{page}"
        );
        assert!(
            page.contains("- replaced: `1`, `\'x\'` and 1 more\n"),
            "{page}"
        );
        assert_eq!(
            page.lines()
                .filter(|line| line.contains("- failed: `7`: line"))
                .count(),
            1
        );
        assert!(!page.contains("line\nbreak"));
    }
}
