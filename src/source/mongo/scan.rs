//! Reading all of a collection, in segments that are read beside each other.
//!
//! One cursor waits for one page of the disk after the other, whatever the disk could do. So a large collection is divided by
//! some of its own `_id`s, drawn at random, and a few segments are on their way at a time. Each goes from one of these
//! `_id`s up to the next, the first from behind what was read to begin with and the last to the very end: in whatever order
//! the `_id`s came, no document could fall between two segments.

use std::sync::Arc;

use super::command::Builder;
use super::reading::{Patience, RawId, State, by_id, find, id_of, ids_that_are};
use super::server::{Asked, Batch, Server};
use crate::error::Result;
use crate::format::bson::{Document, kind};
use crate::format::deployment::Collection;
use crate::progress::Progress;

/// About so many bytes are one segment.
const SEGMENT_BYTES: u64 = 4 << 20;
/// So many `_id`s are drawn for each, so that they come out alike.
const DRAWN: u64 = 2;
/// No more are drawn than one of so many documents: the server would read all of them.
const DRAWN_OF: u64 = 32;
/// Documents that are longer than so many bytes, one with another, are read in one place.
const DOCUMENT_MAX: u64 = 1 << 20;
/// Segments at most: of a collection beyond 32 GiB they are larger, and come in several batches.
const SEGMENTS_MAX: u64 = 1 << 13;
/// The server draws for no longer than so many milliseconds.
const DRAWING_MAX: i32 = 10_000;
/// Bytes of `_id`s that are kept; of longer ones fewer are.
const IDS_BYTES_MAX: usize = 4 << 20;

/// Documents from one `_id` up to another, in the server's order. Without the first they begin at the beginning, without the
/// other they end at the end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Segment {
    /// Where it begins.
    from: Option<Begin>,
    /// The first that is not in it.
    to: Option<Arc<RawId>>,
    /// How many are asked for at once; as many as the server likes where it is not said.
    batch: Option<u32>,
}

/// Where a segment begins.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Begin {
    /// With that one.
    With(Arc<RawId>),
    /// Behind that one.
    Behind(Arc<RawId>),
}

/// The first documents of a collection, and the `_id` behind which there may be more.
///
/// # Errors
/// Whatever the server says.
pub fn first(
    server: &Server,
    of: &Collection,
    state: State,
    patience: &mut Patience<'_>,
) -> Asked<(Option<Batch>, Option<RawId>)> {
    let command = find(of, state).document("hint", by_id());
    patience.until(|| {
        let mut cursor = server.read(of.database(), command.clone())?;
        while let Some(batch) = server.next(&mut cursor)? {
            let last = batch.documents()?.last().transpose()?;
            let last = last.map(id_of).transpose()?;
            if batch.is_last()? {
                return Ok((Some(batch), None));
            }
            // An empty one is no end where the server says that there is more.
            if last.is_some() {
                return Ok((Some(batch), last));
            }
        }
        Ok((None, None))
    })
}

/// Divides what is behind an `_id`; one segment where that is little or the server does not say.
///
/// # Errors
/// Where the answer is none, or the connection breaks off again and again. What the server refuses is no error here: whoever
/// reads on will hear of it.
pub fn segments(
    server: &Server,
    of: &Collection,
    behind: RawId,
    patience: &mut Patience<'_>,
) -> Asked<Vec<Segment>> {
    let behind = Arc::new(behind);
    let one = Segment {
        from: Some(Begin::Behind(behind.clone())),
        ..Segment::default()
    };
    let options = Document::whole(&of.options)?;
    // By a collation the server's order is no matter of bytes, and a clustered collection has no index of its `_id`s.
    if options.get(b"collation")?.is_some() || options.get(b"clusteredIndex")?.is_some() {
        return Ok(vec![one]);
    }
    let statistics = Builder::new().string("collStats", of.name());
    let statistics = patience.until(|| server.command(of.database(), statistics.clone()));
    let statistics = match statistics {
        Ok(statistics) => statistics,
        Err(refusal) if refusal.code.is_some() => return Ok(vec![one]),
        Err(refusal) => return Err(refusal),
    };
    let number = |name: &str| -> Result<u64> {
        let number = statistics.number(name)?;
        Ok(number
            .and_then(|number| u64::try_from(number).ok())
            .unwrap_or(0))
    };
    let (bytes, documents) = (number("size")?, number("count")?);
    let wanted = (bytes / SEGMENT_BYTES).min(SEGMENTS_MAX);
    let drawn = (wanted * DRAWN).min(documents / DRAWN_OF);
    // Of long documents the server is quick to find the next, and several in several places are much memory.
    let long = bytes / documents.max(1) > DOCUMENT_MAX;
    if wanted < 2 || drawn == 0 || long {
        return Ok(vec![one]);
    }
    let every = (drawn / wanted).max(1) as usize;
    let ids = patience.until(|| drawn_ids(server, of, &behind, drawn as i32, every));
    let ids = match ids {
        Ok(ids) => ids,
        Err(refusal) if refusal.code.is_some() => return Ok(vec![one]),
        Err(refusal) => return Err(refusal),
    };
    // Twice of what is in one, so that most come at once.
    let batch = (2 * SEGMENT_BYTES).saturating_mul(documents) / bytes;
    Ok(divided(one, ids, batch.clamp(100, i32::MAX as u64) as u32))
}

/// Every so many of the `_id`s that were drawn at random behind one, in the server's order.
fn drawn_ids(
    server: &Server,
    of: &Collection,
    behind: &RawId,
    count: i32,
    mut every: usize,
) -> Asked<Vec<Arc<RawId>>> {
    let stages = [
        Builder::new().document("$sample", Builder::new().int32("size", count)),
        Builder::new().document("$project", by_id()),
        Builder::new().document("$match", ids_that_are(&[("$gt", behind)])),
        Builder::new().document("$sort", by_id()),
    ];
    let stages = stages.map(Builder::finish);
    let mut command = Builder::new()
        .string("aggregate", of.name())
        .array(
            "pipeline",
            stages.iter().map(|stage| (kind::DOCUMENT, &stage[..])),
        )
        .document("cursor", Builder::new())
        .int32("maxTimeMS", DRAWING_MAX);
    if let Some(uuid) = &of.uuid {
        command = command.uuid("collectionUUID", uuid);
    }
    let mut cursor = server.read(of.database(), command)?;
    let (mut ids, mut seen, mut bytes) = (Vec::new(), 0usize, 0);
    while let Some(batch) = server.next(&mut cursor)? {
        for document in batch.documents()? {
            let id = id_of(document?)?;
            seen += 1;
            if seen % every != 0 {
                continue;
            }
            bytes += id.1.len();
            ids.push(Arc::new(id));
            if bytes > IDS_BYTES_MAX {
                let mut number = 0;
                ids.retain(|_| {
                    number += 1;
                    number % 2 == 0
                });
                bytes = ids.iter().map(|id: &Arc<RawId>| id.1.len()).sum();
                every *= 2;
            }
        }
    }
    Ok(ids)
}

/// Divides a segment at those `_id`s.
fn divided(whole: Segment, ids: Vec<Arc<RawId>>, batch: u32) -> Vec<Segment> {
    let mut here = Segment {
        batch: Some(batch),
        ..whole
    };
    let mut segments = Vec::new();
    for id in ids {
        // The same may be drawn twice.
        if !matches!(&here.from, Some(Begin::With(from)) if *from == id) {
            let next = Segment {
                from: Some(Begin::With(id.clone())),
                ..here.clone()
            };
            here.to = Some(id);
            segments.push(std::mem::replace(&mut here, next));
        }
    }
    segments.push(here);
    segments
}

/// Which documents, in which order.
#[derive(Clone, Copy, Debug)]
pub enum Order<'s> {
    /// All of them as they were inserted.
    Inserted,
    /// Those of a segment by their `_id`.
    ById(&'s Segment),
}

/// Hands over documents of a collection, batch by batch.
///
/// # Errors
/// Whatever the server or `take` says.
pub fn scan(
    server: &Server,
    of: &Collection,
    order: Order<'_>,
    state: State,
    progress: &dyn Progress,
    take: &mut dyn FnMut(Batch) -> Result<()>,
) -> Asked<()> {
    let mut last: Option<RawId> = None;
    let mut patience = Patience::new(progress);
    loop {
        let before = last.clone();
        let mut take = |batch: Batch| {
            // What is read at one time must be read soon.
            if !matches!(state, State::Snapshot { .. }) {
                server.give_time(&batch, progress)?;
            }
            take(batch)
        };
        match scan_on(server, of, order, state, &mut last, &mut take) {
            Ok(()) => return Ok(()),
            // There is no place in the order of insertion to go on from.
            Err(refusal) if matches!(order, Order::Inserted) && last.is_some() => {
                return Err(refusal);
            }
            Err(refusal) => {
                if last != before {
                    patience.well();
                }
                patience.again(refusal)?;
            }
        }
    }
}

fn scan_on(
    server: &Server,
    of: &Collection,
    order: Order<'_>,
    state: State,
    last: &mut Option<RawId>,
    take: &mut dyn FnMut(Batch) -> Result<()>,
) -> Asked<()> {
    let mut command = find(of, state);
    let mut at_once = None;
    command = match order {
        Order::Inserted => command.document("hint", Builder::new().int32("$natural", 1)),
        Order::ById(segment) => {
            at_once = segment.batch;
            let from = match (&*last, &segment.from) {
                (Some(last), _) => Some(("$gt", last)),
                (None, Some(Begin::With(id))) => Some(("$gte", &**id)),
                (None, Some(Begin::Behind(id))) => Some(("$gt", &**id)),
                (None, None) => None,
            };
            let to = segment.to.as_ref().map(|to| ("$lt", &**to));
            let ends: Vec<_> = from.into_iter().chain(to).collect();
            match &ends[..] {
                [] => command.document("hint", by_id()),
                ends => command
                    .document("hint", by_id())
                    .document("filter", ids_that_are(ends)),
            }
        }
    };
    let mut cursor = server.read_in(of.database(), command, at_once)?;
    while let Some(batch) = server.next(&mut cursor)? {
        let end = batch.documents()?.last().transpose()?;
        let end = end.map(id_of).transpose()?;
        take(batch)?;
        *last = end.or(last.take());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_leave_nothing_out() {
        let id = |number: u8| Arc::new((kind::INT32, vec![number, 0, 0, 0]));
        let whole = Segment {
            from: Some(Begin::Behind(id(1))),
            ..Segment::default()
        };
        let one = divided(whole.clone(), Vec::new(), 7);
        assert_eq!((one.len(), &one[0].from), (1, &whole.from));
        let segments = divided(whole, vec![id(3), id(5), id(5), id(9)], 7);
        let ends: Vec<_> = segments
            .iter()
            .map(|own| (own.from.clone(), own.to.clone()))
            .collect();
        let with = |number| Some(Begin::With(id(number)));
        let expected = [
            (Some(Begin::Behind(id(1))), Some(id(3))),
            (with(3), Some(id(5))),
            (with(5), Some(id(9))),
            (with(9), None),
        ];
        assert_eq!(ends, expected);
    }
}
