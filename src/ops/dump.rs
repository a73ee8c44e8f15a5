//! Writing the collections of a snapshot out as a folder that `mongorestore` reads.
//!
//! ```text
//! FOLDER/<database>/<collection>.bson            documents, one behind the other, as the server gave them
//! FOLDER/<database>/<collection>.metadata.json   options and indexes, as canonical Extended JSON
//! ```
//! A view has no documents; those of a time series are in `system.buckets.<name>.bson`, and what it is like in
//! `<name>.metadata.json`.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{BufWriter, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use super::documents::collections;
use super::export::ExportSummary;
use crate::error::{Error, Result};
use crate::format::bson::Document;
use crate::format::choice::Choice;
use crate::format::deployment::{Collection, CollectionKind};
use crate::format::extended_json::{self, Style};
use crate::format::snapshot::{PathBytes, Problem, Snapshot};
use crate::id::to_hex;
use crate::progress::Progress;
use crate::repository::Repository;

/// Longer names are written in a way of its own by `mongodump`.
const NAME_MAX: usize = 238;
const BUCKETS: &str = "system.buckets.";

/// Writes the collections that `path` names, or all, into a folder that is not there yet.
///
/// # Errors
/// [`crate::error::Kind::NotFound`] where there are none; whatever the disk or the storage says. What is there by then is no whole
/// dump.
pub fn mongodump(
    repository: &Repository,
    snapshot: &Snapshot,
    path: Option<&[u8]>,
    folder: &Path,
    progress: &dyn Progress,
) -> Result<ExportSummary> {
    super::documents::only(snapshot)?;
    make(folder)?;
    let mut summary = ExportSummary::default();
    collections(repository, snapshot, path, &mut |own| {
        progress.go_on()?;
        progress.current(own.namespace.as_bytes());
        let name = escaped(own.name());
        if name.len() > NAME_MAX {
            summary.left_out.push(Problem {
                path: PathBytes(own.namespace.as_bytes().to_vec()),
                what: "its name is too long for a file".into(),
            });
            return Ok(());
        }
        let database = folder.join(escaped(own.database()));
        if !database.is_dir() {
            make(&database)?;
        }
        if !own.name().starts_with(BUCKETS) {
            let file = database.join(format!("{name}.metadata.json"));
            let text = metadata(own)?;
            summary.bytes += text.len() as u64;
            written(&file, &mut |out| out.write_all(text.as_bytes()))?;
            summary.files += 1;
        }
        if matches!(own.kind, CollectionKind::Plain | CollectionKind::Capped) {
            let file = database.join(format!("{name}.bson"));
            summary.bytes += documents(repository, own, &file, progress)?;
            summary.files += 1;
        }
        Ok(())
    })?;
    Ok(summary)
}

fn make(folder: &Path) -> Result<()> {
    DirBuilder::new()
        .mode(0o700)
        .create(folder)
        .map_err(|error| Error::io("create", folder, error))
}

fn create(path: &Path) -> Result<BufWriter<File>> {
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(|error| Error::io("create", path, error))?;
    Ok(BufWriter::with_capacity(1 << 18, file))
}

fn written(
    path: &Path,
    write: &mut dyn FnMut(&mut BufWriter<File>) -> std::io::Result<()>,
) -> Result<()> {
    let mut out = create(path)?;
    write(&mut out)
        .and_then(|()| out.flush())
        .and_then(|()| out.get_ref().sync_all())
        .map_err(|error| Error::io("write", path, error))
}

fn documents(
    repository: &Repository,
    own: &Collection,
    path: &Path,
    progress: &dyn Progress,
) -> Result<u64> {
    let all = Choice::default();
    let mut out = create(path)?;
    let mut bytes = 0;
    let io = |error| Error::io("write", path, error);
    for stored in repository.chosen(own, &all)? {
        progress.go_on()?;
        let stored = stored?;
        bytes += stored.bytes.len() as u64;
        progress.advance(1, stored.bytes.len() as u64);
        out.write_all(&stored.bytes).map_err(io)?;
    }
    out.flush().map_err(io)?;
    out.get_ref().sync_all().map_err(io)?;
    Ok(bytes)
}

/// What `mongorestore` makes the collection from.
fn metadata(own: &Collection) -> Result<String> {
    let json = |bytes: &[u8]| extended_json::document(Document::whole(bytes)?, Style::Canonical);
    let indexes: Vec<String> = own
        .indexes
        .iter()
        .map(|index| json(&index.0))
        .collect::<Result<_>>()?;
    let name = serde_json::Value::from(own.name());
    let uuid = own.uuid.map(|uuid| to_hex(&uuid)).unwrap_or_default();
    let sort = match own.kind {
        CollectionKind::View => "view",
        CollectionKind::TimeSeries => "timeseries",
        CollectionKind::Plain | CollectionKind::Capped => "collection",
    };
    Ok(format!(
        "{{\"options\":{},\"indexes\":[{}],\"uuid\":\"{uuid}\",\"collectionName\":{name},\"type\":\"{sort}\"}}",
        json(&own.options)?,
        indexes.join(",")
    ))
}

/// As a segment of a URL's path has it.
fn escaped(name: &str) -> String {
    let mut own = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~$&+=:@".contains(&byte) {
            own.push(char::from(byte));
        } else {
            own.push_str(&format!("%{byte:02X}"));
        }
    }
    own
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::format::deployment::RawDocument;

    #[test]
    fn names_are_files_and_nothing_else() {
        assert_eq!(escaped("a.b-c_d"), "a.b-c_d");
        assert_eq!(escaped("../x y"), "..%2Fx%20y");
        assert_eq!(escaped("\u{e4}"), "%C3%A4");
    }

    #[test]
    fn what_it_is_like_is_one_object() {
        let own = Collection {
            namespace: "shop.a\"b".into(),
            kind: CollectionKind::Plain,
            uuid: Some([0xab; 16]),
            options: b"\x05\0\0\0\0".to_vec(),
            indexes: vec![RawDocument(b"\x0c\0\0\0\x10v\0\x02\0\0\0\0".to_vec())],
            documents: None,
            runs: Vec::new(),
            extensions: Vec::new(),
        };
        let value: serde_json::Value = serde_json::from_str(&metadata(&own).unwrap()).unwrap();
        assert_eq!(value["collectionName"], "a\"b");
        assert_eq!(value["uuid"], "ab".repeat(16));
        assert_eq!(value["indexes"][0]["v"]["$numberInt"], "2");
        assert_eq!(value["type"], "collection");
    }
}
