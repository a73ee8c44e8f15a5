//! A stretch of the oplog, kept: what happened between two moments, entry by entry (`format-spec/deployment.md`). With a
//! deployment as it was at one time, slices lead to any later time that they reach without a gap.
//!
//! Entries are raw. They are documents of a run, each under its cluster time, so that they are stored, named, checked and
//! found as documents are.

use serde::{Deserialize, Serialize};

use super::bson::{Document, kind};
use super::deployment::Position;
use super::extension::{self, Extension};
use super::run::{Run, Sorted};
use crate::error::{Error, Result};
use crate::limits::SLICE_WORDS_MAX;

/// A stretch of the oplog of one replica set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slice {
    /// Name of the replica set.
    pub set: String,
    /// The server's address, without what is secret in it: sets of one name are told apart by it.
    pub address: String,
    /// The server's version, as it says it.
    pub server: String,
    /// The entry behind which it begins.
    pub from: Position,
    /// The entry with which it ends.
    pub to: Position,
    /// Which collections' entries are in it.
    pub scope: Scope,
    /// The entries, each under its time; before `from` lie parts of transactions that end behind it.
    pub entries: Option<Sorted>,
    /// Room for later.
    pub extensions: Vec<Extension>,
}

/// Which collections were asked for; namespaces by pattern.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scope {
    /// The database that was taken alone.
    pub database: Option<String>,
    /// One of these must fit, where there are any.
    pub include: Vec<String>,
    /// None of these may fit.
    pub exclude: Vec<String>,
    /// Users and roles too.
    pub users: bool,
}

impl Slice {
    /// Holds the record against the rules of its chapter.
    ///
    /// # Errors
    /// [`crate::error::Kind::Damage`] or `Unsupported`, naming the rule.
    pub fn check(&self) -> Result<()> {
        let words = [&self.set, &self.address, &self.server];
        if words.iter().any(|word| word.len() > SLICE_WORDS_MAX) {
            return Err(Error::damage("a slice of the oplog of impossible size"));
        }
        if self.from.time >= self.to.time {
            return Err(Error::damage("a slice of the oplog that goes back in time"));
        }
        self.run().check()?;
        extension::check(&self.extensions)
    }

    /// Its entries as a run.
    #[must_use]
    pub fn run(&self) -> Run {
        Run {
            documents: self.entries,
            ..Run::default()
        }
    }
}

/// An entry under its cluster time, as it is stored.
#[must_use]
pub fn timed(time: u64, entry: Document<'_>) -> Vec<u8> {
    let mut bytes = vec![0; 4];
    bytes.push(kind::TIMESTAMP);
    bytes.extend_from_slice(b"_id\0");
    bytes.extend_from_slice(&time.to_le_bytes());
    bytes.push(kind::DOCUMENT);
    bytes.extend_from_slice(b"e\0");
    bytes.extend_from_slice(entry.bytes());
    bytes.push(0);
    let length = (bytes.len() as i32).to_le_bytes();
    bytes[..4].copy_from_slice(&length);
    bytes
}

/// In the place of an entry that is not kept, its BLAKE3: so that it can be told whether a moment lies in this history.
#[must_use]
pub fn proof(time: u64, entry: Document<'_>) -> Vec<u8> {
    let mut bytes = vec![0; 4];
    bytes.push(kind::TIMESTAMP);
    bytes.extend_from_slice(b"_id\0");
    bytes.extend_from_slice(&time.to_le_bytes());
    bytes.push(kind::BINARY);
    bytes.extend_from_slice(b"h\0\x20\0\0\0\0");
    bytes.extend_from_slice(blake3::hash(entry.bytes()).as_bytes());
    bytes.push(0);
    let length = (bytes.len() as i32).to_le_bytes();
    bytes[..4].copy_from_slice(&length);
    bytes
}

/// What stands under a cluster time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept<'s> {
    /// The entry itself.
    Entry(Document<'s>),
    /// The BLAKE3 of one that is not kept.
    Proof(&'s [u8]),
}

/// The cluster time, and what stands under it.
///
/// # Errors
/// [`crate::error::Kind::Damage`] where it is neither an entry nor a proof.
pub fn untimed(stored: Document<'_>) -> Result<(u64, Kept<'_>)> {
    let wrong = || Error::damage("a slice of the oplog that holds no entry");
    let time = stored
        .get(b"_id")?
        .filter(|id| id.kind == kind::TIMESTAMP)
        .and_then(|id| id.value.first_chunk().copied())
        .ok_or_else(wrong)?;
    let time = u64::from_le_bytes(time);
    if let Some(own) = stored.get(b"e")?.filter(|own| own.kind == kind::DOCUMENT) {
        return Ok((time, Kept::Entry(Document::whole(own.value)?)));
    }
    let proof = stored.get(b"h")?.filter(|own| own.kind == kind::BINARY);
    let proof = proof.and_then(|own| own.value.get(5..));
    Ok((time, Kept::Proof(proof.ok_or_else(wrong)?)))
}

impl Kept<'_> {
    /// Whether it is, or stands for, the entry of that BLAKE3.
    #[must_use]
    pub fn is(&self, proof: &[u8; 32]) -> bool {
        match self {
            Self::Entry(entry) => blake3::hash(entry.bytes()).as_bytes() == proof,
            Self::Proof(own) => own == proof,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_entry_under_its_time_comes_back() {
        let own = Document::whole(b"\x05\0\0\0\0").unwrap();
        let stored = timed(7 << 32 | 1, own);
        let stored = Document::whole(&stored).unwrap();
        assert_eq!(untimed(stored).unwrap(), (7 << 32 | 1, Kept::Entry(own)));
        let hash = *blake3::hash(own.bytes()).as_bytes();
        let proof = proof(9, own);
        let (time, kept) = untimed(Document::whole(&proof).unwrap()).unwrap();
        assert!(time == 9 && kept.is(&hash) && !kept.is(&[0; 32]));
        let id = stored.get(b"_id").unwrap().unwrap();
        assert_eq!(id.value, (7u64 << 32 | 1).to_le_bytes());
        assert!(untimed(own).is_err());
    }

    #[test]
    fn slices_are_held_against_their_rules() {
        let at = |time| Position {
            time,
            proof: [0; 32],
        };
        let sound = Slice {
            set: "rs0".into(),
            address: "mongodb://h".into(),
            server: "6.0.5".into(),
            from: at(1),
            to: at(2),
            scope: Scope::default(),
            entries: None,
            extensions: Vec::new(),
        };
        sound.check().unwrap();
        let still = Slice {
            to: at(1),
            ..sound.clone()
        };
        let long = Slice {
            address: "a".repeat(SLICE_WORDS_MAX + 1),
            ..sound
        };
        for broken in [still, long] {
            assert!(broken.check().is_err(), "{broken:?}");
        }
    }
}
