//! Building the pages of one directory, entry by entry, in the order of names (`format-spec/tree.md`).
//!
//! Where a page ends depends on the names in it and nothing else, so a new name changes one leaf and the branches
//! above it. Nothing but the open page of each level is held: a directory of a million names costs no more than one
//! of a thousand.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::put::Put;
use crate::error::Result;
use crate::format::codec;
use crate::format::entry::{Entry, PageRef};
use crate::format::page::{Hint, HintPage, Owner, TreeChild, TreePage};
use crate::id::ChunkId;
use crate::limits;
use crate::repository::ChunkKind;

/// Pages of a directory being built.
#[derive(Default)]
pub struct TreeBuilder {
    leaf: Leaf,
    /// Open branch pages; `levels[0]` holds children that are leaves.
    levels: Vec<Level>,
}

#[derive(Default)]
struct Leaf {
    first: Vec<u8>,
    encoded: Vec<u8>,
    /// Encoded bytes with the names of owners, each counted every time: an upper bound of what the page comes to.
    weight: usize,
    entries: u64,
    users: BTreeMap<u32, Arc<[u8]>>,
    groups: BTreeMap<u32, Arc<[u8]>>,
    hints: Vec<Hint>,
}

#[derive(Default)]
struct Level {
    children: Vec<TreeChild>,
    hints: Vec<ChunkId>,
    flushed: bool,
}

fn owners(names: BTreeMap<u32, Arc<[u8]>>) -> Vec<Owner> {
    names
        .into_iter()
        .map(|(number, name)| Owner {
            number,
            name: name.to_vec(),
        })
        .collect()
}

impl TreeBuilder {
    /// Appends an entry, whose name must come after all before.
    ///
    /// # Errors
    /// Whatever `put` says.
    pub fn push(
        &mut self,
        put: &mut dyn Put,
        entry: &Entry,
        user: Option<Arc<[u8]>>,
        group: Option<Arc<[u8]>>,
        hint: Hint,
    ) -> Result<()> {
        let encoded = codec::encode(entry)?;
        let weight = encoded.len()
            + user.as_ref().map_or(0, |name| name.len())
            + group.as_ref().map_or(0, |name| name.len());
        if self.leaf.entries > 0 && self.leaf.weight + weight > limits::PAGE_BYTES_TARGET {
            self.flush_leaf(put)?;
        }
        let leaf = &mut self.leaf;
        if leaf.entries == 0 {
            leaf.first.clone_from(&entry.name);
        }
        leaf.encoded.extend_from_slice(&encoded);
        leaf.weight += weight;
        leaf.entries += 1;
        leaf.hints.push(hint);
        if let Some(name) = user {
            leaf.users.insert(entry.uid, name);
        }
        if let Some(name) = group {
            leaf.groups.insert(entry.gid, name);
        }
        if ends(leaf.entries as usize, || put.page_cut(&entry.name)) {
            self.flush_leaf(put)?;
        }
        Ok(())
    }

    fn flush_leaf(&mut self, put: &mut dyn Put) -> Result<()> {
        let leaf = std::mem::take(&mut self.leaf);
        // The encoding of `TreePage::Leaf`, whose entries are encoded already: variant, count, entries, the rest.
        let mut page = codec::encode(&(0u32, leaf.entries))?;
        page.extend_from_slice(&leaf.encoded);
        page.extend_from_slice(&codec::encode(&(
            owners(leaf.users),
            owners(leaf.groups),
            Vec::<crate::format::extension::Extension>::new(),
        ))?);
        let id = put.put(ChunkKind::Tree, &page)?;
        let hints = codec::encode(&HintPage::Leaf {
            page: id,
            hints: leaf.hints,
        })?;
        let hints = put.put(ChunkKind::Hint, &hints)?;
        self.push_child(
            put,
            0,
            TreeChild {
                first: leaf.first,
                id,
                entries: leaf.entries,
            },
            hints,
        )
    }

    fn push_child(
        &mut self,
        put: &mut dyn Put,
        level: usize,
        child: TreeChild,
        hints: ChunkId,
    ) -> Result<()> {
        if self.levels.len() == level {
            self.levels.push(Level::default());
        }
        let full = ends(self.levels[level].children.len() + 1, || {
            put.page_cut(&child.first)
        });
        self.levels[level].children.push(child);
        self.levels[level].hints.push(hints);
        if full {
            self.flush_level(put, level)
        } else {
            Ok(())
        }
    }

    fn flush_level(&mut self, put: &mut dyn Put, level: usize) -> Result<()> {
        let open = &mut self.levels[level];
        open.flushed = true;
        let (children, hints) = (
            std::mem::take(&mut open.children),
            std::mem::take(&mut open.hints),
        );
        let Some(first) = children.first().map(|child| child.first.clone()) else {
            return Ok(());
        };
        let entries = children.iter().map(|child| child.entries).sum();
        let id = put.put(
            ChunkKind::Tree,
            &codec::encode(&TreePage::Branch {
                children,
                extensions: Vec::new(),
            })?,
        )?;
        let hints = put.put(
            ChunkKind::Hint,
            &codec::encode(&HintPage::Branch {
                page: id,
                children: hints,
            })?,
        )?;
        self.push_child(put, level + 1, TreeChild { first, id, entries }, hints)
    }

    /// Closes all pages; the topmost tree page and the hint page beside it, none for an empty directory.
    ///
    /// # Errors
    /// Whatever `put` says.
    pub fn finish(mut self, put: &mut dyn Put) -> Result<Option<(PageRef, ChunkId)>> {
        if self.leaf.entries > 0 {
            self.flush_leaf(put)?;
        }
        let mut level = 0;
        while let Some(open) = self.levels.get(level) {
            if !open.flushed && open.children.len() == 1 {
                let root = PageRef {
                    id: open.children[0].id,
                    depth: level as u8,
                };
                return Ok(Some((root, open.hints[0])));
            }
            self.flush_level(put, level)?;
            level += 1;
        }
        Ok(None)
    }
}

/// Whether a page of `count` items ends behind the last of them.
pub fn ends(count: usize, cut: impl FnOnce() -> u64) -> bool {
    count >= limits::PAGE_ENTRIES_TARGET
        || (count >= limits::PAGE_ENTRIES_MIN && cut() & limits::PAGE_CUT_MASK == 0)
}
