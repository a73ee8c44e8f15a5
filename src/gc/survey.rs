//! What lies in the packs, and which of them are to go.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::copy::comes_whole;
use super::{PruneOptions, Unused, live::Live};
use crate::error::{Error, Kind, Result};
use crate::format::frame::PackClass;
use crate::format::pack::PackHeader;
use crate::format::segment::{Segment, SegmentPack};
use crate::id::{PackId, SessionId};
use crate::limits::PACK_BYTES_TARGET;
use crate::merge::merged;
use crate::pack::{pack_id, pack_name};
use crate::progress::Progress;
use crate::repository::{Repository, Session};

/// A pack is small below this size: several are laid together.
const SMALL: u64 = PACK_BYTES_TARGET / 4;
/// Chunks of segments that are looked at together: looked up in the order of their ids, they share what is read. With
/// some 50 bytes each, 13 MB.
const TOGETHER: usize = if cfg!(test) { 300 } else { 1 << 18 };
/// So many small packs of a class are laid together, or as many as come to a whole pack.
const SMALL_COUNT: usize = if cfg!(test) { 4 } else { 16 };

/// One pack by what segments say of it.
#[derive(Clone, Copy, Debug)]
pub struct PackUse {
    /// Bytes of the file.
    pub size: u64,
    class: PackClass,
    raw: u64,
    needed: u64,
    /// Raw bytes that a copy would take along: frames of which most is needed come whole.
    kept: u64,
}

impl PackUse {
    /// Bytes of the file that nobody needs, about.
    fn unused(&self) -> u64 {
        self.without(self.needed)
    }

    /// Bytes of the file that a copy of what is needed would leave behind, about.
    fn freeable(&self) -> u64 {
        self.without(self.kept)
    }

    fn without(&self, raw: u64) -> u64 {
        let dead = u128::from(self.raw.saturating_sub(raw));
        let share = u128::from(self.size) * dead / u128::from(self.raw.max(1));
        u64::try_from(share).unwrap_or(self.size)
    }

    fn is_small(&self) -> bool {
        self.size < SMALL
    }
}

/// What lies in the packs.
#[derive(Default)]
pub struct Survey {
    /// Packs that segments name.
    pub named: BTreeMap<PackId, PackUse>,
    /// Packs that no segment names, with their sizes; none of a session that lives.
    pub orphans: BTreeMap<PackId, u64>,
    /// Packs that segments name and that are not there, although all that is needed of them is: what a death, or two
    /// prunes at once, left in the index.
    pub phantoms: HashSet<PackId>,
    /// Bytes of all packs but those on their way out.
    pub bytes: u64,
    /// Bytes that nobody needs, orphans included.
    pub unused: u64,
}

/// What is to be done about it.
#[derive(Default)]
pub struct Plan {
    /// Packs that are to go.
    pub drop: HashSet<PackId>,
    /// Their bytes.
    pub bytes: u64,
    /// Bytes of theirs that are needed and must be copied, about.
    pub copy: u64,
    /// Bytes that nobody needs and that stay, about.
    pub stays_unused: u64,
    /// Bytes that no snapshot needs yet, in packs of sessions at work.
    pub at_work: u64,
}

/// How often a survey begins anew, where the index was rewritten under it.
const TRIES: u32 = 3;

fn listed_packs(repository: &Repository) -> Result<BTreeMap<PackId, u64>> {
    let items = repository.storage().list("packs")?;
    let pack = |item: crate::storage::Item| Some((pack_id(&item.name)?, item.size));
    Ok(items.into_iter().filter_map(pack).collect())
}

/// The session in a pack's header; none where it cannot be read.
fn session_of(repository: &Repository, pack: &PackId) -> Option<SessionId> {
    let storage = repository.storage();
    let header = storage.read_range(&pack_name(pack), 0, crate::format::file::HEADER);
    PackHeader::decode(&header.ok()?)
        .ok()
        .map(|header| header.session)
}

/// Whether a pack was written by a session that may still need it.
fn is_at_work(repository: &Repository, pack: &PackId, live: &HashSet<SessionId>) -> bool {
    if live.is_empty() {
        return false;
    }
    // A header that cannot be read is a matter for repair.
    session_of(repository, pack).is_none_or(|session| live.contains(&session))
}

/// Looks through the whole index. `tombed` are packs that are on their way out already.
pub fn survey(
    repository: &Repository,
    session: Option<&Session>,
    live: &mut Live,
    tombed: &HashSet<PackId>,
    purge: bool,
    progress: &dyn Progress,
) -> Result<Survey> {
    let mut tries = 1;
    loop {
        let (mut survey, replaced) = look(repository, session, live, tombed, purge, progress)?;
        let missing = live.missing()?;
        if missing == 0 && (!replaced || tries == TRIES) {
            if replaced {
                // What replaced a segment was not read, so what it names only looks left over.
                survey.orphans.clear();
            }
            return Ok(survey);
        }
        if tries == TRIES {
            // Where a part of the index is lost, what is missing may lie in packs that look left over.
            return Err(Error::damage(format!(
                "{missing} chunks that snapshots need are named by no segment of the index, or lie in packs that are \
                 missing"
            ))
            .hint("nothing more is deleted; `duramen repair` makes the index again from the packs"));
        }
        tries += 1;
    }
}

/// One look through the index, and whether a segment was replaced under it.
fn look(
    repository: &Repository,
    session: Option<&Session>,
    live: &mut Live,
    tombed: &HashSet<PackId>,
    purge: bool,
    progress: &dyn Progress,
) -> Result<(Survey, bool)> {
    // Packs, then sessions, then segments: a pack that is in no segment of this listing, and whose session is not in
    // this list, will be in none.
    let there = listed_packs(repository)?;
    let sessions = live_ids(repository, session)?;
    let mut survey = Survey::default();
    let mut replaced = false;
    let mut unlisted = HashSet::new();
    live.count_anew();
    let mut gathered: Vec<Segment> = Vec::new();
    repository.index().each_segment(&mut |_, segment| {
        progress.go_on()?;
        if let Some(session) = session {
            session.renew_when_due(repository)?;
        }
        match segment {
            Ok(segment) => {
                let lacking = segment.packs.iter().map(|pack| pack.id);
                unlisted.extend(lacking.filter(|id| !there.contains_key(id)));
                gathered.push(segment);
                let chunks = gathered.iter().map(|segment| segment.chunks.len());
                if chunks.sum::<usize>() >= TOGETHER {
                    survey.add(
                        std::mem::take(&mut gathered),
                        live,
                        tombed,
                        &unlisted,
                        purge,
                    )?;
                }
            }
            Err(error) if error.kind() == Kind::NotFound => replaced = true,
            Err(error) => {
                return Err(error.hint(
                    "nothing more is deleted; `duramen repair` makes this part of the index again",
                ));
            }
        }
        Ok(())
    })?;
    survey.add(gathered, live, tombed, &unlisted, purge)?;
    let leaving = there.iter().filter(|(id, _)| tombed.contains(id));
    let leaving: u64 = leaving.map(|(_, size)| size).sum();
    survey.bytes = there.values().sum::<u64>() - leaving;
    // Packs come before the segments that name them: one that neither listing shows is not on its way here.
    if !unlisted.is_empty() {
        let now = listed_packs(repository)?;
        unlisted.retain(|id| !now.contains_key(id));
    }
    survey.phantoms = unlisted;
    let unnamed = there
        .into_iter()
        .filter(|(id, _)| !survey.named.contains_key(id) && !tombed.contains(id));
    let orphans = unnamed.filter(|(id, _)| !is_at_work(repository, id, &sessions));
    survey.orphans = orphans.collect();
    survey.unused += survey.orphans.values().sum::<u64>();
    Ok((survey, replaced))
}

/// Sessions at work but for our own, which has written nothing that is not needed.
fn live_ids(repository: &Repository, own: Option<&Session>) -> Result<HashSet<SessionId>> {
    let live = repository.live_sessions()?;
    let others = live.into_iter().map(|session| session.id);
    Ok(others
        .filter(|id| own.is_none_or(|own| own.id != *id))
        .collect())
}

impl Survey {
    /// Adds what these segments say.
    fn add(
        &mut self,
        segments: Vec<Segment>,
        live: &mut Live,
        tombed: &HashSet<PackId>,
        unlisted: &HashSet<PackId>,
        purge: bool,
    ) -> Result<()> {
        // A pack that is named twice is counted the first time.
        let mut met = HashSet::new();
        let mut wanted = |pack: &SegmentPack| {
            let counted = self.named.contains_key(&pack.id) || tombed.contains(&pack.id);
            met.insert(pack.id) && !counted && !unlisted.contains(&pack.id)
        };
        let wanted: Vec<Vec<bool>> = segments
            .iter()
            .map(|segment| segment.packs.iter().map(&mut wanted).collect())
            .collect();
        // Raw bytes of each frame that are needed.
        let mut needed: Vec<Vec<u64>> = segments
            .iter()
            .map(|segment| vec![0; segment.frames.len()])
            .collect();
        let streams = segments.iter().enumerate().map(|(number, segment)| {
            let chunks = segment.chunks.iter();
            chunks.map(move |(frame, span)| Ok((number, *frame as usize, span)))
        });
        for chunk in merged(streams.collect(), |(_, _, span)| span.id) {
            let (number, frame, span) = chunk?;
            let segment = &segments[number];
            let pack = segment.frames[frame].0 as usize;
            if !wanted[number][pack] {
                // What only a missing pack holds is found nowhere.
                let id = &segment.packs[pack].id;
                if tombed.contains(id) || !unlisted.contains(id) {
                    live.leaving(&span.id)?;
                }
            } else if live.count(&span.id)? {
                needed[number][frame] += u64::from(span.len);
            }
        }
        for (number, segment) in segments.iter().enumerate() {
            self.add_packs(segment, &wanted[number], &needed[number], purge);
        }
        Ok(())
    }

    /// Adds the packs of a segment that are `wanted`, by the raw bytes of each of its frames that are needed.
    fn add_packs(&mut self, segment: &Segment, wanted: &[bool], in_frames: &[u64], purge: bool) {
        let mut raw = vec![0u64; segment.packs.len()];
        let (mut needed, mut kept) = (raw.clone(), raw.clone());
        for ((pack, frame), in_frame) in segment.frames.iter().zip(in_frames) {
            let pack = *pack as usize;
            raw[pack] += u64::from(frame.raw);
            needed[pack] += in_frame;
            let whole = !purge && comes_whole(*in_frame, frame);
            kept[pack] += if whole {
                u64::from(frame.raw)
            } else {
                *in_frame
            };
        }
        for (number, pack) in segment.packs.iter().enumerate() {
            if !wanted[number] {
                continue;
            }
            let found = PackUse {
                size: pack.size,
                class: pack.class,
                raw: raw[number],
                needed: needed[number],
                kept: kept[number],
            };
            self.unused += found.unused();
            self.named.insert(pack.id, found);
        }
    }

    /// Chooses the packs that are to go, and leaves those of sessions at work.
    ///
    /// # Errors
    /// Whatever the storage says.
    pub fn plan(
        &self,
        repository: &Repository,
        session: Option<&Session>,
        options: &PruneOptions,
        progress: &dyn Progress,
    ) -> Result<Plan> {
        let mut plan = Plan {
            stays_unused: self.unused,
            ..Plan::default()
        };
        let sessions = live_ids(repository, session)?;
        let free = |id: &PackId| !is_at_work(repository, id, &sessions);
        for (id, size) in &self.orphans {
            plan.add(*id, *size, 0);
            plan.stays_unused = plan.stays_unused.saturating_sub(*size);
        }
        let mut partly: Vec<(&PackId, &PackUse)> = Vec::new();
        for (id, pack) in self.named.iter().filter(|(_, pack)| pack.unused() > 0) {
            progress.go_on()?;
            if let Some(session) = session {
                session.renew_when_due(repository)?;
            }
            if !free(id) {
                plan.at_work += pack.unused();
                plan.stays_unused = plan.stays_unused.saturating_sub(pack.unused());
            } else if pack.needed == 0 {
                plan.add(*id, pack.size, 0);
                plan.stays_unused = plan.stays_unused.saturating_sub(pack.unused());
            } else if pack.kept < pack.raw {
                partly.push((id, pack));
            }
        }
        // The emptiest first: they free the most for what must be copied.
        let share = |pack: &PackUse| pack.freeable() as f64 / pack.size.max(1) as f64;
        partly.sort_by(|(_, a), (_, b)| share(b).total_cmp(&share(a)));
        let most = options.most_unused(self.bytes.saturating_sub(plan.bytes));
        for (id, pack) in partly {
            if !options.purge && plan.stays_unused <= most {
                break;
            }
            plan.copy_out(*id, pack, options);
        }
        for class in [PackClass::Data, PackClass::Metadata] {
            self.gather_small(&mut plan, class, options, &free);
        }
        Ok(plan)
    }

    /// Small packs are laid together where there are enough of them.
    fn gather_small(
        &self,
        plan: &mut Plan,
        class: PackClass,
        options: &PruneOptions,
        free: &dyn Fn(&PackId) -> bool,
    ) {
        let small = |id: &PackId, pack: &PackUse| {
            pack.class == class && pack.is_small() && !plan.drop.contains(id) && pack.needed > 0
        };
        let found: Vec<(PackId, PackUse)> = self
            .named
            .iter()
            .filter(|(id, pack)| small(id, pack) && free(id))
            .map(|(id, pack)| (*id, *pack))
            .collect();
        let bytes: u64 = found.iter().map(|(_, pack)| pack.size).sum();
        if found.len() < 2 || (found.len() < SMALL_COUNT && bytes < PACK_BYTES_TARGET) {
            return;
        }
        for (id, pack) in found {
            plan.copy_out(id, &pack, options);
        }
    }
}

impl Plan {
    fn add(&mut self, id: PackId, size: u64, copy: u64) {
        if self.drop.insert(id) {
            self.bytes += size;
            self.copy += copy;
        }
    }

    /// A pack goes, and what is needed of it is copied, where that may be.
    fn copy_out(&mut self, id: PackId, pack: &PackUse, options: &PruneOptions) {
        let copy = pack.size.saturating_sub(pack.freeable());
        if self.has_room(options, copy) {
            self.add(id, pack.size, copy);
            self.stays_unused = self.stays_unused.saturating_sub(pack.freeable());
        }
    }

    fn has_room(&self, options: &PruneOptions, copy: u64) -> bool {
        options
            .max_repack
            .is_none_or(|most| self.copy.saturating_add(copy) <= most)
    }
}

impl PruneOptions {
    /// Bytes that nobody needs and that may stay, of so many.
    fn most_unused(&self, of: u64) -> u64 {
        match self.max_unused {
            Unused::Any => u64::MAX,
            Unused::Bytes(bytes) => bytes,
            Unused::Share(share) => (of as f64 * share.clamp(0.0, 1.0)) as u64,
        }
    }
}

/// Sizes of all packs by name.
pub type Sizes = HashMap<PackId, u64>;

/// Packs that stand, with their sizes.
pub fn sizes(repository: &Repository) -> Result<Sizes> {
    Ok(listed_packs(repository)?.into_iter().collect())
}
