//! A connection to a MongoDB server: commands and cursors, raw BSON in and out. Nothing is decoded but the few fields that are
//! looked at, and no answer is trusted to be what was asked for.

use std::sync::Arc;
use std::time::Duration;

use super::answer::{Answer, Documents};
use super::command::Builder;
use super::driver::{Batches, Driver};
use crate::error::{Error, Kind, Result};
use crate::pace::{Pace, SLICE};
use crate::progress::Progress;

/// How long the server waits for something new before it answers.
const AWAITED: Duration = Duration::from_millis(500);
/// The wire version of MongoDB 6.0.
const WIRE_VERSION: i64 = 17;

/// Codes of the server's errors that are acted upon.
pub mod code {
    #![allow(missing_docs)]
    pub const UNAUTHORIZED: i32 = 13;
    pub const AUTHENTICATION_FAILED: i32 = 18;
    pub const NAMESPACE_NOT_FOUND: i32 = 26;
    pub const CAPPED_POSITION_LOST: i32 = 136;
    pub const CURSOR_NOT_FOUND: i32 = 43;
    pub const QUERY_PLAN_KILLED: i32 = 175;
    /// What a hosted service does not let anybody do.
    pub const NOT_OFFERED: i32 = 8000;
    pub const DUPLICATE_KEY: i32 = 11_000;
    pub const NAMESPACE_EXISTS: i32 = 48;
    pub const SNAPSHOT_TOO_OLD: i32 = 239;
    pub const INCOMPLETE_TRANSACTION_HISTORY: i32 = 217;
    pub const CHANGE_STREAM_FATAL: i32 = 280;
    pub const CHANGE_STREAM_HISTORY_LOST: i32 = 286;
    pub const SNAPSHOT_UNAVAILABLE: i32 = 246;
    pub const COLLECTION_UUID_MISMATCH: i32 = 361;
}

/// Why the server did not do it.
#[derive(Debug)]
pub struct Refusal {
    /// The server's code, where it was the server that refused.
    pub code: Option<i32>,
    /// Whether the same may go well a moment later.
    pub transient: bool,
    /// What a person is told.
    pub error: Error,
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        refusal.error
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self {
            code: None,
            transient: false,
            error,
        }
    }
}

/// Result of asking the server.
pub type Asked<T> = std::result::Result<T, Refusal>;

/// What sort of deployment it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Topology {
    /// A replica set of that name.
    Set(String),
    /// A server that stands alone.
    Alone,
    /// A router of a sharded cluster.
    Sharded,
}

/// A connection.
pub struct Server {
    driver: Driver,
    /// How much is asked of it.
    pace: Option<Arc<Pace>>,
    /// The address without what is secret in it, for messages.
    address: String,
    database: Option<String>,
    topology: Topology,
    version: String,
}

impl Server {
    /// Connects to the address, a `mongodb://` or `mongodb+srv://` URI.
    ///
    /// # Errors
    /// [`Kind::Usage`] for an address that is none, [`Kind::Permission`] where the server takes neither name nor
    /// password, [`Kind::Unsupported`] before 6.0, [`Kind::Failed`] where none answers.
    pub fn connect(uri: &str) -> Result<Self> {
        let address = without_secrets(uri);
        let (driver, database) = Driver::connect(uri, &address)?;
        let mut server = Self {
            driver,
            pace: None,
            address,
            // Users are kept there, and addresses name it for their sake.
            database: database.filter(|name| name != "admin"),
            topology: Topology::Alone,
            version: String::new(),
        };
        let hello = server.command("admin", Builder::new().int32("hello", 1))?;
        server.topology = match (hello.text("msg")?.as_deref(), hello.text("setName")?) {
            (Some("isdbgrid"), _) => Topology::Sharded,
            (_, Some(set)) => Topology::Set(set),
            _ => Topology::Alone,
        };
        // What a read names a collection by its id with came with 6.0.
        if hello.number("maxWireVersion")?.unwrap_or(0) < WIRE_VERSION {
            return Err(Error::new(
                Kind::Unsupported,
                "the server is older than MongoDB 6.0, and reads of it could be silently empty",
            )
            .subject(&server.address));
        }
        let build = server.command("admin", Builder::new().int32("buildInfo", 1))?;
        let version = build.text("version")?.unwrap_or_default();
        server.version = version.chars().take(64).collect();
        Ok(server)
    }

    /// Asks no more than so many bytes of documents a second of it, where there is time.
    #[must_use]
    pub fn at_rate(self, rate: Option<u64>) -> Self {
        Self {
            pace: rate.map(Pace::new),
            ..self
        }
    }

    /// The address, without what is secret in it.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The database that the address names.
    #[must_use]
    pub fn database(&self) -> Option<&str> {
        self.database.as_deref()
    }

    /// What sort of deployment it is.
    #[must_use]
    pub fn topology(&self) -> &Topology {
        &self.topology
    }

    /// The server's version.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Puts the server's name to what it refused.
    fn named<T>(&self, asked: Asked<T>) -> Asked<T> {
        asked.map_err(|refusal| Refusal {
            error: refusal.error.or_subject(|| self.address.clone()),
            ..refusal
        })
    }

    /// Runs a command on the primary; its answer.
    ///
    /// # Errors
    /// Whatever the server says.
    pub fn command(&self, database: &str, command: Builder) -> Asked<Answer> {
        let answer = self.named(self.driver.command(database, command.finish()))?;
        Ok(Answer::new(answer))
    }

    /// Runs a command that answers with a cursor, on the primary.
    ///
    /// # Errors
    /// Whatever the server says.
    pub fn cursor(&self, database: &str, command: Builder) -> Asked<Cursor> {
        let ways = Ways {
            primary: true,
            ..Ways::default()
        };
        self.open(database, command, ways)
    }

    /// Runs a command that answers with a cursor, on whichever member the address prefers.
    ///
    /// # Errors
    /// Whatever the server says.
    pub fn read(&self, database: &str, command: Builder) -> Asked<Cursor> {
        self.open(database, command, Ways::default())
    }

    /// As [`Server::read`], so many documents at once.
    ///
    /// # Errors
    /// Whatever the server says.
    pub fn read_in(&self, database: &str, command: Builder, batch: Option<u32>) -> Asked<Cursor> {
        let command = match batch {
            Some(batch) => command.int32("batchSize", i32::try_from(batch).unwrap_or(i32::MAX)),
            None => command,
        };
        let ways = Ways {
            batch,
            ..Ways::default()
        };
        self.open(database, command, ways)
    }

    fn open(&self, database: &str, command: Builder, ways: Ways) -> Asked<Cursor> {
        let batches = self.driver.cursor(database, command.finish(), ways);
        self.named(batches).map(Cursor)
    }

    /// Runs a command whose cursor never ends, on the primary: where nothing is new, an empty batch comes after half a second.
    ///
    /// # Errors
    /// Whatever the server says.
    pub fn follow(&self, database: &str, command: Builder) -> Asked<Cursor> {
        let ways = Ways {
            primary: true,
            wait: Some(AWAITED),
            batch: None,
        };
        self.open(database, command, ways)
    }

    /// The next batch of a cursor; none at its end.
    ///
    /// # Errors
    /// Whatever the server says.
    pub fn next(&self, cursor: &mut Cursor) -> Asked<Option<Batch>> {
        let next = self.named(self.driver.next(&mut cursor.0))?;
        Ok(next.map(|answer| Batch(Answer::new(answer))))
    }

    /// Waits until so many bytes have had their time.
    ///
    /// # Errors
    /// Where `progress` says not to go on.
    pub fn give_time(&self, batch: &Batch, progress: &dyn Progress) -> Result<()> {
        if let Some(pace) = &self.pace {
            let mut left = batch.size();
            while left > 0 {
                let some = left.min(SLICE);
                pace.pass(some);
                progress.go_on()?;
                left -= some;
            }
        }
        Ok(())
    }

    /// All documents that a command's cursor gives; for what is known to be few.
    ///
    /// # Errors
    /// Whatever the server says.
    pub fn all(&self, database: &str, command: Builder) -> Asked<Vec<Vec<u8>>> {
        let mut cursor = self.cursor(database, command)?;
        let mut all = Vec::new();
        while let Some(batch) = self.next(&mut cursor)? {
            for document in batch.documents()? {
                all.push(document?.bytes().to_vec());
            }
        }
        Ok(all)
    }
}

/// How a cursor is asked for.
#[derive(Clone, Copy, Debug, Default)]
#[cfg_attr(not(feature = "mongodb"), expect(dead_code))]
pub(super) struct Ways {
    /// Of the primary, and not of whichever member the address prefers.
    pub primary: bool,
    /// Where it never ends: so long the server waits for something new.
    pub wait: Option<Duration>,
    /// So many documents at once, behind the first of its answers.
    pub batch: Option<u32>,
}

/// A cursor of the server. It is closed there when it is dropped.
pub struct Cursor(Batches);

/// Some documents, as the server sent them.
pub struct Batch(Answer);

impl Batch {
    /// Bytes of it.
    #[must_use]
    pub fn size(&self) -> usize {
        self.0.size()
    }

    /// Whether it is the last of its cursor, as far as the server knows by now.
    ///
    /// # Errors
    /// [`Kind::Damage`] where the answer is none.
    pub fn is_last(&self) -> Result<bool> {
        let cursor = self.0.inner("cursor")?;
        let id = cursor.map(|cursor| cursor.number("id")).transpose()?;
        Ok(id.flatten() == Some(0))
    }

    /// The documents.
    ///
    /// # Errors
    /// [`Kind::Damage`] where the answer holds none.
    pub fn documents(&self) -> Result<Documents<'_>> {
        self.0.documents()
    }

    /// The time that a snapshot read was read at, as the server says it.
    ///
    /// # Errors
    /// [`Kind::Damage`] where the answer is none.
    pub fn read_at(&self) -> Result<Option<u64>> {
        match self.0.inner("cursor")? {
            Some(cursor) => cursor.time("atClusterTime"),
            None => Ok(None),
        }
    }

    /// The token that a change stream goes on behind; none where it is of no change stream.
    ///
    /// # Errors
    /// [`Kind::Damage`] where the answer is none.
    pub fn token(&self) -> Result<Option<Vec<u8>>> {
        match self.0.inner("cursor")? {
            Some(cursor) => {
                let token = cursor.inner("postBatchResumeToken")?;
                Ok(token.map(Answer::into_bytes))
            }
            None => Ok(None),
        }
    }
}

/// An address as people may see it: without name and password, and without what follows the question mark, where secrets
/// may stand too.
#[must_use]
pub fn without_secrets(uri: &str) -> String {
    let Some((scheme, rest)) = uri.split_once("://") else {
        return "the address".into();
    };
    // A password may hold anything that somebody forgot to escape; then nobody can tell where it ends.
    match rest.split_once('?') {
        Some((_, behind)) if behind.contains('@') => format!("{scheme}://..."),
        place => {
            let place = place.map_or(rest, |(place, _)| place);
            let place = place.rsplit_once('@').map_or(place, |(_, place)| place);
            format!("{scheme}://{place}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_shown_without_what_is_secret() {
        for (uri, shown) in [
            ("mongodb://a.b:27017", "mongodb://a.b:27017"),
            ("mongodb://u:p@h,i/db?x=y", "mongodb://h,i/db"),
            ("mongodb+srv://u:p@ss@h/db", "mongodb+srv://h/db"),
            ("mongodb://h/?authMechanismProperties=s:t", "mongodb://h/"),
            ("mongodb://u:pa?ss@h", "mongodb://..."),
            ("u:p@h", "the address"),
        ] {
            assert_eq!(without_secrets(uri), shown);
        }
    }
}
