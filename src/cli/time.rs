//! Times as people and scripts write and read them; inside they are nanoseconds UTC.

use duramen::clock::Nanos;
use duramen::error::{Error, Kind, Result};
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// Reads RFC 3339 (`2026-11-20T14:00:00Z`), or a local time (`2026-11-20 14:00:00`, `2026-11-20T14:00`).
///
/// # Errors
/// [`Kind::Usage`] for anything else, for a local time that the clocks skipped or had twice, and for times before
/// 1677 or after 2262.
pub fn parse(text: &str) -> Result<Nanos> {
    parse_in(text, &TimeZone::system())
}

fn parse_in(text: &str, zone: &TimeZone) -> Result<Nanos> {
    let wrong = |what: &str| {
        Error::new(Kind::Usage, what).subject(text).hint(
            "write it like 2026-11-20T14:00:00Z, or in local time like \"2026-11-20 14:00:00\"",
        )
    };
    let stamp = match text.parse::<Timestamp>() {
        Ok(stamp) => stamp,
        Err(_) => {
            let local: DateTime = text.parse().map_err(|_| wrong("not a time"))?;
            // A Z without a full time must not be taken for local time.
            if text.ends_with(['Z', 'z']) {
                return Err(wrong("not a time"));
            }
            zone.to_ambiguous_timestamp(local)
                .unambiguous()
                .map_err(|_| wrong("the clocks here had no such time, or had it twice"))?
        }
    };
    Nanos::try_from(stamp.as_nanosecond()).map_err(|_| wrong("a time too far away"))
}

/// A cluster time of MongoDB as a time of day: seconds in the upper 32 bits.
pub fn of_cluster(time: u64) -> Nanos {
    Nanos::from((time >> 32) as u32) * 1_000_000_000
}

/// RFC 3339 in UTC with nine decimals, as everywhere in `--json`.
pub fn rfc3339(time: Nanos) -> String {
    match Timestamp::from_nanosecond(time.into()) {
        Ok(stamp) => format!("{stamp:.9}"),
        Err(_) => time.to_string(),
    }
}

/// Local date and time to the second, for tables.
pub fn local(time: Nanos) -> String {
    local_in(time, TimeZone::system())
}

fn local_in(time: Nanos, zone: TimeZone) -> String {
    match Timestamp::from_nanosecond(time.into()) {
        Ok(stamp) => stamp
            .to_zoned(zone)
            .strftime("%Y-%m-%d %H:%M:%S")
            .to_string(),
        Err(_) => time.to_string(),
    }
}

/// A duration as people write it: `0`, `90s`, `30min`, `12h`, `7d`, `2w`.
///
/// # Errors
/// [`Kind::Usage`] for anything else; a lone `m` may mean minutes or months.
pub fn duration(text: &str) -> Result<Duration> {
    let wrong = || {
        Error::new(Kind::Usage, "not a length of time")
            .subject(text)
            .hint("write it like 0, 90s, 30min, 12h, 7d or 2w")
    };
    let text = text.trim();
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let seconds = match unit {
        "" if number == 0 => 0,
        "s" => 1,
        "min" => 60,
        "h" => 3600,
        "d" => 24 * 3600,
        "w" => 7 * 24 * 3600,
        _ => return Err(wrong()),
    };
    number
        .checked_mul(seconds)
        .map(Duration::from_secs)
        .ok_or_else(wrong)
}

/// A duration as people read it: `0.8 s`, `12 s`, `3:04`, `1:02:03`.
pub fn span(seconds: f64) -> String {
    if !seconds.is_finite() || seconds < 0.0 {
        return "?".into();
    }
    if seconds < 9.95 {
        return format!("{seconds:.1} s");
    }
    let whole = seconds.round() as u64;
    if whole < 60 {
        format!("{whole} s")
    } else if whole < 3600 {
        format!("{}:{:02}", whole / 60, whole % 60)
    } else {
        format!("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use jiff::tz;

    const NOON: Nanos = 1_795_176_000_000_000_000;

    #[test]
    fn times_with_and_without_a_zone() {
        let east = TimeZone::fixed(tz::offset(2));
        for (text, nanos) in [
            ("2026-11-20T12:00:00Z", NOON),
            ("2026-11-20T14:00:00+02:00", NOON),
            ("2026-11-20T12:00:00.000000007Z", NOON + 7),
            ("2026-11-20 14:00:00", NOON),
            ("2026-11-20T14:00", NOON),
            ("1969-12-31T23:59:59.5Z", -500_000_000),
        ] {
            assert_eq!(parse_in(text, &east).unwrap(), nanos, "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "yesterday",
            "2026-13-01T00:00:00Z",
            "9000-01-01T00:00:00Z",
            "12:00",
        ] {
            let error = parse_in(text, &TimeZone::UTC).unwrap_err();
            assert_eq!(error.kind(), Kind::Usage, "{text}");
        }
    }

    #[test]
    fn times_are_shown_whole() {
        assert_eq!(rfc3339(NOON + 7), "2026-11-20T12:00:00.000000007Z");
        assert_eq!(rfc3339(-1), "1969-12-31T23:59:59.999999999Z");
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00.000000000Z");
        assert_eq!(
            local_in(NOON, TimeZone::fixed(tz::offset(2))),
            "2026-11-20 14:00:00"
        );
    }

    #[test]
    fn durations() {
        for (text, seconds) in [
            ("0", 0),
            ("90s", 90),
            ("30min", 1800),
            ("24h", 86_400),
            ("2w", 1_209_600),
        ] {
            assert_eq!(duration(text).unwrap().as_secs(), seconds, "{text}");
        }
        for wrong in ["", "7", "3m", "-1d", "1.5h", "99999999999999999d"] {
            assert_eq!(duration(wrong).unwrap_err().kind(), Kind::Usage, "{wrong}");
        }
    }

    #[test]
    fn spans() {
        for (seconds, text) in [
            (0.84, "0.8 s"),
            (9.96, "10 s"),
            (59.4, "59 s"),
            (59.6, "1:00"),
            (184.0, "3:04"),
            (3723.0, "1:02:03"),
            (f64::NAN, "?"),
        ] {
            assert_eq!(span(seconds), text);
        }
    }
}
