//! Reading a mongodump archive
//! (<https://github.com/mongodb/mongo-tools/tree/master/common/archive>, format version 0.1).
//!
//! ```text
//! archive   magic u32 0x8199e26d | header document | collection documents | end | blocks
//! block     namespace document { db, collection, EOF, CRC } | documents | end
//! end       0xFFFFFFFF
//! ```
//! Blocks of several collections stand between each other. The block with `EOF` ends a collection and holds the CRC-64 (ECMA)
//! of all its documents.

use std::collections::{HashMap, HashSet};
use std::io::Read;

use super::{ARCHIVE, END_OF_BLOCK, document_after};
use crate::error::{Error, Result};
use crate::format::bson::Document;
use crate::source::mongo::answer;

/// Collections that an archive may speak of.
const COLLECTIONS_MAX: usize = 100_000;

/// What stands in an archive, in the order in which it stands there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A collection, and what it is like: JSON, as in a `.metadata.json`.
    Collection {
        /// Database and name with a dot between.
        namespace: String,
        /// Nothing where the dump says nothing.
        metadata: String,
    },
    /// A document of the collection that was named last for documents.
    Document {
        /// Its collection.
        namespace: String,
        /// Raw BSON.
        bytes: Vec<u8>,
    },
}

/// The table of CRC-64 with the polynomial of ECMA-182, reflected: what Go calls `crc64.ECMA`.
fn table() -> [u64; 256] {
    let mut table = [0; 256];
    for (byte, entry) in table.iter_mut().enumerate() {
        *entry = (0..8).fold(byte as u64, |rest, _| {
            (rest >> 1)
                ^ if rest & 1 == 1 {
                    0xC96C_5795_D787_0F42
                } else {
                    0
                }
        });
    }
    table
}

fn crc64(table: &[u64; 256], before: u64, bytes: &[u8]) -> u64 {
    !bytes.iter().fold(!before, |crc, byte| {
        table[usize::from(crc as u8 ^ byte)] ^ (crc >> 8)
    })
}

fn broken(what: &str) -> Error {
    Error::damage(format!("not a whole mongodump archive: {what}"))
}

fn text(document: Document<'_>, name: &str) -> Result<String> {
    let own = document.get(name.as_bytes())?;
    let own = own.as_ref().and_then(answer::text);
    own.ok_or_else(|| broken(&format!("{name:?} is missing, or no text")))
}

fn namespace(document: Document<'_>) -> Result<String> {
    let (database, collection) = (text(document, "db")?, text(document, "collection")?);
    Ok(format!("{database}.{collection}"))
}

/// The next document, none at an end of a block.
fn next(reader: &mut dyn Read) -> Result<Option<Vec<u8>>> {
    let begin = super::four(reader)?.ok_or_else(|| broken("it ends too early"))?;
    if begin == END_OF_BLOCK {
        return Ok(None);
    }
    document_after(begin, reader).map(Some)
}

/// Reads an archive to its end.
///
/// # Errors
/// [`crate::error::Kind::Damage`] where it is none, or not whole; whatever `each` returns.
pub fn read(reader: &mut dyn Read, each: &mut dyn FnMut(Event) -> Result<()>) -> Result<()> {
    if super::four(reader)? != Some(ARCHIVE) {
        return Err(broken("it begins with something else"));
    }
    let header = next(reader)?.ok_or_else(|| broken("it has no header"))?;
    text(Document::whole(&header)?, "version")?;
    // Collections whose end is to come: an archive that was cut short between two blocks is as well-formed as a whole one.
    let mut expected: HashSet<String> = HashSet::new();
    while let Some(bytes) = next(reader)? {
        if expected.len() >= COLLECTIONS_MAX {
            return Err(broken("too many collections"));
        }
        let document = Document::whole(&bytes)?;
        let namespace = namespace(document)?;
        // A view has no documents, and old tools write no end of it.
        if text(document, "type").ok().as_deref() != Some("view") {
            expected.insert(namespace.clone());
        }
        each(Event::Collection {
            namespace,
            metadata: text(document, "metadata").unwrap_or_default(),
        })?;
    }
    let table = table();
    let mut open: HashMap<String, u64> = HashMap::new();
    while let Some(begin) = super::four(reader)? {
        let bytes = document_after(begin, reader)?;
        let header = Document::whole(&bytes)?;
        let namespace = namespace(header)?;
        let ends = header.get(b"EOF")?;
        if ends.is_some_and(|ends| ends.value == [1]) {
            let found = open.remove(&namespace).unwrap_or_default();
            expected.remove(&namespace);
            // The documents of a time series are those of its buckets.
            expected.remove(&namespace.replacen(".system.buckets.", ".", 1));
            let said = header.get(b"CRC")?;
            let said = said.and_then(|crc| crc.value.first_chunk::<8>().copied());
            if said.map(u64::from_le_bytes) != Some(found) {
                return Err(broken(&format!(
                    "the documents of {namespace} are not those that it was ended with"
                )));
            }
            if next(reader)?.is_some() {
                return Err(broken("documents behind the end of their collection"));
            }
            continue;
        }
        if open.len() > COLLECTIONS_MAX {
            return Err(broken("too many collections"));
        }
        let crc = open.entry(namespace.clone()).or_default();
        while let Some(bytes) = next(reader)? {
            *crc = crc64(&table, *crc, &bytes);
            each(Event::Document {
                namespace: namespace.clone(),
                bytes,
            })?;
        }
    }
    match open.keys().chain(&expected).next() {
        Some(namespace) => Err(broken(&format!("the end of {namespace} is missing"))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_check_value_of_crc_64() {
        // CRC-64/XZ of the catalogue of parametrised CRC algorithms, which is Go's.
        assert_eq!(crc64(&table(), 0, b"123456789"), 0x995D_C9BB_DF19_39FA);
        let halves = crc64(&table(), crc64(&table(), 0, b"1234"), b"56789");
        assert_eq!(halves, 0x995D_C9BB_DF19_39FA);
    }
}
