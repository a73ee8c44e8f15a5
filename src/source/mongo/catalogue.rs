//! What exists: databases, collections, their options and indexes, as raw documents.
//!
//! None of it can be read at a time of the past. So whoever needs it at one time lists it, and then makes sure that the
//! oplog tells of no change to it since just before.

use super::answer::{lacking, text};
use super::command::Builder;
use super::oplog::Uuid;
use super::select::Selection;
use super::server::{Asked, Refusal, Server, code};
use crate::error::{Error, Kind, Result};
use crate::format::bson::Document;
use crate::format::deployment::{Collection, CollectionKind, RawDocument};

/// All that is taken, in the order of namespaces, without any documents.
///
/// # Errors
/// Whatever the server says.
pub fn list(server: &Server, selection: &Selection) -> Asked<Vec<Collection>> {
    let mut all = Vec::new();
    for database in databases(server, selection)? {
        // Not only those that we may see: what we may not, must be an error.
        let command = Builder::new().int32("listCollections", 1);
        for listed in server.all(&database, command)? {
            let listed = Document::whole(&listed)?;
            let name = listed.get(b"name")?.as_ref().and_then(text);
            if !selection.takes(&database, &name.ok_or_else(lacking)?) {
                continue;
            }
            let mut collection = collection(&database, listed)?;
            let holds = matches!(
                collection.kind,
                CollectionKind::Plain | CollectionKind::Capped
            );
            if holds && collection.uuid.is_none() {
                return Err(lacking().subject(&collection.namespace).into());
            }
            if collection.kind != CollectionKind::View {
                collection.indexes = indexes(server, &collection).map_err(|refusal| {
                    match collection.name().strip_prefix("system.buckets.") {
                        Some(series) if refusal.code == Some(code::UNAUTHORIZED) => {
                            hidden_series(&format!("{database}.{series}")).into()
                        }
                        _ => refusal,
                    }
                })?;
            }
            all.push(collection);
        }
    }
    all.sort_by(|left: &Collection, right| left.namespace.cmp(&right.namespace));
    for series in all
        .iter()
        .filter(|each| each.kind == CollectionKind::TimeSeries)
    {
        let buckets = format!("{}.system.buckets.{}", series.database(), series.name());
        let found = all.binary_search_by(|each| each.namespace.cmp(&buckets));
        if found.is_err() {
            return Err(hidden_series(&series.namespace).into());
        }
    }
    Ok(all)
}

/// What a time series is to somebody who may not see its buckets, or of whose changes nobody tells.
#[must_use]
pub fn hidden_series(namespace: &str) -> Error {
    let what = "a time series, whose buckets and their changes only the role `backup` sees";
    Error::new(Kind::Permission, what)
        .subject(namespace)
        .hint("leave it out with --ns-exclude, or take the snapshot with that role")
}

/// One collection, without any documents; none where it is not there.
///
/// # Errors
/// Whatever the server says.
pub fn one(server: &Server, database: &str, name: &str) -> Asked<Option<Collection>> {
    let command = Builder::new()
        .int32("listCollections", 1)
        .document("filter", Builder::new().string("name", name));
    let Some(listed) = server.all(database, command)?.pop() else {
        return Ok(None);
    };
    let mut found = collection(database, Document::whole(&listed)?)?;
    if found.kind != CollectionKind::View {
        found.indexes = indexes(server, &found)?;
    }
    Ok(Some(found))
}

fn databases(server: &Server, selection: &Selection) -> Asked<Vec<String>> {
    if let Some(own) = &selection.database
        && !selection.users
    {
        return Ok(vec![own.clone()]);
    }
    let command = Builder::new()
        .int32("listDatabases", 1)
        .boolean("nameOnly", true)
        .boolean("authorizedDatabases", false);
    let answer = server
        .command("admin", command)
        .map_err(|refusal| Refusal {
            error: refusal
                .error
                .hint("a user of one database names it in the address: mongodb://HOST/DATABASE"),
            ..refusal
        })?;
    let listed = answer.each("databases")?.ok_or_else(lacking)?;
    let names: Vec<String> = listed
        .iter()
        .map(|each| each.text("name")?.ok_or_else(lacking))
        .collect::<Result<_>>()?;
    Ok(names
        .into_iter()
        .filter(|name| selection.takes_database(name))
        .collect())
}

/// What `listCollections` says of one; none for what this version has no use for.
fn collection(database: &str, listed: Document<'_>) -> Result<Collection> {
    let name = listed.get(b"name")?.as_ref().and_then(text);
    let name = name.ok_or_else(lacking)?;
    let sort = listed.get(b"type")?.as_ref().and_then(text);
    let options = match listed.get(b"options")? {
        Some(options) => Document::whole(options.value)?,
        None => Document::whole(b"\x05\0\0\0\0")?,
    };
    let capped = options
        .get(b"capped")?
        .is_some_and(|capped| capped.value == [1]);
    let kind = match sort.as_deref() {
        Some("view") => CollectionKind::View,
        Some("timeseries") => CollectionKind::TimeSeries,
        Some("collection") if capped => CollectionKind::Capped,
        Some("collection") => CollectionKind::Plain,
        other => {
            return Err(Error::new(
                Kind::Unsupported,
                format!("a collection of a sort that this version does not know: {other:?}"),
            )
            .subject(format!("{database}.{name}"))
            .hint("leave it out with --ns-exclude"));
        }
    };
    let uuid: Option<Uuid> = match listed.get(b"info")? {
        Some(info) => Document::whole(info.value)?.get(b"uuid")?,
        None => None,
    }
    .and_then(|uuid| uuid.value.get(5..)?.try_into().ok());
    Ok(Collection {
        namespace: format!("{database}.{name}"),
        kind,
        uuid,
        options: options.bytes().to_vec(),
        indexes: Vec::new(),
        documents: None,
        runs: Vec::new(),
        extensions: Vec::new(),
    })
}

fn indexes(server: &Server, of: &Collection) -> Asked<Vec<RawDocument>> {
    let command = Builder::new()
        .string("listIndexes", of.name())
        .boolean("includeBuildUUIDs", true);
    match server.all(of.database(), command) {
        Ok(all) => {
            let mut ready = Vec::new();
            for index in all {
                // One that is still being built is not there yet, and may never be.
                if Document::whole(&index)?.get(b"buildUUID")?.is_none() {
                    ready.push(RawDocument(index));
                }
            }
            Ok(ready)
        }
        // It went while we looked, and the oplog will say so.
        Err(refusal) if refusal.code == Some(code::NAMESPACE_NOT_FOUND) => Ok(Vec::new()),
        Err(refusal) => Err(refusal),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(listed: Builder) -> Result<Collection> {
        collection("shop", Document::whole(&listed.finish())?)
    }

    #[test]
    fn what_is_listed_is_read() {
        let info = Builder::new().uuid("uuid", &[4; 16]);
        let options = Builder::new().boolean("capped", true).int32("size", 4096);
        let capped = Builder::new()
            .string("name", "log.new")
            .string("type", "collection")
            .document("options", options.clone())
            .document("info", info);
        let capped = read(capped).unwrap();
        assert_eq!(capped.namespace, "shop.log.new");
        assert_eq!(capped.kind, CollectionKind::Capped);
        assert_eq!(capped.uuid, Some([4; 16]));
        assert_eq!(capped.options, options.finish());
        capped.check().unwrap();
        let view = Builder::new().string("name", "v").string("type", "view");
        let view = read(view).unwrap();
        assert_eq!((view.kind, view.uuid), (CollectionKind::View, None));
        view.check().unwrap();
        let unknown = Builder::new().string("name", "v").string("type", "other");
        assert_eq!(read(unknown).unwrap_err().kind(), Kind::Unsupported);
        assert!(read(Builder::new().string("type", "view")).is_err());
    }
}
