//! Walking runs of documents: all of one, one of them, and what several runs come to together. Pages and leaves are read
//! one at a time, checked, and dropped again: a collection is never in memory whole.

use super::{ChunkKind, Repository};
use crate::error::{Error, Result};
use crate::format::bson::{self, Document};
use crate::format::choice::Choice;
use crate::format::deployment::{Collection, CollectionKind};
use crate::format::document_key::{key, prefix};
use crate::format::entry::{PageRef, Piece};
use crate::format::placed::unplaced;
use crate::format::run::{Below, LeafRef, Run, RunChild, RunPage, Sorted};
use crate::limits::PAGE_DEPTH_MAX;
use crate::merge::merged;

/// A document as it was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its key.
    pub key: Vec<u8>,
    /// Raw BSON.
    pub bytes: Vec<u8>,
}

/// Some documents of a run, one after another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// The first.
    pub first: Stored,
    /// The last.
    pub last: Stored,
}

/// A page, and what the one that names it says of it.
struct Named {
    page: PageRef,
    below: Below,
}

impl Named {
    fn root(sorted: &Sorted) -> Self {
        Self {
            page: sorted.root,
            below: Below {
                documents: sorted.documents,
                bytes: sorted.bytes,
                range: None,
            },
        }
    }

    /// A page that a branch at `above` names.
    fn child(above: PageRef, child: RunChild) -> Self {
        Self {
            page: PageRef {
                id: child.id,
                depth: above.depth - 1,
            },
            below: Below {
                documents: child.documents,
                bytes: child.bytes,
                range: Some((child.first, child.last)),
            },
        }
    }

    /// Reads it; it must come to what was said of it, or a leaf that is lost would be missed by nobody.
    fn read(&self, repository: &Repository) -> Result<RunPage> {
        let page = repository.run_page(self.page)?;
        let found = page.below();
        let same = (found.documents, found.bytes) == (self.below.documents, self.below.bytes)
            && (self.below.range.is_none() || self.below.range == found.range);
        if same {
            Ok(page)
        } else {
            Err(
                Error::damage("a run page is not what the page above it says")
                    .subject(format!("chunk {}", self.page.id.short())),
            )
        }
    }
}

/// The documents of a run, or of its deletions, in the order of their keys; an error ends them.
pub struct StoredDocuments<'r> {
    repository: &'r Repository,
    pages: Vec<Named>,
    leaves: std::vec::IntoIter<LeafRef>,
    leaf: std::vec::IntoIter<Stored>,
    /// Key of the last one: what follows must come after it.
    last: Vec<u8>,
    /// Only of keys from the one up to and with the other.
    within: Option<(Vec<u8>, Vec<u8>)>,
}

impl Iterator for StoredDocuments<'_> {
    type Item = Result<Stored>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(stored) = self.leaf.next() {
                return Some(Ok(stored));
            }
            if let Err(error) = self.read_on()? {
                self.pages.clear();
                self.leaves = Vec::new().into_iter();
                return Some(Err(error));
            }
        }
    }
}

impl StoredDocuments<'_> {
    /// Reads the next leaf or page; none at the end.
    fn read_on(&mut self) -> Option<Result<()>> {
        if let Some(leaf) = self.leaves.next() {
            let read = self.repository.leaf(&leaf);
            return Some(read.and_then(|stored| self.take(stored)));
        }
        let named = self.pages.pop()?;
        let page = match named.read(self.repository) {
            Ok(page) => page,
            Err(error) => return Some(Err(error)),
        };
        match page {
            RunPage::Leaf { mut leaves, .. } => {
                leaves.retain(|leaf| self.reaches(&leaf.first.0, &leaf.last.0));
                self.leaves = leaves.into_iter();
            }
            RunPage::Branch { mut children, .. } => {
                children.retain(|child| self.reaches(&child.first.0, &child.last.0));
                let children = children.into_iter().rev();
                self.pages
                    .extend(children.map(|child| Named::child(named.page, child)));
            }
        }
        Some(Ok(()))
    }

    /// Takes the documents of a leaf, which must come after those before it.
    fn take(&mut self, mut stored: Vec<Stored>) -> Result<()> {
        let (first, last) = (stored.first(), stored.last());
        if first.is_some_and(|first| first.key <= self.last) {
            return Err(out_of_order());
        }
        self.last = last.map(|last| last.key.clone()).unwrap_or_default();
        if let Some((from, to)) = &self.within {
            stored.retain(|own| *from <= own.key && own.key <= *to);
        }
        self.leaf = stored.into_iter();
        Ok(())
    }

    /// Whether what begins and ends with keys of those prefixes can hold any that is meant.
    fn reaches(&self, first: &[u8], last: &[u8]) -> bool {
        let within = self.within.as_ref();
        within.is_none_or(|(from, to)| *prefix(from) <= *last && *first <= *prefix(to))
    }
}

fn out_of_order() -> Error {
    Error::damage("a leaf of documents out of order")
}

impl Repository {
    /// One page of a run.
    ///
    /// # Errors
    /// [`crate::error::Kind::Damage`] or `Unsupported`, naming the chunk.
    pub fn run_page(&self, PageRef { id, depth }: PageRef) -> Result<RunPage> {
        if depth > PAGE_DEPTH_MAX {
            return Err(Error::damage("pages too deep"));
        }
        let page: RunPage = self.page(ChunkKind::Run, &id, "run page")?;
        page.check()?;
        match (&page, depth) {
            (RunPage::Leaf { .. }, 0) | (RunPage::Branch { .. }, 1..) => Ok(page),
            _ => Err(Error::damage(format!(
                "run page {} at a depth where it cannot be",
                id.short()
            ))),
        }
    }

    /// The documents of a leaf, which must be as many, and of such keys, as its page says.
    ///
    /// # Errors
    /// [`crate::error::Kind::Damage`].
    pub fn leaf(&self, leaf: &LeafRef) -> Result<Vec<Stored>> {
        self.leaf_named(leaf).map_err(|error| {
            let first = match leaf.content.first() {
                Some(Piece::Data { id, .. }) => id.short(),
                _ => String::new(),
            };
            error.or_subject(|| format!("chunk {first}"))
        })
    }

    fn leaf_named(&self, leaf: &LeafRef) -> Result<Vec<Stored>> {
        let mut bytes = Vec::new();
        for piece in &leaf.content {
            let Piece::Data { id, len } = piece else {
                return Err(Error::damage("a leaf of documents with a hole"));
            };
            bytes.extend_from_slice(&self.read_piece(id, *len)?);
        }
        let mut stored: Vec<Stored> = Vec::new();
        for document in bson::documents(&bytes) {
            let document = document?;
            let key = key_of(document)?;
            if stored.last().is_some_and(|before| before.key >= key) {
                return Err(out_of_order());
            }
            stored.push(Stored {
                key,
                bytes: document.bytes().to_vec(),
            });
        }
        let named = stored.len() == leaf.documents as usize
            && stored
                .first()
                .is_some_and(|first| prefix(&first.key) == leaf.first.0)
            && stored
                .last()
                .is_some_and(|last| prefix(&last.key) == leaf.last.0);
        if named {
            Ok(stored)
        } else {
            Err(Error::damage(
                "a leaf of documents is not the one that its page names",
            ))
        }
    }

    /// The stretch of a run that begins with the leaf in which its document of that number lies, counted from 0: so many leaves,
    /// or fewer where their page ends.
    ///
    /// # Errors
    /// [`crate::error::Kind::Damage`] or `Unsupported`, naming the chunk; where there are not as many documents.
    pub fn stretch_at(&self, sorted: &Sorted, mut number: u64, leaves: usize) -> Result<Stretch> {
        let mut here = Named::root(sorted);
        let lacking = || Error::damage("a run with fewer documents than it is said to have");
        loop {
            match here.read(self)? {
                RunPage::Branch { children, .. } => {
                    let mut children = children.into_iter();
                    let own = children.find(|child| {
                        let here = number < child.documents;
                        number -= if here { 0 } else { child.documents };
                        here
                    });
                    here = Named::child(here.page, own.ok_or_else(lacking)?);
                }
                RunPage::Leaf { leaves: all, .. } => {
                    let at = all.iter().position(|leaf| {
                        let here = number < u64::from(leaf.documents);
                        number -= if here { 0 } else { u64::from(leaf.documents) };
                        here
                    });
                    let own = &all[at.ok_or_else(lacking)?..];
                    let own = &own[..own.len().min(leaves.max(1))];
                    let (Some(first), Some(last)) = (own.first(), own.last()) else {
                        return Err(lacking());
                    };
                    let first = self.leaf(first)?.into_iter().next();
                    return Ok(Stretch {
                        first: first.ok_or_else(lacking)?,
                        last: self.leaf(last)?.pop().ok_or_else(lacking)?,
                    });
                }
            }
        }
    }

    /// All documents of a run, or of its deletions, in the order of their keys.
    #[must_use]
    pub fn stored_documents(&self, sorted: Option<&Sorted>) -> StoredDocuments<'_> {
        StoredDocuments {
            repository: self,
            pages: sorted.map(Named::root).into_iter().collect(),
            leaves: Vec::new().into_iter(),
            leaf: Vec::new().into_iter(),
            last: Vec::new(),
            within: None,
        }
    }

    /// The document of that key in a run, or in its deletions. Only what lies on the way is read.
    ///
    /// # Errors
    /// [`crate::error::Kind::Damage`] or `Unsupported`, naming the chunk.
    pub fn stored_document(&self, sorted: &Sorted, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let named = prefix(key);
        let mut pages = vec![Named::root(sorted)];
        while let Some(above) = pages.pop() {
            // Long keys may be alike as far as pages name them: then more than one is looked into.
            match above.read(self)? {
                RunPage::Branch { children, .. } => pages.extend(
                    children
                        .into_iter()
                        .filter(|child| *child.first.0 <= *named && *named <= *child.last.0)
                        .map(|child| Named::child(above.page, child)),
                ),
                RunPage::Leaf { leaves, .. } => {
                    for leaf in leaves
                        .iter()
                        .filter(|leaf| *leaf.first.0 <= *named && *named <= *leaf.last.0)
                    {
                        let mut stored = self.leaf(leaf)?;
                        let found = stored.binary_search_by(|stored| (*stored.key).cmp(key));
                        if let Ok(at) = found {
                            return Ok(Some(stored.swap_remove(at).bytes));
                        }
                    }
                }
            }
        }
        Ok(None)
    }

    /// What runs, newest first, come to together: of each key what the newest of them that knows it says. An error ends
    /// it: what older runs say of the keys behind it may be long out of date.
    pub fn collection<'r>(
        &'r self,
        runs: &[Run],
    ) -> impl Iterator<Item = Result<Stored>> + use<'r> {
        self.newest(runs).filter_map(|next| {
            next.map(|(stored, there)| there.then_some(stored))
                .transpose()
        })
    }

    /// As [`Repository::collection`], with what was deleted: then it is no document but its `_id`, and not there.
    pub fn newest<'r>(
        &'r self,
        runs: &[Run],
    ) -> impl Iterator<Item = Result<(Stored, bool)>> + use<'r> {
        self.newest_within(runs, None)
    }

    /// As [`Repository::newest`], of keys from the one up to and with the other alone.
    pub fn newest_within<'r>(
        &'r self,
        runs: &[Run],
        within: Option<(&[u8], &[u8])>,
    ) -> impl Iterator<Item = Result<(Stored, bool)>> + use<'r> {
        // What a run deleted it deleted before it added.
        let streams = runs
            .iter()
            .flat_map(|run| [(&run.documents, true), (&run.deleted, false)])
            .map(|(sorted, there)| {
                let mut stored = self.stored_documents(sorted.as_ref());
                stored.within = within.map(|(from, to)| (from.to_vec(), to.to_vec()));
                stored.map(move |stored| stored.map(|stored| (stored, there)))
            });
        let all = merged(streams.collect(), |(stored, _)| stored.key.clone());
        let (mut before, mut broken): (Option<Vec<u8>>, bool) = (None, false);
        all.map_while(move |next| {
            if broken {
                return None;
            }
            broken = next.is_err();
            Some(next)
        })
        .filter(move |next| match next {
            Ok((stored, _)) if before.as_ref() == Some(&stored.key) => false,
            Ok((stored, _)) => {
                before = Some(stored.key.clone());
                true
            }
            Err(_) => true,
        })
    }

    /// The documents of a collection that are meant, as the server gave them: in the order of their keys, of a capped one in
    /// that of insertion. Those of some `_id`s are looked up; all else walks the collection. An error ends them.
    ///
    /// # Errors
    /// [`crate::error::Kind::Damage`] or `Unsupported`, naming the chunk.
    pub fn chosen<'r>(
        &'r self,
        collection: &'r Collection,
        choice: &'r Choice,
    ) -> Result<Box<dyn Iterator<Item = Result<Stored>> + 'r>> {
        let capped = collection.kind == CollectionKind::Capped;
        let all: Box<dyn Iterator<Item = Result<Stored>> + 'r> = if choice.ids.is_empty() || capped
        {
            Box::new(self.collection(&collection.runs))
        } else {
            let look = |keys: Vec<Vec<u8>>| -> Vec<Result<Stored>> {
                let found = keys.into_iter().filter_map(|key| {
                    let found = self.collection_document(&collection.runs, &key);
                    let stored = |bytes| Stored { key, bytes };
                    found.map(|found| found.map(stored)).transpose()
                });
                found.collect()
            };
            let ids = choice.looked_for().into_iter();
            Box::new(ids.flat_map(move |[likely, decimals]| {
                let found = look(likely);
                match found.is_empty() {
                    true => look(decimals),
                    false => found,
                }
            }))
        };
        let own = move |stored: Result<Stored>| -> Result<Option<Stored>> {
            let mut stored = stored?;
            if capped {
                let (_, document) = unplaced(Document::whole(&stored.bytes)?)?;
                stored = Stored {
                    key: key_of(document)?,
                    bytes: document.bytes().to_vec(),
                };
            }
            let document = Document::whole(&stored.bytes)?;
            // What was looked up by its key has its `_id`.
            let takes = match capped {
                true => choice.takes(document)?,
                false => choice.fits(document)?,
            };
            Ok(takes.then_some(stored))
        };
        Ok(Box::new(
            all.filter_map(move |stored| own(stored).transpose()),
        ))
    }

    /// The document of that key in a collection of these runs, newest first.
    ///
    /// # Errors
    /// [`crate::error::Kind::Damage`] or `Unsupported`, naming the chunk.
    pub fn collection_document(&self, runs: &[Run], key: &[u8]) -> Result<Option<Vec<u8>>> {
        for run in runs {
            for (sorted, there) in [(&run.documents, true), (&run.deleted, false)] {
                let found = match sorted {
                    Some(sorted) => self.stored_document(sorted, key)?,
                    None => None,
                };
                if let Some(bytes) = found {
                    return Ok(there.then_some(bytes));
                }
            }
        }
        Ok(None)
    }
}

/// The key of a document, which must have an `_id`.
///
/// # Errors
/// [`crate::error::Kind::Damage`] where it has none.
pub fn key_of(document: Document<'_>) -> Result<Vec<u8>> {
    match document.get(b"_id")? {
        Some(id) => Ok(key(&id)),
        None => Err(Error::damage("a document without an _id")),
    }
}
