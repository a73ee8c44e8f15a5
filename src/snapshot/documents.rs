//! Building a run, document by document, in the order of their keys (`format-spec/documents.md`).
//!
//! Where a leaf ends depends on the documents in it and nothing else, so a document more, or less, or longer changes one
//! leaf and the pages above it. Nothing but the open leaf and the open page of each level is held.

use super::levels::{Child, Levels};
use super::pages::ends;
use super::put::Put;
use crate::chunk::Cutter;
use crate::error::{Error, Kind, Result};
use crate::format::bson::{self, Document};
use crate::format::codec;
use crate::format::document_key::prefix;
use crate::format::entry::Piece;
use crate::format::run::{Below, KeyPrefix, LeafRef, RunChild, RunPage, Sorted};
use crate::id::ChunkId;
use crate::limits::{
    LEAF_BYTES_MAX, LEAF_BYTES_MIN, LEAF_BYTES_TARGET, LEAF_CHUNK_BYTES, PAGE_BYTES_TARGET,
};
use crate::repository::ChunkKind;

/// A run being built: the documents of it, or the deletions.
pub struct RunBuilder<'c> {
    cutter: &'c Cutter,
    leaf: Leaf,
    /// The open page.
    leaves: Vec<LeafRef>,
    /// About what it comes to, encoded.
    weight: usize,
    levels: Levels<RunChild>,
    documents: u64,
    bytes: u64,
}

#[derive(Default)]
struct Leaf {
    bytes: Vec<u8>,
    first: Vec<u8>,
    /// The whole key, for it decides what may follow.
    last: Vec<u8>,
    documents: u32,
}

/// The number that decides what ends behind a key. Names of entries hold no zero, so no entry's number is ever asked for
/// by a key.
fn cut(put: &dyn Put, key: &[u8]) -> u64 {
    let mut name = Vec::with_capacity(key.len() + 1);
    name.push(0);
    name.extend_from_slice(key);
    put.page_cut(&name)
}

impl Child for RunChild {
    fn id(&self) -> ChunkId {
        self.id
    }

    fn branch(children: Vec<Self>, put: &mut dyn Put) -> Result<Self> {
        store_page(
            put,
            &RunPage::Branch {
                children,
                extensions: Vec::new(),
            },
        )
    }
}

/// Puts a page; what names it one level above.
fn store_page(put: &mut dyn Put, page: &RunPage) -> Result<RunChild> {
    let Below {
        documents,
        bytes,
        range,
    } = page.below();
    let (first, last) = range.ok_or_else(|| Error::new(Kind::Failed, "a page of nothing"))?;
    let id = put.put(ChunkKind::Run, &codec::encode(page)?)?;
    Ok(RunChild {
        first,
        last,
        id,
        documents,
        bytes,
    })
}

impl<'c> RunBuilder<'c> {
    /// Nothing in it yet. `cutter` cuts large documents as if they were files.
    #[must_use]
    pub fn new(cutter: &'c Cutter) -> Self {
        Self {
            cutter,
            leaf: Leaf::default(),
            leaves: Vec::new(),
            weight: 0,
            levels: Levels::default(),
            documents: 0,
            bytes: 0,
        }
    }

    /// Whether a document of that key may come next.
    #[must_use]
    pub fn may_follow(&self, key: &[u8]) -> bool {
        self.documents == 0 || self.leaf.last.as_slice() < key
    }

    /// Appends a document, whose key must come after all before.
    ///
    /// # Errors
    /// [`Kind::Failed`] where it does not; whatever `put` says.
    pub fn push(&mut self, put: &mut dyn Put, key: Vec<u8>, document: Document<'_>) -> Result<()> {
        if !self.may_follow(&key) {
            return Err(Error::new(Kind::Failed, "documents out of order"));
        }
        let bytes = document.bytes();
        if !self.leaf.bytes.is_empty() && self.leaf.bytes.len() + bytes.len() > LEAF_CHUNK_BYTES {
            self.end_leaf(put)?;
        }
        let leaf = &mut self.leaf;
        if leaf.documents == 0 {
            leaf.first = prefix(&key).to_vec();
        }
        leaf.bytes.extend_from_slice(bytes);
        leaf.documents += 1;
        leaf.last = key;
        self.documents += 1;
        self.bytes += bytes.len() as u64;
        // In proportion to the document's length, so that leaves of long documents are as large as those of short ones.
        let here = || {
            let number = cut(put, &self.leaf.last) >> 32;
            number.saturating_mul(LEAF_BYTES_TARGET as u64) < (bytes.len() as u64) << 32
        };
        let size = self.leaf.bytes.len();
        if size >= LEAF_BYTES_MAX || (size >= LEAF_BYTES_MIN && here()) {
            self.end_leaf(put)?;
        }
        Ok(())
    }

    fn end_leaf(&mut self, put: &mut dyn Put) -> Result<()> {
        // The key of the last one stays: the next must come after it.
        let bytes = std::mem::take(&mut self.leaf.bytes);
        let leaf = LeafRef {
            first: KeyPrefix(std::mem::take(&mut self.leaf.first)),
            last: KeyPrefix(prefix(&self.leaf.last).to_vec()),
            documents: std::mem::take(&mut self.leaf.documents),
            content: self.store(put, &bytes)?,
        };
        let weight = leaf.first.0.len() + leaf.last.0.len() + 16 + 40 * leaf.content.len();
        if self.weight + weight > PAGE_BYTES_TARGET {
            self.end_page(put)?;
        }
        self.weight += weight;
        self.leaves.push(leaf);
        // By the whole key: ids that begin alike must not end alike.
        if ends(self.leaves.len(), || cut(put, &self.leaf.last)) {
            self.end_page(put)?;
        }
        Ok(())
    }

    /// Puts a leaf's bytes: one chunk, or a large document's pieces.
    fn store(&self, put: &mut dyn Put, bytes: &[u8]) -> Result<Vec<Piece>> {
        let mut pieces = Vec::new();
        let mut piece = |bytes: &[u8]| -> Result<()> {
            let id = put.put(ChunkKind::Data, bytes)?;
            let len = bytes.len() as u32;
            pieces.push(Piece::Data { id, len });
            Ok(())
        };
        if bytes.len() <= LEAF_CHUNK_BYTES {
            piece(bytes)?;
            return Ok(pieces);
        }
        let mut start = 0;
        for end in ends_of_spans(bytes) {
            while start < end {
                let rest = &bytes[start..end];
                // Chunks may be set so small that a page could not name those of one document.
                let len = if self.cutter.window() < LEAF_CHUNK_BYTES / 4 {
                    rest.len().min(LEAF_CHUNK_BYTES)
                } else {
                    self.cutter.cut(rest)
                };
                piece(&rest[..len])?;
                start += len;
            }
        }
        Ok(pieces)
    }

    fn end_page(&mut self, put: &mut dyn Put) -> Result<()> {
        let leaves = std::mem::take(&mut self.leaves);
        self.weight = 0;
        if leaves.is_empty() {
            return Ok(());
        }
        let extensions = Vec::new();
        let child = store_page(put, &RunPage::Leaf { leaves, extensions })?;
        self.levels.push(put, child)
    }

    /// Closes everything; none where nothing was pushed.
    ///
    /// # Errors
    /// Whatever `put` says.
    pub fn finish(mut self, put: &mut dyn Put) -> Result<Option<Sorted>> {
        if self.leaf.documents > 0 {
            self.end_leaf(put)?;
        }
        self.end_page(put)?;
        let root = self.levels.finish(put)?;
        Ok(root.map(|root| Sorted {
            root,
            documents: self.documents,
            bytes: self.bytes,
        }))
    }
}

/// Where a large document is cut in any case: before and behind each long binary of its top level, so that the same upload
/// is the same chunks in a file and in a database. The last one is the document's end.
fn ends_of_spans(bytes: &[u8]) -> Vec<usize> {
    let mut ends = Vec::new();
    if let Ok(document) = Document::whole(bytes) {
        let mut at = 4;
        for element in document.elements().map_while(Result::ok) {
            at += 1 + element.name.len() + 1 + element.value.len();
            // Length and subtype stand before the bytes.
            let long = element.value.len() > LEAF_CHUNK_BYTES + 5;
            if element.kind == bson::kind::BINARY && long {
                ends.extend([at - element.value.len() + 5, at]);
            }
        }
    }
    ends.push(bytes.len());
    ends
}
