//! The seam through which the engine says what it is doing and hears that it should stop.
//!
//! The library prints nothing. A command hands in a [`Progress`]; the terminal, JSON lines and tests each have one.

use crate::error::{Error, Kind, Result};

/// Heard by whoever started the work. Every method may be called from several threads at once and must be quick.
pub trait Progress: Send + Sync {
    /// A named part of the work begins ("snapshot", "restore", "check packs").
    fn phase(&self, _name: &str) {}

    /// So many files and bytes more are known to lie ahead.
    fn expect(&self, _files: u64, _bytes: u64) {}

    /// So many files and bytes more are done.
    fn advance(&self, _files: u64, _bytes: u64) {}

    /// What is being worked on just now, as raw path bytes.
    fn current(&self, _path: &[u8]) {}

    /// Something could not be done but the work goes on; it is counted in the summary too.
    fn problem(&self, _error: &Error) {}

    /// Something worth knowing that is no problem.
    fn note(&self, _text: &str) {}

    /// Whether the user asked to stop.
    fn interrupted(&self) -> bool {
        false
    }

    /// [`Kind::Interrupted`] where the user asked to stop.
    fn go_on(&self) -> Result<()> {
        if self.interrupted() {
            return Err(Error::new(Kind::Interrupted, "interrupted")
                .hint("run the same command again: what has been stored up to the last checkpoint is used again"));
        }
        Ok(())
    }
}

/// Says nothing and never stops.
#[derive(Debug, Default, Clone, Copy)]
pub struct Silent;

impl Progress for Silent {}
