//! Hours, days, weeks, months and years as people in one place count them.

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use crate::clock::Nanos;

/// What a rule keeps one snapshot of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Period {
    /// Every snapshot is its own.
    Each,
    /// An hour. Where clocks are set back, the hour that comes twice is two.
    Hour,
    /// A calendar day.
    Day,
    /// An ISO week: it begins on Monday, and belongs to the year of its Thursday.
    Week,
    /// A calendar month.
    Month,
    /// A calendar year.
    Year,
}

impl Period {
    /// The name of the rule that counts such periods.
    #[must_use]
    pub fn rule(self) -> &'static str {
        match self {
            Period::Each => "last",
            Period::Hour => "hourly",
            Period::Day => "daily",
            Period::Week => "weekly",
            Period::Month => "monthly",
            Period::Year => "yearly",
        }
    }

    /// The period that holds `time`, by a name that no other period has; none where every snapshot is its own.
    #[must_use]
    pub fn name(self, time: Nanos, zone: &TimeZone) -> Option<String> {
        let local = zoned(time, zone);
        let format = match self {
            Period::Each => return None,
            Period::Hour => "%Y-%m-%d %H:00 %:z",
            Period::Day => "%Y-%m-%d",
            Period::Week => "%G-W%V",
            Period::Month => "%Y-%m",
            Period::Year => "%Y",
        };
        Some(local.strftime(format).to_string())
    }
}

/// The time as the clocks of a place show it.
pub fn zoned(time: Nanos, zone: &TimeZone) -> Zoned {
    // Nanoseconds in 64 bits reach from 1677 to 2262, which is less than the calendar's years.
    let stamp = Timestamp::from_nanosecond(time.into()).unwrap_or(Timestamp::UNIX_EPOCH);
    stamp.to_zoned(zone.clone())
}
