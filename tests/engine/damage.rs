//! Damage in particular places; the whole matrix of kinds and harms is `matrix.rs`.

use std::sync::Arc;

use duramen::error::Kind;
use duramen::storage::Storage;

use super::lab::{Lab, check, restored};
use super::matrix::flipped;

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

#[test]
fn a_record_that_would_be_in_every_writers_way_is_found() {
    let lab = Lab::new();
    lab.write_tree(1);
    lab.snapshot(&lab.open()).unwrap();
    for folder in [
        "annotations/0123456789abcdef0123456789abcdef",
        "tombstones",
        "sessions",
    ] {
        let end = if folder == "sessions" {
            ".0000000000"
        } else {
            ""
        };
        let name = format!("{folder}/fedcba9876543210fedcba9876543210{end}");
        assert_eq!(check(&lab.open()).unwrap().finding_count, 0);
        lab.storage.tamper(&name, Some(b"no record".to_vec()));
        let report = check(&lab.open()).unwrap();
        assert_eq!(
            (report.damage_count, report.findings[0].subject.as_str()),
            (1, name.as_str())
        );
        lab.storage.tamper(&name, None);
    }
}
