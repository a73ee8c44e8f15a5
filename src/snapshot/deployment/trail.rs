//! What says which documents were touched: the oplog, or, where that is not ours to read, a change stream.
//!
//! A change stream says nothing of views and of `system.js`, and of the buckets of time series. So what exists is listed
//! once more behind the exact reading, `system.js` is read whole at the time of the snapshot, and time series are refused.

use super::Capture;
use crate::error::Result;
use crate::format::deployment::{Collection, CollectionKind, Position};
use crate::source::mongo::catalogue;
use crate::source::mongo::reading::{self, Patience, State};
use crate::source::mongo::server::{Asked, Server, code};

/// What says which documents were touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trail {
    /// The oplog.
    Oplog,
    /// A change stream.
    Changes,
}

impl Capture<'_> {
    /// Whichever is ours to read.
    pub(super) fn find_trail(&self) -> Result<Trail> {
        match Patience::new(self.progress).until(|| reading::newest(self.server)) {
            Ok(_) => Ok(Trail::Oplog),
            Err(refusal) if refusal.code == Some(code::UNAUTHORIZED) => {
                self.progress.note(
                    "the oplog is not ours to read: a change stream says what was touched, and only the moments of snapshots \
                     can be had back",
                );
                Ok(Trail::Changes)
            }
            Err(refusal) => Err(refusal.error),
        }
    }

    /// The newest entry of the oplog that no failure can take back.
    pub(super) fn newest(&self) -> Result<Position> {
        Ok(self.patient(|own| own.asks_newest()(own.server))?)
    }

    /// How it is asked for.
    pub(super) fn asks_newest(&self) -> fn(&Server) -> Asked<Position> {
        match self.trail {
            Trail::Oplog => reading::newest,
            Trail::Changes => reading::newest_told,
        }
    }

    /// Whether nobody tells of changes to its documents.
    pub(super) fn is_silent(&self, of: &Collection) -> bool {
        self.trail == Trail::Changes && of.name() == "system.js"
    }

    /// Whether it can be taken exactly with this trail at all.
    pub(super) fn suits(&self, listed: &[Collection]) -> Result<()> {
        let series = |own: &&Collection| own.kind == CollectionKind::TimeSeries;
        match listed.iter().find(series) {
            Some(series) if self.trail == Trail::Changes => {
                Err(catalogue::hidden_series(&series.namespace))
            }
            _ => Ok(()),
        }
    }

    /// Reads what nobody tells of as it was at that time; whether what exists is what was listed.
    pub(super) fn complete(&mut self, listed: &[Collection], at: Position) -> Asked<bool> {
        if self.trail == Trail::Oplog {
            return Ok(true);
        }
        for collection in listed {
            if let (true, Some(uuid)) = (self.is_silent(collection), collection.uuid) {
                let held = self.base(collection, State::Snapshot { at: at.time })?;
                self.held.insert(uuid, held);
            }
        }
        let now =
            Patience::new(self.progress).until(|| catalogue::list(self.server, self.selection))?;
        Ok(now == listed)
    }
}
