//! Sweep: the only place that deletes packs.
//!
//! Each step begins when the one before is durable, and each can be repeated by whoever comes after a death in the
//! middle: whom to wait for, what is needed, copies of it, packs, segments, tombstone.

use std::collections::HashSet;

use super::live::Live;
use super::{PruneOptions, PruneReport, Wait, copy, segments, survey};
use crate::clock::Nanos;
use crate::error::Result;
use crate::format::records::Tombstone;
use crate::id::{PackId, RecordId, SegmentId, SnapshotId};
use crate::pack::pack_name;
use crate::progress::Progress;
use crate::repository::{
    Annotations, LiveSession, Repository, Rule, Session, Standing, snapshot_name,
};

/// What a sweep has to do with, listed in the order that the protocol needs.
pub struct Sweep<'s> {
    pub repository: &'s Repository,
    pub session: &'s Session,
    pub options: &'s PruneOptions,
    pub progress: &'s dyn Progress,
}

/// Whether enough time has passed since, by the clock: a courtesy to whoever reads or regrets. What runs at the same
/// hour each day finds a grace of a day over, so it ends an hour in a day early; what is dated further ahead than the
/// whole grace was dated by a clock that was wrong.
pub fn is_ripe(options: &PruneOptions, now: Nanos, since: Nanos) -> bool {
    let grace = i64::try_from(options.grace.as_nanos()).unwrap_or(i64::MAX);
    let age = now.saturating_sub(since);
    age >= grace - grace / 24 || age.saturating_neg() > grace
}

/// Notes for what something that is to go would have to wait.
pub fn wait_for(
    report: &mut PruneReport,
    options: &PruneOptions,
    now: Nanos,
    what: &str,
    since: Nanos,
    sessions: &[LiveSession],
) {
    if !is_ripe(options, now, since) {
        report.wait(Wait::grace(what.to_owned(), since, options));
    } else if let Some(session) = sessions.first() {
        report.wait(Wait::session(session, what));
    }
}

fn first_ignorant<'l>(sessions: &'l [LiveSession], id: &RecordId) -> Option<&'l LiveSession> {
    sessions.iter().find(|session| !session.knows(id))
}

impl Sweep<'_> {
    /// Ends forgettings, deletes packs of tombstones, and what is left of snapshots that have gone.
    pub fn run(&self, live: &mut Live, report: &mut PruneReport) -> Result<()> {
        self.progress.phase("sweep");
        report.waits.clear();
        report.wait_count = 0;
        // What is to go first, then whom to wait for: whoever opens a session after this listing knows of all of it.
        let annotations = self.repository.annotations()?;
        let tombstones = self.repository.tombstones()?;
        let sessions = self.repository.live_sessions()?;
        self.end_forgettings(&annotations, &sessions, report)?;
        let (mut due, packs) = self.due(&tombstones, &sessions, report)?;
        if !due.is_empty() {
            let gone = self.delete_packs(&tombstones, &packs, live, report)?;
            due.retain(|tombstone| tombstone.packs.iter().all(|pack| gone.contains(pack)));
            self.remove_tombstones(&due, &gone, report)?;
        }
        if !self.repository.keeps(Rule::LiveParent) {
            return Ok(());
        }
        self.remove_gone(report)
    }

    fn end_forgettings(
        &self,
        annotations: &Annotations,
        sessions: &[LiveSession],
        report: &mut PruneReport,
    ) -> Result<()> {
        let now = self.repository.environment().clock.now();
        for (snapshot, facts) in annotations.iter() {
            if facts.unclear && !facts.open_ends().is_empty() {
                let snapshot = snapshot.short();
                self.progress.note(&format!(
                    "snapshot {snapshot} stays: an annotation of it cannot be read, and may have taken it back"
                ));
            }
            if facts.standing != Standing::Forgotten {
                continue;
            }
            let since = facts.forgotten_at.unwrap_or(now);
            if !is_ripe(self.options, now, since) {
                report.wait(Wait::grace_of_snapshot(*snapshot, since, self.options));
                continue;
            }
            for end in facts.open_ends() {
                let ignorant = first_ignorant(sessions, end);
                if let Some(session) = ignorant
                    && self.repository.keeps(Rule::WaitForget)
                {
                    report.wait(Wait::session(
                        session,
                        &format!("snapshot {}", snapshot.short()),
                    ));
                } else if self.repository.end_forgetting(snapshot, end)? {
                    report.snapshots_gone += 1;
                }
            }
        }
        Ok(())
    }

    /// Tombstones that may be acted on, and their packs.
    fn due<'t>(
        &self,
        tombstones: &'t [Tombstone],
        sessions: &[LiveSession],
        report: &mut PruneReport,
    ) -> Result<(Vec<&'t Tombstone>, HashSet<PackId>)> {
        let now = self.repository.environment().clock.now();
        let (mut due, mut packs) = (Vec::new(), HashSet::new());
        for tombstone in tombstones {
            let ignorant = first_ignorant(sessions, &tombstone.id);
            let what = || format!("{} packs that are to go", tombstone.packs.len());
            if let Some(session) = ignorant
                && self.repository.keeps(Rule::Wait)
            {
                report.wait(Wait::session(session, &what()));
            } else if !is_ripe(self.options, now, tombstone.at) {
                report.wait(Wait::grace(what(), tombstone.at, self.options));
            } else {
                due.push(tombstone);
                packs.extend(tombstone.packs.iter().copied());
            }
        }
        Ok((due, packs))
    }

    fn delete_packs(
        &self,
        tombstones: &[Tombstone],
        due: &HashSet<PackId>,
        live: &mut Live,
        report: &mut PruneReport,
    ) -> Result<HashSet<PackId>> {
        let repository = self.repository;
        let sizes = survey::sizes(repository)?;
        let mut packs: Vec<(PackId, u64)> = due
            .iter()
            .filter_map(|pack| Some((*pack, *sizes.get(pack)?)))
            .collect();
        packs.sort_unstable();
        let mut stay = HashSet::new();
        if repository.keeps(Rule::Fresh) {
            live.update(repository, Some(self.session), &|_| false, self.progress)?;
            if repository.keeps(Rule::Untombed) {
                let hidden = tombstones.iter().flat_map(|tombstone| &tombstone.packs);
                repository.index().hide(hidden.copied());
            } else {
                repository.index().reset_packs();
            }
            let purge = self.options.purge;
            let copied = copy::copy(repository, self.session, &packs, live, purge, self.progress)?;
            report.copied += copied.written.stored_bytes;
            stay = copied.unreadable;
        }
        // One that was given up would only do over what somebody else is doing.
        repository.still_ours(self.session)?;
        if !repository.keeps(Rule::KeepTombstone) {
            for tombstone in tombstones {
                repository.remove_tombstone(&tombstone.id)?;
            }
        }
        for (pack, size) in packs {
            if stay.contains(&pack) {
                report.unreadable += 1;
                continue;
            }
            self.progress.go_on()?;
            self.session.renew_when_due(repository)?;
            repository.storage().delete(&pack_name(&pack))?;
            report.deleted_packs += 1;
            report.deleted += size;
        }
        Ok(due.difference(&stay).copied().collect())
    }

    /// Rewrites the index without packs that have gone, and removes the tombstones that spoke of nothing else.
    fn remove_tombstones(
        &self,
        due: &[&Tombstone],
        gone: &HashSet<PackId>,
        report: &mut PruneReport,
    ) -> Result<()> {
        let mut clean = HashSet::new();
        self.rewrite(gone, &mut clean, report)?;
        // Whoever else rewrites segments may have read one that names these packs, and put it again in a moment.
        let sessions = self.repository.live_sessions()?;
        let other = sessions
            .iter()
            .find(|session| session.id != self.session.id && session.is_pruner());
        if let Some(other) = other {
            report.wait(Wait::session(
                other,
                "the last traces of packs that are gone",
            ));
            return Ok(());
        }
        // And whoever did so and has ended since has put it: once more, what came in between. Who begins from now on
        // reads segments that are clean.
        self.rewrite(gone, &mut clean, report)?;
        for tombstone in due {
            self.repository.remove_tombstone(&tombstone.id)?;
        }
        Ok(())
    }

    fn rewrite(
        &self,
        gone: &HashSet<PackId>,
        clean: &mut HashSet<SegmentId>,
        report: &mut PruneReport,
    ) -> Result<()> {
        let (repository, session) = (self.repository, self.session);
        let rewritten = segments::rewrite(repository, session, gone, clean, self.progress)?;
        report.segments.removed += rewritten.removed;
        report.segments.written += rewritten.written;
        Ok(())
    }

    /// What is left of snapshots that have gone: the record, then all that was said of it but for the word that it has
    /// gone, by which whoever remembers it knows that nobody hides it.
    fn remove_gone(&self, report: &mut PruneReport) -> Result<()> {
        let listed: HashSet<SnapshotId> = self.repository.snapshot_ids()?.into_iter().collect();
        let annotations = self.repository.annotations()?;
        // After the snapshots: one that has gone was committed long ago, and its session may have left records.
        let sessions = self.repository.sessions_left()?;
        for (snapshot, facts) in annotations.iter() {
            let done = !listed.contains(snapshot) && facts.is_bare();
            if facts.standing != Standing::Gone || sessions.contains(snapshot) || done {
                continue;
            }
            if listed.contains(snapshot) {
                self.repository.storage().delete(&snapshot_name(snapshot))?;
                report.records += 1;
            }
            self.repository.remove_annotations(snapshot)?;
        }
        Ok(())
    }
}
