//! Writing MongoDB: collections as they were made, documents by the bytes that were read. What is written, and over what, is
//! the restore room's.
//!
//! Every write waits for a majority: what was reported as restored is not taken back by a failure. Validators are passed
//! by, for the documents were there before; the server asks the right to do so.

use crate::error::{Error, Kind, Result};
use crate::format::bson::{Document, Element, kind};
use crate::format::deployment::Collection;
use crate::source::mongo::answer::lacking;
use crate::source::mongo::command::Builder;
use crate::source::mongo::reading::RawId;
use crate::source::mongo::server::{Asked, Refusal, Server, code};

/// A place for documents: database and collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place<'n> {
    /// The database.
    pub database: &'n str,
    /// The collection in it.
    pub name: &'n str,
}

/// A document that was not written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Which of those that were given.
    pub at: usize,
    /// Whether only because one of that `_id` was there.
    pub is_there: bool,
    /// What the server says.
    pub why: String,
}

/// What is done to a document that may be there.
#[derive(Clone, Debug)]
pub enum Change<'d> {
    /// It becomes this one, or comes.
    Replace(Document<'d>),
    /// What it lacks of this one is added.
    Fill(Document<'d>),
    /// It becomes this one where its own field of that path is not greater.
    Newest(Document<'d>, &'d str, (u8, Vec<u8>)),
    /// It goes.
    Remove(RawId),
}

impl Change<'_> {
    /// Bytes of its document.
    fn size(&self) -> usize {
        match self {
            Self::Replace(document) | Self::Fill(document) | Self::Newest(document, ..) => {
                document.bytes().len()
            }
            Self::Remove((_, id)) => id.len(),
        }
    }
}

/// Bytes of one command's statements; one may be longer.
const STATEMENTS_MAX: usize = 12 << 20;
/// What must be there is said where both documents come to no more bytes: both stand in one statement.
const GUARDED_MAX: usize = 14 << 20;

/// Whether a document of so many bytes is only written over what is there where that is still what is said.
#[must_use]
pub fn is_guarded(document: usize, there: usize) -> bool {
    document + there <= GUARDED_MAX
}

fn concern() -> Builder {
    Builder::new().string("w", "majority")
}

/// Makes a collection, a view or a time series as it was made, without indexes.
///
/// # Errors
/// Whatever the server says.
pub fn create(server: &Server, into: Place<'_>, of: &Collection) -> Asked<()> {
    let mut command = Builder::new().string("create", into.name);
    for option in Document::whole(&of.options)?.elements() {
        let Element { kind, name, value } = option?;
        // The server's own business: it makes another.
        if name != b"uuid" {
            command = command.raw(kind, name, value);
        }
    }
    let command = command.document("writeConcern", concern());
    server.command(into.database, command).map(drop)
}

/// What the server refused of a write; a refusal of the whole is an error.
fn refused(server: &Server, into: Place<'_>, command: Builder) -> Asked<Vec<Refused>> {
    let answer = server.command(into.database, command)?;
    if let Some(failed) = answer.inner("writeConcernError")? {
        let why = failed.text("errmsg")?.unwrap_or_default();
        return Err(Error::new(
            Kind::Failed,
            format!("what was written is not on a majority of the members: {why}"),
        )
        .subject(server.address())
        .into());
    }
    let mut refused = Vec::new();
    for error in answer.each("writeErrors")?.unwrap_or_default() {
        let at = error
            .number("index")?
            .and_then(|at| usize::try_from(at).ok());
        let of_id = match error.inner("keyPattern")? {
            Some(pattern) => pattern.number("_id")?.is_some(),
            None => false,
        };
        let duplicate = error.number("code")? == Some(i64::from(code::DUPLICATE_KEY));
        refused.push(Refused {
            at: at.ok_or_else(lacking)?,
            is_there: duplicate && of_id,
            why: error.text("errmsg")?.unwrap_or_default(),
        });
    }
    Ok(refused)
}

/// Inserts documents, in order where that counts; those that were not are named.
///
/// # Errors
/// Whatever the server says of all of them.
pub fn insert(
    server: &Server,
    into: Place<'_>,
    documents: &[Document<'_>],
    ordered: bool,
) -> Asked<Vec<Refused>> {
    let values = documents.iter().map(|each| (kind::DOCUMENT, each.bytes()));
    let command = Builder::new()
        .string("insert", into.name)
        .boolean("ordered", ordered)
        .boolean("bypassDocumentValidation", true)
        .document("writeConcern", concern())
        .array("documents", values);
    let mut refused = refused(server, into, command)?;
    let written = documents.iter().copied().enumerate();
    put_zeros_back(server, into, written, &mut refused)?;
    Ok(refused)
}

/// Does these changes, each for itself; those that were refused are named. Where it is said what must be `there`, a change is
/// only done to just that: whoever reads it back sees whether it was.
///
/// # Errors
/// Whatever the server says of all of them.
pub fn change(
    server: &Server,
    into: Place<'_>,
    changes: &[Change<'_>],
    there: &[Option<&[u8]>],
) -> Asked<Vec<Refused>> {
    let removals = changes
        .iter()
        .any(|change| matches!(change, Change::Remove(_)));
    let mut all = Vec::new();
    let (mut statements, mut bytes, mut begun) = (Vec::new(), 0, 0);
    let run = |statements: &[Vec<u8>]| match removals {
        true => remove(server, into, statements),
        false => update(server, into, statements),
    };
    for (at, change) in changes.iter().enumerate() {
        let while_is = there.get(at).copied().flatten();
        // Of the longest there is no room for both.
        let while_is = while_is.filter(|there| is_guarded(change.size(), there.len()));
        let statement = statement(change, while_is)?;
        if !statements.is_empty() && bytes + statement.len() > STATEMENTS_MAX {
            for refused in run(&std::mem::take(&mut statements))? {
                let at = begun + refused.at;
                all.push(Refused { at, ..refused });
            }
            (bytes, begun) = (0, at);
        }
        bytes += statement.len();
        statements.push(statement);
    }
    for refused in run(&statements)? {
        let at = begun + refused.at;
        all.push(Refused { at, ..refused });
    }
    let replaced = changes
        .iter()
        .enumerate()
        .filter_map(|(at, change)| match change {
            Change::Replace(document) => Some((at, *document)),
            _ => None,
        });
    put_zeros_back(server, into, replaced, &mut all)?;
    Ok(all)
}

/// The server puts the present time where a field of the top level is a timestamp of zeros; here the zeros come back, where
/// the document was written.
fn put_zeros_back<'d>(
    server: &Server,
    into: Place<'_>,
    written: impl Iterator<Item = (usize, Document<'d>)>,
    refused: &mut Vec<Refused>,
) -> Asked<()> {
    let (mut places, mut statements) = (Vec::new(), Vec::new());
    for (at, document) in written {
        if refused.iter().any(|refused| refused.at == at) {
            continue;
        }
        if let Some(statement) = zero_times(document)? {
            places.push(at);
            statements.push(statement);
        }
    }
    if statements.is_empty() {
        return Ok(());
    }
    for again in update(server, into, &statements)? {
        let at = places.get(again.at).copied().ok_or_else(lacking)?;
        refused.push(Refused { at, ..again });
    }
    Ok(())
}

fn update(server: &Server, into: Place<'_>, statements: &[Vec<u8>]) -> Asked<Vec<Refused>> {
    let values = statements.iter().map(|each| (kind::DOCUMENT, &each[..]));
    let command = Builder::new()
        .string("update", into.name)
        .boolean("ordered", false)
        .boolean("bypassDocumentValidation", true)
        .document("writeConcern", concern())
        .array("updates", values);
    refused(server, into, command)
}

fn remove(server: &Server, into: Place<'_>, statements: &[Vec<u8>]) -> Asked<Vec<Refused>> {
    let values = statements.iter().map(|each| (kind::DOCUMENT, &each[..]));
    let command = Builder::new()
        .string("delete", into.name)
        .boolean("ordered", false)
        .document("writeConcern", concern())
        .array("deletes", values);
    refused(server, into, command)
}

/// The document of that `_id`, whatever the `_id` looks like; only while it is `there`, where that is said.
fn query((kind, value): &RawId, there: Option<&[u8]>) -> Vec<u8> {
    let equal = Builder::new().raw(*kind, b"$eq", value);
    let query = Builder::new().document("_id", equal);
    let Some(there) = there else {
        return query.finish();
    };
    let literal = Builder::new()
        .raw(kind::DOCUMENT, b"$literal", there)
        .finish();
    let root = Builder::new().string("r", "$$ROOT").finish();
    // A string, as elements have it.
    let root = root.get(7..root.len() - 1).unwrap_or_default();
    let both = [(kind::STRING, root), (kind::DOCUMENT, &literal[..])];
    query
        .document("$expr", Builder::new().array("$eq", both))
        .finish()
}

fn id(document: Document<'_>) -> Result<RawId> {
    crate::source::mongo::reading::id_of(document)
}

/// One element of an `update` or a `delete` command.
fn statement(change: &Change<'_>, there: Option<&[u8]>) -> Result<Vec<u8>> {
    if let Change::Remove(id) = change {
        let query = query(id, there);
        let statement = Builder::new().raw(kind::DOCUMENT, b"q", &query);
        return Ok(statement.int32("limit", 1).finish());
    }
    let literal = |document: Document<'_>| {
        Builder::new()
            .raw(kind::DOCUMENT, b"$literal", document.bytes())
            .finish()
    };
    // A pipeline of one stage, so that whatever stands in the document is a value and never an operator.
    let becomes = |expression: &[u8]| {
        let stage = Builder::new()
            .raw(kind::DOCUMENT, b"$replaceWith", expression)
            .finish();
        Builder::new().array("u", [(kind::DOCUMENT, &stage[..])])
    };
    let root = Builder::new().string("r", "$$ROOT").finish();
    let root = Document::whole(&root)?
        .get(b"r")?
        .map(|root| root.value.to_vec());
    let root = root.unwrap_or_default();
    let (document, how, upsert) = match change {
        Change::Replace(document) => {
            let how = if has_operators(*document)? {
                becomes(&literal(*document))
            } else {
                Builder::new().raw(kind::DOCUMENT, b"u", document.bytes())
            };
            (*document, how, there.is_none())
        }
        Change::Fill(document) => {
            let own = literal(*document);
            let both = [(kind::DOCUMENT, &own[..]), (kind::STRING, &root[..])];
            let merged = Builder::new().array("$mergeObjects", both).finish();
            (*document, becomes(&merged), false)
        }
        Change::Newest(document, path, (of, value)) => {
            let mine = Builder::new().raw(*of, b"$literal", value).finish();
            let theirs = Builder::new().string("f", &format!("${path}")).finish();
            let theirs = Document::whole(&theirs)?.get(b"f")?;
            let theirs = theirs.map(|field| field.value.to_vec()).unwrap_or_default();
            let greater = [(kind::DOCUMENT, &mine[..]), (kind::STRING, &theirs[..])];
            let greater = Builder::new().array("$gt", greater).finish();
            let own = literal(*document);
            let choice = [
                (kind::DOCUMENT, &greater[..]),
                (kind::DOCUMENT, &own[..]),
                (kind::STRING, &root[..]),
            ];
            let choice = Builder::new().array("$cond", choice).finish();
            (*document, becomes(&choice), false)
        }
        Change::Remove(_) => {
            return Err(Error::new(Kind::Failed, "a removal is no update"));
        }
    };
    let query = query(&id(document)?, there);
    let statement = Builder::new().raw(kind::DOCUMENT, b"q", &query);
    let update = how.finish();
    let update = Document::whole(&update)?.get(b"u")?;
    let (of, value) = update.map_or((kind::NULL, Vec::new()), |u| (u.kind, u.value.to_vec()));
    Ok(statement
        .raw(of, b"u", &value)
        .boolean("upsert", upsert)
        .finish())
}

/// Whether a replacement by it would be taken for something else.
fn has_operators(document: Document<'_>) -> Result<bool> {
    for element in document.elements() {
        if element?.name.starts_with(b"$") {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What puts the timestamps of zeros of a document's top level back; none where there is none.
fn zero_times(document: Document<'_>) -> Result<Option<Vec<u8>>> {
    let mut fields = Builder::new();
    let (mut any, mut unnamed) = (false, false);
    for element in document.elements() {
        let element = element?;
        let zero = element.kind == kind::TIMESTAMP && element.value == [0; 8];
        if !zero || element.name == b"_id" {
            continue;
        }
        // Names that mean something in an update cannot be named in one.
        let plain = !element.name.is_empty()
            && !element.name.starts_with(b"$")
            && !element.name.contains(&b'.');
        (any, unnamed) = (true, unnamed || !plain);
        fields = fields.raw(element.kind, element.name, element.value);
    }
    if !any {
        return Ok(None);
    }
    if unnamed {
        // All of it, as a value in a pipeline, where no time is put in.
        let literal = Builder::new().raw(kind::DOCUMENT, b"$literal", document.bytes());
        let stage = Builder::new().document("$replaceWith", literal).finish();
        let statement = Builder::new()
            .raw(kind::DOCUMENT, b"q", &query(&id(document)?, None))
            .array("u", [(kind::DOCUMENT, &stage[..])]);
        return Ok(Some(statement.finish()));
    }
    let set = Builder::new().document("$set", fields).finish();
    let statement = Builder::new()
        .raw(kind::DOCUMENT, b"q", &query(&id(document)?, None))
        .raw(kind::DOCUMENT, b"u", &set);
    Ok(Some(statement.finish()))
}

/// Takes over users, or roles, from a collection of the same database `admin`; those that are there stay as they are. Where a
/// database is named, they are all that there shall be of it: those that are there become these, and all others go.
///
/// # Errors
/// Whatever the server says; it asks the role `restore`.
pub fn merge_users(server: &Server, from: &str, roles: bool, of: Option<&str>) -> Asked<()> {
    let from = format!("admin.{from}");
    let (users_from, roles_from) = if roles {
        ("", &from[..])
    } else {
        (&from[..], "")
    };
    let command = Builder::new()
        .int32("_mergeAuthzCollections", 1)
        .string("tempUsersCollection", users_from)
        .string("tempRolesCollection", roles_from)
        .boolean("drop", of.is_some())
        // Without a name, of all databases.
        .string("db", of.unwrap_or_default())
        .document("writeConcern", concern());
    server.command("admin", command).map(drop)
}

/// Where collections are named that are being filled: after a restore that was killed, they are not whole.
pub const RESTORING: &str = "duramen_restoring";

/// Says that a collection is being filled.
///
/// # Errors
/// Whatever the server says.
pub fn mark(server: &Server, own: Place<'_>) -> Asked<()> {
    let into = Place {
        name: RESTORING,
        ..own
    };
    let document = Builder::new().string("_id", own.name).finish();
    // One that is there already is of a restore that was killed.
    insert(server, into, &[Document::whole(&document)?], true).map(drop)
}

/// Says that it is whole.
///
/// # Errors
/// Whatever the server says.
pub fn unmark(server: &Server, own: Place<'_>) -> Asked<()> {
    let into = Place {
        name: RESTORING,
        ..own
    };
    let id = Builder::new().string("_id", own.name).finish();
    let id = id_of_marker(&id)?;
    let there = Builder::new().string("find", RESTORING).int32("limit", 2);
    if server.all(own.database, there)?.is_empty() {
        return Ok(());
    }
    change(server, into, &[Change::Remove(id)], &[])?;
    let place = format!("{}.{RESTORING}", own.database);
    let left = Builder::new().string("find", RESTORING).int32("limit", 1);
    match server.all(own.database, left)?.is_empty() {
        true => drop_collection(server, into).map_err(|refusal| Refusal {
            error: refusal.error.or_subject(|| place),
            ..refusal
        }),
        false => Ok(()),
    }
}

fn id_of_marker(document: &[u8]) -> Result<RawId> {
    id(Document::whole(document)?)
}

/// Drops a collection; one that is not there is no error.
///
/// # Errors
/// Whatever the server says.
pub fn drop_collection(server: &Server, into: Place<'_>) -> Asked<()> {
    let command = Builder::new()
        .string("drop", into.name)
        .document("writeConcern", concern());
    match server.command(into.database, command) {
        Err(refusal) if refusal.code != Some(code::NAMESPACE_NOT_FOUND) => Err(refusal),
        _ => Ok(()),
    }
}

/// Makes indexes from what the server listed of them.
///
/// # Errors
/// Whatever the server says.
pub fn create_index(
    server: &Server,
    into: Place<'_>,
    index: Document<'_>,
    collated: bool,
) -> Asked<()> {
    let mut spec = Builder::new();
    let mut has_collation = false;
    for element in index.elements() {
        let Element { kind, name, value } = element?;
        has_collation |= name == b"collation";
        if !matches!(name, b"ns" | b"background") {
            spec = spec.raw(kind, name, value);
        }
    }
    // Without one it would take that of the collection, which the one that was listed did not.
    if collated && !has_collation {
        spec = spec.document("collation", Builder::new().string("locale", "simple"));
    }
    let spec = spec.finish();
    let command = Builder::new()
        .string("createIndexes", into.name)
        .array("indexes", [(kind::DOCUMENT, &spec[..])])
        .document("writeConcern", concern());
    server.command(into.database, command).map(drop)
}
