//! Durations as restic writes them: `1y5m7d2h`, by the calendar.

use std::fmt;
use std::str::FromStr;

use jiff::tz::TimeZone;

use super::period::zoned;
use crate::clock::Nanos;
use crate::error::{Error, Kind};

/// A length of time by the calendar: a month is a month, and a day is one where the clocks change too.
#[derive(Clone, Copy, Debug)]
pub struct Span(jiff::Span);

/// Units, longest first, as they are shown.
const UNITS: [char; 5] = ['y', 'm', 'w', 'd', 'h'];

impl Span {
    /// The moment that lies this long before `time` where the calendar is that of `zone`.
    #[must_use]
    pub fn before(&self, time: Nanos, zone: &TimeZone) -> Nanos {
        match zoned(time, zone).checked_sub(self.0) {
            Ok(then) => i64::try_from(then.timestamp().as_nanosecond()).unwrap_or(i64::MIN),
            // Before the calendar's beginning: everything is younger.
            Err(_) => i64::MIN,
        }
    }

    fn parts(&self) -> [i64; 5] {
        let span = self.0;
        [
            span.get_years().into(),
            span.get_months().into(),
            span.get_weeks().into(),
            span.get_days().into(),
            span.get_hours().into(),
        ]
    }
}

impl PartialEq for Span {
    fn eq(&self, other: &Self) -> bool {
        self.parts() == other.parts()
    }
}

impl Eq for Span {}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.parts()
            .iter()
            .zip(UNITS)
            .filter(|(number, _)| **number != 0)
            .try_for_each(|(number, unit)| write!(f, "{number}{unit}"))
    }
}

impl FromStr for Span {
    type Err = Error;

    /// Whole numbers, each with its unit: `y` years, `m` months, `w` weeks, `d` days, `h` hours; each unit at most once.
    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = |what: &str| {
            Error::new(Kind::Usage, what).subject(text).hint(
                "write it like 1y5m7d2h: y years, m months, w weeks, d days, h hours, or a part of that like 30d",
            )
        };
        let mut span = jiff::Span::new();
        let mut seen = Vec::new();
        let mut digits = String::new();
        for c in text.chars() {
            if c.is_ascii_digit() {
                digits.push(c);
                continue;
            }
            if digits.is_empty() || !UNITS.contains(&c) {
                return Err(wrong("not a duration"));
            }
            if seen.contains(&c) {
                return Err(wrong("a duration that names a unit twice"));
            }
            seen.push(c);
            let number: i64 = digits
                .parse()
                .map_err(|_| wrong("a duration that is too long"))?;
            digits.clear();
            let longer = match c {
                'y' => span.try_years(number),
                'm' => span.try_months(number),
                'w' => span.try_weeks(number),
                'd' => span.try_days(number),
                _ => span.try_hours(number),
            };
            span = longer.map_err(|_| wrong("a duration that is too long"))?;
        }
        if !digits.is_empty() || seen.is_empty() {
            return Err(wrong("not a duration"));
        }
        if span.is_zero() {
            return Err(wrong("a duration of nothing"));
        }
        Ok(Self(span))
    }
}
