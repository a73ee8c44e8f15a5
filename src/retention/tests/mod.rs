//! The rules on small tables, and on the days on which calendars and clocks do what nobody expects.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod calendar;
mod flaws;
mod table;

use jiff::tz::TimeZone;

use super::*;
use crate::clock::Nanos;
use crate::format::snapshot::{Extent, PathBytes};
use crate::id::SessionId;

/// A good snapshot of one source; its id is that number, in every byte.
pub fn candidate(id: u8, time: &str) -> Candidate {
    let time = at(time);
    Candidate {
        id: SessionId([id; 16]),
        time,
        started: time,
        host: "host".into(),
        paths: vec![PathBytes(b"/srv".to_vec())],
        tags: Vec::new(),
        complete: true,
        extent: Extent {
            files: 1000,
            bytes: 1 << 30,
        },
        stored: None,
        pinned: Vec::new(),
        in_scope: true,
    }
}

/// RFC 3339.
pub fn at(time: &str) -> Nanos {
    let stamp: jiff::Timestamp = time.parse().expect(time);
    Nanos::try_from(stamp.as_nanosecond()).unwrap()
}

/// Long after all of them.
pub const NOW: &str = "2100-01-01T00:00:00Z";

pub fn verdicts_in(policy: &Policy, candidates: &[Candidate], zone: &TimeZone) -> Vec<Verdict> {
    let groups = decide(policy, Grouping::default(), candidates, zone, at(NOW));
    groups
        .into_iter()
        .flat_map(|group| group.verdicts)
        .collect()
}

/// Numbers of those that stay, oldest first.
pub fn kept_in(policy: &Policy, candidates: &[Candidate], zone: &TimeZone) -> Vec<u8> {
    let verdicts = verdicts_in(policy, candidates, zone);
    assert_eq!(verdicts.len(), candidates.len());
    assert!(verdicts.iter().all(|verdict| !verdict.reasons.is_empty()));
    let kept = verdicts.iter().filter(|verdict| verdict.keep);
    kept.map(|verdict| verdict.id.0[0]).collect()
}

pub fn kept(policy: &Policy, candidates: &[Candidate]) -> Vec<u8> {
    kept_in(policy, candidates, &TimeZone::UTC)
}

/// Why one of them stays or goes, all in one line.
pub fn reasons(policy: &Policy, candidates: &[Candidate], id: u8) -> String {
    let verdicts = verdicts_in(policy, candidates, &TimeZone::UTC);
    let verdict = verdicts
        .iter()
        .find(|verdict| verdict.id.0[0] == id)
        .unwrap();
    let word = if verdict.keep { "keep" } else { "forget" };
    format!("{word}: {}", verdict.reasons.join("; "))
}
