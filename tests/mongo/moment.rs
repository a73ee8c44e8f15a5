//! Any moment between two snapshots, by what was recorded of the oplog.

use duramen::error::Kind;
use duramen::format::deployment::{Collection, Moment};
use duramen::format::snapshot::{Snapshot, SnapshotKind};
use duramen::ops;
use duramen::ops::recorded;
use duramen::ops::snapshot::{Selection, SnapshotOptions};
use duramen::ops::tail::{TailOptions, TailStep};
use duramen::progress::Silent;
use duramen::replay::replay;
use duramen::repository::Repository;
use duramen::seal::Compression;
use mongodb::bson::{Bson, Document, doc};

use crate::capture::torture;
use crate::common::mongod::Mongod;
use crate::common::random::Random;
use crate::common::{rounds, seed};
use crate::lab::{Content, Lab, options, same};

/// The cluster time that a snapshot shows.
fn time(snapshot: &Snapshot) -> u64 {
    match snapshot.deployments().next().unwrap().moment {
        Moment::At(position) => position.time,
        Moment::Between { .. } => panic!("not one point in time"),
    }
}

/// The snapshot with what happened up to the time of the next one done to it.
pub fn led_on(repository: &Repository, from: &Snapshot, to: &Snapshot) -> Snapshot {
    let slices: Vec<_> = to.slices().collect();
    assert_eq!(slices.len(), 1);
    let base = from.deployments().next().unwrap();
    let replayed = replay(repository, base, &slices, time(to), &Silent)
        .unwrap_or_else(|error| panic!("{}", error.detail()));
    assert!(replayed.notes.is_empty(), "{:?}", replayed.notes);
    let mut snapshot = from.clone();
    let deployment = Box::new(replayed.deployment);
    snapshot.sources = vec![duramen::format::snapshot::SourceRecord::Mongo(deployment)];
    snapshot
}

fn collections(repository: &Repository, snapshot: &Snapshot) -> Vec<Collection> {
    let deployment = snapshot.deployments().next().unwrap();
    let all = repository.collections(deployment);
    let bare = |collection: duramen::error::Result<Collection>| Collection {
        documents: None,
        runs: Vec::new(),
        ..collection.unwrap()
    };
    all.map(bare).collect()
}

/// Name, fields and value of each.
fn shown(collections: &[Collection]) -> Vec<(String, String, Vec<String>)> {
    let document = |bytes: &[u8]| Document::from_reader(bytes).unwrap().to_string();
    let mut all: Vec<_> = collections
        .iter()
        .map(|own| {
            let mut indexes: Vec<String> =
                own.indexes.iter().map(|index| document(&index.0)).collect();
            indexes.sort();
            (own.namespace.clone(), document(&own.options), indexes)
        })
        .collect();
    all.sort();
    all
}

/// What was led on is what was taken.
fn same_all(lab: &Lab, from: &Snapshot, to: &Snapshot) {
    let repository = lab.open();
    let led = led_on(&repository, from, to);
    let (ours, theirs) = (Lab::content_of(&repository, &led), lab.content(to));
    for (namespace, ours) in &ours {
        let theirs = &theirs[namespace];
        let differs = ours.iter().find(|own| !theirs.contains(own));
        if let Some(own) = differs {
            let own = Document::from_reader(&own[..]).unwrap();
            let is = |other: &&Vec<u8>| {
                Document::from_reader(&other[..]).unwrap().get("_id") == own.get("_id")
            };
            let other = theirs
                .iter()
                .find(is)
                .map(|other| Document::from_reader(&other[..]).unwrap());
            let change = to.slices().next().unwrap().run();
            let entries: Vec<String> = repository
                .collection(&[change])
                .map(|entry| {
                    Document::from_reader(&entry.unwrap().bytes[..])
                        .unwrap()
                        .to_string()
                })
                .filter(|text| text.contains(&format!("\"_id\": {}", own.get("_id").unwrap())))
                .collect();
            panic!(
                "{namespace}\nours   {own}\ntheirs {other:?}\n{}",
                entries.join("\n")
            );
        }
    }
    same(&ours, &theirs);
    let (led, taken) = (collections(&repository, &led), collections(&repository, to));
    for (led, taken) in shown(&led).iter().zip(&shown(&taken)) {
        assert_eq!(led, taken);
    }
    let ids = |all: &[Collection]| {
        all.iter()
            .map(|own| (own.uuid, own.kind))
            .collect::<Vec<_>>()
    };
    assert_eq!(ids(&led), ids(&taken));
}

fn value(random: &mut Random, depth: u32) -> Bson {
    match random.below(if depth > 2 { 4 } else { 7 }) {
        0 => Bson::Int32(random.below(100) as i32),
        1 => Bson::String("text ".repeat(random.below(20) as usize)),
        2 => Bson::Null,
        3 => Bson::Double(random.below(1000) as f64 / 7.0),
        4 => {
            let values = (0..random.below(6)).map(|_| value(random, depth + 1));
            Bson::Array(values.collect())
        }
        _ => Bson::Document(fields(random, depth + 1)),
    }
}

fn fields(random: &mut Random, depth: u32) -> Document {
    let mut document = Document::new();
    for _ in 0..random.below(6) {
        let name = ["a", "b", "c", "d", "0", "1"][random.below(6) as usize];
        document.insert(name, value(random, depth));
    }
    document
}

/// A change of any sort that a client may ask for; some the server refuses.
fn change(random: &mut Random) -> Bson {
    let name = ["a", "b", "c", "a.b", "b.c.d", "a.0", "b.1", "c.0.a", "d.5"];
    let path = name[random.below(9) as usize];
    let other = name[random.below(3) as usize];
    let own = value(random, 1);
    let change = match random.below(11) {
        0 => doc! { "$set": { path: own } },
        1 => doc! { "$unset": { path: 1 } },
        2 => doc! { "$push": { path: own } },
        3 => doc! { "$pop": { path: 1 } },
        4 => doc! { "$inc": { path: 3 } },
        5 => doc! { "$rename": { other: "moved" } },
        6 => doc! { "$push": { other: { "$each": [own], "$position": 0, "$slice": 4 } } },
        7 => doc! { "$pull": { path: { "$gt": 20 } } },
        8 => doc! { "$set": { path: own, "e": 1 }, "$unset": { "f": 1 } },
        9 => {
            let replaced = fields(random, 1);
            return Bson::Array(vec![Bson::Document(
                doc! { "$replaceWith": { "$mergeObjects": [ { "$literal": replaced }, { "_id": "$_id", "a": "$b" } ] } },
            )]);
        }
        _ => fields(random, 0),
    };
    Bson::Document(change)
}

/// Whatever clients do to documents: the server's own changes of them, replayed here, come to what the server has.
#[test]
fn changes_of_every_sort_lead_to_what_the_server_has() {
    let mut random = Random::new(seed("changes_of_every_sort_lead_to_what_the_server_has"));
    let (server, lab) = (Mongod::set(), Lab::new());
    let all: Vec<Document> = (0..300)
        .map(|id| {
            let mut document = doc! { "_id": id };
            document.extend(fields(&mut random, 0));
            document
        })
        .collect();
    server.insert("shop", "things", all);
    let (_, mut before) = lab.snapshot(&server);
    for round in 0..rounds(3, 20) {
        let mut refused = 0;
        for _ in 0..600 {
            let id = random.below(330) as i32;
            let command = match random.below(20) {
                0 => {
                    doc! { "delete": "things", "deletes": [ { "q": { "_id": id }, "limit": 1 } ] }
                }
                1 => {
                    let mut document = doc! { "_id": id };
                    document.extend(fields(&mut random, 0));
                    doc! { "insert": "things", "documents": [ document ] }
                }
                _ => {
                    let update = doc! { "q": { "_id": id }, "u": change(&mut random) };
                    doc! { "update": "things", "updates": [ update ] }
                }
            };
            let database = server.db("shop");
            let answer = server.wait(database.run_command(command).into_future());
            let answer = answer.unwrap_or_default();
            refused += usize::from(answer.contains_key("writeErrors") || answer.is_empty());
        }
        println!("round {round}: {refused} of 600 refused");
        let (_, after) = lab.snapshot(&server);
        same_all(&lab, &before, &after);
        before = after;
    }
    lab.check();
}

/// Collections made, renamed, dropped, their options and indexes changed, views, capped ones and series.
#[test]
fn whatever_happens_to_collections_is_replayed() {
    let (server, lab) = (Mongod::set(), Lab::new());
    torture(&server);
    server.insert(
        "shop",
        "quotes",
        (0..500).map(|n| doc! { "_id": n, "n": n }).collect(),
    );
    server.insert("shop", "old", vec![doc! { "_id": 1 }]);
    server.insert("shop", "gone", vec![doc! { "_id": 1 }]);
    server.insert("dropped", "whole", vec![doc! { "_id": 1 }]);
    server.run(
        "shop",
        doc! { "create": "log", "capped": true, "size": 8192, "max": 30 },
    );
    server.insert("shop", "log", (0..40).map(|n| doc! { "_id": n }).collect());
    server.run(
        "shop",
        doc! { "create": "seen", "viewOn": "quotes", "pipeline": [] },
    );
    server.run(
        "shop",
        doc! { "create": "lost", "viewOn": "quotes", "pipeline": [] },
    );
    let (_, before) = lab.snapshot(&server);

    let index = |name: &str, field: &str| doc! { "key": { field: 1 }, "name": name };
    server.run("shop", doc! { "createIndexes": "quotes", "indexes": [ index("n", "n"), { "key": { "at": 1 }, "name": "at", "expireAfterSeconds": 100_000 } ] });
    server.run(
        "shop",
        doc! { "collMod": "quotes", "index": { "name": "at", "expireAfterSeconds": 200_000 } },
    );
    server.run(
        "shop",
        doc! { "collMod": "quotes", "index": { "name": "n", "hidden": true } },
    );
    server.run("shop", doc! { "collMod": "quotes", "validator": { "n": { "$gte": 0 } }, "validationLevel": "moderate" });
    server.run(
        "shop",
        doc! { "createIndexes": "old", "indexes": [ index("x", "x"), index("y", "y") ] },
    );
    server.run("shop", doc! { "dropIndexes": "old", "index": "x" });
    server.run("shop", doc! { "update": "quotes", "updates": [ { "q": { "n": { "$mod": [3, 0] } }, "u": { "$set": { "half": 0.5 } }, "multi": true } ] });
    server.run(
        "admin",
        doc! { "renameCollection": "shop.old", "to": "other.new" },
    );
    server.insert("other", "new", vec![doc! { "_id": 2 }]);
    server.run("shop", doc! { "drop": "gone" });
    server.insert("shop", "gone", vec![doc! { "_id": 5, "again": true }]);
    server.run("dropped", doc! { "dropDatabase": 1 });
    server.insert("shop", "log", (40..75).map(|n| doc! { "_id": n }).collect());
    server.run("shop", doc! { "collMod": "seen", "viewOn": "gone", "pipeline": [ { "$match": { "again": true } } ] });
    server.run("shop", doc! { "drop": "lost" });
    server.run("shop", doc! { "create": "fresh", "viewOn": "gone", "pipeline": [], "collation": { "locale": "de" } });
    server.run(
        "shop",
        doc! { "create": "coll", "collation": { "locale": "en", "strength": 2 } },
    );
    server.insert(
        "shop",
        "coll",
        vec![doc! { "_id": "b" }, doc! { "_id": "A" }],
    );
    server.run("shop", doc! { "aggregate": "quotes", "pipeline": [ { "$match": { "n": { "$lt": 9 } } }, { "$out": "few" } ], "cursor": {} });
    server.run("shop", doc! { "convertToCapped": "few", "size": 4096 });
    server.run("shop", doc! { "create": "weather", "timeseries": { "timeField": "t", "metaField": "m" }, "expireAfterSeconds": 1_000_000_000 });
    let measured = |n: i64| doc! { "t": mongodb::bson::DateTime::from_millis(1_790_000_000_000 + n * 1000), "m": n % 3, "v": n };
    server.insert("shop", "weather", (0..50).map(measured).collect());
    let (_, after) = lab.snapshot(&server);
    same_all(&lab, &before, &after);
    // And on from what is empty of all that, and from there again.
    server.insert("shop", "weather", (50..90).map(measured).collect());
    server.run("torture", doc! { "dropDatabase": 1 });
    let (_, last) = lab.snapshot(&server);
    same_all(&lab, &after, &last);
}

fn tail(lab: &Lab, server: &Mongod, selection: &Selection) -> Vec<TailStep> {
    let options = TailOptions {
        address: server.address(),
        collections: selection.clone(),
        every: std::time::Duration::from_secs(1),
        once: true,
        host: String::new(),
        user: String::new(),
        tags: Vec::new(),
        compression: Compression::Default,
    };
    let mut steps = Vec::new();
    let mut step = |step: &TailStep| {
        steps.push(step.clone());
        Ok(())
    };
    ops::tail::run(&lab.open(), &options, &Silent, &mut step)
        .unwrap_or_else(|error| panic!("{}", error.detail()));
    steps
}

/// A second later, with something done after it: then it is over and recorded.
fn next_second(server: &Mongod) -> i64 {
    std::thread::sleep(std::time::Duration::from_millis(1100));
    server.insert("clock", "ticks", vec![doc! {}]);
    let hello = server.run("admin", doc! { "hello": 1 });
    i64::from(hello.get_timestamp("operationTime").unwrap().time)
}

const SECOND: i64 = 1_000_000_000;

fn quotes(lab: &Lab, second: i64) -> duramen::error::Result<Content> {
    let repository = lab.open();
    let snapshot = recorded::at_moment(&repository, &lab.latest(), second * SECOND, &Silent)?;
    let mut content = Lab::content_of(&repository, &snapshot);
    content.retain(|namespace, _| namespace.starts_with("shop."));
    Ok(content)
}

fn names(content: &Content) -> Vec<Vec<i32>> {
    let id = |bytes: &Vec<u8>| {
        Document::from_reader(&bytes[..])
            .unwrap()
            .get_i32("_id")
            .unwrap()
    };
    content
        .values()
        .map(|all| all.iter().map(id).collect())
        .collect()
}

#[test]
fn any_second_is_had_back_by_what_was_recorded_in_between() {
    let (server, lab) = (Mongod::set(), Lab::new());
    server.insert("shop", "quotes", vec![doc! { "_id": 1 }]);
    lab.snapshot(&server);
    let first = next_second(&server);
    assert_eq!(quotes(&lab, first).unwrap_err().kind(), Kind::NotFound);
    server.insert("shop", "quotes", vec![doc! { "_id": 2 }]);
    let second = next_second(&server);
    assert_eq!(tail(&lab, &server, &Selection::default()).len(), 1);
    server.run("shop", doc! { "drop": "quotes" });
    let third = next_second(&server);
    let steps = tail(&lab, &server, &Selection::default());
    assert_eq!(steps.len(), 1);
    // `latest` is what shows something, not what was recorded since.
    assert!(lab.latest().shows());
    let at_all = |second| names(&quotes(&lab, second).unwrap());
    // The insert may stand in the same second as the tick before it.
    assert!(at_all(first).len() == 1);
    assert_eq!(at_all(second - 1), [[1, 2]]);
    assert!(at_all(third - 1).is_empty());
    assert_eq!(quotes(&lab, third + 60).unwrap_err().kind(), Kind::NotFound);
    // A stretch is neither the parent of a snapshot nor in its way; the next one records from the one before on.
    let (summary, snapshot) = lab.snapshot(&server);
    assert!(summary.parent.is_some() && summary.deployments[0].recorded.is_some());
    assert_eq!(snapshot.slices().count(), 1);
    let (timelines, _) = ops::timeline::run(&lab.open(), &ops::select::Filter::default()).unwrap();
    assert_eq!(timelines.len(), 1);
    assert_eq!((timelines[0].ranges.len(), timelines[0].gaps.len()), (1, 0));
    assert_eq!((timelines[0].snapshots.len(), timelines[0].slices), (2, 3));
    // No rule that counts drops what leads on from a snapshot that stays.
    let rules = ops::forget::ForgetOptions {
        policy: ops::forget::Policy {
            last: 1,
            ..ops::forget::Policy::default()
        },
        keep_names: Vec::new(),
        grouping: ops::forget::Grouping::default(),
        filter: ops::select::Filter::default(),
        zone: jiff::tz::TimeZone::UTC,
        ignore_stored_times: false,
        dry_run: false,
    };
    let forget = || {
        let summary = ops::forget::by_rules(&lab.open(), &rules, &Silent).unwrap();
        summary.count()
    };
    assert_eq!(forget(), (3, 1));
    // The older snapshot is gone, and with it what they are good for; the last of a source stays all the same.
    assert_eq!(forget(), (2, 1));
    lab.check();
}

/// What was not recorded is left out and said so, and never shown as it was at some other time.
#[test]
fn what_was_not_recorded_is_left_out() {
    let (server, lab) = (Mongod::set(), Lab::new());
    server.insert("shop", "quotes", vec![doc! { "_id": 1 }]);
    server.insert("shop", "private", vec![doc! { "_id": 1 }]);
    lab.snapshot(&server);
    server.insert("shop", "quotes", vec![doc! { "_id": 2 }]);
    server.insert("shop", "private", vec![doc! { "_id": 2 }]);
    let over = next_second(&server);
    server.insert("shop", "quotes", vec![doc! { "_id": 3 }]);
    let without = Selection {
        exclude: vec!["shop.private".into()],
        ..Selection::default()
    };
    let steps = tail(&lab, &server, &without);
    assert_eq!(steps.len(), 1);
    let content = quotes(&lab, over - 1).unwrap();
    assert_eq!(content.keys().collect::<Vec<_>>(), ["shop.quotes"]);
    let repository = lab.open();
    let all = ops::select::list(&repository, &ops::select::Filter::default()).unwrap();
    let slice = all.iter().find(|snapshot| !snapshot.shows()).unwrap();
    let entries = slice.slices().next().unwrap().run();
    for entry in repository.collection(&[entries]) {
        let bytes = entry.unwrap().bytes;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        assert!(!text.contains("private"), "{text}");
    }
}

#[test]
fn full_and_forced_snapshots_leave_no_gap() {
    let (server, lab) = (Mongod::set(), Lab::new());
    server.insert(
        "shop",
        "quotes",
        (0..50).map(|id| doc! { "_id": id }).collect(),
    );
    let (_, mut before) = lab.snapshot(&server);
    for (kind, force) in [
        (SnapshotKind::Full, false),
        (SnapshotKind::Incremental, true),
        (SnapshotKind::Incremental, false),
    ] {
        let some =
            doc! { "q": { "_id": { "$mod": [7, 1] } }, "u": { "$inc": { "n": 1 } }, "multi": true };
        server.run("shop", doc! { "update": "quotes", "updates": [some] });
        let options = SnapshotOptions {
            kind,
            force,
            ..options(&server.address())
        };
        let summary = ops::snapshot::run(&lab.open(), &options, &Silent).unwrap();
        let anew = u64::from(force || kind == SnapshotKind::Full);
        assert_eq!(summary.deployments[0].collections_read, anew);
        let snapshot = lab.latest();
        let repository = lab.open();
        let led = led_on(&repository, &before, &snapshot);
        same(&Lab::content_of(&repository, &led), &lab.content(&snapshot));
        before = snapshot;
    }
    lab.check();
}

#[test]
fn history_follows_a_name_through_collections_that_come_and_go() {
    let (server, lab) = (Mongod::set(), Lab::new());
    let insert = |collection: &str, version: i32| {
        server.insert("shop", collection, vec![doc! { "_id": 7, "v": version }]);
    };
    let update = |collection: &str, version: i32| {
        let some = doc! { "q": { "_id": 7 }, "u": { "$set": { "v": version } } };
        server.run("shop", doc! { "update": collection, "updates": [some] });
    };
    let rename = |from: &str, to: &str| {
        let both = doc! { "renameCollection": format!("shop.{from}"), "to": format!("shop.{to}"), "dropTarget": true };
        server.run("admin", both);
    };
    insert("quotes", 1);
    lab.snapshot(&server);
    update("quotes", 2);
    server.run("shop", doc! { "drop": "quotes" });
    insert("quotes", 3);
    update("quotes", 4);
    insert("fresh", 5);
    rename("fresh", "quotes");
    update("quotes", 6);
    rename("quotes", "aside");
    // What happens to it under another name is none of it.
    update("aside", 7);
    insert("brief", 1);
    server.run("shop", doc! { "drop": "brief" });
    insert("quotes", 8);
    lab.snapshot(&server);
    let history = |collection: &str, id: &str| {
        let all = ops::select::Filter::default();
        let namespace = format!("shop.{collection}");
        ops::document_history::run(&lab.open(), &namespace, id, &all, &Silent)
    };
    let versions = |collection: &str| -> Vec<Option<i64>> {
        let versions = history(collection, "7").unwrap();
        let number = |text: String| {
            let document: serde_json::Value = serde_json::from_str(&text).unwrap();
            document["v"].as_i64().unwrap()
        };
        versions
            .into_iter()
            .map(|own| own.document.map(number))
            .collect()
    };
    let (gone, some) = (None, Some);
    assert_eq!(
        versions("quotes"),
        [
            some(1),
            some(2),
            gone,
            some(3),
            some(4),
            some(5),
            some(6),
            gone,
            some(8)
        ]
    );
    assert_eq!(versions("brief"), [some(1), gone]);
    assert_eq!(versions("aside"), [some(6), some(7)]);
    for (collection, id) in [("quotes", "nobody"), ("nothing", "7")] {
        assert_eq!(history(collection, id).unwrap_err().kind(), Kind::NotFound);
    }
}
