//! A sample of what nothing changed, held against the server.

use duramen::ops::snapshot::{DeploymentSummary, Reading, Selection, SnapshotOptions};
use duramen::progress::Silent;
use mongodb::bson::{Document, doc};

use crate::common::mongod::Mongod;
use crate::lab::{Lab, at, on_server, options, same};

/// A snapshot with so many documents compared; it must be the server's state.
fn take(server: &Mongod, lab: &Lab, scrub_sample: u64) -> DeploymentSummary {
    let options = SnapshotOptions {
        collections: Selection::default(),
        reading: Reading {
            scrub_sample,
            ..Reading::default()
        },
        ..options(&server.address_of("shop"))
    };
    let summary = duramen::ops::snapshot::run(&lab.open(), &options, &Silent)
        .unwrap_or_else(|error| panic!("{}", error.detail()));
    summary.deployments[0].clone()
}

fn is_exact(server: &Mongod, lab: &Lab) -> bool {
    let snapshot = lab.latest();
    let deployment = snapshot.deployments().next().unwrap();
    lab.content(&snapshot) == on_server(server, &["shop"], Some(at(deployment)))
}

#[test]
fn what_changed_behind_the_oplogs_back_is_found_and_read_anew() {
    let (mut server, lab) = (Mongod::set(), Lab::new());
    let quote = |id: i32| doc! { "_id": id, "text": format!("a quote of {id} words and more") };
    server.insert("shop", "quotes", (0..20_000).map(quote).collect());
    // Strings in an order of the server's own, and numbers that it takes for strings' elders.
    let collation = doc! { "locale": "en", "strength": 2 };
    server.run("shop", doc! { "create": "names", "collation": collation });
    let name = |number: i32| doc! { "_id": format!("{}{number}", if number % 3 == 0 { "Z" } else { "a" }) };
    server.insert("shop", "names", (0..3000).map(name).collect());
    server.insert(
        "shop",
        "names",
        (0..50).map(|id| doc! { "_id": id }).collect(),
    );
    // All is read: nothing is taken over.
    let first = take(&server, &lab, 1_000_000);
    assert_eq!((first.collections_read, first.scrubbed), (2, Some(0)));
    // What did not change is as it is stored, whatever happened to the rest.
    let change =
        doc! { "q": { "_id": { "$mod": [7, 3] } }, "u": { "$set": { "x": 1 } }, "multi": true };
    server.run("shop", doc! { "update": "quotes", "updates": [change] });
    let gone = doc! { "q": { "_id": { "$mod": [11, 3] } }, "limit": 0 };
    server.run("shop", doc! { "delete": "quotes", "deletes": [gone] });
    server.insert("shop", "quotes", (30_000..30_100).map(quote).collect());
    let all = take(&server, &lab, 1_000_000);
    assert_eq!((all.collections_read, all.scrub_differences), (0, 0));
    assert!(all.scrubbed.unwrap() > 10_000, "{all:?}");
    assert!(is_exact(&server, &lab));
    let some = take(&server, &lab, 500);
    assert!((100..5000).contains(&some.scrubbed.unwrap()), "{some:?}");
    assert_eq!((some.documents_read, some.scrub_differences), (0, 0));
    // Behind its back some are changed, some go and some come.
    server.behind_its_back(|server| {
        let quotes = server.db("shop").collection::<Document>("quotes");
        server.wait(async {
            let some = doc! { "_id": { "$mod": [50, 1] } };
            let change = doc! { "$set": { "text": "forged" } };
            quotes.update_many(some, change).await.unwrap();
            let others = doc! { "_id": { "$mod": [50, 2] } };
            quotes.delete_many(others).await.unwrap();
            let new = (0..200).map(|number| doc! { "_id": f64::from(number) * 100.0 + 7.5 });
            quotes.insert_many(new).await.unwrap();
        });
    });
    // Nothing tells of it.
    let blind = take(&server, &lab, 0);
    assert_eq!((blind.collections_read, blind.documents_read), (0, 0));
    assert_eq!(blind.scrubbed, None);
    assert!(!is_exact(&server, &lab), "nothing to be found");
    let found = take(&server, &lab, 5000);
    assert_eq!(found.collections_read, 1);
    assert!(found.scrub_differences > 2, "{found:?}");
    assert!(is_exact(&server, &lab));
    let healed = take(&server, &lab, 1_000_000);
    assert_eq!((healed.collections_read, healed.scrub_differences), (0, 0));
    lab.check();
    same(
        &lab.content(&lab.latest()),
        &on_server(&server, &["shop"], None),
    );
}
