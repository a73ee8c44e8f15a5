//! Snapshots that need what is lost, taken again without it.
//!
//! The new snapshot is committed before the damaged one is forgotten, and says in its own record which one it stands for:
//! a kill in between leaves both, and the next run knows that only the forgetting is left to do.

use super::remains::{Account, Remains};
use super::{Ground, Options, Replaced, Report};
use crate::error::{Error, Kind, Result};
use crate::format::records::{Fact, SessionPurpose};
use crate::format::snapshot::{Counters, Snapshot, SourceRecord, State};
use crate::id::SnapshotId;
use crate::limits;
use crate::progress::Progress;
use crate::repository::{
    ChunkWriter, Facts, Repository, Session, Standing, WriterOptions, snapshot_name,
};
use crate::seal::Compression;
use crate::snapshot::Putter;

/// Looks through every living snapshot and replaces those that need what is lost.
pub fn mend(
    repository: &Repository,
    options: &Options,
    ground: &Ground,
    progress: &dyn Progress,
    report: &mut Report,
) -> Result<()> {
    let mut unreadable = Vec::new();
    let standing = repository.standing(&mut |id, error| {
        unreadable.push((id, error));
        Ok(())
    })?;
    // Snapshots before segments: whatever these snapshots need is in the segments listed now.
    if let Err(error) = repository.index().refresh() {
        progress.note(&format!("going on without a part of the index: {error}"));
    }
    for (id, error) in unreadable {
        record(repository, options, id, &error, report)?;
    }
    let living: Vec<(Snapshot, Facts)> = standing
        .into_iter()
        .filter(|(_, facts)| facts.standing == Standing::Living)
        .collect();
    report.snapshots = living.len() as u64;
    let mut remains = Remains::new(repository, ground, progress);
    let mut damaged = Vec::new();
    for (snapshot, _) in &living {
        let mut whole = true;
        for source in &snapshot.sources {
            whole = whole && is_whole(&mut remains, source)?;
        }
        if !whole {
            damaged.push(snapshot);
        }
    }
    for snapshot in damaged {
        progress.go_on()?;
        if let Err(error) = snapshot.features.refuse_write("take this snapshot again") {
            report
                .left
                .push(snapshot_name(&snapshot.id), error.detail());
            continue;
        }
        let standing_in = living
            .iter()
            .map(|(other, _)| other)
            .find(|other| other.original() == Some(snapshot.id));
        if options.keep && standing_in.is_some() {
            continue;
        }
        let replaced = match standing_in {
            Some(other) => Replaced {
                original: snapshot.id,
                replacement: Some(other.id),
                lost: Vec::new(),
                lost_count: 0,
            },
            None => match replace(repository, options, snapshot, &mut remains, progress) {
                Ok(Some(replaced)) => replaced,
                // Forgotten since it was listed.
                Ok(None) => continue,
                // More is lost than was looked for.
                Err(error) if error.kind() == Kind::Damage => {
                    let what = match error.hint_text() {
                        Some(hint) => format!("{}; {hint}", error.detail()),
                        None => error.detail(),
                    };
                    report.left.push(snapshot_name(&snapshot.id), what);
                    continue;
                }
                Err(error) => return Err(error),
            },
        };
        match replaced.replacement {
            Some(id) => settle(repository, options, &snapshot.id, id, replaced.lost_count)?,
            None if !options.dry_run && !options.keep => {
                if !repository.facts(&snapshot.id)?.holds.is_empty() {
                    let what = "nothing of it is left, and it is held: release it with `duramen annotate --release`";
                    report.left.push(snapshot_name(&snapshot.id), what);
                    continue;
                }
                let words = "damaged: nothing of it is left";
                give_up(repository, &snapshot.id, words.to_owned())?;
            }
            None => {}
        }
        report.replaced.push(replaced);
    }
    Ok(())
}

/// Whether all that a source names is there.
fn is_whole(remains: &mut Remains<'_>, source: &SourceRecord) -> Result<bool> {
    match source {
        SourceRecord::Files { root, .. } => remains.is_whole_below(root),
        SourceRecord::Mongo(own) => remains.deployment_is_whole(own),
        SourceRecord::Oplog(own) => remains.slice_is_whole(own),
        SourceRecord::Undo(own) => remains.undo_is_whole(own),
    }
}

/// A snapshot whose own record cannot be read.
fn record(
    repository: &Repository,
    options: &Options,
    id: SnapshotId,
    error: &Error,
    report: &mut Report,
) -> Result<()> {
    let name = snapshot_name(&id);
    if repository.facts(&id)?.standing != Standing::Living {
        return Ok(());
    }
    if error.kind() != Kind::Damage || !options.forget_unreadable {
        let what = match error.kind() {
            Kind::Damage => format!(
                "{}: bring this file back from a copy of the repository; where there is none, --forget-unreadable gives the snapshot up",
                error.detail()
            ),
            _ => error.detail(),
        };
        report.left.push(name, what);
        return Ok(());
    }
    if options.dry_run {
        report
            .mended
            .push(name, "cannot be read: would be forgotten");
        return Ok(());
    }
    match repository.forget(&id) {
        Ok(()) if repository.facts(&id)?.standing == Standing::Living => report.left.push(
            name,
            "cannot be read, and neither can an annotation of it: run this again",
        ),
        Ok(()) => report.mended.push(
            name,
            format!(
                "could not be read and was forgotten: `duramen forget --undo {}` takes that back if the file comes back",
                id.short()
            ),
        ),
        Err(error) if error.kind() == Kind::Conflict => report.left.push(name, error.detail()),
        Err(error) => return Err(error),
    }
    Ok(())
}

/// Takes a snapshot again without what is lost; none where it was forgotten meanwhile.
fn replace(
    repository: &Repository,
    options: &Options,
    original: &Snapshot,
    remains: &mut Remains<'_>,
    progress: &dyn Progress,
) -> Result<Option<Replaced>> {
    if options.dry_run {
        let session = repository.rehearse()?;
        return take(repository, &session, true, original, remains).map(Some);
    }
    let session = repository.begin(SessionPurpose::Write)?;
    if let Some(error) = &session.damaged {
        progress.note(&format!("going on without a part of the index: {error}"));
    }
    // What is kept is taken by reference, so the original must be one that nobody may end while we are at work.
    let stands = !repository.facts(&original.id)?.unclear
        && !session.forgotten.contains(&original.id)
        && repository.snapshot(&original.id).is_ok();
    let taken = if stands {
        take(repository, &session, false, original, remains).map(Some)
    } else {
        Ok(None)
    };
    session.end(repository);
    taken
}

fn take(
    repository: &Repository,
    session: &Session,
    dry_run: bool,
    original: &Snapshot,
    remains: &mut Remains<'_>,
) -> Result<Replaced> {
    let clock = &repository.environment().clock;
    let started = clock.now();
    let seen = repository.seen()?;
    let writer = ChunkWriter::new(
        repository,
        session,
        WriterOptions {
            compression: Compression::Default,
            dry_run,
        },
    )?;
    let mut putter = Putter { repository, writer };
    let mut account = Account::default();
    let mut sources = Vec::new();
    for source in &original.sources {
        let left = match source {
            SourceRecord::Files { root, owner, hints } => {
                let (root, hints) =
                    remains.take(&mut putter, session, root, *hints, &mut account)?;
                SourceRecord::Files {
                    root: Box::new(root),
                    owner: owner.clone(),
                    hints,
                }
            }
            SourceRecord::Mongo(own) => {
                let left = remains.take_deployment(&mut putter, session, own, &mut account)?;
                SourceRecord::Mongo(Box::new(left))
            }
            SourceRecord::Undo(own) => {
                let left = remains.take_undo(&mut putter, session, own, &mut account)?;
                SourceRecord::Undo(Box::new(left))
            }
            // With a hole in it, it leads nowhere.
            SourceRecord::Oplog(own) if !remains.slice_is_whole(own)? => {
                account.lose(b"oplog", "what was recorded of the oplog is lost");
                continue;
            }
            whole => whole.clone(),
        };
        sources.push(left);
    }
    let (written, relied) = putter.writer.finish()?;
    let Account {
        lost, lost_count, ..
    } = account;
    if sources.is_empty() {
        return Ok(Replaced {
            original: original.id,
            replacement: None,
            lost,
            lost_count,
        });
    }
    let mut problems = lost.clone();
    problems.extend(original.problems.iter().cloned());
    let words =
        |problem: &crate::format::snapshot::Problem| problem.path.0.len() + problem.what.len();
    let mut room = limits::SNAPSHOT_WORDS_MAX;
    problems.truncate(limits::PROBLEMS_LISTED_MAX);
    problems.retain(|problem| {
        let fits = words(problem) <= room;
        room = room.saturating_sub(words(problem));
        fits
    });
    let mut snapshot = Snapshot {
        id: session.id,
        started,
        finished: clock.now(),
        tags: repository.facts(&original.id)?.tags(original),
        sources,
        state: State::Partial,
        problems,
        problem_count: original.problem_count.saturating_add(lost_count),
        counters: Counters {
            files_unmodified: account.files,
            dirs_unmodified: account.dirs,
            bytes_processed: account.bytes,
            data_chunks: written.data_chunks,
            tree_chunks: written.tree_chunks,
            data_added: written.raw_bytes,
            data_added_packed: written.stored_bytes,
            ..Counters::default()
        },
        program: env!("CARGO_PKG_VERSION").into(),
        seen,
        ..original.clone()
    };
    snapshot.set_original(&original.id);
    if !dry_run {
        repository.commit(session, &snapshot, &relied)?;
    }
    Ok(Replaced {
        original: original.id,
        replacement: (!dry_run).then_some(session.id),
        lost,
        lost_count,
    })
}

/// The replacement takes over what holds the original, then the original is forgotten.
fn settle(
    repository: &Repository,
    options: &Options,
    original: &SnapshotId,
    replacement: SnapshotId,
    lost: u64,
) -> Result<()> {
    let holds = repository.facts(original)?.holds;
    let held = repository.facts(&replacement)?.holds;
    for (_, why) in &holds {
        if !held.iter().any(|(_, other)| other == why) {
            repository.hold(&replacement, why)?;
        }
    }
    if options.keep {
        return Ok(());
    }
    let words = format!(
        "damaged: {lost} paths or documents are lost; repair replaced it by {}",
        replacement.short()
    );
    give_up(repository, original, words)
}

/// Forgets a damaged snapshot, and says why.
fn give_up(repository: &Repository, original: &SnapshotId, why: String) -> Result<()> {
    repository.annotate(original, Fact::Note(why))?;
    repository.release(original)?;
    match repository.forget(original) {
        // Somebody holds it since.
        Err(error) if error.kind() == Kind::Conflict => Ok(()),
        forgotten => forgotten,
    }
}
