//! The program as somebody uses it: addresses beside paths, what it prints, and what another reader finds in the repository.

use mongodb::bson::doc;
use serde_json::json;

use crate::capture::torture;
use crate::common::mongod::Mongod;
use crate::common::place::{Place, Run};
use crate::lab::{Content, on_server, same};
use crate::support::python_ok;

/// What the reader that knows only the specification makes of a snapshot.
fn read_by_another(place: &Place, id: &str, capped: &[&str]) -> Content {
    let folder = place.scratch.folder(&format!("read-{id}"));
    let arguments = [
        place.repository.to_str().unwrap(),
        "--key-file",
        place.key.to_str().unwrap(),
        "documents",
        id,
        folder.to_str().unwrap(),
    ];
    python_ok("duramen_reader.py", &arguments);
    let mut content = Content::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let namespace = name.strip_suffix(".bson").unwrap().to_owned();
        let bytes = std::fs::read(entry.path()).unwrap();
        let mut documents = Vec::new();
        let mut rest = &bytes[..];
        while let Some(length) = rest.first_chunk::<4>() {
            let (own, behind) = rest.split_at(i32::from_le_bytes(*length) as usize);
            documents.push(own.to_vec());
            rest = behind;
        }
        if !capped.contains(&namespace.as_str()) {
            documents.sort();
        }
        content.insert(namespace, documents);
    }
    content
}

/// What it says to people.
fn told(place: &Place, arguments: &[&str]) -> String {
    let mut command = place.bare();
    command.arg("-r").arg(&place.repository);
    command.arg("--key-file").arg(&place.key);
    command.args(arguments);
    Run::of(command).ok().all_text()
}

#[test]
fn a_reader_of_the_specification_alone_finds_all_documents() {
    let (server, place) = (Mongod::set(), Place::new("mongo-reader"));
    torture(&server);
    let address = server.address();
    let taken = |read: u64| {
        let summary = place.run(["snapshot", "--json", &address]).ok().summary();
        assert_eq!(
            summary["deployments"][0]["documents_read"],
            json!(read),
            "{summary}"
        );
        let id = summary["snapshot_id"].as_str().unwrap().to_owned();
        let mut content = read_by_another(&place, &id, &["torture.capped"]);
        // What has no documents of its own.
        content.retain(|namespace, _| {
            !["torture.view", "torture.series"].contains(&namespace.as_str())
        });
        same(&content, &on_server(&server, &["torture"], None));
        summary
    };
    let first = taken(place_count(&server));
    assert!(first["deployments"][0]["at"].is_string());
    server.run("torture", doc! { "update": "clustered", "updates": [ { "q": { "_id": { "$lt": 10 } }, "u": { "$inc": { "n": 1 } }, "multi": true } ] });
    server.run("torture", doc! { "delete": "clustered", "deletes": [ { "q": { "_id": { "$gte": 490 } }, "limit": 0 } ] });
    // Capped collections are read whole each time.
    taken(10 + 40);
    let arguments = [
        place.repository.to_str().unwrap(),
        "--key-file",
        place.key.to_str().unwrap(),
        "verify",
    ];
    python_ok("duramen_reader.py", &arguments);
}

fn place_count(server: &Mongod) -> u64 {
    let content = on_server(server, &["torture"], None);
    content
        .values()
        .map(|documents| documents.len() as u64)
        .sum()
}

#[test]
fn addresses_stand_beside_paths_and_passwords_nowhere() {
    let (server, place) = (Mongod::guarded(), Place::new("mongo-program"));
    server.insert(
        "shop",
        "quotes",
        (0..30)
            .map(|number| doc! { "_id": number, "n": 1 })
            .collect(),
    );
    let folder = place.scratch.folder("files");
    std::fs::write(folder.join("file"), b"content").unwrap();
    let address = server.address();
    assert!(address.contains("secret"));
    let taken = told(&place, &["snapshot", folder.to_str().unwrap(), &address]);
    assert!(
        taken.contains("30 documents in 1 collection, as at "),
        "{taken}"
    );
    let listed = place.snapshots();
    let paths = listed[0]["paths"].as_array().unwrap().clone();
    assert_eq!(paths.len(), 2);
    assert!(!taken.contains("secret") && !format!("{listed:?}").contains("secret"));
    // Back under another name, and the files beside it.
    let back = [
        "restore",
        "latest:shop",
        "--target",
        &address,
        "--ns-from",
        "shop.*",
        "--ns-to",
        "old.*",
    ];
    let back = told(&place, &back);
    assert!(
        back.contains("shop.quotes as old.quotes: 30 restored"),
        "{back}"
    );
    assert!(
        back.contains("30 documents, 30 verified") && !back.contains("secret"),
        "{back}"
    );
    let files = place.at("back");
    place
        .run(["restore", "latest", "--target", files.to_str().unwrap()])
        .ok();
    let own = files.join(folder.strip_prefix("/").unwrap()).join("file");
    assert_eq!(std::fs::read(own).unwrap(), b"content");
    // The password is not on the command line.
    let without = address.replace(":secret@", "@");
    let mut command = place.command();
    command
        .args(["snapshot", &without])
        .env("DURAMEN_MONGODB_PASSWORD", "secret");
    Run::of(command).ok();
    let file = place.at("password");
    std::fs::write(&file, b"secret\n").unwrap();
    let mut command = place.command();
    command
        .args(["snapshot", &without])
        .env("DURAMEN_MONGODB_PASSWORD_FILE", &file);
    Run::of(command).ok();
    // Flags that are about something else are refused.
    for wrong in [
        &["restore", "latest", "-t", &address, "--delete"][..],
        &["restore", "latest", "-t", "/nowhere", "--id", "1"],
        &["snapshot", "/etc", "--ns-include", "*"],
    ] {
        place.run(wrong).exits(2);
    }
}

#[test]
fn collections_are_listed_and_documents_written_out() {
    let (server, place) = (Mongod::set(), Place::new("mongo-look"));
    let quote = |number: i32| doc! { "_id": number, "status": if number % 2 == 0 { "open" } else { "closed" }, "n": i64::from(number) };
    server.insert("shop", "quotes", (0..5000).map(quote).collect());
    server.insert(
        "chat",
        "sessions",
        vec![doc! { "_id": "a", "turns": ["hello"] }],
    );
    place.run(["snapshot", &server.address()]).ok();
    server.run("shop", doc! { "update": "quotes", "updates": [ { "q": { "_id": 7 }, "u": { "$set": { "n": 700 } } } ] });
    server.run(
        "shop",
        doc! { "delete": "quotes", "deletes": [ { "q": { "_id": 8 }, "limit": 1 } ] },
    );
    place.run(["snapshot", &server.address()]).ok();
    let told = |arguments: &[&str]| told(&place, arguments);
    assert_eq!(told(&["ls", "latest"]), "chat.sessions\nshop.quotes\n");
    assert_eq!(told(&["ls", "latest:shop"]), "shop.quotes\n");
    assert!(
        told(&["ls", "latest", "--long"])
            .contains("collection            4,999     1 index  shop.quotes\n")
    );
    let cat = |snapshot: &str, more: &[&str]| told(&[&["cat", snapshot], more].concat());
    assert_eq!(
        cat("latest:chat.sessions", &[]),
        "{\"_id\":\"a\",\"turns\":[\"hello\"]}\n"
    );
    assert_eq!(
        cat("latest:shop.quotes", &["--id", "7"]),
        "{\"_id\":7,\"status\":\"closed\",\"n\":700}\n"
    );
    assert_eq!(
        cat("latest~1:shop.quotes", &["--id", "7"]),
        "{\"_id\":7,\"status\":\"closed\",\"n\":7}\n"
    );
    assert_eq!(
        cat("latest~1:shop.quotes", &["--id", "8"]),
        "{\"_id\":8,\"status\":\"open\",\"n\":8}\n"
    );
    assert_eq!(
        cat(
            "latest:shop.quotes",
            &["--where", "status=open", "--limit", "2", "--canonical"]
        ),
        "{\"_id\":{\"$numberInt\":\"0\"},\"status\":\"open\",\"n\":{\"$numberLong\":\"0\"}}\n\
         {\"_id\":{\"$numberInt\":\"2\"},\"status\":\"open\",\"n\":{\"$numberLong\":\"2\"}}\n"
    );
    for wrong in [
        &["cat", "latest:shop.quotes", "--id", "8"][..],
        &["cat", "latest:shop.none"],
        &["cat", "latest:shop"],
        &["ls", "latest:none"],
        &["ls", "latest:/etc"],
    ] {
        place.run(wrong).exits(1);
    }
    let listed = place.run(["ls", "latest", "--json"]).ok().objects();
    assert_eq!(listed[2]["namespace"], "shop.quotes");
    assert_eq!(listed[2]["documents"], 4999);
    // Commands that are about files pass such snapshots by.
    place.run(["find", "*.x"]).ok();
    place.run(["stats"]).ok();
    place.run(["check", "--read-data"]).ok();
}

/// From a snapshot over what was recorded to a second in between, and a restore of it that is taken back.
#[test]
fn a_second_in_between_is_looked_at_restored_and_taken_back() {
    let (server, place) = (Mongod::set(), Place::new("mongo-at"));
    let told = |arguments: &[&str]| told(&place, arguments);
    server.insert(
        "shop",
        "quotes",
        vec![doc! { "_id": 1, "n": 1 }, doc! { "_id": 2, "n": 1 }],
    );
    place.run(["snapshot", &server.address()]).ok();
    server.run("shop", doc! { "update": "quotes", "updates": [ { "q": { "_id": 1 }, "u": { "$set": { "n": 5 } } } ] });
    std::thread::sleep(std::time::Duration::from_millis(2100));
    server.run("shop", doc! { "update": "quotes", "updates": [ { "q": { "_id": 1 }, "u": { "$set": { "n": 9 } } } ] });
    let hello = server.run("admin", doc! { "hello": 1 });
    let second = hello.get_timestamp("operationTime").unwrap().time - 1;
    let second = jiff::Timestamp::from_second(i64::from(second))
        .unwrap()
        .to_string();
    let lines = place
        .run(["tail", &server.address(), "--once"])
        .ok()
        .objects();
    assert_eq!(lines[0]["message_type"], "stretch");
    assert!(lines[0]["entries"].as_u64().unwrap() >= 2);
    assert!(told(&["timeline"]).contains("any second"));
    assert_eq!(
        told(&["cat", "latest:shop.quotes", "--id", "1", "--at", &second]),
        "{\"_id\":1,\"n\":5}\n"
    );
    assert_eq!(told(&["ls", "latest", "--at", &second]), "shop.quotes\n");
    place
        .run(["cat", "latest:shop.quotes", "--at", "2001-01-01"])
        .exits(1);
    let versions = place
        .run(["history", "shop.quotes", "--id", "1"])
        .ok()
        .objects();
    let seen = versions
        .iter()
        .map(|version| version["document"]["n"].as_i64());
    assert_eq!(seen.collect::<Vec<_>>(), [Some(1), Some(5), Some(9)]);
    assert!(versions[0]["snapshot_id"].is_string() && versions[2]["snapshot_id"].is_null());
    place.run(["history", "shop.none", "--id", "1"]).exits(1);
    let report = place.scratch.at("report.md");
    let (address, report_name) = (server.address(), report.to_str().unwrap());
    let restore = place
        .run([
            "restore",
            "latest",
            "-t",
            &address,
            "--at",
            &second,
            "--conflict",
            "overwrite",
            "--report",
            report_name,
        ])
        .ok()
        .objects();
    let summary = restore.last().unwrap();
    assert_eq!(summary["collections"][0]["replaced"]["count"], 1);
    let page = std::fs::read_to_string(&report).unwrap();
    assert!(page.contains("- replaced: `1`\n"), "{page}");
    let is = |n: i32| {
        let all = server.raw("shop", "quotes", None);
        let found = all
            .iter()
            .map(|bytes| mongodb::bson::Document::from_reader(&bytes[..]).unwrap());
        let mut found = found.filter(|document| document.get_i32("_id") == Ok(1));
        assert_eq!(found.next().unwrap().get_i32("n"), Ok(n));
    };
    is(5);
    let undo = summary["undo_snapshot_id"].as_str().unwrap();
    assert!(told(&["rollback", "--dry-run"]).contains("1 put back"));
    is(5);
    place.run(["rollback", undo]).ok();
    is(9);
    // What another server, or another selection, does not hold is not gone for that.
    let another = Mongod::set();
    another.insert("other", "things", vec![doc! { "_id": 1 }]);
    place.run(["snapshot", &another.address()]).ok();
    place
        .run(["snapshot", &server.address(), "--ns-include", "none.*"])
        .ok();
    let again = place.run(["history", "shop.quotes", "--id", "1"]).ok();
    assert_eq!(again.objects(), versions);
    place.run(["check", "--read-data"]).ok();
}

#[test]
fn collections_are_written_out_for_other_tools() {
    let (server, place) = (Mongod::set(), Place::new("mongo-export"));
    let quote = |number: i32| doc! { "_id": number, "n": i64::from(number), "at": mongodb::bson::DateTime::from_millis(7) };
    server.insert("shop", "quotes", (0..300).map(quote).collect());
    let index = doc! { "key": { "n": 1 }, "name": "n", "unique": true };
    server.run(
        "shop",
        doc! { "createIndexes": "quotes", "indexes": [ index ] },
    );
    server.run(
        "shop",
        doc! { "create": "seen", "viewOn": "quotes", "pipeline": [] },
    );
    server.run(
        "shop",
        doc! { "create": "a/b", "capped": true, "size": 4096 },
    );
    place.run(["snapshot", &server.address()]).ok();
    let folder = place.scratch.at("dump");
    let name = folder.to_str().unwrap();
    place
        .run(["export", "latest", "--format", "mongodump", "-o", name])
        .ok();
    let read = |file: &str| std::fs::read(folder.join("shop").join(file)).unwrap();
    // By `_id`, which here is the order of the server's bytes too.
    assert_eq!(
        read("quotes.bson"),
        server.raw("shop", "quotes", None).concat()
    );
    assert_eq!(read("a%2Fb.bson"), b"");
    let of = |file: &str| serde_json::from_slice::<serde_json::Value>(&read(file)).unwrap();
    let quotes = of("quotes.metadata.json");
    assert_eq!(quotes["indexes"][1]["unique"], true);
    assert_eq!(quotes["collectionName"], "quotes");
    assert_eq!(of("seen.metadata.json")["options"]["viewOn"], "quotes");
    assert_eq!(of("a%2Fb.metadata.json")["options"]["capped"], true);
    assert!(!folder.join("shop").join("seen.bson").exists());
    place
        .run(["export", "latest", "--format", "mongodump", "-o", name])
        .exits(2);
    place
        .run(["export", "latest", "--format", "mongodump"])
        .exits(2);
    place
        .run(["export", "latest", "--format", "jsonl"])
        .exits(2);
    let lines = told(
        &place,
        &["export", "latest:shop.quotes", "--format", "jsonl"],
    );
    assert!(
        lines.starts_with(
            "{\"_id\":{\"$numberInt\":\"0\"},\"n\":{\"$numberLong\":\"0\"},\"at\":{\"$date\":"
        ),
        "{lines}"
    );
    assert_eq!(
        lines.lines().filter(|line| line.starts_with('{')).count(),
        300
    );
}
