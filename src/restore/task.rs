//! What every part of one restore shares.

use std::os::unix::ffi::OsStrExt;

use super::asked::Asked;
use super::filter::{Filter, Verdict};
use super::flush::Flusher;
use super::options::RestoreOptions;
use super::report::{Report, add};
use super::window::Size;
use crate::error::{Error, Result};
use crate::format::entry::XattrValue;
use crate::format::snapshot::Snapshot;
use crate::fs::Dir;
use crate::progress::Progress;
use crate::repository::{ChunkKind, Listed, Repository};
use crate::target::files::{Applied, Meta, Owners, Rules, ends_everything};

/// Permissions that are left where nothing may be written: reading and executing.
const READ_ONLY: u32 = 0o555;
/// The attribute that holds a file's capabilities.
const CAPABILITIES: &[u8] = b"security.capability";

/// One restore: where from, how, and who is told.
pub(super) struct Task<'a> {
    pub(super) repository: &'a Repository,
    pub(super) options: &'a RestoreOptions,
    pub(super) progress: &'a dyn Progress,
    pub(super) report: Report<'a>,
    pub(super) filter: Filter,
    pub(super) asked: Asked,
    pub(super) rules: Rules,
    pub(super) window: Size,
    /// Told of what is written; none where nothing is.
    pub(super) flusher: Option<Flusher>,
    owners: Owners,
    /// Absolute path in the snapshot that the target stands for; empty for the root.
    pub(super) base: Vec<u8>,
}

impl<'a> Task<'a> {
    /// Reads the options; `base` is the path in the snapshot that the target stands for.
    ///
    /// # Errors
    /// [`crate::error::Kind::Usage`] for patterns that cannot be read.
    pub(super) fn new(
        repository: &'a Repository,
        snapshot: &Snapshot,
        options: &'a RestoreOptions,
        progress: &'a dyn Progress,
        base: Vec<u8>,
    ) -> Result<Self> {
        let privileged = rustix::process::geteuid().is_root();
        let ownership = options.ownership.unwrap_or(privileged);
        Ok(Self {
            repository,
            options,
            progress,
            report: Report::new(progress),
            filter: Filter::new(
                &options.include,
                &options.iinclude,
                &options.exclude,
                &options.iexclude,
            )?,
            asked: Asked::of(snapshot),
            rules: Rules {
                ownership,
                privileged,
                sparse: options.sparse,
            },
            window: Size::default(),
            flusher: None,
            owners: if options.numeric_owner {
                Owners::by_number()
            } else {
                Owners::of_this_machine()
            },
            base,
        })
    }

    /// Whether what the directory `path` of the snapshot (the root is empty) does not hold may be deleted.
    pub(super) fn may_delete_in(&self, path: &[u8]) -> bool {
        self.options.delete && (self.options.read_only.is_some() || self.asked.knows_all_of(path))
    }

    /// Whether `path` in the snapshot is the one name of the target that is not the snapshot's.
    pub(super) fn stays(&self, path: &[u8]) -> bool {
        let Some(read_only) = &self.options.read_only else {
            return false;
        };
        path.strip_prefix(self.base.as_slice())
            .and_then(|below| below.strip_prefix(b"/"))
            .is_some_and(|name| name == read_only.stays)
    }

    /// Whether an older version that cannot be replaced must not stay in its place.
    pub(super) fn leaves_nothing_old(&self) -> bool {
        self.options.read_only.is_some() && !self.options.dry_run
    }

    /// The path in the snapshot of `name` in a directory of the target (of the directory itself for an empty name).
    pub(super) fn snapshot_path(&self, dir: &Dir, name: &[u8]) -> Vec<u8> {
        let whole = dir.path_of(name);
        let target = self.options.target.as_os_str().as_bytes();
        let below = whole.strip_prefix(target).unwrap_or(&whole);
        let mut path = self.base.clone();
        if !below.is_empty() && below[0] != b'/' {
            path.push(b'/');
        }
        path.extend_from_slice(below);
        path
    }

    /// Whether everything below the directory `path` of the snapshot is wanted unless it is excluded.
    pub(super) fn is_taken(&self, path: &[u8]) -> bool {
        let ends = (1..path.len()).filter(|at| path[*at] == b'/');
        let whole = (!path.is_empty()).then_some(path.len());
        let mut taken = self.filter.judge(b"/", true, false) == Verdict::Take;
        for end in ends.chain(whole) {
            taken = self.filter.judge(&path[..end], true, taken) == Verdict::Take;
        }
        taken
    }

    /// What is to be set on the entry. What is stored of its attributes but cannot be read is left out, and told
    /// where `path` is given.
    pub(super) fn meta(&self, listed: &Listed, path: Option<&dyn Fn() -> Vec<u8>>) -> Meta {
        let entry = &listed.entry;
        let read_only = self.options.read_only.is_some();
        let mut xattrs = Vec::with_capacity(entry.xattrs.len());
        for xattr in &entry.xattrs {
            if read_only && xattr.name == CAPABILITIES {
                continue;
            }
            let value = match &xattr.value {
                XattrValue::Inline(value) => Ok(value.clone()),
                XattrValue::Chunk { id, .. } => self.repository.read_chunk(ChunkKind::Xattr, id),
            };
            match value {
                Ok(value) => xattrs.push((xattr.name.clone(), value)),
                Err(error) => {
                    let Some(path) = path.map(|path| path()) else {
                        continue;
                    };
                    let error = Error::new(
                        error.kind(),
                        format!("the attribute {} is left out", xattr.name.escape_ascii()),
                    )
                    .subject(lossy(&path))
                    .cause(error);
                    self.report.unreadable(path, &error);
                }
            }
        }
        Meta {
            mode: if read_only {
                entry.mode & READ_ONLY
            } else {
                entry.mode
            },
            uid: self.owners.user(listed.user.as_deref(), entry.uid),
            gid: self.owners.group(listed.group.as_deref(), entry.gid),
            mtime: entry.mtime,
            xattrs,
        }
    }

    /// So many bytes more stand where they should.
    pub(super) fn restored_bytes(&self, bytes: u64) {
        add(&self.report.bytes_restored, bytes);
        if let Some(flusher) = &self.flusher {
            flusher.wrote(bytes);
        }
        self.progress.advance(0, bytes);
    }

    /// So many bytes more need not be written.
    pub(super) fn skip_bytes(&self, bytes: u64) {
        add(&self.report.bytes_skipped, bytes);
        self.progress.advance(0, bytes);
    }

    /// Tells what could not be set.
    ///
    /// # Errors
    /// One that ends the restore.
    pub(super) fn note_applied(&self, applied: Applied, path: impl Fn() -> Vec<u8>) -> Result<()> {
        add(&self.report.bits_dropped, u64::from(applied.bits_dropped));
        add(
            &self.report.attributes_withheld,
            u64::from(applied.withheld),
        );
        for error in applied.problems {
            self.problem(path(), error)?;
        }
        Ok(())
    }

    /// Tells a problem with the target.
    ///
    /// # Errors
    /// The same error where it ends the restore: nothing more can be written.
    pub(super) fn problem(&self, path: Vec<u8>, error: Error) -> Result<()> {
        if ends_everything(&error) {
            return Err(error);
        }
        self.report.problem(path, &error);
        Ok(())
    }
}

/// For messages.
pub(super) fn lossy(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}
