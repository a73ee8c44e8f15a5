//! Documents in batches: look what is there, decide, write, read back.
//!
//! Two documents are the same one where the server takes their `_id`s for equal: a number is one whatever its type. So what is
//! there is looked for by [`identity`], and not by the bytes of an `_id`.

use std::collections::HashMap;

use super::differing::{filled, greater, lacks};
use super::report::CollectionReport;
use super::{Conflict, Restore, Step};
use crate::error::Result;
use crate::format::bson::Document;
use crate::format::deployment::{Collection, CollectionKind};
use crate::format::document_key::identity;
use crate::progress::Progress;
use crate::repository::{Stored, key_of};
use crate::source::mongo::Server;
use crate::source::mongo::reading::{self, Patience, RawId, State};
use crate::target::mongo::{self as target, Change, Place};

/// Documents that are looked at, decided upon and written at once.
pub(super) const BATCH: usize = 1000;
/// Bytes of them; one document may be longer.
pub(super) const BATCH_BYTES: usize = 8 << 20;

/// More of the server's than this is looked at in two halves.
pub(super) const THERE_BYTES_MAX: usize = 48 << 20;

/// The largest document that anybody may write.
const WRITTEN_MAX: usize = 16 << 20;

/// Documents of the server, by what it takes their `_id`s for.
#[derive(Default)]
pub(super) struct There(HashMap<Vec<u8>, Vec<u8>>);

impl There {
    /// The document whose `_id` is, to the server, the one of that key.
    pub(super) fn get(&self, key: &[u8]) -> Option<&Vec<u8>> {
        self.0.get(&identity(key))
    }

    /// What else is there.
    pub(super) fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }
}

/// A document on its way.
#[derive(Clone)]
pub(super) struct Item {
    pub(super) key: Vec<u8>,
    pub(super) id: RawId,
    pub(super) bytes: Vec<u8>,
}

impl Item {
    pub(super) fn of(stored: Stored) -> Result<Self> {
        Ok(Self {
            id: reading::id_of(Document::whole(&stored.bytes)?)?,
            key: stored.key,
            bytes: stored.bytes,
        })
    }
}

impl Restore<'_> {
    pub(super) fn documents(
        &self,
        own: &Collection,
        into: Place<'_>,
        there: Option<&Collection>,
        report: &mut CollectionReport,
    ) -> Result<()> {
        let mut batch = Vec::new();
        let mut bytes = 0;
        // Where it is not there, nothing in it can be.
        let empty = there.is_none() && !into.name.starts_with("system.buckets.");
        for stored in self.repository.chosen(own, &self.wanted.choice)? {
            self.progress.go_on()?;
            let item = Item::of(stored?)?;
            if !batch.is_empty() && (batch.len() >= BATCH || bytes + item.bytes.len() > BATCH_BYTES)
            {
                self.batch(own, into, empty, std::mem::take(&mut batch), report)?;
                bytes = 0;
            }
            bytes += item.bytes.len();
            batch.push(item);
        }
        if !batch.is_empty() {
            self.batch(own, into, empty, batch, report)?;
        }
        Ok(())
    }

    /// Looks what is there, decides, writes, reads back.
    fn batch(
        &self,
        own: &Collection,
        into: Place<'_>,
        empty: bool,
        batch: Vec<Item>,
        report: &mut CollectionReport,
    ) -> Result<()> {
        self.progress.go_on()?;
        let bytes: usize = batch.iter().map(|item| item.bytes.len()).sum();
        let count = batch.len() as u64;
        let there = if empty {
            Some(There::default())
        } else {
            self.there(into, &batch, THERE_BYTES_MAX)?
        };
        let Some(there) = there else {
            // Ours are short and theirs are long.
            let mut first = batch;
            let second = first.split_off(first.len() / 2);
            self.batch(own, into, empty, first, report)?;
            return self.batch(own, into, empty, second, report);
        };
        let (mut new, mut changes): (Vec<Item>, Vec<(Item, Vec<u8>)>) = (Vec::new(), Vec::new());
        for item in batch {
            match there.get(&item.key) {
                None => new.push(item),
                Some(theirs) if *theirs == item.bytes => report.unchanged += 1,
                Some(theirs) => {
                    let theirs = theirs.clone();
                    changes.push((item, theirs));
                }
            }
        }
        if own.kind == CollectionKind::Capped && !empty && !new.is_empty() {
            // What is added at its end drives out what is at its front: lines that are live now.
            for item in &new {
                report.skipped.add(&item.id)?;
            }
            let what = "a capped collection that is there takes nothing back: each document would drive out a live one; drop it to bring it back whole";
            if !report.problems.iter().any(|problem| problem == what) {
                report.problems.push(what.into());
            }
            new.clear();
        }
        // What is in a collection that we have made is all ours; but what comes into it is recorded first.
        if !empty || self.step.only_looks() {
            let (all, mut approved) = (new, Vec::new());
            for item in all {
                match self.approves(own, into, &item, None)? {
                    true => approved.push(item),
                    false => report.fail(&item.id, MEANWHILE)?,
                }
            }
            new = approved;
        }
        self.insert(own, into, new, report)?;
        self.change(own, into, changes, report)?;
        self.progress.advance(count, bytes as u64);
        Ok(())
    }

    /// Documents of the server by their keys, of the ids of these; none where they come to more than `most` bytes.
    pub(super) fn there(
        &self,
        into: Place<'_>,
        items: &[Item],
        most: usize,
    ) -> Result<Option<There>> {
        let ids: Vec<RawId> = items.iter().map(|item| item.id.clone()).collect();
        looked_up(self.server, into, &ids, most, self.progress)
    }

    /// Whether the server holds what was recorded; otherwise somebody has written it meanwhile.
    fn approves(
        &self,
        own: &Collection,
        into: Place<'_>,
        item: &Item,
        theirs: Option<&[u8]>,
    ) -> Result<bool> {
        let target = format!("{}.{}", into.database, into.name);
        match (self.step, theirs) {
            (Step::Do, _) => Ok(true),
            (Step::DoRecorded(approved), theirs) => Ok(approved.holds(&target, &item.key, theirs)),
            (Step::Record(safety), None) => {
                let mut safety = safety.borrow_mut();
                safety.comes(&own.namespace, &target, item).map(|()| true)
            }
            (Step::Record(safety), Some(theirs)) => {
                let mut safety = safety.borrow_mut();
                let changes = safety.changes(&own.namespace, &target, item, theirs);
                changes.map(|()| true)
            }
        }
    }

    fn insert(
        &self,
        own: &Collection,
        into: Place<'_>,
        new: Vec<Item>,
        report: &mut CollectionReport,
    ) -> Result<()> {
        if new.is_empty() {
            return Ok(());
        }
        let mut refused = HashMap::new();
        if !self.wanted.dry_run {
            let documents: Vec<Document<'_>> = new
                .iter()
                .map(|item| Document::whole(&item.bytes))
                .collect::<Result<_>>()?;
            let ordered = own.kind == CollectionKind::Capped;
            let mut begun = 0;
            // In order the server stops at the first that it refuses; it goes on behind it.
            while begun < documents.len() {
                let answer = target::insert(self.server, into, &documents[begun..], ordered)?;
                let last = answer.iter().map(|refused| begun + refused.at + 1).max();
                refused.extend(
                    answer
                        .into_iter()
                        .map(|refused| (begun + refused.at, refused)),
                );
                begun = last.filter(|_| ordered).unwrap_or(documents.len());
            }
        }
        let mut written = Vec::new();
        for (at, item) in new.into_iter().enumerate() {
            match refused.get(&at) {
                None => {
                    report.restored.add(&item.id)?;
                    written.push(item);
                }
                // It came between our look and our writing, or is one by the collation.
                Some(refused) if refused.is_there && self.wanted.conflict == Conflict::Skip => {
                    report.skipped.add(&item.id)?;
                }
                Some(refused) => report.fail(&item.id, &refused.why)?,
            }
        }
        self.verify(into, &written, report)
    }

    fn change(
        &self,
        own: &Collection,
        into: Place<'_>,
        differing: Vec<(Item, Vec<u8>)>,
        report: &mut CollectionReport,
    ) -> Result<()> {
        let mut chosen: Vec<(Item, Option<RawId>, Vec<u8>)> = Vec::new();
        for (mut item, theirs) in differing {
            let newer = match &self.wanted.conflict {
                Conflict::Skip => None,
                Conflict::Overwrite => Some(None),
                Conflict::Merge => lacks(&theirs, &item.bytes)?.then_some(None),
                Conflict::Newest(field) => greater(field, &item.bytes, &theirs)?.map(Some),
            };
            match newer {
                None => report.skipped.add(&item.id)?,
                Some(value) => {
                    let merged = match self.wanted.conflict {
                        Conflict::Merge => Some(filled(&theirs, &item.bytes)?),
                        _ => None,
                    };
                    if merged.as_ref().is_some_and(|both| both.len() > WRITTEN_MAX) {
                        report.fail(&item.id, TOO_LARGE)?;
                    } else if self.approves(own, into, &item, Some(&theirs))? {
                        item.bytes = merged.unwrap_or(item.bytes);
                        chosen.push((item, value, theirs));
                    } else {
                        report.fail(&item.id, MEANWHILE)?;
                    }
                }
            }
        }
        if chosen.is_empty() {
            return Ok(());
        }
        let mut refused = HashMap::new();
        if !self.wanted.dry_run {
            let changes: Vec<Change<'_>> = chosen
                .iter()
                .map(|(item, value, theirs)| {
                    let document = Document::whole(&item.bytes)?;
                    // Where it is written over just what was seen, it is what was made of that here.
                    let guarded = target::is_guarded(item.bytes.len(), theirs.len());
                    Ok(match (&self.wanted.conflict, value) {
                        _ if guarded => Change::Replace(document),
                        (Conflict::Merge, _) => Change::Fill(document),
                        (Conflict::Newest(field), Some(value)) => {
                            Change::Newest(document, field, value.clone())
                        }
                        _ => Change::Replace(document),
                    })
                })
                .collect::<Result<_>>()?;
            let there: Vec<Option<&[u8]>> = chosen
                .iter()
                .map(|(_, _, theirs)| Some(&theirs[..]))
                .collect();
            let answer = target::change(self.server, into, &changes, &there)?;
            refused.extend(answer.into_iter().map(|refused| (refused.at, refused)));
        }
        for (at, (item, ..)) in chosen.iter().enumerate() {
            if let Some(refused) = refused.get(&at) {
                report.fail(&item.id, &refused.why)?;
            }
        }
        let left = chosen.into_iter().enumerate();
        let left = left.filter(|(at, _)| !refused.contains_key(at));
        let written: Vec<Item> = left.map(|(_, (item, ..))| item).collect();
        // Read back in any case: it tells whether somebody wrote it just before.
        let there = match self.wanted.dry_run || written.is_empty() {
            true => None,
            false => self.there(into, &written, usize::MAX)?,
        };
        for item in &written {
            let same = there
                .as_ref()
                .is_none_or(|there| there.get(&item.key) == Some(&item.bytes));
            match (same, &self.wanted.conflict) {
                (false, _) => report.fail(&item.id, MEANWHILE)?,
                (true, Conflict::Merge) => report.merged.add(&item.id)?,
                (true, _) => report.replaced.add(&item.id)?,
            }
            if there.is_some() && same && !self.wanted.no_verify {
                report.verified += 1;
            }
        }
        Ok(())
    }

    /// Reads back what was written.
    pub(super) fn verify(
        &self,
        into: Place<'_>,
        written: &[Item],
        report: &mut CollectionReport,
    ) -> Result<()> {
        if self.wanted.dry_run || self.wanted.no_verify || written.is_empty() {
            return Ok(());
        }
        // As long as ours, which are few enough.
        let there = self.there(into, written, usize::MAX)?.unwrap_or_default();
        for item in written {
            if there.get(&item.key) == Some(&item.bytes) {
                report.verified += 1;
            } else {
                report.fail(&item.id, "it is not what was written when it is read back")?;
            }
        }
        Ok(())
    }
}

/// Why a document is not what it was to become.
pub(super) const MEANWHILE: &str = "somebody wrote it meanwhile: it is left as it is";
/// Why a document is not merged.
const TOO_LARGE: &str = "with what it lacks it would be larger than 16 MiB: it is left as it is";

/// A collection of the server's, by its name alone.
pub(super) fn placeless(into: Place<'_>) -> Collection {
    Collection::named(format!("{}.{}", into.database, into.name))
}

/// Documents of the server of those `_id`s; none where they come to more than `most` bytes.
pub(super) fn looked_up(
    server: &Server,
    into: Place<'_>,
    ids: &[RawId],
    most: usize,
    progress: &dyn Progress,
) -> Result<Option<There>> {
    let mut patience = Patience::new(progress);
    let place = placeless(into);
    let found = reading::some(server, &place, ids, State::Local, most, &mut patience)?;
    let Some(found) = found else {
        return Ok(None);
    };
    let keyed = found
        .into_iter()
        .map(|bytes| Ok((identity(&key_of(Document::whole(&bytes)?)?), bytes)));
    let there = keyed.collect::<Result<_>>()?;
    Ok(Some(There(there)))
}
