//! Looking into the collections of a snapshot: which there are, and what their documents hold.

use std::io::Write;

use crate::clock::Nanos;
use crate::error::{Error, Kind, Result};
use crate::format::bson::Document;
use crate::format::choice::{Choice, Condition, Test};
use crate::format::deployment::Deployment;
pub use crate::format::deployment::{Collection, CollectionKind};
use crate::format::extended_json;
pub use crate::format::extended_json::Style;
use crate::format::snapshot::Snapshot;
use crate::progress::Progress;
use crate::repository::Repository;
use crate::source::mongo::Selection;

/// Which documents are meant.
#[derive(Clone, Debug, Default)]
pub struct DocumentFilter {
    /// Only documents of these `_id`s, each as Extended JSON or plain text.
    pub ids: Vec<String>,
    /// Only documents of which all of this is true, each `FIELD=VALUE`.
    pub conditions: Vec<String>,
    /// The field that `since` and `until` are about; `_id` where it is empty, whose ObjectIds say when they were made.
    pub date_field: String,
    /// Only documents of that time or later.
    pub since: Option<Nanos>,
    /// Only documents before that time.
    pub until: Option<Nanos>,
}

impl DocumentFilter {
    pub(super) fn choice(&self) -> Result<Choice> {
        let field = match self.date_field.as_str() {
            "" => "_id",
            field => field,
        };
        let times = [self.since.map(Test::From), self.until.map(Test::Before)];
        let times = times.into_iter().flatten().map(|test| {
            Ok(Condition {
                path: field.to_owned(),
                test,
            })
        });
        let conditions = self.conditions.iter().map(|text| Condition::equals(text));
        Ok(Choice {
            ids: self
                .ids
                .iter()
                .map(|id| extended_json::parse(id))
                .collect::<Result<_>>()?,
            conditions: conditions.chain(times).collect::<Result<_>>()?,
        })
    }
}

/// The deployment that a snapshot holds.
///
/// # Errors
/// [`Kind::NotFound`] where it holds none, [`Kind::Unsupported`] where it holds several.
pub(super) fn only(snapshot: &Snapshot) -> Result<&Deployment> {
    let mut all = snapshot.deployments();
    match (all.next(), all.next()) {
        (Some(deployment), None) => Ok(deployment),
        (None, _) => Err(
            Error::new(Kind::NotFound, "this snapshot holds no MongoDB deployment")
                .subject(snapshot.id.short())
                .hint("`duramen snapshots` shows what was taken when"),
        ),
        _ => Err(Error::new(
            Kind::Unsupported,
            "this snapshot holds several MongoDB deployments, and this version brings back one",
        )
        .subject(snapshot.id.short())
        .hint("take one snapshot of each")),
    }
}

/// The namespace, or database, behind a snapshot's name: without the slash that a path has.
fn namespace(path: &[u8]) -> &[u8] {
    path.strip_prefix(b"/").unwrap_or(path)
}

/// The pattern of namespaces for what stands behind a snapshot's name: a database, or a collection.
///
/// # Errors
/// [`Kind::Usage`] where it can be neither.
pub fn pattern(path: &[u8]) -> Result<String> {
    let path = std::str::from_utf8(namespace(path))
        .map_err(|_| Error::new(Kind::Usage, "not the name of a database or a collection"))?;
    Ok(match path.split_once('.') {
        Some(_) => path.to_owned(),
        None => format!("{path}.*"),
    })
}

/// Whether `SNAP[:PATH]` as it was typed means collections: the snapshot holds some, and no files, or the path is none of
/// a file, which begins with a slash.
#[must_use]
pub fn are_meant(snapshot: &Snapshot, typed: &[u8]) -> bool {
    let relative = super::select::is_relative(typed);
    snapshot.deployments().next().is_some() && (relative || !snapshot.holds_files())
}

/// Tells `each` the collections of a snapshot that fit, in the order of their namespaces.
///
/// # Errors
/// [`Kind::NotFound`] where none does; whatever `each` says.
pub fn collections(
    repository: &Repository,
    snapshot: &Snapshot,
    path: Option<&[u8]>,
    each: &mut dyn FnMut(&Collection) -> Result<()>,
) -> Result<()> {
    let selection = Selection {
        within: path
            .filter(|path| !namespace(path).is_empty())
            .map(pattern)
            .transpose()?,
        users: true,
        ..Selection::default()
    };
    let mut any = path.is_none();
    for deployment in snapshot.deployments() {
        for collection in repository.collections(deployment) {
            let collection = collection?;
            if selection.takes(collection.database(), collection.name()) {
                any = true;
                each(&collection)?;
            }
        }
    }
    if any { Ok(()) } else { Err(missing(path)) }
}

fn missing(path: Option<&[u8]>) -> Error {
    Error::new(Kind::NotFound, "no such collection in this snapshot")
        .subject(path.unwrap_or_default().escape_ascii().to_string())
        .hint("`duramen ls` shows what is in it")
}

/// Which documents are written out, and how.
#[derive(Clone, Debug, Default)]
pub struct CatOptions {
    /// Database and collection.
    pub path: Vec<u8>,
    /// Which documents of it.
    pub filter: DocumentFilter,
    /// How numbers and dates are written.
    pub style: Style,
    /// At most so many; none for all.
    pub limit: Option<u64>,
}

/// Writes documents of one collection as Extended JSON, one a line. By `_id` only what lies on the way to them is read.
///
/// # Errors
/// [`Kind::NotFound`] for a collection that is not there, or documents of which none is.
pub fn cat(
    repository: &Repository,
    snapshot: &Snapshot,
    options: &CatOptions,
    progress: &dyn Progress,
    out: &mut dyn Write,
) -> Result<()> {
    let path = &options.path[..];
    let choice = options.filter.choice()?;
    let mut found = None;
    collections(repository, snapshot, Some(path), &mut |collection| {
        let whole = collection.namespace.as_bytes() == namespace(path);
        if whole {
            found = Some(collection.clone());
        }
        Ok(())
    })?;
    let collection = found.ok_or_else(|| {
        missing(Some(path))
            .hint("name a collection with its database: duramen cat SNAP:shop.quotes")
    })?;
    if matches!(
        collection.kind,
        CollectionKind::View | CollectionKind::TimeSeries
    ) {
        return Err(Error::new(Kind::NotFound, "it has no documents of its own")
            .subject(&collection.namespace)
            .hint("those of a time series are in its system.buckets collection"));
    }
    let mut left = options.limit.unwrap_or(u64::MAX);
    let mut any = choice.is_all();
    for stored in repository.chosen(&collection, &choice)? {
        progress.go_on()?;
        if left == 0 {
            break;
        }
        let stored = stored?;
        let mut line = extended_json::document(Document::whole(&stored.bytes)?, options.style)?;
        line.push('\n');
        out.write_all(line.as_bytes())
            .map_err(|error| Error::io_named("write", "the output", error))?;
        (left, any) = (left - 1, true);
    }
    if any {
        Ok(())
    } else {
        Err(
            Error::new(Kind::NotFound, "no document of the collection fits")
                .subject(&collection.namespace),
        )
    }
}
