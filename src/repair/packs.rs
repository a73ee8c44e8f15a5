//! Packs that are damaged or missing: whatever is whole in them is stored again elsewhere, then they go into a tombstone.
//! From then on they do not exist for any writer, so what is lost with them is new to the next snapshot that meets it.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};

use rayon::prelude::*;

use super::survey::Survey;
use super::{Ground, Options, Report};
use crate::check::verify_pack;
use crate::error::{Error, Kind, Result};
use crate::format::frame::PackClass;
use crate::id::{ChunkId, PackId};
use crate::index::{FramePlace, Location};
use crate::pack::{pack_name, read_directory};
use crate::progress::Progress;
use crate::repository::{ChunkWriter, Repository, Session, WriterOptions};
use crate::seal::Compression;

/// Frames of damaged packs with their chunks, in the order of reading.
type Frames = BTreeMap<FramePlace, HashSet<(ChunkId, u32, u32)>>;

/// Damaged packs whose frames are held at a time.
const PACKS_HELD: usize = 256;

/// Finds them, saves what is whole in them, and drops them.
pub fn mend(
    repository: &Repository,
    session: Option<&Session>,
    survey: &Survey,
    options: &Options,
    progress: &dyn Progress,
    report: &mut Report,
) -> Result<Ground> {
    let (dead, damaged): (Vec<_>, Vec<_>) =
        damaged(repository, session, survey, options, progress, report)?
            .into_iter()
            .partition(|(id, _)| survey.dead.contains(id));
    let missing = survey.missing();
    for id in &missing {
        report.mended.push(
            pack_name(id),
            said(
                session,
                "is missing",
                "the index forgets it",
                "the index would forget it",
            ),
        );
    }
    for (id, why) in &damaged {
        let what = said(
            session,
            why,
            "what is whole in it was stored again, and the pack is to go",
            "what is whole in it would be stored again, and the pack would go",
        );
        report.mended.push(pack_name(id), what);
    }
    let mut ground = Ground {
        gone: missing.iter().copied().collect(),
        saved: HashSet::new(),
    };
    ground.gone.extend(damaged.iter().map(|(id, _)| *id));
    let mut dropped: Vec<PackId> = ground.gone.iter().copied().collect();
    dropped.sort_unstable();
    // What a tombstone names was saved before the tombstone was put; but where it was saved to may be damaged since.
    ground.gone.extend(dead.iter().map(|(id, _)| *id));
    let absent = survey
        .dead
        .iter()
        .filter(|id| !survey.standing.contains_key(*id));
    ground.gone.extend(absent);
    if dropped.is_empty() {
        return Ok(ground);
    }
    report.packs_dropped = dropped.len() as u64;
    // From here on none of them exists for us.
    let hidden = ground.gone.union(&survey.dead).copied().collect();
    let standing = survey.standing.keys().copied().collect();
    if let Err(error) = repository.index().refresh() {
        progress.note(&format!("going on without a part of the index: {error}"));
    }
    repository.index().set_packs(hidden, Some(standing));
    for some in damaged.chunks(PACKS_HELD) {
        let frames = frames(repository, survey, some)?;
        save(repository, session, frames, &mut ground, progress, report)?;
    }
    for some in dead.chunks(PACKS_HELD) {
        let frames = frames(repository, survey, some)?;
        // What cannot be read of these may be what nobody needs any more.
        let mut aside = Report::default();
        save(
            repository,
            session,
            frames,
            &mut ground,
            progress,
            &mut aside,
        )?;
        report.chunks_saved += aside.chunks_saved;
    }
    match session {
        Some(session) => repository.put_tombstones(session, &dropped)?,
        None => repository.index().reset_packs(),
    }
    Ok(ground)
}

fn said(session: Option<&Session>, why: &str, done: &str, would: &str) -> String {
    let what = if session.is_some() { done } else { would };
    format!("{why}: {what}")
}

/// Packs that are there and are not what was stored, each with why.
fn damaged(
    repository: &Repository,
    session: Option<&Session>,
    survey: &Survey,
    options: &Options,
    progress: &dyn Progress,
    report: &mut Report,
) -> Result<Vec<(PackId, String)>> {
    let mut found = Vec::new();
    let mut suspects: Vec<(PackId, u64)> = Vec::new();
    for (id, named) in &survey.named {
        match survey.standing.get(id) {
            None => {}
            Some(size) if *size != named.size => {
                found.push((
                    *id,
                    "is longer or shorter than it was when it was stored".into(),
                ));
            }
            Some(size) if options.read_data || named.class == PackClass::Metadata => {
                suspects.push((*id, *size));
            }
            Some(_) => {}
        }
    }
    suspects.sort_unstable();
    let bytes: u64 = suspects.iter().map(|(_, size)| size).sum();
    progress.expect(suspects.len() as u64, bytes);
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(repository.threads())
        .build()
        .map_err(|error| Error::new(Kind::Failed, "cannot start threads").cause(error))?;
    let read = AtomicU64::new(0);
    let verify = |(id, size): &(PackId, u64)| -> Result<Vec<Error>> {
        progress.go_on()?;
        if let Some(session) = session {
            session.renew_when_due(repository)?;
        }
        let outcome = verify_pack(repository, id, &survey.named[id])?;
        read.fetch_add(*size, Ordering::Relaxed);
        progress.advance(1, *size);
        Ok(outcome.errors)
    };
    let outcomes: Vec<Vec<Error>> =
        pool.install(|| suspects.par_iter().map(verify).collect::<Result<_>>())?;
    report.packs_read = suspects.len() as u64;
    report.bytes_read = read.into_inner();
    for ((id, _), errors) in suspects.into_iter().zip(outcomes) {
        let Some(error) = errors.first() else {
            continue;
        };
        // What a disk or a network refuses to give today is not lost.
        match errors.iter().find(|error| error.kind() != Kind::Damage) {
            Some(other) if other.kind() != Kind::NotFound => {
                report.left.push(pack_name(&id), other.detail());
            }
            _ => found.push((id, error.detail())),
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// All frames of damaged packs, by what segments and their own directories say of them.
fn frames(
    repository: &Repository,
    survey: &Survey,
    damaged: &[(PackId, String)],
) -> Result<Frames> {
    let wanted: HashSet<PackId> = damaged.iter().map(|(id, _)| *id).collect();
    let mut frames = Frames::new();
    repository.index().each_segment(&mut |_, segment| {
        let Ok(segment) = segment else { return Ok(()) };
        for (frame, span) in &segment.chunks {
            let (pack, info) = &segment.frames[*frame as usize];
            let pack = segment.packs[*pack as usize].id;
            if wanted.contains(&pack) {
                let place = FramePlace::new(pack, info);
                let chunks = frames.entry(place).or_default();
                chunks.insert((span.id, span.offset, span.len));
            }
        }
        Ok(())
    })?;
    for pack in wanted {
        let size = survey.standing.get(&pack).copied().unwrap_or_default();
        let own = read_directory(repository.storage(), repository.keys(), &pack, size);
        for (info, spans) in own.map(|own| own.directory.frames).unwrap_or_default() {
            let chunks = frames.entry(FramePlace::new(pack, &info)).or_default();
            chunks.extend(spans.iter().map(|span| (span.id, span.offset, span.len)));
        }
    }
    Ok(frames)
}

/// Stores every chunk again that is whole and that stands in no other pack.
fn save(
    repository: &Repository,
    session: Option<&Session>,
    frames: Frames,
    ground: &mut Ground,
    progress: &dyn Progress,
    report: &mut Report,
) -> Result<()> {
    let options = WriterOptions {
        compression: Compression::Default,
        dry_run: session.is_none(),
    };
    let mut writer = match session {
        Some(session) => ChunkWriter::new(repository, session, options)?,
        None => ChunkWriter::new(repository, &repository.rehearse()?, options)?,
    };
    let mut unreadable: HashSet<ChunkId> = HashSet::new();
    for (frame, chunks) in frames {
        progress.go_on()?;
        if let Some(session) = session {
            session.renew_when_due(repository)?;
        }
        let raw = match repository.read_frame(&frame) {
            Ok(raw) => Some(raw),
            Err(error) if error.kind() == Kind::Damage => None,
            Err(error) => return Err(error),
        };
        for (id, offset, len) in chunks {
            let location = Location { frame, offset, len };
            let bytes = raw
                .as_ref()
                .and_then(|raw| repository.chunk_of(raw, &location, &id).ok());
            match bytes {
                Some(bytes) => {
                    report.chunks_saved += u64::from(writer.put(frame.kind, id, bytes)?);
                    if session.is_none() {
                        ground.saved.insert(id);
                    }
                }
                None => drop(unreadable.insert(id)),
            }
        }
    }
    writer.finish()?;
    for id in unreadable {
        if !ground.saved.contains(&id) && repository.index().stored(&id)?.is_none() {
            report.chunks_lost += 1;
        }
    }
    Ok(())
}
