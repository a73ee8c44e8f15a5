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
use crate::id::{PackId, RecordId, SnapshotId};
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

/// Whether enough time has passed since, by the clock: a courtesy to whoever reads or regrets.
fn is_ripe(options: &PruneOptions, now: Nanos, since: Nanos) -> bool {
    let grace = i64::try_from(options.grace.as_nanos()).unwrap_or(i64::MAX);
    // Without any grace a clock that was wrong is in nobody's way.
    grace == 0 || now.saturating_sub(since) >= grace
}

fn first_ignorant<'l>(sessions: &'l [LiveSession], id: &RecordId) -> Option<&'l LiveSession> {
    sessions.iter().find(|session| !session.knows(id))
}

impl Sweep<'_> {
    /// Ends forgettings, deletes packs of tombstones, and what is left of snapshots that have gone.
    pub fn run(&self, live: &mut Live, report: &mut PruneReport) -> Result<()> {
        self.progress.phase("sweep");
        report.waits.clear();
        // What is to go first, then whom to wait for: whoever opens a session after this listing knows of all of it.
        let annotations = self.repository.annotations()?;
        let tombstones = self.repository.tombstones()?;
        let sessions = self.repository.live_sessions()?;
        self.end_forgettings(&annotations, &sessions, report)?;
        let (due, packs) = self.due(&tombstones, &sessions, report)?;
        if !due.is_empty() {
            self.delete_packs(&tombstones, &packs, live, report)?;
            self.remove_tombstones(&due, report)?;
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
    fn due(
        &self,
        tombstones: &[Tombstone],
        sessions: &[LiveSession],
        report: &mut PruneReport,
    ) -> Result<(Vec<RecordId>, HashSet<PackId>)> {
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
                due.push(tombstone.id);
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
    ) -> Result<()> {
        let repository = self.repository;
        let sizes = survey::sizes(repository)?;
        let mut packs: Vec<(PackId, u64)> = due
            .iter()
            .filter_map(|pack| Some((*pack, *sizes.get(pack)?)))
            .collect();
        packs.sort_unstable();
        let mut stay = HashSet::new();
        if repository.keeps(Rule::Fresh) {
            live.update(repository, Some(self.session), self.progress)?;
            if repository.keeps(Rule::Untombed) {
                let hidden = tombstones.iter().flat_map(|tombstone| &tombstone.packs);
                repository.index().hide(hidden.copied());
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
        let gone: HashSet<PackId> = due.difference(&stay).copied().collect();
        let rewritten = segments::rewrite(repository, self.session, &gone, self.progress)?;
        report.segments.removed += rewritten.removed;
        report.segments.written += rewritten.written;
        Ok(())
    }

    fn remove_tombstones(&self, due: &[RecordId], report: &mut PruneReport) -> Result<()> {
        // Whoever else rewrites segments may have read one that names these packs, and put it again in a moment. Who
        // begins from now on reads segments that do not.
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
        if report.unreadable == 0 {
            for id in due {
                self.repository.remove_tombstone(id)?;
            }
        }
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
            if facts.standing != Standing::Gone || sessions.contains(snapshot) {
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
