//! Dumps among the files, against the server that they are dumps of, and archives made from the published layout.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use mongodb::bson::doc;
use serde_json::{Value, json};

use crate::capture::torture;
use crate::common::mongod::Mongod;
use crate::common::place::{Place, below};
use crate::lab::{on_server, same};

/// All files below a folder.
fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut all: Vec<(PathBuf, Vec<u8>)> = crate::common::place::files_below(folder)
        .into_iter()
        .map(|path| {
            (
                path.strip_prefix(folder).unwrap().to_owned(),
                fs::read(&path).unwrap(),
            )
        })
        .collect();
    all.sort();
    all
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Writes the collections of the latest snapshot out as a dump.
fn export(place: &Place, folder: &Path) {
    let to = text(folder);
    place
        .run(["export", "latest", "--format", "mongodump", "-o", to])
        .ok();
}

/// A dump that lies among files is what it was made of: byte for byte as files, and document for document.
#[test]
fn a_dump_among_files_is_the_deployment() {
    let (server, place) = (Mongod::set(), Place::new("mongo-dumps"));
    torture(&server);
    place.run(["snapshot", &server.address()]).ok();
    let dump = place.scratch.at("dump");
    export(&place, &dump);
    place.run(["snapshot", text(&dump)]).ok();
    // As files.
    let back = place.scratch.at("back");
    place
        .run(["restore", "latest", "--target", text(&back)])
        .ok();
    assert_eq!(files(&below(&back, &dump)), files(&dump));
    // As collections, written out again: the same folder.
    let again = place.scratch.at("again");
    let arguments = [
        "export",
        "latest",
        "--dump",
        text(&dump),
        "--format",
        "mongodump",
        "-o",
        text(&again),
    ];
    place.run(arguments).ok();
    assert_eq!(files(&again), files(&dump));
    // And on a server that has never seen any of it.
    let other = Mongod::set();
    let to = other.address();
    place
        .run(["restore", "latest", "--dump", text(&dump), "--target", &to])
        .ok();
    same(
        &on_server(&other, &["torture"], None),
        &on_server(&server, &["torture"], None),
    );
    let like = |server: &Mongod| {
        let listed = server
            .listed("torture")
            .into_iter()
            .map(|(own, mut indexes)| {
                // Those that are unique, or let documents go, are made last.
                indexes.sort_by_key(ToString::to_string);
                let word = |name: &str| own.get(name).cloned();
                format!(
                    "{:?} {:?} {:?} {indexes:?}",
                    word("name"),
                    word("type"),
                    word("options")
                )
            });
        listed.collect::<Vec<_>>()
    };
    assert_eq!(like(&other), like(&server));
    // What it overwrote comes back.
    let changed = doc! { "update": "clustered", "updates": [ { "q": { "_id": { "$lt": 10 } }, "u": { "$set": { "mine": 1 } }, "multi": true } ] };
    other.run("torture", changed);
    other.run("torture", doc! { "drop": "indexed" });
    let mine = on_server(&other, &["torture"], None);
    let arguments = [
        "restore",
        "latest:torture",
        "--dump",
        text(&dump),
        "--target",
        &to,
        "--conflict",
        "overwrite",
    ];
    place.run(arguments).ok();
    same(
        &on_server(&other, &["torture"], None),
        &on_server(&server, &["torture"], None),
    );
    place.run(["rollback"]).ok();
    same(&on_server(&other, &["torture"], None), &mine);
    // One document, by its `_id`, of one file.
    server.insert(
        "shop",
        "quotes",
        vec![doc! { "_id": 7, "text": "seven" }, doc! { "_id": 8 }],
    );
    place.run(["snapshot", &server.address_of("shop")]).ok();
    let shop = place.scratch.at("shop dump");
    export(&place, &shop);
    place.run(["snapshot", text(&shop)]).ok();
    let file = shop.join("shop/quotes.bson");
    let found = place
        .run([
            "cat",
            "latest:shop.quotes",
            "--dump",
            text(&file),
            "--id",
            "7",
        ])
        .ok();
    assert_eq!(found.objects(), [json!({ "_id": 7, "text": "seven" })]);
    let gone = place.run([
        "cat",
        "latest:shop.quotes",
        "--dump",
        text(&file),
        "--id",
        "9",
    ]);
    gone.fails(1, "not_found");
    place
        .run(["ls", "latest", "--dump", text(&shop.join("nowhere"))])
        .fails(1, "not_found");
    place
        .run(["ls", "latest", "--dump", "/", "--at", "2026-11-20"])
        .exits(2);
}

/// `_id` and a text.
fn document(id: i32, words: &str) -> Vec<u8> {
    mongodb::bson::to_vec(&doc! { "_id": id, "words": words }).unwrap()
}

/// The CRC-64 of ECMA-182, reflected, bit by bit: another way than the program's.
fn crc64(bytes: &[u8]) -> i64 {
    let mut crc = u64::MAX;
    for byte in bytes {
        crc ^= u64::from(*byte);
        for _ in 0..8 {
            let odd = crc & 1 == 1;
            crc >>= 1;
            if odd {
                crc ^= 0xC96C_5795_D787_0F42;
            }
        }
    }
    (crc ^ u64::MAX) as i64
}

/// What stands in an archive of two collections, whose blocks stand between each other.
fn archive() -> Vec<u8> {
    let raw = |document: mongodb::bson::Document| mongodb::bson::to_vec(&document).unwrap();
    let end = [0xFF; 4].to_vec();
    let metadata = r#"{"options":{"capped":{"$numberInt":"0"}},"indexes":[{"v":{"$numberInt":"2"},"key":{"_id":{"$numberInt":"1"}},"name":"_id_"}],"uuid":"0123456789abcdef0123456789abcdef","collectionName":"quotes","type":"collection"}"#;
    let block = |name: &str, documents: &[Vec<u8>]| {
        let header = raw(doc! { "db": "shop", "collection": name, "EOF": false, "CRC": 0_i64 });
        [header, documents.concat(), end.clone()].concat()
    };
    let ends = |name: &str, all: &[Vec<u8>]| {
        let crc = crc64(&all.concat());
        let header = raw(doc! { "db": "shop", "collection": name, "EOF": true, "CRC": crc });
        [header, end.clone()].concat()
    };
    let quotes: Vec<Vec<u8>> = [5, 3, 9, 1].map(|id| document(id, "quote")).to_vec();
    let users: Vec<Vec<u8>> = [2, 1].map(|id| document(id, "user")).to_vec();
    [
        vec![0x6D, 0xE2, 0x99, 0x81],
        raw(doc! { "concurrent_collections": 4, "version": "0.1", "server_version": "6.0.5", "tool_version": "100.9.4" }),
        raw(doc! { "db": "shop", "collection": "quotes", "metadata": metadata, "size": 100, "type": "collection" }),
        raw(doc! { "db": "shop", "collection": "users", "metadata": "", "size": 100, "type": "collection" }),
        end.clone(),
        block("quotes", &quotes[..3]),
        block("users", &users[..1]),
        block("quotes", &quotes[3..]),
        ends("quotes", &quotes),
        block("users", &users[1..]),
        ends("users", &users),
    ]
    .concat()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut child = std::process::Command::new("gzip")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(bytes).unwrap();
    child.wait_with_output().unwrap().stdout
}

#[test]
fn archives_and_exports_are_collections() {
    let place = Place::new("dumps");
    let folder = place.scratch.folder("nightly");
    let archive = archive();
    fs::write(folder.join("all.archive"), &archive).unwrap();
    fs::write(folder.join("all.gz"), gzip(&archive)).unwrap();
    let lines = "{\"_id\":{\"$oid\":\"507f1f77bcf86cd799439011\"},\"n\":{\"$numberLong\":\"5\"}}\n{\"_id\":2,\"t\":\"}\"}\n";
    let array =
        "[{\"_id\":1,\"a\":[1,2]},\n{\"_id\":2},{\"_id\":1,\"a\":\"last\"},{\"nameless\":true}]";
    fs::create_dir(folder.join("shop")).unwrap();
    fs::write(folder.join("shop/lines.json"), lines).unwrap();
    fs::write(folder.join("shop/array.json.gz"), gzip(array.as_bytes())).unwrap();
    fs::write(folder.join("shop/a%2Fb.bson"), document(1, "escaped")).unwrap();
    fs::write(folder.join("shop/notes.txt"), "no dump").unwrap();
    for cut in [2, 50, archive.len() / 2, archive.len() - 2] {
        fs::write(
            folder.join(format!("cut at {cut}.archive")),
            &archive[..cut],
        )
        .unwrap();
    }
    // Between two blocks it is as well-formed as a whole one.
    let marks: Vec<usize> = archive
        .windows(4)
        .enumerate()
        .filter(|(_, four)| *four == [0xFF; 4])
        .map(|(at, _)| at + 4)
        .collect();
    for (number, cut) in marks.iter().enumerate().take(marks.len() - 1) {
        fs::write(
            folder.join(format!("whole blocks {number}.archive")),
            &archive[..*cut],
        )
        .unwrap();
    }
    // Files of one collection in two places, and one that is no longer what it was.
    for place in ["two/mon/shop", "two/tue/shop", "bad/shop"] {
        fs::create_dir_all(folder.join(place)).unwrap();
        fs::write(folder.join(place).join("quotes.bson"), document(1, place)).unwrap();
    }
    fs::write(folder.join("bad/shop/users.bson"), [0; 5000]).unwrap();
    fs::write(
        folder.join("bad/shop/users.metadata.json"),
        "{\"options\":{},\"indexes\":[]}",
    )
    .unwrap();
    let mut changed = archive.clone();
    let at = changed
        .windows(5)
        .rposition(|five| five == b"quote")
        .unwrap();
    changed[at] = b'Q';
    fs::write(folder.join("changed.archive"), &changed).unwrap();
    place.run(["snapshot", text(&folder)]).ok();
    let at = |name: &str| text(&folder.join(name)).to_owned();
    for name in ["all.archive", "all.gz"] {
        let found = place
            .run(["cat", "latest:shop.quotes", "--dump", &at(name)])
            .ok()
            .objects();
        let ids: Vec<&Value> = found.iter().map(|each| &each["_id"]).collect();
        assert_eq!(ids, [1, 3, 5, 9], "{name}");
        let found = place
            .run(["cat", "latest:shop.users", "--dump", &at(name)])
            .ok()
            .objects();
        assert_eq!(found.len(), 2);
    }
    let listed = place
        .run(["ls", "latest", "--dump", &at("all.archive")])
        .ok()
        .objects();
    assert!(
        listed
            .iter()
            .any(|line| line.to_string().contains("shop.quotes")),
        "{listed:?}"
    );
    let found = place
        .run([
            "cat",
            "latest:shop.lines",
            "--canonical",
            "--dump",
            &at("shop"),
        ])
        .ok();
    assert_eq!(
        found.objects(),
        [
            json!({ "_id": { "$numberInt": "2" }, "t": "}" }),
            json!({ "_id": { "$oid": "507f1f77bcf86cd799439011" }, "n": { "$numberLong": "5" } }),
        ]
    );
    // Of two with one `_id` the last counts, and what has none is named.
    let found = place
        .run(["cat", "latest:shop.array", "--dump", &at("shop")])
        .ok();
    assert_eq!(
        found.objects(),
        [json!({ "_id": 1, "a": "last" }), json!({ "_id": 2 })]
    );
    let found = place
        .run(["cat", "latest:shop.a/b", "--dump", &at("shop")])
        .ok();
    assert_eq!(found.objects(), [json!({ "_id": 1, "words": "escaped" })]);
    for cut in [50, archive.len() / 2, archive.len() - 2] {
        let name = at(&format!("cut at {cut}.archive"));
        place
            .run(["ls", "latest", "--dump", &name])
            .fails(4, "damage");
    }
    for number in 0..marks.len() - 1 {
        let name = at(&format!("whole blocks {number}.archive"));
        place
            .run(["ls", "latest", "--dump", &name])
            .fails(4, "damage");
    }
    place
        .run(["ls", "latest", "--dump", &at("two")])
        .fails(1, "failed");
    place.run(["ls", "latest", "--dump", &at("two/tue")]).ok();
    place
        .run(["ls", "latest", "--dump", &at("bad")])
        .fails(4, "damage");
    place
        .run(["ls", "latest", "--dump", &at("changed.archive")])
        .fails(4, "damage");
    place
        .run(["ls", "latest", "--dump", &at("shop/notes.txt")])
        .fails(1, "not_found");
}
