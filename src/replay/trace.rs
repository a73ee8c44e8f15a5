//! One document through time: each of its changes that the oplog tells of, with the moment at which it happened.

use super::documents::{Change, changed};
use super::transactions::Transactions;
use super::walk::walk;
use crate::error::Result;
use crate::format::deployment::Position;
use crate::format::document_key::key;
use crate::format::slice::Slice;
use crate::progress::Progress;
use crate::repository::Repository;
use crate::source::mongo::operation::Operation;
use crate::source::mongo::oplog::Uuid;

/// A document after a change; none where it went.
pub type Traced = (u64, Option<Vec<u8>>);

/// What happened to the document of one of these keys in the collection of that id, from `from`, where it was `before`, up to and with
/// the cluster time `until`.
///
/// # Errors
/// As [`super::replay`].
pub fn trace(
    repository: &Repository,
    (uuid, of): (&Uuid, &[Vec<u8>]),
    (from, before): (Position, Option<Vec<u8>>),
    slices: &[&Slice],
    until: u64,
    progress: &dyn Progress,
) -> Result<Vec<Traced>> {
    let (mut all, mut here, mut now) = (Vec::new(), from, before);
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
                if let Some(after) = after(own, uuid, of, now.as_deref())? {
                    all.push((time, after.clone()));
                    now = after;
                }
                Ok(())
            },
        )?;
        here = slice.to;
    }
    Ok(all)
}

/// What the document is after an operation, where that is about it.
fn after(
    own: &Operation<'_>,
    uuid: &Uuid,
    of: &[Vec<u8>],
    now: Option<&[u8]>,
) -> Result<Option<Option<Vec<u8>>>> {
    if own.op == b"c" {
        let (command, _) = own.command()?;
        let gone = matches!(command, b"drop" | b"emptycapped") && own.uuid.as_ref() == Some(uuid);
        return Ok((gone && now.is_some()).then_some(None));
    }
    if own.uuid.as_ref() != Some(uuid) {
        return Ok(None);
    }
    if own.id()?.is_none_or(|id| !of.contains(&key(&id))) {
        return Ok(None);
    }
    let Some(change) = Change::of(own)? else {
        return Ok(None);
    };
    changed(change, now.map(<[u8]>::to_vec)).map(Some)
}
