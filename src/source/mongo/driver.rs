//! The driver. It is asynchronous and runs on two threads of its own; here every call waits for its answer.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use mongodb::bson::RawDocumentBuf;
use mongodb::error::{Error as DriverError, ErrorKind};
use mongodb::options::{ClientOptions, ReadPreference, SelectionCriteria};
use mongodb::raw_batch_cursor::RawBatchCursor;
use mongodb::{Client, Database};
use tokio::runtime::Runtime;

use super::server::{Asked, Refusal, Ways, code};
use crate::error::{Error, Kind, Result};

/// How long a server is looked for, unless the address says otherwise.
const SELECTION: Duration = Duration::from_secs(10);

/// Codes that go away by themselves: a member that goes, comes, or is not what it was.
const TRANSIENT: [i32; 18] = [
    6,
    7,
    code::CURSOR_NOT_FOUND,
    89,
    91,
    133,
    134,
    189,
    202,
    234,
    262,
    9001,
    10058,
    10107,
    11600,
    11602,
    13435,
    13436,
];

/// A client with the threads that it runs on.
pub struct Driver {
    runtime: Arc<Runtime>,
    client: Client,
    reads: Option<SelectionCriteria>,
}

/// A cursor's batches to come.
pub struct Batches {
    runtime: Arc<Runtime>,
    own: Option<RawBatchCursor>,
}

impl Drop for Batches {
    fn drop(&mut self) {
        // The driver tells the server from a task of its own.
        let _inside = self.runtime.enter();
        self.own = None;
    }
}

impl Driver {
    /// A client for the address, and the database that it names. No server was asked yet.
    ///
    /// # Errors
    /// [`Kind::Usage`] for an address that is none; `shown` is what people may see of it.
    pub fn connect(uri: &str, shown: &str) -> Result<(Self, Option<String>)> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("mongodb")
            .enable_all()
            .build()
            .map_err(|error| Error::new(Kind::Failed, "cannot start threads").cause(error))?;
        let mut options = runtime
            .block_on(ClientOptions::parse(uri).into_future())
            .map_err(|error| {
                // The driver's own words may hold a part of a password that was taken for a port.
                match *error.kind {
                    ErrorKind::InvalidArgument { .. } => {
                        Error::new(Kind::Usage, "not the address of a MongoDB server").hint(
                            "write it as mongodb://USER@HOST:PORT/DATABASE?OPTIONS; in names and passwords \
                             : / ? # [ ] @ are written %3A %2F %3F %23 %5B %5D %40",
                        )
                    }
                    _ => Error::new(Kind::Failed, explained(&error)),
                }
                .subject(shown)
            })?;
        options.app_name.get_or_insert_with(|| "duramen".into());
        options.server_selection_timeout.get_or_insert(SELECTION);
        let database = options.default_database.take();
        let reads = options.selection_criteria.take();
        let client = {
            let _inside = runtime.enter();
            Client::with_options(options)
        }
        .map_err(|error| Error::new(Kind::Usage, explained(&error)).subject(shown))?;
        let driver = Self {
            runtime: Arc::new(runtime),
            client,
            reads,
        };
        Ok((driver, database))
    }

    fn db(&self, name: &str) -> Database {
        let _inside = self.runtime.enter();
        self.client.database(name)
    }

    /// Runs a command on the primary; its answer.
    ///
    /// # Errors
    /// Whatever the server says.
    pub fn command(&self, database: &str, command: Vec<u8>) -> Asked<Vec<u8>> {
        let command = raw(command)?;
        let database = self.db(database);
        let answer = self
            .runtime
            .block_on(database.run_raw_command(command).into_future())
            .map_err(|error| refusal(&error))?;
        let answer = RawDocumentBuf::try_from(&answer)
            .map_err(|error| Error::damage("an answer that is none").cause(error))?;
        Ok(answer.into_bytes())
    }

    /// Runs a command that answers with a cursor.
    ///
    /// # Errors
    /// Whatever the server says.
    pub fn cursor(&self, database: &str, command: Vec<u8>, ways: Ways) -> Asked<Batches> {
        let Ways {
            primary,
            wait,
            batch,
        } = ways;
        let command = raw(command)?;
        let database = self.db(database);
        let on = self.reads.clone().filter(|_| !primary);
        let on = on.unwrap_or(SelectionCriteria::ReadPreference(ReadPreference::Primary));
        let mut action = database
            .run_raw_cursor_command(command)
            .selection_criteria(on);
        if let Some(wait) = wait {
            action = action.max_time(wait);
        }
        if let Some(batch) = batch {
            action = action.batch_size(batch);
        }
        match self.runtime.block_on(action.batch()) {
            Ok(own) => Ok(Batches {
                runtime: self.runtime.clone(),
                own: Some(own),
            }),
            Err(error) => Err(refusal(&error)),
        }
    }

    /// The next batch of a cursor, a whole answer; none at its end.
    ///
    /// # Errors
    /// Whatever the server says.
    pub fn next(&self, batches: &mut Batches) -> Asked<Option<Vec<u8>>> {
        let Some(own) = &mut batches.own else {
            return Ok(None);
        };
        match self.runtime.block_on(own.next()) {
            Some(Ok(batch)) => Ok(Some(batch.as_raw_document().as_bytes().to_vec())),
            Some(Err(error)) => Err(refusal(&error)),
            None => Ok(None),
        }
    }
}

fn refusal(error: &DriverError) -> Refusal {
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
        error: Error::new(kind, explained(error)),
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

fn raw(command: Vec<u8>) -> Result<RawDocumentBuf> {
    RawDocumentBuf::from_bytes(command)
        .map_err(|error| Error::new(Kind::Failed, "a command that is none").cause(error))
}
