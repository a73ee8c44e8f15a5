//! What a server answers, looked at field by field.

use crate::error::{Error, Result};
use crate::format::bson::{Document, Element, Elements, kind};

/// An answer, or a part of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer(Vec<u8>);

impl Answer {
    /// Of these bytes.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// How many bytes it has.
    #[must_use]
    pub fn size(&self) -> usize {
        self.0.len()
    }

    fn get(&self, name: &str) -> Result<Option<Element<'_>>> {
        Document::answer(&self.0)?.get(name.as_bytes())
    }

    /// A string; none where there is none of that name.
    ///
    /// # Errors
    /// [`crate::error::Kind::Damage`] where the answer is none; so do the others.
    pub fn text(&self, name: &str) -> Result<Option<String>> {
        Ok(self.get(name)?.as_ref().and_then(text))
    }

    /// A number, whatever its type; a truth is 1 or 0.
    ///
    /// # Errors
    /// As [`Answer::text`].
    pub fn number(&self, name: &str) -> Result<Option<i64>> {
        Ok(self.get(name)?.and_then(|element| {
            let value = element.value;
            Some(match element.kind {
                kind::INT32 => i64::from(i32::from_le_bytes(*value.first_chunk()?)),
                kind::INT64 => i64::from_le_bytes(*value.first_chunk()?),
                kind::DOUBLE => f64::from_le_bytes(*value.first_chunk()?) as i64,
                kind::BOOLEAN => i64::from(*value.first()?),
                _ => return None,
            })
        }))
    }

    /// A cluster time.
    ///
    /// # Errors
    /// As [`Answer::text`].
    pub fn time(&self, name: &str) -> Result<Option<u64>> {
        Ok(self.get(name)?.and_then(|element| {
            let bytes = element.value.first_chunk()?;
            (element.kind == kind::TIMESTAMP).then(|| u64::from_le_bytes(*bytes))
        }))
    }

    /// A document.
    ///
    /// # Errors
    /// As [`Answer::text`].
    pub fn inner(&self, name: &str) -> Result<Option<Answer>> {
        Ok(self
            .get(name)?
            .filter(|element| element.kind == kind::DOCUMENT)
            .map(|element| Self(element.value.to_vec())))
    }

    /// The documents of an array; none where there is none of that name.
    ///
    /// # Errors
    /// As [`Answer::text`].
    pub fn each(&self, name: &str) -> Result<Option<Vec<Answer>>> {
        let Some(array) = self.get(name)? else {
            return Ok(None);
        };
        let documents = Documents(Document::answer(array.value)?.elements());
        let own = documents.map(|document| Ok(Self(document?.bytes().to_vec())));
        own.collect::<Result<_>>().map(Some)
    }

    /// The documents of a cursor's batch.
    ///
    /// # Errors
    /// As [`Answer::text`], and where there is no batch.
    pub fn documents(&self) -> Result<Documents<'_>> {
        let cursor = self.get("cursor")?.ok_or_else(lacking)?;
        let cursor = Document::answer(cursor.value)?;
        let documents = match cursor.get(b"firstBatch")? {
            Some(documents) => documents,
            None => cursor.get(b"nextBatch")?.ok_or_else(lacking)?,
        };
        Ok(Documents(Document::answer(documents.value)?.elements()))
    }
}

/// An answer that lacks what was asked for.
#[must_use]
pub fn lacking() -> Error {
    Error::damage("an answer that lacks what was asked for")
}

/// A string's value, where it is one.
#[must_use]
pub fn text(element: &Element<'_>) -> Option<String> {
    let bytes = element.value.get(4..)?.strip_suffix(&[0])?;
    (element.kind == kind::STRING).then(|| String::from_utf8(bytes.to_vec()).ok())?
}

/// The documents of a batch; an error ends them.
#[derive(Clone, Debug)]
pub struct Documents<'b>(Elements<'b>);

impl<'b> Iterator for Documents<'b> {
    type Item = Result<Document<'b>>;

    fn next(&mut self) -> Option<Self::Item> {
        let element = match self.0.next()? {
            Ok(element) => element,
            Err(error) => return Some(Err(error)),
        };
        Some(match element.kind {
            kind::DOCUMENT => Document::whole(element.value),
            _ => Err(Error::damage("an answer that holds what is no document")),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::command::Builder;
    use super::*;

    #[test]
    fn fields_are_found_and_others_are_none() {
        let inner = Builder::new()
            .string("errmsg", "no")
            .int32("index", 3)
            .finish();
        let answer = Builder::new()
            .string("setName", "rs0")
            .int32("wire", 17)
            .raw(kind::INT64, b"long", &(1i64 << 40).to_le_bytes())
            .raw(kind::DOUBLE, b"double", &9f64.to_le_bytes())
            .boolean("primary", true)
            .timestamp("operationTime", 7 << 32)
            .array("writeErrors", [(kind::DOCUMENT, &inner[..])])
            .document(
                "cursor",
                Builder::new().array("nextBatch", [(kind::DOCUMENT, &inner[..])]),
            );
        let answer = Answer::new(answer.finish());
        assert_eq!(answer.text("setName").unwrap().unwrap(), "rs0");
        assert_eq!(answer.text("wire").unwrap(), None);
        let numbers = ["wire", "long", "double", "primary", "setName", "none"];
        let numbers = numbers.map(|name| answer.number(name).unwrap());
        assert_eq!(
            numbers,
            [Some(17), Some(1 << 40), Some(9), Some(1), None, None]
        );
        assert_eq!(answer.time("operationTime").unwrap(), Some(7 << 32));
        let errors = answer.each("writeErrors").unwrap().unwrap();
        assert_eq!(errors[0].number("index").unwrap(), Some(3));
        assert_eq!(answer.each("none").unwrap(), None);
        let batch: Vec<_> = answer.documents().unwrap().map(Result::unwrap).collect();
        assert_eq!(batch, [Document::whole(&inner).unwrap()]);
        assert!(Answer::new(vec![1]).text("x").is_err());
        assert!(Answer::new(Builder::new().finish()).documents().is_err());
    }
}
