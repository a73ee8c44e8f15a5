//! Bringing collections back to a MongoDB server: the same or another, under the same names or others, whole or in part.
//!
//! ```text
//! make what is not there -> documents, in batches: look, decide, write, read back -> indexes (unique and TTL last) -> views
//! ```
//! Nothing that is there is lost unless somebody asked for it: a document that is there and differs is left, by default. What
//! is there already and is the same is neither written nor counted as restored, so the same command again goes on where it
//! was stopped. Indexes come last because a document that a TTL index finds expired is gone a minute later, and because a
//! unique one would refuse documents in an order in which they never were.

mod differing;
mod indexes;
pub mod names;
pub mod report;
pub mod rollback;
pub mod safety;
mod users;

use std::cell::RefCell;
use std::collections::HashMap;

use crate::error::{Error, Kind, Result};
use crate::format::bson::{Document, kind, same_fields};
use crate::format::choice::Choice;
use crate::format::deployment::{Collection, CollectionKind, Deployment, EMPTY_DOCUMENT};
use crate::format::document_key::same_number;
use crate::progress::Progress;
use crate::repository::{Repository, Stored, key_of};
use crate::source::mongo::reading::{self, Patience, RawId, State};
use crate::source::mongo::{Selection, Server, Topology, catalogue};
use crate::target::mongo::{self as target, Change, Place};
use differing::{filled, greater, lacks};
use names::Names;
use report::CollectionReport;
use safety::{Approved, Safety};

/// Documents that are looked at, decided upon and written at once.
const BATCH: usize = 1000;
/// Bytes of them; one document may be longer.
const BATCH_BYTES: usize = 8 << 20;

/// What to do with a document that is there and differs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Conflict {
    /// Leave it.
    #[default]
    Skip,
    /// Make it the one of the snapshot.
    Overwrite,
    /// Add the fields of the top level that it lacks.
    Merge,
    /// Take the one whose field is greater; where it is equal or in neither, leave it.
    Newest(String),
}

/// What is brought back, and how.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Which collections.
    pub selection: Selection,
    /// Which documents of them.
    pub choice: Choice,
    /// Under which names.
    pub names: Names,
    /// What happens to documents that are there.
    pub conflict: Conflict,
    /// Do everything but write.
    pub dry_run: bool,
    /// Make no indexes.
    pub no_indexes: bool,
    /// Read nothing back.
    pub no_verify: bool,
    /// Make no index that lets documents expire, and say how it is made.
    pub defer_ttl: bool,
}

/// More of the server's than this is looked at in two halves.
const THERE_BYTES_MAX: usize = 48 << 20;

/// Documents of the server by their keys.
type There = HashMap<Vec<u8>, Vec<u8>>;

struct Restore<'r> {
    repository: &'r Repository,
    server: &'r Server,
    wanted: &'r Wanted,
    step: Step<'r>,
    progress: &'r dyn Progress,
}

/// What is done with what was decided.
#[derive(Clone, Copy)]
pub enum Step<'s> {
    /// It is done, whatever is there; or, in a dry run, only counted.
    Do,
    /// It is recorded, to be able to put it back.
    Record(&'s RefCell<Safety>),
    /// It is done where the server still holds what was recorded.
    DoRecorded(&'s Approved),
}

impl Step<'_> {
    /// Whether nothing is written.
    fn only_looks(self) -> bool {
        matches!(self, Step::Record(_))
    }
}

/// A document on its way.
struct Item {
    key: Vec<u8>,
    id: RawId,
    bytes: Vec<u8>,
}

impl Item {
    fn of(stored: Stored) -> Result<Self> {
        Ok(Self {
            id: reading::id_of(Document::whole(&stored.bytes)?)?,
            key: stored.key,
            bytes: stored.bytes,
        })
    }
}

/// Brings back what is wanted of a deployment.
///
/// # Errors
/// Whatever makes the whole impossible; what a collection or a document lacks stands in the report.
pub fn restore_deployment(
    repository: &Repository,
    deployment: &Deployment,
    server: &Server,
    wanted: &Wanted,
    step: Step<'_>,
    progress: &dyn Progress,
) -> Result<Vec<CollectionReport>> {
    if *server.topology() == Topology::Sharded {
        return Err(Error::new(
            Kind::Unsupported,
            "this is a router of a sharded cluster, which this version does not restore to",
        )
        .subject(server.address()));
    }
    let mut collections = Vec::new();
    for collection in repository.collections(deployment) {
        let collection = collection?;
        if wanted
            .selection
            .takes(collection.database(), collection.name())
        {
            collections.push(collection);
        }
    }
    if collections.is_empty() {
        return Err(Error::new(Kind::NotFound, "nothing in it fits")
            .hint("`duramen ls` shows the collections of a snapshot"));
    }
    let namespaces = collections.iter().map(|each| each.namespace.as_str());
    wanted.names.refuse_doubles(namespaces)?;
    let restore = Restore {
        repository,
        server,
        wanted,
        step,
        progress,
    };
    // Series before their buckets, and views after all that they may look at.
    let rank = |collection: &Collection| match collection.kind {
        CollectionKind::TimeSeries => 0,
        CollectionKind::Plain | CollectionKind::Capped => 1,
        CollectionKind::View => 2,
    };
    collections.sort_by_key(rank);
    let mut reports = Vec::new();
    for collection in &collections {
        progress.go_on()?;
        progress.current(collection.namespace.as_bytes());
        reports.push(restore.collection(collection)?);
    }
    Ok(reports)
}

impl Restore<'_> {
    fn collection(&self, own: &Collection) -> Result<CollectionReport> {
        let target = self.name_of(own)?;
        let mut report = CollectionReport {
            namespace: own.namespace.clone(),
            target: target.clone(),
            ..CollectionReport::default()
        };
        if users::holds(own) {
            if !self.step.only_looks() {
                self.users(own, &mut report)?;
            }
            return Ok(report);
        }
        let (database, name) = target.split_once('.').unwrap_or_default();
        let into = Place { database, name };
        let there = catalogue::one(self.server, database, name)?;
        let buckets = own.name().starts_with("system.buckets.");
        let part = !self.wanted.choice.is_all();
        if let Some(there) = &there
            && there.kind != own.kind
        {
            report.problems.push(format!(
                "{target} is something else on the server: it is left as it is"
            ));
            return Ok(report);
        }
        // A part of the documents makes no view.
        if own.kind == CollectionKind::View && (part || there.is_some()) {
            return Ok(report);
        }
        report.created = there.is_none() && !buckets;
        if let (true, Step::Record(safety)) = (report.created && !part, self.step) {
            // All of it would be written: nothing to look up.
            safety.borrow_mut().made(&own.namespace, &target);
            return Ok(report);
        }
        // A dump says nothing of buckets: what they are like comes from their series.
        let unsaid = buckets && own.options == EMPTY_DOCUMENT;
        if let Some(there) = &there
            && !(part || unsaid)
            && !same_options(there, own)
        {
            report.problems.push(format!(
                "{target} is there with other options: these are left as they are"
            ));
        }
        if report.created && !self.wanted.dry_run {
            match target::create(self.server, into, own) {
                Ok(()) => {}
                // It is the server that will not, and other collections come back all the same.
                Err(refusal) if refusal.code.is_some() => {
                    report.problems.push(refusal.error.detail());
                    return Ok(report);
                }
                Err(refusal) => return Err(refusal.error),
            }
        }
        if is_held(own.kind) {
            let writes = !part && !self.wanted.dry_run;
            if report.created && writes {
                target::mark(self.server, into)?;
            }
            self.documents(own, into, there.as_ref(), &mut report)?;
            // One that was killed may have left its name there.
            if writes && report.failed_count == 0 {
                target::unmark(self.server, into)?;
            }
        }
        if self.step.only_looks() {
            return Ok(report);
        }
        // A part of a collection that is there says nothing of what it should be like.
        let whole = !part || there.is_none();
        if own.kind != CollectionKind::View && !buckets && whole && !self.wanted.no_indexes {
            self.indexes(own, into, there.as_ref(), &mut report)?;
        }
        Ok(report)
    }

    /// Where it comes back. Buckets follow their series.
    fn name_of(&self, own: &Collection) -> Result<String> {
        let names = &self.wanted.names;
        if users::holds(own) {
            return Ok(own.namespace.clone());
        }
        match own.name().strip_prefix("system.buckets.") {
            None => names.of(&own.namespace),
            Some(series) => {
                let series = names.of(&format!("{}.{series}", own.database()))?;
                let (database, name) = series.split_once('.').unwrap_or_default();
                Ok(format!("{database}.system.buckets.{name}"))
            }
        }
    }

    fn documents(
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
            Some(HashMap::new())
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
            // Numbers that differ in nothing but their type are one `_id` to the server.
            let same = || there.iter().find(|(key, _)| same_number(key, &item.key));
            let theirs = there.get(&item.key).or_else(|| match item.id.0 {
                kind::DOUBLE | kind::INT32 | kind::INT64 => same().map(|(_, theirs)| theirs),
                _ => None,
            });
            match theirs {
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
    fn there(&self, into: Place<'_>, items: &[Item], most: usize) -> Result<Option<There>> {
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
                Some(value) if self.approves(own, into, &item, Some(&theirs))? => {
                    if self.wanted.conflict == Conflict::Merge {
                        item.bytes = filled(&theirs, &item.bytes)?;
                    }
                    chosen.push((item, value, theirs));
                }
                Some(_) => report.fail(&item.id, MEANWHILE)?,
            }
        }
        if chosen.is_empty() {
            return Ok(());
        }
        let mut refused = HashMap::new();
        if !self.wanted.dry_run {
            let changes: Vec<Change<'_>> = chosen
                .iter()
                .map(|(item, value, _)| {
                    let document = Document::whole(&item.bytes)?;
                    Ok(match (&self.wanted.conflict, value) {
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
    fn verify(
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
const MEANWHILE: &str = "somebody wrote it meanwhile: it is left as it is";

/// A collection of the server's, by its name alone.
fn placeless(into: Place<'_>) -> Collection {
    Collection::named(format!("{}.{}", into.database, into.name))
}

/// Documents of the server by their keys; none where they come to more than `most` bytes.
fn looked_up(
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
        .map(|bytes| Ok((key_of(Document::whole(&bytes)?)?, bytes)));
    keyed.collect::<Result<_>>().map(Some)
}

/// Whether it holds documents of its own.
fn is_held(kind: CollectionKind) -> bool {
    matches!(kind, CollectionKind::Plain | CollectionKind::Capped)
}

/// Whether two collections have the same options, in whatever order a dump has them.
fn same_options(left: &Collection, right: &Collection) -> bool {
    let raw = |own: &Collection| own.options.clone();
    let (left, right) = (raw(left), raw(right));
    match (Document::whole(&left), Document::whole(&right)) {
        (Ok(own), Ok(other)) => same_fields(own, other),
        _ => left == right,
    }
}
