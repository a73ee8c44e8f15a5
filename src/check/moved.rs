//! What a prune did while we looked. A check holds nothing open, so packs may go and chunks may move under it: that is no
//! damage, and is told apart by looking again at what only a prune changes.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};

use super::Lost;
use crate::error::{Kind, Result};
use crate::format::segment::Segment;
use crate::id::{PackId, SegmentId};
use crate::index::{read_segment, segment_name};
use crate::pack::pack_id;
use crate::repository::Repository;

/// Calls `each` with every segment. One that was replaced since the listing is passed over, and what replaced it is not.
///
/// # Errors
/// Only what `each` returns; a segment that cannot be read is handed to it as an error.
pub(super) fn each_segment(
    repository: &Repository,
    each: &mut dyn FnMut(&str, Result<Segment>) -> Result<()>,
) -> Result<()> {
    let mut done = HashSet::new();
    loop {
        let listed = repository.index().listed()?;
        let mut new: Vec<SegmentId> = listed.difference(&done).copied().collect();
        new.sort_unstable();
        let mut gone = false;
        for id in new {
            done.insert(id);
            match read_segment(repository.storage(), repository.keys(), &id) {
                Err(error) if error.kind() == Kind::NotFound => gone = true,
                segment => each(&segment_name(&id), segment)?,
            }
        }
        if !gone {
            return Ok(());
        }
    }
}

impl Lost {
    /// Of packs that are not where segments said, those that a prune took away are dead by now: nobody misses them, but
    /// look-ups that lead there lead nowhere.
    pub(super) fn take_away(
        &mut self,
        repository: &Repository,
        missing: HashSet<PackId>,
    ) -> Result<()> {
        if missing.is_subset(&self.dead) {
            return Ok(());
        }
        // Tombstones before segments: a sweep removes its tombstone only when no segment names its packs any more.
        self.dead.extend(repository.tombstoned()?);
        let mut named = HashSet::new();
        each_segment(repository, &mut |_, segment| {
            if let Ok(segment) = segment {
                named.extend(segment.packs.iter().map(|pack| pack.id));
            }
            Ok(())
        })?;
        self.dead.extend(missing.difference(&named).copied());
        Ok(())
    }
}

/// Packs that came after the segments were read for a check.
#[derive(Default)]
pub(super) struct Newer {
    /// The segments as they were listed last.
    listed: RefCell<Option<HashSet<SegmentId>>>,
    /// Packs that they name and that stand as they should.
    packs: RefCell<HashSet<PackId>>,
}

impl Newer {
    /// Whether a pack came later, and stands.
    pub(super) fn contains(&self, pack: &PackId) -> bool {
        self.packs.borrow().contains(pack)
    }

    /// Looks again, for what is not where it was; false where nothing has changed since it was done last.
    pub(super) fn look(&self, repository: &Repository) -> Result<bool> {
        let listed = repository.index().listed()?;
        if self.listed.borrow().as_ref() == Some(&listed) {
            return Ok(false);
        }
        // Whatever is wrong with a segment has been named when all of them were read.
        let _ = repository.index().refresh();
        let mut named = HashMap::new();
        each_segment(repository, &mut |_, segment| {
            if let Ok(segment) = segment {
                named.extend(segment.packs.iter().map(|pack| (pack.id, pack.size)));
            }
            Ok(())
        })?;
        let items = repository.storage().list("packs")?;
        let stands = |id: &PackId, size: u64| named.get(id) == Some(&size);
        let packs = items
            .iter()
            .filter_map(|item| pack_id(&item.name).filter(|id| stands(id, item.size)));
        self.packs.replace(packs.collect());
        self.listed.replace(Some(listed));
        Ok(true)
    }
}
