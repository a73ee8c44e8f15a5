//! Snapshots that must not stand for others.

use super::*;

fn night(id: u8, day: u8) -> Candidate {
    candidate(id, &format!("2026-05-{day:02}T02:00:00Z"))
}

fn partial(mut of: Candidate) -> Candidate {
    of.complete = false;
    of
}

fn holding(mut of: Candidate, files: u64, bytes: u64) -> Candidate {
    of.extent = Extent { files, bytes };
    of
}

fn daily(count: u32) -> Policy {
    Policy {
        daily: count,
        ..Policy::default()
    }
}

#[test]
fn thirty_nights_without_the_disk_push_nothing_out() {
    let good = (1..=3).map(|day| night(day, day));
    let empty = (4..=31).map(|day| holding(night(day, day), 0, 0));
    let all: Vec<Candidate> = good.chain(empty).collect();
    let kept = kept(&daily(3), &all);
    assert_eq!(kept, [1, 2, 3, 29, 30, 31]);
    assert_eq!(
        reasons(&daily(3), &all, 31),
        "keep: daily: last of 2026-05-31; did not count: empty"
    );
    assert_eq!(
        reasons(&daily(3), &all, 20),
        "forget: no rule reaches it; did not count: empty"
    );
    for policy in [
        Policy {
            last: 1,
            ..Policy::default()
        },
        Policy {
            within: Some("1d".parse().unwrap()),
            ..Policy::default()
        },
        Policy {
            yearly: 1,
            ..Policy::default()
        },
        Policy {
            tags: vec!["absent".into()],
            ..Policy::default()
        },
    ] {
        assert!(super::kept(&policy, &all).contains(&3), "{policy:?}");
    }
}

#[test]
fn a_period_prefers_its_newest_good_one() {
    let morning = candidate(1, "2026-05-01T08:00:00Z");
    let noon = candidate(2, "2026-05-01T12:00:00Z");
    let evening = partial(candidate(3, "2026-05-01T20:00:00Z"));
    let all = [morning, noon, evening];
    assert_eq!(kept(&daily(1), &all), [2]);
    assert_eq!(
        reasons(&daily(1), &all, 3),
        "forget: daily: 02020202 stands for 2026-05-01; did not count: partial"
    );
    // The newest of all is there too where the rule is about single snapshots.
    let last = Policy {
        last: 1,
        ..Policy::default()
    };
    assert_eq!(kept(&last, &all), [2, 3]);
}

#[test]
fn what_a_span_kept_it_keeps_when_asked_again() {
    // The newest is flawed and gives way to a good one of its week. Were the span to end at it, it would begin a day
    // later than without it, and between the two begins stands a good one that the partial one of its week gives way to.
    let mut held = candidate(1, "2026-05-12T12:00:00Z");
    held.pinned = vec!["held".into()];
    let all = [
        held,
        partial(candidate(2, "2026-05-14T00:00:00Z")),
        candidate(3, "2026-05-22T10:00:00Z"),
        partial(candidate(4, "2026-05-23T11:00:00Z")),
    ];
    let policy = Policy {
        within_weekly: Some("10d".parse().unwrap()),
        ..Policy::default()
    };
    let first = kept(&policy, &all);
    let left: Vec<Candidate> = all
        .into_iter()
        .filter(|one| first.contains(&one.id.0[0]))
        .collect();
    assert_eq!(kept(&policy, &left), first);
}

#[test]
fn a_source_that_is_always_partial_is_thinned_as_any_other() {
    let all: Vec<Candidate> = (1..=20).map(|day| partial(night(day, day))).collect();
    assert_eq!(kept(&daily(3), &all), [18, 19, 20]);
    let none = Policy {
        tags: vec!["absent".into()],
        ..Policy::default()
    };
    assert_eq!(
        reasons(&none, &all, 20),
        "keep: best one left of its source; did not count: partial"
    );
}

#[test]
fn what_was_accepted_counts_and_is_the_new_measure() {
    let mut all: Vec<Candidate> = vec![
        night(1, 1),
        holding(night(2, 2), 10, 1000),
        holding(night(3, 3), 10, 1000),
    ];
    assert_eq!(kept(&daily(1), &all), [1, 3]);
    all[1].tags = vec![ACCEPTED.into()];
    assert_eq!(kept(&daily(1), &all), [3]);
    all[1].tags.clear();
    all[2].tags = vec![ACCEPTED.into()];
    assert_eq!(kept(&daily(1), &all), [3]);
}

#[test]
fn thresholds() {
    const M: u64 = 1 << 20;
    for (before, now, shrunken) in [
        // Empty is empty, however little there was.
        ((1, 10), (0, 0), true),
        ((0, 0), (0, 0), false),
        // A handful comes and goes.
        ((9, 9000), (1, 1), false),
        ((10, 9000), (4, 4499), true),
        // Half of both, and not of one alone.
        ((1000, M), (499, M / 2 - 1), true),
        ((1000, M), (500, M / 2 - 1), false),
        ((1000, M), (499, M / 2), false),
        // A tenth of one alone.
        ((1000, M), (99, M), true),
        ((1000, M), (100, M), false),
        ((99, M), (9, M), false),
        ((50, 16 * M), (50, M), true),
        ((50, 16 * M), (50, 2 * M), false),
        ((50, 15 * M), (50, M), false),
        // A dump that broke off.
        ((1, 4000 * M), (1, M), true),
        // Growth, and numbers that are too large.
        ((1000, M), (5000, 9 * M), false),
        ((u64::MAX, u64::MAX), (u64::MAX / 3, u64::MAX / 3), true),
    ] {
        let mut first = holding(night(1, 1), before.0, before.1);
        first.tags = vec![ACCEPTED.into()];
        let all = [first, holding(night(2, 2), now.0, now.1)];
        let judged = judge(&all, at(NOW));
        assert_eq!(
            judged[1].shrunken().is_some(),
            shrunken,
            "{before:?} {now:?}"
        );
    }
    // An empty one that is the first of its source.
    assert!(
        judge(&[holding(night(1, 1), 0, 0)], at(NOW))[0]
            .shrunken()
            .is_some()
    );
}

#[test]
fn the_measure_is_the_last_good_one_of_the_same_source() {
    let small = |id, day| holding(night(id, day), 300, 1 << 28);
    // Halving again and again must not become normal while it is not accepted.
    let all = [
        night(1, 1),
        small(2, 2),
        holding(night(3, 3), 120, 1 << 26),
        night(4, 4),
    ];
    let shrunken: Vec<bool> = judge(&all, at(NOW))
        .iter()
        .map(|it| it.shrunken().is_some())
        .collect();
    assert_eq!(shrunken, [false, true, true, false]);
    // Nor through partial ones: the whole one before them is the measure.
    let all = [
        night(1, 1),
        partial(holding(night(2, 2), 600, 1 << 29)),
        holding(night(3, 3), 310, 1 << 28),
    ];
    assert!(judge(&all, at(NOW))[2].shrunken().is_some());
    let words = judge(&all, at(NOW))[2].shrunken().unwrap().words();
    assert_eq!(
        words,
        "shrunken: 31 % of the files and 25 % of the bytes of 01010101"
    );
    // Of another host it says nothing.
    let mut other = small(2, 2);
    other.host = "other".into();
    assert!(judge(&[night(1, 1), other], at(NOW))[1].is_good());
}

#[test]
fn a_clock_that_ran_ahead_pushes_nothing_out() {
    let all: Vec<Candidate> = (1..=3)
        .map(|day| night(day, day))
        .chain((1..=30).map(|month| {
            candidate(
                100 + month,
                &format!("{}-01-01T00:00:00Z", 2200 + i32::from(month)),
            )
        }))
        .collect();
    for (policy, expected) in [
        (daily(2), vec![2, 3]),
        (
            Policy {
                last: 1,
                ..Policy::default()
            },
            vec![3],
        ),
        (
            Policy {
                within: Some("2d".parse().unwrap()),
                ..Policy::default()
            },
            vec![2, 3],
        ),
        (
            Policy {
                yearly: 3,
                ..Policy::default()
            },
            vec![1, 3],
        ),
    ] {
        let kept = kept(&policy, &all);
        let (real, ahead): (Vec<u8>, Vec<u8>) = kept.into_iter().partition(|id| *id < 100);
        assert_eq!(real, expected, "{policy:?}");
        assert_eq!(ahead.len(), 30);
    }
    assert!(reasons(&daily(1), &all, 101).contains("counted nowhere: its time lies in the future"));
    // An hour is what clocks differ.
    let mut near = night(1, 1);
    near.time = at(NOW) + 3_600 * 1_000_000_000;
    assert_eq!(judge(&[near.clone()], at(NOW))[0].ahead, None);
    near.time += 1;
    assert!(judge(&[near], at(NOW))[0].ahead.is_some());
}

const DAY: i64 = 86_400 * 1_000_000_000;

#[test]
fn a_client_that_lies_about_its_time_pushes_nothing_out() {
    let mut real: Vec<Candidate> = (1..=10).map(|day| night(day, day)).collect();
    for one in &mut real {
        one.stored = Some(one.time + DAY / 24);
    }
    let before = kept(&daily(3), &real);
    assert_eq!(before, [8, 9, 10]);
    // On the eleventh it makes up a newest one for each of the last nights, and some for nights to come.
    let mut all = real;
    let today = at("2026-05-11T12:00:00Z");
    // Within a day of the truth it could as well have told the truth.
    for day in (2..=9).chain(12..=28) {
        let mut lie = candidate(100 + day, &format!("2026-05-{day:02}T23:59:00Z"));
        lie.stored = Some(today);
        all.push(lie);
    }
    let kept = kept(&daily(3), &all);
    assert_eq!(kept[..3], before);
    assert_eq!(
        reasons(&daily(3), &all, 109),
        "forget: daily: 09090909 stands for 2026-05-09; did not count: stored long after its time"
    );
    // Those ahead of the storage's clock stay and are reported.
    assert_eq!(kept.len(), 3 + 17);
    assert!(reasons(&daily(3), &all, 112).contains("later than that at which it was stored"));
}

#[test]
fn a_repository_that_moved_is_thinned_as_before() {
    let real: Vec<Candidate> = (1..=20).map(|day| night(day, day)).collect();
    let moved = at("2026-06-01T00:00:00Z");
    let mut all = real.clone();
    for one in &mut all {
        one.stored = Some(moved);
    }
    for policy in [
        daily(5),
        Policy::standard(),
        Policy {
            last: 3,
            ..Policy::default()
        },
    ] {
        assert_eq!(kept(&policy, &all), kept(&policy, &real));
    }
    // And what comes after takes its places one by one, never less than the rule says.
    for count in 1..=8 {
        let mut one = candidate(100 + count, &format!("2026-06-{:02}T02:00:00Z", count + 1));
        one.stored = Some(one.time);
        all.push(one);
        assert!(kept(&daily(5), &all).len() >= 5);
    }
    assert_eq!(kept(&daily(5), &all), [104, 105, 106, 107, 108]);
}

#[test]
fn each_rank_gives_way_to_no_worse_one() {
    // Moved, then partial every night, then not mounted: the first are all that is whole, the second all that is large.
    let mut all: Vec<Candidate> = (1..=9).map(|day| night(day, day)).collect();
    for one in &mut all[..3] {
        one.stored = Some(at("2026-06-01T00:00:00Z"));
    }
    for one in &mut all[3..6] {
        *one = partial(one.clone());
    }
    for one in &mut all[6..] {
        *one = holding(one.clone(), 0, 0);
    }
    let ranks: Vec<usize> = judge(&all, at(NOW)).iter().map(Judged::rank).collect();
    assert_eq!(ranks, [1, 1, 1, 2, 2, 2, 3, 3, 3]);
    assert_eq!(kept(&daily(2), &all), [2, 3, 5, 6, 8, 9]);
}

#[test]
fn one_of_which_only_the_time_is_wrong_is_not_the_last_of_its_source() {
    let mut ahead = night(2, 2);
    ahead.time = at("2200-01-01T00:00:00Z");
    let all = [night(1, 1), ahead];
    let none = Policy {
        tags: vec!["absent".into()],
        ..Policy::default()
    };
    assert_eq!(kept(&none, &all), [1, 2]);
    assert_eq!(reasons(&none, &all, 1), "keep: last good one of its source");
}
