//! The order of documents in a run: that of a key made of the raw `_id` (`format-spec/documents.md`).
//!
//! Two ids have the same key exactly where they are the same bytes: what the server takes for one (`1`, `1.0` and a 64-bit
//! `1`) are three here, side by side. Where it costs nothing the order is the server's own, so that a collection that is
//! read by its `_id` index comes sorted already; nothing depends on that.

use super::bson::{Document, Element, kind};
use super::number::worth;

/// Pages name keys by at most so many of their first bytes.
pub const KEY_PREFIX: usize = 64;

/// Sorts as a number does when it is compared byte by byte.
fn rising(number: u64) -> [u8; 8] {
    let mut bytes = number.to_le_bytes();
    bytes.reverse();
    bytes
}

fn word(value: &[u8]) -> u64 {
    value
        .first_chunk()
        .map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// Above zero the bits of a double rise with it, below they fall; what is no number comes before all.
fn rising_double(double: f64) -> [u8; 8] {
    if double.is_nan() {
        return [0; 8];
    }
    // There are two zeros, and they are equal.
    let bits = if double == 0.0 { 0 } else { double.to_bits() };
    let sign = 1 << 63;
    rising(if bits & sign == 0 { bits | sign } else { !bits })
}

/// The key of a document whose `_id` this is; the element's name does not matter.
#[must_use]
pub fn key(id: &Element<'_>) -> Vec<u8> {
    let value = id.value;
    let sign = 1u64 << 63;
    let mut key = Vec::with_capacity(value.len() + 12);
    match id.kind {
        kind::MIN_KEY => key.push(0x00),
        kind::UNDEFINED => key.push(0x01),
        kind::NULL => key.push(0x06),
        kind::DOUBLE | kind::INT32 | kind::INT64 => {
            let (double, above) = match (id.kind, value.first_chunk::<4>()) {
                (kind::INT32, Some(bytes)) => (f64::from(i32::from_le_bytes(*bytes)), 0),
                (kind::INT64, _) => {
                    let whole = word(value).cast_signed();
                    let double = whole as f64;
                    // At most 512 either way: 64-bit integers lie that much denser than doubles.
                    (double, (i128::from(whole) - double as i128) as i16)
                }
                _ => (f64::from_bits(word(value)), 0),
            };
            key.push(0x0B);
            key.extend_from_slice(&rising_double(double));
            let mut above = above.wrapping_add(i16::MIN).to_le_bytes();
            above.reverse();
            key.extend_from_slice(&above);
            key.push(id.kind);
            key.extend_from_slice(value);
        }
        kind::DECIMAL128 => raw(&mut key, 0x0C, value),
        kind::STRING => raw(&mut key, 0x10, characters(value)),
        kind::SYMBOL => raw(&mut key, 0x11, characters(value)),
        kind::DOCUMENT => raw(&mut key, 0x15, value),
        kind::ARRAY => raw(&mut key, 0x1A, value),
        kind::BINARY => {
            // By length, then subtype, then bytes, as the server does.
            key.push(0x1F);
            let mut length = value.get(..4).unwrap_or_default().to_vec();
            length.reverse();
            key.extend_from_slice(&length);
            key.extend_from_slice(value.get(4..).unwrap_or_default());
        }
        kind::OBJECT_ID => raw(&mut key, 0x24, value),
        kind::BOOLEAN => raw(&mut key, 0x29, value),
        kind::DATE => raw(&mut key, 0x2E, &rising(word(value) ^ sign)),
        kind::TIMESTAMP => raw(&mut key, 0x30, &rising(word(value))),
        kind::REGEX => raw(&mut key, 0x33, value),
        kind::DB_POINTER => raw(&mut key, 0x38, value),
        kind::CODE => raw(&mut key, 0x3D, value),
        kind::CODE_WITH_SCOPE => raw(&mut key, 0x42, value),
        // MaxKey; a type that does not exist is no element.
        _ => raw(&mut key, 0x80, value),
    }
    key
}

fn raw(key: &mut Vec<u8>, group: u8, body: &[u8]) {
    key.push(group);
    key.extend_from_slice(body);
}

/// A string's bytes without the length before and the zero behind them.
fn characters(value: &[u8]) -> &[u8] {
    value
        .get(4..)
        .and_then(|rest| rest.strip_suffix(&[0]))
        .unwrap_or_default()
}

/// What the server takes a key for: the same for two keys of numbers that are equal but for their type, and otherwise the key
/// itself. To be compared with its like alone.
#[must_use]
pub fn identity(key: &[u8]) -> Vec<u8> {
    let number = match key.first() {
        // Behind the value as a double and how far above it lies.
        Some(0x0B) => key.get(11).copied().zip(key.get(12..)),
        Some(0x0C) => Some((kind::DECIMAL128, &key[1..])),
        _ => None,
    };
    let name = b"_id";
    let worth = number.and_then(|(kind, value)| worth(&Element { kind, name, value }));
    match (worth, key.split_first()) {
        (Some(worth), _) => [&[0x0B], &worth[..]].concat(),
        (None, Some((0x15, document))) => match worths(document, 0) {
            Some(worths) => [&[0x15], &worths[..]].concat(),
            None => key.to_vec(),
        },
        _ => key.to_vec(),
    }
}

/// A document with each number in it by its worth; none where it cannot be read, or nests deeper than any server lets it.
fn worths(document: &[u8], depth: u32) -> Option<Vec<u8>> {
    const DEPTH_MAX: u32 = 200;
    let mut all = Vec::new();
    for own in Document::whole(document).ok()?.elements() {
        let own = own.ok().filter(|_| depth < DEPTH_MAX)?;
        let (kind, value) = match (worth(&own), own.kind) {
            (Some(worth), _) => (0, worth),
            (None, kind::DOCUMENT | kind::ARRAY) => (own.kind, worths(own.value, depth + 1)?),
            (None, kind) => (kind, own.value.to_vec()),
        };
        let length = (value.len() as u32).to_le_bytes();
        all.extend_from_slice(&[&[kind][..], own.name, &[0], &length, &value].concat());
    }
    Some(all)
}

/// Whether two keys are those of numbers that are equal but for their type.
#[must_use]
pub fn same_number(left: &[u8], right: &[u8]) -> bool {
    match (left.first(), right.first()) {
        // The value as a double, and how far above it lies.
        (Some(0x0B), Some(0x0B)) => left.get(..11) == right.get(..11),
        (Some(0x0B | 0x0C), Some(0x0B | 0x0C)) => identity(left) == identity(right),
        _ => false,
    }
}

/// As much of a key as a page names.
#[must_use]
pub fn prefix(key: &[u8]) -> &[u8] {
    &key[..key.len().min(KEY_PREFIX)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(kind: u8, value: &[u8]) -> Vec<u8> {
        let name = b"_id";
        key(&Element { kind, name, value })
    }

    fn double(value: f64) -> Vec<u8> {
        of(kind::DOUBLE, &value.to_le_bytes())
    }

    fn int32(value: i32) -> Vec<u8> {
        of(kind::INT32, &value.to_le_bytes())
    }

    fn int64(value: i64) -> Vec<u8> {
        of(kind::INT64, &value.to_le_bytes())
    }

    fn string(kind: u8, text: &str) -> Vec<u8> {
        let mut value = (text.len() as i32 + 1).to_le_bytes().to_vec();
        value.extend_from_slice(text.as_bytes());
        value.push(0);
        of(kind, &value)
    }

    fn binary(subtype: u8, bytes: &[u8]) -> Vec<u8> {
        let mut value = (bytes.len() as i32).to_le_bytes().to_vec();
        value.push(subtype);
        value.extend_from_slice(bytes);
        of(kind::BINARY, &value)
    }

    /// In the order of the server's `_id` index, as far as it is ours.
    #[test]
    fn keys_rise_as_the_server_sorts() {
        let two_to_53 = 1i64 << 53;
        let rising = [
            of(kind::MIN_KEY, &[]),
            of(kind::NULL, &[]),
            double(f64::NAN),
            double(f64::NEG_INFINITY),
            double(f64::MIN),
            int64(i64::MIN),
            int64(i64::MIN + 1),
            int64(-two_to_53 - 1),
            double(-(two_to_53 as f64)),
            int32(i32::MIN),
            double(-1.5),
            int32(-1),
            double(-f64::MIN_POSITIVE),
            int32(0),
            double(f64::MIN_POSITIVE),
            int32(1),
            double(1.5),
            int32(2),
            int32(256),
            int64(two_to_53 - 1),
            double(two_to_53 as f64),
            int64(two_to_53 + 1),
            int64(two_to_53 + 2),
            int64(i64::MAX - 600),
            int64(i64::MAX - 513),
            int64(i64::MAX - 1),
            int64(i64::MAX),
            double(f64::MAX),
            double(f64::INFINITY),
            string(kind::STRING, ""),
            string(kind::STRING, "a"),
            string(kind::STRING, "a\0"),
            string(kind::STRING, "ab"),
            string(kind::STRING, "b"),
            of(kind::DOCUMENT, b"\x05\0\0\0\0"),
            binary(4, b""),
            binary(9, b"a"),
            binary(4, b"ab"),
            binary(5, b"aa"),
            of(kind::OBJECT_ID, &[0; 12]),
            of(kind::OBJECT_ID, &[9; 12]),
            of(kind::BOOLEAN, &[0]),
            of(kind::BOOLEAN, &[1]),
            of(kind::DATE, &i64::MIN.to_le_bytes()),
            of(kind::DATE, &(-1i64).to_le_bytes()),
            of(kind::DATE, &1i64.to_le_bytes()),
            of(kind::DATE, &256i64.to_le_bytes()),
            of(kind::TIMESTAMP, &1u64.to_le_bytes()),
            of(kind::TIMESTAMP, &(1u64 << 63).to_le_bytes()),
            of(kind::MAX_KEY, &[]),
        ];
        for (number, pair) in rising.windows(2).enumerate() {
            assert!(pair[0] < pair[1], "{number}: {pair:?}");
        }
    }

    #[test]
    fn what_the_server_takes_for_one_lies_side_by_side_and_apart() {
        let ones = [int32(1), int64(1), double(1.0)];
        let zeros = [double(0.0), double(-0.0), int32(0), int64(0)];
        for group in [&ones[..], &zeros] {
            for one in group {
                assert!(group.iter().filter(|other| *other == one).count() == 1);
                assert!(*one > double(-0.5) && *one < double(1.5));
            }
        }
        assert!(zeros.iter().all(|zero| ones.iter().all(|one| zero < one)));
        for (number, one) in ones.iter().enumerate() {
            assert!(ones.iter().all(|other| same_number(one, other)));
            assert!(!same_number(one, &zeros[number]) && !same_number(one, &double(1.5)));
        }
        let text = string(kind::STRING, "a");
        assert!(
            zeros.iter().all(|zero| same_number(zero, &zeros[0])) && !same_number(&text, &text)
        );
        // Two NaNs of different bits.
        let nan = f64::from_bits(f64::NAN.to_bits() | 1);
        assert_ne!(double(f64::NAN), double(nan));
        assert_ne!(string(kind::STRING, "a"), string(kind::SYMBOL, "a"));
    }
}
