//! What somebody changed by hand in a checkout.
//!
//! The state is written last, and no program can set the time of an inode's last change (`ctime`). So whatever
//! changed after the state was written was changed by somebody else; no repository and no key is needed to tell.

use std::sync::Arc;

use super::state::NAME;
use crate::clock::Nanos;
use crate::error::Result;
use crate::fs::{Dir, Names};
use crate::progress::Progress;
use crate::target::files::{look, names};

/// Paths that are named; further ones are counted.
const NAMED_MAX: usize = 1000;

/// What was changed or added.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changed {
    /// Raw paths below the folder, the first thousand: entries that were written, added or given other metadata, and
    /// directories from which something was taken away.
    pub paths: Vec<Vec<u8>>,
    /// All of them.
    pub count: u64,
}

impl Changed {
    fn add(&mut self, path: &[u8]) {
        self.count += 1;
        if self.paths.len() < NAMED_MAX {
            self.paths.push(path.to_vec());
        }
    }
}

struct Level {
    dir: Arc<Dir>,
    names: Names,
    next: usize,
    path_length: usize,
    /// The directory itself changed, and nothing in it was found that tells why.
    unexplained: bool,
}

/// What changed below `top` after `since`, by the file system's clock. What may not be listed is passed over.
///
/// # Errors
/// Where `top` cannot be listed, and `Interrupted`.
pub fn changed(top: &Arc<Dir>, since: Nanos, progress: &dyn Progress) -> Result<Changed> {
    let mut found = Changed::default();
    let mut path: Vec<u8> = Vec::new();
    let mut open = vec![Level {
        dir: Arc::clone(top),
        names: names(top)?,
        next: 0,
        path_length: 0,
        // Writing the state changed it.
        unexplained: false,
    }];
    while let Some(level) = open.last_mut() {
        progress.go_on()?;
        path.truncate(level.path_length);
        let Some(name) = level.names.get(level.next) else {
            if level.unexplained {
                found.add(&path);
            }
            open.pop();
            continue;
        };
        level.next += 1;
        if path.is_empty() && name == NAME {
            continue;
        }
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(name);
        let Some(stat) = look(&level.dir, name)? else {
            continue;
        };
        let is_changed = stat.ctime > since;
        if is_changed {
            level.unexplained = false;
        }
        let listed: Result<_> = match stat.is_directory() {
            true => level
                .dir
                .open_child(name)
                .and_then(|dir| Ok((names(&dir)?, dir))),
            false => {
                if is_changed {
                    found.add(&path);
                }
                continue;
            }
        };
        match listed {
            // What is mounted there is not ours to look through.
            Ok((_, dir)) if dir.identity().device != top.identity().device => found.add(&path),
            Ok((names, dir)) => open.push(Level {
                dir,
                names,
                next: 0,
                path_length: path.len(),
                unexplained: is_changed,
            }),
            Err(_) if is_changed => found.add(&path),
            Err(_) => {}
        }
    }
    Ok(found)
}
