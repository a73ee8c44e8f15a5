//! Two states of a collection compared, document by document and field by field.
//!
//! A collection is a list of runs, newest first, and an incremental snapshot adds one: what two snapshots have in common at
//! the end of their lists is asked for the documents alone that one of the newer runs speaks of; where those are many, it is
//! walked past once.

use crate::error::Result;
use crate::format::bson::{Document, Element, kind};
use crate::format::deployment::{Collection, CollectionKind};
use crate::format::placed::unplaced;
use crate::format::run::Run;
use crate::merge::merged;
use crate::progress::Progress;
use crate::repository::{Finder, Repository, Stored, key_of};
use crate::snapshot::Sorter;

/// Fields of one document that are told apart; more are one.
pub const FIELDS_MAX: usize = 1000;
/// So deep fields are told apart.
const DEPTH_MAX: usize = 100;

/// A document that is not the same in both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentChange {
    /// Raw BSON; none where it is only in the second.
    pub before: Option<Vec<u8>>,
    /// Raw BSON; none where it is only in the first.
    pub after: Option<Vec<u8>>,
}

/// A field that is not the same in both, by its path with dots; values as kind and raw bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldChange {
    /// Names, and numbers of members of arrays.
    pub path: String,
    /// None where it is only in the second.
    pub before: Option<(u8, Vec<u8>)>,
    /// None where it is only in the first.
    pub after: Option<(u8, Vec<u8>)>,
}

/// A document's key, and what each of the two says of it, where it is known to say something.
type Said = (Vec<u8>, bool, Option<Vec<u8>>);

/// Calls `each` with every document that differs, in the order of their keys.
///
/// # Errors
/// [`crate::error::Kind::Damage`], and whatever `each` returns.
pub fn document_changes(
    repository: &Repository,
    before: Option<&Collection>,
    after: Option<&Collection>,
    progress: &dyn Progress,
    each: &mut dyn FnMut(DocumentChange) -> Result<()>,
) -> Result<()> {
    let runs = |own: Option<&Collection>| own.map(|own| own.runs.clone()).unwrap_or_default();
    let (old, new) = (runs(before), runs(after));
    let capped =
        |own: Option<&Collection>| own.is_some_and(|own| own.kind == CollectionKind::Capped);
    // Documents of capped collections lie by their places, which say nothing from one snapshot to the next.
    let common = match capped(before) || capped(after) {
        true if old == new => return Ok(()),
        true => 0,
        false => old
            .iter()
            .rev()
            .zip(new.iter().rev())
            .take_while(|(old, new)| old == new)
            .count(),
    };
    let (shared, old) = (
        old[old.len() - common..].to_vec(),
        &old[..old.len() - common],
    );
    let new = &new[..new.len() - common];
    let said = |runs: &[Run]| -> u64 {
        let sorted = runs.iter().flat_map(|run| [run.documents, run.deleted]);
        sorted.flatten().map(|sorted| sorted.documents).sum()
    };
    let mut finder = Finder::new(repository, &shared, said(old) + said(new));
    let streams = vec![
        stream(repository, old, false, capped(before))?,
        stream(repository, new, true, capped(after))?,
    ];
    let mut all = merged(streams, |(key, _, _): &Said| key.clone()).peekable();
    while let Some(next) = all.next() {
        progress.go_on()?;
        let (key, second, value) = next?;
        let mut sides: [Option<Option<Vec<u8>>>; 2] = [None, None];
        sides[usize::from(second)] = Some(value);
        let same = match all.peek() {
            Some(Ok((other, _, _))) => *other == key,
            // What it would have said of this key nobody knows.
            Some(Err(_)) => true,
            None => false,
        };
        if same && let Some(other) = all.next() {
            let (_, second, value) = other?;
            sides[usize::from(second)] = Some(value);
        }
        let [before, after] = sides;
        // Where one says nothing of it, it is as in the runs that both have.
        let below = match (&before, &after) {
            (Some(_), Some(_)) => None,
            _ => finder.find(&key)?,
        };
        let (before, after) = (
            before.unwrap_or_else(|| below.clone()),
            after.unwrap_or(below),
        );
        if before != after {
            each(DocumentChange { before, after })?;
        }
    }
    Ok(())
}

/// What these runs say, in the order of keys; with `second` which of the two says it.
fn stream<'r>(
    repository: &'r Repository,
    runs: &[Run],
    second: bool,
    capped: bool,
) -> Result<Box<dyn Iterator<Item = Result<Said>> + 'r>> {
    if !capped {
        let all = repository.newest(runs);
        return Ok(Box::new(all.map(move |next| {
            next.map(|(Stored { key, bytes }, there)| (key, second, there.then_some(bytes)))
        })));
    }
    let mut sorter = Sorter::new(repository.index().cache().filter(|folder| folder.is_dir()));
    for stored in repository.collection(runs) {
        let stored = stored?;
        let (_, document) = unplaced(Document::whole(&stored.bytes)?)?;
        sorter.push(key_of(document)?, document.bytes().to_vec())?;
    }
    let sorted = sorter.sorted()?;
    Ok(Box::new(sorted.map(move |record| {
        record.map(|(key, bytes)| (key, second, Some(bytes)))
    })))
}

/// The fields that differ, in the order in which they stand in the first, and then in the second.
///
/// # Errors
/// [`crate::error::Kind::Damage`] for what cannot be read.
pub fn field_changes(before: Document<'_>, after: Document<'_>) -> Result<Vec<FieldChange>> {
    let mut changes = Vec::new();
    fields("", before, after, 0, &mut changes)?;
    changes.truncate(FIELDS_MAX);
    Ok(changes)
}

fn fields(
    above: &str,
    before: Document<'_>,
    after: Document<'_>,
    depth: usize,
    changes: &mut Vec<FieldChange>,
) -> Result<()> {
    let old = before.elements().collect::<Result<Vec<_>>>()?;
    let new = after.elements().collect::<Result<Vec<_>>>()?;
    let raw = |element: &Element<'_>| (element.kind, element.value.to_vec());
    let path = |element: &Element<'_>| {
        let name = String::from_utf8_lossy(element.name);
        match above {
            "" => name.into_owned(),
            above => format!("{above}.{name}"),
        }
    };
    // By name, and of those that have one name, by their number among them.
    let named = |all: &[Element<'_>]| -> Vec<usize> {
        let mut counts = std::collections::HashMap::new();
        all.iter()
            .map(|element| {
                let count: &mut usize = counts.entry(element.name.to_vec()).or_default();
                *count += 1;
                *count - 1
            })
            .collect()
    };
    let (old_numbers, new_numbers) = (named(&old), named(&new));
    let places: std::collections::HashMap<(&[u8], usize), usize> = new
        .iter()
        .zip(&new_numbers)
        .enumerate()
        .map(|(at, (element, number))| ((element.name, *number), at))
        .collect();
    let mut met = vec![false; new.len()];
    for (element, number) in old.iter().zip(&old_numbers) {
        if changes.len() >= FIELDS_MAX {
            return Ok(());
        }
        let other = places.get(&(element.name, *number)).copied();
        let Some(other) = other.inspect(|at| met[*at] = true).map(|at| &new[at]) else {
            changes.push(FieldChange {
                path: path(element),
                before: Some(raw(element)),
                after: None,
            });
            continue;
        };
        if (element.kind, element.value) == (other.kind, other.value) {
            continue;
        }
        let nests =
            element.kind == other.kind && matches!(element.kind, kind::DOCUMENT | kind::ARRAY);
        if nests && depth < DEPTH_MAX {
            let (old, new) = (
                Document::whole(element.value)?,
                Document::whole(other.value)?,
            );
            let count = changes.len();
            fields(&path(element), old, new, depth + 1, changes)?;
            if changes.len() > count {
                continue;
            }
        }
        changes.push(FieldChange {
            path: path(element),
            before: Some(raw(element)),
            after: Some(raw(other)),
        });
    }
    for (element, _) in new.iter().zip(met).filter(|(_, met)| !met) {
        changes.push(FieldChange {
            path: path(element),
            before: None,
            after: Some(raw(element)),
        });
    }
    if changes.is_empty() && depth == 0 && before != after {
        // The same fields in another order: that is another document to the server.
        changes.push(FieldChange {
            path: String::new(),
            before: Some((kind::DOCUMENT, before.bytes().to_vec())),
            after: Some((kind::DOCUMENT, after.bytes().to_vec())),
        });
    }
    Ok(())
}

#[cfg(test)]
#[path = "documents_tests.rs"]
mod tests;
