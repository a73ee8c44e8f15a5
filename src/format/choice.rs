//! Which documents are meant: all, those of some `_id`s, or those whose fields say so.

use std::collections::HashSet;

use super::bson::{Document, Element, kind};
use super::document_key::{identity, key, same_number};
use super::extended_json;
use super::number::alike;
use crate::error::{Error, Kind, Result};

/// Which documents of a collection.
#[derive(Clone, Debug, Default)]
pub struct Choice {
    /// Only those of these `_id`s, where there are any: kind and raw value.
    pub ids: Vec<(u8, Vec<u8>)>,
    /// Only those of which all of this is true.
    pub conditions: Vec<Condition>,
}

/// What is asked of a field.
#[derive(Clone, Debug)]
pub struct Condition {
    /// Names with dots between; within arrays any element may answer.
    pub path: String,
    /// What it must be.
    pub test: Test,
}

/// What a field must be.
#[derive(Clone, Debug)]
pub enum Test {
    /// Equal to that value, numbers whatever their type.
    Equals(u8, Vec<u8>),
    /// A time from that one on, in nanoseconds: a date, a timestamp, an ObjectId, or text that says one.
    From(i64),
    /// A time before that one.
    Before(i64),
}

impl Choice {
    /// Whether anything is left out.
    #[must_use]
    pub fn is_all(&self) -> bool {
        self.ids.is_empty() && self.conditions.is_empty()
    }

    /// Whether the document is meant.
    ///
    /// # Errors
    /// [`Kind::Damage`] where it cannot be read.
    pub fn takes(&self, document: Document<'_>) -> Result<bool> {
        if !self.ids.is_empty() {
            let Some(id) = document.get(b"_id")? else {
                return Ok(false);
            };
            let own = key(&id);
            if !self.keys().any(|key| key == own || same_number(&key, &own)) {
                return Ok(false);
            }
        }
        self.fits(document)
    }

    /// Whether its fields are as they are to be, whatever its `_id`.
    ///
    /// # Errors
    /// [`Kind::Damage`] where it cannot be read.
    pub fn fits(&self, document: Document<'_>) -> Result<bool> {
        for condition in &self.conditions {
            if !condition.holds(document)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn keys(&self) -> impl Iterator<Item = Vec<u8>> {
        self.ids.iter().map(|(kind, value)| {
            key(&Element {
                kind: *kind,
                name: b"_id",
                value,
            })
        })
    }

    /// Keys under which the wanted `_id`s may be stored: of a number one for each of its types.
    #[must_use]
    pub fn stored_keys(&self) -> Vec<Vec<u8>> {
        self.looked_for().into_iter().flatten().flatten().collect()
    }

    /// The same, one wanted `_id` after the other: the keys that are likely, and those of decimals, of which there are dozens and
    /// which are only looked for where the first are not there.
    #[must_use]
    pub fn looked_for(&self) -> Vec<[Vec<Vec<u8>>; 2]> {
        let name = b"_id";
        let (mut all, mut seen) = (Vec::new(), HashSet::new());
        for (of, value) in &self.ids {
            let own = Element {
                kind: *of,
                name,
                value,
            };
            let mut likely = vec![key(&own)];
            // The same number may be asked for in two ways.
            if !seen.insert(identity(&likely[0])) {
                continue;
            }
            let mut decimals = Vec::new();
            for (kind, value) in alike(&own) {
                let value = &value[..];
                let key = key(&Element { kind, name, value });
                match kind {
                    _ if likely.contains(&key) => {}
                    kind::DECIMAL128 => decimals.push(key),
                    _ => likely.push(key),
                }
            }
            likely.sort();
            all.push([likely, decimals]);
        }
        all.sort();
        all
    }
}

impl Condition {
    /// `FIELD=VALUE`, the value as Extended JSON or plain text.
    ///
    /// # Errors
    /// [`Kind::Usage`] where it is none.
    pub fn equals(text: &str) -> Result<Self> {
        let wrong = || {
            Error::new(Kind::Usage, "not a condition")
                .subject(text)
                .hint("write it as FIELD=VALUE, like status=\"open\" or customer.id=7")
        };
        let (path, value) = text.split_once('=').ok_or_else(wrong)?;
        if path.is_empty() {
            return Err(wrong());
        }
        let (kind, value) = extended_json::parse(value)?;
        Ok(Self {
            path: path.to_owned(),
            test: Test::Equals(kind, value),
        })
    }

    fn holds(&self, document: Document<'_>) -> Result<bool> {
        any_field(document, &self.path, &mut |element| {
            self.test.holds(element)
        })
    }
}

impl Test {
    fn holds(&self, element: &Element<'_>) -> bool {
        match self {
            Self::Equals(kind, value) => {
                let wanted = key(&Element {
                    kind: *kind,
                    name: b"",
                    value,
                });
                let own = key(element);
                own == wanted || same_number(&own, &wanted)
            }
            Self::From(from) => time(element).is_some_and(|time| time >= *from),
            Self::Before(end) => time(element).is_some_and(|time| time < *end),
        }
    }
}

/// Whether any value that a path leads to passes.
///
/// # Errors
/// [`Kind::Damage`] where the document cannot be read.
pub fn any_field(
    document: Document<'_>,
    path: &str,
    test: &mut dyn FnMut(&Element<'_>) -> bool,
) -> Result<bool> {
    let (name, rest) = match path.split_once('.') {
        Some((name, rest)) => (name, Some(rest)),
        None => (path, None),
    };
    let Some(element) = document.get(name.as_bytes())? else {
        return Ok(false);
    };
    below(&element, rest, test)
}

fn below(
    element: &Element<'_>,
    rest: Option<&str>,
    test: &mut dyn FnMut(&Element<'_>) -> bool,
) -> Result<bool> {
    let Some(rest) = rest else {
        if test(element) {
            return Ok(true);
        }
        if element.kind == kind::ARRAY {
            for inner in Document::whole(element.value)?.elements() {
                if test(&inner?) {
                    return Ok(true);
                }
            }
        }
        return Ok(false);
    };
    match element.kind {
        kind::DOCUMENT => any_field(Document::whole(element.value)?, rest, test),
        kind::ARRAY => {
            let array = Document::whole(element.value)?;
            // A number names an element, and each element may be what is meant.
            if any_field(array, rest, test)? {
                return Ok(true);
            }
            for inner in array.elements() {
                let inner = inner?;
                if inner.kind == kind::DOCUMENT
                    && any_field(Document::whole(inner.value)?, rest, test)?
                {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        _ => Ok(false),
    }
}

/// The time that a value says, in nanoseconds.
#[must_use]
pub fn time(element: &Element<'_>) -> Option<i64> {
    let seconds = |seconds: u32| i64::from(seconds).checked_mul(1_000_000_000);
    match element.kind {
        kind::DATE => i64::from_le_bytes(*element.value.first_chunk()?).checked_mul(1_000_000),
        kind::TIMESTAMP => {
            seconds((u64::from_le_bytes(*element.value.first_chunk()?) >> 32) as u32)
        }
        kind::OBJECT_ID => {
            let mut bytes = *element.value.first_chunk::<4>()?;
            bytes.reverse();
            seconds(u32::from_le_bytes(bytes))
        }
        kind::STRING => {
            let bytes = element.value.get(4..)?.strip_suffix(&[0])?;
            let text = std::str::from_utf8(bytes).ok()?.trim();
            // Without a zone it is UTC: whoever wrote it cannot be asked.
            let stamp = text.parse::<jiff::Timestamp>().ok().or_else(|| {
                let local: jiff::civil::DateTime = text.parse().ok()?;
                Some(local.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp())
            })?;
            i64::try_from(stamp.as_nanosecond()).ok()
        }
        _ => None,
    }
}

#[cfg(all(test, feature = "mongodb"))]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use mongodb::bson::{DateTime, RawDocumentBuf, doc};

    fn document() -> Vec<u8> {
        let fields = doc! {
            "_id": 5, "status": "open", "customer": { "name": "x" }, "tags": ["a", 7],
            "turns": [ { "n": 1 }, { "n": 2 } ], "when": "2026-11-20T14:00:00Z",
            "date": DateTime::from_millis(1_700_000_000_000),
        };
        RawDocumentBuf::try_from(&fields).unwrap().into_bytes()
    }

    fn holds(condition: &str) -> bool {
        let bytes = document();
        let choice = Choice {
            conditions: vec![Condition::equals(condition).unwrap()],
            ..Choice::default()
        };
        choice.takes(Document::whole(&bytes).unwrap()).unwrap()
    }

    #[test]
    fn fields_are_found_wherever_they_stand() {
        for condition in [
            "status=open",
            "status=\"open\"",
            "customer.name=x",
            "tags=a",
            "tags=7.0",
            "tags.1=7",
            "turns.n=2",
            "turns.0.n=1",
            "_id=5.0",
        ] {
            assert!(holds(condition), "{condition}");
        }
        for condition in [
            "status=closed",
            "nothing=1",
            "turns.1.n=1",
            "customer=x",
            "status.x=1",
        ] {
            assert!(!holds(condition), "{condition}");
        }
        assert!(Condition::equals("status").is_err() && Condition::equals("=1").is_err());
    }

    #[test]
    fn times_are_read_in_all_that_says_them() {
        let bytes = document();
        let document = Document::whole(&bytes).unwrap();
        let takes = |path: &str, from: i64, before: i64| {
            let conditions = [Test::From(from), Test::Before(before)].map(|test| Condition {
                path: path.into(),
                test,
            });
            let choice = Choice {
                conditions: conditions.into(),
                ..Choice::default()
            };
            choice.takes(document).unwrap()
        };
        let date = 1_700_000_000_000_000_000;
        assert!(takes("date", date, date + 1) && !takes("date", date + 1, date + 9));
        assert!(!takes("date", 0, date) && !takes("status", 0, i64::MAX));
        let text = 1_795_183_200_000_000_000;
        assert!(takes("when", text, text + 1) && !takes("when", text + 1, i64::MAX));
        let mut id = [0; 12];
        id[..4].copy_from_slice(&[0x65, 0x53, 0xF1, 0x00]);
        let id = Element {
            kind: kind::OBJECT_ID,
            name: b"_id",
            value: &id,
        };
        assert_eq!(time(&id), Some(date));
    }

    #[test]
    fn an_id_is_looked_for_under_all_types_of_its_number() {
        let keys = |text: &str| {
            let choice = Choice {
                ids: vec![extended_json::parse(text).unwrap()],
                ..Choice::default()
            };
            choice.stored_keys().len()
        };
        // Three types, and a decimal for each place of its 34 that the first digit may have.
        assert_eq!(keys("5"), 3 + 34);
        assert_eq!(keys("5.5"), 1 + 33);
        assert_eq!(keys("5000000000"), 2 + 34);
        assert_eq!(keys("abc"), 1);
    }
}
