//! What a restore is about to change, looked up before anything is written, so that it can be put back.
//!
//! First everything is decided and nothing done; what would be changed is recorded and committed; then it is decided again
//! and done, but only where the server still holds what was recorded. So whatever was overwritten has been kept before.

use std::collections::HashSet;
use std::path::Path;

use super::documents::Item;
use crate::chunk::Cutter;
use crate::error::Result;
use crate::format::bson::{Document, Element};
use crate::format::run::{Run, Sorted};
use crate::format::undo::UndoCollection;
use crate::repository::key_of;
use crate::snapshot::{Put, RunBuilder, Sorter};
use crate::source::mongo::command::only_id;

/// What may be done: a document of the server's as it was recorded, or that there was none.
#[derive(Default)]
pub struct Approved(HashSet<[u8; 16]>);

fn mark(target: &str, key: &[u8], theirs: Option<&[u8]>) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new();
    for part in [target.as_bytes(), key] {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hasher.update(&[u8::from(theirs.is_some())]);
    hasher.update(theirs.unwrap_or_default());
    let mut short = [0; 16];
    short.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    short
}

impl Approved {
    /// Whether the server holds, at that key, what was recorded.
    pub(super) fn holds(&self, target: &str, key: &[u8], theirs: Option<&[u8]>) -> bool {
        self.0.contains(&mark(target, key, theirs))
    }
}

/// One collection.
struct Open {
    source: String,
    target: String,
    created: bool,
    before: Sorter,
    absent: Sorter,
}

/// What would be changed.
pub struct Safety {
    folder: Option<std::path::PathBuf>,
    open: Vec<Open>,
    approved: Approved,
}

impl Safety {
    /// Nothing yet; what is too much for memory is laid down in `folder`.
    #[must_use]
    pub fn new(folder: Option<&Path>) -> Self {
        Self {
            folder: folder.map(Path::to_owned),
            open: Vec::new(),
            approved: Approved::default(),
        }
    }

    fn of(&mut self, source: &str, target: &str) -> &mut Open {
        let known = self.open.iter().rposition(|own| own.target == target);
        let at = known.unwrap_or_else(|| {
            self.open.push(Open {
                source: source.to_owned(),
                target: target.to_owned(),
                created: false,
                before: Sorter::new(self.folder.as_deref()),
                absent: Sorter::new(self.folder.as_deref()),
            });
            self.open.len() - 1
        });
        &mut self.open[at]
    }

    /// The collection would be made.
    pub(super) fn made(&mut self, source: &str, target: &str) {
        self.of(source, target).created = true;
    }

    /// The document would come.
    pub(super) fn comes(&mut self, source: &str, target: &str, item: &Item) -> Result<()> {
        self.approved.0.insert(mark(target, &item.key, None));
        let id = Element {
            kind: item.id.0,
            name: b"_id",
            value: &item.id.1,
        };
        self.of(source, target)
            .absent
            .push(item.key.clone(), only_id(&id))
    }

    /// The document would become another.
    pub(super) fn changes(
        &mut self,
        source: &str,
        target: &str,
        item: &Item,
        theirs: &[u8],
    ) -> Result<()> {
        self.approved
            .0
            .insert(mark(target, &item.key, Some(theirs)));
        let key = key_of(Document::whole(theirs)?)?;
        self.of(source, target).before.push(key, theirs.to_vec())
    }

    /// Whether nothing would be changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Stores it; what may be done from now on.
    ///
    /// # Errors
    /// Whatever `put` says.
    pub fn finish(
        self,
        put: &mut dyn Put,
        cutter: &Cutter,
        go_on: &dyn Fn() -> Result<()>,
    ) -> Result<(Vec<UndoCollection>, Approved)> {
        let mut all = Vec::new();
        for own in self.open {
            all.push(UndoCollection {
                source: own.source,
                target: own.target,
                created: own.created,
                before: Run {
                    documents: stored(own.before, put, cutter, go_on)?,
                    deleted: stored(own.absent, put, cutter, go_on)?,
                    extensions: Vec::new(),
                },
            });
        }
        Ok((all, self.approved))
    }
}

fn stored(
    records: Sorter,
    put: &mut dyn Put,
    cutter: &Cutter,
    go_on: &dyn Fn() -> Result<()>,
) -> Result<Option<Sorted>> {
    let mut builder = RunBuilder::new(cutter);
    for record in records.sorted()? {
        go_on()?;
        let (key, document) = record?;
        if builder.may_follow(&key) {
            builder.push(put, key, Document::whole(&document)?)?;
        }
    }
    builder.finish(put)
}
