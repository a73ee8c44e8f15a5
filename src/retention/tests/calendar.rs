//! Clocks that are set forth and back, leap days, ends of years, and a machine that moves.

use super::*;

/// A place whose clocks go forth on the last Sunday of March and back on the last of October, as in Berlin.
fn berlin() -> TimeZone {
    TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap()
}

fn numbered(times: &[&str]) -> Vec<Candidate> {
    let numbers = 1u8..;
    numbers
        .zip(times)
        .map(|(id, time)| candidate(id, time))
        .collect()
}

fn hourly(count: u32) -> Policy {
    Policy {
        hourly: count,
        ..Policy::default()
    }
}

fn daily(count: u32) -> Policy {
    Policy {
        daily: count,
        ..Policy::default()
    }
}

#[test]
fn the_hour_that_comes_twice_is_two() {
    // 02:30 in summer time, then, after the clocks went back, 02:10 and 02:30 in winter time.
    let all = numbered(&[
        "2026-10-25T00:30:00Z",
        "2026-10-25T01:10:00Z",
        "2026-10-25T01:30:00Z",
    ]);
    assert_eq!(kept_in(&hourly(2), &all, &berlin()), [1, 3]);
    let verdicts = verdicts_in(&hourly(2), &all, &berlin());
    assert_eq!(
        verdicts[0].reasons,
        ["hourly: last of 2026-10-25 02:00 +02:00"]
    );
    assert_eq!(
        verdicts[2].reasons[0],
        "hourly: last of 2026-10-25 02:00 +01:00"
    );
}

#[test]
fn the_hour_that_never_was_is_none() {
    // 01:59:59 and then 03:00.
    let all = numbered(&["2026-03-29T00:59:59Z", "2026-03-29T01:00:00Z"]);
    assert_eq!(kept_in(&hourly(2), &all, &berlin()), [1, 2]);
}

#[test]
fn days_of_23_and_25_hours_are_days() {
    // 00:30 and 23:30 of the day of either change.
    for (early, late) in [
        ("2026-03-28T23:30:00Z", "2026-03-29T21:30:00Z"),
        ("2026-10-24T22:30:00Z", "2026-10-25T22:30:00Z"),
    ] {
        assert_eq!(
            kept_in(&daily(1), &numbered(&[early, late]), &berlin()),
            [2]
        );
        assert_eq!(
            kept_in(&daily(2), &numbered(&[early, late]), &TimeZone::UTC),
            [1, 2]
        );
    }
    // A day before 12:00 of that day is 12:00 of the day before, 25 hours ago.
    let span: Span = "1d".parse().unwrap();
    assert_eq!(
        span.before(at("2026-10-25T11:00:00Z"), &berlin()),
        at("2026-10-24T10:00:00Z")
    );
}

#[test]
fn a_day_that_comes_up_again_is_one() {
    // Clocks that go back from 00:01 to 23:01 of the day before.
    let odd = TimeZone::posix("XST3:30XDT,M3.2.0/0:01,M11.1.0/0:01").unwrap();
    // 00:00:30 on Sunday; 23:30 on Saturday, half an hour later; 00:30 on Sunday.
    let all = numbered(&[
        "2026-11-01T02:30:30Z",
        "2026-11-01T03:00:00Z",
        "2026-11-01T04:00:00Z",
    ]);
    let names: Vec<_> = verdicts_in(&daily(9), &all, &odd)
        .into_iter()
        .map(|verdict| verdict.reasons[0].clone())
        .collect();
    assert_eq!(
        names,
        [
            "daily: oldest, for fewer than 9 are there",
            "daily: last of 2026-10-31",
            "daily: last of 2026-11-01"
        ]
    );
}

#[test]
fn leap_days_and_ends_of_years() {
    let all = numbered(&[
        "2024-02-28T12:00:00Z",
        "2024-02-29T12:00:00Z",
        "2024-03-01T12:00:00Z",
    ]);
    assert_eq!(kept(&daily(3), &all), [1, 2, 3]);
    let monthly = Policy {
        monthly: 2,
        ..Policy::default()
    };
    assert_eq!(kept(&monthly, &all), [2, 3]);
    // Three nights around the new year: two years, one ISO week.
    let all = numbered(&[
        "2025-12-31T23:59:59Z",
        "2026-01-01T00:00:00Z",
        "2026-01-04T23:59:59Z",
        "2026-01-05T00:00:00Z",
    ]);
    let yearly = Policy {
        yearly: 2,
        ..Policy::default()
    };
    assert_eq!(kept(&yearly, &all), [1, 4]);
    let weekly = Policy {
        weekly: 2,
        ..Policy::default()
    };
    assert_eq!(kept(&weekly, &all), [3, 4]);
    assert_eq!(reasons(&weekly, &all, 3), "keep: weekly: last of 2026-W01");
    // The last days of 2024 belong to the first week of 2025.
    let all = numbered(&["2024-12-30T00:00:00Z"]);
    assert!(reasons(&weekly, &all, 1).contains("2025-W01"));
}

#[test]
fn days_are_those_of_the_place() {
    let all = numbered(&[
        "2026-06-01T03:00:00Z",
        "2026-06-01T09:00:00Z",
        "2026-06-01T21:00:00Z",
        "2026-06-02T03:00:00Z",
    ]);
    assert_eq!(kept(&daily(2), &all), [3, 4]);
    // Eight hours to the west the evening before is still on, and ten to the east it is tomorrow.
    let west = TimeZone::fixed(jiff::tz::offset(-8));
    assert_eq!(kept_in(&daily(2), &all, &west), [1, 4]);
    let east = TimeZone::fixed(jiff::tz::offset(10));
    assert_eq!(kept_in(&daily(2), &all, &east), [2, 4]);
    // A machine that moves on and asks again from what was left loses no more than one day's snapshot a rule.
    let left: Vec<Candidate> = all
        .iter()
        .filter(|it| [3, 4].contains(&it.id.0[0]))
        .cloned()
        .collect();
    assert_eq!(kept_in(&daily(2), &left, &east), [3, 4]);
}

#[test]
fn times_at_the_edges_of_what_can_be_written() {
    let mut all = numbered(&["2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"]);
    all[0].time = i64::MIN;
    all[0].started = i64::MIN;
    all[1].time = i64::MAX;
    let mut policy = Policy::standard();
    policy.within = Some("1000y".parse().unwrap());
    assert_eq!(kept_in(&policy, &all, &berlin()), [1, 2]);
}

#[test]
fn the_picture_in_the_docs_is_true() {
    let start = at("2026-08-01T02:00:00Z");
    let mut nights: Vec<Candidate> = (0..=111)
        .map(|night| {
            let mut made = candidate(night, "2026-08-01T02:00:00Z");
            made.time = start + i64::from(night) * 86_400 * 1_000_000_000;
            made
        })
        .collect();
    let empty = nights
        .iter_mut()
        .find(|night| night.time == at("2026-11-09T02:00:00Z"));
    empty.unwrap().extent = Extent::default();
    let policy = Policy {
        daily: 7,
        weekly: 4,
        monthly: 4,
        ..Policy::default()
    };
    let kept = kept(&policy, &nights);
    let days: Vec<String> = kept
        .iter()
        .map(|night| {
            period::Period::Day
                .name(nights[usize::from(*night)].time, &TimeZone::UTC)
                .unwrap()
        })
        .collect();
    let expected = [
        "08-31", "09-30", "10-31", "11-01", "11-08", "11-14", "11-15", "11-16", "11-17", "11-18",
        "11-19", "11-20",
    ];
    assert_eq!(days, expected.map(|day| format!("2026-{day}")));
}
