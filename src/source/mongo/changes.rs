//! A change stream: which documents were touched, for whoever may read documents but not the oplog. The role `read` on one
//! database is enough for it.
//!
//! It tells the same as the oplog with two gaps that a snapshot must close by itself: nothing is said of what the server
//! takes for its own (`system.js`, the buckets of time series), nor of views. And it names no entry of the oplog, so a
//! server that was set back to an older copy of itself and went on from there is not recognised.

use super::answer::lacking;
use super::command::Builder;
use super::oplog::{Effect, How, Uuid, characters, inner, timestamp, uuid_of};
use super::reading::{Patience, Stretch};
use super::server::{Asked, Batch, Refusal, Server, code};
use crate::error::{Error, Kind, Result};
use crate::format::bson::{Document, kind};
use crate::progress::Progress;

/// So many batches without anything new in a row are waited for: about a minute. The server itself writes an entry every ten
/// seconds where nobody does.
const SILENT_MAX: u32 = 120;

/// Codes of a stream that cannot be gone on with: what it would tell is not there any more, or cannot be told.
const LOST: [i32; 4] = [
    code::CAPPED_POSITION_LOST,
    code::INCOMPLETE_TRANSACTION_HISTORY,
    code::CHANGE_STREAM_FATAL,
    code::CHANGE_STREAM_HISTORY_LOST,
];

/// A change stream to be read.
pub struct Changes<'c> {
    /// The server.
    pub server: &'c Server,
    /// The database that it is of; of all of them where there is none.
    pub database: Option<&'c str>,
    /// Collections whose documents are wanted whole when they are inserted, as database and name.
    pub whole: Vec<(&'c str, &'c str)>,
    /// Asked whether to go on.
    pub progress: &'c dyn Progress,
    /// Asked the same with each batch: it may have to be said that we are alive.
    pub go_on: &'c dyn Fn() -> Result<()>,
}

/// Where a stream is gone on with.
#[derive(Clone, PartialEq, Eq)]
enum Place {
    /// At what happened at a cluster time.
    At(u64),
    /// Behind a token of the server's.
    Behind(Vec<u8>),
}

impl Changes<'_> {
    /// Tells `visit` all that happened behind one cluster time, up to and with another, with the time of each.
    ///
    /// # Errors
    /// Whatever the server or `visit` says.
    pub fn stretch(
        &self,
        (from, to): (u64, u64),
        visit: &mut dyn FnMut(u64, Effect<'_>) -> Result<()>,
    ) -> Asked<Stretch> {
        if from >= to {
            return Ok(Stretch::Whole);
        }
        let mut here = Place::At(from);
        let mut patience = Patience::new(self.progress);
        loop {
            let before = here.clone();
            match self.part(&mut here, (from, to), visit) {
                Ok(true) => return Ok(Stretch::Whole),
                Ok(false) => patience.well(),
                Err(Refusal {
                    code: Some(code), ..
                }) if LOST.contains(&code) => return Ok(Stretch::Gap),
                Err(refusal) if refusal.code == Some(code::UNAUTHORIZED) => {
                    return Err(Refusal {
                        error: refusal.error.hint(
                            "it takes the role `backup`; or, for one database that the address names, the role `read` on it",
                        ),
                        ..refusal
                    });
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

    /// Reads on until the end, which is true, or until the stream must be opened anew.
    fn part(
        &self,
        here: &mut Place,
        (from, to): (u64, u64),
        visit: &mut dyn FnMut(u64, Effect<'_>) -> Result<()>,
    ) -> Asked<bool> {
        let mut cursor = self
            .server
            .follow(self.database.unwrap_or("admin"), self.command(here))?;
        let mut silent = 0;
        while let Some(batch) = self.server.next(&mut cursor)? {
            (self.go_on)()?;
            let mut empty = true;
            for event in batch.documents()? {
                let event = event?;
                empty = false;
                let time = time(event)?;
                if time > to {
                    return Ok(true);
                }
                if word(event, b"operationType")? == b"invalidate" {
                    // A database that is dropped ends a stream of it; what comes after is told by another one.
                    let id = event.get(b"_id")?.ok_or_else(lacking)?;
                    *here = Place::Behind(id.value.to_vec());
                    return Ok(false);
                }
                if time > from {
                    effects(event, &mut |effect| visit(time, effect))?;
                }
            }
            let (token, read) = token(&batch)?;
            // An empty batch ends where the oplog ends, so all of the entry of that time was told by then. A batch that is
            // not empty may end between two events of one transaction.
            if read > to || (empty && read >= to) {
                return Ok(true);
            }
            let next = Place::Behind(token);
            silent = if *here == next { silent + 1 } else { 0 };
            if silent >= SILENT_MAX {
                return Err(Error::new(
                    Kind::Failed,
                    "the change stream does not follow the primary",
                )
                .subject(self.server.address())
                .into());
            }
            *here = next;
        }
        Err(
            Error::new(Kind::Failed, "the server has ended a change stream")
                .subject(self.server.address())
                .into(),
        )
    }

    fn command(&self, here: &Place) -> Builder {
        // What comes by a migration of chunks, or is copied into a capped collection, comes all the same.
        let mut stream = Builder::new()
            .boolean("showExpandedEvents", true)
            .boolean("showMigrationEvents", true);
        if self.database.is_none() {
            stream = stream.boolean("allChangesForCluster", true);
        }
        stream = match here {
            Place::At(time) => stream.timestamp("startAtOperationTime", *time),
            // It may be the token of an event that ended the stream, behind which nothing could be resumed.
            Place::Behind(token) => stream.raw(kind::DOCUMENT, b"startAfter", token),
        };
        let mut wanted = Builder::new();
        for name in [
            "operationType",
            "clusterTime",
            "ns",
            "to",
            "documentKey",
            "collectionUUID",
            "operationDescription.dropTarget",
        ] {
            wanted = wanted.int32(name, 1);
        }
        if !self.whole.is_empty() {
            wanted = wanted.document("fullDocument", self.documents());
        }
        let stages = [
            Builder::new().document("$changeStream", stream).finish(),
            Builder::new().document("$project", wanted).finish(),
        ];
        let stages = stages.iter().map(|stage| (kind::DOCUMENT, &stage[..]));
        Builder::new()
            .int32("aggregate", 1)
            .array("pipeline", stages)
            .document("cursor", Builder::new())
    }

    /// The whole document where it is of a collection that it is wanted of.
    fn documents(&self) -> Builder {
        let names = self.whole.iter().map(|(database, name)| {
            Builder::new()
                .string("db", database)
                .string("coll", name)
                .finish()
        });
        let names: Vec<Vec<u8>> = names.collect();
        let names = names.iter().map(|name| (kind::DOCUMENT, &name[..]));
        let operands = Builder::new()
            .string("0", "$ns")
            .document("1", Builder::new().array("$literal", names))
            .finish();
        // The bytes of an array are those of a document with such names.
        let among = Builder::new().raw(kind::ARRAY, b"$in", &operands);
        let chosen = Builder::new()
            .document("if", among)
            .string("then", "$fullDocument")
            .string("else", "$$REMOVE");
        Builder::new().document("$cond", chosen)
    }
}

fn word<'e>(event: Document<'e>, name: &[u8]) -> Result<&'e [u8]> {
    let found = event.get(name)?;
    found.as_ref().and_then(characters).ok_or_else(lacking)
}

fn time(event: Document<'_>) -> Result<u64> {
    timestamp(&event.get(b"clusterTime")?.ok_or_else(lacking)?)
}

/// `database.name`; nothing behind the dot where it is of the whole database.
fn namespace(of: Option<Document<'_>>) -> Result<Vec<u8>> {
    let of = of.ok_or_else(lacking)?;
    let name = match of.get(b"coll")? {
        Some(_) => word(of, b"coll")?,
        None => &[],
    };
    Ok([word(of, b"db")?, b".", name].concat())
}

fn uuid(of: Option<Document<'_>>, name: &[u8]) -> Result<Option<Uuid>> {
    match of {
        Some(of) => Ok(of.get(name)?.as_ref().and_then(uuid_of)),
        None => Ok(None),
    }
}

/// Tells `visit` what an event says.
///
/// # Errors
/// [`Kind::Unsupported`] for what is not understood, [`Kind::Damage`] for what is no event; whatever `visit` says.
pub fn effects(event: Document<'_>, visit: &mut dyn FnMut(Effect<'_>) -> Result<()>) -> Result<()> {
    let of = uuid(Some(event), b"collectionUUID")?;
    let named = inner(event, b"ns")?;
    match word(event, b"operationType")? {
        operation @ (b"insert" | b"update" | b"replace" | b"delete") => {
            let uuid = of.ok_or_else(lacking)?;
            let key = inner(event, b"documentKey")?.ok_or_else(lacking)?;
            let id = key.get(b"_id")?.ok_or_else(lacking)?;
            let how = match operation {
                b"insert" => How::Came(inner(event, b"fullDocument")?),
                b"delete" => How::Went,
                _ => How::Changed,
            };
            visit(Effect::Touched { uuid, id, how })
        }
        b"create"
        | b"modify"
        | b"createIndexes"
        | b"dropIndexes"
        | b"startIndexBuild"
        | b"commitIndexBuild"
        | b"abortIndexBuild"
        | b"dropDatabase"
        | b"shardCollection"
        | b"refineCollectionShardKey"
        | b"reshardCollection" => {
            let namespace = namespace(named)?;
            visit(Effect::Catalogue { namespace })
        }
        b"drop" => {
            if let Some(uuid) = of {
                visit(Effect::Emptied { uuid })?;
            }
            let namespace = namespace(named)?;
            visit(Effect::Catalogue { namespace })
        }
        b"rename" => {
            let target = uuid(inner(event, b"operationDescription")?, b"dropTarget")?;
            if let Some(uuid) = target {
                visit(Effect::Emptied { uuid })?;
            }
            for own in [named, inner(event, b"to")?] {
                let namespace = namespace(own)?;
                visit(Effect::Catalogue { namespace })?;
            }
            Ok(())
        }
        // Where a transaction's changes end; each was told by itself.
        b"endOfTransaction" => Ok(()),
        other => Err(Error::new(
            Kind::Unsupported,
            format!(
                "a change that this version does not understand: {}",
                String::from_utf8_lossy(other)
            ),
        )
        .hint("--force takes everything anew, from behind it on")),
    }
}

/// The token behind a batch, and the cluster time that the stream has come to.
fn token(batch: &Batch) -> Result<(Vec<u8>, u64)> {
    let token = batch.token()?.ok_or_else(lacking)?;
    let data = word(Document::whole(&token)?, b"_data")?;
    let read = token_time(data).ok_or_else(|| {
        Error::new(
            Kind::Unsupported,
            "the server's change streams have tokens of a form that this version does not know",
        )
    })?;
    Ok((token, read))
}

/// The cluster time of a token: the server's sortable form of a timestamp stands at its beginning, behind a byte that says so.
fn token_time(data: &[u8]) -> Option<u64> {
    let digits = std::str::from_utf8(data).ok()?.strip_prefix("82")?;
    u64::from_str_radix(digits.get(..16)?, 16).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn names(database: &str, name: &str) -> Builder {
        let own = Builder::new().string("db", database);
        match name {
            "" => own,
            name => own.string("coll", name),
        }
    }

    fn event(operation: &str) -> Builder {
        Builder::new()
            .string("operationType", operation)
            .timestamp("clusterTime", 7 << 32 | 9)
            .uuid("collectionUUID", &[4; 16])
    }

    /// What it says, in words.
    fn told(event: Builder) -> Result<Vec<String>> {
        let event = event.finish();
        let mut all = Vec::new();
        effects(Document::whole(&event)?, &mut |effect| {
            all.push(match effect {
                Effect::Touched { uuid, id, how } => {
                    let how = match how {
                        How::Came(Some(own)) => format!("came {}", own.elements().count()),
                        How::Came(None) => "came".into(),
                        How::Changed => "changed".into(),
                        How::Went => "went".into(),
                    };
                    format!("{} {:?} {how}", uuid[0], id.value)
                }
                Effect::Catalogue { namespace } => String::from_utf8(namespace).unwrap(),
                Effect::Emptied { uuid } => format!("emptied {}", uuid[0]),
                Effect::Earlier { time } => format!("after {time}"),
            });
            Ok(())
        })?;
        Ok(all)
    }

    #[test]
    fn events_say_what_was_touched() {
        let of = |operation: &str| {
            event(operation)
                .document("ns", names("shop", "quotes"))
                .document("documentKey", Builder::new().int32("_id", 1))
        };
        assert_eq!(told(of("insert")).unwrap(), ["4 [1, 0, 0, 0] came"]);
        let whole = Builder::new().int32("_id", 1).int32("n", 2);
        let whole = of("insert").document("fullDocument", whole);
        assert_eq!(told(whole).unwrap(), ["4 [1, 0, 0, 0] came 2"]);
        assert_eq!(told(of("update")).unwrap(), ["4 [1, 0, 0, 0] changed"]);
        assert_eq!(told(of("replace")).unwrap(), ["4 [1, 0, 0, 0] changed"]);
        assert_eq!(told(of("delete")).unwrap(), ["4 [1, 0, 0, 0] went"]);
        assert_eq!(told(of("create")).unwrap(), ["shop.quotes"]);
        assert_eq!(told(of("drop")).unwrap(), ["emptied 4", "shop.quotes"]);
        let all = event("dropDatabase").document("ns", names("shop", ""));
        assert_eq!(told(all).unwrap(), ["shop."]);
        let renamed = of("rename")
            .document("to", names("shop", "old.quotes"))
            .document(
                "operationDescription",
                Builder::new().uuid("dropTarget", &[5; 16]),
            );
        assert_eq!(
            told(renamed).unwrap(),
            ["emptied 5", "shop.quotes", "shop.old.quotes"]
        );
        assert_eq!(
            told(of("somethingNew")).unwrap_err().kind(),
            Kind::Unsupported
        );
        let nameless = Builder::new().string("operationType", "insert");
        assert!(told(nameless).is_err());
        assert!(told(event("rename")).is_err());
    }

    #[test]
    fn tokens_begin_with_their_time() {
        let time = token_time(b"826567ABCD00000002D42B0229296E04").unwrap();
        assert_eq!(time, 0x6567_ABCD << 32 | 2);
        for other in [
            &b""[..],
            b"82",
            b"826567ABCD0000000",
            b"2B6567ABCD00000002",
            b"82zz67ABCD00000002",
        ] {
            assert_eq!(token_time(other), None);
        }
        assert_eq!(token_time("82\u{e9}".as_bytes()), None);
    }
}
