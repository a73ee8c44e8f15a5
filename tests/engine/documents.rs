//! Runs of documents: what comes back, what a change costs, and what does not pass for a run.

use std::collections::{BTreeMap, HashSet};

use duramen::chunk::Cutter;
use duramen::error::{Kind, Result};
use duramen::format::bson::Document;
use duramen::format::codec;
use duramen::format::entry::{PageRef, Piece};
use duramen::format::records::SessionPurpose;
use duramen::format::run::{KeyPrefix, LeafRef, Run, RunPage, Sorted};
use duramen::id::ChunkId;
use duramen::repository::{ChunkKind, ChunkWriter, Repository, WriterOptions, key_of};
use duramen::seal::Compression;
use duramen::snapshot::{Put, Putter, RunBuilder};

use crate::common::random::Random;
use crate::common::{rounds, seed};
use crate::lab::Lab;

/// What a collection holds: documents by their keys.
type Model = BTreeMap<Vec<u8>, Vec<u8>>;

fn element(kind: u8, name: &[u8], value: &[u8]) -> Vec<u8> {
    [&[kind], name, &[0], value].concat()
}

fn document(elements: &[Vec<u8>]) -> Vec<u8> {
    let body = elements.concat();
    let length = body.len() as i32 + 5;
    [&length.to_le_bytes()[..], &body, &[0]].concat()
}

fn string(text: &[u8]) -> Vec<u8> {
    let length = text.len() as i32 + 1;
    [&length.to_le_bytes()[..], text, &[0]].concat()
}

fn binary(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as i32).to_le_bytes()[..], &[0], bytes].concat()
}

/// An `_id` of one of many types; long ones are alike at their beginning.
fn some_id(random: &mut Random) -> Vec<u8> {
    let small = random.below(3_000);
    match random.below(8) {
        0 => element(0x07, b"_id", &random.bytes(12)),
        1 => element(0x10, b"_id", &(small as i32 - 1500).to_le_bytes()),
        2 => element(0x12, b"_id", &(small as i64 - 1500).to_le_bytes()),
        3 => element(0x01, b"_id", &(small as f64 / 2.0 - 750.0).to_le_bytes()),
        4 => element(0x02, b"_id", &string(small.to_string().as_bytes())),
        5 => {
            let text = format!("{}{small}", "alike".repeat(20));
            element(0x02, b"_id", &string(text.as_bytes()))
        }
        6 => element(0x05, b"_id", &binary(&random.bytes(16))),
        _ => element(
            0x03,
            b"_id",
            &document(&[element(0x12, b"n", &small.to_le_bytes())]),
        ),
    }
}

/// A document of that id; one in a hundred is long, one in a thousand very long.
fn some_document(random: &mut Random, id: Vec<u8>) -> Vec<u8> {
    let len = match random.below(1000) {
        0 => 300_000,
        1..=9 => 20_000,
        _ => random.below(1000) as usize,
    };
    let text = random.text(len);
    document(&[id, element(0x02, b"said", &string(&text))])
}

fn key(document: &[u8]) -> Vec<u8> {
    key_of(Document::whole(document).unwrap()).unwrap()
}

/// Puts and remembers what was put.
struct Counting<'r> {
    inner: Putter<'r>,
    put: Vec<(ChunkKind, ChunkId)>,
}

impl Put for Counting<'_> {
    fn put(&mut self, kind: ChunkKind, bytes: &[u8]) -> Result<ChunkId> {
        let id = self.inner.put(kind, bytes)?;
        self.put.push((kind, id));
        Ok(id)
    }

    fn page_cut(&self, name: &[u8]) -> u64 {
        self.inner.page_cut(name)
    }
}

/// Stores what `build` puts; what it puts stands in the index afterwards.
fn stored<T>(
    repository: &Repository,
    build: impl FnOnce(&mut Counting<'_>) -> T,
) -> (T, HashSet<(ChunkKind, ChunkId)>) {
    let session = repository.begin(SessionPurpose::Write).unwrap();
    let options = WriterOptions {
        compression: Compression::Level(1),
        dry_run: false,
    };
    let writer = ChunkWriter::new(repository, &session, options).unwrap();
    let inner = Putter { repository, writer };
    let put = Vec::new();
    let mut counting = Counting { inner, put };
    let built = build(&mut counting);
    counting.inner.writer.finish().unwrap();
    repository.index().refresh().unwrap();
    session.end(repository);
    (built, counting.put.into_iter().collect())
}

fn sorted(
    repository: &Repository,
    documents: &Model,
) -> (Option<Sorted>, HashSet<(ChunkKind, ChunkId)>) {
    let cutter = cutter(repository);
    stored(repository, |put| {
        let mut builder = RunBuilder::new(&cutter);
        for (key, document) in documents {
            let document = Document::whole(document).unwrap();
            builder.push(put, key.clone(), document).unwrap();
        }
        builder.finish(put).unwrap()
    })
}

fn cutter(repository: &Repository) -> Cutter {
    Cutter::new(repository.config().chunking, repository.keys().gear())
}

fn all(repository: &Repository, runs: &[Run]) -> Model {
    let stored = repository.collection(runs).map(Result::unwrap);
    let mut before = Vec::new();
    stored
        .map(|stored| {
            assert!(stored.key > before);
            before.clone_from(&stored.key);
            (stored.key, stored.bytes)
        })
        .collect()
}

#[test]
fn runs_come_to_what_a_plain_map_says() {
    let lab = Lab::new();
    let repository = lab.open();
    let mut random = Random::new(seed("documents"));
    for _ in 0..rounds(3, 60) {
        let mut model = Model::new();
        let mut runs: Vec<Run> = Vec::new();
        for _ in 0..random.below(5) + 1 {
            let (mut added, mut deleted) = (Model::new(), Model::new());
            for _ in 0..random.below(4000) {
                let id = some_id(&mut random);
                let document = some_document(&mut random, id);
                added.insert(key(&document), document);
            }
            let there: Vec<Vec<u8>> = model.keys().cloned().collect();
            for key_there in there {
                match random.below(20) {
                    0 => {
                        let before = Document::whole(&model[&key_there]).unwrap();
                        let id = before.get(b"_id").unwrap().unwrap();
                        let id = element(id.kind, id.name, id.value);
                        deleted.insert(key_there, document(&[id]));
                    }
                    1 => {
                        let before = Document::whole(&model[&key_there]).unwrap();
                        let id = before.get(b"_id").unwrap().unwrap();
                        let id = element(id.kind, id.name, id.value);
                        let after = some_document(&mut random, id);
                        added.insert(key_there, after);
                    }
                    _ => {}
                }
            }
            // What is deleted and comes again is there.
            model.retain(|key, _| !deleted.contains_key(key));
            model.extend(added.clone());
            let run = Run {
                documents: sorted(&repository, &added).0,
                deleted: sorted(&repository, &deleted).0,
                extensions: Vec::new(),
            };
            run.check().unwrap();
            let bytes: u64 = added.values().map(|document| document.len() as u64).sum();
            assert_eq!(run.documents.map_or(0, |sorted| sorted.bytes), bytes);
            assert_eq!(
                run.deleted.map_or(0, |sorted| sorted.documents),
                deleted.len() as u64
            );
            runs.insert(0, run);
            assert!(all(&repository, &runs) == model);
        }
        for _ in 0..200 {
            let id = some_id(&mut random);
            let absent = some_document(&mut random, id);
            let there = model.keys().nth(random.index(model.len().max(1)));
            for key in there.into_iter().chain([&key(&absent)]) {
                let found = repository.collection_document(&runs, key).unwrap();
                assert_eq!(found.as_ref(), model.get(key));
            }
        }
    }
}

#[test]
fn a_change_costs_a_leaf_and_the_pages_above_it() {
    let lab = Lab::new();
    let repository = lab.open();
    let mut random = Random::of(b"a change");
    let mut model = Model::new();
    for number in 0..90_000u64 {
        let mut id = vec![0; 4];
        id.extend_from_slice(&blake3::hash(&number.to_le_bytes()).as_bytes()[..8]);
        let text = random.text(250);
        let document = document(&[
            element(0x07, b"_id", &id),
            element(0x02, b"said", &string(&text)),
        ]);
        model.insert(key(&document), document);
    }
    let (before, put_before) = sorted(&repository, &model);
    let depth = u64::from(before.unwrap().root.depth);
    assert!(depth >= 1, "too few pages to say anything");
    for change in ["longer", "more", "less"] {
        let at = model.keys().nth(random.index(model.len())).unwrap().clone();
        let mut after = model.clone();
        match change {
            "less" => {
                after.remove(&at);
            }
            _ => {
                let before = Document::whole(&model[&at]).unwrap();
                let old = before.get(b"_id").unwrap().unwrap();
                let mut id = old.value.to_vec();
                id[11] ^= u8::from(change == "more");
                let text = random.text(350);
                let document = document(&[
                    element(0x07, b"_id", &id),
                    element(0x02, b"said", &string(&text)),
                ]);
                after.insert(key(&document), document);
            }
        }
        let (run, put_after) = sorted(&repository, &after);
        assert_eq!(run.unwrap().documents, after.len() as u64);
        let new = |kind| {
            let new = put_after.difference(&put_before);
            new.filter(|(of, _)| *of == kind).count() as u64
        };
        // A boundary that the change itself moves makes it two, or three.
        assert!((1..=3).contains(&new(ChunkKind::Data)), "{change}");
        assert!(
            (1..=2 * (depth + 1)).contains(&new(ChunkKind::Run)),
            "{change}"
        );
    }
}

#[test]
fn the_same_upload_is_the_same_chunks_in_a_file_and_in_a_document() {
    let lab = Lab::new();
    let repository = lab.open();
    let upload = Random::of(b"upload").bytes(4 << 20);
    let long = document(&[
        element(0x10, b"_id", &[1, 0, 0, 0]),
        element(0x02, b"name", &string(b"a photograph")),
        element(0x05, b"data", &binary(&upload)),
        element(0x10, b"n", &[7, 0, 0, 0]),
    ]);
    let model = Model::from([(key(&long), long.clone())]);
    let (run, in_document) = sorted(&repository, &model);
    let cutter = cutter(&repository);
    let ((), in_file) = stored(&repository, |put| {
        let mut rest = &upload[..];
        while !rest.is_empty() {
            let (chunk, after) = rest.split_at(cutter.cut(rest));
            put.put(ChunkKind::Data, chunk).unwrap();
            rest = after;
        }
    });
    assert!(in_file.len() > 20);
    assert!(in_file.is_subset(&in_document));
    let runs = [Run {
        documents: run,
        ..Run::default()
    }];
    assert_eq!(all(&repository, &runs), model);
}

#[test]
fn documents_out_of_order_are_refused() {
    let lab = Lab::new();
    let repository = lab.open();
    let cutter = cutter(&repository);
    let of = |number: i32| document(&[element(0x10, b"_id", &number.to_le_bytes())]);
    stored(&repository, |put| {
        let mut builder = RunBuilder::new(&cutter);
        for (number, fits) in [(1, true), (3, true), (3, false), (2, false), (4, true)] {
            let document = of(number);
            let key = key(&document);
            assert_eq!(builder.may_follow(&key), fits);
            let pushed = builder.push(put, key, Document::whole(&document).unwrap());
            assert_eq!(pushed.is_ok(), fits);
        }
        assert_eq!(builder.finish(put).unwrap().unwrap().documents, 3);
        assert_eq!(RunBuilder::new(&cutter).finish(put).unwrap(), None);
    });
}

#[test]
fn nothing_comes_after_an_error() {
    let lab = Lab::new();
    let repository = lab.open();
    let of = |number: i32| {
        let text = Random::of(&number.to_le_bytes()).text(300);
        document(&[
            element(0x10, b"_id", &number.to_le_bytes()),
            element(0x02, b"said", &string(&text)),
        ])
    };
    let model = |numbers: std::ops::Range<i32>| -> Model {
        let documents = numbers.map(of);
        documents
            .map(|document| (key(&document), document))
            .collect()
    };
    let older = sorted(&repository, &model(0..2000)).0;
    let mut newer = sorted(&repository, &model(500..600)).0;
    // The newest run is not what its record says.
    newer.as_mut().unwrap().bytes += 1;
    let run = |documents| Run {
        documents,
        ..Run::default()
    };
    let read: Vec<_> = repository.collection(&[run(newer), run(older)]).collect();
    assert!(read.last().unwrap().is_err());
    assert_eq!(read.iter().filter(|stored| stored.is_err()).count(), 1);
    assert!(read.len() < 2000);
    assert_eq!(repository.collection(&[run(older)]).count(), 2000);
}

#[test]
fn what_is_no_run_is_damage() {
    let lab = Lab::new();
    let repository = lab.open();
    let of = |number: i32| document(&[element(0x10, b"_id", &number.to_le_bytes())]);
    let prefix = |number| KeyPrefix(key(&of(number)));
    let anonymous = document(&[element(0x10, b"id", &[1, 0, 0, 0])]);
    // Bytes of the leaf, what its page says of it: the first key, the last, how many; and whether that is so.
    let cases = [
        (vec![of(1), of(2)], 1, 2, 2, true),
        (vec![of(1), of(2)], 1, 2, 3, false),
        (vec![of(1), of(2)], 0, 2, 2, false),
        (vec![of(1), of(2)], 1, 3, 2, false),
        (vec![of(2), of(1)], 1, 2, 2, false),
        (vec![of(1), of(1)], 1, 1, 2, false),
        (vec![anonymous], 1, 1, 1, false),
        (vec![b"no document".to_vec()], 1, 1, 1, false),
    ];
    for (documents, first, last, count, sound) in cases {
        let bytes = documents.concat();
        let (root, _) = stored(&repository, |put| {
            let id = put.put(ChunkKind::Data, &bytes).unwrap();
            let leaf = LeafRef {
                first: prefix(first),
                last: prefix(last),
                documents: count,
                content: vec![Piece::Data {
                    id,
                    len: bytes.len() as u32,
                }],
            };
            let page = RunPage::Leaf {
                leaves: vec![leaf],
                extensions: Vec::new(),
            };
            put.put(ChunkKind::Run, &codec::encode(&page).unwrap())
                .unwrap()
        });
        let sorted = Sorted {
            root: PageRef { id: root, depth: 0 },
            documents: u64::from(count),
            bytes: bytes.len() as u64,
        };
        let read: Result<Vec<_>> = repository.stored_documents(Some(&sorted)).collect();
        match read {
            Ok(read) => assert!(sound && read.len() == documents.len()),
            Err(error) => assert!(!sound && error.kind() == Kind::Damage, "{error}"),
        }
        // At a depth where it cannot be, or not what is said of it.
        let (mut deep, mut fewer, mut shorter) = (sorted, sorted, sorted);
        deep.root.depth = 1;
        fewer.documents += 1;
        shorter.bytes -= 1;
        for wrong in [deep, fewer, shorter] {
            let read: Result<Vec<_>> = repository.stored_documents(Some(&wrong)).collect();
            assert_eq!(read.unwrap_err().kind(), Kind::Damage);
            let found = repository.stored_document(&wrong, &key(&of(1)));
            assert_eq!(found.unwrap_err().kind(), Kind::Damage);
        }
    }
}
