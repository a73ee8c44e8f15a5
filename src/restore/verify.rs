//! Reading back what has been restored, and comparing it with what was stored.

use std::sync::Arc;

use super::job::Job;
use super::links::Fate;
use super::parallel;
use super::report::add;
use super::task::{Task, lossy};
use crate::error::{Error, Kind, Result};
use crate::format::entry::{Content, Node, Piece};
use crate::fs::{Dir, StatKind};
use crate::limits::CHUNK_BYTES_MAX;
use crate::repository::ChunkKind;
use crate::target::files::{Meta, OnDisk, differences, look, read_link};

/// Reads back all that were restored or found right. What was only in memory is written out first and forgotten
/// there, as far as the system does as it is told, so that the disk answers.
///
/// # Errors
/// One that ends the restore.
pub(super) fn jobs(task: &Task<'_>, jobs: &[Arc<Job>]) -> Result<()> {
    if let Some(job) = jobs.first() {
        // A file system that cannot say so is read back all the same.
        let _ = job.dir.with_fd(|fd| rustix::fs::syncfs(fd));
    }
    parallel::each(task.repository.threads(), jobs, |job| {
        task.progress.go_on()?;
        if !matches!(job.fate(), Fate::Done(_)) {
            return Ok(());
        }
        let path = || job.path(task);
        // What cannot be read of it was told when it was set.
        let meta = task.meta(&job.listed, None);
        let compared = content(task, job).and_then(|mut wrong| {
            wrong.extend(differences(&job.dir, job.name(), &meta, task.rules)?);
            Ok(wrong)
        });
        match compared {
            Ok(wrong) if wrong.is_empty() => {
                add(&task.report.verified, 1);
                Ok(())
            }
            Ok(wrong) => {
                let error = differs(&lossy(&job.dir.path_of(job.name())), &wrong);
                task.problem(path(), error)
            }
            Err(error) => task.problem(path(), error),
        }
    })
}

/// Compares the metadata of a directory.
///
/// # Errors
/// One that ends the restore.
pub(super) fn directory(task: &Task<'_>, dir: &Arc<Dir>, meta: &Meta) -> Result<()> {
    let path = || task.snapshot_path(dir, b"");
    match differences(dir, b"", meta, task.rules) {
        Ok(wrong) if wrong.is_empty() => Ok(()),
        Ok(wrong) => task.problem(path(), differs(&lossy(&dir.path()), &wrong)),
        Err(error) => task.problem(path(), error),
    }
}

fn differs(path: &str, wrong: &[String]) -> Error {
    let error = Error::new(
        Kind::Failed,
        format!(
            "differs from the snapshot when read back: {}",
            wrong.join(", ")
        ),
    );
    error
        .subject(path)
        .hint("somebody may be changing it; otherwise suspect the disk or the memory")
}

/// What of the content is not as it should be; nothing where all is.
fn content(task: &Task<'_>, job: &Job) -> Result<Vec<String>> {
    let (dir, name) = (&job.dir, job.name());
    let kind = match &job.listed.entry.node {
        Node::File { size, content } => return file(task, job, *size, content),
        Node::Symlink { target } => {
            let same = read_link(dir, name)? == *target;
            return Ok(if same {
                Vec::new()
            } else {
                vec!["another link target".into()]
            });
        }
        Node::Fifo => StatKind::Fifo,
        Node::Socket => StatKind::Socket,
        Node::CharDevice { major, minor } => StatKind::CharDevice {
            major: *major,
            minor: *minor,
        },
        Node::BlockDevice { major, minor } => StatKind::BlockDevice {
            major: *major,
            minor: *minor,
        },
        Node::Directory(_) => StatKind::Directory,
    };
    Ok(match look(dir, name)? {
        Some(stat) if stat.kind == kind => Vec::new(),
        Some(_) => vec!["it is something else".into()],
        None => vec!["it is not there".into()],
    })
}

fn file(task: &Task<'_>, job: &Job, size: u64, content: &Content) -> Result<Vec<String>> {
    let disk = OnDisk::open(&job.dir, job.name())?;
    let stat = disk.stat()?;
    if stat.kind != StatKind::File {
        return Ok(vec!["it is no regular file".into()]);
    }
    if stat.size != size {
        return Ok(vec![format!("{} bytes instead of {size}", stat.size)]);
    }
    disk.forget_cached();
    let mut buffer = Vec::new();
    if let Content::Inline(bytes) = content {
        buffer.resize(bytes.len(), 0);
        let read = disk.read(0, &mut buffer)?;
        let same = read == bytes.len() && buffer == *bytes;
        return Ok(if same {
            Vec::new()
        } else {
            vec!["other bytes".into()]
        });
    }
    let mut offset = 0u64;
    for piece in task.repository.pieces(content) {
        task.progress.go_on()?;
        let piece = piece?;
        let same = match piece {
            Piece::Data { id, len } => {
                buffer.resize((len as usize).min(CHUNK_BYTES_MAX), 0);
                disk.read(offset, &mut buffer)? == buffer.len()
                    && task.repository.chunk_id(ChunkKind::Data, &buffer) == id
            }
            Piece::Part {
                id,
                of,
                offset: before,
                len,
            } => {
                buffer.resize((len as usize).min(CHUNK_BYTES_MAX), 0);
                let chunk = task.repository.read_piece(&id, of)?;
                let part = chunk.get(before as usize..(before + len) as usize);
                disk.read(offset, &mut buffer)? == buffer.len() && part == Some(&buffer)
            }
            Piece::Hole { len } => disk.is_zero(offset, len)?,
        };
        let end = offset.saturating_add(piece.len());
        if !same {
            return Ok(vec![format!("other bytes between {offset} and {end}")]);
        }
        offset = end;
    }
    Ok(Vec::new())
}
