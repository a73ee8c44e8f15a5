//! Indexes, which come last: a document that one finds expired is gone a minute later, and a unique one would refuse documents in an
//! order in which they never were.

use super::Restore;
use super::report::CollectionReport;
use crate::error::Result;
use crate::format::bson::Document;
use crate::format::deployment::Collection;
use crate::format::extended_json::{self, Style};
use crate::source::mongo::answer::text;
use crate::source::mongo::server::code;
use crate::target::mongo::{self as target, Place};

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
        let mut known = Vec::new();
        for index in there.iter().flat_map(|there| &there.indexes) {
            known.push(name(Document::whole(&index.0)?)?);
        }
        let mut wanted = Vec::new();
        for index in &own.indexes {
            let index = Document::whole(&index.0)?;
            let has = |field: &[u8]| index.get(field).map(|field| field.is_some());
            // It comes with the collection.
            let own_id = index.get(b"key")?.is_some_and(|key| {
                Document::whole(key.value).is_ok_and(|key| is_id(key).unwrap_or(false))
            });
            if own_id || has(b"clustered")? || known.contains(&name(index)?) {
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
                let name = index
                    .get(b"name")?
                    .as_ref()
                    .and_then(text)
                    .unwrap_or_default();
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
