//! zip: regular files, directories and symbolic links with their permission bits, for people without tar.
//!
//! Written as a stream, so each file's length and checksum follow its bytes. A zip holds no owners, no attributes, no
//! hard links (each name becomes a file of its own), times in whole seconds, and names as text.

use std::io::{self, Read, Write};

use zip::write::{FullFileOptions, StreamWriter};
use zip::{CompressionMethod, DateTime, ZipWriter};

use super::archive::{Added, Archive, Member, copy_exactly, text};
use crate::clock::Nanos;
use crate::format::entry::{Entry, Node};

/// Files from here on need 64-bit lengths, with room for data that grows when it is compressed.
const LARGE: u64 = 0xffff_ffff - (64 << 20);
/// Extra field with the time in seconds since 1970 UTC: the older one is in local time and even seconds.
const EXTENDED_TIME: u16 = 0x5455;

/// A zip being written.
pub struct Zip<W: Write> {
    writer: ZipWriter<StreamWriter<W>>,
}

impl<W: Write> Zip<W> {
    /// Writes to `out`.
    pub fn new(out: W) -> Self {
        Self {
            writer: ZipWriter::new_stream(out),
        }
    }
}

impl<W: Write> Archive for Zip<W> {
    fn keeps_attributes(&self) -> bool {
        false
    }

    fn add(&mut self, member: &Member<'_>, content: &mut dyn Read) -> io::Result<Added> {
        let entry = member.entry;
        let name = text(member.path);
        let options = options(entry);
        match &entry.node {
            Node::File { size, .. } => {
                let options = options.large_file(*size >= LARGE);
                if let Err(error) = self.writer.start_file(&name, options) {
                    return refused(error);
                }
                copy_exactly(content, *size, &mut self.writer)?;
            }
            Node::Directory(_) => {
                if let Err(error) = self.writer.add_directory(name.as_ref(), options) {
                    return refused(error);
                }
            }
            Node::Symlink { target } => {
                let Ok(target) = std::str::from_utf8(target) else {
                    let why = "a zip cannot hold a link target that is not UTF-8";
                    return Ok(Added::LeftOut(why.into()));
                };
                if let Err(error) = self.writer.add_symlink(&name, target, options) {
                    return refused(error);
                }
            }
            Node::Fifo => return Ok(Added::LeftOut("a zip cannot hold named pipes".into())),
            Node::Socket => return Ok(Added::LeftOut("a zip cannot hold sockets".into())),
            Node::CharDevice { .. } | Node::BlockDevice { .. } => {
                return Ok(Added::LeftOut("a zip cannot hold devices".into()));
            }
        }
        if std::str::from_utf8(member.path).is_ok() {
            Ok(Added::Whole)
        } else {
            Ok(Added::Changed(format!(
                "its name is not UTF-8; it stands there as {name}"
            )))
        }
    }

    fn finish(self: Box<Self>) -> io::Result<()> {
        let stream = self.writer.finish().map_err(io::Error::from)?;
        stream.into_inner().flush()
    }
}

/// An error of the stream ends everything; a name that cannot be held (two that are the same once they are text, one
/// too long) concerns only itself.
fn refused(error: zip::result::ZipError) -> io::Result<Added> {
    match error {
        zip::result::ZipError::Io(error) => Err(error),
        other => Ok(Added::LeftOut(format!("a zip cannot hold it: {other}"))),
    }
}

fn options(entry: &Entry) -> FullFileOptions<'static, 'static> {
    let mut options = FullFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .unix_permissions(entry.mode)
        .last_modified_time(date(entry.mtime));
    if let Ok(seconds) = i32::try_from(entry.mtime.div_euclid(1_000_000_000)) {
        let mut field = vec![1];
        field.extend_from_slice(&seconds.to_le_bytes());
        // Without it the time of the older field is all there is.
        let _ = options.add_extra_field(EXTENDED_TIME, field, false);
    }
    options
}

/// The older field's time, in UTC; its first and last moment for what lies outside.
fn date(mtime: Nanos) -> DateTime {
    let Ok(time) = jiff::Timestamp::from_nanosecond(i128::from(mtime)) else {
        return DateTime::default();
    };
    let time = time.to_zoned(jiff::tz::TimeZone::UTC);
    let small = |number: i8| u8::try_from(number).unwrap_or(0);
    DateTime::from_date_and_time(
        u16::try_from(time.year()).unwrap_or(0),
        small(time.month()),
        small(time.day()),
        small(time.hour()),
        small(time.minute()),
        small(time.second()),
    )
    .unwrap_or_default()
}
