//! Checking a whole repository: is everything that a snapshot needs there, and is it what was stored?
//!
//! Packs first, snapshots last, so that what is found wrong in a pack can be named by the paths that need it. Nothing
//! stops at the first finding, and nothing found wrong is trusted further.

mod data;
mod moved;
mod scrub;
mod subset;
mod trees;
mod wanted;

pub use data::verify_pack;
pub use scrub::scrub;
pub use subset::ReadData;

use std::collections::{HashMap, HashSet};

use crate::error::{Error, Result};
use crate::format::frame::{FrameInfo, PackClass};
use crate::format::segment::Segment;
use crate::format::snapshot::Snapshot;
use crate::id::{ChunkId, PackId};
use crate::pack::{pack_id, pack_name};
use crate::progress::Progress;
use crate::repository::{Facts, Repository, Standing};
use trees::Trees;

/// Findings that are kept; the rest are counted.
const FINDINGS_KEPT: usize = 1000;

/// One thing found.
#[derive(Debug, Clone)]
pub struct Finding {
    /// A stored file, or `snapshot:path`.
    pub subject: String,
    /// What about it.
    pub what: String,
    /// Damage, or merely worth knowing.
    pub damage: bool,
}

/// What was looked at, and what was found.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Committed snapshots.
    pub snapshots: u64,
    /// Packs in the storage.
    pub packs: u64,
    /// Segments in the storage.
    pub segments: u64,
    /// Chunks that segments name, each as often as it is named.
    pub chunks: u64,
    /// Different tree pages.
    pub trees: u64,
    /// Stored files read whole: packs where data is checked, everything where files are scrubbed.
    pub files_read: u64,
    /// Bytes of those files.
    pub bytes_read: u64,
    /// The first findings.
    pub findings: Vec<Finding>,
    /// All findings that are damage.
    pub damage_count: u64,
    /// All findings.
    pub finding_count: u64,
}

impl Report {
    fn add(&mut self, progress: &dyn Progress, subject: impl Into<String>, error: &Error) {
        let subject = subject.into();
        let what = match error.subject_text() {
            Some(own) if own != subject => error.to_string(),
            _ => error.detail(),
        };
        let damage = Finding {
            subject,
            what,
            damage: true,
        };
        progress.problem(error);
        self.damage_count += 1;
        self.keep(damage);
    }

    fn remark(&mut self, progress: &dyn Progress, subject: impl Into<String>, what: &str) {
        let finding = Finding {
            subject: subject.into(),
            what: what.to_owned(),
            damage: false,
        };
        progress.note(&format!("{}: {what}", finding.subject));
        self.keep(finding);
    }

    fn keep(&mut self, finding: Finding) {
        self.finding_count += 1;
        if self.findings.len() < FINDINGS_KEPT {
            self.findings.push(finding);
        }
    }
}

/// What is known to be lost: look-ups that lead there are findings.
#[derive(Default)]
struct Lost {
    packs: HashSet<PackId>,
    /// By pack: the same chunk may be whole in another.
    chunks: HashSet<(PackId, ChunkId)>,
    /// Packs that tombstones name: what is wrong with one is no damage by itself.
    dead: HashSet<PackId>,
}

/// What to look at.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Only what these need; none for the whole repository.
    pub snapshots: Option<Vec<Snapshot>>,
    /// Which packs to read.
    pub read: ReadData,
    /// Decides which packs a random subset takes.
    pub seed: u64,
}

/// Checks everything, or what the chosen snapshots need. What a prune moves and sweeps under it is not lost, and is told
/// apart.
///
/// # Errors
/// Only what makes checking impossible: the storage cannot be listed, or the user interrupts.
pub fn check(
    repository: &Repository,
    options: &Options,
    progress: &dyn Progress,
) -> Result<Report> {
    let mut report = Report::default();
    // Snapshots before segments: everything that these snapshots need is in the segments listed after.
    let snapshots: Vec<(Snapshot, Facts)> = match &options.snapshots {
        Some(chosen) => chosen
            .iter()
            .map(|snapshot| (snapshot.clone(), Facts::default()))
            .collect(),
        None => {
            let standing = standing(repository, &mut report, progress)?;
            check_memory(repository, &mut report, progress)?;
            check_slots(repository, &mut report, progress)?;
            for (name, error) in repository.unreadable_records()? {
                report.add(progress, name, &error);
            }
            standing
        }
    };
    report.snapshots = snapshots.len() as u64;
    progress.phase("check index");
    let mut named = check_segments(repository, &mut report, progress)?;
    if options.snapshots.is_some() {
        // What is wrong with it has been named above.
        let _ = repository.index().refresh();
        let trees = Trees {
            repository,
            snapshots: &snapshots,
            named: &named,
            lost: &Lost::default(),
        };
        let needed = trees.needed_packs(progress)?;
        named.retain(|id, _| needed.contains(id));
    }
    // What is to go need not be whole: a sweep saves first what is needed of it, and that is looked for below.
    let mut lost = Lost {
        dead: repository.tombstoned()?,
        ..Lost::default()
    };
    let whole = options.snapshots.is_none();
    check_packs(repository, &named, whole, &mut lost, &mut report, progress)?;
    if options.read != ReadData::None {
        progress.phase("check packs");
        data::read_packs(
            repository,
            &named,
            options,
            &mut lost,
            &mut report,
            progress,
        )?;
    }
    progress.phase("check trees");
    if let Err(error) = repository.index().refresh() {
        // The segment was named above; what it alone knew shows as missing below.
        progress.note(&format!("going on without a part of the index: {error}"));
    }
    if whole {
        repository.index().compact();
    }
    let trees = Trees {
        repository,
        snapshots: &snapshots,
        named: &named,
        lost: &lost,
    };
    // Of a part it would read the whole index.
    if !(whole && trees.stand(&mut report, progress)?) {
        trees.walk(&mut report, progress)?;
    }
    Ok(report)
}

/// Snapshots that have not gone; of those whose record cannot be read, only living ones are missed.
fn standing(
    repository: &Repository,
    report: &mut Report,
    progress: &dyn Progress,
) -> Result<Vec<(Snapshot, Facts)>> {
    let mut unreadable = Vec::new();
    let snapshots = repository.standing(&mut |id, error| {
        unreadable.push((id, error));
        Ok(())
    })?;
    for (id, error) in unreadable {
        let name = crate::repository::snapshot_name(&id);
        match repository.facts(&id)?.standing {
            Standing::Living => report.add(progress, name, &error),
            _ => report.remark(
                progress,
                name,
                &format!("forgotten, and {}", error.detail()),
            ),
        }
    }
    Ok(snapshots)
}

/// What this machine saw before must still be there.
fn check_memory(
    repository: &Repository,
    report: &mut Report,
    progress: &dyn Progress,
) -> Result<()> {
    let recalled = repository.recall()?;
    let errors = recalled.errors();
    for error in &errors {
        let subject = error.subject_text().unwrap_or_default().to_owned();
        report.add(progress, subject, error);
    }
    if !errors.is_empty() {
        report.remark(progress, "memory of this machine", &recalled.cure());
    }
    if let Some(error) = &recalled.unkept {
        report.remark(progress, "memory of this machine", &error.to_string());
    }
    Ok(())
}

fn check_slots(
    repository: &Repository,
    report: &mut Report,
    progress: &dyn Progress,
) -> Result<()> {
    for slot in repository.slots()? {
        if let Err(error) = repository.slot_cost(&slot.id, false) {
            report.add(progress, format!("keys/{}", slot.id.hex()), &error);
        }
    }
    Ok(())
}

/// Packs as segments speak of them.
pub type Named = HashMap<PackId, NamedPack>;

/// A pack as segments speak of it.
pub struct NamedPack {
    /// Bytes of the file.
    pub size: u64,
    /// What it holds.
    pub class: PackClass,
    /// For each segment that names it: a sum over the places of all its chunks, which the pack's own directory must
    /// come to as well.
    pub places: Vec<u64>,
}

/// One chunk's share of the sum over a pack's places.
fn place_sum(id: &ChunkId, frame: &FrameInfo, offset: u32, len: u32) -> u64 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&id.0);
    let mut place = Vec::with_capacity(28);
    frame.encode(&mut place);
    place.extend_from_slice(&offset.to_le_bytes());
    place.extend_from_slice(&len.to_le_bytes());
    hasher.update(&place);
    let [a, b, c, d, e, f, g, h, ..] = *hasher.finalize().as_bytes();
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

fn check_segments(
    repository: &Repository,
    report: &mut Report,
    progress: &dyn Progress,
) -> Result<Named> {
    let mut named = Named::new();
    moved::each_segment(repository, &mut |name, segment| {
        progress.go_on()?;
        report.segments += 1;
        match segment {
            Ok(segment) => {
                report.chunks += segment.chunks.len() as u64;
                name_packs(&mut named, &segment);
            }
            Err(error) => report.add(progress, name, &error),
        }
        Ok(())
    })?;
    Ok(named)
}

/// Adds what a segment says of its packs.
pub fn name_packs(named: &mut Named, segment: &Segment) {
    let mut places = vec![0u64; segment.packs.len()];
    for (frame, span) in &segment.chunks {
        let (pack, info) = &segment.frames[*frame as usize];
        let sum = &mut places[*pack as usize];
        *sum = sum.wrapping_add(place_sum(&span.id, info, span.offset, span.len));
    }
    for (pack, places) in segment.packs.iter().zip(places) {
        let named = named.entry(pack.id).or_insert(NamedPack {
            size: pack.size,
            class: pack.class,
            places: Vec::new(),
        });
        named.size = pack.size;
        named.places.push(places);
    }
}

fn check_packs(
    repository: &Repository,
    named: &Named,
    whole: bool,
    lost: &mut Lost,
    report: &mut Report,
    progress: &dyn Progress,
) -> Result<()> {
    let mut there: HashMap<PackId, u64> = HashMap::new();
    let mut foreign = 0u64;
    for item in repository.storage().list("packs")? {
        match pack_id(&item.name) {
            Some(id) => drop(there.insert(id, item.size)),
            None => foreign += 1,
        }
    }
    report.packs = if whole { there.len() } else { named.len() } as u64;
    let mut ids: Vec<&PackId> = named.keys().collect();
    ids.sort_unstable();
    let missing = named.keys().filter(|id| !there.contains_key(*id)).copied();
    lost.take_away(repository, missing.collect())?;
    for id in ids {
        let what = match there.get(id) {
            None => "this pack is missing",
            Some(size) if *size != named[id].size => {
                "this pack is longer or shorter than it was when it was stored"
            }
            Some(_) => continue,
        };
        lost.packs.insert(*id);
        if !lost.dead.contains(id) {
            let error = Error::damage(what).subject(pack_name(id));
            report.add(progress, pack_name(id), &error);
        }
    }
    if !whole {
        return Ok(());
    }
    let known = |id: &&PackId| named.contains_key(*id) || lost.dead.contains(*id);
    let unnamed = there.keys().filter(|id| !known(id)).count();
    if unnamed > 0 {
        let what = format!(
            "{unnamed} packs that no segment names: what an interrupted snapshot left, or all that is left of a lost segment; \
             `duramen repair` names them again"
        );
        report.remark(progress, "packs", &what);
    }
    if foreign > 0 {
        report.remark(
            progress,
            "packs",
            &format!("{foreign} files that are no packs of this program; they were left alone"),
        );
    }
    Ok(())
}
