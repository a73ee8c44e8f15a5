//! Scrubbing: are the stored files still the bytes that were stored? Needs no key, so the machine that holds the
//! storage can do it, and it must never have to be trusted with one.
//!
//! Every file ends with the hash of all before, and packs and segments are named by it. What only a key can tell
//! stays untold: that a record is missing, was exchanged for another of this repository, or was brought back.

use std::collections::HashSet;

use rayon::prelude::*;

use super::Report;
use crate::error::{Error, Kind, Result};
use crate::format::file::{FileType, RecordHeader, TRAILER};
use crate::format::keys::RingFile;
use crate::format::wire::Reader;
use crate::id::{RecordId, RepositoryId, SegmentId, SlotId, to_hex};
use crate::limits::{PACK_BYTES_MAX, RECORD_BYTES_MAX, SEGMENT_BYTES_MAX, SLOT_BYTES_MAX};
use crate::pack::pack_id;
use crate::progress::Progress;
use crate::repository::read_config_file;
use crate::storage::Storage;

/// Bytes that each thread holds at once, however large a file is.
const PIECE: u64 = 4 << 20;

/// Every folder of a repository.
const FOLDERS: [&str; 8] = [
    "keys",
    "keyring",
    "packs",
    "index",
    "snapshots",
    "sessions",
    "tombstones",
    "annotations",
];

/// A stored file to look at.
struct Job {
    name: String,
    size: u64,
    file_type: FileType,
}

/// What a stored name stands for; none for a foreign file.
fn type_of(name: &str) -> Option<FileType> {
    let id = |text: &str| RecordId::from_hex(text).is_some();
    let number = |text: &str| text.len() == 10 && text.bytes().all(|byte| byte.is_ascii_digit());
    let (folder, rest) = name.split_once('/')?;
    match folder {
        "keys" => id(rest).then_some(FileType::Slot),
        "keyring" => number(rest).then_some(FileType::Ring),
        "packs" => pack_id(name).map(|_| FileType::Pack),
        "index" => SegmentId::from_hex(rest).map(|_| FileType::Segment),
        "snapshots" => id(rest).then_some(FileType::Snapshot),
        "sessions" => {
            let (session, count) = rest.split_once('.')?;
            (id(session) && number(count)).then_some(FileType::Session)
        }
        "tombstones" => id(rest).then_some(FileType::Tombstone),
        "annotations" => {
            let (snapshot, annotation) = rest.split_once('/')?;
            (id(snapshot) && id(annotation)).then_some(FileType::Annotation)
        }
        _ => None,
    }
}

/// Reads every stored file and holds it against its own hash, its name and its neighbours.
///
/// # Errors
/// [`Kind::NoRepository`], and what makes it impossible: the storage cannot be listed, or the user interrupts.
pub fn scrub(storage: &dyn Storage, threads: usize, progress: &dyn Progress) -> Result<Report> {
    let mut report = Report::default();
    progress.phase("scrub");
    let mut jobs = Vec::new();
    let mut foreign = Vec::new();
    for folder in FOLDERS {
        for item in storage.list(folder)? {
            match type_of(&item.name) {
                Some(file_type) => jobs.push(Job {
                    name: item.name,
                    size: item.size,
                    file_type,
                }),
                None => foreign.push(item.name),
            }
        }
    }
    let repository = match read_config_file(storage) {
        Err(error) if error.kind() == Kind::NoRepository && jobs.is_empty() => return Err(error),
        Err(error) if error.kind() == Kind::NoRepository => {
            report.add(progress, "config", &Error::damage("this file is missing"));
            None
        }
        read => {
            report.files_read += 1;
            let read = read.and_then(|file| {
                report.bytes_read += file.len() as u64;
                Ok(
                    RecordHeader::split(FileType::Config, &file, RECORD_BYTES_MAX)?
                        .1
                        .repository,
                )
            });
            read.map_err(|error| told(&mut report, progress, "config", &error))
                .ok()
        }
    };
    foreign.sort_unstable();
    for name in foreign {
        report.remark(
            progress,
            name,
            "this is no file of a repository; it was left alone",
        );
    }
    // By name, so that findings come in the same order each time.
    jobs.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    check_rings(storage, &jobs, &mut report, progress);
    progress.expect(jobs.len() as u64, jobs.iter().map(|job| job.size).sum());
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .map_err(|error| Error::new(Kind::Failed, "cannot start threads").cause(error))?;
    let look = |job: &Job| -> Result<Option<Error>> {
        progress.go_on()?;
        let found = verify(storage, job, repository).err();
        progress.advance(1, job.size);
        // Gone since the listing: a prune at work.
        Ok(found.filter(|error| error.kind() != Kind::NotFound))
    };
    let found: Vec<Option<Error>> =
        pool.install(|| jobs.par_iter().map(look).collect::<Result<_>>())?;
    for (job, found) in jobs.iter().zip(found) {
        report.files_read += 1;
        report.bytes_read += job.size;
        match job.file_type {
            FileType::Pack => report.packs += 1,
            FileType::Segment => report.segments += 1,
            FileType::Snapshot => report.snapshots += 1,
            _ => {}
        }
        if let Some(error) = found {
            told(&mut report, progress, &job.name, &error);
        }
    }
    Ok(report)
}

/// Damage, or something that a newer version wrote and that is as it was stored.
fn told(report: &mut Report, progress: &dyn Progress, name: &str, error: &Error) {
    if error.kind() == Kind::Unsupported {
        report.remark(progress, name, error.message());
    } else {
        report.add(progress, name, error);
    }
}

/// The newest ring names its slots in clear: each must be there.
fn check_rings(storage: &dyn Storage, jobs: &[Job], report: &mut Report, progress: &dyn Progress) {
    let newest = jobs.iter().rfind(|job| job.file_type == FileType::Ring);
    let Some(newest) = newest else {
        report.add(
            progress,
            "keyring",
            &Error::damage("there is no key ring: no key opens anything"),
        );
        return;
    };
    let read = storage.read(&newest.name, RECORD_BYTES_MAX as u64);
    // What is wrong with the ring itself is told when it is read as a file.
    let Ok(ring) = read.and_then(|file| RingFile::decode(&file)) else {
        return;
    };
    let standing: HashSet<&str> = jobs
        .iter()
        .filter_map(|job| job.name.strip_prefix("keys/"))
        .collect();
    let named: HashSet<String> = ring.wraps.iter().map(|(slot, _)| slot.hex()).collect();
    for (slot, _) in &ring.wraps {
        if !standing.contains(slot.hex().as_str()) {
            let what = Error::damage("the key ring names this key slot, and its file is missing");
            report.add(progress, format!("keys/{}", slot.hex()), &what);
        }
    }
    for slot in jobs
        .iter()
        .filter_map(|job| SlotId::from_hex(job.name.strip_prefix("keys/")?))
    {
        if !named.contains(&slot.hex()) {
            let what = "no key slot any more: it was removed, or adding it was interrupted";
            report.remark(progress, format!("keys/{}", slot.hex()), what);
        }
    }
}

fn verify(storage: &dyn Storage, job: &Job, repository: Option<RepositoryId>) -> Result<()> {
    let max = match job.file_type {
        FileType::Pack => PACK_BYTES_MAX,
        FileType::Segment => SEGMENT_BYTES_MAX as u64,
        FileType::Slot => SLOT_BYTES_MAX as u64,
        _ => RECORD_BYTES_MAX as u64,
    };
    if job.size > max {
        let what = format!(
            "{} bytes, more than a {} may have",
            job.size,
            job.file_type.word()
        );
        return Err(Error::damage(what));
    }
    let Some(covered) = job.size.checked_sub(TRAILER as u64) else {
        return Err(Error::damage("shorter than its own hash"));
    };
    let mut hasher = blake3::Hasher::new();
    let mut head = Vec::new();
    let mut at = 0;
    while at < covered {
        let len = PIECE.min(covered - at);
        let piece = storage.read_range(&job.name, at, len as usize)?;
        if at == 0 {
            head.extend(piece.iter().take(64));
        }
        hasher.update(&piece);
        at += len;
    }
    let trailer = storage.read_range(&job.name, covered, TRAILER)?;
    if hasher.finalize().as_bytes()[..] != trailer[..] {
        return Err(Error::damage(
            "its bytes are not those that were stored (hash differs)",
        ));
    }
    let own = to_hex(&trailer);
    let named_by_hash = matches!(job.file_type, FileType::Pack | FileType::Segment);
    if named_by_hash && job.name.rsplit('/').next() != Some(&own) {
        return Err(Error::damage(format!(
            "this is another {}: its hash is {}",
            job.file_type.word(),
            &own[..8]
        )));
    }
    let mut reader = Reader::new(&head);
    job.file_type.check_start(&mut reader)?;
    // Between version and repository id: packs, rings and records 6 bytes, slots 14.
    reader.bytes(if job.file_type == FileType::Slot {
        14
    } else {
        6
    })?;
    let belongs = RepositoryId(reader.array()?);
    if repository.is_some_and(|repository| repository != belongs) {
        return Err(Error::damage(format!(
            "belongs to another repository ({})",
            belongs.short()
        )));
    }
    if job.file_type == FileType::Ring && !job.name.ends_with(&format!("/{:010}", reader.u64()?)) {
        return Err(Error::damage("a key ring of another generation"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_what_a_file_is() {
        let (id, hash) = ("0123456789abcdef".repeat(2), "0123456789abcdef".repeat(4));
        for (name, file_type) in [
            (format!("keys/{id}"), FileType::Slot),
            ("keyring/0000000012".into(), FileType::Ring),
            (format!("packs/01/{hash}"), FileType::Pack),
            (format!("index/{hash}"), FileType::Segment),
            (format!("snapshots/{id}"), FileType::Snapshot),
            (format!("sessions/{id}.0000000000"), FileType::Session),
            (format!("tombstones/{id}"), FileType::Tombstone),
            (format!("annotations/{id}/{id}"), FileType::Annotation),
        ] {
            assert_eq!(type_of(&name), Some(file_type), "{name}");
            assert_eq!(type_of(&format!("{name}~")), None, "{name}~");
            assert_eq!(type_of(&name[..name.len() - 1]), None, "{name}");
        }
        for foreign in [
            format!("packs/02/{hash}"),
            "config".into(),
            format!("keys/{}", id.to_uppercase()),
        ] {
            assert_eq!(type_of(&foreign), None, "{foreign}");
        }
    }
}
