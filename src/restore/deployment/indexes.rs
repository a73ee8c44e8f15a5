//! Indexes, which come last: a document that one finds expired is gone a minute later, and a unique one would refuse documents in an
//! order in which they never were.

use std::collections::HashMap;

use super::Restore;
use super::report::CollectionReport;
use crate::error::Result;
use crate::format::bson::{Document, kind, same_fields};
use crate::format::deployment::Collection;
use crate::format::extended_json::{self, Style};
use crate::format::number::worth;
use crate::source::mongo::answer::text;
use crate::source::mongo::command::Builder;
use crate::source::mongo::server::code;
use crate::target::mongo::{self as target, Place};

/// How deep options of indexes are looked at.
const DEPTH_MAX: u32 = 100;
/// Stands for the depth of an index's key.
const KEY: u32 = 1;

impl Restore<'_> {
    pub(super) fn indexes(
        &self,
        own: &Collection,
        into: Place<'_>,
        there: Option<&Collection>,
        report: &mut CollectionReport,
    ) -> Result<()> {
        let collated = Document::whole(&own.options)?.get(b"collation")?.is_some();
        let name = |index: Document<'_>| -> Result<Option<Vec<u8>>> {
            Ok(index.get(b"name")?.map(|name| name.value.to_vec()))
        };
        let mut known = HashMap::new();
        for index in there.iter().flat_map(|there| &there.indexes) {
            let index = Document::whole(&index.0)?;
            known.insert(name(index)?, index);
        }
        let mut wanted = Vec::new();
        for index in &own.indexes {
            let index = Document::whole(&index.0)?;
            let has = |field: &[u8]| index.get(field).map(|field| field.is_some());
            // It comes with the collection.
            let own_id = index.get(b"key")?.is_some_and(|key| {
                Document::whole(key.value).is_ok_and(|key| is_id(key).unwrap_or(false))
            });
            if own_id || has(b"clustered")? {
                continue;
            }
            if let Some(there) = known.get(&name(index)?) {
                if !same(*there, index)? {
                    report.problems.push(format!(
                        "the index {} is another one on the server: it is left as it is",
                        named(index)?
                    ));
                }
                continue;
            }
            let expires = has(b"expireAfterSeconds")?;
            if expires && self.wanted.defer_ttl {
                report
                    .deferred
                    .push(extended_json::document(index, Style::Relaxed)?);
                continue;
            }
            if expires && there.is_some() {
                let name = named(index)?;
                report.problems.push(format!(
                    "the index {name}, which lets documents expire, was not made in a collection that is there: it would \
                     take live ones away"
                ));
                continue;
            }
            wanted.push((expires, has(b"unique")?, index));
        }
        wanted.sort_by_key(|(expires, unique, _)| (*expires, *unique));
        for (_, _, index) in wanted {
            self.progress.go_on()?;
            if self.wanted.dry_run {
                report.indexes += 1;
                continue;
            }
            match target::create_index(self.server, into, index, collated) {
                Ok(()) => report.indexes += 1,
                // It is the server that will not, and the documents are there all the same.
                Err(refusal)
                    if refusal.code.is_some() && refusal.code != Some(code::UNAUTHORIZED) =>
                {
                    report.problems.push(refusal.error.detail());
                }
                Err(refusal) => return Err(refusal.error),
            }
        }
        Ok(())
    }
}

/// An index's name.
fn named(index: Document<'_>) -> Result<String> {
    Ok(index
        .get(b"name")?
        .as_ref()
        .and_then(text)
        .unwrap_or_default())
}

/// Whether two indexes are the same, in whatever order their options stand.
fn same(left: Document<'_>, right: Document<'_>) -> Result<bool> {
    let (left, right) = (meaning(left, 0)?, meaning(right, 0)?);
    Ok(same_fields(
        Document::whole(&left)?,
        Document::whole(&right)?,
    ))
}

/// What an index is: without what servers say of their own accord (its version, where it lies, how it was once made), numbers by
/// their worth, and the fields of its key by their places.
fn meaning(index: Document<'_>, depth: u32) -> Result<Vec<u8>> {
    let mut own = Builder::new();
    for (place, element) in index.elements().enumerate() {
        let element = element?;
        let name = match depth {
            0 if [&b"v"[..], b"ns", b"background"].contains(&element.name) => continue,
            // Of the key: what comes first in it sorts first.
            KEY => format!("{place} {}", element.name.escape_ascii()).into_bytes(),
            _ => element.name.to_vec(),
        };
        own = match (worth(&element), element.kind) {
            (Some(worth), _) => {
                let name = String::from_utf8_lossy(&name);
                own.string(&name, &worth.escape_ascii().to_string())
            }
            (None, kind::DOCUMENT) if depth < DEPTH_MAX => {
                let depth = if element.name == b"key" && depth == 0 {
                    KEY
                } else {
                    depth.max(1) + 1
                };
                let inner = meaning(Document::whole(element.value)?, depth)?;
                own.raw(kind::DOCUMENT, &name, &inner)
            }
            _ => own.raw(element.kind, &name, element.value),
        };
    }
    Ok(own.finish())
}

/// Whether an index is that of `_id` alone.
fn is_id(key: Document<'_>) -> Result<bool> {
    let mut names = Vec::new();
    for element in key.elements() {
        let element = element?;
        names.push((element.name, element.value.to_vec()));
    }
    let ascending = |value: &[u8]| value == 1i32.to_le_bytes() || value == 1f64.to_le_bytes();
    Ok(matches!(&names[..], [(b"_id", value)] if ascending(value)))
}
