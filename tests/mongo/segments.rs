//! Large collections are read in segments beside each other: every document is in one of them, and in one only.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use duramen::ops::snapshot::Selection;
use duramen::progress::Silent;
use duramen::source::mongo::reading::{Patience, State};
use duramen::source::mongo::scan::{Order, Segment, first, scan, segments};
use duramen::source::mongo::{Server, catalogue};
use mongodb::bson::{Bson, DateTime, Document, doc, oid::ObjectId};

use crate::common::mongod::Mongod;
use crate::common::random::Random;
use crate::common::seed;
use crate::lab::{Lab, at, on_server, same};

/// Some `_id` of some type; each number has its own.
fn id(random: &mut Random, number: i64) -> Bson {
    match random.below(9) {
        0 => Bson::Int32(number as i32),
        1 => Bson::Int64(-1 - number),
        2 => Bson::Double(number as f64 + 0.5),
        3 | 4 => Bson::String(format!("{:x}", number * 7919 % 1_000_003)),
        5 => Bson::Document(doc! { "shop": number % 7, "of": number }),
        6 => Bson::DateTime(DateTime::from_millis(number * 1000)),
        7 => Bson::ObjectId(ObjectId::from_bytes([number as u8; 12])),
        _ => Bson::Array(Vec::new()),
    }
}

/// Documents of `_id`s of all types, 20 MB of them.
fn fill(server: &Mongod, collection: &str, random: &mut Random) -> usize {
    let mut documents = vec![
        doc! { "_id": Bson::MinKey },
        doc! { "_id": Bson::MaxKey },
        doc! { "_id": Bson::Null },
    ];
    let mut objects = 0;
    for number in 0..40_000 {
        let mut own = id(random, number);
        if matches!(own, Bson::ObjectId(_) | Bson::Array(_)) {
            objects += 1;
            let mut bytes = [7; 12];
            bytes[..8].copy_from_slice(&(objects * 2_654_435_761_u64).to_le_bytes());
            own = Bson::ObjectId(ObjectId::from_bytes(bytes));
        }
        documents.push(doc! { "_id": own, "n": 0, "text": "words ".repeat(80) });
    }
    let count = documents.len();
    server.insert("shop", collection, documents);
    count
}

/// How many segments, and what is in them and before them, one behind the other and read as one.
fn divided(server: &Mongod, collection: &str) -> (usize, [Vec<Vec<u8>>; 2]) {
    let server = Server::connect(&server.address_of("shop")).unwrap();
    let listed = catalogue::list(&server, &Selection::default()).unwrap();
    let own = listed.iter().find(|own| own.name() == collection).unwrap();
    let mut patience = Patience::new(&Silent);
    let (begin, behind) = first(&server, own, State::Local, &mut patience).unwrap();
    let begin = begin.unwrap();
    let begin: Vec<Vec<u8>> = begin
        .documents()
        .unwrap()
        .map(|document| document.unwrap().bytes().to_vec())
        .collect();
    let parts = match behind {
        Some(behind) => segments(&server, own, behind, &mut patience).unwrap(),
        None => Vec::new(),
    };
    let read = |segments: &[Segment]| {
        let mut all = Vec::new();
        for segment in segments {
            let order = Order::ById(segment);
            scan(&server, own, order, State::Local, &Silent, &mut |batch| {
                for document in batch.documents()? {
                    all.push(document?.bytes().to_vec());
                }
                Ok(())
            })
            .unwrap();
        }
        all
    };
    let all = [begin, read(&parts)].concat();
    (parts.len(), [all, read(&[Segment::default()])])
}

#[test]
fn no_document_falls_between_segments_and_none_is_in_two() {
    let mut random = Random::new(seed(
        "no_document_falls_between_segments_and_none_is_in_two",
    ));
    let server = Mongod::set();
    let count = fill(&server, "quotes", &mut random);
    let (parts, [all, at_once]) = divided(&server, "quotes");
    assert!(parts > 2, "{parts}");
    assert_eq!(all.len(), count);
    assert!(
        all == at_once,
        "one behind the other they are in the server's order"
    );
    // What has another order is read as one, and so is what is small or empty.
    let collation = doc! { "locale": "de", "strength": 1 };
    server.run(
        "shop",
        doc! { "create": "collated", "collation": collation },
    );
    let clustered = doc! { "key": { "_id": 1 }, "unique": true };
    server.run(
        "shop",
        doc! { "create": "clustered", "clusteredIndex": clustered },
    );
    server.run("shop", doc! { "create": "empty" });
    let text = "words ".repeat(80);
    for name in ["collated", "clustered"] {
        let documents = (0..20_000).map(|number: i32| doc! { "_id": number, "text": &text });
        server.insert("shop", name, documents.collect());
        let (parts, [all, _]) = divided(&server, name);
        assert_eq!((parts, all.len()), (1, 20_000), "{name}");
    }
    assert_eq!(divided(&server, "empty"), (0, Default::default()));
}

struct Stop<'s>(&'s AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn segments_are_exact_under_writers_of_all_types() {
    let mut random = Random::new(seed("segments_are_exact_under_writers_of_all_types"));
    let (server, lab) = (Mongod::set(), Lab::new());
    fill(&server, "quotes", &mut random);
    let quotes = server.db("shop").collection::<Document>("quotes");
    let (stop, writes) = (AtomicBool::new(false), AtomicU64::new(0));
    let taken = thread::scope(|scope| {
        // However this ends, nobody writes on.
        let _stop = Stop(&stop);
        let writer = scope.spawn(|| {
            let mut number = 40_000;
            while !stop.load(Ordering::Relaxed) {
                number += 1;
                let own = match id(&mut random, number) {
                    Bson::Array(_) | Bson::ObjectId(_) => Bson::Int64(number),
                    own => own,
                };
                let text = "other ".repeat(random.below(200) as usize);
                server
                    .wait(
                        quotes
                            .insert_one(doc! { "_id": own, "text": text })
                            .into_future(),
                    )
                    .unwrap();
                // One of all that there are, of whatever type.
                let skip = random.below(1000) as i64;
                let some = server.wait(
                    quotes
                        .find_one(doc! {})
                        .sort(doc! { "_id": if number % 2 == 0 { 1 } else { -1 } })
                        .projection(doc! { "_id": 1 })
                        .skip(skip as u64)
                        .into_future(),
                );
                let some = some.unwrap().unwrap();
                match number % 3 {
                    0 => drop(server.wait(quotes.delete_one(some).into_future()).unwrap()),
                    _ => {
                        let change = doc! { "$inc": { "n": 1 } };
                        let done = server.wait(quotes.update_one(some, change).into_future());
                        done.unwrap();
                    }
                }
                writes.fetch_add(1, Ordering::Relaxed);
            }
        });
        let mut taken = Vec::new();
        for _ in 0..3 {
            let before = writes.load(Ordering::Relaxed);
            while writes.load(Ordering::Relaxed) < before + 5 && !writer.is_finished() {
                thread::yield_now();
            }
            taken.push(lab.snapshot(&server).1);
        }
        taken
    });
    for snapshot in taken {
        let deployment = snapshot.deployments().next().unwrap();
        let held = on_server(&server, &["shop"], Some(at(deployment)));
        same(&lab.content(&snapshot), &held);
    }
    lab.check();
}
