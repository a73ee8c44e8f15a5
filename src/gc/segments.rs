//! Writing the index anew: segments without packs that have gone, and many small segments as one.
//!
//! Always first the new one, then away with the old ones: a reader that lists in between sees both, and one that listed
//! before and finds a segment gone lists again.

use std::collections::HashSet;

use crate::error::{Kind, Result};
use crate::format::segment::Segment;
use crate::id::{PackId, SegmentId};
use crate::index::{read_segment, segment_name, segment_of, write_segment};
use crate::limits::{FRAMES_MAX, PACKS_MAX, SEGMENT_CHUNKS_TARGET};
use crate::progress::Progress;
use crate::repository::{Repository, Session};

/// A segment is small below so many bytes of its file: two such hold no more chunks than one may.
const SMALL: u64 = 1 << 20;
/// So many small ones are merged.
const SMALL_COUNT: usize = if cfg!(test) { 4 } else { 16 };

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rewritten {
    /// Segments that went.
    pub removed: u64,
    /// Segments that came in their place.
    pub written: u64,
}

/// Rewrites every segment that names one of `gone`, and merges small ones where there are many. Segments that name none
/// are remembered in `clean`; those in it are not read again.
///
/// # Errors
/// Whatever the storage says; [`Kind::Damage`] naming a segment that cannot be read.
pub fn rewrite(
    repository: &Repository,
    session: &Session,
    gone: &HashSet<PackId>,
    clean: &mut HashSet<SegmentId>,
    progress: &dyn Progress,
) -> Result<Rewritten> {
    let mut listed: Vec<(SegmentId, u64)> = repository
        .storage()
        .list("index")?
        .iter()
        .filter_map(|item| Some((segment_of(&item.name)?, item.size)))
        .collect();
    listed.sort_unstable();
    let is_small = |size: u64| size < SMALL;
    listed.retain(|(id, _)| !clean.contains(id));
    let small = listed.iter().filter(|(_, size)| is_small(*size)).count();
    let merge = small >= SMALL_COUNT;
    if gone.is_empty() && !merge {
        return Ok(Rewritten::default());
    }
    let mut rewrite = Rewrite {
        repository,
        done: Rewritten::default(),
        gathered: Segment::default(),
        from: Vec::new(),
        changed: false,
        new: Vec::new(),
    };
    for (id, size) in listed {
        progress.go_on()?;
        session.renew_when_due(repository)?;
        let segment = match read_segment(repository.storage(), repository.keys(), &id) {
            Ok(segment) => segment,
            // Another prune has replaced it.
            Err(error) if error.kind() == Kind::NotFound => continue,
            Err(error) => return Err(error),
        };
        let names_gone = segment.packs.iter().any(|pack| gone.contains(&pack.id));
        let plain = segment.extensions.is_empty();
        if names_gone || (merge && is_small(size) && plain) {
            rewrite.take(id, segment, gone, names_gone)?;
        } else {
            clean.insert(id);
        }
    }
    rewrite.flush()?;
    clean.extend(rewrite.new);
    Ok(rewrite.done)
}

struct Rewrite<'r> {
    repository: &'r Repository,
    done: Rewritten,
    gathered: Segment,
    /// Segments of which all that stays is gathered.
    from: Vec<SegmentId>,
    /// Whether anything of theirs does not stay.
    changed: bool,
    /// Segments written.
    new: Vec<SegmentId>,
}

impl Rewrite<'_> {
    fn take(
        &mut self,
        id: SegmentId,
        segment: Segment,
        gone: &HashSet<PackId>,
        changed: bool,
    ) -> Result<()> {
        let full = self.gathered.chunks.len() + segment.chunks.len() > SEGMENT_CHUNKS_TARGET
            || self.gathered.frames.len() + segment.frames.len() > FRAMES_MAX / 4
            || self.gathered.packs.len() + segment.packs.len() > PACKS_MAX / 4;
        // What an extension says belongs to its own segment.
        if full || !segment.extensions.is_empty() || !self.gathered.extensions.is_empty() {
            self.flush()?;
        }
        self.gathered.append(segment, gone);
        self.from.push(id);
        self.changed |= changed;
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        let gathered = std::mem::take(&mut self.gathered);
        let from = std::mem::take(&mut self.from);
        if !std::mem::take(&mut self.changed) && from.len() < 2 {
            self.new.extend(from);
            return Ok(());
        }
        let (storage, keys) = (self.repository.storage(), self.repository.keys());
        if !gathered.packs.is_empty() {
            self.new.push(write_segment(storage, keys, gathered)?.0);
            self.done.written += 1;
        }
        for id in from {
            storage.delete(&segment_name(&id))?;
            self.done.removed += 1;
        }
        Ok(())
    }
}
