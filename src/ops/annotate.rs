//! What is said of snapshots later: tags, notes, holds.

use std::collections::BTreeSet;

use super::select::{self, Filter};
use crate::error::{Error, Kind, Result};
use crate::format::snapshot::Snapshot;
use crate::limits::{NOTE_BYTES_MAX, TAG_BYTES_MAX};
use crate::repository::{Fact, Facts, Repository};
pub use crate::retention::ACCEPTED;

/// What to say of which snapshots.
#[derive(Debug, Clone, Default)]
pub struct AnnotateOptions {
    /// Names of snapshots; all that the filter keeps where empty.
    pub names: Vec<String>,
    /// Among which to look.
    pub filter: Filter,
    /// Tags to have.
    pub add_tags: Vec<String>,
    /// Tags not to have.
    pub remove_tags: Vec<String>,
    /// Tags to have, and no others.
    pub set_tags: Option<Vec<String>>,
    /// Words to keep with it.
    pub note: Option<String>,
    /// Hold it, for this reason.
    pub hold: Option<String>,
    /// Release every hold.
    pub release: bool,
}

/// A snapshot after it.
#[derive(Debug, Clone)]
pub struct Annotated {
    /// The snapshot.
    pub snapshot: Snapshot,
    /// What is said of it by now.
    pub facts: Facts,
    /// Whether anything changed.
    pub changed: bool,
}

/// Says it. What a snapshot says already is not said again.
///
/// # Errors
/// [`Kind::Usage`] where there is nothing to say, or a tag or a text cannot be kept; [`Kind::NotFound`] before
/// anything is done; whatever the storage says.
pub fn run(repository: &Repository, options: &AnnotateOptions) -> Result<Vec<Annotated>> {
    check(options)?;
    let snapshots = match options.names.as_slice() {
        [] => select::list(repository, &options.filter)?,
        names => {
            let mut found: Vec<Snapshot> = Vec::new();
            for name in names {
                let one = select::one(repository, name, &options.filter)?;
                if found.iter().all(|other| other.id != one.id) {
                    found.push(one);
                }
            }
            found
        }
    };
    snapshots
        .into_iter()
        .map(|snapshot| annotate(repository, options, snapshot))
        .collect()
}

fn annotate(
    repository: &Repository,
    options: &AnnotateOptions,
    snapshot: Snapshot,
) -> Result<Annotated> {
    let id = snapshot.id;
    let before: BTreeSet<String> = repository.facts(&id)?.tags(&snapshot).into_iter().collect();
    let mut after: BTreeSet<String> = match &options.set_tags {
        Some(tags) => tags.iter().cloned().collect(),
        None => before.clone(),
    };
    after.extend(options.add_tags.iter().cloned());
    after.retain(|tag| !options.remove_tags.contains(tag));
    let mut changed = before != after;
    for tag in before.difference(&after) {
        repository.annotate(&id, Fact::TagRemoved(tag.clone()))?;
    }
    for tag in after.difference(&before) {
        repository.annotate(&id, Fact::TagAdded(tag.clone()))?;
    }
    if let Some(note) = &options.note {
        repository.annotate(&id, Fact::Note(note.clone()))?;
        changed = true;
    }
    if options.release {
        changed |= repository.release(&id)?;
    }
    if let Some(why) = &options.hold {
        repository.hold(&id, why)?;
        changed = true;
    }
    Ok(Annotated {
        facts: repository.facts(&id)?,
        snapshot,
        changed,
    })
}

fn check(options: &AnnotateOptions) -> Result<()> {
    let usage = |what: String| Error::new(Kind::Usage, what);
    let tags = options.add_tags.iter().chain(&options.remove_tags);
    for tag in tags.chain(options.set_tags.iter().flatten()) {
        if tag.is_empty() || tag.contains(',') || tag.trim() != tag {
            return Err(usage(
                "a tag is neither empty nor has it commas, or blanks at its ends".into(),
            )
            .subject(tag.escape_debug().to_string()));
        }
        if tag.len() > TAG_BYTES_MAX {
            return Err(usage(format!("a tag has at most {TAG_BYTES_MAX} bytes"))
                .subject(tag.escape_debug().to_string()));
        }
    }
    if let Some(both) = options
        .add_tags
        .iter()
        .find(|tag| options.remove_tags.contains(tag))
    {
        return Err(usage("the same tag is to be added and removed".into())
            .subject(both.escape_debug().to_string()));
    }
    for text in options.note.iter().chain(&options.hold) {
        if text.trim().is_empty() || text.len() > NOTE_BYTES_MAX {
            return Err(usage(format!(
                "a note or a reason has words, and at most {NOTE_BYTES_MAX} bytes"
            )));
        }
    }
    let nothing = options.add_tags.is_empty()
        && options.remove_tags.is_empty()
        && options.set_tags.is_none()
        && options.note.is_none()
        && options.hold.is_none()
        && !options.release;
    if nothing {
        return Err(usage("nothing to say of the snapshots".into())
            .hint("give --add-tag, --remove-tag, --note, --hold, --release or --accept"));
    }
    Ok(())
}
