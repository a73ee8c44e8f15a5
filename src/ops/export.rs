//! Writing a snapshot, or a part of it, to a stream.
use crate::error::Result;
use crate::format::snapshot::Snapshot;
use crate::progress::Progress;
use crate::repository::Repository;
use std::io::Write;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExportFormat {
    Tar,
    Zip,
}
/// What went out, and what the format could not carry (named).
#[derive(Debug, Clone, Default)]
pub struct ExportSummary {
    pub files: u64,
    pub bytes: u64,
    pub left_out: Vec<crate::format::snapshot::Problem>,
}

/// The inside of `path` (or everything) as one archive.
pub fn archive(
    _repository: &Repository,
    _snapshot: &Snapshot,
    _path: Option<&[u8]>,
    _format: ExportFormat,
    _out: &mut dyn Write,
    _progress: &dyn Progress,
) -> Result<ExportSummary> {
    unimplemented!()
}
/// The bytes of one regular file.
pub fn cat(
    _repository: &Repository,
    _snapshot: &Snapshot,
    _path: &[u8],
    _out: &mut dyn Write,
) -> Result<u64> {
    unimplemented!()
}
