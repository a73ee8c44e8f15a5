//! Reads that are certain of what they read: each names its collection by the server's own id, for one that was dropped
//! would otherwise be silently empty, and each stretch of the oplog begins and ends with the very entries that are meant.
//! What breaks off for a reason that goes away (a connection, a member that steps down) goes on where it was.

use std::time::Duration;

use super::answer::{Answer, lacking};
use super::command::Builder;
use super::oplog;
use super::server::{Asked, Cursor, Refusal, Server, code};
use crate::error::{Error, Kind, Result};
use crate::format::bson::{Document, kind};
use crate::format::deployment::{Collection, Position};
use crate::progress::Progress;

/// Waits between two attempts: the first, and how long they become.
const WAITS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// Attempts without anything coming of them: about two minutes.
const ATTEMPTS: u32 = 30;

/// Of documents between two `_id`s.
const BETWEEN_BYTES: usize = 32 << 20;

/// Which state of the documents is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// What a majority has, not older than that cluster time, each document as it is when it is met.
    Majority {
        /// The cluster time.
        after: u64,
    },
    /// All as it was at that cluster time.
    Snapshot {
        /// The cluster time.
        at: u64,
    },
    /// What the server has: where it stands alone.
    Local,
}

impl State {
    fn concern(self) -> Builder {
        match self {
            Self::Majority { after } => Builder::new()
                .string("level", "majority")
                .timestamp("afterClusterTime", after),
            Self::Snapshot { at } => Builder::new()
                .string("level", "snapshot")
                .timestamp("atClusterTime", at),
            Self::Local => Builder::new().string("level", "local"),
        }
    }
}

/// Tries again what may go well a moment later.
pub struct Patience<'p> {
    progress: &'p dyn Progress,
    failures: u32,
}

impl<'p> Patience<'p> {
    /// Asks `progress` whether to go on.
    #[must_use]
    pub fn new(progress: &'p dyn Progress) -> Self {
        Self {
            progress,
            failures: 0,
        }
    }

    /// Something went well.
    pub fn well(&mut self) {
        self.failures = 0;
    }

    /// Waits a little after something that may go well the next time.
    ///
    /// # Errors
    /// The refusal, where it will not, or did not for long.
    pub fn again(&mut self, refusal: Refusal) -> Asked<()> {
        self.progress.go_on()?;
        if !refusal.transient || self.failures >= ATTEMPTS {
            return Err(refusal);
        }
        if self.failures == 0 {
            let error = &refusal.error;
            self.progress.note(&format!(
                "the connection broke off and is tried again: {error}"
            ));
        }
        std::thread::sleep((WAITS.0 * 2u32.pow(self.failures.min(8))).min(WAITS.1));
        self.failures += 1;
        Ok(())
    }

    /// Does it until it goes well.
    ///
    /// # Errors
    /// As [`Patience::again`].
    pub fn until<T>(&mut self, mut attempt: impl FnMut() -> Asked<T>) -> Asked<T> {
        loop {
            match attempt() {
                Ok(done) => {
                    self.well();
                    return Ok(done);
                }
                Err(refusal) => self.again(refusal)?,
            }
        }
    }
}

fn position(entry: Document<'_>) -> Result<Position> {
    Ok(Position {
        time: oplog::time(entry)?,
        proof: *blake3::hash(entry.bytes()).as_bytes(),
    })
}

fn of_oplog() -> Builder {
    Builder::new().string("find", "oplog.rs")
}

/// The newest entry of the oplog that no failure can take back.
///
/// # Errors
/// Whatever the server says.
pub fn newest(server: &Server) -> Asked<Position> {
    let command = of_oplog()
        .document("sort", Builder::new().int32("$natural", -1))
        .int32("limit", 1)
        .document("readConcern", Builder::new().string("level", "majority"));
    match server.all("local", command)?.first() {
        Some(entry) => Ok(position(Document::whole(entry)?)?),
        None => Err(Error::new(Kind::Failed, "the oplog is empty").into()),
    }
}

/// The newest such entry that is not newer than that time; none where the oplog begins later.
///
/// # Errors
/// Whatever the server says.
pub fn newest_until(server: &Server, time: u64) -> Asked<Option<Position>> {
    let until = Builder::new().timestamp("$lte", time);
    let command = of_oplog()
        .document("filter", Builder::new().document("ts", until))
        .document("sort", Builder::new().int32("$natural", -1))
        .int32("limit", 1)
        .document("readConcern", Builder::new().string("level", "majority"));
    let found = server.all("local", command)?;
    let found = found.first().map(|entry| position(Document::whole(entry)?));
    Ok(found.transpose()?)
}

/// The oldest entry of the oplog.
///
/// # Errors
/// Whatever the server says.
pub fn oldest(server: &Server) -> Asked<Position> {
    let command = of_oplog()
        .document("sort", Builder::new().int32("$natural", 1))
        .int32("limit", 1)
        .document("readConcern", Builder::new().string("level", "majority"));
    match server.all("local", command)?.first() {
        Some(entry) => Ok(position(Document::whole(entry)?)?),
        None => Err(Error::new(Kind::Failed, "the oplog is empty").into()),
    }
}

/// The time of the newest such entry as the primary tells it to anybody, where the oplog is not ours to read.
///
/// # Errors
/// Whatever the server says.
pub fn newest_told(server: &Server) -> Asked<Position> {
    let hello = server.command("admin", Builder::new().int32("hello", 1))?;
    let time = match hello.inner("lastWrite")? {
        Some(last) => match last.inner("majorityOpTime")? {
            Some(entry) => entry.time("ts")?,
            None => None,
        },
        None => None,
    };
    Ok(Position::unproven(time.ok_or_else(lacking)?))
}

/// The newest such entry, by what `newest` says, once it is not older than that time.
///
/// # Errors
/// Whatever the server says, and where it does not come.
pub fn settled(
    server: &Server,
    time: u64,
    progress: &dyn Progress,
    newest: fn(&Server) -> Asked<Position>,
) -> Asked<Position> {
    let mut waited = 0;
    loop {
        let found = newest(server)?;
        if found.time >= time {
            return Ok(found);
        }
        progress.go_on()?;
        // The server itself writes an entry every ten seconds where nobody does.
        if waited == 600 {
            return Err(Error::new(
                Kind::Failed,
                "a majority of the members does not follow the primary",
            )
            .subject(server.address())
            .into());
        }
        waited += 1;
        std::thread::sleep(Duration::from_millis(if waited < 20 { 10 } else { 100 }));
    }
}

/// The time of the last thing that the server has done.
///
/// # Errors
/// Whatever the server says.
pub fn operation_time(server: &Server) -> Asked<u64> {
    let answer = server.command("admin", Builder::new().int32("hello", 1))?;
    let time = answer.time("operationTime")?;
    time.ok_or_else(|| lacking().into())
}

/// Whether a stretch of the oplog could be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stretch {
    /// All of it.
    Whole,
    /// The entry that it begins with is not there any more, or is another one.
    Gap,
}

/// Tells `visit` every entry behind `from`, up to and with `to`.
///
/// # Errors
/// Whatever the server or `visit` says, and where the oplog does not lead to `to`.
pub fn stretch(
    server: &Server,
    from: Position,
    to: Position,
    progress: &dyn Progress,
    visit: &mut dyn FnMut(Document<'_>) -> Result<()>,
) -> Asked<Stretch> {
    let mut here = from;
    let mut patience = Patience::new(progress);
    loop {
        let before = here;
        match part(server, &mut here, to, progress, visit) {
            Ok(stretch) => return Ok(stretch),
            // The cursor was overtaken by what rolls over.
            Err(refusal) if refusal.code == Some(code::CAPPED_POSITION_LOST) => {
                return Ok(Stretch::Gap);
            }
            Err(refusal) => {
                if here != before {
                    patience.well();
                }
                patience.again(refusal)?;
            }
        }
    }
}

fn part(
    server: &Server,
    here: &mut Position,
    to: Position,
    progress: &dyn Progress,
    visit: &mut dyn FnMut(Document<'_>) -> Result<()>,
) -> Asked<Stretch> {
    let between = Builder::new()
        .timestamp("$gte", here.time)
        .timestamp("$lte", to.time);
    let command = of_oplog()
        .document("filter", Builder::new().document("ts", between))
        .document("readConcern", State::Majority { after: to.time }.concern());
    let mut cursor = server.read("local", command)?;
    let mut begun = false;
    while let Some(batch) = server.next(&mut cursor)? {
        progress.go_on()?;
        for entry in batch.documents()? {
            let entry = entry?;
            let found = position(entry)?;
            if !std::mem::replace(&mut begun, true) {
                if found != *here {
                    return Ok(Stretch::Gap);
                }
                continue;
            }
            visit(entry)?;
            *here = found;
        }
    }
    if !begun {
        return Ok(Stretch::Gap);
    }
    if *here != to {
        return Err(
            Error::new(Kind::Failed, "the oplog was rewritten while it was read")
                .subject(server.address())
                .hint("try again once the replica set has settled")
                .into(),
        );
    }
    Ok(Stretch::Whole)
}

/// The entry of that time; none where it is not there any more.
///
/// # Errors
/// Whatever the server says.
pub fn entry(server: &Server, time: u64) -> Asked<Option<Vec<u8>>> {
    let from = Builder::new().timestamp("$gte", time);
    let command = of_oplog()
        .document("filter", Builder::new().document("ts", from))
        .int32("limit", 1)
        .document("readConcern", Builder::new().string("level", "majority"));
    let Some(entry) = server.all("local", command)?.pop() else {
        return Ok(None);
    };
    let same = oplog::time(Document::whole(&entry)?)? == time;
    Ok(same.then_some(entry))
}

/// A read of a collection, by the order of `_id`.
pub(super) fn find(of: &Collection, state: State) -> Builder {
    let mut command = Builder::new()
        .string("find", of.name())
        .document("readConcern", state.concern())
        .boolean("noCursorTimeout", true);
    if let Some(uuid) = &of.uuid {
        command = command.uuid("collectionUUID", uuid);
    }
    command
}

pub(super) fn by_id() -> Builder {
    Builder::new().int32("_id", 1)
}

/// An `_id`, as kind and raw value.
pub type RawId = (u8, Vec<u8>);

/// The `_id` of a document.
///
/// # Errors
/// [`Kind::Damage`] where it has none.
pub fn id_of(document: Document<'_>) -> Result<RawId> {
    match document.get(b"_id")? {
        Some(id) => Ok((id.kind, id.value.to_vec())),
        None => Err(Error::damage("a document without an _id")),
    }
}

/// Those whose `_id` is on that side of each of these values, whatever its type: a plain `$gt` would stay within one, and an
/// index's `max` leaves the highest out.
pub(super) fn ids_that_are(sides: &[(&str, &RawId)]) -> Builder {
    let compared = sides.iter().map(|(side, (kind, value))| {
        let operands = Builder::new()
            .string("0", "$_id")
            .document("1", Builder::new().raw(*kind, b"$literal", value));
        let compared = Builder::new().raw(kind::ARRAY, side.as_bytes(), &operands.finish());
        compared.finish()
    });
    let compared: Vec<Vec<u8>> = compared.collect();
    let all = compared.iter().map(|side| (kind::DOCUMENT, &side[..]));
    Builder::new().document("$expr", Builder::new().array("$and", all))
}

/// The documents from one `_id` up to and with another in the server's order, at most so many and about 32 MiB.
///
/// # Errors
/// Whatever the server says.
pub fn between(
    server: &Server,
    of: &Collection,
    (first, last): (&RawId, &RawId),
    state: State,
    most: i32,
    patience: &mut Patience<'_>,
) -> Asked<Vec<Vec<u8>>> {
    let command = find(of, state)
        .document("filter", ids_that_are(&[("$gte", first), ("$lte", last)]))
        .document("hint", by_id())
        .int32("limit", most);
    patience.until(|| {
        let mut cursor = server.read(of.database(), command.clone())?;
        let (mut all, mut bytes) = (Vec::new(), 0);
        while bytes < BETWEEN_BYTES
            && let Some(batch) = server.next(&mut cursor)?
        {
            for document in batch.documents()? {
                let document = document?.bytes().to_vec();
                bytes += document.len();
                all.push(document);
            }
        }
        Ok(all)
    })
}

/// The documents of those `_id`s, in no order; none where they are more than one and come to more than `most` bytes. The
/// server takes some for equal that we do not (`1` and `1.0`), so it may give what was not asked for.
///
/// # Errors
/// Whatever the server says.
pub fn some(
    server: &Server,
    of: &Collection,
    ids: &[RawId],
    state: State,
    most: usize,
    patience: &mut Patience<'_>,
) -> Asked<Option<Vec<Vec<u8>>>> {
    let progress = patience.progress;
    patience.until(|| {
        let values = ids.iter().map(|(kind, value)| (*kind, &value[..]));
        let among = Builder::new().array("$in", values);
        let command = find(of, state)
            .document("filter", Builder::new().document("_id", among))
            .document("hint", by_id())
            .int32("batchSize", ids.len() as i32 + 1);
        // What is there now, the primary knows.
        let mut cursor: Cursor = match state {
            State::Local => server.cursor(of.database(), command)?,
            _ => server.read(of.database(), command)?,
        };
        let (mut found, mut bytes) = (Vec::new(), 0);
        while let Some(batch) = server.next(&mut cursor)? {
            // What is read at one time must be read soon.
            if matches!(state, State::Majority { .. }) {
                server.give_time(&batch, progress)?;
            }
            if let (State::Snapshot { at }, Some(read)) = (state, batch.read_at()?)
                && read != at
            {
                return Err(Error::new(
                    Kind::Failed,
                    "the server read at another time than it was asked to",
                )
                .subject(server.address())
                .into());
            }
            for document in batch.documents()? {
                let document = document?.bytes().to_vec();
                bytes += document.len();
                found.push(document);
            }
            if bytes > most && ids.len() > 1 {
                return Ok(None);
            }
        }
        Ok(Some(found))
    })
}

/// How many documents a collection holds.
///
/// # Errors
/// Whatever the server says.
pub fn count(server: &Server, of: &Collection, state: State) -> Asked<u64> {
    let counted = Builder::new().string("$count", "n").finish();
    let mut command = Builder::new()
        .string("aggregate", of.name())
        .array("pipeline", [(kind::DOCUMENT, &counted[..])])
        .document("cursor", Builder::new())
        .document("hint", by_id())
        .document("readConcern", state.concern());
    if let Some(uuid) = &of.uuid {
        command = command.uuid("collectionUUID", uuid);
    }
    let answers = server.all(of.database(), command)?;
    let Some(answer) = answers.first() else {
        return Ok(0);
    };
    let number = Answer::new(answer.clone()).number("n")?;
    let number = number.and_then(|number| u64::try_from(number).ok());
    number.ok_or_else(|| lacking().into())
}

/// Whether it is only that the catalogue changed meanwhile: the collection went, was renamed or made anew, or is too new
/// to be read at that time.
#[must_use]
pub fn is_change(refusal: &Refusal) -> bool {
    let codes = [
        code::CAPPED_POSITION_LOST,
        code::NAMESPACE_NOT_FOUND,
        code::QUERY_PLAN_KILLED,
        code::SNAPSHOT_UNAVAILABLE,
        code::COLLECTION_UUID_MISMATCH,
    ];
    refusal.code.is_some_and(|code| codes.contains(&code))
}
