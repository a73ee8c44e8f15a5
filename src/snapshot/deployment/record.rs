//! Keeping what the oplog says, entry by entry: with it, any moment between two snapshots can be had back.

use std::path::Path;

use super::Capture;
use crate::chunk::Cutter;
use crate::error::Result;
use crate::format::bson::{Document, Element, kind};
use crate::format::deployment::{Deployment, Moment, Position};
use crate::format::document_key::key;
use crate::format::run::Sorted;
use crate::format::slice::{Scope, Slice, proof, timed};
use crate::snapshot::documents::RunBuilder;
use crate::snapshot::put::Put;
use crate::snapshot::sorter::Sorter;
use crate::source::mongo::{Selection, operation, oplog};

/// Entries on their way into a slice.
pub(in crate::snapshot) struct Recorder {
    from: Position,
    entries: Sorter,
}

impl Recorder {
    /// Begins behind `from`; what is too much for memory is laid down in `folder`.
    pub(in crate::snapshot) fn new(from: Position, folder: Option<&Path>) -> Self {
        Self {
            from,
            entries: Sorter::new(folder),
        }
    }

    /// Takes an entry where it concerns what is taken, and its proof otherwise.
    pub(in crate::snapshot) fn hear(
        &mut self,
        selection: &Selection,
        entry: Document<'_>,
    ) -> Result<()> {
        let time = oplog::time(entry)?;
        let id = Element {
            kind: kind::TIMESTAMP,
            name: b"_id",
            value: &time.to_le_bytes(),
        };
        let kept = match operation::concerns(selection, entry)? {
            true => timed(time, entry),
            false => proof(time, entry),
        };
        self.entries.push(key(&id), kept)
    }

    /// Stores them; where it began, and the run.
    pub(in crate::snapshot) fn finish(
        self,
        put: &mut dyn Put,
        cutter: &Cutter,
        go_on: &dyn Fn() -> Result<()>,
    ) -> Result<(Position, Option<Sorted>)> {
        let mut builder = RunBuilder::new(cutter);
        for record in self.entries.sorted()? {
            go_on()?;
            let (key, entry) = record?;
            // A part of a transaction may have been met twice.
            if builder.may_follow(&key) {
                builder.push(put, key, Document::whole(&entry)?)?;
            }
        }
        Ok((self.from, builder.finish(put)?))
    }
}

/// What a selection takes, as it is recorded.
#[must_use]
pub fn scope(selection: &Selection) -> Scope {
    Scope {
        database: selection.database.clone(),
        include: selection.include.clone(),
        exclude: selection.exclude.clone(),
        users: selection.users,
    }
}

impl Capture<'_> {
    /// What was recorded up to the deployment's time.
    pub(super) fn slice(&mut self, of: &Deployment) -> Result<Option<Slice>> {
        let (Some(recorder), Moment::At(to)) = (self.recorder.take(), of.moment) else {
            return Ok(None);
        };
        let (session, repository) = (self.session, self.repository);
        let go_on = || session.renew_when_due(repository);
        let (from, entries) = recorder.finish(&mut self.putter, self.cutter, &go_on)?;
        if from == to {
            return Ok(None);
        }
        Ok(Some(Slice {
            set: of.set.clone(),
            address: self.server.address().to_owned(),
            server: of.server.clone(),
            from,
            to,
            scope: scope(self.selection),
            entries,
            extensions: Vec::new(),
        }))
    }
}
