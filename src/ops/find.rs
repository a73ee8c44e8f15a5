//! Finding names, and content, in all snapshots at once.

use super::select::{self, Filter};
use crate::clock::Nanos;
use crate::error::{Error, Kind, Result};
use crate::format::snapshot::Snapshot;
pub use crate::look::Found;
use crate::look::{Names, Wanted, content_key};
use crate::progress::Progress;
use crate::repository::Repository;

/// Fewest digits by which a chunk is looked for.
const DIGITS_MIN: usize = 4;

/// What to look for, and where.
#[derive(Debug, Clone, Default)]
pub struct FindOptions {
    /// Globs, any of which must hold: one with a `/` against the whole path, any other against the name.
    pub patterns: Vec<String>,
    /// The same, whatever the case of letters.
    pub ipatterns: Vec<String>,
    /// Types by find(1)'s letters, any of which must hold.
    pub kinds: Vec<char>,
    /// Fewest bytes.
    pub size_min: Option<u64>,
    /// Most bytes.
    pub size_max: Option<u64>,
    /// Changed at or after.
    pub newer: Option<Nanos>,
    /// Changed at or before.
    pub older: Option<Nanos>,
    /// First digits of the id of a chunk that the file holds.
    pub chunk: Option<String>,
    /// A snapshot's name and the raw path of a file in it: the same content under any name.
    pub content_of: Option<(String, Vec<u8>)>,
    /// Names of snapshots to look in; all that the filter keeps where there is none.
    pub snapshots: Vec<String>,
    /// Which snapshots.
    pub filter: Filter,
}

/// What was found.
#[derive(Debug, Clone, Default)]
pub struct FindSummary {
    /// The snapshots that were looked through, oldest first; indices in `found` are indices into this.
    pub snapshots: Vec<Snapshot>,
    /// Every version of every path, sorted by path and first snapshot.
    pub found: Vec<Found>,
}

/// Looks for it. Reads the first snapshot and what changed from each to the next; memory grows with what is found.
///
/// # Errors
/// `Usage` naming a pattern or prefix that cannot be read, `NotFound` for a snapshot or path that is not there,
/// `Damage`, `Interrupted`.
pub fn run(
    repository: &Repository,
    options: &FindOptions,
    progress: &dyn Progress,
) -> Result<FindSummary> {
    progress.phase("find");
    let any_name = options.patterns.is_empty() && options.ipatterns.is_empty();
    let mut wanted = Wanted {
        names: (!any_name)
            .then(|| Names::new(&options.patterns, &options.ipatterns))
            .transpose()?,
        kinds: options.kinds.clone(),
        size_min: options.size_min,
        size_max: options.size_max,
        newer: options.newer,
        older: options.older,
        chunk: options.chunk.as_deref().map(digits).transpose()?,
        content: None,
    };
    if let Some((name, path)) = &options.content_of {
        let snapshot = select::one(repository, name, &Filter::default())?;
        let listed = repository.find(&snapshot, path)?;
        wanted.content = Some(content_key(&listed.entry.node).ok_or_else(|| {
            Error::new(Kind::Usage, "this has no content to look for")
                .subject(path.escape_ascii().to_string())
                .hint("name a regular file, or a folder that is not empty")
        })?);
    }
    let snapshots = chosen(repository, options)?;
    let found = crate::look::find(repository, &snapshots, &wanted, progress)?;
    Ok(FindSummary { snapshots, found })
}

/// Oldest first, each once.
fn chosen(repository: &Repository, options: &FindOptions) -> Result<Vec<Snapshot>> {
    if options.snapshots.is_empty() {
        let mut all = select::list(repository, &options.filter)?;
        all.retain(Snapshot::holds_files);
        return Ok(all);
    }
    let mut snapshots = options
        .snapshots
        .iter()
        .map(|name| select::one(repository, name, &options.filter))
        .collect::<Result<Vec<_>>>()?;
    snapshots.sort_by_key(|snapshot| (snapshot.time, snapshot.started, snapshot.id));
    snapshots.dedup_by_key(|snapshot| snapshot.id);
    Ok(snapshots)
}

fn digits(text: &str) -> Result<String> {
    let digits = text.to_ascii_lowercase();
    if digits.len() < DIGITS_MIN || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(Error::new(Kind::Usage, "not the beginning of a chunk's id")
            .subject(text)
            .hint("write at least four of its hexadecimal digits"));
    }
    Ok(digits)
}
