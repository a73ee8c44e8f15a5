//! Building the pages of a catalogue, collection by collection, in the order of their namespaces
//! (`format-spec/deployment.md`). Where a page ends depends on the names in it, so a night that touches one collection
//! stores one page of each level.

use super::levels::{Child, Levels};
use super::put::Put;
use crate::error::{Error, Kind, Result};
use crate::format::codec;
use crate::format::deployment::{CatalogueChild, CataloguePage, Collection};
use crate::format::entry::PageRef;
use crate::id::ChunkId;
use crate::limits::{CATALOGUE_CUT_MASK, CHUNK_BYTES_MAX, PAGE_BYTES_TARGET};
use crate::repository::ChunkKind;

/// What one collection may come to: a page that holds it alone is still a chunk.
const COLLECTION_BYTES_MAX: usize = CHUNK_BYTES_MAX - 64;

impl Child for CatalogueChild {
    fn id(&self) -> ChunkId {
        self.id
    }

    fn branch(children: Vec<Self>, put: &mut dyn Put) -> Result<Self> {
        let first = children.first().map(|child| child.first.clone());
        store(
            put,
            first.unwrap_or_default(),
            &CataloguePage::Branch(children),
        )
    }
}

fn store(put: &mut dyn Put, first: String, page: &CataloguePage) -> Result<CatalogueChild> {
    let id = put.put(ChunkKind::Catalogue, &codec::encode(page)?)?;
    Ok(CatalogueChild { first, id })
}

/// Stores a catalogue; its topmost page, none where there is nothing in it.
///
/// # Errors
/// Whatever `put` says.
pub fn store_catalogue(put: &mut dyn Put, collections: Vec<Collection>) -> Result<Option<PageRef>> {
    let mut levels: Levels<CatalogueChild> = Levels::default();
    let (mut open, mut weight): (Vec<Collection>, usize) = (Vec::new(), 0);
    let close = |put: &mut dyn Put, open: &mut Vec<Collection>, levels: &mut Levels<_>| {
        let collections = std::mem::take(open);
        let Some(first) = collections.first().map(|first| first.namespace.clone()) else {
            return Ok(());
        };
        let child = store(put, first, &CataloguePage::Leaf(collections))?;
        levels.push(put, child)
    };
    for collection in collections {
        collection.check()?;
        let bytes = codec::encode(&collection)?.len();
        if bytes > COLLECTION_BYTES_MAX {
            return Err(Error::new(
                Kind::Limit,
                format!("{bytes} bytes of options and indexes are more than can be stored of one"),
            )
            .subject(&collection.namespace)
            .hint("leave it out with --ns-exclude"));
        }
        if weight + bytes > PAGE_BYTES_TARGET {
            close(put, &mut open, &mut levels)?;
            weight = 0;
        }
        weight += bytes;
        // One zero, as for keys of documents: no entry's number is asked for by a namespace.
        let name = [&[0], collection.namespace.as_bytes()].concat();
        let ends = put.page_cut(&name) & CATALOGUE_CUT_MASK == 0;
        open.push(collection);
        if ends {
            close(put, &mut open, &mut levels)?;
            weight = 0;
        }
    }
    close(put, &mut open, &mut levels)?;
    levels.finish(put)
}
