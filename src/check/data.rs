//! Reading every pack: its hash, its seals, and every chunk's keyed id.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use rayon::prelude::*;

use super::{Lost, Named, NamedPack, Options, Report, place_sum};
use crate::error::{Error, Kind, Result};
use crate::id::{ChunkId, PackId};
use crate::index::{FramePlace, Location};
use crate::limits::PACK_BYTES_MAX;
use crate::pack::{open_pack, pack_name};
use crate::progress::Progress;
use crate::repository::Repository;
use crate::seal::FrameOpener;

/// A pack's chunks by what segments say of them.
type Directory = HashMap<ChunkId, Location>;

/// What reading a pack came to.
pub struct Outcome {
    pack: PackId,
    /// What is wrong with it; nothing where it is whole.
    pub errors: Vec<Error>,
    /// Chunks that cannot be read; all of them where `whole` is set.
    chunks: Vec<ChunkId>,
    whole: bool,
}

impl Outcome {
    fn is_missing(&self) -> bool {
        let mut errors = self.errors.iter();
        errors.any(|error| error.kind() == Kind::NotFound)
    }
}

/// Reads and verifies the packs that a segment names and that are there, all or those that `options` choose.
pub fn read_packs(
    repository: &Repository,
    named: &Named,
    options: &Options,
    lost: &mut Lost,
    report: &mut Report,
    progress: &dyn Progress,
) -> Result<()> {
    let packs = named
        .iter()
        .map(|(id, pack)| (*id, pack.size))
        .filter(|(id, _)| !lost.packs.contains(id))
        .collect();
    let packs: Vec<(PackId, u64)> = options.read.choose(packs, options.seed);
    progress.expect(packs.len() as u64, packs.iter().map(|(_, size)| size).sum());
    let read = AtomicU64::new(0);
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(repository.threads())
        .build()
        .map_err(|error| Error::new(Kind::Failed, "cannot start threads").cause(error))?;
    let verify = |(id, size): &(PackId, u64)| -> Result<Option<Outcome>> {
        progress.go_on()?;
        let outcome = verify_pack(repository, id, &named[id])?;
        read.fetch_add(*size, Ordering::Relaxed);
        progress.advance(1, *size);
        Ok((!outcome.errors.is_empty()).then_some(outcome))
    };
    let outcomes: Vec<Option<Outcome>> =
        pool.install(|| packs.par_iter().map(verify).collect::<Result<_>>())?;
    report.files_read += packs.len() as u64;
    report.bytes_read += read.load(Ordering::Relaxed);
    let outcomes: Vec<Outcome> = outcomes.into_iter().flatten().collect();
    let missing = outcomes.iter().filter(|outcome| outcome.is_missing());
    lost.take_away(repository, missing.map(|outcome| outcome.pack).collect())?;
    for outcome in outcomes {
        if !lost.dead.contains(&outcome.pack) {
            for error in &outcome.errors {
                report.add(progress, pack_name(&outcome.pack), error);
            }
        }
        if outcome.whole {
            lost.packs.insert(outcome.pack);
        }
        let pack = outcome.pack;
        lost.chunks
            .extend(outcome.chunks.into_iter().map(|chunk| (pack, chunk)));
    }
    Ok(())
}

/// Reads a pack and holds it against its name, its seals, its chunks' ids and what segments say of it.
///
/// # Errors
/// Without memory; all else is in the outcome.
pub fn verify_pack(repository: &Repository, id: &PackId, named: &NamedPack) -> Result<Outcome> {
    let mut outcome = Outcome {
        pack: *id,
        errors: Vec::new(),
        chunks: Vec::new(),
        whole: false,
    };
    let bytes = match repository.storage().read(&pack_name(id), PACK_BYTES_MAX) {
        Ok(bytes) => bytes,
        Err(error) => {
            outcome.errors.push(error);
            outcome.whole = true;
            return Ok(outcome);
        }
    };
    // Where the hash or the directory is wrong, single frames may still be whole: those are found by the trees' own
    // look-ups, frame by frame, so only frames that really are lost are called lost.
    let opened = match open_pack(repository.keys(), id, &bytes) {
        Ok(opened) => opened,
        Err(error) => {
            outcome.errors.push(error);
            outcome.chunks = salvage(repository, id, &bytes);
            return Ok(outcome);
        }
    };
    let mut opener = FrameOpener::new()?;
    let mut places = 0u64;
    for (frame, chunks) in &opened.directory.frames {
        let stored = bytes
            .get(frame.offset as usize..frame.offset as usize + frame.stored as usize)
            .unwrap_or_default();
        let raw = opener.open(repository.keys(), frame, stored);
        for chunk in chunks {
            places = places.wrapping_add(place_sum(&chunk.id, frame, chunk.offset, chunk.len));
            let location = Location {
                frame: FramePlace::new(*id, frame),
                offset: chunk.offset,
                len: chunk.len,
            };
            let whole = raw
                .as_ref()
                .is_ok_and(|raw| repository.chunk_of(raw, &location, &chunk.id).is_ok());
            if !whole {
                outcome.chunks.push(chunk.id);
            }
        }
        if let Err(error) = raw {
            outcome.errors.push(error.or_subject(|| pack_name(id)));
        }
    }
    if named.places.iter().any(|sum| *sum != places) {
        let what = "the index says other things of this pack than its own directory";
        outcome
            .errors
            .push(Error::damage(what).subject(pack_name(id)));
    }
    if outcome.errors.is_empty() && !outcome.chunks.is_empty() {
        outcome.errors.push(
            Error::damage(format!(
                "{} chunks are not what was stored",
                outcome.chunks.len()
            ))
            .subject(pack_name(id)),
        );
    }
    Ok(outcome)
}

/// Chunks of a damaged pack that cannot be read any more, by what the segments say of it.
fn salvage(repository: &Repository, id: &PackId, bytes: &[u8]) -> Vec<ChunkId> {
    let mut directory = Directory::new();
    let _ = repository.index().each_segment(&mut |_, segment| {
        let Ok(segment) = segment else { return Ok(()) };
        for (frame, span) in &segment.chunks {
            let (pack, info) = &segment.frames[*frame as usize];
            if segment.packs[*pack as usize].id == *id {
                let place = Location {
                    frame: FramePlace::new(*id, info),
                    offset: span.offset,
                    len: span.len,
                };
                directory.insert(span.id, place);
            }
        }
        Ok(())
    });
    let Ok(mut opener) = FrameOpener::new() else {
        return directory.into_keys().collect();
    };
    let mut by_frame: HashMap<FramePlace, Vec<(ChunkId, Location)>> = HashMap::new();
    for (chunk, location) in directory {
        by_frame
            .entry(location.frame)
            .or_default()
            .push((chunk, location));
    }
    let mut lost = Vec::new();
    for (place, chunks) in by_frame {
        let (start, len) = (place.offset as usize, place.stored as usize);
        let raw = bytes
            .get(start..start + len)
            .and_then(|stored| opener.open(repository.keys(), &place.info(), stored).ok());
        for (chunk, location) in chunks {
            let whole = raw
                .as_ref()
                .is_some_and(|raw| repository.chunk_of(raw, &location, &chunk).is_ok());
            if !whole {
                lost.push(chunk);
            }
        }
    }
    lost
}
