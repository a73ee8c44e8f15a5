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
mod documents;
mod indexes;
pub mod names;
pub mod report;
pub mod rollback;
pub mod safety;
mod users;

use std::cell::RefCell;
use std::collections::HashMap;

use crate::error::{Error, Kind, Result};
use crate::format::bson::{Document, same_fields};
use crate::format::choice::Choice;
use crate::format::deployment::{Collection, CollectionKind, Deployment, EMPTY_DOCUMENT};
use crate::format::number::worth;
use crate::progress::Progress;
use crate::repository::Repository;
use crate::source::mongo::{Selection, Server, Topology, catalogue};
use crate::target::mongo::{self as target, Place};
use names::Names;
use report::CollectionReport;
use safety::{Approved, Safety};

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

struct Restore<'r> {
    repository: &'r Repository,
    server: &'r Server,
    wanted: &'r Wanted,
    step: Step<'r>,
    /// What the snapshot's time series were made with, by their names.
    series: HashMap<String, Vec<u8>>,
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
    let mut series = HashMap::new();
    for collection in repository.collections(deployment) {
        let collection = collection?;
        if collection.kind == CollectionKind::TimeSeries {
            series.insert(collection.namespace.clone(), collection.options.clone());
        }
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
    wanted.names.refuse_doubles(namespaces.clone())?;
    wanted.names.refuse_strays(namespaces)?;
    let restore = Restore {
        repository,
        server,
        wanted,
        step,
        series,
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
        if buckets && let Some(why) = self.unfit(own, into)? {
            report.problems.push(why);
            return Ok(report);
        }
        // Where no document of it is meant, nothing is made.
        if part && there.is_none() && is_held(own.kind) {
            let first = self.repository.chosen(own, &self.wanted.choice)?.next();
            if first.transpose()?.is_none() {
                return Ok(report);
            }
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

    /// Why buckets do not come back: whoever reads a series takes all of its buckets for the series' own.
    fn unfit(&self, own: &Collection, into: Place<'_>) -> Result<Option<String>> {
        let name = |buckets: &str| buckets.replacen("system.buckets.", "", 1);
        let target = name(into.name);
        let there = catalogue::one(self.server, into.database, &target)?;
        let Some(there) = there else {
            // In a rehearsal it would have been made just before.
            let comes = self.wanted.dry_run && self.series.contains_key(&name(&own.namespace));
            let lacking = format!("the series {target} is not there: its buckets are left out");
            return Ok((!comes).then_some(lacking));
        };
        let same = there.kind == CollectionKind::TimeSeries
            && match self.series.get(&name(&own.namespace)) {
                Some(options) => suits_series(&there.options, options)?,
                None => false,
            };
        let other = format!(
            "{target} is no series of the same kind on the server: its buckets are left out"
        );
        Ok((!same).then_some(other))
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
}

/// Whether it holds documents of its own.
fn is_held(kind: CollectionKind) -> bool {
    matches!(kind, CollectionKind::Plain | CollectionKind::Capped)
}

/// Whether buckets of one series may stand in another: they are of the same fields, and last no longer than it looks for.
fn suits_series(there: &[u8], own: &[u8]) -> Result<bool> {
    let (there, own) = (Document::whole(there)?, Document::whole(own)?);
    let (Some(there), Some(own)) = (there.get(b"timeseries")?, own.get(b"timeseries")?) else {
        return Ok(false);
    };
    let (there, own) = (Document::whole(there.value)?, Document::whole(own.value)?);
    for name in [&b"timeField"[..], b"metaField"] {
        let value =
            |of: Document<'_>| Ok::<_, Error>(of.get(name)?.map(|field| field.value.to_vec()));
        if value(there)? != value(own)? {
            return Ok(false);
        }
    }
    let span = |of: Document<'_>| -> Result<Option<Vec<u8>>> {
        Ok(of.get(b"bucketMaxSpanSeconds")?.as_ref().and_then(worth))
    };
    Ok(match (span(there)?, span(own)?) {
        (Some(there), Some(own)) => there >= own,
        _ => true,
    })
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
