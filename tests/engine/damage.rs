//! Damage: every way of harming a file x every kind of stored file x what happens next. It is noticed, it is named,
//! nothing panics, and no wrong byte ever appears under a file's own name.

use std::sync::Arc;

use duramen::error::Kind;
use duramen::storage::{MemoryStorage, Storage};

use super::lab::{Lab, check, restored};

type Harm = (&'static str, fn(&[u8], &[u8]) -> Option<Vec<u8>>);

const HARMS: [Harm; 9] = [
    ("first bit flipped", |bytes, _| Some(flipped(bytes, 0))),
    ("bit in the header flipped", |bytes, _| {
        Some(flipped(bytes, 40.min(bytes.len() - 1)))
    }),
    ("bit in the middle flipped", |bytes, _| {
        Some(flipped(bytes, bytes.len() / 2))
    }),
    ("last bit flipped", |bytes, _| {
        Some(flipped(bytes, bytes.len() - 1))
    }),
    ("cut in half", |bytes, _| {
        Some(bytes[..bytes.len() / 2].to_vec())
    }),
    ("emptied", |_, _| Some(Vec::new())),
    ("garbage appended", |bytes, _| {
        Some([bytes, b"garbage"].concat())
    }),
    ("another file of its kind in its place", |_, other| {
        Some(other.to_vec())
    }),
    ("removed", |_, _| None),
];

fn flipped(bytes: &[u8], at: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[at] ^= 1;
    bytes
}

fn all_files(storage: &MemoryStorage) -> Vec<String> {
    let mut names = vec!["config".to_owned()];
    for folder in ["keys", "keyring", "packs", "index", "snapshots"] {
        names.extend(
            storage
                .list(folder)
                .unwrap()
                .into_iter()
                .map(|item| item.name),
        );
    }
    names
}

#[test]
fn any_damage_is_noticed_and_nothing_wrong_comes_back() {
    let mut lab = Lab::new();
    lab.write_tree(1);
    lab.snapshot(&lab.open()).unwrap();
    lab.write_tree(2);
    lab.snapshot(&lab.open()).unwrap();
    let expected = lab.on_disk();
    let whole = lab.storage.fork();
    let names = all_files(&whole);
    assert!(names.len() >= 9, "{names:?}");
    for name in &names {
        let bytes = whole.read(name, u64::MAX - 1).unwrap();
        let kind = name.split('/').next().unwrap();
        let other = names
            .iter()
            .find(|other| *other != name && other.split('/').next().unwrap() == kind);
        let other = other.map_or_else(
            || bytes.iter().rev().copied().collect(),
            |other| whole.read(other, u64::MAX - 1).unwrap(),
        );
        for (harm, how) in HARMS {
            let place = format!("{name}: {harm}");
            lab.storage = whole.fork();
            lab.storage.tamper(name, how(&bytes, &other));
            let repository = match lab.open_on(Arc::new(lab.storage.clone())) {
                Ok(repository) => repository,
                Err(error) => {
                    assert!(
                        matches!(kind, "config" | "keys" | "keyring"),
                        "{place}: {error}"
                    );
                    let fits = matches!(
                        error.kind(),
                        Kind::Damage | Kind::NoRepository | Kind::Unsupported
                    );
                    assert!(fits, "{place}: {:?} {error}", error.kind());
                    continue;
                }
            };
            // A snapshot that is gone altogether is the one thing that only somebody who remembers it can miss.
            let gone = kind == "snapshots" && harm == "removed";
            let report = check(&repository).unwrap();
            assert_eq!(
                report.damage_count == 0,
                gone,
                "{place}: {:?}",
                report.findings
            );
            for snapshot in ["latest", "latest~1"] {
                match restored(&lab, &repository, snapshot) {
                    Ok((files, complained)) => {
                        for (file, content) in &files {
                            let known =
                                snapshot == "latest~1" || expected.get(file) == Some(content);
                            assert!(known || gone, "{place}: {file} came back wrong");
                        }
                        assert!(
                            complained || files.len() == expected.len(),
                            "{place}: files missing without a word"
                        );
                    }
                    Err(error) => {
                        let fits = matches!(
                            error.kind(),
                            Kind::Damage | Kind::NotFound | Kind::Unsupported
                        );
                        assert!(fits, "{place}: {:?} {error}", error.kind());
                    }
                }
            }
        }
    }
}

#[test]
fn damage_is_contained_to_what_it_touched() {
    let lab = Lab::new();
    lab.write_tree(1);
    lab.snapshot(&lab.open()).unwrap();
    let expected = lab.on_disk();
    // A bit in the middle of the largest pack hits one frame of several.
    let packs = lab.storage.list("packs").unwrap();
    let largest = packs.iter().max_by_key(|item| item.size).unwrap();
    let bytes = lab.storage.read(&largest.name, u64::MAX - 1).unwrap();
    lab.storage
        .tamper(&largest.name, Some(flipped(&bytes, bytes.len() - 2000)));
    let repository = lab.open();
    let report = check(&repository).unwrap();
    assert!(
        report
            .findings
            .iter()
            .any(|finding| finding.subject.contains(&largest.name)),
        "{:?}",
        report.findings
    );
    let (files, complained) = restored(&lab, &repository, "latest").unwrap();
    assert!(complained);
    assert!(
        !files.is_empty() && files.len() < expected.len(),
        "{} of {}",
        files.len(),
        expected.len()
    );
    for (file, content) in files {
        assert_eq!(expected[&file], content, "{file}");
    }
}

#[test]
fn a_repository_does_not_open_with_another_ones_key() {
    let (lab, other) = (Lab::new(), Lab::new());
    let error = other.open_on(Arc::new(lab.storage.clone())).err().unwrap();
    assert_eq!(error.kind(), Kind::WrongKey);
}

#[test]
fn one_damaged_segment_hides_only_what_it_alone_names() {
    let lab = Lab::new();
    lab.write_tree(1);
    lab.snapshot(&lab.open()).unwrap();
    let first = lab.on_disk();
    let before: Vec<String> = lab
        .storage
        .list("index")
        .unwrap()
        .into_iter()
        .map(|item| item.name)
        .collect();
    lab.write_tree(2);
    lab.snapshot(&lab.open()).unwrap();
    let added = lab
        .storage
        .list("index")
        .unwrap()
        .into_iter()
        .find(|item| !before.contains(&item.name))
        .unwrap();
    lab.storage
        .tamper(&added.name, Some(b"not a segment".to_vec()));
    // The first snapshot is untouched by it, whatever the order of names.
    let repository = lab.open();
    assert_eq!(
        restored(&lab, &repository, "latest~1").unwrap(),
        (first, false)
    );
    assert!(check(&repository).unwrap().damage_count > 0);
    // And the next snapshot stores again what cannot be found, and is whole.
    lab.snapshot(&lab.open()).unwrap();
    assert_eq!(
        restored(&lab, &lab.open(), "latest").unwrap(),
        (lab.on_disk(), false)
    );
}

#[test]
fn a_segment_that_lies_about_a_pack_is_found_out() {
    let lab = Lab::new();
    lab.write_tree(1);
    lab.snapshot(&lab.open()).unwrap();
    let repository = lab.open();
    for item in lab.storage.list("index").unwrap() {
        let id = duramen::index::segment_of(&item.name).unwrap();
        let mut segment =
            duramen::index::read_segment(&lab.storage, repository.keys(), &id).unwrap();
        lab.storage.tamper(&item.name, None);
        // Two chunks of one frame change places: sorted, sealed and plausible, but not so.
        let (left, right) = (segment.chunks[0], segment.chunks[1]);
        (segment.chunks[0].0, segment.chunks[0].1.offset) = (right.0, right.1.offset);
        (segment.chunks[1].0, segment.chunks[1].1.offset) = (left.0, left.1.offset);
        (segment.chunks[0].1.len, segment.chunks[1].1.len) = (right.1.len, left.1.len);
        duramen::index::write_segment(&lab.storage, repository.keys(), segment).unwrap();
    }
    let report = check(&lab.open()).unwrap();
    assert!(
        report
            .findings
            .iter()
            .any(|finding| finding.what.contains("index says other")),
        "{:?}",
        report.findings
    );
}
