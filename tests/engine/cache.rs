//! The index cache: shared, thrown away, filled with garbage, and never believed against the segments.

use std::path::Path;
use std::sync::Arc;

use duramen::repository::Repository;
use duramen::seal::Compression;
use duramen::storage::Storage;

use super::lab::{Lab, environment, noise, restored};

fn open(lab: &Lab, cache: &Path) -> Repository {
    let storage = Arc::new(lab.storage.clone());
    Repository::open(
        storage,
        std::slice::from_ref(&lab.credential),
        environment(Some(cache.to_owned())),
    )
    .unwrap()
}

/// Many tiny chunks: enough that the overlay is turned into generations.
fn many_chunks(lab: &Lab) {
    std::fs::create_dir_all(lab.tree()).unwrap();
    let repository = lab.open();
    let session = repository
        .begin(duramen::format::records::SessionPurpose::Write)
        .unwrap();
    let options = duramen::repository::WriterOptions {
        compression: Compression::Level(1),
        dry_run: false,
    };
    for part in 0..3 {
        let mut writer =
            duramen::repository::ChunkWriter::new(&repository, &session, options).unwrap();
        for number in 0..80_000 {
            let bytes = format!("chunk {part} {number}").into_bytes();
            let kind = duramen::repository::ChunkKind::Data;
            writer
                .put(kind, repository.chunk_id(kind, &bytes), &bytes)
                .unwrap();
        }
        writer.finish().unwrap();
    }
    session.end(&repository);
}

fn generations(cache: &Path) -> Vec<std::path::PathBuf> {
    let folder = std::fs::read_dir(cache)
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect()
}

fn finds_all(repository: &Repository) {
    repository.index().refresh().unwrap();
    for (part, number) in [(0, 0), (0, 79_999), (1, 40_000), (2, 79_999)] {
        let bytes = format!("chunk {part} {number}").into_bytes();
        let kind = duramen::repository::ChunkKind::Data;
        let id = repository.chunk_id(kind, &bytes);
        assert_eq!(repository.read_chunk(kind, &id).unwrap(), bytes);
    }
    let absent = repository.chunk_id(duramen::repository::ChunkKind::Data, b"absent");
    assert!(repository.index().locate(&absent).unwrap().is_none());
}

#[test]
fn generations_are_built_shared_and_rebuilt() {
    let lab = Lab::new();
    many_chunks(&lab);
    let cache = tempfile::tempdir().unwrap();
    let first = open(&lab, cache.path());
    finds_all(&first);
    let built = generations(cache.path());
    assert!(!built.is_empty(), "no generation was built");
    // While one has it open, others open it too, and one that throws it away hurts nobody.
    let second = open(&lab, cache.path());
    finds_all(&second);
    for file in &built {
        std::fs::remove_file(file).unwrap();
    }
    finds_all(&first);
    finds_all(&open(&lab, cache.path()));
    // Garbage, a truncated file, another's file, a builder's left-over: built again, never believed.
    for harm in 0..4 {
        for file in generations(cache.path()) {
            let bytes = std::fs::read(&file).unwrap();
            match harm {
                0 => std::fs::write(&file, noise("garbage", 100_000)).unwrap(),
                1 => std::fs::write(&file, &bytes[..bytes.len() / 2]).unwrap(),
                2 => std::fs::write(&file, b"").unwrap(),
                _ => std::fs::rename(&file, file.with_extension("tmp")).unwrap(),
            }
        }
        finds_all(&open(&lab, cache.path()));
    }
    assert!(
        generations(cache.path())
            .iter()
            .all(|file| file.extension().is_none_or(|end| end != "tmp"))
    );
}

#[test]
fn a_cache_that_cannot_be_written_is_done_without() {
    let lab = Lab::new();
    many_chunks(&lab);
    let folder = tempfile::tempdir().unwrap();
    let in_the_way = folder.path().join("file");
    std::fs::write(&in_the_way, "not a folder").unwrap();
    finds_all(&open(&lab, &in_the_way));
}

#[test]
fn a_generation_that_covers_a_segment_that_is_gone_is_not_believed() {
    let lab = Lab::new();
    lab.write_tree(1);
    many_chunks(&lab);
    let cache = tempfile::tempdir().unwrap();
    finds_all(&open(&lab, cache.path()));
    // As after a prune: other packs, other segments.
    for folder in ["index", "packs"] {
        for item in lab.storage.list(folder).unwrap() {
            lab.storage.tamper(&item.name, None);
        }
    }
    let repository = open(&lab, cache.path());
    lab.snapshot(&repository).unwrap();
    let bytes = b"chunk 0 0";
    let id = repository.chunk_id(duramen::repository::ChunkKind::Data, bytes);
    assert!(repository.index().locate(&id).unwrap().is_none());
    assert_eq!(
        restored(&lab, &repository, "latest").unwrap(),
        (lab.on_disk(), false)
    );
}
