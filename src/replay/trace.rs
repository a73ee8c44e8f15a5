//! One document through time: each of its changes that the oplog tells of, with the moment at which it happened.

use std::collections::HashMap;

use super::documents::{Change, changed};
use super::transactions::Transactions;
use super::walk::walk;
use crate::error::Result;
use crate::format::deployment::Position;
use crate::format::document_key::key;
use crate::format::slice::Slice;
use crate::progress::Progress;
use crate::repository::Repository;
use crate::source::mongo::answer::text;
use crate::source::mongo::operation::Operation;
use crate::source::mongo::oplog::{Uuid, uuid_of};

/// A document after a change; none where it went.
pub type Traced = (u64, Option<Vec<u8>>);

/// Whose documents are followed: those of one of these keys in whatever has that name.
#[derive(Clone, Copy)]
pub struct Followed<'f> {
    /// Database and collection.
    pub namespace: &'f str,
    /// The keys under which the document may be stored.
    pub keys: &'f [Vec<u8>],
}

/// What happened to a document from `from`, where the collection had that id, if it was there, and the document was `before`, up to
/// and with the cluster time `until`. A collection that comes, goes or is renamed meanwhile is followed by its name.
///
/// # Errors
/// As [`super::replay`].
pub fn trace(
    repository: &Repository,
    of: Followed<'_>,
    (from, uuid, before): (Position, Option<Uuid>, Option<Vec<u8>>),
    slices: &[&Slice],
    until: u64,
    progress: &dyn Progress,
) -> Result<Vec<Traced>> {
    let mut here = from;
    let mut trace = Trace {
        of,
        named: uuid,
        known: uuid.map(|uuid| (uuid, before)).into_iter().collect(),
    };
    let mut all = Vec::new();
    let mut transactions = Transactions::default();
    for slice in slices {
        let span = (here, until);
        walk(
            repository,
            slice,
            span,
            &mut transactions,
            progress,
            &mut |time, own| {
                all.extend(trace.hear(own)?.map(|after| (time, after)));
                Ok(())
            },
        )?;
        here = slice.to;
    }
    Ok(all)
}

/// The document in all collections of which that is known: one may come under the name.
struct Trace<'f> {
    of: Followed<'f>,
    /// The collection that has the name.
    named: Option<Uuid>,
    known: HashMap<Uuid, Option<Vec<u8>>>,
}

impl Trace<'_> {
    /// What the document is after an operation that may have changed it.
    fn hear(&mut self, own: &Operation<'_>) -> Result<Option<Option<Vec<u8>>>> {
        if own.op == b"c" {
            return self.command(own);
        }
        let Some(uuid) = own.uuid else {
            return Ok(None);
        };
        let of_it = own.id()?.is_some_and(|id| self.of.keys.contains(&key(&id)));
        let (Some(now), true) = (self.known.get_mut(&uuid), of_it) else {
            return Ok(None);
        };
        let Some(change) = Change::of(own)? else {
            return Ok(None);
        };
        *now = changed(change, now.take())?;
        Ok((self.named == Some(uuid)).then(|| now.clone()))
    }

    fn command(&mut self, own: &Operation<'_>) -> Result<Option<Option<Vec<u8>>>> {
        let (command, name) = own.command()?;
        let Some(uuid) = own.uuid else {
            return Ok(None);
        };
        let is_named = self.named == Some(uuid);
        match command {
            b"create" => {
                self.known.insert(uuid, None);
                if format!("{}.{name}", own.database()) == self.of.namespace {
                    self.named = Some(uuid);
                }
                Ok(None)
            }
            b"drop" => {
                self.known.remove(&uuid);
                self.named = self.named.filter(|_| !is_named);
                Ok(is_named.then_some(None))
            }
            b"emptycapped" | b"truncateRange" => {
                self.known.entry(uuid).and_modify(|now| *now = None);
                Ok(is_named.then_some(None))
            }
            b"renameCollection" => {
                let to = own.body.get(b"to")?.as_ref().and_then(text);
                // What it replaces is gone: of thousands of such nothing is kept.
                if let Some(gone) = own.body.get(b"dropTarget")?.as_ref().and_then(uuid_of) {
                    self.known.remove(&gone);
                }
                if to.as_deref() == Some(self.of.namespace) {
                    self.named = Some(uuid);
                    // Of one that was not followed so far nobody knows.
                    return Ok(self.known.get(&uuid).cloned());
                }
                self.named = self.named.filter(|_| !is_named);
                Ok(is_named.then_some(None))
            }
            _ => Ok(None),
        }
    }
}
