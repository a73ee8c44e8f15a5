//! What exists: databases, collections, their options and indexes, as raw documents.
//!
//! None of it can be read at a time of the past. So whoever needs it at one time lists it, and then makes sure that the
//! oplog tells of no change to it since just before.

use super::answer::{lacking, text};
use super::command::Builder;
use super::oplog::Uuid;
use super::select::Selection;
use super::server::{Asked, Server, code};
use crate::error::Result;
use crate::format::bson::Document;
use crate::format::deployment::{Collection, CollectionKind, RawDocument};

/// All that is taken, in the order of namespaces, without any documents.
///
/// # Errors
/// Whatever the server says.
pub fn list(server: &Server, selection: &Selection) -> Asked<Vec<Collection>> {
    let mut all = Vec::new();
    for database in databases(server, selection)? {
        let command = Builder::new()
            .int32("listCollections", 1)
            .boolean("authorizedCollections", true);
        for listed in server.all(&database, command)? {
            let Some(mut collection) = collection(&database, Document::whole(&listed)?)? else {
                continue;
            };
            if !selection.takes(&database, collection.name()) {
                continue;
            }
            if collection.kind != CollectionKind::View {
                collection.indexes = indexes(server, &collection)?;
            }
            all.push(collection);
        }
    }
    all.sort_by(|left, right| left.namespace.cmp(&right.namespace));
    Ok(all)
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
    let Some(mut found) = collection(database, Document::whole(&listed)?)? else {
        return Ok(None);
    };
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
        .boolean("nameOnly", true);
    let answer = server.command("admin", command)?;
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
fn collection(database: &str, listed: Document<'_>) -> Result<Option<Collection>> {
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
        _ => return Ok(None),
    };
    let uuid: Option<Uuid> = match listed.get(b"info")? {
        Some(info) => Document::whole(info.value)?.get(b"uuid")?,
        None => None,
    }
    .and_then(|uuid| uuid.value.get(5..)?.try_into().ok());
    Ok(Some(Collection {
        namespace: format!("{database}.{name}"),
        kind,
        uuid,
        options: options.bytes().to_vec(),
        indexes: Vec::new(),
        documents: None,
        runs: Vec::new(),
        extensions: Vec::new(),
    }))
}

fn indexes(server: &Server, of: &Collection) -> Asked<Vec<RawDocument>> {
    let command = Builder::new().string("listIndexes", of.name());
    match server.all(of.database(), command) {
        Ok(all) => Ok(all.into_iter().map(RawDocument).collect()),
        // It went while we looked, and the oplog will say so.
        Err(refusal) if refusal.code == Some(code::NAMESPACE_NOT_FOUND) => Ok(Vec::new()),
        Err(refusal) => Err(refusal),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(listed: Builder) -> Result<Option<Collection>> {
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
        let capped = read(capped).unwrap().unwrap();
        assert_eq!(capped.namespace, "shop.log.new");
        assert_eq!(capped.kind, CollectionKind::Capped);
        assert_eq!(capped.uuid, Some([4; 16]));
        assert_eq!(capped.options, options.finish());
        capped.check().unwrap();
        let view = Builder::new().string("name", "v").string("type", "view");
        let view = read(view).unwrap().unwrap();
        assert_eq!((view.kind, view.uuid), (CollectionKind::View, None));
        view.check().unwrap();
        let unknown = Builder::new().string("name", "v").string("type", "other");
        assert!(read(unknown).unwrap().is_none());
        assert!(read(Builder::new().string("type", "view")).is_err());
    }
}
