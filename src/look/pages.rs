//! Two directories side by side, page by page.

use std::cmp::Ordering;
use std::collections::VecDeque;

use crate::error::Result;
use crate::format::entry::{Directory, PageRef};
use crate::repository::{Listed, Page, Repository};

/// A page still to be read, and the first name in it; nothing is known of a topmost page's, so it is empty there.
struct Waiting {
    page: PageRef,
    first: Vec<u8>,
}

/// One of the two directories: what was read of it and not yet handed out, and the pages behind that.
struct Side {
    entries: VecDeque<Listed>,
    /// The next page stands last.
    waiting: Vec<Waiting>,
}

impl Side {
    fn new(directory: Option<&Directory>) -> Self {
        let top = directory.and_then(|directory| directory.root);
        Self {
            entries: VecDeque::new(),
            waiting: top
                .map(|page| Waiting {
                    page,
                    first: Vec::new(),
                })
                .into_iter()
                .collect(),
        }
    }

    /// Whether a page still to be read may hold `name` or a name before it.
    fn may_hold(&self, name: &[u8]) -> bool {
        self.waiting
            .last()
            .is_some_and(|next| next.first.as_slice() <= name)
    }

    fn read(&mut self, repository: &Repository) -> Result<()> {
        let Some(Waiting { page, .. }) = self.waiting.pop() else {
            return Ok(());
        };
        match repository.tree_page(page)? {
            Page::Leaf(entries) => self.entries = entries.into(),
            Page::Branch(children) => {
                let below = children.into_iter().map(|child| Waiting {
                    page: PageRef {
                        id: child.id,
                        depth: page.depth - 1,
                    },
                    first: child.first,
                });
                self.waiting.extend(below.rev());
            }
        }
        Ok(())
    }
}

/// Members of two directories in the order of their names, those of one name together; members of pages that both
/// have are left out unread.
pub(super) struct Pairs {
    left: Side,
    right: Side,
}

/// A member of the left directory, of the right one, or both of the same name.
pub(super) type Pair = (Option<Listed>, Option<Listed>);

impl Pairs {
    pub(super) fn new(left: Option<&Directory>, right: Option<&Directory>) -> Self {
        Self {
            left: Side::new(left),
            right: Side::new(right),
        }
    }

    /// The next pair; `read` counts pages.
    pub(super) fn next(&mut self, repository: &Repository, read: &mut u64) -> Result<Option<Pair>> {
        loop {
            let order = match (self.left.entries.front(), self.right.entries.front()) {
                (Some(left), Some(right)) => left.entry.name.cmp(&right.entry.name),
                (Some(left), None) if !self.right.may_hold(&left.entry.name) => Ordering::Less,
                (None, Some(right)) if !self.left.may_hold(&right.entry.name) => Ordering::Greater,
                (Some(_), None) => {
                    *read += 1;
                    self.right.read(repository)?;
                    continue;
                }
                (None, Some(_)) => {
                    *read += 1;
                    self.left.read(repository)?;
                    continue;
                }
                (None, None) => {
                    if self.turn_pages(repository, read)? {
                        continue;
                    }
                    return Ok(None);
                }
            };
            let left = order.is_le().then(|| self.left.entries.pop_front());
            let right = order.is_ge().then(|| self.right.entries.pop_front());
            return Ok(Some((left.flatten(), right.flatten())));
        }
    }

    /// Both sides stand between two pages: passes over a page that both have, or reads the next one. False at the end.
    fn turn_pages(&mut self, repository: &Repository, read: &mut u64) -> Result<bool> {
        let order = match (self.left.waiting.last(), self.right.waiting.last()) {
            (None, None) => return Ok(false),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(left), Some(right)) => {
                if left.page == right.page {
                    self.left.waiting.pop();
                    self.right.waiting.pop();
                    return Ok(true);
                }
                // The one that begins first; of those that begin together the one of more levels, so that pages of
                // the same level meet.
                let begin = left.first.cmp(&right.first);
                begin.then(right.page.depth.cmp(&left.page.depth))
            }
        };
        if order.is_le() {
            *read += 1;
            self.left.read(repository)?;
        }
        if order.is_ge() {
            *read += 1;
            self.right.read(repository)?;
        }
        Ok(true)
    }
}
