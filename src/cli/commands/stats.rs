//! `duramen stats`.

use std::process::ExitCode;

use duramen::error::Result;
use duramen::format::snapshot::{Extent, Snapshot};
use duramen::ops::stats::{self, Largest, Part, Stats};
use serde::Serialize;

use crate::cli::args::StatsArgs;
use crate::cli::context::{Context, filter_of};
use crate::cli::json::{hex_unless_utf8, lossy};
use crate::cli::output::{self, json_line, put};
use crate::cli::{exit, opening, plot, size, text, time};

/// Newest snapshots whose growth is shown to people.
const GROWTH_SHOWN: usize = 10;

#[derive(Serialize)]
struct StatsObject {
    message_type: &'static str,
    snapshots_count: u64,
    total_restore_size: u64,
    total_uncompressed_size: u64,
    total_size: u64,
    dedup_ratio: Option<f64>,
    compression_ratio: Option<f64>,
    data: StoredObject,
    metadata: StoredObject,
    packs: u64,
    pack_bytes: u64,
    segments: u64,
    segment_bytes: u64,
    other_bytes: u64,
    growth: Vec<GrowthObject>,
    largest: Option<LargestObject>,
}

#[derive(Serialize)]
struct StoredObject {
    chunks: u64,
    uncompressed_size: u64,
    stored_size: u64,
}

#[derive(Serialize)]
struct GrowthObject {
    snapshot_id: String,
    time: String,
    host: String,
    size: u64,
    files: u64,
    data_added: u64,
    data_added_packed: u64,
}

#[derive(Serialize)]
struct LargestObject {
    snapshot_id: String,
    files: Vec<PartObject>,
    dirs: Vec<PartObject>,
}

#[derive(Serialize)]
struct PartObject {
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    path_bytes_hex: Option<String>,
    size: u64,
}

/// `duramen stats [SNAP]`.
pub fn run(context: &Context, args: &StatsArgs) -> Result<ExitCode> {
    let filter = filter_of(&args.filter)?;
    let reporter = context.reporter_beside_results("stats");
    let repository = opening::open(context, &reporter)?;
    let stats = stats::run(&repository, &args.snapshot, &filter, &reporter)?;
    reporter.finish();
    let text = if context.global.json {
        json_line(&object(&stats))?
    } else {
        words(&stats)
    };
    output::results(|out| put(out, text.as_bytes()))?;
    Ok(exit::DONE)
}

fn object(stats: &Stats) -> StatsObject {
    let stored = |stored: &stats::Stored| StoredObject {
        chunks: stored.chunks,
        uncompressed_size: stored.raw,
        stored_size: stored.sealed,
    };
    let parts = |parts: &[Part]| {
        parts
            .iter()
            .map(|part| PartObject {
                path: lossy(&part.path),
                path_bytes_hex: hex_unless_utf8(&part.path),
                size: part.bytes,
            })
            .collect()
    };
    let growth = |snapshot: &Snapshot| {
        let Extent { files, bytes: size } = snapshot.extent();
        GrowthObject {
            snapshot_id: snapshot.id.hex(),
            time: time::rfc3339(snapshot.time),
            host: snapshot.host.clone(),
            size,
            files,
            data_added: snapshot.counters.data_added,
            data_added_packed: snapshot.counters.data_added_packed,
        }
    };
    StatsObject {
        message_type: "stats",
        snapshots_count: stats.snapshots.len() as u64,
        total_restore_size: stats.logical,
        total_uncompressed_size: stats.data.raw.saturating_add(stats.metadata.raw),
        total_size: stats.total(),
        dedup_ratio: stats.dedup_ratio(),
        compression_ratio: stats.compression_ratio(),
        data: stored(&stats.data),
        metadata: stored(&stats.metadata),
        packs: stats.packs,
        pack_bytes: stats.pack_bytes,
        segments: stats.segments,
        segment_bytes: stats.segment_bytes,
        other_bytes: stats.other_bytes,
        growth: stats.snapshots.iter().map(growth).collect(),
        largest: stats
            .largest
            .as_ref()
            .map(|(snapshot, largest)| LargestObject {
                snapshot_id: snapshot.id.hex(),
                files: parts(&largest.files),
                dirs: parts(&largest.directories),
            }),
    }
}

fn words(stats: &Stats) -> String {
    let times = |ratio: Option<f64>| {
        ratio.map_or_else(String::new, |ratio| format!("{ratio:.2} times smaller"))
    };
    let raw = stats.data.raw.saturating_add(stats.metadata.raw);
    let rows: Vec<Vec<String>> = [
        (
            "in all snapshots",
            size::show(stats.logical),
            format!(
                "as if {} lay side by side",
                text::plural(stats.snapshots.len() as u64, "snapshot", "snapshots")
            ),
        ),
        (
            "different data",
            size::show(stats.data.raw),
            times(stats.dedup_ratio()),
        ),
        (
            "with metadata",
            size::show(raw),
            text::plural(stats.data.chunks + stats.metadata.chunks, "chunk", "chunks"),
        ),
        (
            "compressed",
            size::show(stats.data.sealed.saturating_add(stats.metadata.sealed)),
            times(stats.compression_ratio()),
        ),
        (
            "on the storage",
            size::show(stats.total()),
            format!(
                "{} and {}",
                text::plural(stats.packs, "pack", "packs"),
                text::plural(stats.segments, "segment", "segments")
            ),
        ),
    ]
    .map(|(name, bytes, rest)| vec![name.to_owned(), bytes, rest])
    .to_vec();
    let mut out = text::table(&rows, &[false, true, false]);
    out.push_str(&growth(&stats.snapshots));
    if let Some((snapshot, largest)) = &stats.largest {
        out.push_str(&biggest(snapshot, largest));
    }
    out
}

fn growth(snapshots: &[Snapshot]) -> String {
    if snapshots.is_empty() {
        return String::new();
    }
    let mut sum = 0u64;
    let points: Vec<(i64, u64)> = snapshots
        .iter()
        .map(|snapshot| {
            sum = sum.saturating_add(snapshot.counters.data_added_packed);
            (snapshot.time, sum)
        })
        .collect();
    let mut out = String::new();
    let plot = plot::over_time(&points, size::show);
    if !plot.is_empty() {
        out.push_str(&format!("\nStored by these snapshots over time:\n{plot}"));
    }
    let shown = snapshots.len().min(GROWTH_SHOWN);
    let heads = ["id", "time", "host", "size", "added", "stored"];
    let mut rows = vec![heads.map(String::from).to_vec()];
    rows.extend(snapshots.iter().rev().take(shown).rev().map(|snapshot| {
        vec![
            snapshot.id.short(),
            time::local(snapshot.time),
            text::safe(&snapshot.host),
            size::show(snapshot.extent().bytes),
            size::show(snapshot.counters.data_added),
            size::show(snapshot.counters.data_added_packed),
        ]
    }));
    out.push_str("\nWhat each snapshot added, before and after compression");
    if shown < snapshots.len() {
        out.push_str(&format!(" (the newest {shown}; --json has all)"));
    }
    out.push_str(":\n");
    out.push_str(&text::table(
        &rows,
        &[false, false, false, true, true, true],
    ));
    out
}

fn biggest(snapshot: &Snapshot, largest: &Largest) -> String {
    let mut out = String::new();
    for (what, parts, end) in [
        ("folders", &largest.directories, "/"),
        ("files", &largest.files, ""),
    ] {
        if parts.is_empty() {
            continue;
        }
        out.push_str(&format!("\nLargest {what} in {}:\n", snapshot.id.short()));
        let rows: Vec<Vec<String>> = parts
            .iter()
            .map(|part| {
                vec![
                    size::show(part.bytes),
                    format!("{}{end}", text::safe_bytes(&part.path)),
                ]
            })
            .collect();
        out.push_str(&text::table(&rows, &[true, false]));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::commands::snapshots::tests::sample;
    use crate::cli::json::tests::documented;

    #[test]
    fn numbers_in_words_and_as_an_object() {
        let empty = documented("stats", &object(&Stats::default()));
        assert_eq!(empty["dedup_ratio"], serde_json::Value::Null);
        assert!(words(&Stats::default()).contains("as if 0 snapshots lay side by side"));

        let part = Part {
            bytes: 7,
            path: b"/\xff".to_vec(),
        };
        let mut stats = Stats {
            snapshots: (1..20).map(|id| sample(id, "h\x1b", b"/")).collect(),
            logical: 3000,
            ..Stats::default()
        };
        for snapshot in &mut stats.snapshots {
            snapshot.counters.data_added_packed = 1024;
        }
        stats.data.raw = 1000;
        stats.data.sealed = 400;
        let largest = Largest {
            directories: vec![part.clone()],
            files: vec![part],
        };
        stats.largest = Some((sample(19, "h", b"/"), largest));
        let full = documented("stats", &object(&stats));
        assert_eq!(
            (&full["dedup_ratio"], &full["compression_ratio"]),
            (&3.0.into(), &2.5.into())
        );
        assert_eq!(full["growth"].as_array().map(Vec::len), Some(19));
        let shown = words(&stats);
        for part in [
            "3.00 times smaller",
            "2.50 times smaller",
            "19.0 KiB",
            "the newest 10",
            "7 B  /\\xff/",
            "h\\x1b",
        ] {
            assert!(shown.contains(part), "{part}: {shown}");
        }
    }
}
