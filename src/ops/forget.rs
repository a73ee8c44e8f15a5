//! Forgetting: by rules, by name, and back again.
//!
//! Nothing is deleted here. A forgotten snapshot is marked as one that may go; `prune` ends that, and frees the space.

use jiff::tz::TimeZone;

use super::select::{self, Filter};
use super::snapshots::{Known, Which, candidates};
use crate::error::{Error, Kind, Result};
use crate::format::snapshot::Snapshot;
use crate::id::SnapshotId;
use crate::progress::Progress;
use crate::repository::{Facts, Repository, Standing};
pub use crate::retention::{GroupKey, Grouping, Policy, Span, UNLIMITED};
use crate::retention::{decide, judge};

/// What to keep of what.
#[derive(Debug, Clone)]
pub struct ForgetOptions {
    /// The rules.
    pub policy: Policy,
    /// Names of snapshots to keep beside those that the rules keep.
    pub keep_names: Vec<String>,
    /// Which snapshots compete for the same places.
    pub grouping: Grouping,
    /// Which snapshots the rules are for; all others stay.
    pub filter: Filter,
    /// Whose days and hours.
    pub zone: TimeZone,
    /// Do not hold the times of snapshots against those at which the storage says they were put: its clock is wrong.
    pub ignore_stored_times: bool,
    /// Decide, and forget nothing.
    pub dry_run: bool,
}

/// One snapshot and what becomes of it.
#[derive(Debug, Clone)]
pub struct Decided {
    /// The snapshot.
    pub known: Known,
    /// Whether it stays.
    pub keep: bool,
    /// Why; at least one reason.
    pub reasons: Vec<String>,
}

/// Snapshots that competed for the same places.
#[derive(Debug, Clone)]
pub struct DecidedGroup {
    /// What they have in common.
    pub key: GroupKey,
    /// All of them, oldest first.
    pub snapshots: Vec<Decided>,
}

/// What was decided, and done unless it was a dry run.
#[derive(Debug)]
pub struct ForgetSummary {
    /// The groups, sorted.
    pub groups: Vec<DecidedGroup>,
    /// Records that cannot be read: they stay, and nothing was decided about them.
    pub broken: Vec<Error>,
}

impl ForgetSummary {
    /// Snapshots that stay and snapshots that go.
    #[must_use]
    pub fn count(&self) -> (u64, u64) {
        let all = || self.groups.iter().flat_map(|group| &group.snapshots);
        let keep = all().filter(|decided| decided.keep).count() as u64;
        (keep, all().count() as u64 - keep)
    }
}

/// Forgets what no rule keeps.
///
/// # Errors
/// [`Kind::Usage`] where there is no rule, [`Kind::NotFound`] where a snapshot to keep is not there, and whatever the
/// storage says.
pub fn by_rules(
    repository: &Repository,
    options: &ForgetOptions,
    progress: &dyn Progress,
) -> Result<ForgetSummary> {
    let mut policy = options.policy.clone();
    for name in &options.keep_names {
        let kept = select::one(repository, name, &Filter::default())?;
        policy.ids.push(kept.id);
    }
    if policy.is_empty() {
        return Err(
            Error::new(Kind::Usage, "no rule says what to keep, so nothing is forgotten").hint(
                "give rules like --keep-daily 30 --keep-monthly 12, or --keep-default, or name the snapshots to forget",
            ),
        );
    }
    progress.phase("forget");
    let (mut standing, broken) = select::standing(repository)?;
    standing.retain(|(_, facts)| facts.standing == Standing::Living);
    let stored = match options.ignore_stored_times {
        true => Default::default(),
        false => repository.snapshot_stored()?,
    };
    let mut candidates = candidates(&standing, &stored);
    for (candidate, (snapshot, facts)) in candidates.iter_mut().zip(&standing) {
        candidate.in_scope = options.filter.keeps(snapshot, facts);
    }
    let now = repository.environment().clock.now();
    let decided = decide(&policy, options.grouping, &candidates, &options.zone, now);
    tell_of_clocks(&decided, progress);
    let mut known: std::collections::HashMap<SnapshotId, (Snapshot, Facts)> =
        standing.into_iter().map(|pair| (pair.0.id, pair)).collect();
    let mut groups = Vec::new();
    for group in decided {
        let mut snapshots = Vec::new();
        for verdict in group.verdicts {
            let Some((snapshot, facts)) = known.remove(&verdict.id) else {
                continue;
            };
            let mut decided = Decided {
                known: Known {
                    snapshot,
                    facts,
                    judged: verdict.judged,
                },
                keep: verdict.keep,
                reasons: verdict.reasons,
            };
            if !decided.keep && !options.dry_run {
                progress.go_on()?;
                keep_if_held(repository.forget(&verdict.id), &mut decided)?;
            }
            snapshots.push(decided);
        }
        groups.push(DecidedGroup {
            key: group.key,
            snapshots,
        });
    }
    Ok(ForgetSummary { groups, broken })
}

/// Whoever held a snapshot while we were deciding has the last word.
fn keep_if_held(forgotten: Result<()>, decided: &mut Decided) -> Result<()> {
    match forgotten {
        Err(error) if error.kind() == Kind::Conflict => {
            decided.keep = true;
            decided.reasons = vec![error.message().to_owned()];
            Ok(())
        }
        other => other,
    }
}

/// Where clocks contradict each other, people must know: such snapshots stay until somebody looks at them.
fn tell_of_clocks(groups: &[crate::retention::Group], progress: &dyn Progress) {
    let verdicts = || groups.iter().flat_map(|group| &group.verdicts);
    let ahead = verdicts()
        .filter(|verdict| verdict.judged.ahead.is_some())
        .count();
    if ahead == 0 {
        return;
    }
    let total = verdicts().count();
    let mut note = format!(
        "{ahead} of {total} snapshots are kept and counted nowhere, because their times cannot be believed"
    );
    if ahead * 2 > total {
        note.push_str(
            "; where it is the clock of the storage that is wrong, give --ignore-stored-times",
        );
    }
    progress.note(&note);
}

/// One snapshot that was named.
#[derive(Debug, Clone)]
pub struct Named {
    /// The snapshot.
    pub id: SnapshotId,
    /// Whether anything changed for it.
    pub changed: bool,
    /// Whether nothing as good is left of its source.
    pub last: bool,
}

/// Forgets the snapshots of these names, whatever rules would say.
///
/// # Errors
/// [`Kind::NotFound`] and [`Kind::Conflict`] (held) before anything is done, and whatever the storage says.
pub fn named(
    repository: &Repository,
    names: &[String],
    filter: &Filter,
    dry_run: bool,
) -> Result<Vec<Named>> {
    let wanted = resolve(repository, names, filter)?;
    let (mut standing, _) = select::standing(repository)?;
    standing.retain(|(_, facts)| facts.standing == Standing::Living);
    for (snapshot, facts) in standing
        .iter()
        .filter(|(snapshot, _)| wanted.contains(&snapshot.id))
    {
        if let Some((_, why)) = facts.holds.first() {
            return Err(Error::new(
                Kind::Conflict,
                format!("this snapshot is held ({why}) and cannot be forgotten"),
            )
            .subject(snapshot.id.short())
            .hint("`duramen annotate SNAPSHOT --release` releases it; nothing was forgotten"));
        }
        if facts.unclear {
            return Err(Error::damage(
                "something said of this snapshot cannot be read, so it stays",
            )
            .subject(snapshot.id.short())
            .hint("`duramen check` names what is damaged; nothing was forgotten"));
        }
    }
    let candidates = candidates(&standing, &repository.snapshot_stored()?);
    let judged = judge(&candidates, repository.environment().clock.now());
    // Whether nothing else of its source can be relied upon as far.
    let is_last = |own: &SnapshotId| {
        let pairs = || candidates.iter().zip(&judged);
        pairs()
            .find(|(candidate, _)| candidate.id == *own)
            .is_some_and(|(own, own_judged)| {
                pairs().all(|(other, judged)| {
                    wanted.contains(&other.id) && own_judged.rank() <= judged.rank()
                        || other.source() != own.source()
                        || own_judged.rank() < judged.rank()
                })
            })
    };
    let mut done = Vec::new();
    for id in &wanted {
        if !dry_run {
            repository.forget(id)?;
        }
        done.push(Named {
            id: *id,
            changed: candidates.iter().any(|candidate| candidate.id == *id),
            last: is_last(id),
        });
    }
    Ok(done)
}

/// Takes the forgetting of these snapshots back; without names, of all that the filter keeps.
///
/// # Errors
/// [`Kind::NotFound`] where one is not there or has gone already, and whatever the storage says.
pub fn undo(repository: &Repository, names: &[String], filter: &Filter) -> Result<Vec<Named>> {
    let wanted = match names {
        [] => {
            let (known, _) = super::snapshots::run(repository, filter, Which::Forgotten)?;
            known.iter().map(|known| known.snapshot.id).collect()
        }
        names => resolve(repository, names, filter)?,
    };
    wanted
        .into_iter()
        .map(|id| {
            Ok(Named {
                id,
                changed: repository.undo_forget(&id)?,
                last: false,
            })
        })
        .collect()
}

/// The snapshots of these names, each once, before anything is done to any.
fn resolve(repository: &Repository, names: &[String], filter: &Filter) -> Result<Vec<SnapshotId>> {
    let mut ids = Vec::new();
    for name in names {
        let id = select::one(repository, name, filter)?.id;
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    Ok(ids)
}
