//! Reading what must be read: several workers, each with one buffer, each taking the next batch of tasks.
//!
//! A batch's results go through a channel of its own that holds a bounded number of bytes; the sink empties these
//! channels in the order of the batches. Workers take batches in that order too, so the batch that the sink waits for
//! is always in some worker's hands, and nothing can stand still.

use std::cell::OnceCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_channel::{Receiver, Sender};

use super::list::ListBuilder;
use super::merge::Task;
use super::put::{Namer, Put};
use super::recipe::{Made, Old, Recipe};
use crate::chunk::Cutter;
use crate::clock::Nanos;
use crate::error::{Error, Kind, Result};
use crate::format::entry::{Content, Entry, Piece};
use crate::id::ChunkId;
use crate::limits;
use crate::progress::Progress;
use crate::repository::{ChunkKind, Repository};
use crate::seal::Keys;
use crate::source::{Origin, RawXattr, Run, Stat, StatKind, dump};

/// Bytes of results that are handed over at once.
const GROUP_BYTES: usize = 256 << 10;
/// Groups that wait in one batch's channel.
pub const GROUPS: usize = 4;
/// A worker's buffer.
const BUFFER_BYTES: usize = 1 << 20;
/// An inode changed so shortly before it was looked at may change again without its times telling.
const FRESH: Nanos = 2_000_000_000;

/// What became of a task.
pub enum Found {
    /// A directory begins.
    Enter {
        name: Vec<u8>,
        stat: Stat,
        xattrs: Attributes,
        previous: Option<Box<Entry>>,
        fresh: bool,
    },
    /// The directory entered last is finished.
    Leave,
    /// As in the parent.
    Keep { entry: Box<Entry>, stat: Stat },
    /// Bytes of the file whose `Member` comes next.
    Data { id: ChunkId, bytes: Vec<u8> },
    /// New bytes of the file whose `Member` comes next; pieces that follow name them.
    New { id: ChunkId, bytes: Vec<u8> },
    /// A piece of the file whose `Member` comes next; its chunk was handed over before, or is the parent's.
    Piece(Piece),
    /// A hole of the file whose `Member` comes next.
    Hole(u64),
    /// The file whose bytes came could not be read to its end: they are to be dropped.
    Dropped,
    /// A member, its bytes handed over before.
    Member {
        name: Vec<u8>,
        stat: Stat,
        path: Vec<u8>,
        xattrs: Attributes,
        payload: Payload,
        known: bool,
        fresh: bool,
        read: u64,
    },
    /// Could not be read as it should be.
    Problem { path: Vec<u8>, error: Error },
    /// The batch is complete: a channel that ends without this belonged to a worker that stopped.
    End,
}

/// Extended attributes: freshly read, or the parent's.
pub enum Attributes {
    /// As read.
    Raw(Vec<RawXattr>),
    /// The inode has not changed since the parent looked.
    Previous,
}

/// What a member holds.
pub enum Payload {
    /// A file whose bytes were handed over as `Data` and `Hole`.
    Streamed,
    /// A file of which the pieces were handed over, and the key of the list that its bytes have by themselves.
    Recipe([u8; 32]),
    /// A tiny file.
    Inline(Vec<u8>),
    /// A file whose content the parent's entry has.
    Known(Content),
    /// A link's target.
    Target(Vec<u8>),
    /// Nothing beyond its stat.
    Nothing,
}

/// One batch of tasks.
pub struct Batch {
    /// In the order of the walk.
    pub tasks: Vec<Task>,
    /// None of what the tasks are about was looked at before this.
    pub looked: Nanos,
    /// Where the results go.
    pub out: Sender<Vec<Found>>,
}

/// What all workers share.
pub struct Shared<'r> {
    /// For what the parent holds.
    pub repository: &'r Repository,
    /// For chunk ids.
    pub keys: Arc<Keys>,
    /// For cuts.
    pub cutter: &'r Cutter,
    /// To say what is being read, and to hear when to stop.
    pub progress: &'r dyn Progress,
    /// Whether it was said what gzipped dumps cost: once is enough.
    pub zipped: AtomicBool,
}

impl Shared<'_> {
    fn hear_of_zipped(&self, path: &[u8]) {
        if !self.zipped.swap(true, Ordering::Relaxed) {
            self.progress.note(&format!(
                "{} is a gzipped dump, of which all is stored again whenever it changes: of one that is not gzipped, only what changed",
                path.escape_ascii()
            ));
        }
    }
}

/// Works until there are no more batches, or the sink has gone.
pub fn work(shared: &Shared<'_>, batches: &Receiver<Batch>) {
    let mut buffer = vec![0; BUFFER_BYTES.max(2 * shared.cutter.window())];
    for Batch { tasks, looked, out } in batches {
        let mut group = Group {
            found: Vec::new(),
            bytes: 0,
            out,
        };
        for task in tasks {
            // The sink has stopped listening: somebody else met an error.
            if one(shared, &mut buffer, &mut group, task, looked).is_err() {
                return;
            }
        }
        if group.push(Found::End).and_then(|()| group.send()).is_err() {
            return;
        }
    }
}

struct Gone;

struct Group {
    found: Vec<Found>,
    bytes: usize,
    out: Sender<Vec<Found>>,
}

impl Group {
    fn push(&mut self, found: Found) -> std::result::Result<(), Gone> {
        self.bytes += 64;
        if let Found::Data { bytes, .. } | Found::New { bytes, .. } = &found {
            self.bytes += bytes.len();
        }
        self.found.push(found);
        if self.bytes >= GROUP_BYTES {
            self.send()
        } else {
            Ok(())
        }
    }

    fn send(&mut self) -> std::result::Result<(), Gone> {
        self.bytes = 0;
        if self.found.is_empty() {
            return Ok(());
        }
        self.out
            .send(std::mem::take(&mut self.found))
            .map_err(|_| Gone)
    }
}

fn is_fresh(looked: Nanos, stat: &Stat) -> bool {
    stat.ctime >= looked.saturating_sub(FRESH)
}

fn one(
    shared: &Shared<'_>,
    buffer: &mut [u8],
    group: &mut Group,
    task: Task,
    looked: Nanos,
) -> std::result::Result<(), Gone> {
    match task {
        Task::Leave => group.push(Found::Leave),
        Task::Keep { entry, stat } => group.push(Found::Keep { entry, stat }),
        Task::Problem { path, error } => group.push(Found::Problem { path, error }),
        Task::Enter {
            name,
            stat,
            origin,
            previous,
            same_inode,
        } => {
            let fresh = is_fresh(looked, &stat);
            let (xattrs, whole) = if same_inode && previous.is_some() {
                (Attributes::Previous, true)
            } else {
                attributes(group, &*origin, b"", origin.xattrs(b""))?
            };
            group.push(Found::Enter {
                name,
                stat,
                xattrs,
                previous,
                fresh: fresh || !whole,
            })
        }
        Task::Read {
            name,
            stat,
            origin,
            known,
            content,
            previous,
        } => {
            let path = origin.path(&name);
            shared.progress.current(&path);
            let fresh = is_fresh(looked, &stat);
            let result = match (stat.kind, content) {
                (StatKind::File, Some(content)) => Ok((Payload::Known(content), 0, stat, fresh)),
                (StatKind::File, None) => {
                    return file(
                        shared,
                        buffer,
                        group,
                        (name, stat, origin, path, known, fresh),
                        previous,
                    );
                }
                (StatKind::Symlink, _) => origin
                    .read_link(&name)
                    .map(|target| (Payload::Target(target), 0, stat, fresh)),
                _ => Ok((Payload::Nothing, 0, stat, fresh)),
            };
            match result {
                Ok((payload, read, stat, fresh)) => {
                    let raw = origin.xattrs(&name);
                    let (xattrs, whole) = attributes(group, &*origin, &name, raw)?;
                    group.push(Found::Member {
                        name,
                        stat,
                        path,
                        xattrs,
                        payload,
                        known,
                        fresh: fresh || !whole,
                        read,
                    })
                }
                Err(error) => group.push(Found::Problem { path, error }),
            }
        }
    }
}

/// Attributes, and whether all of them were read: where not, the entry must be read again next time.
fn attributes(
    group: &mut Group,
    origin: &dyn Origin,
    name: &[u8],
    raw: Result<Vec<RawXattr>>,
) -> std::result::Result<(Attributes, bool), Gone> {
    let (mut xattrs, mut error) = match raw {
        Ok(xattrs) => (xattrs, None),
        Err(error) => (Vec::new(), Some(error)),
    };
    if xattrs.len() > limits::XATTRS_MAX {
        let what = format!("{} attributes are more than can be stored", xattrs.len());
        error = Some(Error::new(Kind::Limit, what));
        xattrs.truncate(limits::XATTRS_MAX);
    }
    let whole = error.is_none();
    if let Some(error) = error {
        let path = origin.path(name);
        let error = error.or_subject(|| path.escape_ascii().to_string());
        group.push(Found::Problem { path, error })?;
    }
    Ok((Attributes::Raw(xattrs), whole))
}

type File = (Vec<u8>, Stat, Arc<dyn Origin>, Vec<u8>, bool, bool);

fn file(
    shared: &Shared<'_>,
    buffer: &mut [u8],
    group: &mut Group,
    file: File,
    previous: Option<Content>,
) -> std::result::Result<(), Gone> {
    let (name, mut stat, origin, path, known, mut fresh) = file;
    let streamed = match origin.open(&name) {
        Ok(mut content) => stream(
            shared,
            buffer,
            group,
            &mut *content,
            &mut stat,
            &mut fresh,
            Named {
                path: &path,
                previous,
            },
        )?
        .map(|streamed| (streamed, content.xattrs())),
        Err(error) => Err(error),
    };
    match streamed {
        Ok(((payload, read), raw)) => {
            let raw = match raw {
                Ok(None) => origin.xattrs(&name),
                Ok(Some(raw)) => Ok(raw),
                Err(error) => Err(error),
            };
            let (xattrs, whole) = attributes(group, &*origin, &name, raw)?;
            group.push(Found::Member {
                name,
                stat,
                path,
                xattrs,
                payload,
                known,
                fresh: fresh || !whole,
                read,
            })
        }
        Err(error) => {
            group.push(Found::Dropped)?;
            group.push(Found::Problem { path, error })
        }
    }
}

/// Which file is being read.
struct Named<'p> {
    path: &'p [u8],
    /// What the parent holds of it, where that may be of use.
    previous: Option<Content>,
}

/// Reads, cuts and hashes one file; the inner result is the file's own.
fn stream(
    shared: &Shared<'_>,
    buffer: &mut [u8],
    group: &mut Group,
    content: &mut dyn crate::source::Content,
    stat: &mut Stat,
    fresh: &mut bool,
    Named { path, previous }: Named<'_>,
) -> std::result::Result<Result<(Payload, u64)>, Gone> {
    let old: OnceCell<Old> = OnceCell::new();
    let mut patch: Option<Patch<'_>> = None;
    let window = shared.cutter.window();
    // Bytes of the current extent that wait at `buffer[start..end]` for their cut.
    let (mut start, mut end) = (0, 0);
    let (mut read, mut holes, mut chunks) = (0u64, false, 0u64);
    loop {
        if shared.progress.interrupted() {
            return Err(Gone);
        }
        if buffer.len() - end < window {
            buffer.copy_within(start..end, 0);
            (start, end) = (0, end - start);
        }
        let run = match content.next(&mut buffer[end..]) {
            Ok(run) => run,
            Err(error) => return Ok(Err(error)),
        };
        let ends = !matches!(run, Run::Data(_));
        if let Run::Data(count) = run {
            end += count;
            if read == 0
                && let Some(content) = &previous
            {
                let layout = layout(&buffer[..end]);
                if let Some(layout) = layout
                    && let Some(found) = Old::of(shared.repository, content)
                {
                    patch = match Patch::of(shared, old.get_or_init(|| found), layout) {
                        Ok(patch) => Some(patch),
                        Err(error) => return Ok(Err(error)),
                    };
                } else if layout.is_none() && dump::is_zipped(&buffer[..end]) {
                    shared.hear_of_zipped(path);
                }
            }
            read += count as u64;
            if let Some(patch) = &mut patch {
                patch
                    .recipe
                    .data(&buffer[end - count..end], &mut patch.made);
                patch.hand_over(group)?;
            }
        }
        let tiny = matches!(run, Run::End)
            && chunks == 0
            && !holes
            && end - start <= limits::INLINE_FILE_BYTES;
        if tiny {
            let inline = buffer[start..end].to_vec();
            settle(content, stat, fresh, read, group, path)?;
            return Ok(Ok((Payload::Inline(inline), read)));
        }
        while end - start >= window || (ends && end > start) {
            let len = shared.cutter.cut(&buffer[start..end]);
            let bytes = &buffer[start..start + len];
            let id = shared.keys.chunk_id(ChunkKind::Data, bytes);
            match &mut patch {
                Some(patch) => patch.plain(|plain, put| plain.data(put, id, len as u32)),
                None => group.push(Found::Data {
                    id,
                    bytes: bytes.to_vec(),
                })?,
            }
            start += len;
            chunks += 1;
        }
        match run {
            Run::Data(_) => {}
            Run::Hole(len) => {
                holes = true;
                read += len;
                match &mut patch {
                    Some(patch) => {
                        patch.plain.hole(len);
                        patch.recipe.hole(len, &mut patch.made);
                        patch.hand_over(group)?;
                    }
                    None => group.push(Found::Hole(len))?,
                }
            }
            Run::End => {
                settle(content, stat, fresh, read, group, path)?;
                let payload = match patch {
                    Some(patch) => match patch.end(group, shared.progress)? {
                        Ok(key) => Payload::Recipe(key),
                        Err(error) => return Ok(Err(error)),
                    },
                    None => Payload::Streamed,
                };
                return Ok(Ok((payload, read)));
            }
        }
    }
}

/// What a file that begins with these bytes is laid out as; none where it is no dump, or tiny.
fn layout(first: &[u8]) -> Option<dump::Layout> {
    let known = &first[..first.len().min(dump::RECOGNISED_BY)];
    dump::recognise(known).filter(|_| first.len() > limits::INLINE_FILE_BYTES)
}

/// A dump that is taken against the parent.
struct Patch<'r> {
    recipe: Recipe<'r>,
    made: Vec<Made>,
    /// Bytes of the pieces that were handed over.
    named: u64,
    /// The list that the bytes have by themselves: by its key the file is known to be the same wherever it is stored.
    plain: ListBuilder,
    keys: &'r Keys,
    failed: Option<Error>,
}

impl<'r> Patch<'r> {
    /// For a file that is laid out so.
    fn of(shared: &'r Shared<'r>, old: &'r Old, layout: dump::Layout) -> Result<Self> {
        let (repository, keys) = (shared.repository, &*shared.keys);
        Ok(Self {
            recipe: Recipe::new(repository, keys, shared.cutter, layout, old)?,
            made: Vec::new(),
            named: 0,
            plain: ListBuilder::default(),
            keys,
            failed: None,
        })
    }

    fn plain(&mut self, add: impl FnOnce(&mut ListBuilder, &mut dyn Put) -> Result<()>) {
        let added = add(&mut self.plain, &mut Namer(self.keys));
        self.failed = self.failed.take().or(added.err());
    }

    fn hand_over(&mut self, group: &mut Group) -> std::result::Result<(), Gone> {
        self.made.drain(..).try_for_each(|made| {
            group.push(match made {
                Made::Chunk { id, bytes } => Found::New { id, bytes },
                Made::Piece(piece) => {
                    self.named += piece.len();
                    Found::Piece(piece)
                }
            })
        })
    }

    /// The key of the list that the file has by itself.
    fn end(
        mut self,
        group: &mut Group,
        progress: &dyn Progress,
    ) -> std::result::Result<Result<[u8; 32]>, Gone> {
        self.recipe.end(&mut self.made);
        if let Some(error) = self.recipe.trouble() {
            progress.note(&format!(
                "what the parent snapshot holds of a dump cannot be read, so the rest of it is stored anew: {error}"
            ));
        }
        self.hand_over(group)?;
        if let Some(error) = self.failed {
            return Ok(Err(error));
        }
        // What would come back as another file must not be stored as this one.
        if self.named != self.plain.bytes() {
            let what = "the pieces of a dump do not come to what was read of it";
            return Ok(Err(Error::new(Kind::Failed, what)));
        }
        let content = self.plain.finish(&mut Namer(self.keys));
        Ok(content.map(|content| content.key()))
    }
}

/// Compares what the system says of the file now with what it said before: did it change while it was read?
fn settle(
    content: &dyn crate::source::Content,
    stat: &mut Stat,
    fresh: &mut bool,
    read: u64,
    group: &mut Group,
    path: &[u8],
) -> std::result::Result<(), Gone> {
    let now = match content.stat() {
        Ok(Some(now)) => now,
        Ok(None) => {
            (stat.size, *fresh) = (read, true);
            return Ok(());
        }
        Err(error) => {
            *fresh = true;
            return group.push(Found::Problem {
                path: path.to_vec(),
                error,
            });
        }
    };
    if now.inode != stat.inode && now.size == read {
        // Replaced between the look and the opening; what was opened was read whole.
        (*stat, *fresh) = (now, true);
        return Ok(());
    }
    if now.size != stat.size || now.mtime != stat.mtime || read != stat.size {
        *fresh = true;
        let error = Error::new(
            Kind::Failed,
            "changed while it was read; what is stored may mix old and new",
        )
        .subject(path.escape_ascii().to_string());
        return group.push(Found::Problem {
            path: path.to_vec(),
            error,
        });
    }
    if now.ctime != stat.ctime {
        // Mode, owner or names changed, content did not.
        (*stat, *fresh) = (now, true);
    }
    Ok(())
}
