//! Writing out to the disk while restoring, not only at the end.
//!
//! A restore that says that it is done must outlive a power cut, so it ends with a sync of the target's file system.
//! Left alone, Linux keeps everything written in memory until then, and the sync lasts as long as the disk needs for
//! all of it. So a thread of its own begins early, whenever enough has come together, and the end finds little to do.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crossbeam_channel::{Receiver, Sender, bounded};
use rustix::io::Errno;

use crate::error::Result;
use crate::fs::Dir;

/// Bytes written after which the disk is told to begin.
const DUE_BYTES: u64 = 128 << 20;

/// Counts what was written and says when it is time.
pub(super) struct Flusher {
    written: AtomicU64,
    due: Sender<()>,
}

impl Flusher {
    /// A counter, and what the thread that writes out listens to.
    pub(super) fn new() -> (Self, Receiver<()>) {
        let (due, when) = bounded(1);
        let written = AtomicU64::new(0);
        (Self { written, due }, when)
    }

    /// So many bytes more were written.
    pub(super) fn wrote(&self, bytes: u64) {
        let before = self.written.fetch_add(bytes, Relaxed);
        if before / DUE_BYTES != (before + bytes) / DUE_BYTES {
            // Where it is still at work, it will find these too.
            let _ = self.due.try_send(());
        }
    }
}

/// Writes out whenever it is due, until the counter has gone. The system tells a failed write only once, so an error
/// of this thread must not get lost.
///
/// # Errors
/// The first that the disk reported.
pub(super) fn whenever(when: &Receiver<()>, disk: &Dir) -> Result<()> {
    when.iter().try_for_each(|()| write_out(disk))
}

/// Returns when everything written below `disk` so far lies on it.
///
/// # Errors
/// What the disk reports.
pub(super) fn write_out(disk: &Dir) -> Result<()> {
    match disk.with_fd(|fd| rustix::fs::syncfs(fd)) {
        // The target may be searched but not listed, and so is open only by name.
        Err(Errno::BADF) => {
            rustix::fs::sync();
            Ok(())
        }
        done => done.map_err(|errno| disk.error("write out", b"", errno)),
    }
}
