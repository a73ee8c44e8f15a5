//! One document through all snapshots of its collection, and every change of it that was recorded in between.

use super::documents::only;
use super::recorded::{self, recorded, shown};
use super::select::{self, Filter};
use crate::clock::Nanos;
use crate::error::{Error, Kind, Result};
use crate::format::bson::Document;
use crate::format::choice::Choice;
use crate::format::deployment::{Collection, CollectionKind, Deployment, Moment};
use crate::format::extended_json::{self, Style};
use crate::format::snapshot::Snapshot;
use crate::id::SnapshotId;
use crate::progress::Progress;
use crate::replay::{Followed, path, reach, trace};
use crate::repository::Repository;

/// A document from one moment on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentVersion {
    /// When it became so; or, where only a snapshot says so, the time of that one.
    pub at: Nanos,
    /// The snapshot that shows it; none where the oplog tells of it.
    pub snapshot: Option<SnapshotId>,
    /// The document as Extended JSON; none where it is not there.
    pub document: Option<String>,
}

fn nanos(cluster_time: u64) -> Nanos {
    Nanos::try_from(cluster_time >> 32).unwrap_or(0) * 1_000_000_000
}

/// Every version of the document of that `_id`, as Extended JSON or plain text, oldest first: in the snapshots of the host,
/// address and selection of the newest one that holds the collection.
///
/// # Errors
/// [`Kind::NotFound`] where no snapshot holds the collection; whatever the storage says.
pub fn run(
    repository: &Repository,
    namespace: &str,
    id: &str,
    filter: &Filter,
    progress: &dyn Progress,
) -> Result<Vec<DocumentVersion>> {
    let choice = Choice {
        ids: vec![extended_json::parse(id)?],
        conditions: Vec::new(),
    };
    // The server takes numbers that are equal for one, whatever their type.
    let keys = choice.stored_keys();
    let snapshots = select::list(repository, filter)?;
    let all = recorded(&snapshots);
    let (mut versions, mut last): (Vec<DocumentVersion>, Option<Option<Vec<u8>>>) =
        (Vec::new(), None);
    let mut add = |at, snapshot, bytes: Option<Vec<u8>>| -> Result<()> {
        // Nobody asks since when it was not there at first.
        let same = last.as_ref().map_or(bytes.is_none(), |last| *last == bytes);
        if same {
            return Ok(());
        }
        let json =
            |bytes: &Vec<u8>| extended_json::document(Document::whole(bytes)?, Style::Relaxed);
        versions.push(DocumentVersion {
            at,
            snapshot,
            document: bytes.as_ref().map(json).transpose()?,
        });
        last = Some(bytes);
        Ok(())
    };
    let holding: Vec<&Snapshot> = snapshots
        .iter()
        .filter(|snapshot| snapshot.deployments().next().is_some())
        .collect();
    // Those like the newest that holds it: what another server or another selection lacks is not gone for that.
    let mut like = None;
    for snapshot in holding.iter().rev() {
        progress.go_on()?;
        if find(repository, snapshot, namespace)?.is_some() {
            like = Some(*snapshot);
            break;
        }
    }
    // It may have come and gone between two of them.
    let held = like.is_some();
    let Some(like) = like.or_else(|| holding.last().copied()) else {
        return Err(Error::new(
            Kind::NotFound,
            "no snapshot holds a MongoDB deployment",
        ));
    };
    let alike = holding.iter().filter(|own| recorded::alike(own, like));
    // What repair left out of one was not gone.
    let (whole, damaged): (Vec<&&Snapshot>, Vec<&&Snapshot>) =
        alike.partition(|own| !own.deployments().any(Deployment::is_damaged));
    if !damaged.is_empty() {
        let count = damaged.len();
        progress.note(&format!(
            "{count} snapshots that repair took again without what was lost are passed over"
        ));
    }
    for snapshot in whole {
        progress.go_on()?;
        let deployment = only(snapshot)?;
        let found = find(repository, snapshot, namespace)?;
        let bytes = match &found {
            Some(own) => repository.chosen(own, &choice)?.next().transpose()?,
            None => None,
        };
        let bytes = bytes.map(|stored| stored.bytes);
        let time = match deployment.moment {
            Moment::At(at) => nanos(at.time),
            Moment::Between { from, .. } => from,
        };
        add(time, Some(snapshot.id), bytes.clone())?;
        // What was recorded from here to the next snapshot that shows it.
        let Some((name, at)) = shown(snapshot) else {
            continue;
        };
        let uuid = found.as_ref().and_then(|own| own.uuid);
        if found.is_some_and(|own| own.kind != CollectionKind::Plain) {
            continue;
        }
        let recorded: &recorded::Recorded = match all.get(&name) {
            Some(recorded) => recorded,
            None => continue,
        };
        let slices = recorded.stretches();
        let next = recorded
            .moments
            .iter()
            .find(|(next, _)| next.time > at.time);
        let end = reach(&slices, at);
        let until = next.map_or(end.time, |(next, _)| next.time.min(end.time));
        if until <= at.time {
            continue;
        }
        // The last stretch may end with that very moment.
        let Some(path) = path(&slices, at, until - 1) else {
            continue;
        };
        let traced = trace(
            repository,
            Followed {
                namespace,
                keys: &keys,
            },
            (at, uuid, bytes),
            &path,
            until,
            progress,
        )?;
        for (time, bytes) in traced {
            add(nanos(time), None, bytes)?;
        }
    }
    if versions.is_empty() {
        return Err(match held {
            true => Error::new(Kind::NotFound, "no snapshot and nothing that was recorded holds this document")
                .subject(format!("{namespace} {id}"))
                .hint("an _id is written as JSON where it is no plain text or number, such as {\"$oid\": \"...\"}"),
            false => Error::new(Kind::NotFound, "no snapshot holds this collection")
                .subject(namespace)
                .hint("name it with its database: duramen history shop.quotes --id 1017"),
        });
    }
    Ok(versions)
}

fn find(
    repository: &Repository,
    snapshot: &Snapshot,
    namespace: &str,
) -> Result<Option<Collection>> {
    for collection in repository.collections(only(snapshot)?) {
        let collection = collection?;
        if collection.namespace == namespace {
            return Ok(Some(collection));
        }
    }
    Ok(None)
}
