//! A walk through a slice: what happened in it behind one entry of the oplog, operation by operation.

use super::transactions::Transactions;
use crate::error::{Error, Result};
use crate::format::bson::Document;
use crate::format::deployment::Position;
use crate::format::slice::{Kept, Slice, untimed};
use crate::progress::Progress;
use crate::repository::Repository;
use crate::source::mongo::operation::{self, Operation};

/// Tells `visit` each operation of the time behind `after`, up to and with `until`, with the time at which it happened: that
/// of a transaction, where it ended.
///
/// # Errors
/// [`crate::error::Kind::Damage`] where the slice is not of the history that `after` is of; whatever `visit` says.
pub(super) fn walk(
    repository: &Repository,
    slice: &Slice,
    (after, until): (Position, u64),
    transactions: &mut Transactions,
    progress: &dyn Progress,
    visit: &mut dyn FnMut(u64, &Operation<'_>) -> Result<()>,
) -> Result<()> {
    // Entered in its middle, it must hold the very entry that we come from.
    let mut proved = slice.from == after;
    for stored in repository.collection(&[slice.run()]) {
        progress.go_on()?;
        let stored = stored?;
        let (time, kept) = untimed(Document::whole(&stored.bytes)?)?;
        proved |= time == after.time && kept.is(&after.proof);
        if time > after.time && !proved {
            return Err(Error::damage(
                "what was recorded of the oplog is of another history than the snapshot",
            ));
        }
        if time > until {
            return Ok(());
        }
        let Kept::Entry(entry) = kept else {
            continue;
        };
        progress.advance(1, entry.bytes().len() as u64);
        for happened in transactions.hear(entry)? {
            // Of what ended before only the parts were needed.
            if time > after.time {
                let happened = Document::whole(&happened)?;
                operation::operations(happened, &mut |own| visit(time, &own))?;
            }
        }
    }
    Ok(())
}
