//! Snapshots by a user who may read one database and nothing else: a change stream says what was touched.

use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::thread;
use std::time::Duration;

use duramen::error::Kind;
use duramen::format::deployment::{CollectionKind, Moment};
use duramen::format::snapshot::{Snapshot, SnapshotKind};
use duramen::ops::level::Compression;
use duramen::ops::snapshot::{Selection, SnapshotSummary};
use duramen::ops::tail::{self, TailOptions};
use duramen::progress::Silent;
use mongodb::bson::{Bson, Document, doc};

use crate::common::mongod::Mongod;
use crate::common::random::Random;
use crate::common::{rounds, seed};
use crate::lab::{Content, Lab, at, on_server, same};
use crate::writers::{ACCOUNTS, EACH, chatter, move_money, sum};

/// The address of a database for a user who may read it.
fn reader(server: &Mongod, database: &str) -> String {
    let role = doc! { "role": "read", "db": database };
    let user = doc! { "createUser": "reader", "pwd": "secret", "roles": [role] };
    server.run("admin", user);
    let address = server.address_of(database);
    address.replacen("root:secret", "reader:secret", 1)
}

fn take(lab: &Lab, address: &str) -> (SnapshotSummary, Snapshot) {
    let summary = lab
        .take(address, &Selection::default())
        .unwrap_or_else(|error| panic!("{}", error.detail()));
    (summary, lab.latest())
}

/// A snapshot that is the database as the server shows it; how many documents were read for it.
fn exact(server: &Mongod, lab: &Lab, address: &str) -> u64 {
    let (summary, snapshot) = take(lab, address);
    let deployment = snapshot.deployments().next().unwrap();
    let content = lab.content(&snapshot);
    same(
        &content,
        &on_server(server, &["shop"], Some(at(deployment))),
    );
    let own = &summary.deployments[0];
    assert!(own.recorded.is_none());
    let Moment::At(moment) = own.moment else {
        panic!("{own:?}")
    };
    assert!(!moment.is_proven());
    // What exists is as it is listed.
    let mut listed = server.listed("shop");
    listed.retain(|(each, _)| {
        let name = each.get_str("name").unwrap();
        !name.starts_with("system.") || name == "system.js"
    });
    let stored = lab.collections(&snapshot);
    assert_eq!(stored.len(), listed.len());
    for (own, (each, indexes)) in stored.iter().zip(&listed) {
        assert_eq!(own.name(), each.get_str("name").unwrap());
        assert_eq!(own.indexes.len(), indexes.len(), "{}", own.namespace);
        let options = Document::from_reader(&own.options[..]).unwrap();
        assert_eq!(&options, each.get_document("options").unwrap());
    }
    own.documents_read
}

#[test]
fn who_may_only_read_takes_what_changed() {
    let (server, lab) = (Mongod::guarded(), Lab::new());
    let address = reader(&server, "shop");
    let numbered = |ids: std::ops::Range<i32>| ids.map(|id| doc! { "_id": id, "n": id }).collect();
    server.insert("shop", "quotes", numbered(0..2000));
    server.insert("shop", "sessions", numbered(0..500));
    server.insert("other", "secrets", numbered(0..10));
    let log = doc! { "create": "log", "capped": true, "size": 1 << 16, "max": 50 };
    server.run("shop", log);
    server.insert("shop", "log", numbered(0..40));
    server.insert("shop", "system.js", vec![doc! { "_id": "f", "value": 1 }]);
    let view = doc! { "create": "cheap", "viewOn": "quotes", "pipeline": [] };
    server.run("shop", view.clone());
    assert_eq!(exact(&server, &lab, &address), 2541);
    let (log, code) = (40, 1);
    // Nothing happened; nor did anything of this database.
    assert_eq!(exact(&server, &lab, &address), log + code);
    server.insert("other", "secrets", numbered(10..20));
    assert_eq!(exact(&server, &lab, &address), log + code);
    // Documents come, change, and go, some by themselves and some together.
    server.insert("shop", "quotes", numbered(2000..2010));
    let change = doc! { "q": { "n": { "$lt": 7 } }, "u": { "$set": { "x": 1 } }, "multi": true };
    server.run("shop", doc! { "update": "quotes", "updates": [change] });
    let gone = doc! { "q": { "n": { "$gte": 1990, "$lt": 2000 } }, "limit": 0 };
    server.run("shop", doc! { "delete": "quotes", "deletes": [gone] });
    server.wait(async {
        let mut session = server.db("shop").client().start_session().await.unwrap();
        session.start_transaction().await.unwrap();
        for name in ["quotes", "sessions"] {
            let of = server.db("shop").collection::<Document>(name);
            let change = doc! { "$inc": { "n": 5 } };
            for id in 100..103 {
                of.update_one(doc! { "_id": id }, change.clone())
                    .session(&mut session)
                    .await
                    .unwrap();
            }
        }
        session.commit_transaction().await.unwrap();
    });
    assert_eq!(exact(&server, &lab, &address), 10 + 7 + 6 + log + code);
    // What a change stream is silent about, and what comes whole.
    server.insert("shop", "log", numbered(40..70));
    let change = doc! { "q": { "_id": "f" }, "u": { "_id": "f", "value": 2 } };
    server.run("shop", doc! { "update": "system.js", "updates": [change] });
    server.run("shop", doc! { "drop": "cheap" });
    let view = doc! { "create": "cheap", "viewOn": "sessions", "pipeline": [] };
    server.run("shop", view);
    let (log, nothing) = (50, 0);
    assert_eq!(exact(&server, &lab, &address), nothing + log + code);
    // The catalogue.
    let keys = doc! { "key": { "n": 1 }, "name": "n" };
    server.run(
        "shop",
        doc! { "createIndexes": "quotes", "indexes": [keys] },
    );
    let validator = doc! { "n": { "$type": "int" } };
    server.run(
        "shop",
        doc! { "collMod": "sessions", "validator": validator },
    );
    assert_eq!(exact(&server, &lab, &address), log + code);
    let rename = doc! { "renameCollection": "shop.sessions", "to": "shop.talks" };
    server.run("admin", rename);
    assert_eq!(exact(&server, &lab, &address), log + code);
    server.insert("shop", "next", numbered(0..30));
    let over = doc! { "renameCollection": "shop.next", "to": "shop.talks", "dropTarget": true };
    server.run("admin", over);
    assert_eq!(exact(&server, &lab, &address), 30 + log + code);
    server.run("shop", doc! { "drop": "talks" });
    server.insert("shop", "talks", numbered(0..3));
    assert_eq!(exact(&server, &lab, &address), 3 + log + code);
    // A database that goes ends the stream, and what comes after is told all the same.
    server.run("shop", doc! { "dropDatabase": 1 });
    server.insert("shop", "quotes", numbered(5..9));
    assert_eq!(exact(&server, &lab, &address), 4);
    server.insert("shop", "quotes", numbered(0..1));
    assert_eq!(exact(&server, &lab, &address), 1);
    lab.check();
}

#[test]
fn one_may_go_on_where_the_other_left_off() {
    let (server, lab) = (Mongod::guarded(), Lab::new());
    let (reader, owner) = (reader(&server, "shop"), server.address_of("shop"));
    let numbered = |ids: std::ops::Range<i32>| ids.map(|id| doc! { "_id": id, "n": id }).collect();
    server.insert("shop", "quotes", numbered(0..1000));
    take(&lab, &owner);
    // What a reader took names no entry of the oplog: recording begins with the newest one, and misses nothing.
    let fresh = Lab::new();
    take(&fresh, &reader);
    let recorded = TailOptions {
        address: owner.clone(),
        collections: Selection::default(),
        host: String::new(),
        user: String::new(),
        tags: Vec::new(),
        every: Duration::from_secs(1),
        compression: Compression::Default,
        once: true,
    };
    let gaps = tail::run(&fresh.open(), &recorded, &Silent, &mut |_| Ok(()));
    assert_eq!(gaps.unwrap(), 0);
    let mut next = 1000;
    for address in [&reader, &reader, &owner, &owner, &reader] {
        server.insert("shop", "quotes", numbered(next..next + 3));
        next += 3;
        let (summary, snapshot) = take(&lab, address);
        assert_eq!(summary.kind, SnapshotKind::Incremental);
        assert_eq!(summary.deployments[0].documents_read, 3);
        let deployment = snapshot.deployments().next().unwrap();
        let held = on_server(&server, &["shop"], Some(at(deployment)));
        same(&lab.content(&snapshot), &held);
    }
    lab.check();
}

#[test]
fn what_only_the_oplog_tells_of_is_refused() {
    let (server, lab) = (Mongod::guarded(), Lab::new());
    let address = reader(&server, "shop");
    let series = doc! { "create": "weather", "timeseries": { "timeField": "t" } };
    server.run("shop", series);
    server.insert("shop", "quotes", vec![doc! { "_id": 1 }]);
    let error = lab.take(&address, &Selection::default()).unwrap_err();
    assert_eq!(error.kind(), Kind::Permission);
    assert!(error.detail().contains("time series"), "{}", error.detail());
    let without = Selection {
        exclude: vec!["shop.weather".into()],
        ..Selection::default()
    };
    lab.take(&address, &without).unwrap();
    let names: Vec<String> = lab.content(&lab.latest()).into_keys().collect();
    assert_eq!(names, ["shop.quotes"]);
    // All databases are not his to see.
    let all = address.replacen("/shop?", "/?", 1);
    let error = lab.take(&all, &Selection::default()).unwrap_err();
    assert_eq!(error.kind(), Kind::Permission);
}

#[test]
fn who_may_read_all_databases_takes_all() {
    let (server, lab) = (Mongod::guarded(), Lab::new());
    let user = doc! { "createUser": "all", "pwd": "secret", "roles": ["readAnyDatabase"] };
    server.run("admin", user);
    let address = server.address_as("all", "secret");
    for name in ["chat", "shop"] {
        server.insert(name, "one", (0..50).map(|id| doc! { "_id": id }).collect());
    }
    let both = ["chat", "shop"];
    take(&lab, &address);
    server.insert("chat", "one", vec![doc! { "_id": 50 }]);
    server.run("shop", doc! { "dropDatabase": 1 });
    server.insert("shop", "two", vec![doc! { "_id": 1 }]);
    let (summary, snapshot) = take(&lab, &address);
    assert_eq!(summary.deployments[0].documents_read, 2);
    let deployment = snapshot.deployments().next().unwrap();
    let held = on_server(&server, &both, Some(at(deployment)));
    same(&lab.content(&snapshot), &held);
    // A stream tells nothing of `admin`; nor of what the server itself keeps there.
    let notes = |number: i32| vec![doc! { "_id": number, "n": number }];
    server.insert("admin", "notes", notes(1));
    take(&lab, &address);
    server.insert("admin", "notes", notes(2));
    let change = doc! { "q": { "_id": 1 }, "u": { "$set": { "n": 7 } } };
    server.run("admin", doc! { "update": "notes", "updates": [change] });
    let (_, other) = take(&lab, &address);
    let deployment = other.deployments().next().unwrap();
    let databases = ["admin", "chat", "shop"];
    let held = on_server(&server, &databases, Some(at(deployment)));
    same(&lab.content(&other), &held);
    let kinds: Vec<CollectionKind> = lab
        .collections(&snapshot)
        .iter()
        .map(|own| own.kind)
        .collect();
    assert_eq!(kinds, [CollectionKind::Plain; 2]);
}

#[test]
fn every_snapshot_of_a_reader_is_the_database_at_its_time() {
    let mut random = Random::new(seed(
        "every_snapshot_of_a_reader_is_the_database_at_its_time",
    ));
    let (server, lab) = (Mongod::guarded(), Lab::new());
    let address = reader(&server, "bank");
    for name in ["a", "b"] {
        let account = |id: i32| doc! { "_id": id, "balance": EACH };
        server.insert("bank", name, (0..ACCOUNTS).map(account).collect());
    }
    let all = 2 * i64::from(ACCOUNTS) * EACH;
    let log = doc! { "create": "log", "capped": true, "size": 1 << 20, "max": 3000 };
    server.run("bank", log);
    for (name, id) in [
        ("log", Bson::Int32(0)),
        ("system.js", "f".into()),
        ("chat", "c".into()),
    ] {
        server.insert("bank", name, vec![doc! { "_id": id }]);
    }
    let (stop, written) = (AtomicBool::new(false), AtomicI32::new(0));
    thread::scope(|scope| {
        for number in 0..7 {
            let own = Random::new(random.next());
            let (server, stop, written) = (&server, &stop, &written);
            scope.spawn(move || match number {
                4 => chatter(server, own, stop),
                5 => write_log(server, stop, written),
                6 => unsettle(server, own, stop),
                _ => move_money(server, own, stop),
            });
        }
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for round in 0..rounds(8, 50) {
                let written_before = written.load(Ordering::Relaxed);
                let (summary, snapshot) = take(&lab, &address);
                let deployment = snapshot.deployments().next().unwrap();
                let mut content = lab.content(&snapshot);
                is_a_stretch(&content["bank.log"], written_before);
                // What comes and goes all the time the server cannot show of a moment ago.
                let mut held = Content::new();
                for name in ["a", "b", "chat", "system.js"] {
                    let mut documents = server.raw("bank", name, Some(at(deployment)));
                    documents.sort();
                    held.insert(format!("bank.{name}"), documents);
                }
                content.retain(|name, _| held.contains_key(name));
                same(&content, &held);
                assert_eq!(sum(&content["bank.a"]) + sum(&content["bank.b"]), all);
                println!("round {round}: {:?}", summary.deployments[0]);
                thread::sleep(Duration::from_millis(random.below(300)));
            }
        }));
        stop.store(true, Ordering::Relaxed);
        if let Err(panic) = outcome {
            std::panic::resume_unwind(panic);
        }
    });
    lab.check();
}

/// What a capped collection holds, which its server shows at no time of the past: numbers without a hole, each document whole.
fn is_a_stretch(documents: &[Vec<u8>], at_least: i32) {
    let numbers: Vec<i32> = documents
        .iter()
        .map(|own| {
            let own = Document::from_reader(&own[..]).unwrap();
            let id = own.get_i32("_id").unwrap();
            assert!(id == 0 || own.get_i32("n").unwrap() == -id, "{own}");
            id
        })
        .collect();
    let last = numbers.last();
    assert!(
        last.is_some_and(|last| *last >= at_least),
        "{last:?} {at_least}"
    );
    assert!(
        numbers.windows(2).all(|two| two[1] == two[0] + 1),
        "{numbers:?}"
    );
}

/// Fills a capped collection with numbers that follow each other.
fn write_log(server: &Mongod, stop: &AtomicBool, written: &AtomicI32) {
    let mut next = 1;
    while !stop.load(Ordering::Relaxed) {
        let some = (next..next + 10).map(|id| doc! { "_id": id, "n": -id });
        server.insert("bank", "log", some.collect());
        next += 10;
        written.store(next - 1, Ordering::Relaxed);
        thread::sleep(Duration::from_millis(2));
    }
}

/// Makes, renames and drops collections and views, and changes code of the server's.
fn unsettle(server: &Mongod, mut random: Random, stop: &AtomicBool) {
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        number += 1;
        let (name, view) = (format!("tmp{number}"), format!("view{number}"));
        let to = format!("{name}.renamed");
        server.insert(
            "bank",
            &name,
            (0..20).map(|id| doc! { "_id": id }).collect(),
        );
        server.run(
            "admin",
            doc! { "renameCollection": format!("bank.{name}"), "to": format!("bank.{to}") },
        );
        server.run(
            "bank",
            doc! { "create": &view, "viewOn": "chat", "pipeline": [] },
        );
        let change = doc! { "q": { "_id": "f" }, "u": { "_id": "f", "value": number } };
        server.run("bank", doc! { "update": "system.js", "updates": [change] });
        thread::sleep(Duration::from_millis(200 + random.below(500)));
        server.run("bank", doc! { "drop": to });
        server.run("bank", doc! { "drop": view });
    }
}
