//! What says which documents were touched: the oplog, or, where that is not ours to read, a change stream.
//!
//! A change stream says nothing of views, of `admin`, and of what the server takes for its own (`system.js`, users, the buckets of
//! time series). So what exists is listed once more behind the exact reading, collections that it is silent about are read
//! whole at the time of the snapshot, and what cannot be read at one time is refused.

use super::Capture;
use crate::error::{Error, Kind, Result};
use crate::format::deployment::{Collection, CollectionKind, Position};
use crate::source::mongo::catalogue;
use crate::source::mongo::reading::{self, Patience, State};
use crate::source::mongo::server::{Asked, Refusal, Server, code};

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
            Err(Refusal {
                code: Some(code::UNAUTHORIZED | code::NOT_OFFERED),
                ..
            }) => {
                self.progress.note(
                    "the oplog is not ours to read: a change stream says what was touched, and only the moments of snapshots \
                     can be had back",
                );
                if self.server.version().starts_with("6.0.") {
                    self.progress.note(
                        "what the command applyOps writes (mongorestore --oplogReplay) is told by no change stream of MongoDB 6.0: \
                         take a snapshot with --force after it",
                    );
                }
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
        let own = of.database() == "admin" || of.name().starts_with("system.");
        own && self.trail == Trail::Changes
    }

    /// Whether all of it can be taken exactly with this trail.
    pub(super) fn suits(&self, listed: &[Collection]) -> Result<()> {
        if self.trail == Trail::Oplog {
            return Ok(());
        }
        for own in listed {
            if own.kind == CollectionKind::TimeSeries {
                return Err(catalogue::hidden_series(&own.namespace));
            }
            if own.kind == CollectionKind::Capped && self.is_silent(own) {
                let what = "a capped collection of whose changes only the oplog tells";
                return Err(Error::new(Kind::Permission, what)
                    .subject(&own.namespace)
                    .hint("leave it out with --ns-exclude, or take the snapshot with the role `backup`"));
            }
        }
        Ok(())
    }

    /// Reads what nobody tells of as it was at that time; whether what exists is what was listed.
    pub(super) fn complete(&mut self, listed: &[Collection], at: Position) -> Asked<bool> {
        if self.trail == Trail::Oplog {
            return Ok(true);
        }
        for collection in listed {
            let plain = collection.kind == CollectionKind::Plain;
            if let (true, Some(uuid)) = (plain && self.is_silent(collection), collection.uuid) {
                let held = self.base(collection, State::Snapshot { at: at.time })?;
                self.held.insert(uuid, held);
            }
        }
        let now =
            Patience::new(self.progress).until(|| catalogue::list(self.server, self.selection))?;
        Ok(now == listed)
    }
}
