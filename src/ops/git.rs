//! The git work tree that a folder lies in: which commit of which branch was there when a snapshot was taken.

use std::path::Path;

use crate::format::snapshot::GitState;
use crate::source::files::absolute;

/// Commit and branch of the git work tree that `path` lies in; none where it lies in none.
pub(super) fn state(path: &Path) -> Option<GitState> {
    let repository = gix::discover(absolute(path).ok()?).ok()?;
    let commit = repository.head_id().ok()?.to_string();
    let branch = repository
        .head_name()
        .ok()?
        .map(|name| name.shorten().to_string());
    Some(GitState { commit, branch })
}
