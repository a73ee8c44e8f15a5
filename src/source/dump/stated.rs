//! The time that a file states: in a field of its own, in its name, or in its records.
//!
//! Half of a time is none: what is not wholly understood (`11/10/2025 08:05`, of which nobody knows the month) is not taken
//! for one, and the next best says it. Nothing after the file's last change is a time that it states of itself.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use jiff::fmt::rfc2822;
use jiff::tz::TimeZone;
use serde_json::Value;

use crate::clock::Nanos;

/// Fields that say a time, first those that say when a file was written.
const FIELDS: [&str; 33] = [
    "exported_at",
    "exportedAt",
    "export_date",
    "exportDate",
    "export_time",
    "backup_timestamp",
    "backup_time",
    "backup_date",
    "backupDate",
    "generated_at",
    "generatedAt",
    "generated",
    "fecha_exportacion",
    "fecha_backup",
    "generado",
    "last_updated",
    "lastUpdated",
    "updated_at",
    "updatedAt",
    "last_activity",
    "lastActivity",
    "last_message_at",
    "ultima_actividad",
    "timestamp",
    "date",
    "datetime",
    "time",
    "fecha",
    "created_at",
    "createdAt",
    "created",
    "fecha_creacion",
    "start_time",
];
/// Objects in which they may stand.
const HEADS: [&str; 5] = ["metadata", "meta", "info", "header", "export_info"];
/// What was written before is no time of a file like these: the year 2000, in seconds.
const FIRST: i64 = 946_684_800;
const SECOND: Nanos = 1_000_000_000;
const DAY: Nanos = 86_400 * SECOND;
/// A number in a name is a time where it is about that of the file; otherwise it is somebody's telephone.
const NUMBER_BEFORE: Nanos = 366 * DAY;

/// Where a time was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Basis {
    /// In the field of that name.
    Field(String),
    /// In the file's name.
    Name,
    /// The newest of the records.
    Records,
    /// When the file was last changed.
    Modified,
}

/// The time that a file of these values says in its head, in its name, or in its records; nothing a day after `changed`, when
/// it was last written to, and times without a zone as those of this machine.
#[must_use]
pub fn stated(values: &[Value], name: &str, changed: Nanos) -> Option<(Nanos, Basis)> {
    stated_in(values, name, changed, &TimeZone::system())
}

fn stated_in(
    values: &[Value],
    name: &str,
    changed: Nanos,
    zone: &TimeZone,
) -> Option<(Nanos, Basis)> {
    let reader = Reader { changed, zone };
    if let [value @ Value::Object(_)] = values {
        let heads = HEADS.iter().filter_map(|head| value.get(head));
        for own in std::iter::once(value).chain(heads) {
            if let Some((field, time)) = reader.field(own) {
                return Some((time, Basis::Field(field.to_owned())));
            }
        }
    }
    if let Some(time) = reader.name(name) {
        return Some((time, Basis::Name));
    }
    let records = values.iter().filter_map(|value| reader.newest(value, 2));
    records.max().map(|time| (time, Basis::Records))
}

struct Reader<'r> {
    changed: Nanos,
    zone: &'r TimeZone,
}

impl Reader<'_> {
    /// The first field that says a time.
    fn field(&self, of: &Value) -> Option<(&'static str, Nanos)> {
        let said = |name: &&'static str| Some((*name, self.value(of.get(name)?)?));
        FIELDS.iter().find_map(said)
    }

    /// The newest time that records in it say.
    fn newest(&self, value: &Value, depth: usize) -> Option<Nanos> {
        let below: Box<dyn Iterator<Item = &Value>> = match value {
            Value::Array(own) => Box::new(own.iter()),
            Value::Object(own) if depth > 0 => Box::new(own.values()),
            _ => return self.field(value).map(|(_, time)| time),
        };
        let depth = depth.saturating_sub(1);
        let below = below.filter(|own| own.is_object() || own.is_array());
        let below = below.filter_map(|own| self.newest(own, depth));
        below.chain(self.field(value).map(|(_, time)| time)).max()
    }

    fn value(&self, value: &Value) -> Option<Nanos> {
        match value {
            Value::String(text) => self.text(text.trim()),
            Value::Number(number) => self.number(number.as_f64()?),
            // As mongoexport writes dates.
            Value::Object(own) => match own.get("$date").or_else(|| own.get("$numberLong"))? {
                Value::String(text) => match text.parse::<f64>() {
                    Ok(number) => self.number(number),
                    Err(_) => self.text(text),
                },
                inner => self.value(inner),
            },
            _ => None,
        }
    }

    /// A text that says a time and nothing else.
    fn text(&self, text: &str) -> Option<Nanos> {
        let zoned = [
            "%Y-%m-%d %H:%M:%S%.f %z",
            "%Y-%m-%d %H:%M:%S%.f%z",
            "%Y-%m-%dT%H:%M:%S%.f%z",
        ];
        let plain = [
            "%Y/%m/%d %H:%M:%S",
            "%Y/%m/%d",
            "%Y%m%d_%H%M%S",
            "%Y%m%d-%H%M%S",
            "%Y-%m-%d_%H-%M-%S",
            "%Y-%m-%d_%H-%M",
            "%Y%m%d_%H%M",
            "%Y%m%d%H%M%S",
        ];
        if let (10 | 13, Ok(number)) = (text.len(), text.parse::<u64>()) {
            return self.number(number as f64);
        }
        if let Ok(stamp) = text.parse::<Timestamp>() {
            return self.sane(stamp);
        }
        if let Ok(local) = text.parse::<DateTime>() {
            return self.local(local);
        }
        if let Ok(zoned) = rfc2822::parse(text) {
            return self.sane(zoned.timestamp());
        }
        let utc = text
            .strip_suffix(" UTC")
            .or_else(|| text.strip_suffix(" GMT"));
        if let Some(Ok(local)) = utc.map(str::parse::<DateTime>) {
            return self.sane(local.to_zoned(TimeZone::UTC).ok()?.timestamp());
        }
        let stamp = |form: &&str| Timestamp::strptime(form, text).ok();
        if let Some(stamp) = zoned.iter().find_map(stamp) {
            return self.sane(stamp);
        }
        // Without a time it is the beginning of the day.
        let local = |form: &&str| DateTime::strptime(form, text).ok();
        self.local(plain.iter().find_map(local)?)
    }

    /// Seconds or milliseconds.
    fn number(&self, number: f64) -> Option<Nanos> {
        let seconds = match number {
            1e9..1e10 => number,
            1e12..1e13 => number / 1e3,
            _ => return None,
        };
        self.sane(Timestamp::from_millisecond((seconds * 1e3) as i64).ok()?)
    }

    fn local(&self, local: DateTime) -> Option<Nanos> {
        self.sane(local.to_zoned(self.zone.clone()).ok()?.timestamp())
    }

    fn sane(&self, stamp: Timestamp) -> Option<Nanos> {
        let time = Nanos::try_from(stamp.as_nanosecond()).ok()?;
        // Out of some archives files come with the time when nothing was.
        let latest = match self.changed < FIRST * SECOND {
            true => Nanos::MAX,
            false => self.changed.saturating_add(DAY),
        };
        (stamp.as_second() >= FIRST && time <= latest).then_some(time)
    }

    /// The first date within a name, with the time behind it if there is one: `2025-10-11_14-30-00`, `20251011_1430`,
    /// `20251011143000`; or seconds or milliseconds since 1970.
    fn name(&self, text: &str) -> Option<Nanos> {
        let mut groups: Vec<(usize, &str)> = Vec::new();
        let mut begin = None;
        for (at, c) in text.char_indices().chain([(text.len(), ' ')]) {
            match (begin, c.is_ascii_digit()) {
                (None, true) => begin = Some(at),
                (Some(from), false) => {
                    groups.push((from, &text[from..at]));
                    begin = None;
                }
                _ => {}
            }
        }
        // A year behind a day and a month: which is which nobody knows.
        let separator = |at: usize| text.as_bytes().get(at);
        let joined = |at: usize| {
            let before = at.checked_sub(2).and_then(|from| groups.get(from..=at));
            let Some([(first, day), (second, month), (year, _)]) = before else {
                return false;
            };
            day.len() <= 2
                && month.len() <= 2
                && first + day.len() + 1 == *second
                && second + month.len() + 1 == *year
                && separator(second - 1) == separator(year - 1)
        };
        (0..groups.len()).find_map(|at| {
            if joined(at) {
                None
            } else {
                self.groups(&groups[at..])
            }
        })
    }

    /// Groups of digits, each with its place; only those count together that one character parts.
    fn groups(&self, groups: &[(usize, &str)]) -> Option<Nanos> {
        let mut joined = String::new();
        let mut end = None;
        for (at, digits) in groups {
            let follows = end.is_none_or(|end| *at == end + 1);
            let fits = match joined.len() {
                0 => [4, 8, 10, 12, 13, 14].contains(&digits.len()),
                8 => [2, 4, 6].contains(&digits.len()),
                4 | 6 | 10 | 12 => digits.len() == 2,
                _ => false,
            };
            if !follows || !fits {
                break;
            }
            joined.push_str(digits);
            end = Some(at + digits.len());
        }
        let (_, first) = groups.first()?;
        if [10, 13].contains(&first.len()) {
            let time = self.number(first.parse().ok()?)?;
            return (time >= self.changed.saturating_sub(NUMBER_BEFORE)).then_some(time);
        }
        let part = |from: usize| joined.get(from..from + 2)?.parse::<i8>().ok();
        let date = Date::new(joined.get(..4)?.parse().ok()?, part(4)?, part(6)?).ok()?;
        let time = match joined.len() {
            12 | 14 => Time::new(part(8)?, part(10)?, part(12).unwrap_or_default(), 0).ok()?,
            _ => Time::midnight(),
        };
        self.local(date.to_datetime(time))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    /// 2025-12-31, when the files of these tests were last changed.
    const CHANGED: Nanos = 1_767_139_200 * SECOND;

    fn said(value: Value, name: &str) -> Option<(String, Basis)> {
        let (time, basis) = stated_in(&[value], name, CHANGED, &TimeZone::UTC)?;
        let stamp = Timestamp::from_nanosecond(time.into()).unwrap();
        Some((stamp.to_string(), basis))
    }

    fn named(time: &str) -> Option<(String, Basis)> {
        Some((time.to_owned(), Basis::Name))
    }

    #[test]
    fn names_say_times_in_many_ways() {
        for (name, time) in [
            (
                "conversations_2025-10-11_14-30-05.json",
                "2025-10-11T14:30:05Z",
            ),
            (
                "conversations_2025-10-11T14:30:05.json",
                "2025-10-11T14:30:05Z",
            ),
            ("backup_20251011_143005.json", "2025-10-11T14:30:05Z"),
            ("backup_20251011_1430.json", "2025-10-11T14:30:00Z"),
            ("20251011143005-export.json", "2025-10-11T14:30:05Z"),
            ("export 2025.10.11.json", "2025-10-11T00:00:00Z"),
            ("export-v2-2025_10_11.json", "2025-10-11T00:00:00Z"),
            ("conversations_10_2025-10-11.json", "2025-10-11T00:00:00Z"),
            ("14-30_2025-10-11.json", "2025-10-11T00:00:00Z"),
            ("kb_1760193005.json", "2025-10-11T14:30:05Z"),
            ("kb_1760193005000.json", "2025-10-11T14:30:05Z"),
        ] {
            assert_eq!(said(json!([]), name), named(time), "{name}");
        }
        for name in [
            "a.json",
            "9999-99-99.json",
            "v1.2.3",
            "2031-01-01",
            // The day or the month?
            "backup_11-10-2025_08-05-30.json",
            "backup_11-1-2025_08-05-30.json",
            // Telephones, and a number of a chat.
            "chat-51999888777.json",
            "chat_1155551234.json",
            "chat_201001234567.json",
            "chat_1234567890.json",
        ] {
            assert_eq!(said(json!([]), name), None, "{name}");
        }
    }

    #[test]
    fn texts_say_a_time_wholly_or_not_at_all() {
        for (text, time) in [
            ("2025-10-11T14:30:05.5", "2025-10-11T14:30:05.5Z"),
            ("2025-10-11T14:30:05-05:00", "2025-10-11T19:30:05Z"),
            ("2025-10-11 14:30:05 -0500", "2025-10-11T19:30:05Z"),
            ("2025-10-11T14:30:05.25+0100", "2025-10-11T13:30:05.25Z"),
            ("2025-10-11 14:30:05 UTC", "2025-10-11T14:30:05Z"),
            ("Sat, 11 Oct 2025 08:05:00 GMT", "2025-10-11T08:05:00Z"),
            ("2025/10/11 14:30:05", "2025-10-11T14:30:05Z"),
            ("2025/10/11", "2025-10-11T00:00:00Z"),
            ("2025-10-11", "2025-10-11T00:00:00Z"),
            ("20251011_143005", "2025-10-11T14:30:05Z"),
            ("20251011143005", "2025-10-11T14:30:05Z"),
            ("2025-10-11_14-30", "2025-10-11T14:30:00Z"),
            ("1760193005", "2025-10-11T14:30:05Z"),
            ("1760193005000", "2025-10-11T14:30:05Z"),
        ] {
            let field = Basis::Field("timestamp".into());
            let expected = Some((time.to_owned(), field));
            assert_eq!(said(json!({ "timestamp": text }), "x"), expected, "{text}");
        }
        for text in [
            "11/10/2025 08:05:30",
            "Sat Oct 11 2025 08:05:00 GMT-0500",
            "soon",
            "2125-10-11T14:30:05Z",
            "",
        ] {
            assert_eq!(said(json!({ "timestamp": text }), "x"), None, "{text}");
        }
    }

    #[test]
    fn the_head_of_a_file_says_it_before_its_name_and_its_name_before_its_records() {
        let at = |time: &str, field: &str| Some((time.to_owned(), Basis::Field(field.into())));
        let head = json!({"created_at": "2025-01-01", "exported_at": "2025-10-11T14:30:05"});
        let expected = at("2025-10-11T14:30:05Z", "exported_at");
        assert_eq!(said(head, "2024-01-01.json"), expected);
        let inner = json!({"metadata": {"timestamp": 1_760_193_005}, "quotes": []});
        assert_eq!(said(inner, "x"), at("2025-10-11T14:30:05Z", "timestamp"));
        let date = json!({"timestamp": {"$date": {"$numberLong": "1760193005000"}}});
        assert_eq!(said(date, "x"), at("2025-10-11T14:30:05Z", "timestamp"));
        let records = json!({"quotes": [
            {"created_at": "2025-03-01T00:00:00Z"},
            {"created_at": "2025-03-02T00:00:00Z", "updated_at": "2025-04-01T00:00:00Z"},
        ]});
        let newest = Some(("2025-04-01T00:00:00Z".to_owned(), Basis::Records));
        assert_eq!(said(records, "x"), newest);
    }
}
