//! Standard output: results and nothing else.
//!
//! A reader that goes away (`duramen ls latest | head`) must neither show as an error nor stop a snapshot that is
//! being taken. So a command whose output is its whole purpose ends as every Unix tool does, by SIGPIPE and without
//! a word; a command that did real work loses only the words about it.

use std::io::{self, BufWriter, ErrorKind, Stdout, Write};

use duramen::error::{Error, Result};
use serde::Serialize;

/// Buffered standard output that remembers that its reader went away.
pub struct Out {
    inner: BufWriter<Stdout>,
    gone: bool,
}

impl Out {
    fn note(&mut self, error: &io::Error) {
        self.gone |= error.kind() == ErrorKind::BrokenPipe;
    }
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let result = self.inner.write(bytes);
        if let Err(error) = &result {
            self.note(error);
        }
        result
    }

    fn flush(&mut self) -> io::Result<()> {
        let result = self.inner.flush();
        if let Err(error) = &result {
            self.note(error);
        }
        result
    }
}

fn failed(error: io::Error) -> Error {
    Error::io_named("write", "standard output", error)
}

/// Runs `write`, whose output is the purpose of the command.
///
/// # Errors
/// Those of `write`, and whatever keeps the output from being written whole. Does not come back where the reader
/// went away.
pub fn results<T>(write: impl FnOnce(&mut Out) -> Result<T>) -> Result<T> {
    let mut out = Out {
        inner: BufWriter::with_capacity(1 << 16, io::stdout()),
        gone: false,
    };
    let result = write(&mut out);
    let flushed = out.flush();
    if out.gone {
        // Only returns where the signal cannot be raised; then the error below says what happened.
        let _ = signal_hook::low_level::emulate_default_handler(signal_hook::consts::SIGPIPE);
    }
    let value = result?;
    flushed.map_err(failed)?;
    Ok(value)
}

/// Writes the words about work that is done, or a line of its progress.
///
/// # Errors
/// Where they cannot be written, unless it is that nobody reads them any more.
pub fn about_work(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(failed(error)),
        _ => Ok(()),
    }
}

/// One JSON object (or array) and a line end.
///
/// # Errors
/// Where the value cannot be written as JSON, which none of ours is.
pub fn json_line<T: Serialize>(value: &T) -> Result<String> {
    let mut line = serde_json::to_string(value).map_err(|error| {
        Error::new(duramen::error::Kind::Failed, "cannot write JSON").cause(error)
    })?;
    line.push('\n');
    Ok(line)
}

/// Puts text on an output whose errors end the command.
///
/// # Errors
/// As the output says.
pub fn put(out: &mut dyn Write, text: &[u8]) -> Result<()> {
    out.write_all(text).map_err(failed)
}
