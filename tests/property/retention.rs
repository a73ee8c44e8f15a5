//! Retention held against an oracle that knows nothing but definitions: it asks of every snapshot alone whether some
//! rule keeps it, by counting over all others, slowly.

use duramen::format::snapshot::{Extent, PathBytes};
use duramen::id::SessionId;
use duramen::retention::{Candidate, Grouping, Policy, decide};
use jiff::tz::TimeZone;

use crate::common::{random::Random, seed};

const HOUR: i64 = 3_600 * 1_000_000_000;
const DAY: i64 = 24 * HOUR;
/// 2024-02-01, so that a leap day and an end of a year come up.
const START: i64 = 19_754 * DAY;
const NOW: i64 = START + 900 * DAY;

/// What the oracle counts.
#[derive(Clone, Copy, Debug)]
enum Period {
    Each,
    Hour,
    Day,
    Week,
    Month,
    Year,
}

/// The number of the period, in UTC.
fn number(period: Period, snapshot: &Candidate) -> i64 {
    let date = jiff::Timestamp::from_nanosecond(snapshot.time.into())
        .unwrap()
        .to_zoned(TimeZone::UTC)
        .date();
    match period {
        Period::Each => i64::from(snapshot.id.0[0]),
        Period::Hour => snapshot.time.div_euclid(HOUR),
        Period::Day => snapshot.time.div_euclid(DAY),
        // 1970-01-01 was a Thursday.
        Period::Week => (snapshot.time.div_euclid(DAY) + 3).div_euclid(7),
        Period::Month => i64::from(date.year()) * 12 + i64::from(date.month()),
        Period::Year => i64::from(date.year()),
    }
}

/// How good; 9 where the time lies in the future.
fn rank(snapshot: &Candidate) -> u8 {
    if snapshot.time > NOW {
        9
    } else if !snapshot.complete {
        2
    } else if snapshot.stored.is_some() {
        1
    } else {
        0
    }
}

fn is_newer(a: &Candidate, than: &Candidate) -> bool {
    (a.time, a.started, a.id) > (than.time, than.started, than.id)
}

/// Whether the rule keeps `one`: nobody worse counts for it.
fn rule_keeps(
    all: &[Candidate],
    one: &Candidate,
    period: Period,
    count: u32,
    days: Option<i64>,
) -> bool {
    let mut rivals: Vec<&Candidate> = all
        .iter()
        .filter(|other| rank(other) <= rank(one))
        .collect();
    if let Some(days) = days {
        // The span ends at the best of the newest period.
        let newest = rivals.iter().map(|other| number(period, other)).max();
        let end = rivals
            .iter()
            .filter(|other| matches!(period, Period::Each) || Some(number(period, other)) == newest)
            .max_by_key(|other| {
                let rank = match period {
                    Period::Each => 0,
                    _ => rank(other),
                };
                (std::cmp::Reverse(rank), other.time)
            })
            .unwrap()
            .time;
        rivals.retain(|other| other.time > end - days * DAY);
        if one.time <= end - days * DAY {
            return false;
        }
    }
    let own = number(period, one);
    let numbers = |newer: bool| {
        let mut numbers: Vec<i64> = rivals
            .iter()
            .map(|other| number(period, other))
            .filter(|other| {
                !newer
                    || (*other != own
                        && rivals
                            .iter()
                            .any(|it| number(period, it) == *other && is_newer(it, one)))
            })
            .collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers.len() as u32
    };
    let best = rivals
        .iter()
        .filter(|other| number(period, other) == own)
        .all(|other| {
            rank(other) > rank(one) || (rank(other) == rank(one) && !is_newer(other, one))
        });
    if best && numbers(true) < count {
        return true;
    }
    days.is_none()
        && numbers(false) < count
        && rivals
            .iter()
            .all(|other| other.id == one.id || is_newer(other, one))
}

struct Rules {
    policy: Policy,
    list: Vec<(Period, u32, Option<i64>)>,
}

fn rules(random: &mut Random) -> Rules {
    let mut policy = Policy::default();
    let mut list = Vec::new();
    for (at, period) in [
        Period::Each,
        Period::Hour,
        Period::Day,
        Period::Week,
        Period::Month,
        Period::Year,
    ]
    .into_iter()
    .enumerate()
    {
        if random.one_in(3) {
            let count = random.below(6) as u32 + 1;
            let field = [
                &mut policy.last,
                &mut policy.hourly,
                &mut policy.daily,
                &mut policy.weekly,
                &mut policy.monthly,
                &mut policy.yearly,
            ];
            *field.into_iter().nth(at).unwrap() = count;
            list.push((period, count, None));
        }
        if random.one_in(6) {
            let days = random.below(120) as i64 + 1;
            let span = Some(format!("{days}d").parse().unwrap());
            let field = [
                &mut policy.within,
                &mut policy.within_hourly,
                &mut policy.within_daily,
                &mut policy.within_weekly,
                &mut policy.within_monthly,
                &mut policy.within_yearly,
            ];
            *field.into_iter().nth(at).unwrap() = span;
            list.push((period, u32::MAX, Some(days)));
        }
    }
    if random.one_in(3) {
        policy.tags = vec!["keep".into()];
    }
    Rules { policy, list }
}

fn snapshots(random: &mut Random) -> Vec<Candidate> {
    let flawed = random.below(4);
    // Everything within a day, or over two years.
    let width = *random.pick(&[DAY, 20 * DAY, 800 * DAY]);
    (0..random.below(25) + 1)
        .map(|id| {
            let mut time = START + random.below(width as u64) as i64;
            if random.one_in(5) {
                // Equal times, and ends of hours to the nanosecond.
                time -= time % HOUR;
            }
            let mut made = Candidate {
                id: SessionId([id as u8; 16]),
                time,
                started: time - random.below(2) as i64,
                host: (*random.pick(&["a", "b"])).into(),
                paths: vec![PathBytes(b"/".to_vec())],
                tags: Vec::new(),
                complete: true,
                extent: Extent {
                    files: 500,
                    bytes: 1 << 20,
                },
                stored: None,
                pinned: Vec::new(),
                in_scope: true,
            };
            if random.below(4) < flawed {
                match random.below(3) {
                    0 => made.complete = false,
                    1 => made.stored = Some(NOW + DAY),
                    _ => made.time = NOW + DAY,
                }
            }
            if random.one_in(8) {
                made.tags = vec!["keep".into()];
            }
            if random.one_in(8) {
                made.pinned = vec!["held: why".into()];
            }
            made
        })
        .collect()
}

fn kept(policy: &Policy, all: &[Candidate]) -> Vec<SessionId> {
    let groups = decide(policy, Grouping::default(), all, &TimeZone::UTC, NOW);
    let verdicts = groups.into_iter().flat_map(|group| group.verdicts);
    let mut kept: Vec<SessionId> = verdicts
        .filter(|verdict| verdict.keep)
        .map(|verdict| verdict.id)
        .collect();
    kept.sort_unstable();
    kept
}

fn oracle(rules: &Rules, all: &[Candidate]) -> Vec<SessionId> {
    let mut kept: Vec<SessionId> =
        all.iter()
            .filter(|one| {
                let group: Vec<Candidate> = all
                    .iter()
                    .filter(|other| other.host == one.host)
                    .cloned()
                    .collect();
                let last = group.iter().all(|other| {
                    rank(other) > rank(one) || (rank(other) == rank(one) && !is_newer(other, one))
                });
                last || rank(one) == 9
                    || !one.pinned.is_empty()
                    || (!rules.policy.tags.is_empty() && !one.tags.is_empty())
                    || rules.list.iter().any(|(period, count, days)| {
                        rule_keeps(&group, one, *period, *count, *days)
                    })
            })
            .map(|one| one.id)
            .collect();
    kept.sort_unstable();
    kept
}

pub fn run(rounds: usize) {
    let mut random = Random::new(seed("retention"));
    for _ in 0..rounds {
        let rules = rules(&mut random);
        let all = snapshots(&mut random);
        let decided = kept(&rules.policy, &all);
        assert_eq!(
            decided,
            oracle(&rules, &all),
            "{:?}\n{all:#?}",
            rules.policy
        );
        // Whatever flawed ones come on top, nothing good goes for it.
        let good: Vec<Candidate> = all.iter().filter(|one| rank(one) == 0).cloned().collect();
        for id in kept(&rules.policy, &good) {
            assert!(
                decided.contains(&id),
                "{id:?}: {:?}\n{all:#?}",
                rules.policy
            );
        }
        // Asked again about what is left, it lets nothing more go.
        let left: Vec<Candidate> = all
            .iter()
            .filter(|one| decided.contains(&one.id))
            .cloned()
            .collect();
        assert_eq!(
            kept(&rules.policy, &left),
            decided,
            "{:?}\n{all:#?}",
            rules.policy
        );
    }
}
