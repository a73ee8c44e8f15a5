//! What an entry of the oplog says was touched: which documents, which collections. Nothing here says what they hold
//! afterwards, for that is read from the server at one time; so too many are harmless and too few are a loss. An entry that
//! is not understood is therefore an error, and never passed over.

use crate::error::{Error, Kind, Result};
use crate::format::bson::{Document, Element, kind};

/// The server's id of a collection.
pub type Uuid = [u8; 16];

/// What an entry did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect<'a> {
    /// A document came, changed or went.
    Touched {
        /// Its collection.
        uuid: Uuid,
        /// Its `_id`.
        id: Element<'a>,
        /// What happened to it.
        how: How<'a>,
    },
    /// A collection, its options or its indexes changed.
    Catalogue {
        /// Database and name with a dot between; nothing behind the dot where it is the whole database.
        namespace: Vec<u8>,
    },
    /// All documents of a collection went, without being named; it may have gone itself.
    Emptied {
        /// The collection.
        uuid: Uuid,
    },
    /// The transaction that this is a part of has earlier ones, the last of them at this time.
    Earlier {
        /// Its cluster time.
        time: u64,
    },
}

/// What happened to a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How<'a> {
    /// It was not there before; this is all of it, where that is told.
    Came(Option<Document<'a>>),
    /// It was there before, and is.
    Changed,
    /// It is not there any more.
    Went,
}

/// Commands that change what exists and touch no document that another entry does not name.
const CATALOGUE: [&[u8]; 13] = [
    b"create",
    b"drop",
    b"dropDatabase",
    b"collMod",
    b"createIndexes",
    b"startIndexBuild",
    b"commitIndexBuild",
    b"abortIndexBuild",
    b"dropIndexes",
    b"deleteIndexes",
    b"dropIndex",
    b"deleteIndex",
    b"convertToCapped",
];

fn unknown(what: &str) -> Error {
    Error::new(
        Kind::Unsupported,
        format!("an oplog entry that this version does not understand: {what}"),
    )
    .hint("--force takes everything anew, from behind it on")
}

/// The cluster time of an entry.
///
/// # Errors
/// [`Kind::Damage`] where it has none.
pub fn time(entry: Document<'_>) -> Result<u64> {
    match entry.get(b"ts")? {
        Some(ts) => timestamp(&ts),
        None => Err(Error::damage("an oplog entry without a time")),
    }
}

/// A cluster time.
///
/// # Errors
/// [`Kind::Damage`] where it is none.
pub(super) fn timestamp(element: &Element<'_>) -> Result<u64> {
    match (element.kind, element.value.first_chunk()) {
        (kind::TIMESTAMP, Some(bytes)) => Ok(u64::from_le_bytes(*bytes)),
        _ => Err(Error::damage("a time that is no timestamp")),
    }
}

/// A string's characters.
pub(super) fn characters<'a>(element: &Element<'a>) -> Option<&'a [u8]> {
    (element.kind == kind::STRING).then(|| element.value.get(4..)?.strip_suffix(&[0]))?
}

/// An embedded document; none where there is none of that name.
///
/// # Errors
/// [`Kind::Damage`] for what is no document.
pub(super) fn inner<'a>(document: Document<'a>, name: &[u8]) -> Result<Option<Document<'a>>> {
    match document.get(name)? {
        Some(element) if element.kind == kind::DOCUMENT => Document::whole(element.value).map(Some),
        _ => Ok(None),
    }
}

/// The collection that an operation belongs to.
pub(super) fn collection(operation: Document<'_>) -> Result<Option<Uuid>> {
    Ok(operation.get(b"ui")?.as_ref().and_then(uuid_of))
}

pub(crate) fn uuid_of(element: &Element<'_>) -> Option<Uuid> {
    let bytes = element.value.get(5..)?;
    (element.kind == kind::BINARY).then(|| bytes.try_into().ok())?
}

/// Tells `visit` all that an entry did, in order.
///
/// # Errors
/// [`Kind::Unsupported`] for what is not understood, [`Kind::Damage`] for what is no entry; whatever `visit` says.
pub fn effects<'a>(
    entry: Document<'a>,
    visit: &mut dyn FnMut(Effect<'a>) -> Result<()>,
) -> Result<()> {
    operation(entry, visit, 0)
}

/// An entry, or an operation inside one.
fn operation<'a>(
    operation: Document<'a>,
    visit: &mut dyn FnMut(Effect<'a>) -> Result<()>,
    depth: u32,
) -> Result<()> {
    let op = operation.get(b"op")?;
    let op = op.as_ref().and_then(characters).unwrap_or_default();
    let namespace = operation.get(b"ns")?;
    let namespace = namespace.as_ref().and_then(characters).unwrap_or_default();
    let field: &[u8] = match op {
        b"i" | b"d" => b"o",
        b"u" => b"o2",
        b"n" => return Ok(()),
        b"c" => return command(operation, visit, depth),
        // Containers of the storage engine that hold nothing of a user's.
        b"ci" | b"cd" | b"cu" | b"km" => return Ok(()),
        _ => return Err(unknown(&String::from_utf8_lossy(op))),
    };
    let name = namespace.splitn(2, |byte| *byte == b'.').nth(1);
    if name == Some(b"system.views") {
        return visit(Effect::Catalogue {
            namespace: within(namespace, b""),
        });
    }
    let Some(uuid) = collection(operation)? else {
        return Err(unknown("an operation without a collection's id"));
    };
    let document = inner(operation, field)?;
    let id = match document {
        Some(of) => of.get(b"_id")?,
        None => None,
    };
    let Some(id) = id else {
        // Collections of the server's own may have no `_id`.
        if namespace.starts_with(b"config.") || namespace.starts_with(b"local.") {
            return Ok(());
        }
        return Err(unknown("an operation that names no _id"));
    };
    let how = match (op, document) {
        (b"i", document) => How::Came(document),
        (b"d", _) => How::Went,
        _ => How::Changed,
    };
    visit(Effect::Touched { uuid, id, how })
}

/// A name in the database of that namespace.
fn within(namespace: &[u8], name: &[u8]) -> Vec<u8> {
    let database = namespace.split(|byte| *byte == b'.').next();
    [database.unwrap_or_default(), b".", name].concat()
}

fn command<'a>(
    entry: Document<'a>,
    visit: &mut dyn FnMut(Effect<'a>) -> Result<()>,
    depth: u32,
) -> Result<()> {
    let Some(body) = inner(entry, b"o")? else {
        return Err(Error::damage("a command in the oplog without a body"));
    };
    let Some(first) = body.elements().next().transpose()? else {
        return Err(unknown("an empty command"));
    };
    match first.name {
        b"applyOps" => {
            // The server nests no deeper than this either.
            if depth > 16 || first.kind != kind::ARRAY {
                return Err(unknown("applyOps of a shape that it cannot have"));
            }
            for nested in Document::whole(first.value)?.elements() {
                let nested = nested?;
                operation(Document::whole(nested.value)?, visit, depth + 1)?;
            }
            earlier(entry, visit)
        }
        b"commitTransaction" => earlier(entry, visit),
        b"abortTransaction" | b"dbCheck" => Ok(()),
        b"emptycapped" | b"truncateRange" => match collection(entry)? {
            Some(uuid) => visit(Effect::Emptied { uuid }),
            None => Err(unknown("a collection that is emptied without its id")),
        },
        b"renameCollection" => {
            let to = body.get(b"to")?;
            // What stood there went, whatever comes under its id later.
            let target = body.get(b"dropTarget")?;
            if let Some(uuid) = target.as_ref().and_then(uuid_of) {
                visit(Effect::Emptied { uuid })?;
            }
            for name in [Some(first), to].iter().flatten() {
                let namespace = characters(name).unwrap_or_default().to_vec();
                visit(Effect::Catalogue { namespace })?;
            }
            Ok(())
        }
        name if CATALOGUE.contains(&name) => {
            let database = entry.get(b"ns")?;
            let database = database.as_ref().and_then(characters).unwrap_or_default();
            let namespace = within(database, characters(&first).unwrap_or_default());
            if name == b"drop"
                && let Some(uuid) = collection(entry)?
            {
                // It may be made anew with the same id: of what was in it nothing is left.
                visit(Effect::Emptied { uuid })?;
            }
            visit(Effect::Catalogue { namespace })
        }
        name => Err(unknown(&String::from_utf8_lossy(name))),
    }
}

/// Where an entry is a part of a transaction that has earlier ones.
fn earlier<'a>(entry: Document<'a>, visit: &mut dyn FnMut(Effect<'a>) -> Result<()>) -> Result<()> {
    match previous(entry)? {
        Some(time) => visit(Effect::Earlier { time }),
        None => Ok(()),
    }
}

/// The time of the entry before this one in its transaction.
///
/// # Errors
/// [`Kind::Damage`] for what is no entry.
pub fn previous(entry: Document<'_>) -> Result<Option<u64>> {
    let Some(before) = inner(entry, b"prevOpTime")? else {
        return Ok(None);
    };
    let time = match before.get(b"ts")? {
        Some(ts) => timestamp(&ts)?,
        None => 0,
    };
    Ok((time > 0).then_some(time))
}

/// Whether an entry is a part of a transaction that a later one ends.
///
/// # Errors
/// [`Kind::Damage`] for what is no entry.
pub fn is_part(entry: Document<'_>) -> Result<bool> {
    let op = entry.get(b"op")?;
    if op.as_ref().and_then(characters) != Some(b"c") {
        return Ok(false);
    }
    let Some(body) = inner(entry, b"o")? else {
        return Ok(false);
    };
    Ok(body.get(b"applyOps")?.is_some()
        && (body.get(b"partialTxn")?.is_some() || body.get(b"prepare")?.is_some()))
}

#[cfg(test)]
#[path = "oplog_tests.rs"]
mod tests;
