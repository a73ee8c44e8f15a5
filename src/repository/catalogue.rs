//! Walking the catalogue of a deployment.

use super::{ChunkKind, Repository};
use crate::error::{Error, Result};
use crate::format::deployment::{CataloguePage, Collection, Deployment};
use crate::format::entry::PageRef;
use crate::limits::PAGE_DEPTH_MAX;

impl Repository {
    /// One page of a catalogue.
    ///
    /// # Errors
    /// [`crate::error::Kind::Damage`] or `Unsupported`, naming the chunk.
    pub fn catalogue_page(&self, PageRef { id, depth }: PageRef) -> Result<CataloguePage> {
        if depth > PAGE_DEPTH_MAX {
            return Err(Error::damage("pages too deep"));
        }
        let page: CataloguePage = self.page(ChunkKind::Catalogue, &id, "catalogue page")?;
        page.check()?;
        match (&page, depth) {
            (CataloguePage::Leaf(_), 0) | (CataloguePage::Branch(_), 1..) => Ok(page),
            _ => Err(Error::damage(format!(
                "catalogue page {} at a depth where it cannot be",
                id.short()
            ))),
        }
    }

    /// The collections of a deployment in the order of their namespaces, a page of them at a time; an error ends them.
    pub fn collections<'r>(
        &'r self,
        deployment: &Deployment,
    ) -> impl Iterator<Item = Result<Collection>> + use<'r> {
        let mut waiting: Vec<PageRef> = deployment.catalogue.into_iter().collect();
        let mut leaf = Vec::new().into_iter();
        std::iter::from_fn(move || {
            loop {
                if let Some(collection) = leaf.next() {
                    return Some(Ok(collection));
                }
                let page = waiting.pop()?;
                match self.catalogue_page(page) {
                    Ok(CataloguePage::Leaf(collections)) => leaf = collections.into_iter(),
                    Ok(CataloguePage::Branch(children)) => {
                        let depth = page.depth - 1;
                        let below = children.into_iter().rev();
                        waiting.extend(below.map(|child| PageRef {
                            id: child.id,
                            depth,
                        }));
                    }
                    Err(error) => {
                        waiting.clear();
                        return Some(Err(error));
                    }
                }
            }
        })
    }
}
