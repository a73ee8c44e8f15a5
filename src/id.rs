//! The names of things: 32-byte hashes and 16-byte random session ids, and how they are written as text.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Lower-case hexadecimal of `bytes`.
#[must_use]
pub fn to_hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}

/// Bytes of lower-case hexadecimal `text`; `None` for any other character or an odd length.
#[must_use]
pub fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |c: u8| match c {
        b'0'..=b'9' => Some(c - b'0'),
        b'a'..=b'f' => Some(c - b'a' + 10),
        _ => None,
    };
    let text = text.as_bytes();
    if !text.len().is_multiple_of(2) {
        return None;
    }
    text.chunks_exact(2)
        .map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?))
        .collect()
}

macro_rules! id_type {
    ($(#[$doc:meta])* $name:ident, $size:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(pub [u8; $size]);

        impl $name {
            /// The whole id as lower-case hexadecimal, as it stands in file names and `--json`.
            #[must_use]
            pub fn hex(&self) -> String {
                to_hex(&self.0)
            }

            /// The first eight hexadecimal digits, for people.
            #[must_use]
            pub fn short(&self) -> String {
                to_hex(&self.0[..4])
            }

            /// Reads the whole id from lower-case hexadecimal; `None` where it is anything else.
            #[must_use]
            pub fn from_hex(text: &str) -> Option<Self> {
                from_hex(text)?.try_into().ok().map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.hex())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.short())
            }
        }
    };
}

id_type!(/// Keyed BLAKE3 of a chunk's kind and bytes: a chunk's only name.
    ChunkId, 32);
id_type!(/// BLAKE3 of a pack file without its last 32 bytes; the pack's file name.
    PackId, 32);
id_type!(/// BLAKE3 of a segment file without its last 32 bytes; the segment's file name.
    SegmentId, 32);
id_type!(/// Random, chosen by `init`; bound into everything that is sealed in the repository.
    RepositoryId, 32);
id_type!(/// Random, chosen when a session opens; also the id of the snapshot that the session commits.
    SessionId, 16);
id_type!(/// Random id of a tombstone or an annotation.
    RecordId, 16);
id_type!(/// Random id of a key slot.
    SlotId, 16);

/// A snapshot is named by the session that committed it.
pub type SnapshotId = SessionId;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_round_trips_and_refuses_what_is_not_canonical() {
        let id = SessionId([0xa5; 16]);
        assert_eq!(SessionId::from_hex(&id.hex()), Some(id));
        for bad in [
            "",
            "a5",
            &id.hex().to_uppercase(),
            &id.hex()[1..],
            &format!("{}0", id.hex()),
        ] {
            assert_eq!(SessionId::from_hex(bad), None, "{bad}");
        }
    }
}
