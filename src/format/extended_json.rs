//! Documents as MongoDB Extended JSON, version 2
//! (<https://www.mongodb.com/docs/manual/reference/mongodb-extended-json/>): for people to read and for other programs.
//!
//! It is written straight from the raw bytes, so fields that stand twice are shown twice. Strings that are no UTF-8 are shown with
//! replacement characters, which is the one thing that does not come back.

use std::fmt::Write;

#[cfg(feature = "mongodb")]
use mongodb::bson::{Bson, Decimal128, RawDocumentBuf, doc};

use super::bson::{Document, Element, kind};
use crate::error::{Error, Kind, Result};
use crate::id::to_hex;

/// How numbers and dates are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Style {
    /// As JSON has them, where that loses nothing but the type.
    #[default]
    Relaxed,
    /// With their types: what is read back is the same.
    Canonical,
}

/// Documents within documents that are followed; the server takes 100.
const DEPTH_MAX: u32 = 250;

/// The last millisecond that relaxed dates are written as text for: the end of the year 9999.
const DATE_MAX: i64 = 253_402_300_799_999;

/// A document on one line.
///
/// # Errors
/// [`Kind::Damage`] where it cannot be read, or nests too deep.
pub fn document(document: Document<'_>, style: Style) -> Result<String> {
    let mut text = String::new();
    Writer {
        text: &mut text,
        style,
    }
    .document(document, 0)?;
    Ok(text)
}

/// The value of an element.
///
/// # Errors
/// As [`document`].
pub fn value(element: &Element<'_>, style: Style) -> Result<String> {
    let mut text = String::new();
    Writer {
        text: &mut text,
        style,
    }
    .value(element, 0)?;
    Ok(text)
}

/// A value that was written as Extended JSON, by kind and raw bytes as [`Element`] has them. What is no JSON at all is taken
/// for a string: `abc` is `"abc"`.
///
/// # Errors
/// [`Kind::Usage`] for what is JSON, but stands for nothing.
#[cfg(feature = "mongodb")]
pub fn parse(text: &str) -> Result<(u8, Vec<u8>)> {
    let wrong = |why: String| {
        Error::new(Kind::Usage, format!("not a value: {why}"))
            .subject(text)
            .hint("write it as JSON, like 5, \"abc\" or {\"$oid\": \"...\"}")
    };
    let bson = match serde_json::from_str::<serde_json::Value>(text) {
        Ok(json) => Bson::try_from(json).map_err(|error| wrong(error.to_string()))?,
        // What begins like JSON was meant to be it.
        Err(error) if text.starts_with(['{', '[', '"']) => return Err(wrong(error.to_string())),
        Err(_) => Bson::String(text.to_owned()),
    };
    let raw = RawDocumentBuf::try_from(&doc! { "v": bson });
    let raw = raw.map_err(|error| wrong(error.to_string()))?;
    let own = Document::whole(raw.as_bytes())?.get(b"v")?;
    let own = own.ok_or_else(|| wrong("it is empty".into()))?;
    Ok((own.kind, own.value.to_vec()))
}

/// A document that was written as Extended JSON, whichever style; of names that come twice in it the last counts.
///
/// # Errors
/// [`Kind::Usage`] for what stands for no document.
#[cfg(feature = "mongodb")]
pub fn to_bson(json: serde_json::Value) -> Result<Vec<u8>> {
    let wrong = |why: String| Error::new(Kind::Usage, format!("not a document: {why}"));
    match Bson::try_from(json) {
        Ok(Bson::Document(document)) => match RawDocumentBuf::try_from(&document) {
            Ok(raw) => Ok(raw.into_bytes()),
            Err(error) => Err(wrong(error.to_string())),
        },
        Ok(_) => Err(wrong("it is a value of another sort".into())),
        Err(error) => Err(wrong(error.to_string())),
    }
}

/// Says that documents cannot be read.
///
/// # Errors
/// [`Kind::Unsupported`], always.
#[cfg(not(feature = "mongodb"))]
pub fn to_bson(_: serde_json::Value) -> Result<Vec<u8>> {
    Err(Error::new(
        Kind::Unsupported,
        "this program was built without MongoDB",
    ))
}

/// Says that values cannot be read.
///
/// # Errors
/// [`Kind::Unsupported`], always.
#[cfg(not(feature = "mongodb"))]
pub fn parse(text: &str) -> Result<(u8, Vec<u8>)> {
    Err(Error::new(Kind::Unsupported, "this program was built without MongoDB").subject(text))
}

/// A decimal as text.
#[cfg(feature = "mongodb")]
fn decimal(bytes: [u8; 16]) -> String {
    Decimal128::from_bytes(bytes).to_string()
}

/// A decimal's bits, where nobody can read them.
#[cfg(not(feature = "mongodb"))]
fn decimal(bytes: [u8; 16]) -> String {
    to_hex(&bytes)
}

struct Writer<'t> {
    text: &'t mut String,
    style: Style,
}

fn broken() -> Error {
    Error::damage("a value that cannot be read")
}

fn first<const N: usize>(value: &[u8]) -> Result<[u8; N]> {
    value.first_chunk().copied().ok_or_else(broken)
}

/// The characters of a string's value.
fn characters(value: &[u8]) -> Result<String> {
    let length = i32::from_le_bytes(first(value)?);
    let end = usize::try_from(length)
        .ok()
        .and_then(|length| length.checked_add(3));
    let bytes = end.and_then(|end| value.get(4..end)).ok_or_else(broken)?;
    Ok(String::from_utf8_lossy(bytes).into_owned())
}

impl Writer<'_> {
    fn document(&mut self, document: Document<'_>, depth: u32) -> Result<()> {
        self.text.push('{');
        for (number, element) in document.elements().enumerate() {
            let element = element?;
            if number > 0 {
                self.text.push(',');
            }
            self.string(&String::from_utf8_lossy(element.name));
            self.text.push(':');
            self.value(&element, depth + 1)?;
        }
        self.text.push('}');
        Ok(())
    }

    fn array(&mut self, array: Document<'_>, depth: u32) -> Result<()> {
        self.text.push('[');
        for (number, element) in array.elements().enumerate() {
            if number > 0 {
                self.text.push(',');
            }
            self.value(&element?, depth + 1)?;
        }
        self.text.push(']');
        Ok(())
    }

    fn string(&mut self, text: &str) {
        // A string is always JSON.
        self.text
            .push_str(&serde_json::to_string(text).unwrap_or_default());
    }

    /// `{"$name": "text"}`.
    fn typed(&mut self, name: &str, text: &str) {
        self.text.push_str("{\"$");
        self.text.push_str(name);
        self.text.push_str("\":");
        self.string(text);
        self.text.push('}');
    }

    fn number(&mut self, name: &str, text: &str) {
        match self.style {
            Style::Relaxed => self.text.push_str(text),
            Style::Canonical => self.typed(name, text),
        }
    }

    fn value(&mut self, element: &Element<'_>, depth: u32) -> Result<()> {
        if depth > DEPTH_MAX {
            return Err(Error::damage("a document that nests too deep"));
        }
        let value = element.value;
        match element.kind {
            kind::DOUBLE => self.double(f64::from_le_bytes(first(value)?)),
            kind::STRING => self.string(&characters(value)?),
            kind::DOCUMENT => self.document(Document::whole(value)?, depth)?,
            kind::ARRAY => self.array(Document::whole(value)?, depth)?,
            kind::BINARY => {
                let subtype = *value.get(4).ok_or_else(broken)?;
                let bytes = value.get(5..).ok_or_else(broken)?;
                let _ = write!(
                    self.text,
                    "{{\"$binary\":{{\"base64\":\"{}\",\"subType\":\"{subtype:02x}\"}}}}",
                    base64(bytes)
                );
            }
            kind::UNDEFINED => self.text.push_str("{\"$undefined\":true}"),
            kind::OBJECT_ID => self.typed("oid", &to_hex(value)),
            kind::BOOLEAN => {
                let yes = value.first() == Some(&1);
                self.text.push_str(if yes { "true" } else { "false" });
            }
            kind::DATE => self.date(i64::from_le_bytes(first(value)?)),
            kind::NULL => self.text.push_str("null"),
            kind::REGEX => {
                let mut parts = value.split(|byte| *byte == 0);
                let mut next = || String::from_utf8_lossy(parts.next().unwrap_or_default());
                let (pattern, options) = (next().into_owned(), next().into_owned());
                self.text.push_str("{\"$regularExpression\":{\"pattern\":");
                self.string(&pattern);
                self.text.push_str(",\"options\":");
                self.string(&options);
                self.text.push_str("}}");
            }
            kind::DB_POINTER => {
                let (of, id) = value.split_last_chunk::<12>().ok_or_else(broken)?;
                self.text.push_str("{\"$dbPointer\":{\"$ref\":");
                self.string(&characters(of)?);
                self.text.push_str(",\"$id\":");
                self.typed("oid", &to_hex(id));
                self.text.push_str("}}");
            }
            kind::CODE => self.typed("code", &characters(value)?),
            kind::SYMBOL => self.typed("symbol", &characters(value)?),
            kind::CODE_WITH_SCOPE => {
                let inner = value.get(4..).ok_or_else(broken)?;
                let length = i32::from_le_bytes(first(inner)?);
                let end = usize::try_from(length).map_err(|_| broken())?;
                let scope = end.checked_add(4).and_then(|end| inner.get(end..));
                self.text.push_str("{\"$code\":");
                self.string(&characters(inner)?);
                self.text.push_str(",\"$scope\":");
                self.document(Document::whole(scope.ok_or_else(broken)?)?, depth + 1)?;
                self.text.push('}');
            }
            kind::INT32 => {
                let number = i32::from_le_bytes(first(value)?).to_string();
                self.number("numberInt", &number);
            }
            kind::TIMESTAMP => {
                let both = u64::from_le_bytes(first(value)?);
                let (time, increment) = (both >> 32, both as u32);
                let _ = write!(
                    self.text,
                    "{{\"$timestamp\":{{\"t\":{time},\"i\":{increment}}}}}"
                );
            }
            kind::INT64 => {
                let number = i64::from_le_bytes(first(value)?).to_string();
                self.number("numberLong", &number);
            }
            kind::DECIMAL128 => {
                self.typed("numberDecimal", &decimal(first(value)?));
            }
            kind::MIN_KEY => self.text.push_str("{\"$minKey\":1}"),
            _ => self.text.push_str("{\"$maxKey\":1}"),
        }
        Ok(())
    }

    fn double(&mut self, double: f64) {
        let text = match double {
            _ if double.is_nan() => "NaN".into(),
            _ if double.is_infinite() && double > 0.0 => "Infinity".into(),
            _ if double.is_infinite() => "-Infinity".into(),
            // With a point or an exponent, and as many digits as it takes to come back.
            _ => format!("{double:?}"),
        };
        if double.is_finite() {
            self.number("numberDouble", &text);
        } else {
            self.typed("numberDouble", &text);
        }
    }

    fn date(&mut self, milliseconds: i64) {
        let text = jiff::Timestamp::from_millisecond(milliseconds).ok();
        match text {
            Some(time)
                if self.style == Style::Relaxed && (0..=DATE_MAX).contains(&milliseconds) =>
            {
                self.typed("date", &time.to_string());
            }
            _ => {
                self.text.push_str("{\"$date\":");
                self.typed("numberLong", &milliseconds.to_string());
                self.text.push('}');
            }
        }
    }
}

/// RFC 4648, section 4.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let at = |number: usize| u32::from(three.get(number).copied().unwrap_or(0));
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for digit in 0..4 {
            let there = digit <= three.len();
            let six = (bits >> (18 - 6 * digit)) & 63;
            text.push(if there {
                char::from(DIGITS[six as usize])
            } else {
                '='
            });
        }
    }
    text
}

#[cfg(all(test, feature = "mongodb"))]
mod tests {
    #![allow(clippy::unwrap_used)]
    use mongodb::bson::{self, Document as Fields};

    use super::*;

    fn shown(fields: &Fields, style: Style) -> String {
        let raw = RawDocumentBuf::try_from(fields).unwrap();
        document(Document::whole(raw.as_bytes()).unwrap(), style).unwrap()
    }

    fn all() -> Fields {
        doc! {
            "double": 1.5, "whole": 3.0, "nan": f64::NAN, "large": 1e300, "least": -0.0,
            "string": "a\"\n\u{e4}", "document": { "x": {} }, "array": [1, "two", [3]],
            "binary": bson::Binary { subtype: bson::spec::BinarySubtype::Uuid, bytes: vec![7; 16] },
            "short": bson::Binary { subtype: bson::spec::BinarySubtype::Generic, bytes: vec![255] },
            "oid": bson::oid::ObjectId::from_bytes([0xAB; 12]), "yes": true, "no": false,
            "date": bson::DateTime::from_millis(1_700_000_000_123),
            "early": bson::DateTime::from_millis(-5), "null": null,
            "re": bson::Regex { pattern: "^a".into(), options: "im".into() },
            "code": Bson::JavaScriptCode("f()".into()),
            "scoped": bson::JavaScriptCodeWithScope { code: "g()".into(), scope: doc! { "y": 1 } },
            "symbol": Bson::Symbol("s".into()), "int": 7, "long": 7i64,
            "stamp": bson::Timestamp { time: 5, increment: 6 },
            "decimal": "1.50".parse::<Decimal128>().unwrap(), "min": Bson::MinKey, "max": Bson::MaxKey,
        }
    }

    /// What another implementation reads from it is the same.
    #[test]
    fn canonical_documents_come_back() {
        let fields = all();
        let text = shown(&fields, Style::Canonical);
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        let Bson::Document(back) = Bson::try_from(json).unwrap() else {
            unreachable!("a document")
        };
        let raw = |fields: &Fields| RawDocumentBuf::try_from(fields).unwrap();
        assert_eq!(raw(&back).as_bytes(), raw(&fields).as_bytes(), "{text}");
    }

    #[test]
    fn relaxed_documents_are_for_people() {
        let text = shown(&all(), Style::Relaxed);
        for part in [
            "\"double\":1.5,\"whole\":3.0,\"nan\":{\"$numberDouble\":\"NaN\"},\"large\":1e300,\"least\":-0.0",
            "\"array\":[1,\"two\",[3]]",
            "{\"$binary\":{\"base64\":\"/w==\",\"subType\":\"00\"}}",
            "\"date\":{\"$date\":\"2023-11-14T22:13:20.123Z\"},\"early\":{\"$date\":{\"$numberLong\":\"-5\"}}",
            "\"int\":7,\"long\":7,\"stamp\":{\"$timestamp\":{\"t\":5,\"i\":6}}",
            "{\"$code\":\"g()\",\"$scope\":{\"y\":1}}",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }

    #[test]
    fn values_are_read_as_people_write_them() {
        let read = |text: &str| parse(text).unwrap();
        assert_eq!(read("5"), (kind::INT32, 5i32.to_le_bytes().to_vec()));
        assert_eq!(read("5000000000").0, kind::INT64);
        assert_eq!(read("1.5").0, kind::DOUBLE);
        assert_eq!(read("abc"), read("\"abc\""));
        assert_eq!(
            read("{\"$oid\":\"abababababababababababab\"}"),
            (kind::OBJECT_ID, vec![0xAB; 12])
        );
        assert_eq!(read("null").0, kind::NULL);
        assert!(parse("{\"$oid\":\"ab\"}").is_err() && parse("{").is_err());
    }

    #[test]
    fn what_is_damaged_is_an_error() {
        let text = |value: &[u8]| {
            let name = b"x";
            let kind = kind::STRING;
            super::value(&Element { kind, name, value }, Style::Relaxed)
        };
        assert!(
            text(&[5, 0, 0, 0, b'a', 0]).is_err()
                && text(&[0xFF; 4]).is_err()
                && text(&[]).is_err()
        );
    }
}
