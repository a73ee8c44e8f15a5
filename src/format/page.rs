//! Pages: a directory, its hints and a long content list, each cut into small immutable pages by content.
//!
//! A directory of a million names must not be rewritten for one new file, and one page must never grow without
//! limit. Leaves hold entries (hints, pieces); branches hold the ids of pages one level below; one page is the root.

use serde::{Deserialize, Serialize};

use super::entry::{Entry, Piece, check_pieces, name_is_safe};
use super::extension::{self, Extension};
use crate::clock::Nanos;
use crate::error::{Error, Result};
use crate::id::ChunkId;
use crate::limits::{NAME_BYTES_MAX, PAGE_ENTRIES_MAX};

/// A page of a directory; a chunk of kind tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TreePage {
    /// Entries, sorted by name.
    Leaf {
        /// At least one.
        entries: Vec<Entry>,
        /// Names of the users that own an entry of this page, by number, ascending; numbers without a name are left out.
        users: Vec<Owner>,
        /// The same for groups.
        groups: Vec<Owner>,
        /// Room for later.
        extensions: Vec<Extension>,
    },
    /// Pages one level below.
    Branch {
        /// At least one, in order.
        children: Vec<TreeChild>,
        /// Room for later.
        extensions: Vec<Extension>,
    },
}

/// A user's or group's name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// uid or gid.
    pub number: u32,
    /// Raw name.
    #[serde(with = "serde_bytes")]
    pub name: Vec<u8>,
}

/// A page below a branch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TreeChild {
    /// The first name in it (or below it).
    #[serde(with = "serde_bytes")]
    pub first: Vec<u8>,
    /// Its chunk.
    pub id: ChunkId,
    /// Entries in it (or below it).
    pub entries: u64,
}

/// What change detection remembers of one entry; never part of what is restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hint {
    /// `st_ino`; 0 where the entry must not be trusted as unchanged.
    pub inode: u64,
    /// Device number as Linux's `makedev` packs it.
    pub device: u64,
    /// Last change of the inode.
    pub ctime: Nanos,
    /// For a directory with entries: the topmost hint page of its own.
    pub below: Option<ChunkId>,
}

/// A page of hints; it stands beside the tree page whose id it names, entry by entry; a chunk of kind hint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum HintPage {
    /// Beside a leaf.
    Leaf {
        /// The tree page that these hints are about.
        page: ChunkId,
        /// One for each of its entries.
        hints: Vec<Hint>,
    },
    /// Beside a branch.
    Branch {
        /// The tree page that these hints are about.
        page: ChunkId,
        /// One for each of its children.
        children: Vec<ChunkId>,
    },
}

/// A page of a long content list; a chunk of kind list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ListPage {
    /// Pieces in order.
    Leaf(Vec<Piece>),
    /// Pages one level below, in order.
    Branch(Vec<ListChild>),
}

/// A page below a branch of a content list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListChild {
    /// Its chunk.
    pub id: ChunkId,
    /// File bytes that it stands for, holes included.
    pub bytes: u64,
}

fn count_is_fine(count: usize) -> Result<()> {
    if (1..=PAGE_ENTRIES_MAX).contains(&count) {
        Ok(())
    } else {
        Err(Error::damage(format!("a page of {count} entries")))
    }
}

impl TreePage {
    /// Holds the page against the rules of its chapter; every reader calls it before using the page.
    ///
    /// # Errors
    /// [`crate::error::Kind::Damage`] or `Unsupported`, naming the rule.
    pub fn check(&self) -> Result<()> {
        match self {
            TreePage::Leaf {
                entries,
                users,
                groups,
                extensions,
            } => {
                count_is_fine(entries.len())?;
                entries.iter().try_for_each(Entry::check)?;
                if !entries.windows(2).all(|pair| pair[0].name < pair[1].name) {
                    return Err(Error::damage("a tree page with names out of order"));
                }
                for owners in [users, groups] {
                    let sorted = owners
                        .windows(2)
                        .all(|pair| pair[0].number < pair[1].number);
                    let named = owners
                        .iter()
                        .all(|owner| (1..=NAME_BYTES_MAX).contains(&owner.name.len()));
                    if owners.len() > PAGE_ENTRIES_MAX || !sorted || !named {
                        return Err(Error::damage("a tree page with owners out of order"));
                    }
                }
                extension::check(extensions)
            }
            TreePage::Branch {
                children,
                extensions,
            } => {
                count_is_fine(children.len())?;
                let sorted = children
                    .windows(2)
                    .all(|pair| pair[0].first < pair[1].first);
                if !sorted
                    || !children
                        .iter()
                        .all(|child| name_is_safe(&child.first) && child.entries > 0)
                {
                    return Err(Error::damage("a tree page with children out of order"));
                }
                extension::check(extensions)
            }
        }
    }
}

impl HintPage {
    /// Holds the page against the rules of its chapter.
    ///
    /// # Errors
    /// [`crate::error::Kind::Damage`].
    pub fn check(&self) -> Result<()> {
        count_is_fine(match self {
            HintPage::Leaf { hints, .. } => hints.len(),
            HintPage::Branch { children, .. } => children.len(),
        })
    }
}

impl ListPage {
    /// Holds the page against the rules of its chapter.
    ///
    /// # Errors
    /// [`crate::error::Kind::Damage`].
    pub fn check(&self) -> Result<()> {
        match self {
            ListPage::Leaf(pieces) => {
                count_is_fine(pieces.len())?;
                check_pieces(pieces)
            }
            ListPage::Branch(children) => {
                count_is_fine(children.len())?;
                if children.iter().all(|child| child.bytes > 0) {
                    Ok(())
                } else {
                    Err(Error::damage("a list page with an empty child"))
                }
            }
        }
    }
}
