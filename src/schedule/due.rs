//! Whether a job is due: from its schedule, its last success and the time. Pure, so that every clock can be tried.

use jiff::tz::TimeZone;

use super::state::Record;
use crate::clock::Nanos;
use crate::config::When;

const SECOND: Nanos = 1_000_000_000;
const HOUR: Nanos = 3600 * SECOND;

/// What failed is tried again after an hour, then two, four and so on up to a day; its schedule goes on beside that.
const RETRY_MAX: Nanos = 24 * HOUR;

/// Calls that come every hour come a little early at times.
const RETRY_SLACK: Nanos = 5 * 60 * SECOND;

/// Clocks of one machine differ by so much without having been set back.
const CLOCK_SLACK: Nanos = 60 * SECOND;

/// Why a job is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// It has never been done.
    First,
    /// Its time has come since it was last done; however many such times have passed, it is done once.
    Scheduled,
    /// It failed so many times in a row, and the pause after that is over.
    Retry(u32),
    /// It was last done in the future, so the clock was set back and says nothing.
    ClockSetBack,
    /// Somebody wants it now.
    Forced,
}

impl Reason {
    /// For people.
    #[must_use]
    pub fn words(self) -> String {
        match self {
            Self::First => "never done before".into(),
            Self::Scheduled => "its time has come".into(),
            Self::Retry(failures) => format!("failed {failures} times, tried again"),
            Self::ClockSetBack => {
                "it was last done in the future: the clock was set back, so it is done now".into()
            }
            Self::Forced => "asked for".into(),
        }
    }
}

/// Whether a job is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// Now.
    Now(Reason),
    /// Not before that time; none for never.
    Later(Option<Nanos>),
}

/// Whether the job with this schedule and this history is due at `now`.
#[must_use]
pub fn due(when: Option<&When>, record: Option<&Record>, now: Nanos, zone: &TimeZone) -> Due {
    let Some(when) = when else {
        return Due::Later(None);
    };
    let Some(record) = record else {
        return Due::Now(Reason::First);
    };
    let ahead = now.saturating_add(CLOCK_SLACK);
    if record.attempt > ahead || record.finished.is_some_and(|finished| finished > ahead) {
        return Due::Now(Reason::ClockSetBack);
    }
    // None only where the schedule begins later than all time before now.
    let slot = when.last(now, zone).unwrap_or(Nanos::MIN);
    let next = when.next(now, zone);
    if record.finished.is_some_and(|finished| finished >= slot) && record.failures == 0 {
        return Due::Later(next);
    }
    if record.attempt < slot {
        return Due::Now(Reason::Scheduled);
    }
    let doubled = HOUR.saturating_mul(1 << record.failures.saturating_sub(1).min(5));
    let retry = record
        .attempt
        .saturating_add(doubled.min(RETRY_MAX) - RETRY_SLACK);
    if retry <= now {
        return Due::Now(Reason::Retry(record.failures));
    }
    Due::Later(Some(next.map_or(retry, |next| next.min(retry))))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::clock::Clock;
    use crate::schedule::Outcome;
    use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

    const DAY: Nanos = 24 * HOUR;
    /// 2026-11-20T00:00:00Z.
    const MIDNIGHT: Nanos = 1_795_132_800 * SECOND;

    struct Virtual(AtomicI64);

    impl Clock for Virtual {
        fn now(&self) -> Nanos {
            self.0.load(Relaxed)
        }

        fn elapsed(&self) -> std::time::Duration {
            std::time::Duration::ZERO
        }
    }

    fn at(time: Nanos, words: &str, record: Option<&Record>) -> Due {
        let when = When::parse(words).unwrap();
        due(when.as_ref(), record, time, &TimeZone::UTC)
    }

    fn record(attempt: Nanos, finished: Option<Nanos>, failures: u32) -> Record {
        Record {
            attempt,
            finished,
            failures,
            outcome: Outcome::Ok,
            message: String::new(),
        }
    }

    fn done(time: Nanos) -> Record {
        record(time, Some(time), 0)
    }

    #[test]
    fn a_job_is_due_once_after_each_of_its_times() {
        let daily = "daily at 03:30";
        let slot = MIDNIGHT + 3 * HOUR + HOUR / 2;
        let before = done(slot - DAY + SECOND);
        for (time, expected) in [
            (slot - SECOND, Due::Later(Some(slot))),
            (slot, Due::Now(Reason::Scheduled)),
            (slot + 5 * HOUR, Due::Now(Reason::Scheduled)),
            (slot + 40 * DAY, Due::Now(Reason::Scheduled)),
        ] {
            assert_eq!(at(time, daily, Some(&before)), expected);
        }
        assert_eq!(
            at(slot + 1, daily, Some(&done(slot))),
            Due::Later(Some(slot + DAY))
        );
        assert_eq!(at(MIDNIGHT, daily, None), Due::Now(Reason::First));
        assert_eq!(at(MIDNIGHT, "never", None), Due::Later(None));
    }

    #[test]
    fn what_failed_is_tried_again_less_and_less_often() {
        let slot = MIDNIGHT + 3 * HOUR;
        let once = record(slot, Some(slot - DAY), 1);
        let daily = "daily at 03:00";
        assert_eq!(
            at(slot + 10 * 60 * SECOND, daily, Some(&once)),
            Due::Later(Some(slot + 55 * 60 * SECOND))
        );
        assert_eq!(
            at(slot + HOUR, daily, Some(&once)),
            Due::Now(Reason::Retry(1))
        );
        let often = record(slot, None, 40);
        assert_eq!(
            at(slot + 23 * HOUR, daily, Some(&often)),
            Due::Later(Some(slot + RETRY_MAX - RETRY_SLACK))
        );
        assert_eq!(
            at(slot + DAY, daily, Some(&often)),
            Due::Now(Reason::Scheduled)
        );
        // A failure after a success in the same slot, where somebody forced it.
        let forced = record(slot + 2 * HOUR, Some(slot), 1);
        assert_eq!(
            at(slot + 4 * HOUR, daily, Some(&forced)),
            Due::Now(Reason::Retry(1))
        );
    }

    #[test]
    fn a_clock_that_was_set_back_stops_nothing() {
        let now = MIDNIGHT;
        for ahead in [done(now + DAY), record(now + DAY, None, 3)] {
            assert_eq!(
                at(now, "daily", Some(&ahead)),
                Due::Now(Reason::ClockSetBack)
            );
        }
        assert_ne!(
            at(now, "daily", Some(&done(now + SECOND))),
            Due::Now(Reason::ClockSetBack)
        );
    }

    /// Calls at every minute of a month, with hours in which the machine is off and two jumps of the clock: a job is
    /// done once a slot in which the machine was on, never twice.
    #[test]
    fn a_month_of_calls_does_each_day_once() {
        let clock = Virtual(AtomicI64::new(MIDNIGHT));
        let mut history: Option<Record> = None;
        let mut done_at = Vec::new();
        for minute in 0..30 * 24 * 60_i64 {
            let day = minute / (24 * 60);
            clock.0.store(MIDNIGHT + minute * 60 * SECOND, Relaxed);
            // Off from day 10 to 14, and every day from 3:00 to 5:00.
            let hour = minute / 60 % 24;
            if (10..14).contains(&day) || (3..5).contains(&hour) {
                continue;
            }
            if let Due::Now(_) = at(clock.now(), "daily at 03:30", history.as_ref()) {
                done_at.push(day);
                history = Some(done(clock.now()));
            }
        }
        // The first at once, then each day at 5:00; after the pause once, not four times.
        let expected: Vec<i64> = (0..=0).chain(0..10).chain(14..30).collect();
        let mut with_first = expected.clone();
        // Day 14 begins with what was missed, and has its own time as well.
        with_first.insert(11, 14);
        assert_eq!(done_at, with_first);
    }
}
