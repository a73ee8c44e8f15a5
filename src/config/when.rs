//! When something is to be done: words or a cron line, in local time.
//!
//! The same schedule is read by three programs: by this one, by cron and by systemd. So only what all three
//! understand alike is let through, and each gets it in its own writing from the same sets of numbers.

use croner::Cron;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::clock::Nanos;
use crate::error::{Error, Kind, Result};

/// Days of the week as cron counts them.
const WEEKDAYS: [(&str, &str); 7] = [
    ("sunday", "Sun"),
    ("monday", "Mon"),
    ("tuesday", "Tue"),
    ("wednesday", "Wed"),
    ("thursday", "Thu"),
    ("friday", "Fri"),
    ("saturday", "Sat"),
];

const MONTHS: [&str; 12] = [
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
];

/// One field of a cron line: all that match, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Field {
    values: Vec<u8>,
    least: u8,
    most: u8,
}

impl Field {
    fn every(least: u8, most: u8) -> Self {
        Self {
            values: (least..=most).collect(),
            least,
            most,
        }
    }

    fn of(values: &[u8], least: u8, most: u8) -> Self {
        Self {
            values: values.to_vec(),
            least,
            most,
        }
    }

    fn is_every(&self) -> bool {
        self.values.len() == usize::from(self.most - self.least) + 1
    }

    /// `*`, or the numbers with commas between them.
    fn text(&self, number: impl Fn(u8) -> String) -> String {
        if self.is_every() {
            return "*".into();
        }
        let numbers: Vec<String> = self.values.iter().map(|value| number(*value)).collect();
        numbers.join(",")
    }

    fn holds(&self, other: &Self) -> bool {
        other.values.iter().all(|value| self.values.contains(value))
    }
}

/// When something is to be done.
#[derive(Debug, Clone)]
pub struct When {
    words: String,
    minutes: Field,
    hours: Field,
    days: Field,
    months: Field,
    weekdays: Field,
    cron: Cron,
}

impl PartialEq for When {
    fn eq(&self, other: &Self) -> bool {
        self.cron_line() == other.cron_line()
    }
}

fn wrong(text: &str, what: impl Into<String>) -> Error {
    Error::new(Kind::Usage, what).subject(text).hint(
        "write hourly, every 15 minutes, daily at 02:30, weekly on sunday at 04:00, monthly on 1 at 05:00, never, or \
         the five fields of a cron line: 30 2 * * *",
    )
}

impl When {
    /// Reads words or a cron line; none for `never`.
    ///
    /// # Errors
    /// [`Kind::Usage`] for what is neither, with the ways to write it.
    pub fn parse(text: &str) -> Result<Option<Self>> {
        let text = text.trim();
        if text.eq_ignore_ascii_case("never") {
            return Ok(None);
        }
        let fields = match text.chars().next() {
            Some(first) if first.is_ascii_digit() || first == '*' => cron_fields(text)?,
            _ => word_fields(&text.to_ascii_lowercase()).map_err(|what| wrong(text, what))?,
        };
        let [minutes, hours, days, months, weekdays] = fields;
        let number = |value: u8| value.to_string();
        let line = [&minutes, &hours, &days, &months, &weekdays]
            .map(|field| field.text(number))
            .join(" ");
        let cron: Cron = line
            .parse()
            .map_err(|error| wrong(text, "not a schedule").cause(error))?;
        let when = Self {
            words: text.into(),
            minutes,
            hours,
            days,
            months,
            weekdays,
            cron,
        };
        // 31 February: a schedule that never comes is a mistake, and `never` says it better.
        if when.next(0, &TimeZone::UTC).is_none() {
            return Err(wrong(text, "no day is ever like that"));
        }
        Ok(Some(when))
    }

    /// As it was written.
    #[must_use]
    pub fn words(&self) -> &str {
        &self.words
    }

    /// The five fields of a crontab.
    #[must_use]
    pub fn cron_line(&self) -> String {
        let number = |value: u8| value.to_string();
        [
            &self.minutes,
            &self.hours,
            &self.days,
            &self.months,
            &self.weekdays,
        ]
        .map(|field| field.text(number))
        .join(" ")
    }

    /// The value of `OnCalendar=` in a systemd timer.
    #[must_use]
    pub fn calendar(&self) -> String {
        let two = |value: u8| format!("{value:02}");
        let date_and_time = format!(
            "*-{}-{} {}:{}:00",
            self.months.text(two),
            self.days.text(two),
            self.hours.text(two),
            self.minutes.text(two)
        );
        if self.weekdays.is_every() {
            return date_and_time;
        }
        let name = |value: u8| WEEKDAYS[usize::from(value % 7)].1.to_owned();
        format!("{} {date_and_time}", self.weekdays.text(name))
    }

    /// Whether every time of `other` is a time of this one too.
    #[must_use]
    pub fn includes(&self, other: &Self) -> bool {
        self.minutes.holds(&other.minutes)
            && self.hours.holds(&other.hours)
            && self.days.holds(&other.days)
            && self.months.holds(&other.months)
            && self.weekdays.holds(&other.weekdays)
    }

    /// Whether it comes at least once in every hour of every day.
    #[must_use]
    pub fn is_hourly(&self) -> bool {
        [&self.hours, &self.days, &self.months, &self.weekdays]
            .iter()
            .all(|field| field.is_every())
    }

    /// The first time after `now`. A time that the clocks skip comes when they have jumped, one that they have twice
    /// comes once.
    #[must_use]
    pub fn next(&self, now: Nanos, zone: &TimeZone) -> Option<Nanos> {
        let now = Timestamp::from_nanosecond(now.into()).ok()?;
        let found = self
            .cron
            .find_next_occurrence(&now.to_zoned(zone.clone()), false)
            .ok()?;
        Nanos::try_from(found.timestamp().as_nanosecond()).ok()
    }

    /// The last time at or before `now`.
    #[must_use]
    pub fn last(&self, now: Nanos, zone: &TimeZone) -> Option<Nanos> {
        let now = Timestamp::from_nanosecond(now.into()).ok()?;
        let found = self
            .cron
            .find_previous_occurrence(&now.to_zoned(zone.clone()), true)
            .ok()?;
        Nanos::try_from(found.timestamp().as_nanosecond()).ok()
    }
}

type Fields = [Field; 5];

/// The five fields, as all cron programs read them alike.
fn cron_fields(text: &str) -> Result<Fields> {
    let parts: Vec<&str> = text.split_whitespace().collect();
    let [minutes, hours, days, months, weekdays] = parts.as_slice() else {
        return Err(wrong(
            text,
            format!("a cron line has five fields, this one has {}", parts.len()),
        ));
    };
    let say = |what: String| wrong(text, what);
    let mut weekdays =
        cron_field(weekdays, 0, 7, &WEEKDAYS.map(|day| &day.0[..3]), 0).map_err(say)?;
    // 7 is Sunday too.
    if weekdays.values.last() == Some(&7) {
        weekdays.values.pop();
        if weekdays.values.first() != Some(&0) {
            weekdays.values.insert(0, 0);
        }
    }
    weekdays.most = 6;
    let days = cron_field(days, 1, 31, &[], 0).map_err(say)?;
    if !days.is_every() && !weekdays.is_every() {
        return Err(wrong(
            text,
            "day of month and day of week are both narrowed down: cron means one or the other, other programs both",
        ));
    }
    Ok([
        cron_field(minutes, 0, 59, &[], 0).map_err(say)?,
        cron_field(hours, 0, 23, &[], 0).map_err(say)?,
        days,
        cron_field(months, 1, 12, &MONTHS, 1).map_err(say)?,
        weekdays,
    ])
}

/// `*`, numbers or names, ranges, steps and lists of them. `names[i]` stands for `i + first`.
fn cron_field(
    text: &str,
    least: u8,
    most: u8,
    names: &[&str],
    first: u8,
) -> std::result::Result<Field, String> {
    let number = |text: &str| -> std::result::Result<u8, String> {
        let name = text.to_ascii_lowercase();
        let value = match names.iter().position(|known| *known == name) {
            Some(at) => Some(at as u8 + first),
            None if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok(),
            None => None,
        };
        value
            .filter(|value| (least..=most).contains(value))
            .ok_or_else(|| format!("{text:?} is no number from {least} to {most}"))
    };
    let mut there = [false; 64];
    for part in text.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, Some(step)),
            None => (part, None),
        };
        let (from, to) = match range.split_once('-') {
            _ if range == "*" => (least, most),
            Some((from, to)) => (number(from)?, number(to)?),
            None if step.is_some() => {
                return Err(format!("{part:?}: a step stands behind * or a range"));
            }
            None => (number(range)?, number(range)?),
        };
        if from > to {
            return Err(format!("{part:?} runs backwards"));
        }
        let step: usize = match step {
            None => 1,
            Some(step) => step
                .parse()
                .ok()
                .filter(|step| (1..=60).contains(step))
                .ok_or_else(|| format!("{part:?} has no step from 1 to 60"))?,
        };
        for value in (from..=to).step_by(step) {
            there[usize::from(value)] = true;
        }
    }
    let values = (least..=most)
        .filter(|value| there[usize::from(*value)])
        .collect();
    Ok(Field {
        values,
        least,
        most,
    })
}

/// Words: `daily at 02:30` and the like, in lower case.
fn word_fields(text: &str) -> std::result::Result<Fields, String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let (words, at) = match words.iter().position(|word| *word == "at") {
        Some(place) => match &words[place + 1..] {
            [time] => (&words[..place], Some(*time)),
            _ => return Err("behind \"at\" stands one time".into()),
        },
        None => (&words[..], None),
    };
    let mut fields = [
        Field::of(&[0], 0, 59),
        Field::of(&[0], 0, 23),
        Field::every(1, 31),
        Field::every(1, 12),
        Field::every(0, 6),
    ];
    let weekday = |name: &str| {
        let found = WEEKDAYS.iter().position(|(long, _)| {
            *long == name || long[..3] == *name || format!("{long}s") == name
        });
        found
            .map(|at| at as u8)
            .ok_or_else(|| format!("{name:?} is no day of the week"))
    };
    let mut within_the_day = false;
    match words {
        ["hourly"] => {
            fields[1] = Field::every(0, 23);
            within_the_day = true;
        }
        ["every", number, "minutes" | "minute" | "min"] => {
            let step = divisor(number, 60)?;
            fields[0] = Field::of(&(0..60).step_by(step).collect::<Vec<u8>>(), 0, 59);
            fields[1] = Field::every(0, 23);
            if at.is_some() {
                return Err("minutes have no \"at\"".into());
            }
        }
        ["every", number, "hours" | "hour"] => {
            let step = divisor(number, 24)?;
            fields[1] = Field::of(&(0..24).step_by(step).collect::<Vec<u8>>(), 0, 23);
            within_the_day = true;
        }
        ["daily"] => {}
        ["weekdays"] => fields[4] = Field::of(&[1, 2, 3, 4, 5], 0, 6),
        ["weekly"] => fields[4] = Field::of(&[0], 0, 6),
        ["weekly", "on", day] => fields[4] = Field::of(&[weekday(day)?], 0, 6),
        ["monthly"] => fields[2] = Field::of(&[1], 1, 31),
        ["monthly", "on", day] => {
            let day = day
                .parse()
                .ok()
                .filter(|day| (1..=28).contains(day))
                .ok_or_else(|| format!("{day:?} is no day from 1 to 28, which every month has"))?;
            fields[2] = Field::of(&[day], 1, 31);
        }
        _ => return Err("not a schedule".into()),
    }
    match at {
        None => {}
        Some(time) if within_the_day => {
            let minute = time.strip_prefix(':').unwrap_or(time);
            fields[0] = Field::of(
                &[below(minute, 60).ok_or_else(|| {
                    format!("{time:?} is no minute: write it like \"hourly at :15\"")
                })?],
                0,
                59,
            );
        }
        Some(time) => {
            let (hour, minute) = time
                .split_once(':')
                .and_then(|(hour, minute)| Some((below(hour, 24)?, below(minute, 60)?)))
                .ok_or_else(|| format!("{time:?} is no time: write it like 02:30"))?;
            fields[0] = Field::of(&[minute], 0, 59);
            fields[1] = Field::of(&[hour], 0, 23);
        }
    }
    Ok(fields)
}

fn below(text: &str, limit: u8) -> Option<u8> {
    let digits = (1..=2).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|value| digits && *value < limit)
}

/// A number of steps that come out even: others would leave a gap at midnight.
fn divisor(text: &str, of: usize) -> std::result::Result<usize, String> {
    text.parse()
        .ok()
        .filter(|step| (1..=of).contains(step) && of.is_multiple_of(*step))
        .ok_or_else(|| format!("{text:?} does not divide {of}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use jiff::civil::DateTime;

    fn when(text: &str) -> When {
        When::parse(text).unwrap().unwrap()
    }

    #[test]
    fn words_and_lines_mean_the_same_everywhere() {
        for (text, cron, calendar) in [
            ("hourly", "0 * * * *", "*-*-* *:00:00"),
            ("hourly at :15", "15 * * * *", "*-*-* *:15:00"),
            (
                "every 15 minutes",
                "0,15,30,45 * * * *",
                "*-*-* *:00,15,30,45:00",
            ),
            (
                "every 6 hours at 5",
                "5 0,6,12,18 * * *",
                "*-*-* 00,06,12,18:05:00",
            ),
            ("daily", "0 0 * * *", "*-*-* 00:00:00"),
            ("Daily at 2:30", "30 2 * * *", "*-*-* 02:30:00"),
            (
                "weekdays at 18:00",
                "0 18 * * 1,2,3,4,5",
                "Mon,Tue,Wed,Thu,Fri *-*-* 18:00:00",
            ),
            ("weekly", "0 0 * * 0", "Sun *-*-* 00:00:00"),
            ("weekly on sat at 04:05", "5 4 * * 6", "Sat *-*-* 04:05:00"),
            ("monthly on 15 at 05:00", "0 5 15 * *", "*-*-15 05:00:00"),
            ("30 2 * * *", "30 2 * * *", "*-*-* 02:30:00"),
            (
                "*/20 9-17/4 * * mon-fri",
                "0,20,40 9,13,17 * * 1,2,3,4,5",
                "Mon,Tue,Wed,Thu,Fri *-*-* 09,13,17:00,20,40:00",
            ),
            ("0 0 1 JAN,7 *", "0 0 1 1,7 *", "*-01,07-01 00:00:00"),
            ("0 0 * * 7", "0 0 * * 0", "Sun *-*-* 00:00:00"),
            ("0 0 * * 5-7", "0 0 * * 0,5,6", "Sun,Fri,Sat *-*-* 00:00:00"),
        ] {
            assert_eq!(when(text).cron_line(), cron, "{text}");
            assert_eq!(when(text).calendar(), calendar, "{text}");
        }
        assert!(When::parse(" never").unwrap().is_none());
    }

    #[test]
    fn what_three_programs_would_read_differently_is_refused() {
        for text in [
            "",
            "dayly",
            "daily at",
            "daily at 25:00",
            "daily at 2",
            "daily at 02:30 or so",
            "every 7 minutes",
            "every 0 hours",
            "every 5 hours",
            "monthly on 31",
            "weekly on someday",
            "30 2 * *",
            "30 2 * * * *",
            "60 2 * * *",
            "* * 1 * mon",
            "5/10 * * * *",
            "9-5 * * * *",
            "*/0 * * * *",
            "0 0 L * *",
            "0 0 ? * *",
            "0 0 31 2 *",
            "0 0 * * 5#2",
            "+1 * * * *",
            "1,,2 * * * *",
            "every 5 minutes at 3",
        ] {
            let error = When::parse(text).unwrap_err();
            assert_eq!(error.kind(), Kind::Usage, "{text}");
            assert!(error.hint_text().unwrap().contains("daily at"), "{text}");
        }
    }

    fn nanos(local: &str, zone: &TimeZone) -> Nanos {
        let local: DateTime = local.parse().unwrap();
        let stamp = local.to_zoned(zone.clone()).unwrap().timestamp();
        stamp.as_nanosecond().try_into().unwrap()
    }

    #[test]
    fn next_and_last_meet() {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        for (text, now, last, next) in [
            (
                "daily at 02:30",
                "2026-11-20T02:30:00",
                "2026-11-20T02:30:00",
                "2026-11-21T02:30:00",
            ),
            (
                "daily at 02:30",
                "2026-11-20T02:29:59",
                "2026-11-19T02:30:00",
                "2026-11-20T02:30:00",
            ),
            (
                "weekly",
                "2026-11-20T12:00:00",
                "2026-11-15T00:00:00",
                "2026-11-22T00:00:00",
            ),
            (
                "0 0 29 2 *",
                "2026-11-20T12:00:00",
                "2024-02-29T00:00:00",
                "2028-02-29T00:00:00",
            ),
            // The clocks skip from 2 to 3 on 2026-03-29, and have 2 to 3 twice on 2026-10-25.
            (
                "daily at 03:30",
                "2026-03-29T12:00:00",
                "2026-03-29T03:30:00",
                "2026-03-30T03:30:00",
            ),
            (
                "daily at 02:30",
                "2026-10-25T12:00:00",
                "2026-10-25T02:30:00",
                "2026-10-26T02:30:00",
            ),
        ] {
            let at = nanos(now, &zone);
            assert_eq!(
                when(text).last(at, &zone),
                Some(nanos(last, &zone)),
                "{text} before {now}"
            );
            assert_eq!(
                when(text).next(at, &zone),
                Some(nanos(next, &zone)),
                "{text} after {now}"
            );
        }
    }

    #[test]
    fn days_on_which_the_clocks_change_have_their_run() {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        for day in ["2026-03-29", "2026-10-25"] {
            let from = nanos(&format!("{day}T00:00:00"), &zone);
            let until = nanos(&format!("{day}T23:59:00"), &zone);
            let daily = when("daily at 02:30");
            let first = daily.next(from, &zone).unwrap();
            assert!(first < until, "{day} has no run");
            assert!(daily.next(first, &zone).unwrap() > until, "{day} has two");
            let last = daily.last(until, &zone).unwrap();
            assert!(last > from, "{day}: the run is forgotten");
        }
    }

    #[test]
    fn lines_that_another_covers_are_known() {
        assert!(when("daily at 03:30").includes(&when("weekly at 03:30")));
        assert!(!when("weekly at 03:30").includes(&when("daily at 03:30")));
        assert!(when("every 5 minutes").is_hourly() && when("hourly").is_hourly());
        assert!(!when("every 2 hours").is_hourly());
    }
}
