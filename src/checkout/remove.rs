//! Emptying a checkout.

use std::sync::Arc;

use super::state::NAME;
use crate::error::{Error, Result};
use crate::fs::Dir;
use crate::progress::Progress;
use crate::target::files::{Sweep, names};

/// What was removed, and what could not be.
#[derive(Debug, Default)]
pub struct Removed {
    /// Everything, directories counted.
    pub entries: u64,
    /// Told as they happened; the state stays while there is any.
    pub problems: u64,
}

/// Removes everything in `top` but the state; never follows a link, and never enters what is mounted there.
///
/// # Errors
/// Where it cannot be listed, and `Interrupted`; anything else is told and counted.
pub fn remove_all(top: &Arc<Dir>, progress: &dyn Progress) -> Result<Removed> {
    let mut remover = Remover {
        top,
        progress,
        removed: Removed::default(),
    };
    for name in names(top)?.iter().filter(|name| *name != NAME) {
        let sweep: &mut dyn Sweep = &mut remover;
        sweep.remove(top, name)?;
    }
    Ok(remover.removed)
}

struct Remover<'r> {
    top: &'r Arc<Dir>,
    progress: &'r dyn Progress,
    removed: Removed,
}

impl Sweep for Remover<'_> {
    fn keep(&mut self, _: &[u8], _: bool) -> bool {
        false
    }

    fn removed(&mut self, _: &[u8], is_dir: bool) {
        self.removed.entries += 1;
        self.progress.advance(u64::from(!is_dir), 0);
    }

    fn problem(&mut self, path: &[u8], error: Error) {
        self.removed.problems += 1;
        let subject = || String::from_utf8_lossy(&self.top.path_of(path)).into_owned();
        self.progress.problem(&error.or_subject(subject));
    }

    fn dry_run(&self) -> bool {
        false
    }

    fn lends(&self) -> bool {
        !rustix::process::geteuid().is_root()
    }

    fn go_on(&mut self) -> Result<()> {
        self.progress.go_on()
    }
}
