//! Documents of capped collections as they are stored: each with its place in the order of insertion
//! (`format-spec/deployment.md`).

use super::bson::{Document, kind};
use crate::error::{Error, Result};

/// A document with its place.
#[must_use]
pub fn placed(place: u64, document: Document<'_>) -> Vec<u8> {
    let mut bytes = vec![0; 4];
    bytes.push(kind::INT64);
    bytes.extend_from_slice(b"_id\0");
    bytes.extend_from_slice(&place.to_le_bytes());
    bytes.push(kind::DOCUMENT);
    bytes.extend_from_slice(b"d\0");
    bytes.extend_from_slice(document.bytes());
    bytes.push(0);
    let length = (bytes.len() as i32).to_le_bytes();
    bytes[..4].copy_from_slice(&length);
    bytes
}

/// The place, and the document itself.
///
/// # Errors
/// [`crate::error::Kind::Damage`] where it is none.
pub fn unplaced(stored: Document<'_>) -> Result<(u64, Document<'_>)> {
    let place = stored
        .get(b"_id")?
        .filter(|id| id.kind == kind::INT64)
        .and_then(|id| {
            id.value
                .first_chunk()
                .map(|bytes| u64::from_le_bytes(*bytes))
        });
    match (place, stored.get(b"d")?) {
        (Some(place), Some(own)) if own.kind == kind::DOCUMENT => {
            Ok((place, Document::whole(own.value)?))
        }
        _ => Err(Error::damage(
            "a document of a capped collection without its place",
        )),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_is_placed_comes_back() {
        let own = Document::whole(b"\x05\0\0\0\0").unwrap();
        let stored = placed(1 << 40, own);
        let stored = Document::whole(&stored).unwrap();
        assert_eq!(unplaced(stored).unwrap(), (1 << 40, own));
        assert!(unplaced(own).is_err());
    }
}
