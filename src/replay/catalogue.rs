//! The catalogue as it changes: collections made, dropped, renamed, their options, their indexes, views.

use std::collections::{BTreeMap, HashMap};

use super::diff::{self, with};
use crate::error::{Error, Kind, Result};
use crate::format::bson::{Document, Element, kind};
use crate::format::deployment::{Collection, CollectionKind, RawDocument};
use crate::source::mongo::Selection;
use crate::source::mongo::answer::text;
use crate::source::mongo::command::Builder;
use crate::source::mongo::operation::Operation;
use crate::source::mongo::oplog::{Uuid, uuid_of};

/// Fields of `create` that are no options.
const NO_OPTIONS: [&[u8]; 2] = [b"create", b"idIndex"];
const BUCKETS: &str = "system.buckets.";

/// Collections by their namespaces.
pub(super) struct Model {
    collections: BTreeMap<String, Collection>,
    names: HashMap<Uuid, String>,
    /// What cannot be told exactly.
    pub(super) notes: Vec<String>,
}

fn element<'a>(document: Document<'a>, name: &str) -> Result<Option<Element<'a>>> {
    document.get(name.as_bytes())
}

fn word(document: Document<'_>, name: &str) -> Result<Option<String>> {
    Ok(element(document, name)?.as_ref().and_then(text))
}

/// All fields but some, from the second on.
fn without(document: Document<'_>, names: &[&[u8]]) -> Result<Vec<u8>> {
    let mut rest = Builder::new();
    for field in document.elements() {
        let field = field?;
        if !names.contains(&field.name) {
            rest = rest.raw(field.kind, field.name, field.value);
        }
    }
    Ok(rest.finish())
}

fn name_of(index: &RawDocument) -> Option<String> {
    let index = Document::whole(&index.0).ok()?;
    word(index, "name").ok()?
}

impl Model {
    /// As it was at first.
    pub(super) fn new(all: Vec<Collection>) -> Self {
        let mut model = Self {
            collections: BTreeMap::new(),
            names: HashMap::new(),
            notes: Vec::new(),
        };
        all.into_iter().for_each(|collection| model.put(collection));
        model
    }

    fn put(&mut self, collection: Collection) {
        let name = collection.namespace.clone();
        self.names
            .extend(collection.uuid.map(|uuid| (uuid, name.clone())));
        self.collections.insert(name, collection);
    }

    fn take(&mut self, namespace: &str) -> Option<Collection> {
        let taken = self.collections.remove(namespace)?;
        if let Some(uuid) = &taken.uuid {
            self.names.remove(uuid);
        }
        Some(taken)
    }

    /// Leaves out what is not taken: of that nothing is known from here on.
    pub(super) fn retain(&mut self, selection: &Selection) {
        let out: Vec<String> = self
            .collections
            .values()
            .filter(|own| !selection.takes(own.database(), own.name()))
            .map(|own| own.namespace.clone())
            .collect();
        for namespace in out {
            self.take(&namespace);
            self.notes.push(format!(
                "{namespace} is left out: its changes were not recorded"
            ));
        }
    }

    /// The collection of that id, where it is there.
    pub(super) fn of(&self, uuid: &Uuid) -> Option<&Collection> {
        self.collections.get(self.names.get(uuid)?)
    }

    fn own(&mut self, uuid: &Uuid) -> Option<&mut Collection> {
        self.collections.get_mut(self.names.get(uuid)?)
    }

    /// All that is there now.
    ///
    /// # Errors
    /// [`Kind::Damage`] for options that are none.
    pub(super) fn finish(mut self) -> Result<Vec<Collection>> {
        // A series is what its buckets are like by now.
        let series = self.collections.values();
        let series: Vec<String> = series
            .filter(|own| own.kind == CollectionKind::TimeSeries)
            .map(|own| own.namespace.clone())
            .collect();
        for namespace in series {
            let (database, name) = namespace.split_once('.').unwrap_or_default();
            let buckets = self.collections.get(&format!("{database}.{BUCKETS}{name}"));
            let options = buckets
                .map(|buckets| of_series(&buckets.options))
                .transpose()?;
            if let (Some(options), Some(own)) = (options, self.collections.get_mut(&namespace)) {
                own.options = options;
            }
        }
        Ok(self.collections.into_values().collect())
    }

    /// A view came, changed or went.
    pub(super) fn view(&mut self, operation: &Operation<'_>) -> Result<()> {
        let id = operation.id()?.as_ref().and_then(text);
        let id = id.ok_or_else(|| Error::damage("a view in the oplog without a name"))?;
        let definition = match operation.op {
            b"d" => {
                self.take(&id);
                return Ok(());
            }
            b"u" => match self.collections.get(&id) {
                Some(view) if element(operation.body, "$v")?.is_some() => {
                    let before = Builder::new().string("_id", &id).finish();
                    let mut before = before;
                    for field in Document::whole(&view.options)?.elements() {
                        let field = field?;
                        let to = Some((field.kind, field.value));
                        before = with(Document::whole(&before)?, field.name, to)?;
                    }
                    let diff = element(operation.body, "diff")?;
                    let diff = diff.ok_or_else(|| Error::damage("an update without a change"))?;
                    diff::apply(Document::whole(&before)?, Document::whole(diff.value)?)?
                }
                _ => operation.body.bytes().to_vec(),
            },
            _ => operation.body.bytes().to_vec(),
        };
        let options = without(Document::whole(&definition)?, &[b"_id"])?;
        let on = word(Document::whole(&options)?, "viewOn")?;
        let (database, name) = id.split_once('.').unwrap_or_default();
        let buckets = on
            .as_deref()
            .and_then(|on| on.strip_prefix(BUCKETS))
            .is_some_and(|own| own == name);
        let collection = if buckets {
            let below = self.collections.get(&format!("{database}.{BUCKETS}{name}"));
            let below = below.map_or(&b"\x05\0\0\0\0"[..], |below| &below.options);
            Collection {
                options: of_series(below)?,
                kind: CollectionKind::TimeSeries,
                ..Collection::named(id)
            }
        } else {
            Collection {
                options,
                kind: CollectionKind::View,
                ..Collection::named(id)
            }
        };
        self.put(collection);
        Ok(())
    }

    /// A command; the collection whose documents all went, where they did.
    pub(super) fn command(
        &mut self,
        operation: &Operation<'_>,
        selection: &Selection,
    ) -> Result<Option<Uuid>> {
        let (command, name) = operation.command()?;
        let body = operation.body;
        let namespace = format!("{}.{name}", operation.database());
        let takes = selection.takes(operation.database(), &name);
        match command {
            b"create" if takes => self.create(&namespace, operation.uuid, body)?,
            b"create" | b"dbCheck" => {}
            b"dropDatabase" => self.drop_within(operation.database(), &|_| true),
            // All of them at once.
            b"drop" if name == "system.views" => {
                self.drop_within(operation.database(), &|own| own.uuid.is_none());
            }
            b"startIndexBuild" | b"abortIndexBuild" => {}
            b"drop" => {
                if let Some(uuid) = operation.uuid {
                    let held = self.names.get(&uuid).cloned();
                    self.take(&held.unwrap_or(namespace));
                    return Ok(Some(uuid));
                }
                self.take(&namespace);
            }
            b"emptycapped" | b"truncateRange" => return Ok(operation.uuid),
            b"renameCollection" => return self.rename(operation, selection),
            b"collMod" => {
                if let Some(own) = operation.uuid.and_then(|uuid| self.own(&uuid)) {
                    modify(own, body)?;
                }
            }
            b"createIndexes" => {
                let index = without(body, &[b"createIndexes"])?;
                self.index(operation.uuid, index);
            }
            b"commitIndexBuild" => {
                let indexes = element(body, "indexes")?;
                let indexes = indexes.ok_or_else(|| Error::damage("an index build of nothing"))?;
                for index in Document::whole(indexes.value)?.elements() {
                    self.index(operation.uuid, index?.value.to_vec());
                }
            }
            b"dropIndexes" | b"deleteIndexes" | b"dropIndex" | b"deleteIndex" => {
                let gone = word(body, "index")?;
                if let Some(own) = operation.uuid.and_then(|uuid| self.own(&uuid)) {
                    let is_id = |index: &RawDocument| name_of(index).as_deref() == Some("_id_");
                    match gone.as_deref() {
                        Some("*") => own.indexes.retain(is_id),
                        gone => own
                            .indexes
                            .retain(|index| name_of(index).as_deref() != gone),
                    }
                }
            }
            other => {
                return Err(Error::new(
                    Kind::Unsupported,
                    format!(
                        "an oplog entry that this version cannot replay: {}",
                        other.escape_ascii()
                    ),
                )
                .subject(namespace));
            }
        }
        Ok(None)
    }

    fn drop_within(&mut self, database: &str, which: &dyn Fn(&Collection) -> bool) {
        let all = self.collections.values();
        let gone: Vec<String> = all
            .filter(|own| own.database() == database && which(own))
            .map(|own| own.namespace.clone())
            .collect();
        for namespace in gone {
            self.take(&namespace);
        }
    }

    fn create(&mut self, namespace: &str, uuid: Option<Uuid>, body: Document<'_>) -> Result<()> {
        let options = without(body, &NO_OPTIONS)?;
        let capped = element(Document::whole(&options)?, "capped")?;
        let index = element(body, "idIndex")?;
        self.put(Collection {
            kind: match capped.is_some_and(|capped| capped.value == [1]) {
                true => CollectionKind::Capped,
                false => CollectionKind::Plain,
            },
            uuid,
            options,
            indexes: index
                .map(|index| RawDocument(index.value.to_vec()))
                .into_iter()
                .collect(),
            ..Collection::named(namespace)
        });
        Ok(())
    }

    fn rename(&mut self, operation: &Operation<'_>, selection: &Selection) -> Result<Option<Uuid>> {
        let to = word(operation.body, "to")?.unwrap_or_default();
        let target = element(operation.body, "dropTarget")?;
        let target = target.as_ref().and_then(uuid_of);
        if let Some(uuid) = &target
            && let Some(name) = self.names.get(uuid).cloned()
        {
            self.take(&name);
        }
        let (database, name) = to.split_once('.').unwrap_or_default();
        let takes = selection.takes(database, name);
        let from = operation
            .uuid
            .and_then(|uuid| self.names.get(&uuid).cloned());
        match from.and_then(|from| self.take(&from)) {
            Some(own) if takes => {
                self.take(&to);
                let stays = element(operation.body, "stayTemp")?;
                let options = match stays.is_some_and(|stays| stays.value == [1]) {
                    true => own.options,
                    false => with(Document::whole(&own.options)?, b"temp", None)?,
                };
                self.put(Collection {
                    namespace: to,
                    options,
                    ..own
                });
            }
            // Whatever becomes of it under a name that is not taken nobody recorded.
            Some(_) => {}
            None if takes => {
                self.take(&to);
                self.notes.push(format!(
                    "{to} is left out: it was renamed to that from a name that was not recorded"
                ));
            }
            None => {}
        }
        Ok(target)
    }

    fn index(&mut self, uuid: Option<Uuid>, index: Vec<u8>) {
        let index = RawDocument(index);
        let Some(own) = uuid.and_then(|uuid| self.own(&uuid)) else {
            return;
        };
        own.indexes
            .retain(|other| name_of(other) != name_of(&index));
        own.indexes.push(index);
        let series = own.name().strip_prefix(BUCKETS).map(str::to_owned);
        if let Some(series) = series {
            let note = format!(
                "{}.{series}: an index that came later is not made",
                own.database()
            );
            self.notes.push(note);
        }
    }
}

/// Options of a series, from those of its buckets.
fn of_series(buckets: &[u8]) -> Result<Vec<u8>> {
    let own = [
        &b"validator"[..],
        b"validationLevel",
        b"validationAction",
        b"clusteredIndex",
    ];
    without(Document::whole(buckets)?, &own)
}

/// `collMod`.
fn modify(own: &mut Collection, body: Document<'_>) -> Result<()> {
    for field in body.elements().skip(1) {
        let field = field?;
        let name = match field.name {
            b"index" => {
                modify_index(own, Document::whole(field.value)?)?;
                continue;
            }
            b"timeseries" if field.kind == kind::DOCUMENT => {
                // Only what changes is named.
                let held = element(Document::whole(&own.options)?, "timeseries")?;
                let mut merged =
                    held.map_or_else(|| Builder::new().finish(), |held| held.value.to_vec());
                for part in Document::whole(field.value)?.elements() {
                    let part = part?;
                    let to = Some((part.kind, part.value));
                    merged = with(Document::whole(&merged)?, part.name, to)?;
                }
                let to = Some((kind::DOCUMENT, &merged[..]));
                own.options = with(Document::whole(&own.options)?, b"timeseries", to)?;
                continue;
            }
            b"cappedSize" => &b"size"[..],
            b"cappedMax" => b"max",
            name => name,
        };
        let gone = field.kind == kind::DOCUMENT && field.value == b"\x05\0\0\0\0"
            || field.kind == kind::STRING && name == b"expireAfterSeconds";
        let to = (!gone).then_some((field.kind, field.value));
        own.options = with(Document::whole(&own.options)?, name, to)?;
    }
    // The server writes out what a validator has where nobody said.
    let about = |name: &str| element(body, name).map(|found| found.is_some());
    if about("validator")? || about("validationLevel")? || about("validationAction")? {
        for (name, default) in [("validationLevel", "strict"), ("validationAction", "error")] {
            let options = Document::whole(&own.options)?;
            if element(options, name)?.is_none() {
                let default = Builder::new().string(name, default).finish();
                if let Some(field) = element(Document::whole(&default)?, name)? {
                    own.options = with(options, field.name, Some((field.kind, field.value)))?;
                }
            }
        }
    }
    Ok(())
}

fn modify_index(own: &mut Collection, change: Document<'_>) -> Result<()> {
    let (name, pattern) = (word(change, "name")?, element(change, "keyPattern")?);
    for index in &mut own.indexes {
        let held = Document::whole(&index.0)?;
        let key = element(held, "key")?;
        let by_name = name.is_some() && word(held, "name")? == name;
        let by_key = match (&pattern, key) {
            (Some(pattern), Some(key)) => pattern.value == key.value,
            _ => false,
        };
        if !by_name && !by_key {
            continue;
        }
        for field in change.elements() {
            let field = field?;
            if matches!(field.name, b"name" | b"keyPattern") {
                continue;
            }
            let no = field.kind == kind::BOOLEAN && field.value == [0];
            let to = (!no).then_some((field.kind, field.value));
            index.0 = with(Document::whole(&index.0)?, field.name, to)?;
        }
    }
    Ok(())
}
