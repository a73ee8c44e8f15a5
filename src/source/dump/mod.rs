//! Dumps of databases among the files: what mongodump and mongoexport write, and whatever else is JSON.
//!
//! A dump is written anew each night, and most of its documents are those of the night before. It is known by its first
//! bytes, whatever its name, and divided into records, each a document with what stands between it and the one before.
//! Nothing is decoded and nothing depends on a dump being whole: records are only where bytes are compared, and whatever
//! does not look like a document is a record too.

pub mod archive;
pub mod nested;
pub mod stated;

use std::io::Read;

use crate::error::{Error, Result};
use crate::format::bson::Document;
use crate::limits::DOCUMENT_BYTES_MAX;

/// The longest record; longer documents are several.
pub const RECORD_BYTES_MAX: usize = 256 << 10;
/// Bytes by which a dump is known; fewer where the file is shorter.
pub const RECOGNISED_BY: usize = 64 << 10;
/// What a mongodump archive begins with
/// (<https://github.com/mongodb/mongo-tools/blob/master/common/archive/archive.go>).
const ARCHIVE: [u8; 4] = [0x6D, 0xE2, 0x99, 0x81];
/// What ends a block of documents in an archive, where the length of a document would stand.
const END_OF_BLOCK: [u8; 4] = [0xFF; 4];
/// What gzip begins with (RFC 1952).
pub const GZIP: [u8; 2] = [0x1F, 0x8B];
/// Bytes of what was gzipped by which it is known.
const ZIPPED_LOOK: usize = 4 << 10;
/// What is taken as one record where no document begins.
const STRAY: usize = 4 << 10;

/// How a dump is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// BSON documents, one behind the other: a collection as mongodump writes it.
    Bson,
    /// A mongodump archive: BSON documents, and marks between them.
    Archive,
    /// JSON values one behind the other, mostly one a line.
    JsonLines,
    /// One JSON array.
    JsonArray,
}

impl Layout {
    /// Whether it is text.
    #[must_use]
    pub fn is_json(self) -> bool {
        matches!(self, Self::JsonLines | Self::JsonArray)
    }
}

/// What a file that begins with `bytes` is laid out as; none where it is no dump.
#[must_use]
pub fn recognise(bytes: &[u8]) -> Option<Layout> {
    if bytes.starts_with(&ARCHIVE) {
        return Some(Layout::Archive);
    }
    if begins_with_bson(bytes) {
        return Some(Layout::Bson);
    }
    let mut words = bytes.iter().filter(|byte| !byte.is_ascii_whitespace());
    match (words.next()?, words.next()?) {
        (b'{', b'"' | b'}') => Some(Layout::JsonLines),
        (b'[', b'{') => Some(Layout::JsonArray),
        _ => None,
    }
}

/// Whether a file that begins with `bytes` is a gzipped dump: whatever changes in it, all that follows is other bytes.
#[must_use]
pub fn is_zipped(bytes: &[u8]) -> bool {
    if !bytes.starts_with(&GZIP) {
        return false;
    }
    let mut first = [0; ZIPPED_LOOK];
    let mut plain = flate2::read::GzDecoder::new(bytes);
    let mut known = 0;
    while known < first.len()
        && let Ok(more @ 1..) = plain.read(&mut first[known..])
    {
        known += more;
    }
    recognise(&first[..known]).is_some()
}

/// Whether a document begins there, as far as the bytes reach.
fn begins_with_bson(bytes: &[u8]) -> bool {
    match Document::first(bytes) {
        Ok((document, _)) => {
            document.bytes().len() > 5 && document.elements().all(|element| element.is_ok())
        }
        // A document longer than what is at hand.
        Err(_) => {
            let Some((length, rest)) = bytes.split_first_chunk() else {
                return false;
            };
            let length = u32::from_le_bytes(*length) as usize;
            // As mongodump writes `_id`: an element of some type, and its name.
            let named = rest.get(1..5).is_some_and(|name| name == b"_id\0");
            length > bytes.len() && length <= DOCUMENT_BYTES_MAX && named
        }
    }
}

/// Divides a dump into records.
pub struct Splitter {
    layout: Layout,
    /// Bytes of the open document that come in further records.
    left: usize,
    /// How far the record that is open has been looked through.
    looked: usize,
    /// Open braces and brackets, and whether that is inside a string, behind a backslash.
    depth: usize,
    in_string: bool,
    escaped: bool,
}

impl Splitter {
    /// For a file from its first byte on.
    #[must_use]
    pub fn new(layout: Layout) -> Self {
        Self {
            layout,
            left: 0,
            looked: 0,
            depth: 0,
            in_string: false,
            escaped: false,
        }
    }

    /// The length of the record that `bytes` begin with, at most [`RECORD_BYTES_MAX`]; none where more bytes are needed
    /// to tell. Where they are the `last`, it is never none but for no bytes.
    pub fn record(&mut self, bytes: &[u8], last: bool) -> Option<usize> {
        let found = match self.layout {
            Layout::Bson | Layout::Archive => self.bson(bytes),
            Layout::JsonLines => self.json(bytes, 0),
            Layout::JsonArray => self.json(bytes, 1),
        };
        let found = found.or_else(|| {
            let all = bytes.len().min(RECORD_BYTES_MAX);
            ((last && all > 0) || all == RECORD_BYTES_MAX).then_some(all)
        });
        if let Some(len) = found {
            self.looked = 0;
            self.left = self.left.saturating_sub(len);
        }
        found
    }

    fn bson(&mut self, bytes: &[u8]) -> Option<usize> {
        if self.left == 0 {
            let begin = bytes.first_chunk::<4>()?;
            if self.layout == Layout::Archive && (*begin == END_OF_BLOCK || *begin == ARCHIVE) {
                return Some(4);
            }
            let length = u32::from_le_bytes(*begin) as usize;
            self.left = if (5..=DOCUMENT_BYTES_MAX).contains(&length) {
                length
            } else {
                STRAY
            };
        }
        let len = self.left.min(RECORD_BYTES_MAX);
        (bytes.len() >= len).then_some(len)
    }

    /// A record ends behind the brace or bracket that leaves no more than `base` open.
    fn json(&mut self, bytes: &[u8], base: usize) -> Option<usize> {
        let most = bytes.len().min(RECORD_BYTES_MAX);
        while self.looked < most {
            if self.escaped {
                self.escaped = false;
                self.looked += 1;
                continue;
            }
            if self.in_string {
                // Most of a dump is inside of strings.
                let Some(at) = memchr::memchr2(b'"', b'\\', &bytes[self.looked..most]) else {
                    self.looked = most;
                    break;
                };
                self.escaped = bytes[self.looked + at] == b'\\';
                self.in_string = self.escaped;
                self.looked += at + 1;
                continue;
            }
            let byte = bytes[self.looked];
            self.looked += 1;
            match byte {
                b'"' => self.in_string = true,
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.depth <= base {
                        return Some(self.looked);
                    }
                }
                _ => {}
            }
        }
        None
    }
}

/// The next four bytes; none at the end.
fn four(reader: &mut dyn Read) -> Result<Option<[u8; 4]>> {
    let mut begin = [0; 4];
    let mut filled = 0;
    while filled < begin.len() {
        match reader.read(&mut begin[filled..]) {
            Ok(0) if filled == 0 => return Ok(None),
            Ok(0) => {
                return Err(Error::damage(
                    "a dump that ends in the middle of a document",
                ));
            }
            Ok(count) => filled += count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(unreadable(error)),
        }
    }
    Ok(Some(begin))
}

fn unreadable(error: std::io::Error) -> Error {
    Error::damage("a dump that cannot be read").cause(error)
}

/// The document that begins with these bytes.
fn document_after(begin: [u8; 4], reader: &mut dyn Read) -> Result<Vec<u8>> {
    let length = u32::from_le_bytes(begin) as usize;
    if !(5..=DOCUMENT_BYTES_MAX).contains(&length) {
        return Err(Error::damage(format!(
            "{length} bytes are no length of a document"
        )));
    }
    let mut bytes = begin.to_vec();
    bytes.resize(length, 0);
    reader
        .read_exact(&mut bytes[4..])
        .map_err(|error| match error.kind() {
            std::io::ErrorKind::UnexpectedEof => {
                Error::damage("a dump that ends in the middle of a document")
            }
            _ => unreadable(error),
        })?;
    Document::whole(&bytes)?;
    Ok(bytes)
}

/// The next document of a file that is one behind the other; none at its end.
///
/// # Errors
/// [`crate::error::Kind::Damage`] where none begins there, or it is not whole.
pub fn next_document(reader: &mut dyn Read) -> Result<Option<Vec<u8>>> {
    match four(reader)? {
        Some(begin) => document_after(begin, reader).map(Some),
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests;
