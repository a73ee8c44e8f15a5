//! Two documents of one `_id` that differ: what becomes of them.

use std::collections::HashSet;

use crate::error::Result;
use crate::format::bson::Document;
use crate::format::choice;
use crate::format::document_key::{identity, key};
use crate::source::mongo::command::Builder;
use crate::source::mongo::reading::RawId;

/// A document that is given what it lacks of another, in the order of that other one; nothing of it is lost.
pub(super) fn filled(theirs: &[u8], own: &[u8]) -> Result<Vec<u8>> {
    let (theirs, own) = (Document::whole(theirs)?, Document::whole(own)?);
    let mut both = Builder::new();
    if names_repeat(theirs)? || names_repeat(own)? {
        // Of fields that stand twice nobody can tell which is which: all that is there stays, and what is lacking follows.
        for element in theirs.elements() {
            let element = element?;
            both = both.raw(element.kind, element.name, element.value);
        }
        for element in own.elements() {
            let element = element?;
            if theirs.get(element.name)?.is_none() {
                both = both.raw(element.kind, element.name, element.value);
            }
        }
        return Ok(both.finish());
    }
    for element in own.elements() {
        let element = element?;
        let element = theirs.get(element.name)?.unwrap_or(element);
        both = both.raw(element.kind, element.name, element.value);
    }
    for element in theirs.elements() {
        let element = element?;
        if own.get(element.name)?.is_none() {
            both = both.raw(element.kind, element.name, element.value);
        }
    }
    Ok(both.finish())
}

/// Whether a field of the top level stands more than once.
fn names_repeat(document: Document<'_>) -> Result<bool> {
    let mut names = HashSet::new();
    for element in document.elements() {
        if !names.insert(element?.name) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether one document lacks a field of the top level that another has.
pub(super) fn lacks(theirs: &[u8], own: &[u8]) -> Result<bool> {
    let theirs = Document::whole(theirs)?;
    for element in Document::whole(own)?.elements() {
        if theirs.get(element?.name)?.is_none() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The value of our field, where it is greater than theirs, or theirs lacks it.
pub(super) fn greater(path: &str, own: &[u8], theirs: &[u8]) -> Result<Option<RawId>> {
    let value = |bytes: &[u8]| -> Result<Option<(RawId, Vec<u8>)>> {
        let mut found = None;
        choice::any_field(Document::whole(bytes)?, path, &mut |element| {
            let order = identity(&key(element));
            found = Some(((element.kind, element.value.to_vec()), order));
            true
        })?;
        Ok(found)
    };
    Ok(match (value(own)?, value(theirs)?) {
        (Some((own, _)), None) => Some(own),
        (Some((own, ours)), Some((_, others))) if ours > others => Some(own),
        _ => None,
    })
}
