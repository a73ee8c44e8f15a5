//! What became of the documents: of each that was touched, all its changes in order, done to what the snapshot holds.

use std::collections::HashMap;

use super::diff;
use crate::chunk::Cutter;
use crate::error::{Error, Kind, Result};
use crate::format::bson::{Document, Element};
use crate::format::deployment::{Collection, CollectionKind};
use crate::format::placed::{placed, unplaced};
use crate::format::run::Run;
use crate::progress::Progress;
use crate::repository::{Finder, Repository, Stored, key_of};
use crate::snapshot::{Record, RunBuilder, ScratchPutter, Sorter};
use crate::source::mongo::command::only_id;
use crate::source::mongo::operation::Operation;
use crate::source::mongo::oplog::Uuid;

/// What happened to a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change<'a> {
    /// It is this, whatever was there.
    Put(&'a [u8]),
    /// It was there and is this.
    Replace(&'a [u8]),
    /// It was there and changed so.
    Diff(&'a [u8]),
    /// It is not there.
    Delete,
}

impl<'a> Change<'a> {
    /// What an operation on a document does to it; none where it says nothing.
    pub(super) fn of(own: &Operation<'a>) -> Result<Option<Self>> {
        Ok(match own.op {
            b"i" => Some(Change::Put(own.body.bytes())),
            b"d" => Some(Change::Delete),
            b"u" => match (own.body.get(b"$v")?, own.body.get(b"diff")?) {
                (Some(_), Some(diff)) => Some(Change::Diff(diff.value)),
                (None, _) => Some(Change::Replace(own.body.bytes())),
                _ => return Err(unknown("an update of before MongoDB 5.0")),
            },
            b"n" | b"ci" | b"cd" | b"cu" | b"km" => None,
            other => return Err(unknown(&String::from_utf8_lossy(other))),
        })
    }
}

fn unknown(what: &str) -> Error {
    Error::new(
        Kind::Unsupported,
        format!("an oplog entry that this version cannot replay: {what}"),
    )
}

/// What a document is after a change; none where it is not there.
///
/// # Errors
/// [`Kind::Damage`] for a change of what is not there.
pub(super) fn changed(change: Change<'_>, own: Option<Vec<u8>>) -> Result<Option<Vec<u8>>> {
    let missing = || {
        Error::damage("the oplog changes a document that is not there").hint(
            "something is lacking between the snapshot and what was recorded: choose another moment",
        )
    };
    Ok(match change {
        Change::Put(body) => Some(diff::id_first(Document::whole(body)?)?),
        Change::Delete => None,
        Change::Replace(body) => {
            own.ok_or_else(missing)?;
            Some(diff::id_first(Document::whole(body)?)?)
        }
        Change::Diff(diff) => {
            let own = own.ok_or_else(missing)?;
            Some(diff::apply(Document::whole(&own)?, Document::whole(diff)?)?)
        }
    })
}

/// A change of the document of that `_id`, the `number`th of all.
pub(super) fn encoded(number: u64, id: &Element<'_>, change: Change<'_>) -> Vec<u8> {
    let (sort, body): (u8, &[u8]) = match change {
        Change::Put(body) => (0, body),
        Change::Replace(body) => (1, body),
        Change::Diff(body) => (2, body),
        Change::Delete => (3, &[]),
    };
    let mut value = number.to_le_bytes().to_vec();
    value.extend_from_slice(&[sort, id.kind]);
    value.extend_from_slice(&(id.value.len() as u32).to_le_bytes());
    value.extend_from_slice(id.value);
    value.extend_from_slice(body);
    value
}

fn decoded(value: &[u8]) -> Option<(u64, Element<'_>, Change<'_>)> {
    let (number, rest) = value.split_first_chunk()?;
    let ([sort, kind], rest) = rest.split_first_chunk()?;
    let (length, rest) = rest.split_first_chunk()?;
    let (id, body) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    let id = Element {
        kind: *kind,
        name: b"_id",
        value: id,
    };
    let change = match sort {
        0 => Change::Put(body),
        1 => Change::Replace(body),
        2 => Change::Diff(body),
        _ => Change::Delete,
    };
    Some((u64::from_le_bytes(*number), id, change))
}

/// Changes of one document, in order.
type Changes = Vec<Vec<u8>>;

/// A document that came since.
struct Came {
    /// When, by the number of the change.
    number: u64,
    bytes: Vec<u8>,
}

/// See the module.
pub(super) struct Documents<'r> {
    pub(super) repository: &'r Repository,
    pub(super) progress: &'r dyn Progress,
    pub(super) cutter: &'r Cutter,
    pub(super) needing: &'r HashMap<Uuid, u64>,
    pub(super) emptied: &'r HashMap<Uuid, u64>,
}

/// What a document is after its changes, and with which of them it last came to be; `before` is asked only where it matters.
fn after(
    changes: &[Vec<u8>],
    void: u64,
    before: &mut dyn FnMut() -> Result<Option<Vec<u8>>>,
) -> Result<(Option<Vec<u8>>, u64)> {
    let mut known: Option<Option<Vec<u8>>> = (void > 0).then_some(None);
    let mut came = 0;
    for change in changes {
        let (number, _, change) =
            decoded(change).ok_or_else(|| Error::damage("a change that cannot be read"))?;
        if number <= void {
            continue;
        }
        if matches!(change, Change::Put(_)) && !matches!(known, Some(Some(_))) {
            came = number;
        }
        // Only what changes a document must know what it was.
        let own = match (known.take(), change) {
            (Some(own), _) => own,
            (None, Change::Replace(_) | Change::Diff(_)) => before()?,
            (None, _) => None,
        };
        known = Some(changed(change, own)?);
    }
    Ok((known.flatten(), came))
}

impl Documents<'_> {
    /// Gives each collection the run that its changes make.
    pub(super) fn run(&mut self, changes: Sorter, collections: &mut [Collection]) -> Result<()> {
        let mut places: HashMap<Uuid, usize> = HashMap::new();
        for (at, collection) in collections.iter_mut().enumerate() {
            if let Some(uuid) = &collection.uuid {
                places.insert(*uuid, at);
                if self.emptied.contains_key(uuid) {
                    collection.runs = Vec::new();
                }
            }
            // Nobody counted.
            if matches!(
                collection.kind,
                CollectionKind::Plain | CollectionKind::Capped
            ) {
                collection.documents = None;
            }
        }
        let records: Box<dyn Iterator<Item = Result<Record>>> = Box::new(changes.sorted()?);
        let mut records = records.peekable();
        while let Some(first) = records.next() {
            let (sorted, value) = first?;
            let uuid: Uuid = *sorted
                .first_chunk()
                .ok_or_else(|| Error::damage("a change that cannot be read"))?;
            let mut of_collection = Group {
                uuid,
                held: Some((sorted, value)),
                records: &mut records,
            };
            match places.get(&uuid) {
                None => while of_collection.next_document()?.is_some() {},
                Some(at) => {
                    let own = &mut collections[*at];
                    let runs = match own.kind {
                        CollectionKind::Capped => self.capped(own, &mut of_collection),
                        _ => self.plain(own, &mut of_collection),
                    };
                    let namespace = || own.namespace.clone();
                    let runs = runs.map_err(|error| error.or_subject(namespace))?;
                    own.runs = runs;
                }
            }
        }
        Ok(())
    }

    fn plain(&self, own: &Collection, changes: &mut Group<'_, '_>) -> Result<Vec<Run>> {
        let uuid = own.uuid.unwrap_or_default();
        let void = self.emptied.get(&uuid).copied().unwrap_or(0);
        let needed = self.needing.get(&uuid).copied().unwrap_or(0);
        let mut before = Finder::new(self.repository, &own.runs, needed);
        let mut putter = ScratchPutter(self.repository);
        let mut documents = RunBuilder::new(self.cutter);
        let mut deleted = RunBuilder::new(self.cutter);
        // What a replacement put under an `_id` that the server takes for the same.
        let mut beside: Vec<Stored> = Vec::new();
        while let Some((key, changes)) = changes.next_document()? {
            self.progress.go_on()?;
            let (became, _) = after(&changes, void, &mut || before.find(&key))?;
            let same = match &became {
                Some(bytes) => {
                    let own_key = key_of(Document::whole(bytes)?)?;
                    let same = own_key == key;
                    if !same {
                        beside.push(Stored {
                            key: own_key,
                            bytes: bytes.clone(),
                        });
                    }
                    same
                }
                None => false,
            };
            match became {
                Some(bytes) if same => {
                    documents.push(&mut putter, key, Document::whole(&bytes)?)?;
                }
                _ => {
                    let id = changes.last().and_then(|change| decoded(change));
                    if let Some((_, id, _)) = id {
                        deleted.push(&mut putter, key, Document::whole(&only_id(&id))?)?;
                    }
                }
            }
        }
        beside.sort_by(|left, right| left.key.cmp(&right.key));
        let mut others = RunBuilder::new(self.cutter);
        for stored in beside {
            others.push(&mut putter, stored.key, Document::whole(&stored.bytes)?)?;
        }
        let newest = [
            Run {
                documents: others.finish(&mut putter)?,
                ..Run::default()
            },
            Run {
                documents: documents.finish(&mut putter)?,
                deleted: deleted.finish(&mut putter)?,
                extensions: Vec::new(),
            },
        ];
        let some = |run: &Run| run.documents.is_some() || run.deleted.is_some();
        let newest = newest.into_iter().filter(some);
        Ok(newest.chain(own.runs.iter().cloned()).collect())
    }

    /// Capped: what is there stays in its place, what came stands behind it.
    fn capped(&self, own: &Collection, changes: &mut Group<'_, '_>) -> Result<Vec<Run>> {
        let uuid = own.uuid.unwrap_or_default();
        let void = self.emptied.get(&uuid).copied().unwrap_or(0);
        let mut changed: HashMap<Vec<u8>, Changes> = HashMap::new();
        while let Some((key, changes)) = changes.next_document()? {
            changed.insert(key, changes);
        }
        let mut putter = ScratchPutter(self.repository);
        let mut documents = RunBuilder::new(self.cutter);
        let mut came = Vec::new();
        let mut behind = 0;
        let push =
            |builder: &mut RunBuilder<'_>, putter: &mut ScratchPutter<'_>, place, bytes: &[u8]| {
                let placed = placed(place, Document::whole(bytes)?);
                let placed = Document::whole(&placed)?;
                builder.push(putter, key_of(placed)?, placed)
            };
        for stored in self.repository.collection(&own.runs) {
            self.progress.go_on()?;
            let stored = stored?;
            let (place, document) = unplaced(Document::whole(&stored.bytes)?)?;
            behind = place + 1;
            let Some(changes) = changed.remove(&key_of(document)?) else {
                push(&mut documents, &mut putter, place, document.bytes())?;
                continue;
            };
            let mut own = || Ok(Some(document.bytes().to_vec()));
            match after(&changes, void, &mut own)? {
                (Some(bytes), 0) => push(&mut documents, &mut putter, place, &bytes)?,
                (Some(bytes), number) => came.push(Came { number, bytes }),
                (None, _) => {}
            }
        }
        for changes in changed.into_values() {
            if let (Some(bytes), number) = after(&changes, void, &mut || Ok(None))? {
                came.push(Came { number, bytes });
            }
        }
        came.sort_by_key(|came| came.number);
        for (place, came) in (behind..).zip(came) {
            push(&mut documents, &mut putter, place, &came.bytes)?;
        }
        let documents = documents.finish(&mut putter)?;
        Ok(documents
            .map(|sorted| Run {
                documents: Some(sorted),
                ..Run::default()
            })
            .into_iter()
            .collect())
    }
}

/// The changes of one collection, document by document.
struct Group<'g, 'i> {
    uuid: Uuid,
    held: Option<Record>,
    records: &'g mut std::iter::Peekable<Box<dyn Iterator<Item = Result<Record>> + 'i>>,
}

impl Group<'_, '_> {
    /// The next document's key and its changes in order.
    fn next_document(&mut self) -> Result<Option<(Vec<u8>, Changes)>> {
        let first = match self.held.take() {
            Some(first) => first,
            None => match self.follows(None)? {
                Some(first) => first,
                None => return Ok(None),
            },
        };
        let mut changes = vec![first.1];
        while let Some((_, change)) = self.follows(Some(&first.0))? {
            changes.push(change);
        }
        Ok(Some((first.0[16..].to_vec(), changes)))
    }

    /// The next record, where it is of this collection, and of that key.
    fn follows(&mut self, of: Option<&[u8]>) -> Result<Option<Record>> {
        let fits = match self.records.peek() {
            Some(Ok((sorted, _))) => {
                sorted.starts_with(&self.uuid) && of.is_none_or(|own| own == &sorted[..])
            }
            Some(Err(_)) => true,
            None => false,
        };
        match fits {
            true => self.records.next().transpose(),
            false => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::format::bson::kind;
    use crate::source::mongo::command::Builder;

    fn change(number: u64, change: Change<'_>) -> Vec<u8> {
        let id = Element {
            kind: kind::INT32,
            name: b"_id",
            value: &[1, 0, 0, 0],
        };
        let value = encoded(number, &id, change);
        assert_eq!(decoded(&value).unwrap(), (number, id, change));
        value
    }

    #[test]
    fn changes_are_done_in_order_and_never_to_what_is_not_there() {
        let of = |x: i32| Builder::new().int32("_id", 1).int32("x", x).finish();
        let diff = Builder::new()
            .document("u", Builder::new().int32("x", 9))
            .finish();
        let (one, two) = (of(1), of(2));
        let put = |number| change(number, Change::Put(&one));
        let (delete, diff) = (change(5, Change::Delete), change(6, Change::Diff(&diff)));
        let none = || Ok(None);
        let held = || Ok(Some(of(1)));
        let done =
            |changes: &[Vec<u8>], void, mut before: Box<dyn FnMut() -> Result<Option<Vec<u8>>>>| {
                after(changes, void, &mut *before)
            };
        assert_eq!(
            done(&[put(1), diff.clone()], 0, Box::new(none)).unwrap(),
            (Some(of(9)), 1)
        );
        assert_eq!(
            done(std::slice::from_ref(&diff), 0, Box::new(held)).unwrap(),
            (Some(of(9)), 0)
        );
        let replace = change(7, Change::Replace(&two));
        assert_eq!(
            done(std::slice::from_ref(&replace), 0, Box::new(held)).unwrap(),
            (Some(of(2)), 0)
        );
        assert_eq!(
            done(&[put(1), delete.clone()], 0, Box::new(held))
                .unwrap()
                .0,
            None
        );
        for lost in [
            vec![delete, diff.clone()],
            vec![diff.clone()],
            vec![replace],
        ] {
            let failed = done(&lost, 0, Box::new(none)).unwrap_err();
            assert_eq!(failed.kind(), Kind::Damage);
        }
        // All went at 6: what was before is void, and so is what was done up to then.
        assert_eq!(
            done(&[put(1), diff, put(7)], 6, Box::new(held)).unwrap(),
            (Some(of(1)), 7)
        );
    }
}
