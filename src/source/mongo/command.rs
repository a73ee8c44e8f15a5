//! Building the commands that are sent: raw BSON, element by element, so that an `_id` is asked for by the very bytes that
//! were read.

use crate::format::bson::{Element, kind};

/// A document being built.
#[derive(Clone, Debug)]
pub struct Builder(Vec<u8>);

impl Default for Builder {
    fn default() -> Self {
        // Room for the length, which is known at the end.
        Self(vec![0; 4])
    }
}

impl Builder {
    /// Nothing in it yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends an element of any type, its value as [`Element::value`] gives it. A name ends at its first zero.
    #[must_use]
    pub fn raw(mut self, kind: u8, name: &[u8], value: &[u8]) -> Self {
        self.push(kind, name, value);
        self
    }

    fn push(&mut self, kind: u8, name: &[u8], value: &[u8]) {
        self.0.push(kind);
        let end = name.iter().position(|byte| *byte == 0);
        self.0.extend_from_slice(&name[..end.unwrap_or(name.len())]);
        self.0.push(0);
        self.0.extend_from_slice(value);
    }

    /// Appends a string.
    #[must_use]
    pub fn string(self, name: &str, value: &str) -> Self {
        let mut bytes = (value.len() as i32 + 1).to_le_bytes().to_vec();
        bytes.extend_from_slice(value.as_bytes());
        bytes.push(0);
        self.raw(kind::STRING, name.as_bytes(), &bytes)
    }

    /// Appends a 32-bit integer.
    #[must_use]
    pub fn int32(self, name: &str, value: i32) -> Self {
        self.raw(kind::INT32, name.as_bytes(), &value.to_le_bytes())
    }

    /// Appends a boolean.
    #[must_use]
    pub fn boolean(self, name: &str, value: bool) -> Self {
        self.raw(kind::BOOLEAN, name.as_bytes(), &[u8::from(value)])
    }

    /// Appends a cluster time: seconds in the upper 32 bits.
    #[must_use]
    pub fn timestamp(self, name: &str, value: u64) -> Self {
        self.raw(kind::TIMESTAMP, name.as_bytes(), &value.to_le_bytes())
    }

    /// Appends a UUID.
    #[must_use]
    pub fn uuid(self, name: &str, value: &[u8; 16]) -> Self {
        let mut bytes = 16i32.to_le_bytes().to_vec();
        bytes.push(4);
        bytes.extend_from_slice(value);
        self.raw(kind::BINARY, name.as_bytes(), &bytes)
    }

    /// Appends a document.
    #[must_use]
    pub fn document(self, name: &str, value: Builder) -> Self {
        self.raw(kind::DOCUMENT, name.as_bytes(), &value.finish())
    }

    /// Appends an array of values, each given as kind and raw value.
    #[must_use]
    pub fn array<'v>(self, name: &str, values: impl IntoIterator<Item = (u8, &'v [u8])>) -> Self {
        let mut array = Builder::new();
        for (number, (kind, value)) in values.into_iter().enumerate() {
            array.push(kind, number.to_string().as_bytes(), value);
        }
        self.raw(kind::ARRAY, name.as_bytes(), &array.finish())
    }

    /// The document's bytes.
    #[must_use]
    pub fn finish(mut self) -> Vec<u8> {
        self.0.push(0);
        let length = (self.0.len() as i32).to_le_bytes();
        self.0[..4].copy_from_slice(&length);
        self.0
    }
}

/// A document that holds nothing but that `_id`.
#[must_use]
pub fn only_id(id: &Element<'_>) -> Vec<u8> {
    Builder::new().raw(id.kind, b"_id", id.value).finish()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::format::bson::Document;

    #[test]
    fn what_is_built_is_read_back() {
        let ids = Builder::new().int32("0", 7).string("1", "seven").finish();
        let ids: Vec<Element<'_>> = Document::whole(&ids)
            .unwrap()
            .elements()
            .map(Result::unwrap)
            .collect();
        let built = Builder::new()
            .string("find", "\u{e4}")
            .boolean("yes", true)
            .timestamp("at", 7 << 32 | 9)
            .uuid("uuid", &[3; 16])
            .document("inner", Builder::new().int32("x", -1))
            .array("ids", ids.iter().map(|id| (id.kind, id.value)))
            .finish();
        let document = Document::whole(&built).unwrap();
        let kinds: Vec<u8> = document
            .elements()
            .map(|element| element.unwrap().kind)
            .collect();
        let expected = [
            kind::STRING,
            kind::BOOLEAN,
            kind::TIMESTAMP,
            kind::BINARY,
            kind::DOCUMENT,
            kind::ARRAY,
        ];
        assert_eq!(kinds, expected);
        let array = document.get(b"ids").unwrap().unwrap();
        let array = Document::whole(array.value).unwrap();
        assert_eq!(array.get(b"1").unwrap().unwrap().value, ids[1].value);
        let at = document.get(b"at").unwrap().unwrap();
        assert_eq!(at.value, (7u64 << 32 | 9).to_le_bytes());
    }

    #[test]
    fn only_the_id_is_left() {
        let id = Builder::new().int32("x", 1).string("_id", "a").finish();
        let id = Document::whole(&id).unwrap().get(b"_id").unwrap().unwrap();
        let only = only_id(&id);
        assert_eq!(Builder::new().string("_id", "a").finish(), only);
    }
}
