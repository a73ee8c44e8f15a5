//! Changes of documents as the oplog has them since MongoDB 5.0: `$v: 2`, a diff of what was and what is.
//!
//! ```text
//! document: d: what goes, u: what changes where it stands, i: what comes at the end, s<field>: what changes within
//! array:    a: true, l: the new length, u<index>, s<index>
//! ```
//! Everything is done to raw bytes, so what a diff does not name stays what it was, bit for bit.

use std::collections::HashMap;

use crate::error::{Error, Kind, Result};
use crate::format::bson::{Document, Element, kind};
use crate::limits::DOCUMENT_BYTES_MAX;
use crate::source::mongo::command::Builder;

/// No document is nested deeper.
const DEPTH_MAX: u32 = 256;
/// An array of more values is no document: each takes three bytes at least.
const VALUES_MAX: usize = DOCUMENT_BYTES_MAX / 3;

fn unknown(what: &[u8]) -> Error {
    Error::new(
        Kind::Unsupported,
        format!(
            "a change of a document that this version does not understand: {}",
            what.escape_ascii()
        ),
    )
}

/// The document after the change.
///
/// # Errors
/// [`Kind::Unsupported`] for a diff that is not understood, [`Kind::Damage`] where one of the two is no document, or what
/// came of it is none.
pub fn apply(before: Document<'_>, diff: Document<'_>) -> Result<Vec<u8>> {
    let after = object(before, diff, 0)?;
    Document::whole(&after)?;
    Ok(after)
}

/// What a diff does to one field.
enum Change<'d> {
    Goes,
    Becomes(Element<'d>),
    /// Comes at the end, wherever it was.
    Comes,
    Within(Document<'d>),
}

fn document<'d>(element: &Element<'d>) -> Result<Document<'d>> {
    match element.kind {
        kind::DOCUMENT => Document::whole(element.value),
        _ => Err(unknown(element.name)),
    }
}

fn object(before: Document<'_>, diff: Document<'_>, depth: u32) -> Result<Vec<u8>> {
    if depth > DEPTH_MAX {
        return Err(unknown(b"nested too deep"));
    }
    let mut changes: HashMap<&[u8], Change<'_>> = HashMap::new();
    let mut coming = Vec::new();
    for element in diff.elements() {
        let element = element?;
        let fields = document(&element)?;
        match element.name {
            b"d" => {
                for field in fields.elements() {
                    changes.insert(field?.name, Change::Goes);
                }
            }
            b"u" => {
                for field in fields.elements() {
                    let field = field?;
                    changes.insert(field.name, Change::Becomes(field));
                    coming.push(field);
                }
            }
            b"i" => {
                for field in fields.elements() {
                    let field = field?;
                    changes.insert(field.name, Change::Comes);
                    coming.push(field);
                }
            }
            [b's', field @ ..] => drop(changes.insert(field, Change::Within(fields))),
            other => return Err(unknown(other)),
        }
    }
    let mut after = Builder::new();
    let mut done = Vec::new();
    for element in before.elements() {
        let Element { kind, name, value } = element?;
        match changes.get(name) {
            None => after = after.raw(kind, name, value),
            Some(Change::Goes | Change::Comes) => {}
            Some(Change::Becomes(field)) => {
                after = after.raw(field.kind, name, field.value);
                done.push(name);
            }
            Some(Change::Within(diff)) => {
                after = after.raw(kind, name, &within(kind, value, *diff, depth)?);
            }
        }
    }
    for field in coming {
        if !done.contains(&field.name) {
            after = after.raw(field.kind, field.name, field.value);
        }
    }
    Ok(after.finish())
}

/// A value after a change within it. One that is of another type than the diff is about is left: a later change says what
/// it became.
fn within(of: u8, value: &[u8], diff: Document<'_>, depth: u32) -> Result<Vec<u8>> {
    let about = match diff.elements().next().transpose()? {
        Some(first) if first.name == b"a" && first.kind == kind::BOOLEAN => kind::ARRAY,
        _ => kind::DOCUMENT,
    };
    if about != of {
        return Ok(value.to_vec());
    }
    let before = Document::whole(value)?;
    match about {
        kind::ARRAY => array(before, diff, depth + 1),
        _ => object(before, diff, depth + 1),
    }
}

fn array(before: Document<'_>, diff: Document<'_>, depth: u32) -> Result<Vec<u8>> {
    if depth > DEPTH_MAX {
        return Err(unknown(b"nested too deep"));
    }
    let mut values: Vec<(u8, Vec<u8>)> = Vec::new();
    for element in before.elements() {
        let element = element?;
        values.push((element.kind, element.value.to_vec()));
    }
    let null = || (kind::NULL, Vec::new());
    for element in diff.elements() {
        let element = element?;
        match element.name {
            b"a" => {}
            b"l" => {
                let length = number(&element).ok_or_else(|| unknown(b"l"))?;
                values.resize_with(length, null);
            }
            [sort @ (b'u' | b's'), index @ ..] => {
                let index = std::str::from_utf8(index).ok();
                let index = index.and_then(|index| index.parse::<usize>().ok());
                let index = index.filter(|index| *index < VALUES_MAX);
                let index = index.ok_or_else(|| unknown(element.name))?;
                if values.len() <= index {
                    values.resize_with(index + 1, null);
                }
                let value = &mut values[index];
                *value = match sort {
                    b'u' => (element.kind, element.value.to_vec()),
                    _ => (
                        value.0,
                        within(value.0, &value.1, document(&element)?, depth)?,
                    ),
                };
            }
            other => return Err(unknown(other)),
        }
    }
    let mut after = Builder::new();
    for (at, (kind, value)) in values.iter().enumerate() {
        after = after.raw(*kind, at.to_string().as_bytes(), value);
    }
    Ok(after.finish())
}

/// A length.
fn number(element: &Element<'_>) -> Option<usize> {
    let number = match element.kind {
        kind::INT32 => i64::from(i32::from_le_bytes(*element.value.first_chunk()?)),
        kind::INT64 => i64::from_le_bytes(*element.value.first_chunk()?),
        _ => return None,
    };
    let number = usize::try_from(number).ok()?;
    (number < VALUES_MAX).then_some(number)
}

/// The document as the server stores it: its `_id` comes first, wherever a replacement of the whole has it.
///
/// # Errors
/// [`Kind::Damage`] where it is no document.
pub fn id_first(document: Document<'_>) -> Result<Vec<u8>> {
    let first = document.elements().next().transpose()?;
    let id = document.get(b"_id")?;
    let (Some(first), Some(id)) = (first, id) else {
        return Ok(document.bytes().to_vec());
    };
    if first.name == b"_id" {
        return Ok(document.bytes().to_vec());
    }
    let mut after = Builder::new().raw(id.kind, id.name, id.value);
    let mut passed = false;
    for element in document.elements() {
        let element = element?;
        if element.name == b"_id" && !std::mem::replace(&mut passed, true) {
            continue;
        }
        after = after.raw(element.kind, element.name, element.value);
    }
    Ok(after.finish())
}

/// The document with one field of the top level changed where it stands, added at its end, or, with no value, taken away.
///
/// # Errors
/// [`Kind::Damage`] where it is no document.
pub fn with(document: Document<'_>, name: &[u8], to: Option<(u8, &[u8])>) -> Result<Vec<u8>> {
    let mut after = Builder::new();
    let mut to = to;
    for element in document.elements() {
        let element = element?;
        if element.name != name {
            after = after.raw(element.kind, element.name, element.value);
        } else if let Some((kind, value)) = to.take() {
            after = after.raw(kind, name, value);
        }
    }
    if let Some((kind, value)) = to {
        after = after.raw(kind, name, value);
    }
    Ok(after.finish())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn of(fields: &[(&str, i32)]) -> Builder {
        let add = |builder: Builder, field: &(&str, i32)| builder.int32(field.0, field.1);
        fields.iter().fold(Builder::new(), add)
    }

    fn list(values: &[i32]) -> Vec<u8> {
        let values: Vec<[u8; 4]> = values.iter().map(|value| value.to_le_bytes()).collect();
        let values = values.iter().map(|value| (kind::INT32, &value[..]));
        let held = Builder::new().array("x", values).finish();
        let held = Document::whole(&held).unwrap();
        held.get(b"x").unwrap().unwrap().value.to_vec()
    }

    fn applied(before: Builder, diff: Builder) -> Result<Vec<u8>> {
        let (before, diff) = (before.finish(), diff.finish());
        apply(Document::whole(&before)?, Document::whole(&diff)?)
    }

    #[test]
    fn fields_go_change_and_come() {
        let before = of(&[("_id", 1), ("a", 1), ("b", 2), ("c", 3), ("d", 4)]);
        let gone = Builder::new().boolean("a", false);
        let diff = Builder::new()
            .document("d", gone)
            .document("u", of(&[("b", 20), ("new", 6)]))
            .document("i", of(&[("c", 30), ("e", 5)]));
        let after = of(&[
            ("_id", 1),
            ("b", 20),
            ("d", 4),
            ("new", 6),
            ("c", 30),
            ("e", 5),
        ]);
        assert_eq!(applied(before, diff).unwrap(), after.finish());
    }

    #[test]
    fn what_is_inside_changes_and_another_type_stays() {
        let before = || {
            of(&[("_id", 1), ("n", 7)])
                .document("o", of(&[("x", 1), ("y", 2)]))
                .raw(kind::ARRAY, b"l", &list(&[1, 2, 3]))
        };
        let diff = Builder::new()
            .document(
                "so",
                Builder::new().document("u", Builder::new().int32("x", 9)),
            )
            .document(
                "sl",
                Builder::new()
                    .boolean("a", true)
                    .int32("u1", 8)
                    .int32("u5", 6),
            )
            .document("sn", Builder::new().boolean("a", true).int32("l", 0));
        let null = [
            (kind::INT32, 1i32.to_le_bytes().to_vec()),
            (kind::INT32, 8i32.to_le_bytes().to_vec()),
            (kind::INT32, 3i32.to_le_bytes().to_vec()),
            (kind::NULL, Vec::new()),
            (kind::NULL, Vec::new()),
            (kind::INT32, 6i32.to_le_bytes().to_vec()),
        ];
        let values = null.iter().map(|(kind, value)| (*kind, &value[..]));
        let after = of(&[("_id", 1), ("n", 7)])
            .document("o", of(&[("x", 9), ("y", 2)]))
            .array("l", values);
        assert_eq!(applied(before(), diff).unwrap(), after.finish());
        let shorter =
            Builder::new().document("sl", Builder::new().boolean("a", true).int32("l", 1));
        let after = applied(before(), shorter).unwrap();
        let held = Document::whole(&after).unwrap().get(b"l").unwrap().unwrap();
        assert_eq!(held.value, list(&[1]));
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for diff in [
            Builder::new().document("b", Builder::new()),
            Builder::new().int32("u", 1),
            Builder::new().document("sl", Builder::new().boolean("a", true).int32("q", 0)),
            Builder::new().document("sl", Builder::new().boolean("a", true).int32("u-1", 0)),
            Builder::new().document("sl", Builder::new().boolean("a", true).int32("l", -1)),
            Builder::new().document(
                "sl",
                Builder::new().boolean("a", true).int32("u4000000000", 0),
            ),
        ] {
            let before = Builder::new().raw(kind::ARRAY, b"l", &list(&[1]));
            assert_eq!(applied(before, diff).unwrap_err().kind(), Kind::Unsupported);
        }
    }

    #[test]
    fn the_id_comes_first() {
        for (own, stored) in [
            (
                &[("a", 1), ("_id", 2), ("b", 3)][..],
                &[("_id", 2), ("a", 1), ("b", 3)][..],
            ),
            (&[("_id", 2), ("a", 1)], &[("_id", 2), ("a", 1)]),
            (&[("a", 1)], &[("a", 1)]),
        ] {
            let own = of(own).finish();
            let after = id_first(Document::whole(&own).unwrap()).unwrap();
            assert_eq!(after, of(stored).finish());
        }
    }

    #[test]
    fn one_field_is_set_added_or_taken_away() {
        let own = of(&[("a", 1), ("b", 2)]).finish();
        let own = Document::whole(&own).unwrap();
        let nine = 9i32.to_le_bytes();
        let to = Some((kind::INT32, &nine[..]));
        assert_eq!(
            with(own, b"a", to).unwrap(),
            of(&[("a", 9), ("b", 2)]).finish()
        );
        assert_eq!(
            with(own, b"c", to).unwrap(),
            of(&[("a", 1), ("b", 2), ("c", 9)]).finish()
        );
        assert_eq!(with(own, b"a", None).unwrap(), of(&[("b", 2)]).finish());
    }
}
