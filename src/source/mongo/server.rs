//! A connection to a MongoDB server: commands and cursors, raw BSON in and out.
//!
//! The driver is asynchronous and runs on two threads of its own; here every call waits for its answer. Nothing is decoded
//! but the few fields that are looked at, and no answer is trusted to be what was asked for.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use mongodb::bson::{Document as Answer, RawDocumentBuf};
use mongodb::error::{Error as DriverError, ErrorKind};
use mongodb::options::{ClientOptions, ReadPreference, SelectionCriteria};
use mongodb::raw_batch_cursor::{RawBatch, RawBatchCursor};
use mongodb::{Client, Database};
use tokio::runtime::Runtime;

use super::command::Builder;
use crate::error::{Error, Kind, Result};
use crate::format::bson::{Document, Elements, kind};

/// How long a server is looked for, unless the address says otherwise.
const SELECTION: Duration = Duration::from_secs(10);

/// Codes of the server's errors that are acted upon.
pub mod code {
    #![allow(missing_docs)]
    pub const UNAUTHORIZED: i32 = 13;
    pub const AUTHENTICATION_FAILED: i32 = 18;
    pub const NAMESPACE_NOT_FOUND: i32 = 26;
    pub const CURSOR_NOT_FOUND: i32 = 43;
    pub const QUERY_PLAN_KILLED: i32 = 175;
    pub const SNAPSHOT_TOO_OLD: i32 = 239;
    pub const SNAPSHOT_UNAVAILABLE: i32 = 246;
    pub const COLLECTION_UUID_MISMATCH: i32 = 361;
}

/// Codes that go away by themselves: a member that goes, comes, or is not what it was.
const TRANSIENT: [i32; 18] = [
    6, 7, 43, 89, 91, 133, 134, 189, 202, 234, 262, 9001, 10058, 10107, 11600, 11602, 13435, 13436,
];

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
    runtime: Arc<Runtime>,
    client: Client,
    /// The address without what is secret in it, for messages.
    address: String,
    database: Option<String>,
    reads: Option<SelectionCriteria>,
    topology: Topology,
    version: String,
}

impl Server {
    /// Connects to the address, a `mongodb://` or `mongodb+srv://` URI.
    ///
    /// # Errors
    /// [`Kind::Usage`] for an address that is none, [`Kind::Permission`] where the server takes neither name nor
    /// password, [`Kind::Failed`] where none answers.
    pub fn connect(uri: &str) -> Result<Self> {
        let address = without_secrets(uri);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("mongodb")
            .enable_all()
            .build()
            .map_err(|error| Error::new(Kind::Failed, "cannot start threads").cause(error))?;
        let mut options = runtime
            .block_on(ClientOptions::parse(uri).into_future())
            .map_err(|error| {
                let usage = matches!(*error.kind, ErrorKind::InvalidArgument { .. });
                let kind = if usage { Kind::Usage } else { Kind::Failed };
                Error::new(kind, explained(&error)).subject(&address)
            })?;
        options.app_name.get_or_insert_with(|| "duramen".into());
        options.server_selection_timeout.get_or_insert(SELECTION);
        let database = options.default_database.take();
        let reads = options.selection_criteria.take();
        let client = {
            let _inside = runtime.enter();
            Client::with_options(options)
        }
        .map_err(|error| Error::new(Kind::Usage, explained(&error)).subject(&address))?;
        let mut server = Self {
            runtime: Arc::new(runtime),
            client,
            address,
            // Users are kept there, and addresses name it for their sake.
            database: database.filter(|name| name != "admin"),
            reads,
            topology: Topology::Alone,
            version: String::new(),
        };
        let hello = server.command("admin", Builder::new().int32("hello", 1))?;
        server.topology = if hello.get_str("msg").is_ok_and(|msg| msg == "isdbgrid") {
            Topology::Sharded
        } else if let Ok(set) = hello.get_str("setName") {
            Topology::Set(set.to_owned())
        } else {
            Topology::Alone
        };
        let build = server.command("admin", Builder::new().int32("buildInfo", 1))?;
        let version = build.get_str("version").unwrap_or_default();
        server.version = version.chars().take(64).collect();
        Ok(server)
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

    fn db(&self, name: &str) -> Database {
        let _inside = self.runtime.enter();
        self.client.database(name)
    }

    fn refusal(&self, error: &DriverError) -> Refusal {
        let code = match &*error.kind {
            ErrorKind::Command(command) => Some(command.code),
            _ => None,
        };
        let network = matches!(
            *error.kind,
            ErrorKind::Io(_)
                | ErrorKind::ConnectionPoolCleared { .. }
                | ErrorKind::ServerSelection { .. }
        );
        let kind = match (code, &*error.kind) {
            (Some(code::UNAUTHORIZED | code::AUTHENTICATION_FAILED), _)
            | (_, ErrorKind::Authentication { .. }) => Kind::Permission,
            (Some(code::NAMESPACE_NOT_FOUND), _) => Kind::NotFound,
            _ => Kind::Failed,
        };
        Refusal {
            code,
            transient: network || code.is_some_and(|code| TRANSIENT.contains(&code)),
            error: Error::new(kind, explained(error)).subject(&self.address),
        }
    }

    /// Runs a command on the primary; the answer's fields.
    ///
    /// # Errors
    /// Whatever the server says.
    pub fn command(&self, database: &str, command: Builder) -> Asked<Answer> {
        let command = raw(command)?;
        let database = self.db(database);
        self.runtime
            .block_on(database.run_raw_command(command).into_future())
            .map_err(|error| self.refusal(&error))
    }

    /// Runs a command that answers with a cursor, on the primary.
    ///
    /// # Errors
    /// Whatever the server says.
    pub fn cursor(&self, database: &str, command: Builder) -> Asked<Cursor> {
        self.opened(database, command, None)
    }

    /// Runs a command that answers with a cursor, on whichever member the address prefers.
    ///
    /// # Errors
    /// Whatever the server says.
    pub fn read(&self, database: &str, command: Builder) -> Asked<Cursor> {
        self.opened(database, command, self.reads.clone())
    }

    fn opened(
        &self,
        database: &str,
        command: Builder,
        on: Option<SelectionCriteria>,
    ) -> Asked<Cursor> {
        let command = raw(command)?;
        let database = self.db(database);
        let on = on.unwrap_or(SelectionCriteria::ReadPreference(ReadPreference::Primary));
        let action = database
            .run_raw_cursor_command(command)
            .selection_criteria(on);
        match self.runtime.block_on(action.batch()) {
            Ok(batches) => Ok(Cursor {
                runtime: self.runtime.clone(),
                batches: Some(batches),
            }),
            Err(error) => Err(self.refusal(&error)),
        }
    }

    /// The next batch of a cursor; none at its end.
    ///
    /// # Errors
    /// Whatever the server says.
    pub fn next(&self, cursor: &mut Cursor) -> Asked<Option<Batch>> {
        let Some(batches) = &mut cursor.batches else {
            return Ok(None);
        };
        match self.runtime.block_on(batches.next()) {
            Some(Ok(batch)) => Ok(Some(Batch(batch))),
            Some(Err(error)) => Err(self.refusal(&error)),
            None => Ok(None),
        }
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

/// What a driver's error says, to people.
fn explained(error: &DriverError) -> String {
    match &*error.kind {
        ErrorKind::Command(command) => {
            format!(
                "the server says: {} (code {})",
                command.message, command.code
            )
        }
        ErrorKind::ServerSelection { message, .. } => format!("no server answers: {message}"),
        ErrorKind::Authentication { message, .. } => {
            format!("the server does not let us in: {message}")
        }
        other => other.to_string(),
    }
}

fn raw(command: Builder) -> Result<RawDocumentBuf> {
    RawDocumentBuf::from_bytes(command.finish())
        .map_err(|error| Error::new(Kind::Failed, "a command that is none").cause(error))
}

/// An address as people may see it: without name and password, and without what follows the question mark, where secrets
/// may stand too.
#[must_use]
pub fn without_secrets(uri: &str) -> String {
    let Some((scheme, rest)) = uri.split_once("://") else {
        return "the address".into();
    };
    let rest = rest.split('?').next().unwrap_or_default();
    // A password may hold anything, an `@` that somebody forgot to escape among it.
    let place = rest.rsplit_once('@').map_or(rest, |(_, place)| place);
    format!("{scheme}://{place}")
}

/// A cursor of the server. It is closed there when it is dropped.
pub struct Cursor {
    runtime: Arc<Runtime>,
    batches: Option<RawBatchCursor>,
}

impl Drop for Cursor {
    fn drop(&mut self) {
        // The driver tells the server from a task of its own.
        let _inside = self.runtime.enter();
        self.batches = None;
    }
}

/// Some documents, as the server sent them.
pub struct Batch(RawBatch);

impl Batch {
    /// The documents.
    ///
    /// # Errors
    /// [`Kind::Damage`] where the answer holds none.
    pub fn documents(&self) -> Result<Documents<'_>> {
        let answer = Document::answer(self.0.as_raw_document().as_bytes())?;
        let lacking = || Error::damage("an answer without documents");
        let cursor = answer.get(b"cursor")?.ok_or_else(lacking)?;
        let cursor = Document::answer(cursor.value)?;
        let documents = match cursor.get(b"firstBatch")? {
            Some(documents) => documents,
            None => cursor.get(b"nextBatch")?.ok_or_else(lacking)?,
        };
        Ok(Documents(Document::answer(documents.value)?.elements()))
    }

    /// The time that a snapshot read was read at, as the server says it.
    ///
    /// # Errors
    /// [`Kind::Damage`] where the answer is none.
    pub fn read_at(&self) -> Result<Option<u64>> {
        let answer = Document::answer(self.0.as_raw_document().as_bytes())?;
        let Some(cursor) = answer.get(b"cursor")? else {
            return Ok(None);
        };
        let at = Document::answer(cursor.value)?.get(b"atClusterTime")?;
        Ok(at.and_then(|at| {
            at.value
                .first_chunk()
                .map(|bytes| u64::from_le_bytes(*bytes))
        }))
    }
}

/// The documents of a batch; an error ends them.
pub struct Documents<'b>(Elements<'b>);

impl<'b> Iterator for Documents<'b> {
    type Item = Result<Document<'b>>;

    fn next(&mut self) -> Option<Self::Item> {
        let element = match self.0.next()? {
            Ok(element) => element,
            Err(error) => return Some(Err(error)),
        };
        Some(match element.kind {
            kind::DOCUMENT => Document::whole(element.value),
            _ => Err(Error::damage("an answer that holds what is no document")),
        })
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
            ("u:p@h", "the address"),
        ] {
            assert_eq!(without_secrets(uri), shown);
        }
    }
}
