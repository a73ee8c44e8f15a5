//! What a restore of a deployment came to, collection by collection.

use crate::error::Result;
use crate::format::bson::Element;
use crate::format::extended_json::{self, Style};
use crate::source::mongo::reading::RawId;

/// Ids of documents that are named, of each sort and collection; the rest is counted.
pub const NAMED_MAX: usize = 100;

/// Documents that something was done to.
#[derive(Clone, Debug, Default)]
pub struct Documents {
    /// How many.
    pub count: u64,
    /// The first of them, as Extended JSON.
    pub ids: Vec<String>,
}

impl Documents {
    /// One more.
    ///
    /// # Errors
    /// [`crate::error::Kind::Damage`] where its `_id` cannot be read.
    pub fn add(&mut self, (kind, value): &RawId) -> Result<()> {
        self.count += 1;
        if self.ids.len() < NAMED_MAX {
            let element = Element {
                kind: *kind,
                name: b"_id",
                value,
            };
            self.ids
                .push(extended_json::value(&element, Style::Relaxed)?);
        }
        Ok(())
    }
}

/// A document that was not restored, and why.
#[derive(Clone, Debug)]
pub struct FailedDocument {
    /// Its `_id` as Extended JSON.
    pub id: String,
    /// What the server says.
    pub why: String,
}

/// Counts a document that failed, and names it where it is one of the first.
///
/// # Errors
/// As [`Documents::add`].
pub(super) fn name_failed(
    count: &mut u64,
    named: &mut Vec<FailedDocument>,
    id: &RawId,
    why: &str,
) -> Result<()> {
    *count += 1;
    if named.len() < NAMED_MAX {
        let mut own = Documents::default();
        own.add(id)?;
        named.push(FailedDocument {
            id: own.ids.pop().unwrap_or_default(),
            why: why.to_owned(),
        });
    }
    Ok(())
}

/// What was done to one collection.
#[derive(Clone, Debug, Default)]
pub struct CollectionReport {
    /// Its name in the snapshot.
    pub namespace: String,
    /// Its name on the server.
    pub target: String,
    /// Whether it was not there.
    pub created: bool,
    /// Documents that were not there.
    pub restored: Documents,
    /// Documents that were there and became those of the snapshot.
    pub replaced: Documents,
    /// Documents that were there and were given what they lacked.
    pub merged: Documents,
    /// Documents that were there, are others, and were left.
    pub skipped: Documents,
    /// Documents that were there and are the same.
    pub unchanged: u64,
    /// All documents that failed.
    pub failed_count: u64,
    /// The first of them.
    pub failed: Vec<FailedDocument>,
    /// Documents that were read back after they were written, and are the same.
    pub verified: u64,
    /// Indexes that were made.
    pub indexes: u64,
    /// Indexes that were not made, as was asked for, because they let documents expire: as Extended JSON.
    pub deferred: Vec<String>,
    /// What else could not be done: an index, a view.
    pub problems: Vec<String>,
}

impl CollectionReport {
    /// A document failed.
    ///
    /// # Errors
    /// As [`Documents::add`].
    pub fn fail(&mut self, id: &RawId, why: &str) -> Result<()> {
        name_failed(&mut self.failed_count, &mut self.failed, id, why)
    }

    /// Documents that were meant, whatever came of them.
    #[must_use]
    pub fn meant(&self) -> u64 {
        let counted = [&self.restored, &self.replaced, &self.merged, &self.skipped];
        let counted: u64 = counted.iter().map(|own| own.count).sum();
        counted + self.unchanged + self.failed_count
    }

    /// Whether all went well.
    #[must_use]
    pub fn is_well(&self) -> bool {
        self.failed_count == 0 && self.problems.is_empty()
    }
}
