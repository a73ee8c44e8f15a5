//! The branches above the leaves of anything that is cut into pages: a level at a time, nothing held but the open page of
//! each.

use super::pages::ends;
use super::put::Put;
use crate::error::Result;
use crate::format::entry::PageRef;
use crate::id::ChunkId;

/// What a branch names: a page one level below.
pub trait Child: Sized {
    /// The page's chunk.
    fn id(&self) -> ChunkId;

    /// Stores a branch page of these, at least one; what names that page one level above.
    ///
    /// # Errors
    /// Whatever `put` says.
    fn branch(children: Vec<Self>, put: &mut dyn Put) -> Result<Self>;
}

/// The number by which a page of ids ends: their own, which are hashes.
pub fn cut(id: &ChunkId) -> u64 {
    u64::from(u16::from_le_bytes([id.0[0], id.0[1]]))
}

/// Open branch pages; the first holds children that are leaves.
pub struct Levels<C>(Vec<Level<C>>);

struct Level<C> {
    children: Vec<C>,
    flushed: bool,
}

impl<C> Default for Levels<C> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<C: Child> Levels<C> {
    /// Whether nothing was pushed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Appends a leaf.
    ///
    /// # Errors
    /// Whatever `put` says.
    pub fn push(&mut self, put: &mut dyn Put, leaf: C) -> Result<()> {
        self.push_at(put, 0, leaf)
    }

    fn push_at(&mut self, put: &mut dyn Put, level: usize, child: C) -> Result<()> {
        if self.0.len() == level {
            self.0.push(Level {
                children: Vec::new(),
                flushed: false,
            });
        }
        let open = &mut self.0[level];
        // By its id: what made the page below end is the end of its last key, and would end each page above it too.
        let full = ends(open.children.len() + 1, || cut(&child.id()));
        open.children.push(child);
        if full { self.flush(put, level) } else { Ok(()) }
    }

    fn flush(&mut self, put: &mut dyn Put, level: usize) -> Result<()> {
        let open = &mut self.0[level];
        open.flushed = true;
        let children = std::mem::take(&mut open.children);
        if children.is_empty() {
            return Ok(());
        }
        let above = C::branch(children, put)?;
        self.push_at(put, level + 1, above)
    }

    /// Closes all pages; the topmost one, none where nothing was pushed.
    ///
    /// # Errors
    /// Whatever `put` says.
    pub fn finish(mut self, put: &mut dyn Put) -> Result<Option<PageRef>> {
        let mut level = 0;
        while let Some(open) = self.0.get(level) {
            if !open.flushed && open.children.len() == 1 {
                return Ok(Some(PageRef {
                    id: open.children[0].id(),
                    depth: level as u8,
                }));
            }
            self.flush(put, level)?;
            level += 1;
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::HashSet;

    use super::*;
    use crate::repository::ChunkKind;

    /// A page that stands for nothing but its id.
    #[derive(Clone)]
    struct Page(ChunkId);

    /// Remembers what was put, by plain hashes.
    #[derive(Default)]
    struct Kept(HashSet<ChunkId>);

    impl Put for Kept {
        fn put(&mut self, _: ChunkKind, bytes: &[u8]) -> Result<ChunkId> {
            let id = ChunkId(*blake3::hash(bytes).as_bytes());
            self.0.insert(id);
            Ok(id)
        }

        fn page_cut(&self, _: &[u8]) -> u64 {
            0
        }
    }

    impl Child for Page {
        fn id(&self) -> ChunkId {
            self.0
        }

        fn branch(children: Vec<Self>, put: &mut dyn Put) -> Result<Self> {
            let ids: Vec<u8> = children.iter().flat_map(|child| child.0.0).collect();
            put.put(ChunkKind::Run, &ids).map(Self)
        }
    }

    fn leaf(number: u64) -> Page {
        Page(ChunkId(*blake3::hash(&number.to_le_bytes()).as_bytes()))
    }

    fn built(leaves: impl Iterator<Item = Page>) -> (Option<PageRef>, HashSet<ChunkId>) {
        let (mut kept, mut levels) = (Kept::default(), Levels::default());
        for leaf in leaves {
            levels.push(&mut kept, leaf).unwrap();
        }
        (levels.finish(&mut kept).unwrap(), kept.0)
    }

    #[test]
    fn one_leaf_more_changes_a_page_of_each_level() {
        let (root, before) = built((0..100_000).map(leaf));
        let depth = usize::from(root.unwrap().depth);
        assert!(depth >= 2 && before.len() > 200, "{depth} {}", before.len());
        for at in [0, 1, 500, 50_000, 99_999] {
            let more = (0..at).chain([1 << 40]).chain(at..100_000).map(leaf);
            let (_, after) = built(more);
            let new = after.difference(&before).count();
            assert!((depth..=2 * depth).contains(&new), "{new} at {at}");
        }
    }

    #[test]
    fn nothing_and_one() {
        assert!(built(std::iter::empty()).0.is_none());
        let (root, kept) = built([leaf(1)].into_iter());
        let root = root.unwrap();
        assert!(root.id == leaf(1).0 && root.depth == 0 && kept.is_empty());
        let (root, kept) = built((0..2).map(leaf));
        assert!(root.unwrap().depth == 1 && kept.len() == 1);
    }
}
