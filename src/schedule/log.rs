//! What runs did, a line each, for whoever looks in the morning.

use std::fs::{self, File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::clock::Nanos;
use crate::error::{Error, Result};

/// A log that has grown beyond this many bytes is moved to `NAME.1` before the next run; what stood there goes.
pub const LOG_BYTES_MAX: u64 = 4 << 20;

/// So much of what a hook printed is repeated where it failed, in bytes.
const TAIL_BYTES: u64 = 2048;

/// An open log.
#[derive(Debug)]
pub struct Log {
    file: File,
    zone: TimeZone,
}

impl Log {
    /// Opens it for appending, and makes the folder that it lies in.
    ///
    /// # Errors
    /// As the system says.
    pub fn open(path: &Path, zone: TimeZone) -> Result<Self> {
        let failed = |error| Error::io("write the log", path, error);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(failed)?;
        }
        let grown = fs::metadata(path)
            .is_ok_and(|metadata| metadata.is_file() && metadata.len() > LOG_BYTES_MAX);
        if grown {
            let mut old = path.as_os_str().to_owned();
            old.push(".1");
            fs::rename(path, PathBuf::from(old)).map_err(failed)?;
        }
        let file = OpenOptions::new()
            .append(true)
            .read(true)
            .create(true)
            .mode(0o600)
            .open(path)
            .map_err(failed)?;
        Ok(Self { file, zone })
    }

    /// Nothing is kept: a log that cannot be written is no reason to take no snapshot.
    ///
    /// # Errors
    /// Where not even nothing can be written.
    pub fn nowhere(zone: TimeZone) -> Result<Self> {
        Self::open(Path::new("/dev/null"), zone)
    }

    /// One line, with the local time before it.
    ///
    /// # Errors
    /// As the system says.
    pub fn line(&mut self, now: Nanos, text: &str) -> Result<()> {
        let mut line = format!("{} ", local(now, &self.zone));
        // A name may hold a line end; a line of the log is one line.
        line.extend(text.chars().map(|c| if c.is_control() { ' ' } else { c }));
        line.push('\n');
        self.file
            .write_all(line.as_bytes())
            .map_err(|error| Error::io_named("write", "the log", error))
    }

    /// Where programs may print to.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// How long it is now.
    pub fn length(&mut self) -> u64 {
        self.file.seek(SeekFrom::End(0)).unwrap_or_default()
    }

    /// The end of what was printed since it was `from` long.
    pub fn printed_since(&mut self, from: u64) -> String {
        let length = self.length();
        let from = from.max(length.saturating_sub(TAIL_BYTES));
        let mut bytes = vec![0; usize::try_from(length.saturating_sub(from)).unwrap_or_default()];
        match self.file.read_exact_at(&mut bytes, from) {
            Ok(()) => String::from_utf8_lossy(&bytes).trim().to_owned(),
            Err(_) => String::new(),
        }
    }
}

/// RFC 3339 in local time, to the second.
pub fn local(time: Nanos, zone: &TimeZone) -> String {
    match Timestamp::from_nanosecond(time.into()) {
        Ok(stamp) => stamp
            .to_zoned(zone.clone())
            .strftime("%Y-%m-%dT%H:%M:%S%:z")
            .to_string(),
        Err(_) => time.to_string(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn lines_have_times_and_a_log_does_not_grow_for_ever() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/log");
        let mut log = Log::open(&path, TimeZone::UTC).unwrap();
        log.line(0, "one\ntwo").unwrap();
        let at = log.length();
        log.file().write_all(b"printed\n").unwrap();
        assert_eq!(log.printed_since(at), "printed");
        drop(log);
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text, "1970-01-01T00:00:00+00:00 one two\nprinted\n");
        File::options()
            .write(true)
            .open(&path)
            .unwrap()
            .set_len(LOG_BYTES_MAX + 1)
            .unwrap();
        let mut log = Log::open(&path, TimeZone::UTC).unwrap();
        assert_eq!(log.length(), 0);
        assert!(folder.path().join("a/log.1").exists());
        assert_eq!(Log::nowhere(TimeZone::UTC).unwrap().printed_since(0), "");
    }
}
