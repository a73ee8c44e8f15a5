//! Archives that are written as one stream, from the first byte to the last.

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use crate::error::Error;
use crate::format::entry::Entry;

/// One name on its way into an archive.
pub struct Member<'m> {
    /// Path in the archive, without a leading `/`.
    pub path: &'m [u8],
    /// What it is.
    pub entry: &'m Entry,
    /// Its owner's name.
    pub user: Option<&'m [u8]>,
    /// Its group's name.
    pub group: Option<&'m [u8]>,
    /// Its attributes with their values; empty where [`Archive::keeps_attributes`] says no.
    pub xattrs: &'m [(Vec<u8>, Vec<u8>)],
}

/// What became of a [`Member`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Added {
    /// It is in the archive as it is.
    Whole,
    /// It is in the archive, but not all of it: why, in words.
    Changed(String),
    /// The format cannot hold it: why, in words.
    LeftOut(String),
}

/// A format that is written as a stream. One dropped before [`Archive::finish`] leaves a stream that ends in the
/// middle, never one that looks whole.
pub trait Archive {
    /// Whether attributes should be read for it.
    fn keeps_attributes(&self) -> bool;

    /// Writes one member; `content` yields exactly as many bytes as a regular file has.
    ///
    /// # Errors
    /// What `content` or the stream says; the stream is of no use then.
    fn add(&mut self, member: &Member<'_>, content: &mut dyn Read) -> io::Result<Added>;

    /// Writes what stands at the end.
    ///
    /// # Errors
    /// What the stream says.
    fn finish(self: Box<Self>) -> io::Result<()>;
}

/// The stream that an archive is written to. Libraries that write archives end them even when they are dropped after
/// an error, which would make half an archive look whole, and complain on the terminal where they cannot: so once it
/// is shut, what is written here goes nowhere.
pub struct Outlet<'o> {
    out: &'o mut dyn Write,
    shut: Shutter,
}

/// Shuts an [`Outlet`].
#[derive(Clone, Debug, Default)]
pub struct Shutter(Arc<AtomicBool>);

impl Shutter {
    /// Lets nothing more pass.
    pub fn shut(&self) {
        self.0.store(true, SeqCst);
    }
}

impl<'o> Outlet<'o> {
    /// Passes everything on to `out` until `shut` is.
    pub fn new(out: &'o mut dyn Write, shut: &Shutter) -> Self {
        Self {
            out,
            shut: shut.clone(),
        }
    }
}

impl Write for Outlet<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.shut.0.load(SeqCst) {
            return Ok(bytes.len());
        }
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.shut.0.load(SeqCst) {
            return Ok(());
        }
        self.out.flush()
    }
}

/// An error of the stream, in words.
#[must_use]
pub fn broken_stream(error: io::Error) -> Error {
    Error::io_named("write", "the archive", error)
}

/// Refuses a stream of another length than promised: the format has the length written down already.
///
/// # Errors
/// `UnexpectedEof`.
pub(super) fn copy_exactly(
    content: &mut dyn Read,
    size: u64,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut buffer = vec![0; 128 << 10];
    let mut left = size;
    while left > 0 {
        let step = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
        let read = content.read(&mut buffer[..step])?;
        if read == 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "a file's content is shorter than its size",
            ));
        }
        out.write_all(&buffer[..read])?;
        left -= read as u64;
    }
    Ok(())
}

/// Lossless where the bytes are UTF-8.
pub(super) fn text(bytes: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn a_shut_outlet_lets_nothing_pass() {
        let mut out = Vec::new();
        let shutter = Shutter::default();
        let mut outlet = Outlet::new(&mut out, &shutter);
        outlet.write_all(b"a").unwrap();
        shutter.shut();
        outlet.write_all(b"b").unwrap();
        outlet.flush().unwrap();
        assert_eq!(out, b"a");
    }

    #[test]
    fn short_content_is_an_error() {
        let mut out = Vec::new();
        copy_exactly(&mut &b"abc"[..], 2, &mut out).unwrap();
        assert_eq!(out, b"ab");
        assert!(copy_exactly(&mut &b"abc"[..], 4, &mut out).is_err());
    }
}
