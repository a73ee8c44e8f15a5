//! A damaged repository with deployments in it, mended: what is left is right, and the next snapshot is whole.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;

use mongodb::bson::{Document, doc};
use serde_json::Value;

use crate::common::mongod::Mongod;
use crate::common::place::{Place, files_below};
use crate::common::random::Random;
use crate::common::seed;

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Words that do not shrink, so that frames end early and some stay whole.
fn quote(random: &mut Random, id: i32) -> Document {
    let words: String = random
        .bytes(900)
        .iter()
        .map(|byte| char::from(b' ' + byte % 90))
        .collect();
    doc! { "_id": id, "words": words }
}

/// Documents of a collection of a snapshot, by their `_id`s.
fn stored(place: &Place, collection: &str) -> Vec<Value> {
    place.run(["cat", collection]).ok().objects()
}

#[test]
fn what_is_left_of_a_deployment_is_right_and_the_next_snapshot_whole() {
    let mut random = Random::new(seed("what_is_left_of_a_deployment_is_right"));
    let (server, place) = (Mongod::set(), Place::new("mongo-repaired"));
    let address = server.address();
    server.insert(
        "shop",
        "quotes",
        (0..12_000).map(|id| quote(&mut random, id)).collect(),
    );
    server.insert(
        "shop",
        "small",
        (0..100).map(|id| doc! { "_id": id }).collect(),
    );
    place.run(["snapshot", &address]).ok();
    let before = stored(&place, "latest:shop.quotes");
    assert_eq!(before.len(), 12_000);
    for id in [5, 700, 9000] {
        let change = doc! { "q": { "_id": id }, "u": { "$set": { "changed": true } } };
        server.run("shop", doc! { "update": "quotes", "updates": [change] });
    }
    place.run(["snapshot", &address]).ok();
    let after = stored(&place, "latest:shop.quotes");
    // A stretch of the largest pack is not what it was.
    let packs = files_below(&place.repository.join("packs"));
    let largest = packs
        .iter()
        .max_by_key(|pack| pack.metadata().unwrap().len());
    let pack = fs::OpenOptions::new()
        .write(true)
        .open(largest.unwrap())
        .unwrap();
    let length = pack.metadata().unwrap().len();
    pack.write_all_at(&[0x5A; 100], length / 3).unwrap();
    drop(pack);
    place.run(["check", "--read-data"]).exits(4);
    let repaired = place.run(["repair", "--read-data"]).exits(4).summary();
    assert_eq!(repaired["left_count"], 0, "{repaired}");
    let replaced = repaired["replaced"].as_array().unwrap();
    assert_eq!(replaced.len(), 2, "{repaired}");
    for own in replaced {
        let lost = own["lost"].as_array().unwrap();
        assert_eq!(lost[0]["path"], "shop.quotes", "{own}");
    }
    place.assert_clean();
    // What is left is what was there, and less of it.
    for (snapshot, whole) in [("latest~1", &before), ("latest", &after)] {
        let left = stored(&place, &format!("{snapshot}:shop.quotes"));
        assert!(left.len() > 6000 && left.len() < 12_000, "{}", left.len());
        let mut all = whole.iter();
        assert!(left.iter().all(|own| all.any(|other| own == other)));
        assert_eq!(stored(&place, &format!("{snapshot}:shop.small")).len(), 100);
    }
    let path = place.scratch.at("dump");
    place
        .run([
            "export",
            "latest",
            "--format",
            "mongodump",
            "-o",
            text(&path),
        ])
        .ok();
    // What was lost is read anew, and nothing else.
    let next = place.run(["snapshot", &address]).ok().summary();
    let own = &next["deployments"][0];
    assert_eq!(own["collections_read"], 1, "{next}");
    assert_eq!(own["documents_read"], 12_000, "{next}");
    assert_eq!(stored(&place, "latest:shop.quotes"), after);
    place.assert_clean();
    // From a moment with holes in it nothing leads on.
    let at = next["deployments"][0]["at"].as_str().unwrap().to_owned();
    place
        .run(["cat", "latest:shop.small", "--at", &at, "--id", "1"])
        .exits(1);
}
