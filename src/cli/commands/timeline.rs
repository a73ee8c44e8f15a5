//! `duramen timeline`.

use std::process::ExitCode;

use duramen::clock::Nanos;
use duramen::error::{Kind, Result};
use duramen::ops::timeline::{self, Range, Timeline};
use serde::Serialize;

use crate::cli::args::TimelineArgs;
use crate::cli::context::{self, Context, filter_of};
use crate::cli::{exit, opening, output, size, text, time};

/// Columns of the picture.
const WIDTH: usize = 60;

#[derive(Serialize)]
struct TimelineObject {
    host: String,
    set: String,
    address: String,
    ranges: Vec<RangeObject>,
    gaps: Vec<RangeObject>,
    snapshots: Vec<MomentObject>,
    slices: u64,
    entries: u64,
    bytes: u64,
}

#[derive(Serialize)]
struct RangeObject {
    from: String,
    to: String,
}

#[derive(Serialize)]
struct MomentObject {
    snapshot_id: String,
    at: String,
}

impl From<&Range> for RangeObject {
    fn from(range: &Range) -> Self {
        Self {
            from: time::rfc3339(range.from),
            to: time::rfc3339(range.to),
        }
    }
}

/// `duramen timeline`.
pub fn run(context: &Context, args: &TimelineArgs) -> Result<ExitCode> {
    let filter = filter_of(&args.filter)?;
    let reporter = context.reporter_beside_results("timeline");
    let repository = opening::open(context, &reporter)?;
    let (timelines, broken) = timeline::run(&repository, &filter)?;
    reporter.finish();
    let out = if context.global.json {
        let all: Vec<TimelineObject> = timelines.iter().map(object).collect();
        output::json_line(&all)?
    } else if timelines.is_empty() {
        "no replica set was taken yet\n".into()
    } else {
        let all: Vec<String> = timelines.iter().map(words).collect();
        all.join("\n")
    };
    output::results(|to| output::put(to, out.as_bytes()))?;
    for error in &broken {
        context::report(error, context.global.json, context.colour_on_stderr());
    }
    Ok(match broken.is_empty() {
        true => exit::DONE,
        false => exit::of_error(Kind::Damage),
    })
}

fn object(own: &Timeline) -> TimelineObject {
    TimelineObject {
        host: own.host.clone(),
        set: own.set.clone(),
        address: own.address.clone(),
        ranges: own.ranges.iter().map(Into::into).collect(),
        gaps: own.gaps.iter().map(Into::into).collect(),
        snapshots: own
            .snapshots
            .iter()
            .map(|(at, id)| MomentObject {
                snapshot_id: id.hex(),
                at: time::rfc3339(*at),
            })
            .collect(),
        slices: own.slices,
        entries: own.entries,
        bytes: own.bytes,
    }
}

fn words(own: &Timeline) -> String {
    let mut words = format!(
        "{} ({}), taken by {}\n",
        text::safe(&own.address),
        text::safe(&own.set),
        text::safe(&own.host)
    );
    words.push_str(&picture(own));
    for range in &own.ranges {
        words.push_str(&if range.from == range.to {
            format!("  {}  a snapshot alone\n", time::local(range.from))
        } else {
            format!(
                "  {} to before {}  any second\n",
                time::local(range.from),
                time::local(range.to)
            )
        });
    }
    for gap in &own.gaps {
        words.push_str(&format!(
            "  {} to {}  a gap\n",
            time::local(gap.from),
            time::local(gap.to)
        ));
    }
    words.push_str(&format!(
        "  {}, {} of the oplog: {}, {}\n",
        text::plural(own.snapshots.len() as u64, "snapshot", "snapshots"),
        text::plural(own.slices, "stretch", "stretches"),
        text::plural(own.entries, "entry", "entries"),
        size::show(own.bytes),
    ));
    words
}

/// From the first moment to the last: `#` where any second can be had, `.` where none, `|` where a snapshot stands.
fn picture(own: &Timeline) -> String {
    let (Some(first), Some(last)) = (own.ranges.first(), own.ranges.last()) else {
        return String::new();
    };
    let (from, to) = (first.from, last.to);
    if to <= from {
        return String::new();
    }
    let column = |at: Nanos| {
        let part = i128::from(at - from) * (WIDTH as i128 - 1) / i128::from(to - from);
        usize::try_from(part).unwrap_or(0).min(WIDTH - 1)
    };
    let mut line = ['.'; WIDTH];
    for range in &own.ranges {
        let columns = column(range.from)..=column(range.to);
        let any = range.from < range.to;
        line[columns].fill(if any { '#' } else { '|' });
    }
    // A gap that is too short for its column is a gap all the same.
    for gap in &own.gaps {
        let (from, to) = (column(gap.from), column(gap.to));
        if to <= from + 1 {
            line[from] = '.';
        }
    }
    let mut marks = [' '; WIDTH];
    for (at, _) in &own.snapshots {
        marks[column(*at)] = '|';
    }
    let text = |line: [char; WIDTH]| line.iter().collect::<String>();
    format!("  {}\n  {}\n", text(line), text(marks).trim_end())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::cli::json::tests::documented;
    use duramen::id::SessionId;

    #[test]
    fn a_timeline_for_people_and_for_scripts() {
        let at = |seconds: i64| seconds * 1_000_000_000;
        let range = |from, to| Range {
            from: at(from),
            to: at(to),
        };
        let own = Timeline {
            host: "web1".into(),
            set: "rs0".into(),
            address: "mongodb://h".into(),
            ranges: vec![range(0, 300), range(400, 400), range(500, 590)],
            gaps: vec![range(300, 400), range(400, 500)],
            snapshots: [0, 400, 500]
                .map(|seconds| (at(seconds), SessionId([1; 16])))
                .to_vec(),
            slices: 2,
            entries: 7,
            bytes: 2048,
        };
        let shown = words(&own);
        let mut lines = shown.lines();
        assert_eq!(lines.next(), Some("mongodb://h (rs0), taken by web1"));
        assert_eq!(
            lines.next().unwrap().trim(),
            "###############################.........|.........##########"
        );
        assert!(shown.contains("a snapshot alone") && shown.contains("a gap"));
        assert!(
            shown.ends_with("3 snapshots, 2 stretches of the oplog: 7 entries, 2.00 KiB\n"),
            "{shown}"
        );
        let object = documented("timeline", &object(&own));
        assert_eq!(object["gaps"][0]["to"], "1970-01-01T00:06:40.000000000Z");
        assert_eq!(object["snapshots"][1]["snapshot_id"], "01".repeat(16));
    }
}
