//! Sessions, tombstones and annotations that cannot be read. Each is settled towards keeping: whatever it said, nothing
//! that it may have protected is protected less afterwards.

use super::{Options, Report};
use crate::error::{Error, Kind, Result};
use crate::format::records::SessionPurpose;
use crate::id::{SessionId, SnapshotId};
use crate::progress::Progress;
use crate::repository::{Repository, Standing, snapshot_name};

/// Why a snapshot is held whose annotation was lost.
const HELD: &str = "an annotation of it was damaged and removed by repair; it may have been a hold";

/// Settles records that cannot be read.
pub fn mend(
    repository: &Repository,
    options: &Options,
    progress: &dyn Progress,
    report: &mut Report,
) -> Result<()> {
    let broken = repository.unreadable_records()?;
    if broken.is_empty() {
        return Ok(());
    }
    if options.dry_run {
        for (name, error) in broken {
            if is_damaged(&name, error, report)? {
                report.mended.push(name, "cannot be read: would be settled");
            }
        }
        return Ok(());
    }
    // It has seen nothing, so every sweep and every end of a forgetting waits for it.
    let session = repository.begin_blind(SessionPurpose::Write)?;
    let done = settle(repository, session.id, broken, progress, report);
    session.end(repository);
    done
}

/// Whether a record is damaged; one that only another version can read is left alone, and any other trouble ends the work.
fn is_damaged(name: &str, error: Error, report: &mut Report) -> Result<bool> {
    match error.kind() {
        Kind::Damage => Ok(true),
        Kind::Unsupported => {
            report.left.push(name, error.detail());
            Ok(false)
        }
        _ => Err(error),
    }
}

fn settle(
    repository: &Repository,
    own: SessionId,
    broken: Vec<(String, Error)>,
    progress: &dyn Progress,
    report: &mut Report,
) -> Result<()> {
    let mut others = Vec::new();
    for (name, error) in broken {
        progress.go_on()?;
        if !is_damaged(&name, error, report)? {
            continue;
        }
        match session_of(&name) {
            Some(id) => {
                repository.expire(&id)?;
                report.mended.push(
                    name,
                    "could not be read, and everybody would have waited for it: its session was expired",
                );
            }
            None => others.push(name),
        }
    }
    // Whoever sweeps at this moment may have read what we cannot.
    let pruning = repository
        .live_sessions()?
        .iter()
        .any(|session| session.id != own && session.is_pruner());
    for name in others {
        progress.go_on()?;
        if pruning {
            report.left.push(
                name,
                "cannot be read, and a prune is at work that may have read it: run this again when it has ended",
            );
            continue;
        }
        match snapshot_of(&name) {
            Some(snapshot) => annotation(repository, &name, &snapshot, report)?,
            None => {
                repository.storage().delete(&name)?;
                report
                    .mended
                    .push(name, "could not be read and was removed: its packs stay");
            }
        }
    }
    Ok(())
}

/// First a hold, so that nobody ends the snapshot; then the annotation goes; then every forgetting is taken back of which
/// it may have been the end.
fn annotation(
    repository: &Repository,
    name: &str,
    snapshot: &SnapshotId,
    report: &mut Report,
) -> Result<()> {
    let stands = repository
        .storage()
        .size(&snapshot_name(snapshot))?
        .is_some();
    if !stands || repository.facts(snapshot)?.standing == Standing::Gone {
        repository.storage().delete(name)?;
        report.mended.push(
            name,
            "could not be read and was removed; its snapshot has gone",
        );
        return Ok(());
    }
    let facts = repository.facts(snapshot)?;
    if !facts.holds.iter().any(|(_, why)| why == HELD) {
        repository.hold(snapshot, HELD)?;
    }
    repository.storage().delete(name)?;
    repository.undo_forget(snapshot)?;
    report.mended.push(
        name,
        format!(
            "could not be read and was removed: what it said (a tag, a note, a hold) is lost; snapshot {} is held until \
             `duramen annotate --release {}`",
            snapshot.short(),
            snapshot.short()
        ),
    );
    Ok(())
}

fn session_of(name: &str) -> Option<SessionId> {
    SessionId::from_hex(name.strip_prefix("sessions/")?.split_once('.')?.0)
}

fn snapshot_of(name: &str) -> Option<SnapshotId> {
    SnapshotId::from_hex(name.strip_prefix("annotations/")?.split_once('/')?.0)
}
