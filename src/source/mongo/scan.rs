//! Reading all of a collection, in segments that are read beside each other.
//!
//! One cursor waits for one page of the disk after the other, whatever the disk could do. So a large collection is divided by
//! some of its own `_id`s, drawn at random, and a few segments are on their way at a time. Each goes from one of these
//! `_id`s up to the next, the first from the very beginning and the last to the very end: in whatever order the `_id`s
//! came, no document could fall between two segments.

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
/// Segments at most: of a collection beyond 256 GiB they are larger, and come in several batches.
const SEGMENTS_MAX: u64 = 1 << 16;

/// Documents from one `_id` up to another, in the server's order. Without the first they begin at the beginning, without the
/// other they end at the end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Segment {
    /// The first that may be in it.
    from: Option<RawId>,
    /// The first that is not.
    to: Option<RawId>,
    /// How many are asked for at once; as many as the server likes where it is not said.
    batch: Option<u32>,
}

/// Divides a collection; one segment where it is small or the server does not say.
///
/// # Errors
/// Where the answer is none. What the server refuses is no error here: whoever reads on will hear of it.
pub fn segments(server: &Server, of: &Collection) -> Result<Vec<Segment>> {
    let options = Document::whole(&of.options)?;
    // By a collation the server's order is no matter of bytes, and a clustered collection has no index of its `_id`s.
    let plain = options.get(b"collation")?.is_none() && options.get(b"clusteredIndex")?.is_none();
    let statistics = Builder::new().string("collStats", of.name());
    let (true, Ok(statistics)) = (plain, server.command(of.database(), statistics)) else {
        return Ok(vec![Segment::default()]);
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
    if wanted < 2 || drawn == 0 {
        return Ok(vec![Segment::default()]);
    }
    let ids = drawn_ids(server, of, drawn as i32).unwrap_or_default();
    let every = (drawn / wanted).max(1) as usize;
    // Twice of what is in one, so that most come at once.
    let batch = (2 * SEGMENT_BYTES).saturating_mul(documents) / bytes;
    Ok(divided(
        ids.into_iter().skip(every - 1).step_by(every),
        batch.clamp(1, i32::MAX as u64) as u32,
    ))
}

/// So many `_id`s of a collection at random, in the server's order.
fn drawn_ids(server: &Server, of: &Collection, count: i32) -> Asked<Vec<RawId>> {
    let stages = [
        Builder::new().document("$sample", Builder::new().int32("size", count)),
        Builder::new().document("$project", by_id()),
        Builder::new().document("$sort", by_id()),
    ];
    let stages = stages.map(Builder::finish);
    let mut command = Builder::new()
        .string("aggregate", of.name())
        .array(
            "pipeline",
            stages.iter().map(|stage| (kind::DOCUMENT, &stage[..])),
        )
        .document("cursor", Builder::new());
    if let Some(uuid) = &of.uuid {
        command = command.uuid("collectionUUID", uuid);
    }
    let mut cursor = server.read(of.database(), command)?;
    let mut ids = Vec::new();
    while let Some(batch) = server.next(&mut cursor)? {
        for document in batch.documents()? {
            ids.push(id_of(document?)?);
        }
    }
    Ok(ids)
}

/// The segments between those `_id`s.
fn divided(ids: impl Iterator<Item = RawId>, batch: u32) -> Vec<Segment> {
    let batch = Some(batch);
    let mut segments = vec![Segment {
        batch,
        ..Segment::default()
    }];
    for id in ids {
        let next = Segment {
            from: Some(id.clone()),
            to: None,
            batch,
        };
        if let Some(last) = segments.last_mut()
            // The same may be drawn twice.
            && last.from.as_ref() != Some(&id)
        {
            last.to = Some(id);
            segments.push(next);
        }
    }
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
            let from = match last {
                Some(last) => Some(("$gt", &*last)),
                None => segment.from.as_ref().map(|from| ("$gte", from)),
            };
            let to = segment.to.as_ref().map(|to| ("$lt", to));
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
        let id = |number: u8| (kind::INT32, vec![number, 0, 0, 0]);
        let segments = divided([id(3), id(5), id(5), id(9)].into_iter(), 7);
        let ends: Vec<_> = segments
            .iter()
            .map(|own| (own.from.clone(), own.to.clone()))
            .collect();
        let expected = [
            (None, Some(id(3))),
            (Some(id(3)), Some(id(5))),
            (Some(id(5)), Some(id(9))),
            (Some(id(9)), None),
        ];
        assert_eq!(ends, expected);
    }
}
