//! Copying what is needed out of packs that are to go.
//!
//! Everything copied is opened and held against its keyed id first: a frame that is not whole must not be laid into a new
//! pack under a new hash, where nobody would notice it without the keys. A frame of which most is needed then goes on
//! as it is, sealed; what is needed of the others is gathered into new frames.

use std::collections::HashSet;

use super::live::Live;
use crate::error::{Kind, Result};
use crate::format::frame::{ChunkSpan, FrameInfo};
use crate::id::PackId;
use crate::index::{FramePlace, Location};
use crate::pack::{pack_name, read_directory};
use crate::progress::Progress;
use crate::repository::{ChunkWriter, Repository, Session, WriterOptions, Written};
use crate::seal::{Compression, SealedFrame};

/// Of a frame's raw bytes, so many hundredths must be needed for it to be copied unopened.
const WHOLE_FRAME: u64 = 70;

/// Whether so much of a frame is needed that it is copied as it is.
pub fn comes_whole(needed: u64, frame: &FrameInfo) -> bool {
    needed > 0 && needed * 100 >= u64::from(frame.raw) * WHOLE_FRAME
}

/// What became of it.
pub struct Copied {
    /// What was written.
    pub written: Written,
    /// Packs that hold something that is needed and can be read nowhere: they must stay.
    pub unreadable: HashSet<PackId>,
    /// Packs that are not there any more: another sweep was faster, and had copied what was needed.
    pub gone: HashSet<PackId>,
}

/// Copies what `live` needs of `packs`, unless it stands in a pack that exists for this session too: hide `packs` and
/// all others that are to go from the index before. When this returns, the copies are durable and segments name them.
/// With `purge`, no byte that is not needed comes along.
///
/// # Errors
/// Whatever the storage says. What cannot be read because of damage is in the answer.
pub fn copy(
    repository: &Repository,
    session: &Session,
    packs: &[(PackId, u64)],
    live: &mut Live,
    purge: bool,
    progress: &dyn Progress,
) -> Result<Copied> {
    let options = WriterOptions {
        compression: Compression::Default,
        dry_run: false,
    };
    let mut copy = Copy {
        repository,
        live,
        purge,
        writer: ChunkWriter::new(repository, session, options)?,
    };
    let (mut unreadable, mut gone) = (HashSet::new(), HashSet::new());
    progress.expect(packs.len() as u64, packs.iter().map(|(_, size)| size).sum());
    for (pack, size) in packs {
        progress.go_on()?;
        session.renew_when_due(repository)?;
        match copy.pack(pack, *size) {
            Ok(()) => {}
            Err(error) if matches!(error.kind(), Kind::Damage | Kind::NotFound) => {
                if repository.storage().size(&pack_name(pack))?.is_none() {
                    gone.insert(*pack);
                } else if copy.needs(pack)? {
                    progress.problem(&error);
                    unreadable.insert(*pack);
                }
            }
            Err(error) => return Err(error),
        }
        progress.advance(1, *size);
    }
    let (written, _) = copy.writer.finish()?;
    Ok(Copied {
        written,
        unreadable,
        gone,
    })
}

struct Copy<'c> {
    repository: &'c Repository,
    live: &'c mut Live,
    purge: bool,
    writer: ChunkWriter,
}

impl Copy<'_> {
    fn pack(&mut self, pack: &PackId, size: u64) -> Result<()> {
        let (storage, keys) = (self.repository.storage(), self.repository.keys());
        let opened = read_directory(storage, keys, pack, size)?;
        let mut first = None;
        for (frame, chunks) in &opened.directory.frames {
            let mut needed: Vec<&ChunkSpan> = Vec::new();
            for chunk in chunks {
                if self.live.contains(&chunk.id)? && !self.writer.holds(&chunk.id)? {
                    needed.push(chunk);
                }
            }
            if needed.is_empty() {
                continue;
            }
            match self.frame(pack, frame, chunks, &needed) {
                Ok(()) => {}
                // What is whole behind it is copied all the same.
                Err(error) if matches!(error.kind(), Kind::Damage | Kind::NotFound) => {
                    first.get_or_insert(error);
                }
                Err(error) => return Err(error),
            }
        }
        first.map_or(Ok(()), Err)
    }

    /// Whether anything in a pack that cannot be read is needed and stands nowhere else, by what segments say of it.
    fn needs(&mut self, pack: &PackId) -> Result<bool> {
        let mut needed = false;
        let repository = self.repository;
        repository.index().each_segment(&mut |_, segment| {
            let segment = match segment {
                Err(error) if error.kind() == Kind::NotFound => return Ok(()),
                segment => segment?,
            };
            for (frame, span) in &segment.chunks {
                let (number, _) = segment.frames[*frame as usize];
                if segment.packs[number as usize].id == *pack
                    && self.live.contains(&span.id)?
                    && !self.writer.holds(&span.id)?
                {
                    needed = true;
                }
            }
            Ok(())
        })?;
        Ok(needed)
    }

    fn frame(
        &mut self,
        pack: &PackId,
        frame: &FrameInfo,
        chunks: &[ChunkSpan],
        needed: &[&ChunkSpan],
    ) -> Result<()> {
        let place = FramePlace::new(*pack, frame);
        let (stored, raw, mut why) = match self.repository.read_sealed_frame(&place) {
            Ok((stored, raw)) => (stored, raw, None),
            Err(error) => (Vec::new(), Vec::new(), Some(error)),
        };
        let bytes: u64 = needed.iter().map(|chunk| u64::from(chunk.len)).sum();
        let most = !self.purge && comes_whole(bytes, frame);
        if (most || needed.len() == chunks.len())
            && chunks
                .iter()
                .all(|chunk| self.whole(&place, &raw, chunk).is_ok())
        {
            let sealed = SealedFrame {
                info: *frame,
                stored,
            };
            return self.writer.put_frame(sealed, chunks.to_vec());
        }
        for chunk in needed {
            let here = self.whole(&place, &raw, chunk).map(<[u8]>::to_vec);
            let elsewhere = || {
                self.repository
                    .read_elsewhere(frame.kind, &chunk.id, &place)
            };
            let bytes = match here {
                Ok(bytes) => bytes,
                Err(error) => match elsewhere() {
                    Some(bytes) => bytes,
                    None => return Err(why.take().unwrap_or(error)),
                },
            };
            self.writer.put(frame.kind, chunk.id, &bytes)?;
        }
        Ok(())
    }

    fn whole<'r>(&self, place: &FramePlace, raw: &'r [u8], chunk: &ChunkSpan) -> Result<&'r [u8]> {
        let location = Location {
            frame: *place,
            offset: chunk.offset,
            len: chunk.len,
        };
        self.repository.chunk_of(raw, &location, &chunk.id)
    }
}
