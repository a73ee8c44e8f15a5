//! Dumps among the files of a snapshot, seen as what they are dumps of: collections, as if the deployment itself had been
//! taken. They are read once, brought into the order of their `_id`s and held for this process alone, so whatever reads
//! snapshots of MongoDB (`ls`, `cat`, `restore`, `export`) reads them.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{BufReader, Read};

use serde::de::{DeserializeSeed, Deserializer, SeqAccess, Visitor};
use serde_json::Value;

use super::export::Stored;
use super::held::{Gathered, Held};
use crate::error::{Error, Kind, Result};
use crate::format::bson::{Document, kind};
use crate::format::deployment::{CollectionKind, RawDocument};
use crate::format::entry::{Directory, Node};
use crate::format::extended_json;
use crate::format::snapshot::{Snapshot, SourceRecord};
use crate::id::from_hex;
use crate::limits::DOCUMENT_BYTES_MAX;
use crate::progress::Progress;
use crate::repository::{Listed, Repository};
use crate::source::dump::archive::{self, Event};
use crate::source::dump::nested;
use crate::source::dump::{GZIP, Layout, RECOGNISED_BY, next_document, recognise};

/// Folders that a dump is looked for in, one below the other.
const DEPTH_MAX: usize = 4;
/// Behind the name of what a collection is like.
const METADATA: &str = ".metadata.json";
/// The longest such file.
const METADATA_MAX: u64 = 64 << 20;
/// The longest file without `_id`s: it is held in memory whole.
pub(super) const NESTED_MAX: u64 = 64 << 20;

/// The snapshot with the collections of the dump at `path` in the place of all that it holds. It can be read like any other,
/// by this process alone.
///
/// # Errors
/// [`Kind::NotFound`] where there is no dump; [`Kind::Damage`] where it is not whole.
pub fn undump(
    repository: &Repository,
    snapshot: &Snapshot,
    path: &[u8],
    progress: &dyn Progress,
) -> Result<Snapshot> {
    let listed = repository.find(snapshot, path)?;
    progress.phase("read dump");
    let mut dump = Dump {
        held: Held::new(repository, progress),
        beside: false,
        nested: Nested::InFolder(0),
        repository,
        progress,
    };
    let names: Vec<&[u8]> = path
        .split(|byte| *byte == b'/')
        .filter(|name| !name.is_empty())
        .collect();
    let above = |back: usize| {
        names
            .len()
            .checked_sub(back)
            .and_then(|at| names.get(at))
            .copied()
    };
    match &listed.entry.node {
        Node::Directory(directory) => {
            dump.folder(above(1).unwrap_or_default(), directory, path, DEPTH_MAX)?;
        }
        Node::File { .. } => {
            dump.nested = Nested::Itself;
            dump.file(above(2).unwrap_or_default(), &listed, path)?;
        }
        _ => {}
    }
    if let Nested::InFolder(left @ 1..) = dump.nested {
        progress.note(&format!(
            "{left} JSON files without _ids are left aside: name one of them with --dump to see its records"
        ));
    }
    let deployment = dump.held.deployment(snapshot.time)?.ok_or_else(|| {
        Error::new(Kind::NotFound, "no dump of a database")
            .subject(path.escape_ascii().to_string())
            .hint(
                "name a folder or an archive of mongodump, a .bson file, or what mongoexport wrote",
            )
    })?;
    Ok(Snapshot {
        sources: vec![SourceRecord::Mongo(Box::new(deployment))],
        ..snapshot.clone()
    })
}

struct Dump<'d> {
    held: Held<'d>,
    /// Whether files are read that lie beside the folders of databases.
    beside: bool,
    nested: Nested,
    repository: &'d Repository,
    progress: &'d dyn Progress,
}

/// What becomes of JSON without `_id`s: beside a dump may stand anything.
enum Nested {
    /// It was named itself, and is divided.
    Itself,
    /// So many were left aside.
    InFolder(u64),
}

/// What a file of a dump is by its name.
enum Named {
    /// The documents of a collection of that name.
    Documents(String),
    /// What a collection of that name is like.
    Metadata(String),
}

/// The name of a file without what says how it was written; nothing for what is no text.
fn named(name: &[u8]) -> Option<Named> {
    let text = std::str::from_utf8(name).ok()?;
    let text = text.strip_suffix(".gz").unwrap_or(text);
    if let Some(own) = text.strip_suffix(METADATA) {
        return Some(Named::Metadata(unescaped(own)));
    }
    let ends = [".bson", ".json", ".jsonl", ".ndjson"];
    let own = ends.iter().find_map(|end| text.strip_suffix(end));
    Some(Named::Documents(unescaped(own.unwrap_or(text))))
}

/// A name as `mongodump` writes it into a file's, as a segment of a URL's path.
fn unescaped(name: &str) -> String {
    let mut own = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        let digits = behind
            .get(..2)
            .and_then(|two| std::str::from_utf8(two).ok());
        match digits.and_then(|two| u8::from_str_radix(two, 16).ok()) {
            Some(byte) if *first == b'%' => {
                own.push(byte);
                rest = &behind[2..];
            }
            _ => {
                own.push(*first);
                rest = behind;
            }
        }
    }
    String::from_utf8(own).unwrap_or_else(|_| name.to_owned())
}

/// Whether a database can be named so (<https://www.mongodb.com/docs/manual/reference/limits/>).
fn is_database(name: &str) -> bool {
    let fits = !name.is_empty() && name.len() < 64;
    fits && !name.contains([
        '/', '\\', '.', ' ', '"', '$', '*', '<', '>', ':', '|', '?', '\0',
    ])
}

impl Dump<'_> {
    fn folder(
        &mut self,
        name: &[u8],
        directory: &Directory,
        path: &[u8],
        depth: usize,
    ) -> Result<()> {
        // What collections are like first: that says in which order their documents belong.
        for first in [true, false] {
            for listed in self.repository.entries(directory) {
                self.progress.go_on()?;
                let listed = listed?;
                let here = [path, b"/", &listed.entry.name].concat();
                let metadata = matches!(named(&listed.entry.name), Some(Named::Metadata(_)));
                match &listed.entry.node {
                    Node::Directory(below) if depth > 0 && !first => {
                        self.folder(&listed.entry.name, below, &here, depth - 1)?;
                    }
                    Node::Directory(_) if depth == 0 && !first => {
                        let here = here.escape_ascii();
                        let what = format!("{here} lies too deep for a dump, and is left aside");
                        self.progress.note(&what);
                    }
                    Node::File { .. } if metadata == first => {
                        self.beside = depth == DEPTH_MAX;
                        self.file(name, &listed, &here)?;
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// A file of the database that its folder is named after.
    fn file(&mut self, folder: &[u8], listed: &Listed, path: &[u8]) -> Result<()> {
        self.progress.current(path);
        let mut stored = Stored::new(self.repository, &listed.entry.node, Some(self.progress));
        let read = self.content(folder, &listed.entry.name, &mut stored);
        // A reader can tell its error only to who reads from it.
        let read = match stored.failed.take() {
            Some(error) => Err(error),
            None => read,
        };
        read.map_err(|error| {
            let kind = match error.kind() {
                Kind::Usage => Kind::Damage,
                kind => kind,
            };
            match error.subject_text() {
                Some(_) => error,
                None => {
                    Error::new(kind, error.to_string()).subject(path.escape_ascii().to_string())
                }
            }
        })
    }

    fn content(&mut self, folder: &[u8], name: &[u8], stored: &mut Stored<'_>) -> Result<()> {
        let mut first = Vec::new();
        let io = |error| Error::damage("a dump that cannot be read").cause(error);
        stored
            .by_ref()
            .take(GZIP.len() as u64)
            .read_to_end(&mut first)
            .map_err(io)?;
        let zipped = first == GZIP;
        let whole = first.chain(stored);
        let mut plain: Box<dyn Read> = match zipped {
            true => Box::new(flate2::read::MultiGzDecoder::new(whole)),
            false => Box::new(whole),
        };
        let mut begin = Vec::new();
        plain
            .by_ref()
            .take(RECOGNISED_BY as u64)
            .read_to_end(&mut begin)
            .map_err(io)?;
        let layout = recognise(&begin);
        let mut reader = BufReader::with_capacity(1 << 18, begin.chain(plain));
        let database = unescaped(&String::from_utf8_lossy(folder));
        let namespace = |own: &str| format!("{database}.{own}");
        let plain = name.strip_suffix(b".gz").unwrap_or(name);
        let own = named(name);
        let metadata = matches!(own, Some(Named::Metadata(_)));
        let documents = plain.ends_with(b".bson");
        // What is lost of a dump must not pass for a collection without documents, or without options.
        if (documents && layout.is_none() && !begin.is_empty())
            || (metadata && layout != Some(Layout::JsonLines))
        {
            return Err(Error::damage(
                "not what its name says: it begins with something else",
            ));
        }
        let is_nested = !metadata && layout.is_some_and(Layout::is_json) && !begins_with_id(&begin);
        if let (true, Nested::InFolder(left)) = (is_nested, &mut self.nested) {
            *left += 1;
            return Ok(());
        }
        if (layout.is_some_and(|layout| layout != Layout::Archive) || documents) && !is_nested {
            // What mongodump writes beside the folders of databases.
            let strange = match &own {
                Some(Named::Documents(own)) => {
                    self.beside && matches!(own.as_str(), "oplog" | "prelude")
                }
                _ => false,
            };
            if strange || !is_database(&database) {
                let own = name.escape_ascii();
                let what = match strange {
                    true => format!("{own} is no collection, and is left aside"),
                    false => format!(
                        "{own} is left aside: {database:?}, its folder, is not named as a database can be"
                    ),
                };
                self.progress.note(&what);
                return Ok(());
            }
        }
        match (own, layout) {
            (Some(Named::Metadata(own)), Some(Layout::JsonLines)) => {
                let mut text = String::new();
                reader
                    .take(METADATA_MAX)
                    .read_to_string(&mut text)
                    .map_err(io)?;
                self.metadata(&namespace(&own), &text)
            }
            (_, Some(Layout::Archive)) => self.archive(&mut reader),
            (Some(Named::Documents(own)), Some(_)) if is_nested => {
                self.nested(&database, &own, &mut reader)
            }
            (Some(Named::Documents(own)), Some(layout)) => {
                self.documents(&namespace(&own), layout, &mut reader)
            }
            (Some(Named::Documents(own)), None) if begin.is_empty() && documents => {
                // A collection without documents.
                let own = self.held.collection(&namespace(&own));
                own.documents.get_or_insert(0);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// What a collection is like: its options, its indexes.
    fn metadata(&mut self, namespace: &str, text: &str) -> Result<()> {
        let value: Value = serde_json::from_str(text)
            .map_err(|error| Error::damage("what a collection is like is no JSON").cause(error))?;
        let own = self.held.collection(namespace);
        if let Some(uuid) = value.get("uuid").and_then(Value::as_str)
            && let Some(bytes) = from_hex(&uuid.replace('-', ""))
        {
            own.uuid = bytes.try_into().ok();
        }
        let raw = extended_json::to_bson(value)?;
        let raw = Document::whole(&raw)?;
        if let Some(options) = raw
            .get(b"options")?
            .filter(|own| own.kind == kind::DOCUMENT)
        {
            own.options = options.value.to_vec();
        }
        if let Some(indexes) = raw.get(b"indexes")?.filter(|own| own.kind == kind::ARRAY) {
            let each = Document::whole(indexes.value)?.elements();
            own.indexes = each
                .filter(|index| {
                    !index
                        .as_ref()
                        .is_ok_and(|index| index.kind != kind::DOCUMENT)
                })
                .map(|index| index.map(|index| RawDocument(index.value.to_vec())))
                .collect::<Result<_>>()?;
        }
        let options = Document::whole(&own.options)?;
        let has = |name: &[u8]| options.get(name).map(|own| own.is_some());
        let capped = options.get(b"capped")?.is_some_and(|own| own.value == [1]);
        own.kind = if has(b"viewOn")? {
            CollectionKind::View
        } else if has(b"timeseries")? {
            CollectionKind::TimeSeries
        } else if capped {
            CollectionKind::Capped
        } else {
            CollectionKind::Plain
        };
        Ok(())
    }

    fn archive(&mut self, reader: &mut dyn Read) -> Result<()> {
        let mut open: BTreeMap<String, Gathered> = BTreeMap::new();
        let mut last = String::new();
        archive::read(reader, &mut |event| {
            self.progress.go_on()?;
            let (Event::Collection { namespace, .. } | Event::Document { namespace, .. }) = &event;
            let (database, name) = namespace.split_once('.').unwrap_or_default();
            // The oplog, which is of no database, and users and roles of one.
            if database.is_empty() || name.starts_with('$') {
                if matches!(event, Event::Collection { .. }) {
                    let what = format!("{namespace} is no collection, and is left aside");
                    self.progress.note(&what);
                }
                return Ok(());
            }
            match event {
                Event::Collection {
                    namespace,
                    metadata,
                } => {
                    self.held.collection(&namespace);
                    match metadata.is_empty() {
                        true => Ok(()),
                        false => self.metadata(&namespace, &metadata),
                    }
                }
                Event::Document { namespace, bytes } => {
                    if namespace != last {
                        // Another collection's block: what the one before it holds in memory is not asked for soon.
                        if let Some(before) = open.get_mut(&last) {
                            before.sorter.lay_by()?;
                        }
                        last.clone_from(&namespace);
                    }
                    if !open.contains_key(&namespace) {
                        let capped =
                            self.held.collection(&namespace).kind == CollectionKind::Capped;
                        open.insert(namespace.clone(), Gathered::new(self.repository, capped));
                    }
                    match open.get_mut(&namespace) {
                        Some(own) => own.push(&bytes),
                        None => Ok(()),
                    }
                }
            }
        })?;
        open.into_iter()
            .try_for_each(|(namespace, own)| self.held.put(&namespace, own))
    }

    /// JSON as older scripts left it.
    fn nested(&mut self, database: &str, stem: &str, reader: &mut dyn Read) -> Result<()> {
        let mut text = Vec::new();
        let io = |error| Error::damage("a file that cannot be read").cause(error);
        let mut some = reader.take(NESTED_MAX + 1);
        some.read_to_end(&mut text).map_err(io)?;
        if text.len() as u64 > NESTED_MAX {
            let what =
                format!("{stem} has no _ids and is too large to be divided, and is left aside");
            self.progress.note(&what);
            return Ok(());
        }
        let database = database_of(database);
        for own in nested::collections(nested::values(&text)?, stem) {
            let mut gathered = Gathered::new(self.repository, false);
            for document in own.documents {
                self.progress.go_on()?;
                let bytes = extended_json::to_bson(document)?;
                if bytes.len() <= DOCUMENT_BYTES_MAX {
                    gathered.push(&bytes)?;
                } else {
                    let what = format!("{}: a record of more than 16 MiB is left out", own.name);
                    self.progress.note(&what);
                }
            }
            self.held
                .put(&format!("{database}.{}", own.name), gathered)?;
        }
        Ok(())
    }

    fn documents(&mut self, namespace: &str, layout: Layout, reader: &mut dyn Read) -> Result<()> {
        let capped = self.held.collection(namespace).kind == CollectionKind::Capped;
        let mut gathered = Gathered::new(self.repository, capped);
        match layout {
            Layout::Bson | Layout::Archive => {
                while let Some(bytes) = next_document(reader)? {
                    self.progress.go_on()?;
                    gathered.push(&bytes)?;
                }
            }
            Layout::JsonLines => {
                let all = serde_json::Deserializer::from_reader(reader).into_iter::<Value>();
                for value in all {
                    self.progress.go_on()?;
                    gathered.push(&extended_json::to_bson(value.map_err(no_json)?)?)?;
                }
            }
            Layout::JsonArray => {
                let mut failed = None;
                let each = Each(&mut |value| {
                    let pushed = self
                        .progress
                        .go_on()
                        .and_then(|()| extended_json::to_bson(value))
                        .and_then(|bytes| gathered.push(&bytes));
                    pushed.map_err(|error| failed = Some(error)).is_ok()
                });
                let mut all = serde_json::Deserializer::from_reader(reader);
                let read = each.deserialize(&mut all).and_then(|()| all.end());
                if let Some(error) = failed {
                    return Err(error);
                }
                read.map_err(no_json)?;
            }
        }
        self.held.put(namespace, gathered)
    }
}

/// Whether JSON begins with a document whose first field is its `_id`, as those that came out of a database do.
fn begins_with_id(bytes: &[u8]) -> bool {
    let words = bytes.iter().filter(|byte| !byte.is_ascii_whitespace());
    let words: Vec<u8> = words.take(7).copied().collect();
    let words = words.strip_prefix(b"[").unwrap_or(&words);
    words.starts_with(b"{\"_id\"")
}

/// A folder's name as a database may have it.
fn database_of(folder: &str) -> String {
    let plain = |c: char| match is_database(c.encode_utf8(&mut [0; 4])) {
        true => c,
        false => '_',
    };
    let own: String = folder.chars().map(plain).collect();
    let mut own = own.trim_matches('_').to_owned();
    while own.len() >= 64 {
        own.pop();
    }
    match own.is_empty() {
        true => "files".into(),
        false => own,
    }
}

fn no_json(error: serde_json::Error) -> Error {
    Error::damage("not JSON from its beginning to its end").cause(error)
}

/// Takes each member of a JSON array as it is read; stops where told.
struct Each<'e>(&'e mut dyn FnMut(Value) -> bool);

impl<'de> DeserializeSeed<'de> for Each<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> std::result::Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Each<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an array of documents")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut all: A) -> std::result::Result<(), A::Error> {
        while let Some(value) = all.next_element()? {
            if !(self.0)(value) {
                return Err(serde::de::Error::custom("stopped"));
            }
        }
        Ok(())
    }
}
