//! A restore that is killed: it is made whole by the same one, or taken back, and what it left half is named.

use std::process::Child;
use std::time::{Duration, Instant};

use mongodb::bson::{Document, doc};

use crate::common::mongod::Mongod;
use crate::common::place::Place;
use crate::common::random::Random;
use crate::common::seed;
use crate::lab::{on_server, same};

/// Documents of about a kilobyte, like those of a chat.
fn conversations(random: &mut Random, count: i32) -> Vec<Document> {
    (0..count)
        .map(|number| {
            let words: String = random.bytes(700).iter().map(|byte| char::from(b'a' + byte % 20)).collect();
            doc! { "_id": number, "user": number % 977, "messages": [ { "from": "user", "text": &words[..300] }, { "from": "bot", "text": &words[300..] } ] }
        })
        .collect()
}

fn fill(server: &Mongod, collection: &str, documents: &[Document]) {
    for some in documents.chunks(5000) {
        server.insert("shop", collection, some.to_vec());
    }
}

fn count(server: &Mongod, collection: &str) -> i64 {
    let found = server.run("shop", doc! { "count": collection });
    found
        .get_i32("n")
        .map(i64::from)
        .or_else(|_| found.get_i64("n"))
        .unwrap()
}

/// Begins a restore and kills it once so many documents of a collection are there; whether it came that far.
fn killed_at(place: &Place, address: &str, server: &Mongod, collection: &str, at: i64) -> bool {
    let mut command = place.command();
    command.args([
        "restore",
        "latest",
        "--target",
        address,
        "--conflict",
        "overwrite",
        "--quiet",
    ]);
    let mut child: Child = command.stdout(std::process::Stdio::null()).spawn().unwrap();
    let end = Instant::now() + Duration::from_secs(60);
    while count(server, collection) < at {
        assert!(Instant::now() < end, "it does not get there");
        if child.try_wait().unwrap().is_some() {
            return false;
        }
    }
    child.kill().unwrap();
    !child.wait().unwrap().success()
}

fn half(server: &Mongod) -> usize {
    server.raw("shop", "duramen_restoring", None).len()
}

#[test]
fn a_killed_restore_is_made_whole_or_taken_back() {
    let mut random = Random::new(seed("killed restores"));
    let (server, place) = (Mongod::set(), Place::new("mongo-killed"));
    let documents = conversations(&mut random, 30_000);
    fill(&server, "a", &documents[..15_000]);
    fill(&server, "b", &documents);
    server.run(
        "shop",
        doc! { "createIndexes": "b", "indexes": [ { "key": { "user": 1 }, "name": "user" } ] },
    );
    place.run(["snapshot", &server.address()]).ok();
    let whole = on_server(&server, &["shop"], None);
    let other = Mongod::set();
    let to = other.address();
    // What was there before: other documents under the same `_id`s, and one of its own.
    let old: Vec<Document> = (0..50)
        .chain([99_999])
        .map(|id| doc! { "_id": id, "old": true })
        .collect();
    other.insert("shop", "a", old);
    let before = on_server(&other, &["shop"], None);

    // Killed in the second collection, which is new, and taken back.
    assert!(killed_at(&place, &to, &other, "b", 3000));
    assert!(half(&other) > 0, "a half collection passes for a whole one");
    assert!(count(&other, "b") < 30_000);
    place.run(["rollback", "--target", &to]).ok();
    let mut back = on_server(&other, &["shop"], None);
    back.retain(|_, documents| !documents.is_empty());
    same(&back, &before);

    // Killed in the first and in the second, and made whole by the same again.
    for (collection, at) in [("a", 2000), ("b", 4000), ("b", 20_000)] {
        assert!(
            killed_at(&place, &to, &other, collection, at),
            "{collection} at {at}"
        );
    }
    place
        .run([
            "restore",
            "latest",
            "--target",
            &to,
            "--conflict",
            "overwrite",
        ])
        .ok();
    let mut found = on_server(&other, &["shop"], None);
    let own = found.get_mut("shop.a").unwrap();
    let count = own.len();
    own.retain(|document| !document.windows(5).any(|five| five == b"\x08old\0"));
    assert_eq!(own.len(), count - 1);
    found.remove("shop.duramen_restoring");
    same(&found, &whole);
    assert_eq!(half(&other), 0);
    let indexes = other
        .listed("shop")
        .into_iter()
        .find(|(own, _)| own.get_str("name") == Ok("b"))
        .unwrap()
        .1;
    assert_eq!(indexes.len(), 2);
}

/// A load like that of the services that this is for.
#[test]
fn a_hundred_thousand_conversations_come_back() {
    let mut random = Random::new(seed("conversations"));
    let (server, place) = (Mongod::set(), Place::new("mongo-load"));
    fill(
        &server,
        "conversations",
        &conversations(&mut random, 100_000),
    );
    place.run(["snapshot", &server.address()]).ok();
    let other = Mongod::set();
    let begun = Instant::now();
    let summary = place
        .run(["restore", "latest", "--target", &other.address()])
        .ok()
        .summary();
    println!(
        "100,000 conversations restored in {:.1} s",
        begun.elapsed().as_secs_f64()
    );
    assert_eq!(summary["collections"][0]["verified"], 100_000, "{summary}");
    same(
        &on_server(&other, &["shop"], None),
        &on_server(&server, &["shop"], None),
    );
}
