//! Writing a snapshot, or a part of it, to a stream.
//!
//! Content goes out in the order in which it stands in each file, chunk by chunk, each verified; nothing is gathered.
//! A stream cannot take back what it has said, so damage ends it in the middle: the error names the file, and
//! `restore` brings back everything else.

use std::io::{self, Read, Write};

use crate::error::{Error, Kind, Result};
use crate::format::entry::{Content, Node, Piece, XattrValue, name_is_safe};
use crate::format::snapshot::{PathBytes, Problem, Snapshot};
use crate::progress::Progress;
use crate::repository::{ChunkKind, Listed, Repository};
use crate::target::archive::{Added, Archive, Member, Outlet, Shutter, broken_stream};
use crate::target::tar::Tar;
use crate::target::zip::Zip;

/// Named in the summary; further ones are only counted.
const LEFT_OUT_KEPT: usize = 1000;

/// Formats of an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExportFormat {
    /// POSIX tar with PAX records: all but sockets.
    Tar,
    /// zip: regular files, directories and symbolic links.
    Zip,
}

/// What went out, and what the format could not carry (named).
#[derive(Debug, Clone, Default)]
pub struct ExportSummary {
    /// Names in the archive, directories not counted.
    pub files: u64,
    /// Bytes of regular files; a further name of a file in a tar has none.
    pub bytes: u64,
    /// What is not in the archive, or not as it is; where there are more than a thousand, the last one says so.
    pub left_out: Vec<Problem>,
}

/// The inside of `path` (or everything) as one archive.
///
/// # Errors
/// A path that is not in the snapshot, a stream that cannot be written, [`Kind::Damage`] naming the file; the archive
/// ends in the middle then.
pub fn archive(
    repository: &Repository,
    snapshot: &Snapshot,
    path: Option<&[u8]>,
    format: ExportFormat,
    out: &mut dyn Write,
    progress: &dyn Progress,
) -> Result<ExportSummary> {
    progress.phase("export");
    let top = repository.find(snapshot, path.unwrap_or(b"/"))?;
    let shutter = Shutter::default();
    let outlet = Outlet::new(out, &shutter);
    let archive: Box<dyn Archive + '_> = match format {
        ExportFormat::Tar => Box::new(Tar::new(outlet)),
        ExportFormat::Zip => Box::new(Zip::new(outlet)),
    };
    let mut export = Export {
        repository,
        progress,
        archive,
        summary: ExportSummary::default(),
        more_left_out: 0,
    };
    let done = export.all(top);
    if done.is_err() {
        shutter.shut();
    }
    done?;
    let Export {
        archive,
        mut summary,
        more_left_out,
        ..
    } = export;
    archive.finish().map_err(broken_stream)?;
    if more_left_out > 0 {
        summary.left_out.push(Problem {
            path: PathBytes(Vec::new()),
            what: format!("{more_left_out} more"),
        });
    }
    Ok(summary)
}

struct Export<'e> {
    repository: &'e Repository,
    progress: &'e dyn Progress,
    archive: Box<dyn Archive + 'e>,
    summary: ExportSummary,
    more_left_out: u64,
}

type Entries<'r> = Box<dyn Iterator<Item = Result<Listed>> + Send + 'r>;

impl Export<'_> {
    /// Walks depth first; the path holds no leading `/`.
    fn all(&mut self, top: Listed) -> Result<()> {
        let Node::Directory(directory) = top.entry.node else {
            self.progress.expect(1, size(&top));
            return self.one(&top.entry.name.clone(), &top);
        };
        self.progress.expect(directory.files, directory.bytes);
        let mut path: Vec<u8> = Vec::new();
        let mut levels: Vec<(Entries<'_>, usize)> = vec![(self.repository.entries(&directory), 0)];
        while let Some((entries, length)) = levels.last_mut() {
            self.progress.go_on()?;
            path.truncate(*length);
            let Some(listed) = entries.next() else {
                levels.pop();
                continue;
            };
            let listed = listed.map_err(|error| about(&path, error))?;
            if !name_is_safe(&listed.entry.name) {
                return Err(about(
                    &path,
                    Error::damage("a name that no directory can hold"),
                ));
            }
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(&listed.entry.name);
            self.one(&path, &listed)?;
            if let Node::Directory(directory) = listed.entry.node {
                levels.push((self.repository.entries(&directory), path.len()));
            }
        }
        Ok(())
    }

    fn one(&mut self, path: &[u8], listed: &Listed) -> Result<()> {
        self.progress.current(path);
        let entry = &listed.entry;
        let xattrs = if self.archive.keeps_attributes() {
            self.xattrs(listed).map_err(|error| about(path, error))?
        } else {
            Vec::new()
        };
        let mut content = Stored::new(self.repository, &entry.node, Some(self.progress));
        let member = Member {
            path,
            entry,
            user: listed.user.as_deref(),
            group: listed.group.as_deref(),
            xattrs: &xattrs,
        };
        let added = self.archive.add(&member, &mut content);
        if let Some(error) = content.failed {
            return Err(about(path, error));
        }
        let in_archive = match added.map_err(broken_stream)? {
            Added::Whole => true,
            Added::Changed(what) => {
                self.left_out(path, what);
                true
            }
            Added::LeftOut(what) => {
                self.left_out(path, what);
                false
            }
        };
        if !matches!(entry.node, Node::Directory(_)) {
            // A further name of a file has no bytes of its own, but was expected to.
            let rest = size(listed) - content.given.min(size(listed));
            self.progress.advance(1, rest);
            self.summary.files += u64::from(in_archive);
            self.summary.bytes += content.given;
        }
        Ok(())
    }

    fn left_out(&mut self, path: &[u8], what: String) {
        if self.summary.left_out.len() >= LEFT_OUT_KEPT {
            self.more_left_out += 1;
            return;
        }
        self.summary.left_out.push(Problem {
            path: PathBytes(path.to_vec()),
            what,
        });
    }

    fn xattrs(&self, listed: &Listed) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let xattrs = listed.entry.xattrs.iter();
        xattrs
            .map(|xattr| {
                let value = match &xattr.value {
                    XattrValue::Inline(value) => value.clone(),
                    XattrValue::Chunk { id, .. } => {
                        self.repository.read_chunk(ChunkKind::Xattr, id)?
                    }
                };
                Ok((xattr.name.clone(), value))
            })
            .collect()
    }
}

/// The bytes of one regular file.
///
/// # Errors
/// [`Kind::Usage`] where the path is no regular file, [`Kind::NotFound`], [`Kind::Damage`], and what `out` says.
pub fn cat(
    repository: &Repository,
    snapshot: &Snapshot,
    path: &[u8],
    out: &mut dyn Write,
) -> Result<u64> {
    let found = repository.find(snapshot, path)?;
    let wrong = |what: &str, hint: String| {
        Err(Error::new(Kind::Usage, what)
            .subject(String::from_utf8_lossy(path).into_owned())
            .hint(hint))
    };
    match &found.entry.node {
        Node::File { size, .. } => {
            let mut content = Stored::new(repository, &found.entry.node, None);
            let copied = io::copy(&mut content, out);
            if let Some(error) = content.failed {
                return Err(about(path, error));
            }
            let copied = copied.map_err(|error| Error::io_named("write", "the output", error))?;
            out.flush()
                .map_err(|error| Error::io_named("write", "the output", error))?;
            if copied != *size {
                let error = Error::damage("the pieces of its content do not add up to its size");
                return Err(about(path, error));
            }
            Ok(copied)
        }
        Node::Directory(_) => wrong(
            "this is a directory",
            "`duramen ls` shows what is in it, `duramen export` writes it as an archive".into(),
        ),
        Node::Symlink { target } => wrong(
            "this is a symbolic link",
            format!("it points to {}", String::from_utf8_lossy(target)),
        ),
        _ => wrong(
            "this is no regular file",
            "only regular files have bytes to show".into(),
        ),
    }
}

/// The bytes of a regular file, where there are at most `max`.
///
/// # Errors
/// [`Kind::Damage`] naming the path.
pub(super) fn small(
    repository: &Repository,
    listed: &Listed,
    path: &[u8],
    max: u64,
) -> Result<Option<Vec<u8>>> {
    let node = &listed.entry.node;
    if !matches!(node, Node::File { size, .. } if *size <= max) {
        return Ok(None);
    }
    let mut content = Stored::new(repository, node, None);
    let mut bytes = Vec::new();
    // No more than it says, whatever its pieces come to.
    let read = (&mut content).take(max).read_to_end(&mut bytes);
    match (content.failed, read) {
        (Some(error), _) => Err(about(path, error)),
        (None, Ok(_)) => Ok(Some(bytes)),
        (None, Err(error)) => Err(Error::io_named(
            "read",
            String::from_utf8_lossy(path),
            error,
        )),
    }
}

fn size(listed: &Listed) -> u64 {
    match listed.entry.node {
        Node::File { size, .. } => size,
        _ => 0,
    }
}

fn about(path: &[u8], error: Error) -> Error {
    if error.kind() == Kind::Interrupted {
        return error;
    }
    let made = Error::new(error.kind(), "cannot be read from the repository")
        .subject(String::from_utf8_lossy(path).into_owned());
    match error.hint_text().map(str::to_owned) {
        Some(hint) => made.hint(hint).cause(error),
        None => made.cause(error),
    }
}

/// A file's bytes in order; holes read as zeros. What goes wrong is kept in `failed`, for a reader can only say it
/// to the library that writes the archive.
pub(super) struct Stored<'r> {
    repository: &'r Repository,
    progress: Option<&'r dyn Progress>,
    pieces: Box<dyn Iterator<Item = Result<Piece>> + Send + 'r>,
    chunk: Vec<u8>,
    at: usize,
    hole: u64,
    given: u64,
    pub(super) failed: Option<Error>,
}

impl<'r> Stored<'r> {
    pub(super) fn new(
        repository: &'r Repository,
        node: &'r Node,
        progress: Option<&'r dyn Progress>,
    ) -> Self {
        let mut chunk = Vec::new();
        let pieces: Box<dyn Iterator<Item = Result<Piece>> + Send + 'r> = match node {
            Node::File { content, .. } => {
                if let Content::Inline(bytes) = content {
                    chunk.clone_from(bytes);
                }
                repository.pieces(content)
            }
            _ => Box::new(std::iter::empty()),
        };
        Self {
            repository,
            progress,
            pieces,
            chunk,
            at: 0,
            hole: 0,
            given: 0,
            failed: None,
        }
    }

    fn next(&mut self, buffer: &mut [u8]) -> Result<usize> {
        loop {
            if self.at < self.chunk.len() {
                let rest = &self.chunk[self.at..];
                let length = rest.len().min(buffer.len());
                buffer[..length].copy_from_slice(&rest[..length]);
                self.at += length;
                return Ok(length);
            }
            if self.hole > 0 {
                let length =
                    usize::try_from(self.hole).map_or(buffer.len(), |h| h.min(buffer.len()));
                buffer[..length].fill(0);
                self.hole -= length as u64;
                return Ok(length);
            }
            if let Some(progress) = self.progress {
                progress.go_on()?;
            }
            match self.pieces.next().transpose()? {
                None => return Ok(0),
                Some(Piece::Hole { len }) => self.hole = len,
                Some(Piece::Data { id, len }) => {
                    self.chunk = self.repository.read_piece(&id, len)?;
                    self.at = 0;
                }
                Some(Piece::Part {
                    id,
                    of,
                    offset,
                    len,
                }) => {
                    self.chunk = self.repository.read_piece(&id, of)?;
                    self.chunk.truncate((offset + len) as usize);
                    self.at = offset as usize;
                }
            }
        }
    }
}

impl Read for Stored<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        match self.next(buffer) {
            Ok(length) => {
                self.given += length as u64;
                if let Some(progress) = self.progress {
                    progress.advance(0, length as u64);
                }
                Ok(length)
            }
            Err(error) => {
                let said = io::Error::other(error.to_string());
                self.failed = Some(error);
                Err(said)
            }
        }
    }
}

#[cfg(test)]
#[path = "export_tests.rs"]
mod tests;
