//! The next snapshot of the same deployment: what was touched is read, nothing else, and it is as exact as the first.

use duramen::format::snapshot::SnapshotKind;
use duramen::ops;
use duramen::progress::Silent;
use mongodb::bson::{Bson, Document, doc};

use crate::common::mongod::Mongod;
use crate::lab::{Lab, at, on_server, options, same};

/// What was done to a collection between two snapshots, how many documents are read again for it, and whether all are.
#[test]
fn only_what_was_touched_is_read_again() {
    let (server, lab) = (Mongod::set(), Lab::new());
    let numbered = |from: i32, to: i32| (from..to).map(|number| doc! { "_id": number, "n": 0 });
    server.insert("shop", "quotes", numbered(0, 2000).collect());
    server.insert("shop", "still", numbered(0, 500).collect());
    let (first, _) = lab.snapshot(&server);
    let first = &first.deployments[0];
    assert_eq!((first.documents, first.documents_read), (2500, 2500));
    assert_eq!(first.collections_read, 2);
    let update = |q: Document, u: Document, multi: bool| {
        server.run(
            "shop",
            doc! { "update": "quotes", "updates": [ { "q": q, "u": u, "multi": multi } ] },
        );
    };
    let steps: [(&dyn Fn(), u64, u64); 7] = [
        (&|| {}, 0, 2500),
        (
            &|| {
                update(
                    doc! { "_id": { "$lt": 20 } },
                    doc! { "$inc": { "n": 1 } },
                    true,
                )
            },
            20,
            2500,
        ),
        (
            &|| update(doc! { "_id": 5 }, doc! { "replaced": true }, false),
            1,
            2500,
        ),
        // The same ones twice are read once.
        (
            &|| {
                for _ in 0..3 {
                    update(doc! { "_id": 9 }, doc! { "$inc": { "n": 1 } }, false);
                }
            },
            1,
            2500,
        ),
        (
            &|| server.insert("shop", "quotes", numbered(5000, 5030).collect()),
            30,
            2530,
        ),
        // What went is asked for and not there.
        (
            &|| {
                drop(server.run("shop", doc! { "delete": "quotes", "deletes": [ { "q": { "_id": { "$gte": 5020 } }, "limit": 0 } ] }))
            },
            0,
            2520,
        ),
        (
            &|| {
                drop(server.run(
                    "admin",
                    doc! { "renameCollection": "shop.still", "to": "shop.renamed" },
                ))
            },
            0,
            2520,
        ),
    ];
    for (number, (step, read, documents)) in steps.into_iter().enumerate() {
        step();
        let (summary, snapshot) = lab.snapshot(&server);
        let own = &summary.deployments[0];
        assert_eq!(summary.kind, SnapshotKind::Incremental);
        assert_eq!(own.documents_read, read, "step {number}");
        assert_eq!(
            (own.collections_read, own.documents),
            (0, documents),
            "step {number}"
        );
        let deployment = snapshot.deployments().next().unwrap();
        same(
            &lab.content(&snapshot),
            &on_server(&server, &["shop"], Some(at(deployment))),
        );
    }
    // Made anew under the same name: read anew, and nothing else.
    server.run("shop", doc! { "drop": "renamed" });
    server.insert("shop", "renamed", numbered(0, 77).collect());
    let (summary, snapshot) = lab.snapshot(&server);
    let own = &summary.deployments[0];
    assert_eq!((own.documents_read, own.collections_read), (77, 1));
    let deployment = snapshot.deployments().next().unwrap();
    same(
        &lab.content(&snapshot),
        &on_server(&server, &["shop"], Some(at(deployment))),
    );
    lab.check();
}

/// Numbers that the server takes for one: it holds one of them at a time, and so does a snapshot.
#[test]
fn an_id_that_changes_its_type_is_one_document() {
    let (server, lab) = (Mongod::set(), Lab::new());
    server.insert(
        "shop",
        "numbers",
        (0..50).map(|number| doc! { "_id": number }).collect(),
    );
    lab.snapshot(&server);
    for id in [Bson::Double(7.0), Bson::Int64(7), Bson::Int32(7)] {
        server.run(
            "shop",
            doc! { "delete": "numbers", "deletes": [ { "q": { "_id": 7 }, "limit": 1 } ] },
        );
        server.insert("shop", "numbers", vec![doc! { "_id": id }]);
        let (_, snapshot) = lab.snapshot(&server);
        same(
            &lab.content(&snapshot),
            &on_server(&server, &["shop"], None),
        );
    }
}

/// Dropped and made anew under the very same id, as `mongorestore --preserveUUID` does.
#[test]
fn a_collection_that_is_made_anew_with_its_old_id_is_read_anew() {
    let (server, lab) = (Mongod::set(), Lab::new());
    let numbered = |from: i32, to: i32| (from..to).map(|number| doc! { "_id": number });
    server.insert("shop", "quotes", numbered(0, 100).collect());
    lab.snapshot(&server);
    let listed = server.listed("shop");
    let uuid = listed[0]
        .0
        .get_document("info")
        .unwrap()
        .get("uuid")
        .unwrap()
        .clone();
    server.run("shop", doc! { "drop": "quotes" });
    let create =
        doc! { "op": "c", "ns": "shop.$cmd", "ui": uuid.clone(), "o": { "create": "quotes" } };
    server.run("admin", doc! { "applyOps": [create] });
    assert_eq!(
        server.listed("shop")[0]
            .0
            .get_document("info")
            .unwrap()
            .get("uuid"),
        Some(&uuid)
    );
    server.insert("shop", "quotes", numbered(50, 60).collect());
    let (summary, snapshot) = lab.snapshot(&server);
    same(
        &lab.content(&snapshot),
        &on_server(&server, &["shop"], None),
    );
    assert_eq!(summary.deployments[0].documents, 10);
}

/// A replacement may put an `_id` in the place of one that the server takes for the same.
#[test]
fn an_id_that_a_replacement_changes_is_the_one_that_is_there() {
    let (server, lab) = (Mongod::set(), Lab::new());
    let id = |n: Bson| doc! { "tenant": 1, "n": n };
    let documents = (0..30i64).map(|number| doc! { "_id": id(Bson::Int64(number)), "text": "old" });
    server.insert("shop", "quotes", documents.collect());
    lab.snapshot(&server);
    for (old, new) in [
        (Bson::Int64(5), Bson::Int32(5)),
        (Bson::Int64(6), Bson::Double(6.0)),
        (Bson::Int64(7), Bson::Decimal128("7.0".parse().unwrap())),
    ] {
        let update = doc! { "q": { "_id": id(old) }, "u": { "_id": id(new), "text": "new" } };
        server.run("shop", doc! { "update": "quotes", "updates": [update] });
    }
    let (_, snapshot) = lab.snapshot(&server);
    same(
        &lab.content(&snapshot),
        &on_server(&server, &["shop"], None),
    );
    assert_eq!(lab.content(&snapshot)["shop.quotes"].len(), 30);
}

/// More than is read again at one time: most of it is read before that time is chosen.
#[test]
fn a_flood_between_two_snapshots_is_taken_in_two_readings() {
    let (server, lab) = (Mongod::set(), Lab::new());
    server.insert("shop", "quotes", vec![doc! { "_id": -1 }]);
    lab.snapshot(&server);
    server.insert(
        "shop",
        "quotes",
        (0..205_000).map(|number| doc! { "_id": number }).collect(),
    );
    server.run(
        "shop",
        doc! { "delete": "quotes", "deletes": [ { "q": { "_id": { "$lt": 1000 } }, "limit": 0 } ] },
    );
    let (summary, snapshot) = lab.snapshot(&server);
    let own = &summary.deployments[0];
    assert_eq!((own.documents, own.collections_read), (204_000, 0));
    same(
        &lab.content(&snapshot),
        &on_server(&server, &["shop"], None),
    );
}

#[test]
fn a_rehearsal_stores_nothing() {
    let (server, lab) = (Mongod::set(), Lab::new());
    server.insert(
        "shop",
        "quotes",
        (0..50).map(|number| doc! { "_id": number }).collect(),
    );
    let options = ops::snapshot::SnapshotOptions {
        dry_run: true,
        ..options(&server.address())
    };
    let summary = ops::snapshot::run(&lab.open(), &options, &Silent).unwrap();
    assert_eq!(
        (summary.id, summary.deployments[0].documents_read),
        (None, 50)
    );
    let all = ops::select::list(&lab.open(), &ops::select::Filter::default()).unwrap();
    assert!(all.is_empty());
}
