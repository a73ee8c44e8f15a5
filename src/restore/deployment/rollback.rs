//! Putting back what a restore changed: only where a document is still what the restore made of it, for what somebody has
//! written since is theirs.

use std::collections::HashMap;

use super::differing::filled;
use super::documents::{
    BATCH, BATCH_BYTES, MEANWHILE, THERE_BYTES_MAX, There, looked_up, placeless,
};
use super::report::{Documents, FailedDocument, name_failed};
use super::same_options;
use crate::error::Result;
use crate::format::bson::{Document, Element};
use crate::format::choice::Choice;
use crate::format::deployment::{Collection, CollectionKind, Deployment};
use crate::format::document_key::{identity, key};
use crate::format::number::alike;
use crate::format::undo::{Undo, UndoCollection};
use crate::progress::Progress;
use crate::repository::{Finder, Repository, Stored, key_of};
use crate::source::mongo::reading::{self, RawId, State};
use crate::source::mongo::{Server, catalogue};
use crate::target::mongo::{self as target, Change, Place};

/// What was done to one collection.
#[derive(Clone, Debug, Default)]
pub struct RollbackReport {
    /// Its name on the server.
    pub target: String,
    /// Whether it was dropped: the restore had made it, and nothing else was in it.
    pub dropped: bool,
    /// Documents that are again what they were.
    pub restored: Documents,
    /// Documents that were taken away again.
    pub removed: Documents,
    /// Documents that somebody has changed since: they are left.
    pub skipped: Documents,
    /// Documents that are as they were before the restore already.
    pub unchanged: u64,
    /// All documents that failed.
    pub failed_count: u64,
    /// The first of them.
    pub failed: Vec<FailedDocument>,
    /// What else could not be done.
    pub problems: Vec<String>,
}

impl RollbackReport {
    /// Whether all went well.
    #[must_use]
    pub fn is_well(&self) -> bool {
        self.failed_count == 0 && self.problems.is_empty()
    }

    fn fail(&mut self, id: &RawId, why: &str) -> Result<()> {
        name_failed(&mut self.failed_count, &mut self.failed, id, why)
    }
}

struct Rollback<'r> {
    repository: &'r Repository,
    server: &'r Server,
    merged: bool,
    dry_run: bool,
    progress: &'r dyn Progress,
}

/// A document that was there, or was not, before the restore.
struct Before {
    key: Vec<u8>,
    id: RawId,
    /// None where it was not there.
    bytes: Option<Vec<u8>>,
    /// What the restore made of it; none where nobody knows.
    made: Option<Vec<u8>>,
}

/// Puts back what the restore of `source` changed, as far as `undo` recorded it.
///
/// # Errors
/// Whatever makes the whole impossible; what a collection or a document lacks stands in the report.
pub fn roll_back(
    repository: &Repository,
    undo: &Undo,
    source: &Deployment,
    server: &Server,
    dry_run: bool,
    progress: &dyn Progress,
) -> Result<Vec<RollbackReport>> {
    let mut sources = HashMap::new();
    for collection in repository.collections(source) {
        let collection = collection?;
        sources.insert(collection.namespace.clone(), collection);
    }
    let rollback = Rollback {
        repository,
        server,
        merged: undo.merged,
        dry_run,
        progress,
    };
    // Views before what they look at, and series once their buckets are empty.
    let rank = |own: &&UndoCollection| match sources.get(&own.source).map(|own| own.kind) {
        Some(CollectionKind::View) => 0,
        Some(CollectionKind::TimeSeries) => 2,
        _ => 1,
    };
    let mut collections: Vec<&UndoCollection> = undo.collections.iter().collect();
    collections.sort_by_key(rank);
    let mut reports = Vec::new();
    for own in collections {
        progress.go_on()?;
        progress.current(own.target.as_bytes());
        let mut report = RollbackReport {
            target: own.target.clone(),
            ..RollbackReport::default()
        };
        match sources.get(&own.source) {
            Some(source) => {
                rollback.collection(own, source, &mut report)?;
                if report.is_well() {
                    rollback.unname(own)?;
                }
            }
            None => report
                .problems
                .push("the snapshot that was restored does not hold it".into()),
        }
        reports.push(report);
    }
    Ok(reports)
}

impl Rollback<'_> {
    /// A restore that was killed left its name among those that are not whole: what is there now is nothing half.
    fn unname(&self, own: &UndoCollection) -> Result<()> {
        if self.dry_run || !own.created {
            return Ok(());
        }
        let (database, name) = own.target.split_once('.').unwrap_or_default();
        Ok(target::unmark(self.server, Place { database, name })?)
    }

    fn collection(
        &self,
        own: &UndoCollection,
        source: &Collection,
        report: &mut RollbackReport,
    ) -> Result<()> {
        let (database, name) = own.target.split_once('.').unwrap_or_default();
        let into = Place { database, name };
        let Some(there) = catalogue::one(self.server, database, name)? else {
            return Ok(());
        };
        // What somebody has made of it since is theirs.
        let same = there.kind == source.kind && same_options(&there, source);
        if own.created && !same && source.name() != "system.js" {
            return self.left(report);
        }
        match (own.created, source.kind) {
            (true, CollectionKind::View) => self.drop_whole(into, report),
            (true, CollectionKind::TimeSeries) => {
                let buckets = format!("system.buckets.{name}");
                let buckets = Place {
                    database,
                    name: &buckets,
                };
                // Its buckets were taken away just before; in a rehearsal they are still there.
                match self.dry_run || self.count(buckets)? == 0 {
                    true => self.drop_whole(into, report),
                    false => self.left(report),
                }
            }
            (true, _) => self.created(source, into, report),
            (false, _) => self.changed(own, source, into, report),
        }
    }

    fn left(&self, report: &mut RollbackReport) -> Result<()> {
        report
            .problems
            .push("something else is in it by now, so it stays".into());
        Ok(())
    }

    fn drop_whole(&self, into: Place<'_>, report: &mut RollbackReport) -> Result<()> {
        if !self.dry_run {
            target::drop_collection(self.server, into)?;
        }
        report.dropped = true;
        Ok(())
    }

    fn count(&self, into: Place<'_>) -> Result<u64> {
        let place = placeless(into);
        Ok(reading::count(self.server, &place, State::Local)?)
    }

    /// A collection that the restore has made: it goes where nothing else is in it.
    fn created(
        &self,
        source: &Collection,
        into: Place<'_>,
        report: &mut RollbackReport,
    ) -> Result<()> {
        let mut same = 0;
        self.each_same(source, into, &mut |_, _| {
            same += 1;
            Ok(())
        })?;
        let all = same == self.count(into)?;
        // Of a capped one nothing can go but the whole.
        if source.kind == CollectionKind::Capped {
            return match all {
                true => self.drop_whole(into, report),
                false => self.left(report),
            };
        }
        let (mut waiting, mut bytes) = (Vec::new(), 0);
        self.each_same(source, into, &mut |id, made| {
            bytes += made.len();
            waiting.push((id, made.to_vec()));
            match waiting.len() >= BATCH || bytes >= BATCH_BYTES {
                true => {
                    bytes = 0;
                    self.remove(into, std::mem::take(&mut waiting), report)
                }
                false => Ok(()),
            }
        })?;
        self.remove(into, waiting, report)?;
        // Document by document, for somebody may have written one meanwhile; and what the server keeps for itself
        // cannot be dropped.
        let left = match self.dry_run && all {
            // A rehearsal took nothing away.
            true => 0,
            false => self.count(into)?,
        };
        match left {
            0 if into.name != "system.js" => self.drop_whole(into, report),
            0 => Ok(()),
            _ => self.left(report),
        }
    }

    /// Tells `each` the ids of documents that are what the restore wrote.
    fn each_same(
        &self,
        source: &Collection,
        into: Place<'_>,
        each: &mut dyn FnMut(RawId, &[u8]) -> Result<()>,
    ) -> Result<()> {
        let all = Choice::default();
        let mut documents = self.repository.chosen(source, &all)?;
        loop {
            self.progress.go_on()?;
            let (mut some, mut bytes) = (Vec::new(), 0);
            while some.len() < BATCH && bytes < BATCH_BYTES {
                let Some(stored) = documents.next() else {
                    break;
                };
                let stored = stored?;
                bytes += stored.bytes.len();
                some.push(stored);
            }
            if some.is_empty() {
                return Ok(());
            }
            let there = self.there(into, &some)?;
            for stored in &some {
                if there.get(&stored.key) == Some(&stored.bytes) {
                    each(
                        reading::id_of(Document::whole(&stored.bytes)?)?,
                        &stored.bytes,
                    )?;
                }
            }
            self.progress.advance(some.len() as u64, bytes as u64);
        }
    }

    fn there(&self, into: Place<'_>, some: &[Stored]) -> Result<There> {
        let ids: Vec<RawId> = some
            .iter()
            .map(|stored| reading::id_of(Document::whole(&stored.bytes)?))
            .collect::<Result<_>>()?;
        self.there_of(into, &ids)
    }

    fn there_of(&self, into: Place<'_>, ids: &[RawId]) -> Result<There> {
        match looked_up(self.server, into, ids, THERE_BYTES_MAX, self.progress)? {
            Some(there) => Ok(there),
            None => {
                let (first, second) = ids.split_at(ids.len() / 2);
                let mut there = self.there_of(into, first)?;
                there.extend(self.there_of(into, second)?);
                Ok(there)
            }
        }
    }

    /// Takes documents away that are still what the restore made of them.
    fn remove(
        &self,
        into: Place<'_>,
        made: Vec<(RawId, Vec<u8>)>,
        report: &mut RollbackReport,
    ) -> Result<()> {
        if made.is_empty() {
            return Ok(());
        }
        let (mut refused, mut left) = (HashMap::new(), There::default());
        if !self.dry_run {
            let (changes, there): (Vec<Change<'_>>, Vec<Option<&[u8]>>) = made
                .iter()
                .map(|(id, bytes)| (Change::Remove(id.clone()), Some(&bytes[..])))
                .unzip();
            for own in target::change(self.server, into, &changes, &there)? {
                refused.insert(own.at, own.why);
            }
            let ids: Vec<RawId> = made.iter().map(|(id, _)| id.clone()).collect();
            left = self.there_of(into, &ids)?;
        }
        for (at, (id, bytes)) in made.iter().enumerate() {
            let stays = left.get(&key_of(Document::whole(bytes)?)?).is_some();
            match (refused.get(&at), stays) {
                (Some(why), _) => report.fail(id, why)?,
                (None, true) => report.skipped.add(id)?,
                (None, false) => report.removed.add(id)?,
            }
        }
        Ok(())
    }

    /// A collection that was there.
    fn changed(
        &self,
        own: &UndoCollection,
        source: &Collection,
        into: Place<'_>,
        report: &mut RollbackReport,
    ) -> Result<()> {
        let recorded = own.before.documents.iter().chain(&own.before.deleted);
        let asked = recorded.map(|sorted| sorted.documents).sum();
        // Capped ones are kept by their place.
        let mut placed = HashMap::new();
        if source.kind == CollectionKind::Capped {
            let all = Choice::default();
            for stored in self.repository.chosen(source, &all)? {
                let stored = stored?;
                placed.insert(identity(&stored.key), stored.bytes);
            }
        }
        let mut finder = Finder::new(self.repository, &source.runs, asked);
        let mut batch = Vec::new();
        let mut bytes = 0;
        for stored in self.repository.newest(std::slice::from_ref(&own.before)) {
            let (stored, there) = stored?;
            let id = reading::id_of(Document::whole(&stored.bytes)?)?;
            let written = match source.kind {
                CollectionKind::Capped => placed.remove(&identity(&stored.key)),
                _ => match finder.find(&stored.key)? {
                    None => self.found_alike(source, &id)?,
                    found => found,
                },
            };
            let made = match (written, there && self.merged) {
                (Some(written), true) => Some(filled(&stored.bytes, &written)?),
                (written, _) => written,
            };
            bytes += stored.bytes.len() + made.as_ref().map_or(0, Vec::len);
            batch.push(Before {
                id,
                bytes: there.then_some(stored.bytes),
                key: stored.key,
                made,
            });
            if batch.len() >= BATCH || bytes >= BATCH_BYTES {
                self.put_back(into, std::mem::take(&mut batch), report)?;
                bytes = 0;
            }
        }
        self.put_back(into, batch, report)
    }

    /// What the restore wrote over a document whose `_id` is the same number in another type.
    fn found_alike(&self, source: &Collection, (kind, value): &RawId) -> Result<Option<Vec<u8>>> {
        let name = b"_id";
        let own = Element {
            kind: *kind,
            name,
            value,
        };
        for (kind, value) in alike(&own) {
            let value = &value[..];
            let key = key(&Element { kind, name, value });
            if let Some(found) = self.repository.collection_document(&source.runs, &key)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    fn put_back(
        &self,
        into: Place<'_>,
        batch: Vec<Before>,
        report: &mut RollbackReport,
    ) -> Result<()> {
        self.progress.go_on()?;
        let ids: Vec<RawId> = batch.iter().map(|before| before.id.clone()).collect();
        let there = self.there_of(into, &ids)?;
        let (mut gone, mut back) = (Vec::new(), Vec::new());
        for before in batch {
            let now = there.get(&before.key);
            if now == before.bytes.as_ref() {
                report.unchanged += 1;
            } else if now.is_none() || now != before.made.as_ref() {
                report.skipped.add(&before.id)?;
            } else {
                match (before.bytes, before.made) {
                    (Some(bytes), Some(made)) => back.push((before.id, bytes, made)),
                    (None, Some(made)) => gone.push((before.id, made)),
                    // What nobody knows is not what is there.
                    (_, None) => {}
                }
            }
        }
        self.remove(into, gone, report)?;
        let mut refused = HashMap::new();
        if !self.dry_run && !back.is_empty() {
            let changes: Vec<Change<'_>> = back
                .iter()
                .map(|(_, bytes, _)| Ok(Change::Replace(Document::whole(bytes)?)))
                .collect::<Result<_>>()?;
            let made: Vec<Option<&[u8]>> =
                back.iter().map(|(_, _, made)| Some(&made[..])).collect();
            for own in target::change(self.server, into, &changes, &made)? {
                refused.insert(own.at, own.why);
            }
            let ids: Vec<RawId> = back.iter().map(|(id, ..)| id.clone()).collect();
            let there = self.there_of(into, &ids)?;
            for (at, (_, bytes, _)) in back.iter().enumerate() {
                if there.get(&key_of(Document::whole(bytes)?)?) != Some(bytes) {
                    refused.entry(at).or_insert_with(|| MEANWHILE.into());
                }
            }
        }
        for (at, (id, ..)) in back.iter().enumerate() {
            match refused.get(&at) {
                Some(why) => report.fail(id, why)?,
                None => report.restored.add(id)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::source::mongo::command::Builder;

    #[test]
    fn a_document_that_is_given_what_it_lacks() {
        let own = Builder::new().int32("_id", 1).int32("a", 1).int32("b", 2);
        let theirs = Builder::new().int32("_id", 1).int32("c", 3).int32("b", 9);
        let both = filled(&theirs.finish(), &own.finish()).unwrap();
        let expected = Builder::new()
            .int32("_id", 1)
            .int32("a", 1)
            .int32("b", 9)
            .int32("c", 3);
        assert_eq!(both, expected.finish());
    }
}
