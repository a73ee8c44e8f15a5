//! Raw BSON, walked in place (<https://bsonspec.org/spec.html>, version 1.1).
//!
//! Nothing here decodes a document and nothing encodes one: a document that went through numbers and strings of ours would
//! lose its duplicate names, the order of its fields or the bits of a NaN. What is needed is where a document ends, what
//! its top-level elements are, and which of them is `_id`; all else are bytes.

use crate::error::{Error, Result};
use crate::limits::{ANSWER_BYTES_MAX, DOCUMENT_BYTES_MAX};

/// The shortest document: its length and its end.
const SHORTEST: usize = 5;

/// Types of elements, by the byte that announces them.
pub mod kind {
    #![allow(missing_docs)]
    pub const DOUBLE: u8 = 0x01;
    pub const STRING: u8 = 0x02;
    pub const DOCUMENT: u8 = 0x03;
    pub const ARRAY: u8 = 0x04;
    pub const BINARY: u8 = 0x05;
    pub const UNDEFINED: u8 = 0x06;
    pub const OBJECT_ID: u8 = 0x07;
    pub const BOOLEAN: u8 = 0x08;
    pub const DATE: u8 = 0x09;
    pub const NULL: u8 = 0x0A;
    pub const REGEX: u8 = 0x0B;
    pub const DB_POINTER: u8 = 0x0C;
    pub const CODE: u8 = 0x0D;
    pub const SYMBOL: u8 = 0x0E;
    pub const CODE_WITH_SCOPE: u8 = 0x0F;
    pub const INT32: u8 = 0x10;
    pub const TIMESTAMP: u8 = 0x11;
    pub const INT64: u8 = 0x12;
    pub const DECIMAL128: u8 = 0x13;
    pub const MIN_KEY: u8 = 0xFF;
    pub const MAX_KEY: u8 = 0x7F;
}

/// One document's raw bytes. Its length is right and its last byte is zero; what is between is looked at only as far as
/// somebody asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Document<'a>(&'a [u8]);

/// One element of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Element<'a> {
    /// Its type, one of [`kind`].
    pub kind: u8,
    /// Its raw name, without the zero behind it.
    pub name: &'a [u8],
    /// Its raw value: for strings, binaries and documents with the length before them.
    pub value: &'a [u8],
}

fn broken(what: &str) -> Error {
    Error::damage(format!("not a BSON document: {what}"))
}

fn length(bytes: &[u8]) -> Option<usize> {
    let length = i32::from_le_bytes(*bytes.first_chunk()?);
    usize::try_from(length).ok()
}

impl<'a> Document<'a> {
    /// The document that `bytes` begins with, and what follows it.
    ///
    /// # Errors
    /// [`crate::error::Kind::Damage`] where none begins there: too short, longer than
    /// [`DOCUMENT_BYTES_MAX`], without its end.
    pub fn first(bytes: &'a [u8]) -> Result<(Self, &'a [u8])> {
        Self::first_of(bytes, DOCUMENT_BYTES_MAX)
    }

    fn first_of(bytes: &'a [u8], most: usize) -> Result<(Self, &'a [u8])> {
        let length = length(bytes).ok_or_else(|| broken("its length is missing or negative"))?;
        if !(SHORTEST..=most).contains(&length) {
            return Err(broken(&format!("{length} bytes are no length of one")));
        }
        let (own, rest) = bytes
            .split_at_checked(length)
            .ok_or_else(|| broken("it ends too early"))?;
        if own.last() != Some(&0) {
            return Err(broken("its end is missing"));
        }
        Ok((Self(own), rest))
    }

    /// The document that `bytes` is, all of it.
    ///
    /// # Errors
    /// As [`Document::first`], and where something follows.
    pub fn whole(bytes: &'a [u8]) -> Result<Self> {
        Self::whole_of(bytes, DOCUMENT_BYTES_MAX)
    }

    /// As [`Document::whole`], of a server's answer, which holds documents and is longer than each of them.
    ///
    /// # Errors
    /// As [`Document::whole`], with [`ANSWER_BYTES_MAX`] for its limit.
    pub fn answer(bytes: &'a [u8]) -> Result<Self> {
        Self::whole_of(bytes, ANSWER_BYTES_MAX)
    }

    fn whole_of(bytes: &'a [u8], most: usize) -> Result<Self> {
        match Self::first_of(bytes, most)? {
            (own, []) => Ok(own),
            _ => Err(broken("something follows it")),
        }
    }

    /// All of its bytes.
    #[must_use]
    pub fn bytes(self) -> &'a [u8] {
        self.0
    }

    /// Its top-level elements, in the order in which they stand; an error ends them.
    #[must_use]
    pub fn elements(self) -> Elements<'a> {
        Elements {
            rest: &self.0[4..self.0.len() - 1],
        }
    }

    /// The first element of that name.
    ///
    /// # Errors
    /// [`crate::error::Kind::Damage`] where an element before it cannot be read.
    pub fn get(self, name: &[u8]) -> Result<Option<Element<'a>>> {
        for element in self.elements() {
            let element = element?;
            if element.name == name {
                return Ok(Some(element));
            }
        }
        Ok(None)
    }
}

/// Whether two documents have the same fields, in whatever order; so for documents in them, but not for what stands in
/// arrays. Of options, which some tools write in any order.
#[must_use]
pub fn same_fields(left: Document<'_>, right: Document<'_>) -> bool {
    let (left, right) = (ordered(left, 0), ordered(right, 0));
    left.is_some() && left == right
}

/// The fields of a document in one order; none where it cannot be read, or nests deeper than any server lets it.
fn ordered(document: Document<'_>, depth: u32) -> Option<Vec<u8>> {
    const DEPTH_MAX: u32 = 200;
    let mut fields: Vec<Vec<u8>> = Vec::new();
    for own in document.elements() {
        let own = own.ok().filter(|_| depth < DEPTH_MAX)?;
        let value = match own.kind {
            kind::DOCUMENT => ordered(Document::whole(own.value).ok()?, depth + 1)?,
            _ => own.value.to_vec(),
        };
        let length = (value.len() as u32).to_le_bytes();
        fields.push([&[own.kind][..], own.name, &[0], &length, &value].concat());
    }
    fields.sort();
    Some(fields.concat())
}

/// Documents that follow each other without gaps; an error ends them.
#[must_use]
pub fn documents(bytes: &[u8]) -> Documents<'_> {
    Documents { rest: bytes }
}

/// See [`documents`].
#[derive(Clone, Debug)]
pub struct Documents<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Documents<'a> {
    type Item = Result<Document<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let rest = std::mem::take(&mut self.rest);
        Some(Document::first(rest).map(|(own, rest)| {
            self.rest = rest;
            own
        }))
    }
}

/// See [`Document::elements`].
#[derive(Clone, Debug)]
pub struct Elements<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Elements<'a> {
    type Item = Result<Element<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        // After an error nobody knows where the next one begins.
        let rest = std::mem::take(&mut self.rest);
        let read = || {
            let (kind, rest) = rest.split_first()?;
            let (name, rest) = cstring(rest)?;
            let (value, rest) = rest.split_at_checked(value_length(*kind, rest)?)?;
            let element = Element {
                kind: *kind,
                name,
                value,
            };
            Some((element, rest))
        };
        Some(match read() {
            Some((element, rest)) => {
                self.rest = rest;
                Ok(element)
            }
            None => Err(broken("an element that cannot be read")),
        })
    }
}

/// Bytes up to a zero, and what follows the zero.
fn cstring(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|byte| *byte == 0)?;
    Some((&bytes[..end], &bytes[end + 1..]))
}

/// How many bytes the value of that type takes that `bytes` begins with.
fn value_length(of: u8, bytes: &[u8]) -> Option<usize> {
    let string = |bytes: &[u8]| {
        let length = length(bytes).filter(|length| *length >= 1)?;
        let all = length.checked_add(4)?;
        (bytes.get(all - 1) == Some(&0)).then_some(all)
    };
    let nested = |least: usize| length(bytes).filter(|length| *length >= least);
    Some(match of {
        kind::UNDEFINED | kind::NULL | kind::MIN_KEY | kind::MAX_KEY => 0,
        kind::BOOLEAN => 1,
        kind::INT32 => 4,
        kind::DOUBLE | kind::DATE | kind::TIMESTAMP | kind::INT64 => 8,
        kind::OBJECT_ID => 12,
        kind::DECIMAL128 => 16,
        kind::STRING | kind::CODE | kind::SYMBOL => string(bytes)?,
        kind::DB_POINTER => string(bytes)?.checked_add(12)?,
        kind::BINARY => length(bytes)?.checked_add(5)?,
        kind::DOCUMENT | kind::ARRAY => nested(SHORTEST)?,
        // Its own length, a string, a document.
        kind::CODE_WITH_SCOPE => nested(4 + 5 + SHORTEST)?,
        kind::REGEX => {
            let (pattern, rest) = cstring(bytes)?;
            let (options, _) = cstring(rest)?;
            pattern.len() + 1 + options.len() + 1
        }
        _ => return None,
    })
}

#[cfg(test)]
#[path = "bson_tests.rs"]
mod tests;
