//! What trees refer to, looked up all at once. A look-up for each of ten million chunks reads the index in any order,
//! where it no longer fits the caches of the processor; laid down, sorted and held against the index in its own order
//! they are read once, one after the other.

use super::{Lost, Named};
use crate::error::Result;
use crate::id::ChunkId;
use crate::index::{Ids, short};
use crate::repository::Repository;

/// Bits of a key that hold the first 96 bits of an id, above 31 bits of a length and one that [`Ids`] needs: of a keyed
/// hash enough to tell any two chunks apart, and what collided by chance would only not be missed.
const ID: u128 = !0 << 32;

/// Chunks that pages refer to, each with the length that it should have.
pub(super) struct Wanted {
    ids: Ids,
}

impl Wanted {
    /// Nothing yet; what is many is laid down beside the cache of the index.
    pub(super) fn new(repository: &Repository) -> Self {
        Self {
            ids: Ids::new(repository.index().cache()),
        }
    }

    /// Adds a chunk.
    ///
    /// # Errors
    /// Where what was laid down cannot be read back.
    pub(super) fn add(&mut self, id: &ChunkId, len: u32) -> Result<()> {
        self.ids.add(short(id) & ID | u128::from(len) << 1, false)
    }

    /// Whether every one of them lies, as long as it should be, in a pack that `named` knows and that is not `lost`.
    /// Where it says no, one may have been moved meanwhile, or the index could not be read through: each must be looked
    /// up.
    ///
    /// # Errors
    /// As [`Wanted::add`].
    pub(super) fn all_stand(
        mut self,
        repository: &Repository,
        named: &Named,
        lost: &Lost,
    ) -> Result<bool> {
        self.ids.settle()?;
        let mut wanted = self.ids.sorted();
        let mut next = wanted.next().transpose()?;
        // Of the chunk that is being asked for, whether it was found as long as the key says.
        let mut found = false;
        let mut all = true;
        let through = repository.index().each_place(&mut |id, location| {
            let here = short(id) & ID;
            while all
                && let Some(key) = next
                && key & ID < here
            {
                all = found;
                found = false;
                next = wanted.next().transpose()?;
            }
            let pack = &location.frame.pack;
            found |= all
                && next.is_some_and(|key| key & !1 == here | u128::from(location.len) << 1)
                && named.contains_key(pack)
                && !lost.packs.contains(pack)
                && !lost.chunks.contains(&(*pack, *id));
            Ok(())
        })?;
        // The last one is still open, and none may come after it.
        let ended = match next {
            Some(_) => found && wanted.next().is_none(),
            None => true,
        };
        Ok(through.is_some() && all && ended)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::{Report, check_segments};
    use super::*;
    use crate::format::records::SessionPurpose;
    use crate::progress::Silent;
    use crate::repository::testing::in_memory;
    use crate::repository::{ChunkKind, ChunkWriter, WriterOptions};
    use crate::seal::Compression;

    const CHUNKS: u32 = 700;

    fn bytes(number: u32) -> Vec<u8> {
        vec![7; 10 + number as usize]
    }

    /// Several runs of ids (100 each in tests), asked for in a folder and without one.
    #[test]
    fn whatever_is_lacking_is_missed() {
        let folder = tempfile::tempdir().unwrap();
        for cache in [None, Some(folder.path().to_owned())] {
            let repository = in_memory(cache);
            let session = repository.begin(SessionPurpose::Write).unwrap();
            let options = WriterOptions {
                compression: Compression::Level(1),
                dry_run: false,
            };
            let mut writer = ChunkWriter::new(&repository, &session, options).unwrap();
            let stored: Vec<(ChunkId, u32)> = (0..CHUNKS)
                .map(|number| {
                    let bytes = bytes(number);
                    let id = repository.chunk_id(ChunkKind::Data, &bytes);
                    writer.put(ChunkKind::Data, id, &bytes).unwrap();
                    (id, bytes.len() as u32)
                })
                .collect();
            writer.finish().unwrap();
            session.end(&repository);
            let mut report = Report::default();
            let named = check_segments(&repository, &mut report, &Silent).unwrap();
            let stand = |asked: &[(ChunkId, u32)], named: &Named, lost: &Lost| {
                let mut wanted = Wanted::new(&repository);
                for (id, len) in asked {
                    wanted.add(id, *len).unwrap();
                }
                wanted.all_stand(&repository, named, lost).unwrap()
            };
            let whole = Lost::default();
            assert!(stand(&[], &named, &whole));
            assert!(stand(&stored, &named, &whole));
            // Each twice, and in another order; a part of it.
            let mut twice = stored.clone();
            twice.extend(stored.iter().rev());
            assert!(stand(&twice, &named, &whole));
            assert!(stand(&stored[100..350], &named, &whole));
            // Nothing stands where no segment names the pack, or where it is lost.
            assert!(!stand(&stored, &Named::new(), &whole));
            let packs: Vec<_> = named.keys().copied().collect();
            let mut lost = Lost::default();
            lost.packs.extend(packs.iter().copied());
            assert!(!stand(&stored[..1], &named, &lost));
            let mut ordered = stored.clone();
            ordered.sort_unstable();
            for at in [0, 1, ordered.len() / 2, ordered.len() - 1] {
                let (id, len) = ordered[at];
                let mut lost = Lost::default();
                lost.chunks.extend(packs.iter().map(|pack| (*pack, id)));
                assert!(!stand(&stored, &named, &lost), "{at}: damaged");
                let mut others = ordered.clone();
                others.remove(at);
                assert!(stand(&others, &named, &lost), "{at}: not asked for");
                others.push((id, len + 1));
                assert!(!stand(&others, &named, &whole), "{at}: longer");
                others.push((id, len));
                assert!(!stand(&others, &named, &whole), "{at}: of two lengths");
            }
            for strange in [[0; 32], [0x55; 32], [0xFF; 32]] {
                let mut more = stored.clone();
                more.push((ChunkId(strange), 20));
                assert!(!stand(&more, &named, &whole), "{strange:?}");
                assert!(!stand(&more[CHUNKS as usize..], &named, &whole));
            }
        }
    }
}
