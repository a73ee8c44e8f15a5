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
    let broken = place.run(["snapshot", &address]).ok().summary();
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
    // What was lost is read anew, and of all else what was touched.
    std::thread::sleep(std::time::Duration::from_millis(1100));
    server.insert("shop", "small", vec![doc! { "_id": 100 }]);
    let next = place.run(["snapshot", &address]).ok().summary();
    let own = &next["deployments"][0];
    assert_eq!(own["collections_read"], 1, "{next}");
    assert_eq!(own["documents_read"], 12_001, "{next}");
    assert_eq!(stored(&place, "latest:shop.quotes"), after);
    place.assert_clean();
    // From a moment with holes in it nothing leads on; from the next one it does.
    let second = |summary: &Value| summary["deployments"][0]["at"].as_str().unwrap().to_owned();
    std::thread::sleep(std::time::Duration::from_millis(1100));
    server.insert("shop", "small", vec![doc! { "_id": 1000 }]);
    std::thread::sleep(std::time::Duration::from_millis(1100));
    server.insert("shop", "small", vec![doc! { "_id": 2000 }]);
    place.run(["snapshot", &address]).ok();
    let at = |when: &str| place.run(["cat", "latest:shop.small", "--at", when, "--id", "5"]);
    at(&second(&broken)).fails(1, "not_found");
    assert_eq!(
        at(&second(&next)).ok().objects(),
        [serde_json::json!({ "_id": 5 })]
    );
    // What repair says, it says of the snapshot too.
    let told = place.run(["cat", "latest~2:shop.small", "--id", "5"]).ok();
    assert!(
        told.all_text().contains("repair took this snapshot again"),
        "{told}"
    );
}

/// Nothing is left of a snapshot that held nothing but a stretch of the oplog: it goes, and `latest` is what it was.
#[test]
fn a_stretch_with_a_hole_goes() {
    let mut random = Random::new(seed("a_stretch_with_a_hole_goes"));
    let (server, place) = (Mongod::set(), Place::new("mongo-repaired-tail"));
    let address = server.address();
    server.insert(
        "shop",
        "quotes",
        (0..50).map(|id| doc! { "_id": id }).collect(),
    );
    let taken = place.run(["snapshot", &address]).ok().summary();
    let before = files_below(&place.repository.join("packs"));
    server.insert(
        "shop",
        "quotes",
        (50..2000).map(|id| quote(&mut random, id)).collect(),
    );
    place.run(["tail", "--once", &address]).ok();
    let packs = files_below(&place.repository.join("packs"));
    for pack in packs.iter().filter(|pack| !before.contains(pack)) {
        fs::remove_file(pack).unwrap();
    }
    place.run(["repair", "--force"]).exits(4);
    let all = place.snapshots();
    assert_eq!(all.len(), 1, "{all:?}");
    assert_eq!(all[0]["id"], taken["snapshot_id"]);
    assert_eq!(stored(&place, "latest:shop.quotes").len(), 50);
    place.assert_clean();
}
