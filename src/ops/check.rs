//! Checking a repository.
use crate::error::Result;
use crate::progress::Progress;
use crate::repository::Repository;

#[derive(Debug, Clone, Default)]
pub struct CheckOptions {
    /** read and verify every pack, not the structure alone */
    pub read_data: bool,
}
/// One thing found.
#[derive(Debug, Clone)]
pub struct Finding {
    /** stored file, snapshot:path or chunk */
    pub subject: String,
    pub what: String,
    /** damage, or merely worth knowing */
    pub damage: bool,
}
#[derive(Debug, Clone, Default)]
pub struct CheckSummary {
    pub snapshots: u64,
    pub packs: u64,
    pub segments: u64,
    pub chunks: u64,
    pub trees: u64,
    pub bytes_read: u64,
    pub findings: Vec<Finding>,
    pub finding_count: u64,
    pub seconds: f64,
}
pub fn run(
    _repository: &Repository,
    _options: &CheckOptions,
    _progress: &dyn Progress,
) -> Result<CheckSummary> {
    unimplemented!()
}
