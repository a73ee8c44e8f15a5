//! Snapshots while others write: each is the deployment at one time, whatever happened around it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use duramen::format::snapshot::Snapshot;
use duramen::ops::recorded::at_moment;
use duramen::ops::restore_deployment::{self, Conflict, DeploymentRestoreOptions};
use duramen::progress::Silent;
use mongodb::bson::{Bson, Document, doc};

use crate::common::mongod::Mongod;
use crate::common::random::Random;
use crate::common::{rounds, seed};
use crate::lab::{Content, Lab, at, on_server, same};
use crate::moment::led_on;

pub const ACCOUNTS: i32 = 400;
pub const EACH: i64 = 1000;

/// Moves money between two collections until it is told to stop.
pub fn move_money(server: &Mongod, mut random: Random, stop: &AtomicBool) {
    let accounts = ["a", "b"].map(|name| server.db("bank").collection::<Document>(name));
    while !stop.load(Ordering::Relaxed) {
        let (from, to) = (random.below(2), random.below(2));
        let (giver, taker) = (random.below(ACCOUNTS as u64), random.below(ACCOUNTS as u64));
        let amount = random.below(50) as i64;
        let moved = server.wait(async {
            let mut session = server.db("bank").client().start_session().await?;
            session.start_transaction().await?;
            for (collection, id, by) in [(from, giver, -amount), (to, taker, amount)] {
                let change = doc! { "$inc": { "balance": by } };
                accounts[collection as usize]
                    .update_one(doc! { "_id": id as i32 }, change)
                    .session(&mut session)
                    .await?;
            }
            session.commit_transaction().await
        });
        // Two that want the same account: one of them gives way.
        drop(moved);
    }
}

/// Inserts, changes and removes documents that nobody counts.
pub fn chatter(server: &Mongod, mut random: Random, stop: &AtomicBool) {
    let mut next = 0;
    while !stop.load(Ordering::Relaxed) {
        let documents: Vec<Document> = (next..next + 20)
            .map(|number| doc! { "_id": format!("{number:x}{}", random.below(1 << 30)), "n": number })
            .collect();
        next += 20;
        server.run("bank", doc! { "insert": "chat", "documents": documents });
        let some = doc! { "n": { "$mod": [random.below(30) as i32 + 2, 1] } };
        let change = doc! { "$push": { "turns": random.below(1000) as i32 } };
        server.run(
            "bank",
            doc! { "update": "chat", "updates": [ { "q": &some, "u": change, "multi": true } ] },
        );
        let old = doc! { "n": { "$lt": next - 600 } };
        server.run(
            "bank",
            doc! { "delete": "chat", "deletes": [ { "q": old, "limit": 0 } ] },
        );
    }
}

/// Makes, renames and drops collections.
fn upheaval(server: &Mongod, mut random: Random, stop: &AtomicBool) {
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        number += 1;
        let name = format!("tmp{number}");
        let documents: Vec<Document> = (0..random.below(200) as i32 + 1)
            .map(|id| doc! { "_id": id, "of": number })
            .collect();
        server.insert("moving", &name, documents);
        server.run(
            "moving",
            doc! { "createIndexes": &name, "indexes": [ { "key": { "of": 1 }, "name": "of" } ] },
        );
        server.run("admin", doc! { "renameCollection": format!("moving.{name}"), "to": "moving.current", "dropTarget": true });
        thread::sleep(Duration::from_millis(300 + random.below(400)));
    }
}

pub fn sum(documents: &[Vec<u8>]) -> i64 {
    let balance = |bytes: &Vec<u8>| {
        let document = Document::from_reader(&bytes[..]).unwrap();
        match document.get("balance").unwrap() {
            Bson::Int64(balance) => *balance,
            other => panic!("{other}"),
        }
    };
    documents.iter().map(balance).sum()
}

#[test]
fn every_snapshot_is_the_deployment_at_its_time() {
    let mut random = Random::new(seed("every_snapshot_is_the_deployment_at_its_time"));
    let (server, scratch, lab) = (Mongod::set(), Mongod::set(), Lab::new());
    let mut before: Option<Snapshot> = None;
    let mut times = Vec::new();
    for name in ["a", "b"] {
        let account = |id: i32| doc! { "_id": id, "balance": EACH };
        server.insert("bank", name, (0..ACCOUNTS).map(account).collect());
    }
    let all = 2 * i64::from(ACCOUNTS) * EACH;
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for number in 0..6 {
            let own = Random::new(random.next());
            let (server, stop) = (&server, &stop);
            scope.spawn(move || match number {
                4 => chatter(server, own, stop),
                5 => upheaval(server, own, stop),
                _ => move_money(server, own, stop),
            });
        }
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for round in 0..rounds(8, 50) {
                let (summary, snapshot) = lab.snapshot(&server);
                let deployment = snapshot.deployments().next().unwrap();
                let content = lab.content(&snapshot);
                // Of what is made anew all the time the server may not know the state of a moment ago any more.
                let mut bank = content.clone();
                bank.retain(|namespace, _| namespace.starts_with("bank."));
                same(&bank, &on_server(&server, &["bank"], Some(at(deployment))));
                assert_eq!(sum(&content["bank.a"]) + sum(&content["bank.b"]), all);
                // A collection that is renamed over another is never seen in part.
                if let Some(current) = content.get("moving.current") {
                    let of = |bytes: &Vec<u8>| {
                        Document::from_reader(&bytes[..])
                            .unwrap()
                            .get("of")
                            .cloned()
                    };
                    assert!(current.iter().all(|each| of(each) == of(&current[0])));
                }
                restored(&lab, &snapshot, &scratch, &content);
                // What was recorded since the one before leads to this one.
                if let Some(before) = &before {
                    let repository = lab.open();
                    let led = led_on(&repository, before, &snapshot);
                    same(&Lab::content_of(&repository, &led), &content);
                }
                times.push(i64::from(at(deployment).0));
                before = Some(snapshot.clone());
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
    // Any second in between.
    let (first, last) = (times[0], times[times.len() - 1]);
    let repository = lab.open();
    for _ in 0..rounds(4, 50) {
        let second = first + random.below((last - first) as u64) as i64;
        let snapshot = at_moment(&repository, &lab.latest(), second * 1_000_000_000, &Silent)
            .unwrap_or_else(|error| panic!("{}", error.detail()));
        let content = Lab::content_of(&repository, &snapshot);
        assert_eq!(
            sum(&content["bank.a"]) + sum(&content["bank.b"]),
            all,
            "{second}"
        );
    }
}

/// The accounts come back to another server as they are in the snapshot.
fn restored(lab: &Lab, snapshot: &Snapshot, scratch: &Mongod, content: &Content) {
    let options = DeploymentRestoreOptions {
        address: scratch.address_of("bank"),
        conflict: Conflict::Overwrite,
        ..DeploymentRestoreOptions::default()
    };
    scratch.run("bank", doc! { "dropDatabase": 1 });
    let summary = restore_deployment::run(&lab.open(), snapshot, &options, &Silent).unwrap();
    assert!(summary.is_well());
    let mut bank = content.clone();
    bank.retain(|namespace, _| namespace.starts_with("bank."));
    same(&bank, &on_server(scratch, &["bank"], None));
}
