//! Rules one at a time, and together.

use super::*;

/// Twice a day at 08:00 and 20:00 for so many days from 2026-01-01 on; 1 and 2 are the first day's.
fn twice_a_day(days: u8) -> Vec<Candidate> {
    let start = at("2026-01-01T08:00:00Z");
    (0..days * 2)
        .map(|number| {
            let mut made = candidate(number + 1, "2026-01-01T08:00:00Z");
            made.time = start + i64::from(number) * 12 * 3_600 * 1_000_000_000;
            made.started = made.time;
            made
        })
        .collect()
}

fn policy(change: impl FnOnce(&mut Policy)) -> Policy {
    let mut policy = Policy::default();
    change(&mut policy);
    policy
}

#[test]
fn each_rule_keeps_what_it_says() {
    let all = twice_a_day(5);
    for (rule, expected) in [
        (policy(|it| it.last = 3), vec![8, 9, 10]),
        (policy(|it| it.hourly = 3), vec![8, 9, 10]),
        (policy(|it| it.daily = 2), vec![8, 10]),
        // Five days are there, and the sixth place lets history reach back to the first snapshot.
        (policy(|it| it.daily = 6), vec![1, 2, 4, 6, 8, 10]),
        (policy(|it| it.daily = 5), vec![2, 4, 6, 8, 10]),
        // 2026-01-01 is a Thursday: Sunday the 4th ends its week.
        (policy(|it| it.weekly = 2), vec![8, 10]),
        (policy(|it| it.monthly = 1), vec![10]),
        (policy(|it| it.monthly = 2), vec![1, 10]),
        (policy(|it| it.yearly = 1), vec![10]),
        (policy(|it| it.last = UNLIMITED), (1..=10).collect()),
        (
            policy(|it| it.within = Some("1d".parse().unwrap())),
            vec![9, 10],
        ),
        (
            policy(|it| it.within = Some("1d1h".parse().unwrap())),
            vec![8, 9, 10],
        ),
        (
            policy(|it| it.within_daily = Some("2d".parse().unwrap())),
            vec![8, 10],
        ),
        (
            policy(|it| it.within_yearly = Some("1y".parse().unwrap())),
            vec![10],
        ),
        (
            policy(|it| {
                it.last = 1;
                it.daily = 3;
            }),
            vec![6, 8, 10],
        ),
        // No counting rule reaches anything, and still the last good one stays.
        (policy(|it| it.tags = vec!["absent".into()]), vec![10]),
        (policy(|it| it.ids = vec![SessionId([4; 16])]), vec![4, 10]),
    ] {
        assert_eq!(kept(&rule, &all), expected, "{rule:?}");
    }
}

#[test]
fn reasons_say_all_of_it() {
    let mut all = twice_a_day(3);
    all[0].pinned = vec!["held: court".into()];
    all[1].tags = vec!["yearly".into()];
    let rules = policy(|it| {
        it.last = 1;
        it.daily = 2;
        it.monthly = 2;
        it.within = Some("12h".parse().unwrap());
        it.tags = vec!["yearly".into()];
    });
    for (id, expected) in [
        (
            6,
            "keep: last: number 1 of 1; daily: last of 2026-01-03; monthly: last of 2026-01; within 12h of the newest; last good one of its source",
        ),
        (5, "forget: daily: 06060606 stands for 2026-01-03"),
        (4, "keep: daily: last of 2026-01-02"),
        (3, "forget: daily: 04040404 stands for 2026-01-02"),
        (2, "keep: tagged yearly"),
        (
            1,
            "keep: held: court; monthly: oldest, for fewer than 2 are there",
        ),
    ] {
        assert_eq!(reasons(&rules, &all, id), expected);
    }
    let daily = policy(|it| it.daily = 1);
    assert_eq!(reasons(&daily, &all, 3), "forget: no rule reaches it");
}

#[test]
fn lists_of_tags_are_all_or_any() {
    let mut all = twice_a_day(2);
    all[0].tags = vec!["a".into(), "b".into()];
    all[1].tags = vec!["a".into()];
    all[2].tags = vec!["c".into()];
    for (tags, expected) in [
        (vec!["a,b"], vec![1, 4]),
        (vec!["a"], vec![1, 2, 4]),
        (vec!["a,b", "c"], vec![1, 3, 4]),
    ] {
        let rules = policy(|it| it.tags = tags.into_iter().map(String::from).collect());
        assert_eq!(kept(&rules, &all), expected);
    }
}

#[test]
fn groups_do_not_compete() {
    let mut all = twice_a_day(2);
    all[1].host = "other".into();
    all[2].tags = vec!["t".into()];
    let rules = policy(|it| it.last = 1);
    let count = |by: &str| {
        let groups = decide(&rules, by.parse().unwrap(), &all, &TimeZone::UTC, at(NOW));
        let kept = |group: &Group| group.verdicts.iter().filter(|verdict| verdict.keep).count();
        (groups.len(), groups.iter().map(kept).sum::<usize>())
    };
    assert_eq!(count("host,paths"), (2, 2));
    assert_eq!(count("host,tags"), (3, 3));
    // One group; what is not the last of all is the last of its source.
    assert_eq!(count(""), (1, 2));
    assert!("hosts,colour".parse::<Grouping>().is_err());
    // The same paths in another order are the same source.
    let mut swapped = vec![
        candidate(1, "2026-01-01T00:00:00Z"),
        candidate(2, "2026-01-02T00:00:00Z"),
    ];
    swapped[0].paths = vec![PathBytes(b"/a".to_vec()), PathBytes(b"/b".to_vec())];
    swapped[1].paths = vec![PathBytes(b"/b".to_vec()), PathBytes(b"/a".to_vec())];
    assert_eq!(kept(&rules, &swapped), [2]);
}

#[test]
fn what_is_out_of_scope_is_not_decided_and_still_counts_as_the_last_of_its_source() {
    let mut all = twice_a_day(2);
    all[3].in_scope = false;
    let rules = policy(|it| it.tags = vec!["absent".into()]);
    let groups = decide(&rules, Grouping::default(), &all, &TimeZone::UTC, at(NOW));
    let verdicts = &groups[0].verdicts;
    assert_eq!(verdicts.len(), 3);
    assert!(verdicts.iter().all(|verdict| !verdict.keep), "{verdicts:?}");
}

#[test]
fn equal_times_are_told_apart_by_start_and_id() {
    let mut all = vec![
        candidate(2, "2026-01-01T00:00:00Z"),
        candidate(1, "2026-01-01T00:00:00Z"),
        candidate(3, "2026-01-01T00:00:00Z"),
    ];
    let rules = policy(|it| it.last = 1);
    assert_eq!(kept(&rules, &all), [3]);
    all.reverse();
    assert_eq!(kept(&rules, &all), [3]);
    all[2].started += 1;
    assert_eq!(kept(&rules, &all), [2]);
}

#[test]
fn the_standard_policy_and_the_empty_one() {
    assert!(Policy::default().is_empty());
    assert!(!Policy::standard().is_empty());
    let all = twice_a_day(100);
    // 12 days hold the last 24 hours that have one; 18 days more; 7 Sundays, two ends of months and the first one more.
    let kept = kept(&Policy::standard(), &all);
    assert_eq!(kept.len(), 24 + 18 + 7 + 3, "{kept:?}");
    assert!(kept.contains(&1) && kept.contains(&200));
}

#[test]
fn spans() {
    for (text, shown) in [
        ("1y5m7d2h", "1y5m7d2h"),
        ("2h1y", "1y2h"),
        ("30d", "30d"),
        ("2w", "2w"),
        ("0y3d", "3d"),
    ] {
        assert_eq!(text.parse::<Span>().unwrap().to_string(), shown);
    }
    for text in [
        "",
        "7",
        "d",
        "7x",
        "1d1d",
        "-1d",
        "1.5d",
        "0d",
        "99999999999999999999d",
        "99999y",
        "1 d",
    ] {
        let error = text.parse::<Span>().unwrap_err();
        assert_eq!(error.kind(), crate::error::Kind::Usage, "{text}");
    }
    let back = |span: &str, time: &str| {
        span.parse::<Span>()
            .unwrap()
            .before(at(time), &TimeZone::UTC)
    };
    assert_eq!(
        back("1m", "2024-03-31T12:00:00Z"),
        at("2024-02-29T12:00:00Z")
    );
    assert_eq!(
        back("1y", "2024-02-29T12:00:00Z"),
        at("2023-02-28T12:00:00Z")
    );
    assert_eq!(back("19000y", "2026-01-01T00:00:00Z"), i64::MIN);
}
