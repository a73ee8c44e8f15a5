//! What differs between two states of a deployment, against what was done in between.

use mongodb::bson::doc;
use serde_json::{Value, json};

use crate::common::mongod::Mongod;
use crate::common::place::Place;

fn of(lines: &[Value], message: &str) -> Vec<Value> {
    lines
        .iter()
        .filter(|line| line["message_type"] == message)
        .cloned()
        .collect()
}

fn changes(lines: &[Value]) -> Vec<(String, Value)> {
    of(lines, "document_change")
        .iter()
        .map(|line| {
            (
                line["modifier"].as_str().unwrap().to_owned(),
                line["id"].clone(),
            )
        })
        .collect()
}

#[test]
fn documents_and_fields_that_differ() {
    let (server, place) = (Mongod::set(), Place::new("mongo-diff"));
    let quote = |number: i32| doc! { "_id": number, "status": "open", "nested": { "a": [1, 2, 3], "b": number }, "n": number };
    server.insert("shop", "quotes", (0..500).map(quote).collect());
    server.insert("shop", "same", (0..500).map(quote).collect());
    server.insert("shop", "goes", vec![doc! { "_id": 1 }]);
    server.run(
        "shop",
        doc! { "create": "log", "capped": true, "size": 65536 },
    );
    server.insert("shop", "log", (0..20).map(quote).collect());
    let address = server.address();
    place.run(["snapshot", &address]).ok();
    let update = |id: i32, change: mongodb::bson::Document| {
        server.run(
            "shop",
            doc! { "update": "quotes", "updates": [ { "q": { "_id": id }, "u": change } ] },
        );
    };
    update(
        7,
        doc! { "$set": { "status": "sold", "nested.a.1": 9, "new": "x" }, "$unset": { "n": 1 } },
    );
    // There and back again is no difference; another type is one.
    update(8, doc! { "$set": { "status": "sold" } });
    update(8, doc! { "$set": { "status": "open" } });
    update(9, doc! { "$set": { "n": 9.0 } });
    server.run("shop", doc! { "delete": "quotes", "deletes": [ { "q": { "_id": { "$in": [3, 400] } }, "limit": 0 } ] });
    server.insert("shop", "quotes", vec![quote(1000)]);
    server.insert("shop", "came", vec![doc! { "_id": "first" }]);
    server.insert("shop", "log", vec![quote(20)]);
    server.run("shop", doc! { "drop": "goes" });
    server.run(
        "shop",
        doc! { "createIndexes": "same", "indexes": [ { "key": { "n": 1 }, "name": "n" } ] },
    );
    place.run(["snapshot", &address]).ok();

    let lines = place.run(["diff", "latest~1", "latest"]).ok().objects();
    let collections: Vec<Value> = of(&lines, "collection_change")
        .iter()
        .map(|line| json!([line["collection"], line["modifier"], line["differences"]]))
        .collect();
    assert_eq!(
        collections,
        [
            json!(["shop.came", "+", []]),
            json!(["shop.goes", "-", []]),
            json!(["shop.same", "U", ["indexes"]]),
        ]
    );
    let expected = [
        ("+", json!("first")),
        ("-", json!(1)),
        ("+", json!(20)),
        ("-", json!(3)),
        ("M", json!(7)),
        ("M", json!(9)),
        ("-", json!(400)),
        ("+", json!(1000)),
    ];
    let expected: Vec<(String, Value)> = expected.map(|(word, id)| (word.to_owned(), id)).to_vec();
    assert_eq!(changes(&lines), expected);
    let seventh = of(&lines, "document_change")
        .into_iter()
        .find(|line| line["id"] == 7)
        .unwrap();
    assert_eq!(
        seventh["fields"],
        json!([
            { "path": "status", "before": "open", "after": "sold" },
            { "path": "nested.a.1", "before": 2, "after": 9 },
            { "path": "n", "before": 7 },
            { "path": "new", "after": "x" },
        ])
    );
    let last = lines.last().unwrap();
    assert_eq!(
        (
            &last["documents_added"],
            &last["documents_removed"],
            &last["documents_changed"]
        ),
        (&json!(3), &json!(3), &json!(2))
    );
    // One collection; the other way round; nothing between a snapshot and itself.
    let lines = place
        .run(["diff", "latest:shop.quotes", "latest~1"])
        .ok()
        .objects();
    let turned: Vec<(String, Value)> = expected
        .iter()
        .filter(|(_, id)| *id != 20 && *id != 1 && *id != "first")
        .map(|(word, id)| {
            let turned = match word.as_str() {
                "+" => "-",
                "-" => "+",
                word => word,
            };
            (turned.to_owned(), id.clone())
        })
        .collect();
    assert_eq!(changes(&lines), turned);
    place.run(["diff", "latest", "latest", "--exit-code"]).ok();
    place
        .run(["diff", "latest~1", "latest", "--exit-code"])
        .exits(1);
    place
        .run(["diff", "latest:shop.nothing", "latest"])
        .fails(1, "not_found");

    // Against the server as it is: nothing yet, and then what was done.
    place.run(["diff", "latest", &address, "--exit-code"]).ok();
    update(11, doc! { "$set": { "status": "gone" } });
    server.insert("shop", "log", vec![quote(21)]);
    let lines = place.run(["diff", "latest:shop", &address]).ok().objects();
    assert_eq!(
        changes(&lines),
        [("+".to_owned(), json!(21)), ("M".to_owned(), json!(11))]
    );
    assert_eq!(lines.last().unwrap()["target_snapshot"], Value::Null);
}

#[test]
fn files_and_documents_of_one_snapshot() {
    let (server, place) = (Mongod::set(), Place::new("mongo-diff-both"));
    server.insert(
        "shop",
        "quotes",
        (0..20).map(|id| doc! { "_id": id }).collect(),
    );
    let tree = place.scratch.folder("tree");
    std::fs::write(tree.join("letter"), "Dear Ann").unwrap();
    let (address, tree) = (server.address(), tree.to_str().unwrap().to_owned());
    place.run(["snapshot", &address, &tree]).ok();
    place.run(["snapshot", &address, &tree]).ok();
    let lines = place.run(["diff", "latest~1", "latest"]).ok().objects();
    assert_eq!(changes(&lines), []);
    server.insert("shop", "quotes", vec![doc! { "_id": 20 }]);
    place.run(["snapshot", &address, &tree]).ok();
    let lines = place
        .run(["diff", "latest~1", "latest", "--exit-code"])
        .exits(1)
        .objects();
    assert_eq!(changes(&lines), [("+".to_owned(), json!(20))]);
    assert!(
        lines
            .iter()
            .any(|line| line["message_type"] == "statistics")
    );
    for path in [
        ["latest~1:shop.quotes", "latest"],
        ["latest~1", "latest:shop.quotes"],
    ] {
        let lines = place.run(["diff", path[0], path[1]]).ok().objects();
        assert_eq!(changes(&lines), [("+".to_owned(), json!(20))]);
    }
    // Of a server only what the address names is compared.
    server.insert("other", "more", vec![doc! { "_id": 1 }]);
    place
        .run(["diff", "latest", &server.address_of("shop"), "--exit-code"])
        .ok();
    place.run(["snapshot", &tree]).ok();
    place
        .run(["diff", "latest", &address])
        .fails(1, "not_found");
}
