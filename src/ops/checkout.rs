//! A snapshot in a folder, to be looked at: made, switched to another by writing only what differs, and taken away.
//!
//! Each is prepared first, which changes nothing and says what would be done, and then done. A folder is locked
//! between the two. The state in the folder says at every moment which snapshots something may stand there of, so
//! that what was killed can be gone on with, switched elsewhere or taken away by the same commands.

use std::collections::HashSet;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{FlockOperation, Gid, Mode, Uid};

use super::restore::{Overwrite, ReadOnly, RestoreOptions, RestoreSummary};
pub use crate::checkout::Changed;
use crate::checkout::{NAME, STANDING_MAX, Stand, State, changed, remove_all};
use crate::clock::Nanos;
use crate::error::{Error, Kind, Result};
use crate::format::entry::{Directory, Node};
use crate::format::snapshot::Snapshot;
use crate::fs::{Dir, of_descriptor};
use crate::look::{Change, Walk, changes};
use crate::progress::Progress;
use crate::repository::Repository;
use crate::target::files::{Temporary, lend_access, names, unlink};

/// More bytes than this are asked about.
const BYTES_LARGE: u64 = 1 << 30;
/// More files than this are asked about.
const FILES_LARGE: u64 = 100_000;
/// A disk and a machine that are neither fast nor slow: bytes and files written in a second.
const BYTES_PER_SECOND: f64 = (100 << 20) as f64;
/// See [`BYTES_PER_SECOND`].
const FILES_PER_SECOND: f64 = 4000.0;
/// Paths that are remembered as to be written anew; with more of them everything is.
const REWRITE_MAX: usize = 100_000;

/// Longer than a file system's clock stands still: it ticks at least a hundred times a second.
const TICK: Duration = Duration::from_millis(20);

/// What to check out, and where.
#[derive(Debug, Clone)]
pub struct CheckoutOptions {
    /// Absolute raw path of a directory in the snapshot; none for everything.
    pub path: Option<Vec<u8>>,
    /// Folder that shows it; made where it is not there.
    pub folder: PathBuf,
}

/// What would be done.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// The snapshot that stands there whole, and its path; none where nothing does, or only a part.
    pub from: Option<Stand>,
    /// A checkout that did not come to its end stands there.
    pub interrupted: bool,
    /// What stood there is not known any more: everything is written anew.
    pub all_anew: bool,
    /// Files to write.
    pub files: u64,
    /// Their bytes, holes included and every name counted: at most so many are needed.
    pub bytes: u64,
    /// Files that are there already.
    pub unchanged: u64,
    /// Entries to delete.
    pub deletes: u64,
    /// What was changed by hand and would be lost.
    pub changed: Changed,
    /// Bytes that are free where the folder is, where that can be told.
    pub free: Option<u64>,
    /// About so many seconds, at 100 MiB and 4000 files a second.
    pub seconds: f64,
}

impl Plan {
    /// Whether somebody should be asked first: much to write, more than is free, or something to lose.
    #[must_use]
    pub fn asks(&self) -> bool {
        self.bytes > BYTES_LARGE
            || self.files > FILES_LARGE
            || self.free.is_some_and(|free| self.bytes > free)
            || self.changed.count > 0
    }
}

/// A folder that nobody else checks out into while this lives.
struct Held {
    folder: PathBuf,
    dir: Arc<Dir>,
    /// The lock goes with it.
    _lock: Option<OwnedFd>,
}

impl Held {
    fn new(folder: &Path) -> Result<Self> {
        let dir = Dir::root(folder)?;
        let fd = dir
            .with_fd(|fd| {
                fd.try_clone_to_owned()
                    .map_err(|_| rustix::io::Errno::MFILE)
            })
            .map_err(|errno| dir.error("open", b"", errno))?;
        let lock = match rustix::fs::flock(&fd, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Some(fd),
            Err(rustix::io::Errno::WOULDBLOCK) => {
                return Err(Error::new(
                    Kind::Conflict,
                    "another checkout is at work in this folder",
                )
                .subject(folder.display().to_string())
                .hint("wait for it to end"));
            }
            // A file system without locks must do without.
            Err(_) => None,
        };
        Ok(Self {
            folder: folder.to_owned(),
            dir,
            _lock: lock,
        })
    }

    fn stat(&self) -> Result<crate::fs::Stat> {
        self.dir
            .with_fd(of_descriptor)
            .map_err(|errno| self.dir.error("look at", b"", errno))
    }

    /// The state, where this folder is what it speaks of.
    fn state(&self) -> Result<Option<(State, Nanos)>> {
        let Some((state, written)) = State::read(&self.dir)? else {
            return Ok(None);
        };
        let identity = self.dir.identity();
        if state.folder != [identity.device, identity.inode] {
            return Err(
                Error::new(Kind::Exists, "this is a copy of a checkout, not one itself")
                    .subject(String::from_utf8_lossy(&self.dir.path()).into_owned())
                    .hint("it is left alone: delete it yourself where nobody needs it any more"),
            );
        }
        Ok(Some((state, written)))
    }

    /// Makes the folder one that this process can write in.
    fn lend(&mut self) -> Result<()> {
        if lend_access(&self.dir, &self.stat()?) {
            // What could only be named before can be listed now.
            self.dir = Dir::root(&self.folder)?;
        }
        Ok(())
    }

    fn error(&self, action: &str) -> impl Fn(rustix::io::Errno) -> Error {
        let dir = Arc::clone(&self.dir);
        let action = action.to_owned();
        move |errno| dir.error(&action, b"", errno)
    }
}

/// A checkout that is ready to be done.
pub struct Checkout<'r> {
    repository: &'r Repository,
    snapshot: &'r Snapshot,
    restore: RestoreOptions,
    wanted: Stand,
    held: Option<Held>,
    state: Option<State>,
    plan: Plan,
}

/// Looks at the folder and at what would have to be done. Changes nothing.
///
/// # Errors
/// `NotFound` for a path that is not in the snapshot, `Usage` for one that is no directory, `Exists` for a folder that
/// is neither empty nor a checkout of this repository, `Damage`, `Interrupted`.
pub fn prepare<'r>(
    repository: &'r Repository,
    snapshot: &'r Snapshot,
    options: &CheckoutOptions,
    progress: &dyn Progress,
) -> Result<Checkout<'r>> {
    let wanted = Stand {
        snapshot: snapshot.id,
        path: options.path.clone().unwrap_or_else(|| b"/".to_vec()),
    };
    let top = repository.find(snapshot, &wanted.path)?;
    let Node::Directory(directory) = top.entry.node else {
        return Err(Error::new(Kind::Usage, "this is no folder")
            .subject(wanted.path.escape_ascii().to_string())
            .hint("name the folder that it stands in, or use restore"));
    };
    if repository.member(&directory, NAME)?.is_some() {
        progress.note(
            "the snapshot's own .duramen-checkout is left out: it has the name of this one's state",
        );
    }
    let mut restore = restore_options(&wanted, &options.folder);
    let mut plan = Plan {
        free: free(&options.folder),
        ..Plan::default()
    };
    let (held, state) = standing(repository, &options.folder)?;
    let (state, written) = state.unzip();
    match (&held, &state) {
        (Some(held), Some(state)) => {
            plan.interrupted = !state.complete;
            if let (true, Some(written)) = (state.complete, written) {
                progress.phase("look for changes by hand");
                plan.changed = changed(&held.dir, written, progress)?;
                plan.from = state.standing.iter().flatten().next().cloned();
            }
            progress.phase("compare");
            match rewrite(repository, state, snapshot, &wanted, progress)? {
                Some(rewrite) => {
                    restore.read_only = Some(ReadOnly {
                        rewrite,
                        stays: NAME.to_vec(),
                    });
                }
                None => {
                    plan.all_anew = true;
                    restore.overwrite = Overwrite::Always;
                }
            }
            dry_run(repository, snapshot, &restore, progress, &mut plan)?;
        }
        _ => count(&directory, &mut plan),
    }
    plan.seconds = plan.bytes as f64 / BYTES_PER_SECOND + plan.files as f64 / FILES_PER_SECOND;
    Ok(Checkout {
        repository,
        snapshot,
        restore,
        wanted,
        held,
        state,
        plan,
    })
}

fn restore_options(wanted: &Stand, folder: &Path) -> RestoreOptions {
    RestoreOptions {
        path: Some(wanted.path.clone()),
        target: folder.to_owned(),
        include: Vec::new(),
        iinclude: Vec::new(),
        exclude: Vec::new(),
        iexclude: Vec::new(),
        overwrite: Overwrite::IfChanged,
        in_place: false,
        delete: true,
        dry_run: false,
        verify: false,
        sparse: false,
        ownership: None,
        numeric_owner: false,
        read_only: Some(ReadOnly {
            rewrite: HashSet::new(),
            stays: NAME.to_vec(),
        }),
    }
}

/// A folder, where it is there, with its state and when that was written, where there is one.
type Standing = (Option<Held>, Option<(State, Nanos)>);

fn standing(repository: &Repository, folder: &Path) -> Result<Standing> {
    match std::fs::metadata(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok((None, None)),
        Err(error) => return Err(Error::io("look at the folder", folder, error)),
        Ok(found) if !found.is_dir() => {
            return Err(Error::new(Kind::Exists, "this is no folder")
                .subject(folder.display().to_string())
                .hint("name an empty folder, or one that does not exist yet"));
        }
        Ok(_) => {}
    }
    let held = Held::new(folder)?;
    let state = held.state()?;
    match &state {
        Some((state, _)) if state.repository != repository.id() => Err(Error::new(
            Kind::Exists,
            "a checkout of another repository stands in this folder",
        )
        .subject(folder.display().to_string())
        .hint("unmount it first, or name another folder")),
        Some(_) => Ok((Some(held), state)),
        // What a checkout left that was killed before its state stood there.
        None if names(&held.dir)?.iter().all(Temporary::is_one) => Ok((Some(held), None)),
        None => Err(Error::new(
            Kind::Exists,
            "this folder is not empty, and no checkout stands in it",
        )
        .subject(folder.display().to_string())
        .hint(
            "name an empty folder, or one that does not exist yet; restore writes into a full one",
        )),
    }
}

/// Bytes that are free where `folder` is or will be.
fn free(folder: &Path) -> Option<u64> {
    let absolute = std::path::absolute(folder).ok()?;
    let there = absolute.ancestors().find(|path| path.exists())?;
    let found = rustix::fs::statvfs(there).ok()?;
    Some(found.f_bavail.saturating_mul(found.f_frsize))
}

fn count(directory: &Directory, plan: &mut Plan) {
    plan.files = directory.files;
    plan.bytes = directory.bytes;
}

/// Paths of the wanted snapshot whose type, size and time are those of what may stand there, while the content is
/// not, or the links are not; none where what stands there is not known.
fn rewrite(
    repository: &Repository,
    state: &State,
    snapshot: &Snapshot,
    wanted: &Stand,
    progress: &dyn Progress,
) -> Result<Option<HashSet<Vec<u8>>>> {
    let Some(standing) = &state.standing else {
        return Ok(None);
    };
    let mut anew = HashSet::new();
    for stand in standing.iter().filter(|stand| *stand != wanted) {
        let walk = Walk {
            path: &wanted.path,
            removed_below: false,
        };
        let mut each = |change: Change<'_>| {
            if looks_the_same(&change) && anew.len() <= REWRITE_MAX {
                anew.insert(change.path.to_vec());
            }
            Ok(())
        };
        let compared = repository
            .snapshot(&stand.snapshot)
            .and_then(|old| {
                let before = repository.find(&old, &stand.path)?;
                let after = repository.find(snapshot, &wanted.path)?;
                Ok((before, after))
            })
            .and_then(|(before, after)| {
                changes(
                    repository,
                    Some(before),
                    Some(after),
                    walk,
                    progress,
                    &mut each,
                )
            });
        match compared {
            Ok(_) => {}
            Err(error) if error.kind() == Kind::Interrupted => return Err(error),
            // Gone, or damaged.
            Err(_) => return Ok(None),
        }
    }
    Ok((anew.len() <= REWRITE_MAX).then_some(anew))
}

/// Whether a file's size and time do not tell that it is another.
fn looks_the_same(change: &Change<'_>) -> bool {
    let (Some(before), Some(after)) = (&change.before, &change.after) else {
        return false;
    };
    let size = |node: &Node| match node {
        Node::File { size, .. } => Some(*size),
        _ => None,
    };
    let same_size = size(&before.entry.node) == size(&after.entry.node);
    let unseen = change.what.content && !change.what.kind && !change.what.mtime && same_size;
    unseen || before.entry.link != after.entry.link
}

fn dry_run(
    repository: &Repository,
    snapshot: &Snapshot,
    restore: &RestoreOptions,
    progress: &dyn Progress,
    plan: &mut Plan,
) -> Result<()> {
    let mut dry = restore.clone();
    dry.dry_run = true;
    // What cannot be read is told when it is needed.
    let listening = Stoppable(progress);
    let found = crate::restore::run(repository, snapshot, &dry, &listening)?;
    plan.files = found.files_restored;
    plan.bytes = found.bytes_restored;
    plan.unchanged = found.files_unchanged;
    plan.deletes = found.files_deleted;
    Ok(())
}

/// Says nothing, but hears the wish to stop.
struct Stoppable<'p>(&'p dyn Progress);

impl Progress for Stoppable<'_> {
    fn interrupted(&self) -> bool {
        self.0.interrupted()
    }
}

impl Checkout<'_> {
    /// What would be done.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Does it. Where anything could not be done, the summary says so, and the folder is known as one in which only
    /// a part stands.
    ///
    /// # Errors
    /// A folder that cannot be written, a full disk, the user's wish to stop: the same command goes on from there.
    pub fn run(mut self, progress: &dyn Progress) -> Result<RestoreSummary> {
        let folder = &self.restore.target;
        let made = self.held.is_none();
        if made {
            std::fs::create_dir_all(folder)
                .map_err(|error| Error::io("create the folder", folder, error))?;
        }
        let mut held = match self.held.take() {
            Some(held) => held,
            None => Held::new(folder)?,
        };
        let before = match &self.state {
            Some(state) => state.before,
            None if made => None,
            None => {
                let stat = held.stat()?;
                Some([stat.mode, stat.uid, stat.gid])
            }
        };
        let identity = held.dir.identity();
        let mut state = State {
            repository: self.repository.id(),
            standing: self.still_standing(),
            complete: false,
            folder: [identity.device, identity.inode],
            before,
        };
        held.lend()?;
        state.write(&held.dir)?;
        let summary = crate::restore::run(self.repository, self.snapshot, &self.restore, progress)?;
        if summary.problem_count == 0 && !summary.damage {
            state.complete = true;
            state.standing = Some(vec![self.wanted]);
            let own = held.stat()?;
            held.lend()?;
            state.write(&held.dir)?;
            dress(&held, own.mode)?;
            // Whoever changes something once this has returned does so later than the state by the file system's clock.
            std::thread::sleep(TICK);
        }
        Ok(summary)
    }

    /// Everything of which something may stand there until all is done.
    fn still_standing(&self) -> Option<Vec<Stand>> {
        let mut standing = match &self.state {
            Some(state) => state.standing.clone()?,
            None => Vec::new(),
        };
        if !standing.contains(&self.wanted) {
            standing.push(self.wanted.clone());
        }
        (standing.len() <= STANDING_MAX).then_some(standing)
    }
}

fn dress(held: &Held, mode: u32) -> Result<()> {
    held.dir
        .with_fd(|fd| {
            // A descriptor that only names the folder cannot change it; then nothing was lent either.
            match rustix::fs::fchmod(fd, Mode::from_raw_mode(mode)) {
                Err(rustix::io::Errno::BADF) => Ok(()),
                done => done,
            }
        })
        .map_err(held.error("set the mode of"))
}

/// A checkout that is ready to be taken away.
pub struct Unmount {
    held: Held,
    state: State,
    changed: Changed,
}

/// What was taken away.
#[derive(Debug, Clone, Copy, Default)]
pub struct UnmountSummary {
    /// Files and folders in it.
    pub entries: u64,
    /// What could not be removed: the checkout is still one then.
    pub problems: u64,
    /// The folder itself went too; it stays, empty, where it was there before.
    pub folder_removed: bool,
}

/// Looks at the folder. Changes nothing, and needs no repository.
///
/// # Errors
/// `NotFound` for a folder that is not there or no checkout, `Exists` for a copy of one, `Conflict` where another
/// process is at work in it.
pub fn prepare_unmount(folder: &Path, progress: &dyn Progress) -> Result<Unmount> {
    let held = Held::new(folder)?;
    let Some((state, written)) = held.state()? else {
        return Err(
            Error::new(Kind::NotFound, "no checkout stands in this folder")
                .subject(folder.display().to_string())
                .hint("nothing was removed"),
        );
    };
    let changed = if state.complete {
        changed(&held.dir, written, progress)?
    } else {
        Changed::default()
    };
    Ok(Unmount {
        held,
        state,
        changed,
    })
}

impl Unmount {
    /// What was changed by hand and would be lost.
    #[must_use]
    pub fn changed(&self) -> &Changed {
        &self.changed
    }

    /// Removes it.
    ///
    /// # Errors
    /// Where the folder cannot be listed or written, `Interrupted`: the same command goes on from there.
    pub fn run(mut self, progress: &dyn Progress) -> Result<UnmountSummary> {
        progress.phase("unmount");
        self.held.lend()?;
        self.state.complete = false;
        self.state.write(&self.held.dir)?;
        let removed = remove_all(&self.held.dir, progress)?;
        let mut summary = UnmountSummary {
            entries: removed.entries,
            problems: removed.problems,
            folder_removed: false,
        };
        if removed.problems > 0 {
            return Ok(summary);
        }
        unlink(&self.held.dir, NAME)?;
        match self.state.before {
            None => {
                let folder = &self.held.folder;
                std::fs::remove_dir(folder)
                    .map_err(|error| Error::io("remove the folder", folder, error))?;
                summary.folder_removed = true;
            }
            Some([mode, uid, gid]) => {
                // Only root can give it back to another owner, and only root took it.
                let _ = self.held.dir.with_fd(|fd| {
                    rustix::fs::fchown(fd, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))
                });
                dress(&self.held, mode & 0o777)?;
            }
        }
        Ok(summary)
    }
}
