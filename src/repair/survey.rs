//! What segments, packs and tombstones say of each other.

use std::collections::{HashMap, HashSet};

use crate::check::{Named, name_packs};
use crate::error::{Error, Kind, Result};
use crate::id::PackId;
use crate::pack::pack_id;
use crate::progress::Progress;
use crate::repository::Repository;

/// How often the listing is begun again where somebody rewrites segments meanwhile.
const TRIES: usize = 10;

/// What segments, packs and tombstones say of each other.
pub struct Survey {
    /// Packs that readable segments name.
    pub named: Named,
    /// Segments that cannot be read.
    pub broken: Vec<(String, Error)>,
    /// Packs in the storage with their sizes.
    pub standing: HashMap<PackId, u64>,
    /// Packs that tombstones name: whatever is wrong with them, they are to go.
    pub dead: HashSet<PackId>,
}

impl Survey {
    /// Packs that segments name and that are not there, sorted.
    pub fn missing(&self) -> Vec<PackId> {
        let missing = |id: &&PackId| !self.standing.contains_key(*id) && !self.dead.contains(*id);
        let mut missing: Vec<PackId> = self.named.keys().filter(missing).copied().collect();
        missing.sort_unstable();
        missing
    }

    /// Packs that are there and that no segment names, sorted, with their sizes.
    pub fn unnamed(&self) -> Vec<(PackId, u64)> {
        let unnamed = |id: &PackId| !self.named.contains_key(id) && !self.dead.contains(id);
        let mut found: Vec<(PackId, u64)> = self
            .standing
            .iter()
            .filter(|(id, _)| unnamed(id))
            .map(|(id, size)| (*id, *size))
            .collect();
        found.sort_unstable();
        found
    }
}

/// Lists segments, then tombstones, then packs: a pack that a listed segment names was there before.
///
/// # Errors
/// Whatever the storage says, and [`Kind::Conflict`] where segments keep being rewritten.
pub fn look(repository: &Repository, progress: &dyn Progress) -> Result<Survey> {
    for _ in 0..TRIES {
        let (mut named, mut broken, mut moved) = (Named::new(), Vec::new(), false);
        repository.index().each_segment(&mut |name, segment| {
            progress.go_on()?;
            match segment {
                Ok(segment) => name_packs(&mut named, &segment),
                Err(error) if error.kind() == Kind::NotFound => moved = true,
                Err(error) if matches!(error.kind(), Kind::Damage | Kind::Unsupported) => {
                    broken.push((name.to_owned(), error));
                }
                Err(error) => return Err(error),
            }
            Ok(())
        })?;
        if moved {
            continue;
        }
        let dead = repository.tombstoned()?;
        let standing = repository
            .storage()
            .list("packs")?
            .into_iter()
            .filter_map(|item| Some((pack_id(&item.name)?, item.size)))
            .collect();
        return Ok(Survey {
            named,
            broken,
            standing,
            dead,
        });
    }
    Err(Error::new(
        Kind::Conflict,
        "the index keeps being rewritten by somebody else",
    )
    .hint("run the same command again when that has ended"))
}
