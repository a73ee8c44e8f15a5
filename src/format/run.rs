//! Runs of documents: pages that name leaves, and leaves that are documents (`format-spec/documents.md`).
//!
//! A leaf is raw BSON documents one behind the other, in the order of their keys, nothing else: its bytes are chunks of
//! kind data like those of a file. Pages say which keys a leaf holds, so that one document is found by reading one page of
//! each level and one leaf.

use serde::{Deserialize, Serialize};

use super::document_key::KEY_PREFIX;
use super::entry::{PageRef, Piece, check_pieces};
use super::extension::{self, Extension};
use crate::error::{Error, Result};
use crate::id::ChunkId;
use crate::limits::{DOCUMENT_BYTES_MAX, LEAF_CHUNK_BYTES, PAGE_DEPTH_MAX, PAGE_ENTRIES_MAX};

/// Bytes of the shortest document.
const SHORTEST: u64 = 5;

/// The first [`KEY_PREFIX`] bytes of a key, or all of a shorter one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct KeyPrefix(#[serde(with = "serde_bytes")] pub Vec<u8>);

/// A page of a run; a chunk of kind run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RunPage {
    /// Leaves in the order of their keys.
    Leaf {
        /// At least one.
        leaves: Vec<LeafRef>,
        /// Room for later.
        extensions: Vec<Extension>,
    },
    /// Pages one level below.
    Branch {
        /// At least one, in order.
        children: Vec<RunChild>,
        /// Room for later.
        extensions: Vec<Extension>,
    },
}

/// A leaf: documents, one behind the other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeafRef {
    /// Key of its first document.
    pub first: KeyPrefix,
    /// Key of its last.
    pub last: KeyPrefix,
    /// Documents in it; at least 1.
    pub documents: u32,
    /// Its bytes: one chunk, but for a large document, which is a leaf of its own.
    pub content: Vec<Piece>,
}

/// A page below a branch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunChild {
    /// Key of the first document in it (or below it).
    pub first: KeyPrefix,
    /// Key of the last.
    pub last: KeyPrefix,
    /// Its chunk.
    pub id: ChunkId,
    /// Documents in it (or below it).
    pub documents: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Documents in the order of their keys, without duplicates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sorted {
    /// The topmost page.
    pub root: PageRef,
    /// How many; at least 1.
    pub documents: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// A run: what one reading of a collection added to what older runs hold. First it takes away, then it adds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Documents, as they were read.
    pub documents: Option<Sorted>,
    /// What went: documents that hold nothing but the `_id` of a document of an older run.
    pub deleted: Option<Sorted>,
    /// Room for later.
    pub extensions: Vec<Extension>,
}

/// What stands below one place: how much, and from which key to which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Below {
    /// Documents.
    pub documents: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Keys of the first and the last.
    pub range: Option<(KeyPrefix, KeyPrefix)>,
}

impl RunPage {
    /// What the page comes to: whatever names it must say the same.
    #[must_use]
    pub fn below(&self) -> Below {
        let mut sum = Below {
            documents: 0,
            bytes: 0,
            range: None,
        };
        let mut add = |first: &KeyPrefix, last: &KeyPrefix, documents: u64, bytes: u64| {
            sum.documents = sum.documents.saturating_add(documents);
            sum.bytes = sum.bytes.saturating_add(bytes);
            let from = sum
                .range
                .take()
                .map_or_else(|| first.clone(), |(from, _)| from);
            sum.range = Some((from, last.clone()));
        };
        match self {
            RunPage::Leaf { leaves, .. } => {
                for leaf in leaves {
                    add(
                        &leaf.first,
                        &leaf.last,
                        u64::from(leaf.documents),
                        leaf.bytes(),
                    );
                }
            }
            RunPage::Branch { children, .. } => {
                for child in children {
                    add(&child.first, &child.last, child.documents, child.bytes);
                }
            }
        }
        sum
    }
}

impl LeafRef {
    /// Bytes of its documents.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.content.iter().map(Piece::len).sum()
    }
}

impl KeyPrefix {
    /// Whether the key behind `next` can come after the one behind this: a later one, or one that is alike as far as
    /// both are named.
    fn may_precede(&self, next: &KeyPrefix) -> bool {
        self < next || (self == next && self.0.len() == KEY_PREFIX)
    }
}

/// Holds the keys of `(first, last, documents)` against their rules.
fn ranges<'a>(ranges: impl Iterator<Item = (&'a KeyPrefix, &'a KeyPrefix, u64)>) -> Result<()> {
    let mut before: Option<&KeyPrefix> = None;
    for (first, last, documents) in ranges {
        let lengths = 1..=KEY_PREFIX;
        let fine = lengths.contains(&first.0.len())
            && lengths.contains(&last.0.len())
            && match documents {
                0 => false,
                1 => first == last,
                _ => first.may_precede(last),
            };
        if !fine || before.is_some_and(|before| !before.may_precede(first)) {
            return Err(Error::damage("a run page whose keys are out of order"));
        }
        before = Some(last);
    }
    Ok(())
}

impl RunPage {
    /// Holds the page against the rules of its chapter; every reader calls it before using the page.
    ///
    /// # Errors
    /// [`crate::error::Kind::Damage`] or `Unsupported`, naming the rule.
    pub fn check(&self) -> Result<()> {
        let (count, extensions) = match self {
            RunPage::Leaf { leaves, extensions } => (leaves.len(), extensions),
            RunPage::Branch {
                children,
                extensions,
            } => (children.len(), extensions),
        };
        if !(1..=PAGE_ENTRIES_MAX).contains(&count) {
            return Err(Error::damage(format!("a run page of {count} entries")));
        }
        match self {
            RunPage::Leaf { leaves, .. } => {
                ranges(
                    leaves
                        .iter()
                        .map(|leaf| (&leaf.first, &leaf.last, u64::from(leaf.documents))),
                )?;
                for leaf in leaves {
                    check_pieces(&leaf.content)?;
                    let data = |piece: &Piece| matches!(piece, Piece::Data { .. });
                    let bytes = leaf
                        .content
                        .iter()
                        .try_fold(0u64, |sum, piece| sum.checked_add(piece.len()));
                    // One that is long is a leaf of its own.
                    let most = match leaf.documents {
                        1 => DOCUMENT_BYTES_MAX,
                        _ => LEAF_CHUNK_BYTES,
                    };
                    let least = SHORTEST * u64::from(leaf.documents);
                    let fits = bytes.is_some_and(|bytes| (least..=most as u64).contains(&bytes));
                    if !leaf.content.iter().all(data) || !fits {
                        return Err(Error::damage("a leaf of documents of impossible size"));
                    }
                }
            }
            RunPage::Branch { children, .. } => {
                ranges(
                    children
                        .iter()
                        .map(|child| (&child.first, &child.last, child.documents)),
                )?;
            }
        }
        extension::check(extensions)
    }
}

impl Run {
    /// Holds the run against the rules of its chapter.
    ///
    /// # Errors
    /// [`crate::error::Kind::Damage`] or `Unsupported`, naming the rule.
    pub fn check(&self) -> Result<()> {
        for sorted in self.documents.iter().chain(&self.deleted) {
            if sorted.root.depth > PAGE_DEPTH_MAX {
                return Err(Error::damage("pages too deep"));
            }
            if sorted.documents == 0 || sorted.bytes / SHORTEST < sorted.documents {
                return Err(Error::damage("a run of impossible size"));
            }
        }
        extension::check(&self.extensions)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn key(bytes: &[u8]) -> KeyPrefix {
        KeyPrefix(bytes.to_vec())
    }

    fn data(len: u32) -> Piece {
        let id = ChunkId([1; 32]);
        Piece::Data { id, len }
    }

    fn leaf(first: &[u8], last: &[u8], documents: u32) -> LeafRef {
        LeafRef {
            first: key(first),
            last: key(last),
            documents,
            content: vec![data(100)],
        }
    }

    fn leaves(leaves: Vec<LeafRef>) -> RunPage {
        let extensions = Vec::new();
        RunPage::Leaf { leaves, extensions }
    }

    fn branch(children: &[(&[u8], &[u8], u64)]) -> RunPage {
        let child = |(first, last, documents): &(&[u8], &[u8], u64)| RunChild {
            first: key(first),
            last: key(last),
            id: ChunkId([2; 32]),
            documents: *documents,
            bytes: 100,
        };
        RunPage::Branch {
            children: children.iter().map(child).collect(),
            extensions: Vec::new(),
        }
    }

    #[test]
    fn pages_are_held_against_their_rules() {
        let long = [b'z'; KEY_PREFIX];
        let longer = [b'z'; KEY_PREFIX + 1];
        let mut large = leaf(b"a", b"a", 1);
        large.content = vec![data(1 << 20); 16];
        let mut many = leaf(b"a", b"b", 2);
        many.content = vec![data(LEAF_CHUNK_BYTES as u32), data(1)];
        let mut holed = leaf(b"a", b"b", 2);
        holed.content.push(Piece::Hole { len: 9 });
        let mut empty = leaf(b"a", b"a", 1);
        empty.content.clear();
        let mut huge = large.clone();
        huge.content.push(data((16 << 10) + 1));
        let critical = RunPage::Leaf {
            leaves: vec![leaf(b"a", b"a", 1)],
            extensions: vec![Extension {
                tag: 9,
                critical: true,
                body: Vec::new(),
            }],
        };
        let sound = [
            leaves(vec![leaf(b"a", b"a", 1)]),
            leaves(vec![leaf(b"a", b"b", 20), leaf(b"ba", b"c", 2)]),
            leaves(vec![leaf(b"a", &long, 2), leaf(&long, &long, 2)]),
            leaves(vec![large]),
            branch(&[(b"a", b"b", 2), (&long, &long, 9)]),
        ];
        for page in sound {
            page.check().unwrap();
        }
        let broken = [
            leaves(vec![]),
            leaves(vec![leaf(b"", b"b", 2)]),
            leaves(vec![leaf(b"a", &longer, 2)]),
            leaves(vec![leaf(b"b", b"a", 2)]),
            leaves(vec![leaf(b"a", b"b", 1)]),
            leaves(vec![leaf(b"a", b"a", 2)]),
            leaves(vec![leaf(b"a", b"a", 0)]),
            leaves(vec![leaf(b"a", b"b", 21)]),
            leaves(vec![leaf(b"a", b"b", 2), leaf(b"b", b"c", 2)]),
            leaves(vec![leaf(b"c", b"d", 2), leaf(b"a", b"b", 2)]),
            leaves(vec![many]),
            leaves(vec![holed]),
            leaves(vec![empty]),
            leaves(vec![huge]),
            critical,
            branch(&[]),
            branch(&[(b"a", b"b", 0)]),
            branch(&[(b"a", b"b", 2), (b"b", b"c", 2)]),
        ];
        for page in broken {
            assert!(page.check().is_err(), "{page:?}");
        }
    }

    #[test]
    fn runs_are_held_against_their_rules() {
        let sorted = |depth, documents, bytes| {
            let id = ChunkId([3; 32]);
            Some(Sorted {
                root: PageRef { id, depth },
                documents,
                bytes,
            })
        };
        for (sorted, sound) in [
            (None, true),
            (sorted(0, 1, 5), true),
            (sorted(PAGE_DEPTH_MAX, 2, 10), true),
            (sorted(PAGE_DEPTH_MAX + 1, 1, 5), false),
            (sorted(0, 0, 5), false),
            (sorted(0, 2, 9), false),
        ] {
            let as_documents = Run {
                documents: sorted,
                ..Run::default()
            };
            let as_deleted = Run {
                deleted: sorted,
                ..Run::default()
            };
            assert_eq!(as_documents.check().is_ok(), sound);
            assert_eq!(as_deleted.check().is_ok(), sound);
        }
    }
}
