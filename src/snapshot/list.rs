//! Building a file's content list, piece by piece: in the entry itself while it is short, in pages when it is long.

use super::levels::{Child, Levels, cut};
use super::pages::ends;
use super::put::Put;
use crate::error::Result;
use crate::format::codec;
use crate::format::entry::{Content, PageRef, Piece};
use crate::format::page::{ListChild, ListPage};
use crate::id::ChunkId;
use crate::limits;
use crate::repository::ChunkKind;

/// A content list being built.
#[derive(Default)]
pub struct ListBuilder {
    /// The open leaf, or all pieces as long as they fit an entry.
    pieces: Vec<Piece>,
    hole: u64,
    bytes: u64,
    levels: Levels<ListChild>,
}

impl Child for ListChild {
    fn id(&self) -> ChunkId {
        self.id
    }

    fn branch(children: Vec<Self>, put: &mut dyn Put) -> Result<Self> {
        let bytes = children.iter().map(|child| child.bytes).sum();
        let page = codec::encode(&ListPage::Branch(children))?;
        let id = put.put(ChunkKind::List, &page)?;
        Ok(Self { id, bytes })
    }
}

impl ListBuilder {
    /// Bytes so far, holes included.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Appends a chunk.
    ///
    /// # Errors
    /// Whatever `put` says.
    pub fn data(&mut self, put: &mut dyn Put, id: ChunkId, len: u32) -> Result<()> {
        self.close_hole(put)?;
        self.bytes += u64::from(len);
        self.push(put, Piece::Data { id, len })
    }

    /// Appends a piece; parts that follow each other in their chunk become one.
    ///
    /// # Errors
    /// Whatever `put` says.
    pub fn piece(&mut self, put: &mut dyn Put, piece: Piece) -> Result<()> {
        match piece {
            Piece::Hole { len } => {
                self.hole(len);
                return Ok(());
            }
            Piece::Data { id, len } => return self.data(put, id, len),
            Piece::Part {
                id,
                of,
                offset,
                len,
            } => {
                self.close_hole(put)?;
                self.bytes += u64::from(len);
                match self.pieces.last_mut() {
                    Some(Piece::Part {
                        id: same,
                        offset: first,
                        len: before,
                        ..
                    }) if *same == id && *first + *before == offset => *before += len,
                    _ => return self.push(put, piece),
                }
                if let Some(last) = self.pieces.last_mut()
                    && last.len() == u64::from(of)
                {
                    *last = Piece::Data { id, len: of };
                }
            }
        }
        Ok(())
    }

    /// Appends a hole; holes that meet become one.
    pub fn hole(&mut self, len: u64) {
        self.bytes += len;
        self.hole += len;
    }

    fn close_hole(&mut self, put: &mut dyn Put) -> Result<()> {
        match std::mem::take(&mut self.hole) {
            0 => Ok(()),
            len => self.push(put, Piece::Hole { len }),
        }
    }

    fn push(&mut self, put: &mut dyn Put, piece: Piece) -> Result<()> {
        // A full page is closed only when something follows it: a list that just fits the entry stays there.
        let full = ends(self.pieces.len(), || match self.pieces.last() {
            Some(Piece::Data { id, .. }) => cut(id),
            // Parts of one chunk are not all to end a page.
            Some(Piece::Part { id, offset, .. }) => cut(id) ^ u64::from(*offset),
            _ => u64::MAX,
        });
        if full {
            self.flush_leaf(put)?;
        }
        self.pieces.push(piece);
        Ok(())
    }

    fn flush_leaf(&mut self, put: &mut dyn Put) -> Result<()> {
        let pieces = std::mem::take(&mut self.pieces);
        let bytes = pieces.iter().map(Piece::len).sum();
        let id = put.put(ChunkKind::List, &codec::encode(&ListPage::Leaf(pieces))?)?;
        self.levels.push(put, ListChild { id, bytes })
    }

    /// The content.
    ///
    /// # Errors
    /// Whatever `put` says.
    pub fn finish(mut self, put: &mut dyn Put) -> Result<Content> {
        self.close_hole(put)?;
        if self.levels.is_empty() && self.pieces.len() <= limits::INLINE_PIECES {
            return Ok(Content::List(self.pieces));
        }
        let root = self.pages(put)?;
        Ok(root.map_or_else(|| Content::List(Vec::new()), Content::Paged))
    }

    /// The content as a recipe for what has the list of that `key` by itself.
    ///
    /// # Errors
    /// Whatever `put` says.
    pub fn recipe(mut self, put: &mut dyn Put, key: [u8; 32]) -> Result<Content> {
        self.close_hole(put)?;
        if self.levels.is_empty() && self.pieces.len() <= limits::INLINE_PIECES {
            let list = Content::List(std::mem::take(&mut self.pieces));
            match list {
                list if list.key() == key => return Ok(list),
                Content::List(pieces) => self.pieces = pieces,
                _ => {}
            }
        }
        Ok(match self.pages(put)? {
            // What came to be the same list is no recipe.
            Some(root) if Content::Paged(root).key() == key => Content::Paged(root),
            Some(root) => Content::Recipe { root, key },
            None => Content::List(Vec::new()),
        })
    }

    fn pages(mut self, put: &mut dyn Put) -> Result<Option<PageRef>> {
        if !self.pieces.is_empty() {
            self.flush_leaf(put)?;
        }
        self.levels.finish(put)
    }
}
