//! What is left of a MongoDB deployment: its collections without the documents that are lost, every loss counted by its
//! collection.
//!
//! Where a newer version of a document is lost, an older one shows: which documents these are nobody can tell any more, and to
//! leave out all that may be some would cost hundreds of good ones for each. So it is said, here and to whoever reads it.
//! A collection that lost something has no id of the server's any more: so the next snapshot takes nothing over from it, but
//! reads it anew. The deployment is marked, and no recorded oplog is done to it, which would need what is lost.

use super::remains::{Account, Remains, or_lost};
use crate::chunk::Cutter;
use crate::error::{Kind, Result};
use crate::format::bson::Document;
use crate::format::deployment::{CataloguePage, Collection, Deployment};
use crate::format::entry::{PageRef, Piece};
use crate::format::run::{Run, RunChild, RunPage, Sorted};
use crate::format::slice::Slice;
use crate::format::undo::Undo;
use crate::repository::Session;
use crate::snapshot::{Putter, RunBuilder, store_catalogue};

impl Remains<'_> {
    /// Whether all of a deployment is there.
    pub fn deployment_is_whole(&mut self, of: &Deployment) -> Result<bool> {
        let (collections, whole) = self.collections(of)?;
        for own in &collections {
            if !self.runs_are_whole(&own.runs)? {
                return Ok(false);
            }
        }
        Ok(whole)
    }

    /// Whether all that was recorded is there.
    pub fn slice_is_whole(&mut self, of: &Slice) -> Result<bool> {
        self.runs_are_whole(&[of.run()])
    }

    /// Whether all that was overwritten is there.
    pub fn undo_is_whole(&mut self, of: &Undo) -> Result<bool> {
        let before: Vec<Run> = of
            .collections
            .iter()
            .map(|own| own.before.clone())
            .collect();
        self.runs_are_whole(&before)
    }

    fn runs_are_whole(&mut self, runs: &[Run]) -> Result<bool> {
        for sorted in runs
            .iter()
            .flat_map(|run| run.documents.iter().chain(&run.deleted))
        {
            if !self.sorted_is_whole(sorted)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn sorted_is_whole(&mut self, of: &Sorted) -> Result<bool> {
        if let Some(whole) = self.known(&of.root.id) {
            return Ok(whole);
        }
        let mut pages = vec![of.root];
        let mut whole = true;
        while let (true, Some(page)) = (whole, pages.pop()) {
            self.go_on()?;
            whole = or_lost(self.run_page_stands(page, &mut pages))?;
        }
        self.know(of.root.id, whole);
        Ok(whole)
    }

    /// Whether a page, and all chunks that it names itself, are there.
    fn run_page_stands(&self, page: PageRef, below: &mut Vec<PageRef>) -> Result<bool> {
        match self.repository().run_page(page)? {
            RunPage::Leaf { leaves, .. } => {
                for (id, len) in leaves
                    .iter()
                    .flat_map(|leaf| leaf.content.iter().filter_map(Piece::chunk))
                {
                    if !self.stands(&id, len)? {
                        return Ok(false);
                    }
                }
            }
            RunPage::Branch { children, .. } => {
                below.extend(children.iter().map(|child| PageRef {
                    id: child.id,
                    depth: page.depth - 1,
                }))
            }
        }
        Ok(true)
    }

    /// The collections that can be read, and whether that is all of them.
    fn collections(&self, of: &Deployment) -> Result<(Vec<Collection>, bool)> {
        let (mut all, mut whole) = (Vec::new(), true);
        let mut pages: Vec<PageRef> = of.catalogue.into_iter().collect();
        while let Some(page) = pages.pop() {
            self.go_on()?;
            match self.repository().catalogue_page(page) {
                Ok(CataloguePage::Leaf(own)) => all.extend(own),
                Ok(CataloguePage::Branch(children)) => {
                    let below = children.iter().rev().map(|child| PageRef {
                        id: child.id,
                        depth: page.depth - 1,
                    });
                    pages.extend(below);
                }
                Err(error) if error.kind() == Kind::Damage => whole = false,
                Err(error) => return Err(error),
            }
        }
        Ok((all, whole))
    }

    /// Takes what is left of a deployment again.
    ///
    /// # Errors
    /// Whatever the storage says.
    pub fn take_deployment(
        &mut self,
        putter: &mut Putter<'_>,
        session: &Session,
        of: &Deployment,
        account: &mut Account,
    ) -> Result<Deployment> {
        let (mut collections, _) = self.collections(of)?;
        let lost = of.collections.saturating_sub(collections.len() as u64);
        if lost > 0 {
            let what = format!("{lost} of its {} collections are lost", of.collections);
            account.lose_many(b"mongodb", &what, lost);
        }
        let mut damaged = lost > 0;
        for own in &mut collections {
            let mut runs = Vec::new();
            let mut whole = true;
            for run in std::mem::take(&mut own.runs) {
                let left = self.take_run(putter, session, &run, &own.namespace, account)?;
                whole &= left == run;
                runs.push(left);
            }
            runs.retain(|run| run.documents.is_some() || run.deleted.is_some());
            own.runs = runs;
            if !whole {
                own.uuid = None;
                own.documents = None;
                damaged = true;
            }
        }
        let bytes = collections.iter().flat_map(|own| &own.runs);
        let bytes = bytes.filter_map(|run| run.documents).map(|own| own.bytes);
        let bytes = bytes.sum();
        let most = |own: &Collection| {
            let runs = own.runs.iter().filter_map(|run| run.documents);
            runs.map(|own| own.documents).sum()
        };
        let counted = |own: &Collection| own.documents.unwrap_or_else(|| most(own));
        let documents = collections.iter().map(counted).sum();
        let mut left = Deployment {
            collections: collections.len() as u64,
            catalogue: store_catalogue(putter, collections)?,
            documents,
            bytes,
            ..of.clone()
        };
        if damaged {
            left.set_damaged();
        }
        Ok(left)
    }

    /// Takes what is left of an undo record again.
    ///
    /// # Errors
    /// Whatever the storage says.
    pub fn take_undo(
        &mut self,
        putter: &mut Putter<'_>,
        session: &Session,
        of: &Undo,
        account: &mut Account,
    ) -> Result<Undo> {
        let mut left = of.clone();
        for own in &mut left.collections {
            own.before = self.take_run(putter, session, &own.before, &own.target, account)?;
        }
        Ok(left)
    }

    fn take_run(
        &mut self,
        putter: &mut Putter<'_>,
        session: &Session,
        run: &Run,
        namespace: &str,
        account: &mut Account,
    ) -> Result<Run> {
        let mut left = run.clone();
        for (sorted, what) in [
            (
                &mut left.documents,
                "documents, or newer versions of some, are lost",
            ),
            (
                &mut left.deleted,
                "notes of documents that went are lost: they may show again",
            ),
        ] {
            let Some(own) = *sorted else {
                continue;
            };
            if self.sorted_is_whole(&own)? {
                continue;
            }
            let (taken, lost) = self.take_sorted(putter, session, &own)?;
            account.lose_many(namespace.as_bytes(), &format!("{lost} {what}"), lost);
            *sorted = taken;
        }
        Ok(left)
    }

    /// Takes the leaves that are there; how many documents were in the others.
    fn take_sorted(
        &self,
        putter: &mut Putter<'_>,
        session: &Session,
        of: &Sorted,
    ) -> Result<(Option<Sorted>, u64)> {
        let repository = self.repository();
        let cutter = Cutter::new(repository.config().chunking, repository.keys().gear());
        let mut builder = RunBuilder::new(&cutter);
        let mut lost = 0u64;
        let mut pages = vec![(of.root, of.documents)];
        while let Some((page, documents)) = pages.pop() {
            self.go_on()?;
            session.renew_when_due(repository)?;
            match repository.run_page(page) {
                Ok(RunPage::Leaf { leaves, .. }) => {
                    for leaf in &leaves {
                        let mut chunks = leaf.content.iter().filter_map(Piece::chunk);
                        let mut there = true;
                        while let (true, Some((id, len))) = (there, chunks.next()) {
                            there = self.stands(&id, len)?;
                        }
                        if !there {
                            lost = lost.saturating_add(leaf.documents.into());
                            continue;
                        }
                        // What is there and cannot be read is damage that nobody has looked for: it would be taken for stored.
                        let stored = repository.leaf(leaf).map_err(|error| {
                            error.hint("`duramen repair --read-data` looks for all of it")
                        })?;
                        for own in stored {
                            if builder.may_follow(&own.key) {
                                builder.push(putter, own.key, Document::whole(&own.bytes)?)?;
                            } else {
                                lost = lost.saturating_add(1);
                            }
                        }
                    }
                }
                Ok(RunPage::Branch { children, .. }) => {
                    let below = |child: &RunChild| {
                        let page = PageRef {
                            id: child.id,
                            depth: page.depth - 1,
                        };
                        (page, child.documents)
                    };
                    pages.extend(children.iter().rev().map(below));
                }
                Err(error) if error.kind() == Kind::Damage => {
                    lost = lost.saturating_add(documents);
                }
                Err(error) => return Err(error),
            }
        }
        Ok((builder.finish(putter)?, lost))
    }
}
