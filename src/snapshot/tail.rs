//! A stretch of the oplog taken by itself, between snapshots: so that what is lost on the worst day is a minute and not a night.

use std::collections::HashSet;

use super::deployment::{Parts, Recorder, folder, scope};
use super::put::Putter;
use crate::chunk::Cutter;
use crate::error::{Error, Kind, Result};
use crate::format::deployment::Position;
use crate::format::slice::Slice;
use crate::format::snapshot::Counters;
use crate::id::PackId;
use crate::progress::Progress;
use crate::repository::{ChunkWriter, Repository, Session, WriterOptions};
use crate::source::mongo::oplog::{self, Effect};
use crate::source::mongo::reading::{self, Patience, Stretch};
use crate::source::mongo::{Selection, Server, Topology};

/// How to take a stretch.
#[derive(Clone, Copy)]
pub struct TailOptions<'o> {
    /// Which collections' entries.
    pub selection: &'o Selection,
    /// Behind which entry it begins.
    pub from: Position,
    /// With which it ends.
    pub to: Position,
    /// How chunks are written.
    pub writer: WriterOptions,
}

/// What was taken; everything it refers to is durable.
pub struct TakenSlice {
    /// The stretch.
    pub slice: Slice,
    /// Work done.
    pub counters: Counters,
    /// Packs of others that look-ups relied on.
    pub relied: HashSet<PackId>,
}

/// Takes a stretch; none where the oplog does not hold all of it any more.
///
/// # Errors
/// Whatever the server or the storage says.
pub fn take_slice(
    repository: &Repository,
    session: &Session,
    server: &Server,
    options: &TailOptions<'_>,
    progress: &dyn Progress,
) -> Result<Option<TakenSlice>> {
    let TailOptions {
        selection,
        from,
        to,
        writer,
    } = *options;
    let Topology::Set(set) = server.topology() else {
        return Err(
            Error::new(Kind::Unsupported, "only a replica set has an oplog")
                .subject(server.address()),
        );
    };
    let cutter = Cutter::new(repository.config().chunking, repository.keys().gear());
    let writer = ChunkWriter::new(repository, session, writer)?.for_documents();
    let mut putter = Putter { repository, writer };
    let folder = folder(repository);
    let mut recorder = Recorder::new(from, folder.as_deref());
    let (mut parts, mut counters) = (Parts::default(), Counters::default());
    let stretch = reading::stretch(server, from, to, progress, &mut |entry| {
        session.renew_when_due(repository)?;
        counters.bytes_read += entry.bytes().len() as u64;
        recorder.hear(selection, entry)?;
        let (time, part) = (oplog::time(entry)?, oplog::is_part(entry)?);
        oplog::effects(entry, &mut |effect| {
            if let Effect::Earlier { time: before } = effect {
                parts.follows(time, part, before);
            }
            Ok(())
        })?;
        if part {
            parts.is_part(time);
        }
        Ok(())
    })
    .map_err(Error::from)?;
    let rest = parts.rest(server, progress, &mut |entry| {
        session.renew_when_due(repository)?;
        recorder.hear(selection, entry)
    })?;
    if stretch == Stretch::Gap || rest == Stretch::Gap {
        return Ok(None);
    }
    let (from, entries) =
        recorder.finish(&mut putter, &cutter, &|| session.renew_when_due(repository))?;
    let (written, relied) = putter.writer.finish()?;
    counters.bytes_processed = counters.bytes_read;
    counters.data_chunks = written.data_chunks;
    counters.tree_chunks = written.tree_chunks;
    counters.data_added = written.raw_bytes;
    counters.data_added_packed = written.stored_bytes;
    let slice = Slice {
        set: set.clone(),
        address: server.address().to_owned(),
        server: server.version().to_owned(),
        from,
        to,
        scope: scope(selection),
        entries,
        extensions: Vec::new(),
    };
    Ok(Some(TakenSlice {
        slice,
        counters,
        relied,
    }))
}

/// Where the next stretch behind `from` ends: the newest entry that no failure can take back, or one at most `seconds` on,
/// so that much is caught up with in steps.
///
/// # Errors
/// Whatever the server says.
pub fn next_end(
    server: &Server,
    from: Position,
    seconds: u32,
    progress: &dyn Progress,
) -> Result<Position> {
    let newest = Patience::new(progress).until(|| reading::newest(server))?;
    let step = from.time.saturating_add(u64::from(seconds) << 32);
    if newest.time <= step {
        return Ok(newest);
    }
    let found = Patience::new(progress).until(|| reading::newest_until(server, step))?;
    Ok(found.filter(|end| end.time > from.time).unwrap_or(newest))
}
