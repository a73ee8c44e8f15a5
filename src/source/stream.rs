//! What comes out of a pipe, as a single file below `/`: standard input, or what a command prints.
//!
//! A pipe that ends says nothing of why: a database dump that broke off in the middle looks like a shorter dump. So a
//! command's exit status is part of its content, the end is told of only once the command has succeeded, and
//! [`Outcome::check`] says before the snapshot is committed whether everything was read and well.

use std::ffi::OsString;
use std::io::{ErrorKind, Read};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::files::names;
use super::{Content, Event, Origin, RawXattr, Run, Source, Stat, StatKind};
use crate::clock::Nanos;
use crate::error::{Error, Kind, Result};
use crate::limits;
use crate::progress::Progress;

/// One file that is read from a pipe, once.
pub struct StreamSource {
    /// Names from the root down; the last one is the file's.
    names: Vec<Vec<u8>>,
    now: Nanos,
    shared: Arc<Shared>,
}

impl StreamSource {
    /// Standard input as the file `filename`, a path below `/`; `now` becomes its time.
    ///
    /// # Errors
    /// [`Kind::Usage`] where `filename` names no file.
    pub fn stdin(filename: &[u8], now: Nanos) -> Result<Self> {
        Self::reader(Box::new(std::io::stdin()), "standard input", filename, now)
    }

    /// What `reader` gives as the file `filename`; `what` names the reader in errors.
    ///
    /// # Errors
    /// [`Kind::Usage`] where `filename` names no file.
    pub fn reader(
        reader: Box<dyn Read + Send>,
        what: impl Into<String>,
        filename: &[u8],
        now: Nanos,
    ) -> Result<Self> {
        Self::new(Input::Reader(reader), what.into(), filename, now)
    }

    /// What the command `argv` prints as the file `filename`. It is started when the file is opened, with nothing to
    /// read; what it says on standard error goes where ours goes. Errors name the command but not its arguments,
    /// which may hold passwords.
    ///
    /// # Errors
    /// [`Kind::Usage`] where `argv` is empty or `filename` names no file.
    pub fn command(argv: &[OsString], filename: &[u8], now: Nanos) -> Result<Self> {
        let Some((program, arguments)) = argv.split_first() else {
            return Err(Error::new(Kind::Usage, "no command to run"));
        };
        let mut command = Command::new(program);
        command
            .args(arguments)
            // It may be anybody's program, and has no need of what opens the repository.
            .env_remove("DURAMEN_PASSWORD")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit());
        let what = program.to_string_lossy().into_owned();
        Self::new(Input::Command(Box::new(command)), what, filename, now)
    }

    fn new(input: Input, what: String, filename: &[u8], now: Nanos) -> Result<Self> {
        let names: Vec<Vec<u8>> = names(filename).iter().map(|name| name.to_vec()).collect();
        let fits = |name: &Vec<u8>| name.len() <= limits::NAME_BYTES_MAX && !name.contains(&0);
        if names.is_empty() || !names.iter().all(fits) {
            return Err(Error::new(Kind::Usage, "not the name of a file")
                .subject(format!("{:?}", String::from_utf8_lossy(filename)))
                .hint("name the file that the stream shall become, a path below /"));
        }
        Ok(Self {
            names,
            now,
            shared: Arc::new(Shared {
                what,
                state: Mutex::new(State::Waiting(input)),
            }),
        })
    }

    /// Says later how it went, whoever read it.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        Outcome(Arc::clone(&self.shared))
    }

    fn stat(&self, kind: StatKind, mode: u32) -> Stat {
        Stat {
            kind,
            mode,
            uid: rustix::process::getuid().as_raw(),
            gid: rustix::process::getgid().as_raw(),
            // Not known before the end.
            size: 0,
            blocks: 0,
            mtime: self.now,
            ctime: self.now,
            inode: 0,
            device: 0,
            links: 1,
        }
    }
}

impl Source for StreamSource {
    fn walk(
        &mut self,
        progress: &dyn Progress,
        emit: &mut dyn FnMut(Vec<Event>) -> Result<()>,
    ) -> Result<()> {
        progress.go_on()?;
        let mut events = Vec::with_capacity(2 * self.names.len() + 1);
        let mut path = b"/".to_vec();
        let mut name = path.clone();
        for below in &self.names {
            if path.last() != Some(&b'/') {
                path.push(b'/');
            }
            let origin = Arc::new(StreamOrigin {
                directory: path.clone(),
                file: below.clone(),
                shared: Arc::clone(&self.shared),
            });
            events.push(Event::Enter {
                name,
                stat: self.stat(StatKind::Directory, 0o755),
                origin,
            });
            path.extend_from_slice(below);
            name = below.clone();
        }
        // The origin entered last is the one that opens the file; the others are directories above it.
        let Some(Event::Enter { origin, .. }) = events.last() else {
            return Ok(());
        };
        let origin = Arc::clone(origin);
        events.push(Event::Member {
            name,
            stat: self.stat(StatKind::File, 0o644),
            origin,
        });
        events.extend(self.names.iter().map(|_| Event::Leave));
        emit(events)?;
        self.shared.failure()
    }
}

/// How the reading of a [`StreamSource`] went.
#[derive(Clone)]
pub struct Outcome(Arc<Shared>);

impl Outcome {
    /// To be called when everything has been read and before anything is committed.
    ///
    /// # Errors
    /// The stream was not read to its end, or the command failed; a snapshot of it would be a lie.
    pub fn check(&self) -> Result<()> {
        self.0.failure()?;
        match &*self.0.state() {
            State::Done => Ok(()),
            _ => {
                Err(Error::new(Kind::Failed, "was not read to its end")
                    .subject(self.0.what.clone()))
            }
        }
    }
}

enum Input {
    Reader(Box<dyn Read + Send>),
    Command(Box<Command>),
}

enum State {
    Waiting(Input),
    Reading,
    Done,
    Failed(Failure),
}

#[derive(Clone, Copy)]
enum Failure {
    Start(ErrorKind),
    Read(ErrorKind),
    Status(ExitStatus),
}

/// What the source, its content and its outcome know together.
struct Shared {
    /// The command's name without its arguments.
    what: String,
    state: Mutex<State>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failure(&self) -> Result<()> {
        match &*self.state() {
            State::Failed(failure) => Err(self.error(*failure)),
            _ => Ok(()),
        }
    }

    fn fail(&self, failure: Failure) -> Error {
        *self.state() = State::Failed(failure);
        self.error(failure)
    }

    fn error(&self, failure: Failure) -> Error {
        match failure {
            Failure::Start(kind) => Error::io_named("run", self.what.clone(), kind),
            Failure::Read(kind) => Error::io_named("read", self.what.clone(), kind),
            Failure::Status(status) => {
                Error::new(Kind::Failed, format!("the command failed: {status}"))
                    .subject(self.what.clone())
                    .hint("no snapshot was made; run the command by itself to see what is wrong")
            }
        }
    }

    /// Starts the reading, which can be done once.
    fn open(self: &Arc<Self>) -> Result<StreamContent> {
        let taken = {
            let mut state = self.state();
            if matches!(&*state, State::Waiting(_)) {
                std::mem::replace(&mut *state, State::Reading)
            } else {
                State::Done
            }
        };
        let State::Waiting(input) = taken else {
            return Err(Error::new(Kind::Failed, "a stream can be read only once")
                .subject(self.what.clone()));
        };
        let pipe = match input {
            Input::Reader(reader) => Pipe::Reader(reader),
            Input::Command(mut command) => {
                let start = |error: std::io::Error| self.fail(Failure::Start(error.kind()));
                let mut child = command.spawn().map_err(start)?;
                match child.stdout.take() {
                    Some(stdout) => Pipe::Command(child, stdout),
                    None => return Err(start(ErrorKind::BrokenPipe.into())),
                }
            }
        };
        Ok(StreamContent {
            pipe,
            shared: Arc::clone(self),
        })
    }
}

/// Opens the one file in the innermost directory.
struct StreamOrigin {
    /// Ends with `/`.
    directory: Vec<u8>,
    file: Vec<u8>,
    shared: Arc<Shared>,
}

impl StreamOrigin {
    fn no_such(&self, name: &[u8]) -> Error {
        Error::new(Kind::NotFound, "there is no such file in the stream")
            .subject(String::from_utf8_lossy(&self.path(name)).into_owned())
    }
}

impl Origin for StreamOrigin {
    fn open(&self, name: &[u8]) -> Result<Box<dyn Content>> {
        if name != self.file {
            return Err(self.no_such(name));
        }
        Ok(Box::new(self.shared.open()?))
    }

    fn read_link(&self, name: &[u8]) -> Result<Vec<u8>> {
        Err(self.no_such(name))
    }

    fn xattrs(&self, _name: &[u8]) -> Result<Vec<RawXattr>> {
        Ok(Vec::new())
    }

    fn path(&self, name: &[u8]) -> Vec<u8> {
        let mut path = self.directory.clone();
        path.extend_from_slice(name);
        if path.len() > 1 && path.last() == Some(&b'/') {
            path.pop();
        }
        path
    }
}

enum Pipe {
    Reader(Box<dyn Read + Send>),
    Command(Child, ChildStdout),
    Ended,
}

/// The bytes on their way.
struct StreamContent {
    pipe: Pipe,
    shared: Arc<Shared>,
}

impl StreamContent {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        loop {
            let read = match &mut self.pipe {
                Pipe::Reader(reader) => reader.read(buffer),
                Pipe::Command(_, stdout) => stdout.read(buffer),
                Pipe::Ended => Ok(0),
            };
            match read {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                other => return other,
            }
        }
    }

    /// No more bytes: now the command has its say.
    fn end(&mut self) -> Result<Run> {
        match std::mem::replace(&mut self.pipe, Pipe::Ended) {
            // Told of before, and as before.
            Pipe::Ended => {
                self.shared.failure()?;
                return Ok(Run::End);
            }
            Pipe::Reader(_) => {}
            Pipe::Command(mut child, stdout) => {
                // One that closed its output may still be writing elsewhere; it must not wait for us.
                drop(stdout);
                let status = child
                    .wait()
                    .map_err(|error| self.shared.fail(Failure::Read(error.kind())))?;
                if !status.success() {
                    return Err(self.shared.fail(Failure::Status(status)));
                }
            }
        }
        *self.shared.state() = State::Done;
        Ok(Run::End)
    }
}

impl Content for StreamContent {
    fn next(&mut self, buffer: &mut [u8]) -> Result<Run> {
        if buffer.is_empty() {
            return Err(self.shared.fail(Failure::Read(ErrorKind::InvalidInput)));
        }
        match self.read(buffer) {
            Ok(0) => self.end(),
            Ok(bytes) => Ok(Run::Data(bytes)),
            Err(error) => Err(self.shared.fail(Failure::Read(error.kind()))),
        }
    }

    fn stat(&self) -> Result<Option<Stat>> {
        Ok(None)
    }

    fn xattrs(&self) -> Result<Option<Vec<RawXattr>>> {
        Ok(None)
    }
}

impl Drop for StreamContent {
    /// A command whose output nobody wants any more is stopped, and no zombie stays.
    fn drop(&mut self) {
        if let Pipe::Command(child, _) = &mut self.pipe {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl std::fmt::Debug for StreamSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "StreamSource({})", self.shared.what)
    }
}

impl std::fmt::Debug for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Outcome({})", self.0.what)
    }
}

#[cfg(test)]
#[path = "stream_tests.rs"]
mod tests;
