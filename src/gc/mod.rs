//! Prune: freeing what no snapshot needs, while others write, without any lock (`format-spec/sharing.md`).
//!
//! Deleting is the one thing that a store can do that cannot be made good. What makes it safe here is an order, never a
//! clock: packs that are to go are *named* first (a tombstone); whoever opens a session from then on does not build on
//! them; whoever opened one before is waited for; and what came to be needed meanwhile is copied out before the packs
//! go. A death at any moment leaves something that the next prune goes on with.
//!
//! One prune: give up silent sessions; sweep what may go; mark and put tombstones; open a new session, which knows of
//! them; sweep again.

mod copy;
mod live;
mod segments;
mod survey;
mod sweep;
#[cfg(test)]
mod tests;
mod wait;

use std::collections::HashSet;
use std::time::Duration;

pub use live::Live;
pub use segments::Rewritten;
pub use wait::{Until, Wait, Who};

use crate::error::{Error, Kind, Result};
use crate::format::records::SessionPurpose;
use crate::format::snapshot::{RECIPES, Snapshot};
use crate::id::PackId;
use crate::progress::Progress;
use crate::repository::{Facts, Repository, Rule, Session, Standing};
use survey::{Plan, Survey};
use sweep::Sweep;

/// Waits that are listed; there may be one for every forgotten snapshot.
const WAITS_KEPT: usize = 1000;

/// How much that nobody needs may stay in packs that hold something needed too.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Unused {
    /// Any amount: only packs of which nothing is needed go.
    Any,
    /// So many bytes.
    Bytes(u64),
    /// A share of all bytes, from 0 to 1.
    Share(f64),
}

/// How to prune.
#[derive(Clone, Debug)]
pub struct PruneOptions {
    /// How long a forgotten snapshot, and a pack that is to go, wait at least: a courtesy to whoever reads or regrets.
    pub grace: Duration,
    /// A session that was silent for so long is given up.
    pub session_expiry: Duration,
    /// What may stay unused.
    pub max_unused: Unused,
    /// Bytes that may be copied at most; none for any number.
    pub max_repack: Option<u64>,
    /// Leave no byte of what was forgotten, not even in packs and frames that hold something needed.
    pub purge: bool,
}

impl Default for PruneOptions {
    fn default() -> Self {
        Self {
            grace: Duration::from_secs(24 * 3600),
            session_expiry: Duration::from_secs(24 * 3600),
            max_unused: Unused::Share(0.05),
            max_repack: None,
            purge: false,
        }
    }
}

/// What a prune did. Sizes are in bytes of files.
#[derive(Clone, Debug, Default)]
pub struct PruneReport {
    /// Sessions that were given up.
    pub expired: u64,
    /// Snapshots that went for good.
    pub snapshots_gone: u64,
    /// Snapshots that were marked.
    pub snapshots: u64,
    /// Chunks that they need.
    pub chunks: u64,
    /// Packs before, without those on their way out.
    pub packs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Of these, what nobody needs, about.
    pub unused: u64,
    /// Packs that are to go from now on.
    pub marked_packs: u64,
    /// Their bytes.
    pub marked: u64,
    /// Bytes written to keep what is needed of packs that go.
    pub copied: u64,
    /// What nobody needs and stays, about.
    pub stays_unused: u64,
    /// Packs deleted.
    pub deleted_packs: u64,
    /// Their bytes.
    pub deleted: u64,
    /// Segments replaced.
    pub segments: Rewritten,
    /// Records of snapshots that have gone and were deleted.
    pub records: u64,
    /// Packs that could not go because something needed in them cannot be read: damage.
    pub unreadable: u64,
    /// What will go, and not yet.
    pub waits: Vec<Wait>,
    /// How many there are of these.
    pub wait_count: u64,
}

impl PruneReport {
    fn wait(&mut self, wait: Wait) {
        self.wait_count += 1;
        if self.waits.len() < WAITS_KEPT {
            self.waits.push(wait);
        }
    }
}

/// Runs `work` in a session that ends whatever comes of it.
fn in_session<T>(repository: &Repository, work: impl FnOnce(&Session) -> Result<T>) -> Result<T> {
    let session = repository.begin(SessionPurpose::Prune)?;
    let done = work(&session);
    session.end(repository);
    done
}

/// Prunes. Safe to run beside anything and to stop at any moment.
///
/// # Errors
/// [`crate::error::Kind::Damage`] where it is not certain what is needed: nothing more is deleted then. Whatever the
/// storage says.
pub fn prune(
    repository: &Repository,
    options: &PruneOptions,
    progress: &dyn Progress,
) -> Result<PruneReport> {
    if options.purge {
        refuse_recipes(repository)?;
    }
    let mut report = PruneReport::default();
    let mut live = Live::new(repository);
    let marked = in_session(repository, |session| {
        report.expired = repository.expire_silent(&session.id, options.session_expiry)?;
        let sweep = Sweep {
            repository,
            session,
            options,
            progress,
        };
        sweep.run(&mut live, &mut report)?;
        // What could not be read is counted by whoever looks last.
        report.unreadable = 0;
        mark(&sweep, &mut live, &mut report)
    })?;
    if marked {
        // A new session knows of the new tombstones, so this sweep need not wait for itself.
        in_session(repository, |session| {
            let sweep = Sweep {
                repository,
                session,
                options,
                progress,
            };
            sweep.run(&mut live, &mut report)
        })?;
    }
    Ok(report)
}

/// A recipe needs parts of chunks, and what lies beside them in these is not needed and cannot be told from it: so no purge can
/// promise that nothing stays of what was forgotten.
fn refuse_recipes(repository: &Repository) -> Result<()> {
    // One that cannot be read is the mark's matter, and one that is forgotten keeps what it needs until it goes.
    let standing = repository.standing(&mut |_, _| Ok(()))?;
    let living = standing
        .iter()
        .filter(|(_, facts)| facts.standing == Standing::Living);
    let holds = |snapshot: &&Snapshot| snapshot.features.gc.iter().any(|name| name == RECIPES);
    let with: Vec<&Snapshot> = living.map(|(snapshot, _)| snapshot).filter(holds).collect();
    let Some(newest) = with.last() else {
        return Ok(());
    };
    let what = format!(
        "{} snapshots hold dumps as parts of older ones, whose chunks would stay whole: nothing was purged",
        with.len()
    );
    Err(Error::new(Kind::Unsupported, what)
        .subject(newest.id.short())
        .hint("take what they are of again with snapshot --force --no-dumps, and forget them; prune without --purge does all else"))
}

/// What a prune would mark now, from a look that changes nothing.
///
/// # Errors
/// As [`prune`].
pub fn rehearse(
    repository: &Repository,
    options: &PruneOptions,
    progress: &dyn Progress,
) -> Result<PruneReport> {
    if options.purge {
        refuse_recipes(repository)?;
    }
    let mut report = PruneReport::default();
    let mut live = Live::new(repository);
    progress.phase("mark");
    let now = repository.environment().clock.now();
    let annotations = repository.annotations()?;
    let goes = |facts: &Facts| {
        let since = facts.forgotten_at.unwrap_or(now);
        facts.standing == Standing::Forgotten && sweep::is_ripe(options, now, since)
    };
    live.update(repository, None, &goes, progress)?;
    let tombed = tombed(repository)?;
    let survey = survey::survey(
        repository,
        None,
        &mut live,
        &tombed,
        options.purge,
        progress,
    )?;
    let plan = survey.plan(repository, None, options, progress)?;
    report.surveyed(&live, &survey, &plan);
    report.marked_packs = plan.drop.len() as u64;
    report.marked = plan.bytes;
    report.copied = plan.copy;
    let sessions = repository.live_sessions()?;
    for (snapshot, facts) in annotations.iter() {
        if facts.standing == Standing::Forgotten {
            let since = facts.forgotten_at.unwrap_or(now);
            let what = format!("snapshot {}, forgotten", snapshot.short());
            sweep::wait_for(&mut report, options, now, &what, since, &sessions);
        }
    }
    for tombstone in repository.tombstones()? {
        let what = format!("{} packs that are to go", tombstone.packs.len());
        sweep::wait_for(&mut report, options, now, &what, tombstone.at, &sessions);
    }
    Ok(report)
}

fn tombed(repository: &Repository) -> Result<HashSet<PackId>> {
    let tombstones = repository.tombstones()?;
    Ok(tombstones
        .into_iter()
        .flat_map(|tombstone| tombstone.packs)
        .collect())
}

/// Chooses packs that are to go, copies what is needed of them, and says so; whether there was anything.
fn mark(sweep: &Sweep<'_>, live: &mut Live, report: &mut PruneReport) -> Result<bool> {
    let Sweep {
        repository,
        session,
        options,
        progress,
    } = *sweep;
    progress.phase("mark");
    live.update(repository, Some(session), &|_| false, progress)?;
    let tombed = tombed(repository)?;
    let survey = survey::survey(
        repository,
        Some(session),
        live,
        &tombed,
        options.purge,
        progress,
    )?;
    let plan = survey.plan(repository, Some(session), options, progress)?;
    report.surveyed(live, &survey, &plan);
    let clean = &mut HashSet::new();
    let rewritten = segments::rewrite(repository, session, &survey.phantoms, clean, progress)?;
    report.segments.removed += rewritten.removed;
    report.segments.written += rewritten.written;
    if plan.drop.is_empty() {
        return Ok(false);
    }
    if !repository.keeps(Rule::Orphans) {
        for id in survey.orphans.keys() {
            repository.storage().delete(&crate::pack::pack_name(id))?;
        }
    }
    progress.phase("copy");
    repository.index().hide(plan.drop.iter().copied());
    let size = |id: &PackId| {
        let named = survey.named.get(id).map(|pack| pack.size);
        named
            .or(survey.orphans.get(id).copied())
            .unwrap_or_default()
    };
    let mut packs: Vec<(PackId, u64)> = plan.drop.iter().map(|id| (*id, size(id))).collect();
    packs.sort_unstable();
    let copied = copy::copy(repository, session, &packs, live, options.purge, progress)?;
    report.copied += copied.written.stored_bytes;
    report.unreadable += copied.unreadable.len() as u64;
    packs.retain(|(id, _)| !copied.unreadable.contains(id) && !copied.gone.contains(id));
    report.marked_packs += packs.len() as u64;
    report.marked += packs.iter().map(|(_, size)| size).sum::<u64>();
    repository.still_ours(session)?;
    let ids: Vec<PackId> = packs.into_iter().map(|(id, _)| id).collect();
    repository.put_tombstones(session, &ids)?;
    Ok(!ids.is_empty())
}

impl PruneReport {
    fn surveyed(&mut self, live: &Live, survey: &Survey, plan: &Plan) {
        self.snapshots = live.snapshots() as u64;
        self.chunks = live.chunks() as u64;
        self.packs = (survey.named.len() + survey.orphans.len()) as u64;
        self.bytes = survey.bytes;
        self.unused = survey.unused.saturating_sub(plan.at_work);
        self.stays_unused = plan.stays_unused;
    }
}
