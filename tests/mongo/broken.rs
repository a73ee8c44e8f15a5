//! Connections that break off, primaries that step down and members that lag while a snapshot is taken: it goes on where it
//! was.

use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::thread;
use std::time::Duration;

use duramen::ops;
use duramen::ops::snapshot::{Reading, Selection, SnapshotOptions, SnapshotSummary};
use duramen::progress::Progress;
use mongodb::bson::doc;

use crate::common::mongod::Mongod;
use crate::common::random::Random;
use crate::common::seed;
use crate::lab::{Lab, at, on_server, options, same};

const DOCUMENTS: i32 = 40_000;

fn fill(server: &Mongod) {
    let quote = |id: i32| doc! { "_id": id, "text": "words ".repeat(60) };
    server.insert("shop", "quotes", (0..DOCUMENTS).map(quote).collect());
    let some = |id: i32| doc! { "_id": format!("number {id}") };
    server.insert("shop", "names", (0..500).map(some).collect());
}

/// A snapshot that is the database at its time.
fn exact(server: &Mongod, lab: &Lab, address: &str) -> SnapshotSummary {
    let summary = lab
        .take(address, &Selection::default())
        .unwrap_or_else(|error| panic!("{}", error.detail()));
    let snapshot = lab.latest();
    let deployment = snapshot.deployments().next().unwrap();
    let held = on_server(server, &["shop"], Some(at(deployment)));
    same(&lab.content(&snapshot), &held);
    summary
}

fn touch(server: &Mongod, by: i32) {
    let change =
        doc! { "q": { "_id": { "$mod": [by, 1] } }, "u": { "$inc": { "n": 1 } }, "multi": true };
    server.run("shop", doc! { "update": "quotes", "updates": [change] });
}

#[test]
fn connections_that_break_off_are_taken_up_again() {
    let (server, lab) = (Mongod::guarded(), Lab::new());
    fill(&server);
    let role = doc! { "role": "read", "db": "shop" };
    server.run(
        "admin",
        doc! { "createUser": "reader", "pwd": "secret", "roles": [role] },
    );
    let owner = server.address_of("shop");
    let reader = owner.replacen("root:secret", "reader:secret", 1);
    // Every third question of ours finds the line dead; the test itself has another name.
    let commands = [
        "find",
        "getMore",
        "aggregate",
        "listCollections",
        "listIndexes",
    ];
    let fail =
        doc! { "failCommands": &commands[..], "closeConnection": true, "appName": "duramen" };
    let point = doc! { "configureFailPoint": "failCommand", "mode": { "activationProbability": 0.3 }, "data": fail };
    server.run("admin", point);
    let full = exact(&server, &lab, &owner);
    // What had been read was not read again.
    let read = full.deployments[0].documents_read;
    assert_eq!(read, DOCUMENTS as u64 + 500);
    for (round, address) in [&owner, &reader, &reader, &owner].into_iter().enumerate() {
        touch(&server, 40 + round as i32);
        let summary = exact(&server, &lab, address);
        assert_eq!(summary.deployments[0].collections_read, 0);
    }
    let off = doc! { "configureFailPoint": "failCommand", "mode": "off" };
    let off = server.run("admin", off);
    let times = off.get("count").unwrap();
    let times = times.as_i64().or(times.as_i32().map(i64::from));
    assert!(times > Some(10), "the line broke: {off}");
    lab.check();
}

#[test]
fn a_primary_that_steps_down_is_waited_for() {
    let mut random = Random::new(seed("a_primary_that_steps_down_is_waited_for"));
    let (server, lab) = (Mongod::set(), Lab::new());
    fill(&server);
    let address = server.address_of("shop");
    let (stop, stepped) = (AtomicBool::new(false), AtomicI32::new(0));
    let taken = thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                let down = doc! { "replSetStepDown": 1, "force": true };
                let admin = server.db("admin");
                // Just now there may be none.
                let done = server.wait(admin.run_command(down).into_future());
                stepped.fetch_add(i32::from(done.is_ok()), Ordering::Relaxed);
                thread::sleep(Duration::from_millis(1500 + random.below(1000)));
            }
        });
        let mut taken = Vec::new();
        while stepped.load(Ordering::Relaxed) == 0 {
            thread::yield_now();
        }
        for _ in 0..3 {
            let summary = lab.take(&address, &Selection::default());
            taken.push(summary.map(|_| lab.latest()));
        }
        stop.store(true, Ordering::Relaxed);
        taken
    });
    for snapshot in taken {
        let snapshot = snapshot.unwrap_or_else(|error| panic!("{}", error.detail()));
        let deployment = snapshot.deployments().next().unwrap();
        let held = on_server(&server, &["shop"], Some(at(deployment)));
        same(&lab.content(&snapshot), &held);
    }
    lab.check();
}

/// Lets a stopped member go on once it is said that it is waited for.
struct Waited<'m> {
    member: &'m Mongod,
    told: AtomicI32,
}

impl Progress for Waited<'_> {
    fn note(&self, text: &str) {
        if text.contains("reading waits") {
            self.told.fetch_add(1, Ordering::Relaxed);
            self.member.signal("CONT");
        }
    }
}

#[test]
fn reading_waits_while_a_majority_is_far_behind() {
    let (server, member, lab) = (Mongod::set(), Mongod::member(), Lab::new());
    for number in 0..20 {
        let quote = |id: i32| doc! { "_id": id, "text": "words ".repeat(140) };
        server.insert(
            "shop",
            &format!("quotes{number}"),
            (0..1000).map(quote).collect(),
        );
    }
    server.take_in(&member);
    let both = doc! { "w": 2, "wtimeout": 120_000 };
    let mark = doc! { "insert": "marks", "documents": [ { "_id": 1 } ], "writeConcern": both };
    server.run("shop", mark);
    let options = SnapshotOptions {
        // Reading lasts for longer than the member may be behind.
        reading: Reading {
            max_rate: Some(1 << 20),
            ..Reading::default()
        },
        ..options(&server.address_of("shop"))
    };
    let stop = AtomicBool::new(false);
    let told = thread::scope(|scope| {
        scope.spawn(|| {
            let mut number = 1;
            while !stop.load(Ordering::Relaxed) {
                number += 1;
                let own = doc! { "insert": "marks", "documents": [ { "_id": number } ], "writeConcern": { "w": 1 } };
                server.run("shop", own);
                thread::sleep(Duration::from_millis(100));
            }
        });
        member.signal("STOP");
        let waited = Waited {
            member: &member,
            told: AtomicI32::new(0),
        };
        let taken = ops::snapshot::run(&lab.open(), &options, &waited);
        stop.store(true, Ordering::Relaxed);
        member.signal("CONT");
        taken.unwrap_or_else(|error| panic!("{}", error.detail()));
        waited.told.into_inner()
    });
    assert_eq!(told, 1, "all readers wait as one");
    let snapshot = lab.latest();
    let deployment = snapshot.deployments().next().unwrap();
    let held = on_server(&server, &["shop"], Some(at(deployment)));
    same(&lab.content(&snapshot), &held);
}
