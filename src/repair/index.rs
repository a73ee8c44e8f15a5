//! The index from the packs: every pack carries the same directory that its segment does.
//!
//! A pack that is named again just while a prune drops it as unnamed is safe: that goes through a tombstone, whose sweep
//! waits for our session and then saves what is needed.

use super::Report;
use super::survey::Survey;
use crate::check::NamedPack;
use crate::error::{Kind, Result};
use crate::pack::{FinishedPack, pack_name, read_directory};
use crate::progress::Progress;
use crate::repository::{Repository, Session};

/// Packs whose directories are held before a segment is written for them.
const PACKS_HELD: u64 = 64;

/// Names packs again that no segment names, then removes segments that nobody can read. Packs of a session that is still
/// at work are named too: it will name them again itself, and two names do no harm.
pub fn mend(
    repository: &Repository,
    session: Option<&Session>,
    survey: &mut Survey,
    progress: &dyn Progress,
    report: &mut Report,
) -> Result<()> {
    let unnamed = survey.unnamed();
    if unnamed.is_empty() && survey.broken.is_empty() {
        return Ok(());
    }
    progress.expect(unnamed.len() as u64, 0);
    for (id, size) in unnamed {
        progress.go_on()?;
        if let Some(session) = session {
            session.renew_when_due(repository)?;
        }
        let opened = match read_directory(repository.storage(), repository.keys(), &id, size) {
            Ok(opened) => opened,
            Err(error) if error.kind() == Kind::NotFound => continue,
            Err(error) if error.kind() == Kind::Damage => {
                progress.note(&format!(
                    "{}: no segment names it and its own directory cannot be read, so nothing in it can be found: {}",
                    pack_name(&id),
                    error.detail()
                ));
                continue;
            }
            Err(error) if error.kind() == Kind::Unsupported => {
                report.left.push(pack_name(&id), error.detail());
                continue;
            }
            Err(error) => return Err(error),
        };
        let class = opened.header.class;
        repository.index().add_pack(FinishedPack {
            id,
            size,
            class,
            frames: opened.directory.frames,
        });
        // Its places are its own directory's: there is nothing to hold them against.
        let places = Vec::new();
        survey.named.insert(
            id,
            NamedPack {
                size,
                class,
                places,
            },
        );
        report.packs_named += 1;
        progress.advance(1, 0);
        if session.is_some() && report.packs_named.is_multiple_of(PACKS_HELD) {
            repository.index().checkpoint()?;
        }
    }
    if session.is_some() {
        repository.index().checkpoint()?;
    }
    if report.packs_named > 0 {
        let what = match session {
            Some(_) => "packs that no segment named are named again",
            None => "packs that no segment names would be named again",
        };
        report
            .mended
            .push("index", format!("{} {what}", report.packs_named));
    }
    // All that they could have named is named again, or cannot be.
    for (name, error) in std::mem::take(&mut survey.broken) {
        if error.kind() != Kind::Damage {
            report.left.push(name, error.detail());
            continue;
        }
        report.segments_removed += 1;
        let what = match session {
            Some(_) => "could not be read and was removed: its packs speak for themselves",
            None => "cannot be read and would be removed: its packs speak for themselves",
        };
        if session.is_some() {
            repository.storage().delete(&name)?;
        }
        report.mended.push(name, what);
    }
    Ok(())
}
