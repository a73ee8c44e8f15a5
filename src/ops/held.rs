//! Collections that stand in no snapshot: what a dump holds, or a server just now. Their documents are brought into the order
//! of their `_id`s and held for this process alone, so that whatever reads snapshots reads them.

use std::collections::BTreeMap;

use crate::chunk::Cutter;
use crate::clock::Nanos;
use crate::error::{Error, Kind, Result};
use crate::format::bson::Document;
use crate::format::deployment::{Collection, CollectionKind, Deployment, EMPTY_DOCUMENT, Moment};
use crate::format::placed::placed;
use crate::format::run::Run;
use crate::progress::Progress;
use crate::repository::{Repository, key_of};
use crate::snapshot::{RunBuilder, ScratchPutter, Sorter, store_catalogue};

/// Collections by their namespaces.
pub(super) struct Held<'h> {
    pub(super) repository: &'h Repository,
    pub(super) progress: &'h dyn Progress,
    cutter: Cutter,
    collections: BTreeMap<String, Collection>,
}

impl<'h> Held<'h> {
    /// None yet.
    pub(super) fn new(repository: &'h Repository, progress: &'h dyn Progress) -> Self {
        Self {
            repository,
            progress,
            cutter: Cutter::new(repository.config().chunking, repository.keys().gear()),
            collections: BTreeMap::new(),
        }
    }

    /// The collection of that name, made where there is none.
    pub(super) fn collection(&mut self, namespace: &str) -> &mut Collection {
        self.collections
            .entry(namespace.to_owned())
            .or_insert_with(|| Collection {
                options: EMPTY_DOCUMENT.to_vec(),
                ..Collection::named(namespace)
            })
    }

    /// Takes a collection as it is listed, without documents.
    pub(super) fn list(&mut self, own: Collection) {
        self.collections.insert(own.namespace.clone(), own);
    }

    /// Gives a collection its documents.
    ///
    /// # Errors
    /// Where what is sorted or held cannot be laid down, or read back.
    pub(super) fn put(&mut self, namespace: &str, gathered: Gathered) -> Result<()> {
        let capped = gathered.capped;
        let mut putter = ScratchPutter(self.repository);
        let mut builder = RunBuilder::new(&self.cutter);
        let (mut count, mut twice) = (0u64, 0u64);
        let mut records = gathered.sorter.sorted()?.peekable();
        while let Some(record) = records.next() {
            let (key, bytes) = record?;
            // The last of those with one `_id` counts, as it does where they are inserted one after the other.
            if matches!(records.peek(), Some(Ok((next, _))) if *next == key) {
                twice += 1;
                continue;
            }
            self.progress.go_on()?;
            count += 1;
            builder.push(&mut putter, key, Document::whole(&bytes)?)?;
        }
        if twice > 0 {
            self.progress.note(&format!(
                "{namespace}: {twice} documents have the _id of a later one, which counts"
            ));
        }
        if gathered.nameless > 0 {
            let nameless = gathered.nameless;
            self.progress.note(&format!(
                "{namespace}: {nameless} documents without an _id are left out"
            ));
        }
        let sorted = builder.finish(&mut putter)?;
        let own = self.collection(namespace);
        if own.documents.is_some() {
            let what = "several files of the dump are this collection, and they may be of different nights";
            return Err(Error::new(Kind::Failed, what)
                .subject(namespace)
                .hint("name one of them, or a folder that holds one, with --dump"));
        }
        if capped {
            own.kind = CollectionKind::Capped;
        }
        own.documents = Some(count);
        own.runs = sorted
            .map(|sorted| Run {
                documents: Some(sorted),
                ..Run::default()
            })
            .into_iter()
            .collect();
        Ok(())
    }

    /// All of them as a deployment of that time; none where there is no collection.
    ///
    /// # Errors
    /// [`crate::error::Kind::Damage`] naming a collection that cannot be one.
    pub(super) fn deployment(self, time: Nanos) -> Result<Option<Deployment>> {
        let collections: Vec<Collection> = self.collections.into_values().collect();
        if collections.is_empty() {
            return Ok(None);
        }
        collections.iter().try_for_each(|own| {
            own.check()
                .map_err(|error| error.or_subject(|| own.namespace.clone()))
        })?;
        let documents = collections.iter().filter_map(|own| own.documents).sum();
        let runs = collections.iter().flat_map(|own| &own.runs);
        let bytes = runs
            .filter_map(|run| run.documents)
            .map(|sorted| sorted.bytes)
            .sum();
        Ok(Some(Deployment {
            set: String::new(),
            server: String::new(),
            moment: Moment::Between {
                from: time,
                to: time,
            },
            collections: collections.len() as u64,
            catalogue: store_catalogue(&mut ScratchPutter(self.repository), collections)?,
            documents,
            bytes,
            extensions: Vec::new(),
        }))
    }
}

/// Documents of one collection on their way into order.
pub(super) struct Gathered {
    pub(super) sorter: Sorter,
    capped: bool,
    place: u64,
    nameless: u64,
}

impl Gathered {
    pub(super) fn new(repository: &Repository, capped: bool) -> Self {
        Self {
            sorter: Sorter::new(repository.index().cache().filter(|folder| folder.is_dir())),
            capped,
            place: 0,
            nameless: 0,
        }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<()> {
        let document = Document::whole(bytes)?;
        if document.get(b"_id")?.is_none() {
            self.nameless += 1;
            return Ok(());
        }
        if self.capped {
            let placed = placed(self.place, document);
            self.place += 1;
            let key = key_of(Document::whole(&placed)?)?;
            return self.sorter.push(key, placed);
        }
        self.sorter.push(key_of(document)?, bytes.to_vec())
    }
}
