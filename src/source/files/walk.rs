//! The walk itself: a loop over a stack of directories, for a tree may be deeper than the thread's stack.
//!
//! Every name costs one `statx`, every directory one open, one check that it is the one that was seen, and its
//! listing. The tree may change at any moment: whatever was seen a moment ago may be gone, or something else now. Then
//! the walk says so and goes on; it never follows a link that took the place of a directory.

use std::sync::Arc;

use ignore::gitignore::Gitignore;
use rustix::io::Errno;

use super::LeftOut;
use super::content::{ClosedOrigin, DirOrigin, replaced};
use super::paths::Wanted;
use super::rules::Rules;
use super::scout::{AHEAD, Scouts, fetched, is_remote};
use crate::error::{Error, Kind, Result};
use crate::fs::{Dir, Identity, Lister, Names, Stat, StatKind, of_descriptor, of_member};
use crate::limits;
use crate::progress::Progress;
use crate::source::{Event, Origin};

/// Events handed over at once.
const BATCH: usize = 256;

/// A directory that was entered and not yet left.
struct Frame<'a> {
    dir: Arc<Dir>,
    origin: Arc<dyn Origin>,
    names: Arc<Names>,
    /// Its listing had to be fetched: so will its members be.
    slow: bool,
    /// Index of the next name.
    next: usize,
    wanted: Option<&'a Wanted>,
    /// Everything in it is wanted, not only the way to something deeper.
    whole: bool,
    /// Device of the given path that it belongs to.
    device: u64,
    /// Patterns that it holds itself.
    nested: Option<Gitignore>,
    /// Length of its path in [`Walk::path`].
    path_len: usize,
}

/// How a directory is to be entered.
struct Way<'a> {
    wanted: Option<&'a Wanted>,
    whole: bool,
    /// Given itself, so its own device is the one to stay on.
    given: bool,
    device: u64,
    /// The user typed it as a directory: it may be a symbolic link.
    follow: bool,
}

/// A walk going on.
pub struct Walk<'a> {
    rules: &'a Rules,
    left_out: &'a [LeftOut],
    progress: &'a dyn Progress,
    emit: &'a mut dyn FnMut(Vec<Event>) -> Result<()>,
    events: Vec<Event>,
    stack: Vec<Frame<'a>>,
    /// Path of the innermost directory, ending with `/`; kept only where rules ask for paths.
    path: Vec<u8>,
    lister: Lister,
    scouts: Scouts,
    /// The file system that was listed last, and whether it is a remote one.
    remote: Option<(u64, bool)>,
}

impl<'a> Walk<'a> {
    /// Nothing is entered yet.
    pub fn new(
        rules: &'a Rules,
        left_out: &'a [LeftOut],
        progress: &'a dyn Progress,
        emit: &'a mut dyn FnMut(Vec<Event>) -> Result<()>,
    ) -> Self {
        Self {
            rules,
            left_out,
            progress,
            emit,
            events: Vec::with_capacity(BATCH),
            stack: Vec::new(),
            path: Vec::new(),
            lister: Lister::default(),
            scouts: Scouts::default(),
            remote: None,
        }
    }

    /// Enters `/`.
    ///
    /// # Errors
    /// The root cannot be looked at; what `emit` says.
    pub fn begin(&mut self, root: Arc<Dir>, wanted: &'a Wanted) -> Result<()> {
        let stat = root
            .with_fd(of_descriptor)
            .map_err(|errno| root.error("look at", b"", errno))?;
        let way = Way {
            wanted: Some(wanted),
            whole: wanted.whole,
            given: true,
            device: stat.device,
            follow: true,
        };
        self.push(root, b"/".to_vec(), stat, &way)
    }

    /// Walks everything that was entered, to the end.
    ///
    /// # Errors
    /// What `emit` says; that the user asked to stop.
    pub fn run(mut self) -> Result<()> {
        while let Some(frame) = self.stack.last_mut() {
            let index = frame.next;
            frame.next += 1;
            let done = index >= frame.names.len();
            // Members that are left out are never handed over, and there may be millions of them.
            if index % BATCH == BATCH - 1 {
                self.progress.go_on()?;
            }
            if frame.slow && index % AHEAD == 0 && !done {
                self.scouts.offer(&frame.dir, &frame.names, index);
            }
            if done {
                self.leave()?;
            } else {
                self.visit(index)?;
            }
        }
        self.flush()
    }

    /// Says that something could not be read.
    ///
    /// # Errors
    /// What `emit` says.
    pub fn problem(&mut self, error: Error, path: Vec<u8>) -> Result<()> {
        self.put(Event::Problem { path, error })
    }

    /// Looks at the member with number `index` of the innermost directory.
    fn visit(&mut self, index: usize) -> Result<()> {
        let Some(frame) = self.stack.last() else {
            return Ok(());
        };
        let Some(name) = frame.names.get(index) else {
            return Ok(());
        };
        let wanted = frame.wanted.and_then(|wanted| wanted.members.get(name));
        // Something deeper was given: neither a link nor a pattern may stand in its way.
        let way_on = wanted.is_some_and(|wanted| !wanted.members.is_empty());
        let stat = match of_member(&frame.dir, name) {
            Ok(stat) => stat,
            Err(Errno::STALE) => return self.abandon(),
            Err(errno) => {
                let error = lost(&frame.dir, name, "look at", errno);
                let path = frame.dir.path_of(name);
                return self.problem(error, path);
            }
        };
        if name.len() > limits::NAME_BYTES_MAX {
            let path = frame.dir.path_of(name);
            let error = Error::new(Kind::Limit, "the name is longer than 255 bytes")
                .subject(String::from_utf8_lossy(&path).into_owned());
            return self.problem(error, path);
        }
        let is_directory = stat.is_directory();
        let given = wanted.is_some_and(|wanted| wanted.whole);
        let excluded = (stat.kind == StatKind::File && self.rules.too_large(stat.size))
            || self.leave_out(frame, name, is_directory);
        if excluded && !way_on {
            return Ok(());
        }
        let whole = (frame.whole || given) && !excluded;
        let leads_on = way_on && stat.kind == StatKind::Symlink;
        if !is_directory && !leads_on {
            let gone = way_on.then(|| (frame.dir.path_of(name), not_a_directory(&frame.dir, name)));
            let event = whole.then(|| Event::Member {
                name: name.to_vec(),
                stat,
                origin: Arc::clone(&frame.origin),
            });
            if let Some((path, error)) = gone {
                self.problem(error, path)?;
            }
            return event.map_or(Ok(()), |event| self.put(event));
        }
        let way = Way {
            wanted,
            whole: is_directory && whole,
            given,
            device: frame.device,
            follow: way_on,
        };
        let (dir, name) = (Arc::clone(&frame.dir), name.to_vec());
        self.enter(&dir, name, stat, way)
    }

    fn leave_out(&self, frame: &Frame<'_>, name: &[u8], is_directory: bool) -> bool {
        if !self.rules.match_paths() {
            return false;
        }
        let mut path = Vec::with_capacity(frame.path_len + name.len());
        path.extend_from_slice(&self.path[..frame.path_len]);
        path.extend_from_slice(name);
        let nested = self
            .stack
            .iter()
            .rev()
            .filter_map(|frame| frame.nested.as_ref());
        self.rules.leave_out(&path, is_directory, nested)
    }

    /// Opens the directory `name` and everything that comes with it.
    fn enter(
        &mut self,
        parent: &Arc<Dir>,
        name: Vec<u8>,
        stat: Stat,
        mut way: Way<'a>,
    ) -> Result<()> {
        let path = || parent.path_of(&name);
        if self.is_left_out(&stat, path) {
            return Ok(());
        }
        // Not even opened, where nothing deeper was given: that might wait for a server on the network.
        if self.stays_out(&mut way, &stat) && !way.follow {
            return self.closed(Arc::clone(parent), name, stat);
        }
        if self.stack.len() >= limits::TREE_DEPTH_MAX {
            let error = Error::new(Kind::Limit, "the tree is too deep")
                .subject(String::from_utf8_lossy(&path()).into_owned());
            return self.problem(error, path());
        }
        let opened = parent.try_open_child(&name, way.follow).and_then(|dir| {
            let seen = Identity {
                device: stat.device,
                inode: stat.inode,
            };
            // Another one took its place, a file system was mounted on it, or it is a link to be followed: what is
            // entered is what is told of.
            let stat = if dir.identity() == seen {
                stat.clone()
            } else {
                dir.with_fd(of_descriptor)?
            };
            Ok((dir, stat))
        });
        match opened {
            Ok((dir, stat)) => {
                if self.is_left_out(&stat, path) {
                    return Ok(());
                }
                self.stays_out(&mut way, &stat);
                self.push(dir, name, stat, &way)
            }
            Err(Errno::STALE) => self.abandon(),
            Err(errno @ (Errno::NOENT | Errno::NOTDIR | Errno::LOOP)) => {
                self.problem(lost(parent, &name, "open", errno), path())
            }
            Err(errno) => {
                self.problem(parent.error("open", &name, errno), path())?;
                if stat.is_directory() {
                    self.closed(Arc::clone(parent), name, stat)
                } else {
                    Ok(())
                }
            }
        }
    }

    /// The innermost directory cannot be found again, so none of its other members can: one problem, not a million.
    fn abandon(&mut self) -> Result<()> {
        let Some(frame) = self.stack.last_mut() else {
            return Ok(());
        };
        frame.next = frame.names.len();
        let error = frame.dir.error("go on in", b"", Errno::STALE);
        let path = frame.dir.path();
        self.problem(error, path)
    }

    /// Whether the directory lies on another file system than wanted, so that its members are not. A given path sets
    /// the device to stay on for everything below it.
    fn stays_out(&self, way: &mut Way<'_>, stat: &Stat) -> bool {
        if way.given {
            way.device = stat.device;
        }
        let crossing = self.rules.one_file_system && way.whole && stat.device != way.device;
        way.whole &= !crossing;
        crossing
    }

    /// Whether it is one of the directories that must not become part of the snapshot; then a note says so.
    fn is_left_out(&self, stat: &Stat, path: impl Fn() -> Vec<u8>) -> bool {
        let found = self.left_out.iter().find(|left_out| {
            left_out.identity.inode == stat.inode && left_out.identity.device == stat.device
        });
        if let Some(left_out) = found {
            let path = path();
            self.progress.note(&format!(
                "{}: left out, it is {}",
                String::from_utf8_lossy(&path),
                left_out.what
            ));
        }
        found.is_some()
    }

    /// Tells of a directory that is kept without its members.
    fn closed(&mut self, parent: Arc<Dir>, name: Vec<u8>, stat: Stat) -> Result<()> {
        let origin = Arc::new(ClosedOrigin {
            parent,
            name: name.clone(),
        });
        self.put(Event::Enter { name, stat, origin })?;
        self.put(Event::Leave)
    }

    /// Tells of the directory `dir` and makes it the innermost one.
    fn push(&mut self, dir: Arc<Dir>, name: Vec<u8>, stat: Stat, way: &Way<'a>) -> Result<()> {
        let origin: Arc<dyn Origin> = Arc::new(DirOrigin(Arc::clone(&dir)));
        if self.rules.match_paths() {
            self.path
                .truncate(self.stack.last().map_or(0, |frame| frame.path_len));
            self.path.extend_from_slice(&name);
            if self.path.last() != Some(&b'/') {
                self.path.push(b'/');
            }
        }
        self.put(Event::Enter {
            name,
            stat,
            origin: Arc::clone(&origin),
        })?;
        // One file system is mostly walked to its end before the next.
        let device = dir.identity().device;
        if self.remote.is_none_or(|(own, _)| own != device) {
            self.remote = Some((device, is_remote(&dir)));
        }
        let remote = self.remote.is_some_and(|(_, remote)| remote);
        let before = fetched(remote);
        let names = Arc::new(self.names(&dir, way)?);
        let slow = way.whole && names.len() > 1 && fetched(remote) > before;
        let mut nested = None;
        if way.whole {
            let progress = self.progress;
            match self.rules.nested(&dir, &names, |text| progress.note(&text)) {
                Ok(found) => nested = found,
                Err(error) => self.problem(error, dir.path())?,
            }
        }
        self.stack.push(Frame {
            dir,
            origin,
            names,
            slow,
            next: 0,
            wanted: way.wanted,
            whole: way.whole,
            device: way.device,
            nested,
            path_len: self.path.len(),
        });
        Ok(())
    }

    /// The names to visit in `dir`.
    fn names(&mut self, dir: &Arc<Dir>, way: &Way<'a>) -> Result<Names> {
        let given = || {
            way.wanted
                .iter()
                .flat_map(|wanted| wanted.members.keys().map(Vec::as_slice))
        };
        if !way.whole {
            return Ok(Names::new(given()));
        }
        let (mut names, error) = self.lister.list(dir);
        if let Some(errno) = error {
            self.problem(dir.error("list", b"", errno), dir.path())?;
        }
        match self.rules.tagged(dir, &names) {
            Ok(Some(keep)) => names = keep,
            Ok(None) if given().all(|name| names.contains(name)) => return Ok(names),
            Ok(None) => {}
            Err(error) => self.problem(error, dir.path())?,
        }
        // What was given itself is looked at even where the listing does not show it.
        Ok(Names::new(names.iter().chain(given())))
    }

    fn leave(&mut self) -> Result<()> {
        self.stack.pop();
        self.path
            .truncate(self.stack.last().map_or(0, |frame| frame.path_len));
        self.put(Event::Leave)
    }

    fn put(&mut self, event: Event) -> Result<()> {
        self.events.push(event);
        if self.events.len() >= BATCH {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        self.progress.go_on()?;
        if self.events.is_empty() {
            return Ok(());
        }
        let events = std::mem::replace(&mut self.events, Vec::with_capacity(BATCH));
        (self.emit)(events)
    }
}

/// Puts into words that what was there a moment ago is not there now.
fn lost(dir: &Dir, name: &[u8], action: &str, errno: Errno) -> Error {
    match errno {
        Errno::NOENT => Error::new(Kind::NotFound, "vanished while the snapshot ran")
            .subject(String::from_utf8_lossy(&dir.path_of(name)).into_owned()),
        Errno::NOTDIR | Errno::LOOP => not_a_directory(dir, name),
        errno => dir.error(action, name, errno),
    }
}

fn not_a_directory(dir: &Dir, name: &[u8]) -> Error {
    replaced(dir, name, "it is no directory any more")
}
