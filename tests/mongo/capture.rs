//! What a snapshot holds is what the server holds: every sort of collection, every type, byte for byte.

use duramen::error::Kind;
use duramen::format::deployment::{CollectionKind, Moment};
use duramen::format::snapshot::SnapshotKind;
use duramen::ops;
use duramen::ops::snapshot::Selection;
use duramen::progress::Silent;
use mongodb::bson::{
    Binary, Bson, DateTime, Decimal128, Document, JavaScriptCodeWithScope, RawDocumentBuf, Regex,
    Timestamp, doc, oid::ObjectId, spec::BinarySubtype,
};

use crate::common::mongod::Mongod;
use crate::common::place::Place;
use crate::lab::{Lab, at, on_server, options, same};

/// A document of raw elements: type, name, value.
fn raw(elements: &[(u8, &str, &[u8])]) -> RawDocumentBuf {
    let mut bytes = vec![0; 4];
    for (kind, name, value) in elements {
        bytes.push(*kind);
        bytes.extend_from_slice(name.as_bytes());
        bytes.push(0);
        bytes.extend_from_slice(value);
    }
    bytes.push(0);
    let length = (bytes.len() as i32).to_le_bytes();
    bytes[..4].copy_from_slice(&length);
    RawDocumentBuf::from_bytes(bytes).unwrap()
}

/// `_id`s of every type that the server takes, in numbers of all kinds.
fn ids() -> Vec<Bson> {
    let binary = |subtype, bytes: &[u8]| {
        Bson::Binary(Binary {
            subtype,
            bytes: bytes.to_vec(),
        })
    };
    vec![
        Bson::MinKey,
        Bson::MaxKey,
        Bson::Null,
        Bson::Double(-1.5),
        Bson::Double(f64::NAN),
        Bson::Double(f64::INFINITY),
        Bson::Int32(0),
        Bson::Int32(7),
        Bson::Int64(1 << 40),
        Bson::Int64(i64::MIN),
        Bson::Int64((1 << 53) + 1),
        Bson::Decimal128("0.1".parse::<Decimal128>().unwrap()),
        Bson::Decimal128("8".parse::<Decimal128>().unwrap()),
        Bson::Decimal128("-3E+900".parse::<Decimal128>().unwrap()),
        Bson::String(String::new()),
        Bson::String("a".into()),
        Bson::String("\u{e4}\u{1F600}".into()),
        Bson::Symbol("symbol".into()),
        Bson::Document(doc! { "x": 1, "y": { "z": [] } }),
        Bson::Document(doc! {}),
        binary(BinarySubtype::Generic, b""),
        binary(BinarySubtype::Uuid, &[9; 16]),
        binary(BinarySubtype::UserDefined(0x80), &[1; 300]),
        Bson::ObjectId(ObjectId::from_bytes([1; 12])),
        Bson::ObjectId(ObjectId::from_bytes([255; 12])),
        Bson::Boolean(false),
        Bson::Boolean(true),
        Bson::DateTime(DateTime::from_millis(-1)),
        Bson::DateTime(DateTime::from_millis(1_700_000_000_000)),
        Bson::Timestamp(Timestamp {
            time: 5,
            increment: 1,
        }),
        Bson::JavaScriptCode("f()".into()),
        Bson::JavaScriptCodeWithScope(JavaScriptCodeWithScope {
            code: "g()".into(),
            scope: doc! { "x": 1 },
        }),
    ]
}

/// Everything that a database can hold, as far as the server takes it from anybody.
pub fn torture(server: &Mongod) {
    let with = |id: Bson| doc! { "_id": id, "values": ids(), "re": Regex { pattern: "^a".into(), options: "i".into() } };
    server.insert("torture", "types", ids().into_iter().map(with).collect());
    // What no library writes of itself.
    let one = 1i32.to_le_bytes();
    server.insert_raw(
        "torture",
        "odd",
        &[
            raw(&[
                (0x10, "_id", &one),
                (0x10, "twice", &one),
                (0x10, "twice", &[2, 0, 0, 0]),
            ]),
            raw(&[
                (0x08, "_id", &[1]),
                (0x10, "", &one),
                (0x10, "$set", &one),
                (0x10, "a.b", &one),
            ]),
            raw(&[
                (0x0A, "_id", &[]),
                (0x06, "undefined", &[]),
                (0x11, "nested", &[0; 8]),
            ]),
        ],
    );
    let zero = doc! { "update": "odd", "updates": [
    { "q": { "_id": 1 }, "u": { "$set": { "zero": Timestamp { time: 0, increment: 0 } } } } ] };
    server.run("torture", zero);
    let large = "x".repeat((16 << 20) - 200);
    server.insert("torture", "large", vec![doc! { "_id": 1, "text": large }]);
    server.run(
        "torture",
        doc! { "create": "collated", "collation": { "locale": "en", "strength": 2 } },
    );
    let words = ["b", "A", "c", "Z", "\u{e4}", "a-b", "ab", "10", "9"];
    let words = words.map(|word| doc! { "_id": word, "word": word });
    server.insert("torture", "collated", words.to_vec());
    server.run(
        "torture",
        doc! { "create": "clustered", "clusteredIndex": { "key": { "_id": 1 }, "unique": true } },
    );
    let numbered = |count: i32| (0..count).map(|number| doc! { "_id": number, "n": number });
    server.insert("torture", "clustered", numbered(500).collect());
    server.run(
        "torture",
        doc! { "create": "validated", "validator": { "n": { "$gte": 0 } }, "validationLevel": "moderate" },
    );
    server.insert("torture", "validated", numbered(20).collect());
    server.run(
        "torture",
        doc! { "create": "capped", "capped": true, "size": 65536, "max": 40 },
    );
    server.insert("torture", "capped", numbered(100).rev().collect());
    server.run("torture", doc! { "create": "empty" });
    server.run(
        "torture",
        doc! { "create": "series", "timeseries": { "timeField": "t", "metaField": "m" } },
    );
    let measured = |number: i64| doc! { "t": DateTime::from_millis(number * 1000), "m": number % 3, "v": number };
    server.insert("torture", "series", (0..600).map(measured).collect());
    server.run(
        "torture",
        doc! { "create": "view", "viewOn": "types", "pipeline": [ { "$match": { "_id": 7 } } ] },
    );
    server.insert(
        "torture",
        "system.js",
        vec![doc! { "_id": "f", "value": Bson::JavaScriptCode("function() {}".into()) }],
    );
    let index = |key: Document, more: Document| {
        let mut index =
            doc! { "name": key.to_string().replace(['{', '}', ' ', '"', ':'], "_"), "key": key };
        index.extend(more);
        index
    };
    let indexes = vec![
        index(doc! { "text": "text" }, doc! { "weights": { "text": 5 } }),
        index(doc! { "place": "2dsphere" }, doc! {}),
        index(doc! { "hash": "hashed" }, doc! {}),
        index(doc! { "$**": 1 }, doc! { "wildcardProjection": { "a": 1 } }),
        index(
            doc! { "part": 1 },
            doc! { "partialFilterExpression": { "part": { "$gt": 5 } } },
        ),
        index(
            doc! { "one": 1, "two": -1 },
            doc! { "unique": true, "sparse": true },
        ),
        index(doc! { "expires": 1 }, doc! { "expireAfterSeconds": 3600 }),
        index(doc! { "hidden": 1 }, doc! { "hidden": true }),
        index(
            doc! { "collated": 1 },
            doc! { "collation": { "locale": "de" } },
        ),
    ];
    server.run(
        "torture",
        doc! { "createIndexes": "indexed", "indexes": indexes },
    );
    server.insert("torture", "indexed", numbered(10).collect());
}

#[test]
fn whatever_a_server_can_hold_comes_back_byte_for_byte() {
    let (server, lab) = (Mongod::set(), Lab::new());
    torture(&server);
    let (summary, snapshot) = lab.snapshot(&server);
    assert_eq!(summary.kind, SnapshotKind::Full);
    let deployment = snapshot.deployments().next().unwrap();
    same(
        &lab.content(&snapshot),
        &on_server(&server, &["torture"], Some(at(deployment))),
    );
    // Names, options and indexes are those that the server lists.
    let listed = server.listed("torture");
    let listed: Vec<_> = listed
        .iter()
        .filter(|(each, _)| each.get_str("name").unwrap() != "system.views")
        .collect();
    let stored = lab.collections(&snapshot);
    assert_eq!(stored.len(), listed.len());
    let document = |bytes: &[u8]| Document::from_reader(bytes).unwrap();
    for (own, (other, indexes)) in stored.iter().zip(&listed) {
        assert_eq!(own.name(), other.get_str("name").unwrap());
        assert_eq!(
            &document(&own.options),
            other.get_document("options").unwrap()
        );
        let own: Vec<Document> = own.indexes.iter().map(|index| document(&index.0)).collect();
        assert_eq!(&own, indexes);
    }
    let kind = |name: &str| stored.iter().find(|each| each.name() == name).unwrap().kind;
    assert_eq!(kind("view"), CollectionKind::View);
    assert_eq!(kind("series"), CollectionKind::TimeSeries);
    assert_eq!(kind("capped"), CollectionKind::Capped);
    lab.check();
}

#[test]
fn capped_collections_keep_the_order_of_insertion() {
    let (server, lab) = (Mongod::set(), Lab::new());
    server.run(
        "logs",
        doc! { "create": "log", "capped": true, "size": 1 << 20, "max": 300 },
    );
    let line =
        |number: i32| doc! { "_id": -number, "line": format!("line {number} {}", "x".repeat(200)) };
    let mut next = 0;
    let mut added = Vec::new();
    for count in [250, 0, 20, 100, 400, 1] {
        server.insert("logs", "log", (next..next + count).map(line).collect());
        next += count;
        let (summary, snapshot) = lab.snapshot(&server);
        same(
            &lab.content(&snapshot),
            &on_server(&server, &["logs"], None),
        );
        added.push(summary.counters.data_added);
    }
    // What is still there has its place, and is not stored again; where leaves end is another matter in every repository.
    assert!(added[1] < 2000 && added[2] < added[0] * 3 / 4, "{added:?}");
    lab.check();
}

/// A transaction that takes several entries of the oplog.
#[test]
fn a_large_transaction_is_all_there_or_not_at_all() {
    let (server, lab) = (Mongod::set(), Lab::new());
    let text = "y".repeat(1 << 20);
    server.insert(
        "bank",
        "large",
        (0..40)
            .map(|number| doc! { "_id": number, "n": 0 })
            .collect(),
    );
    lab.snapshot(&server);
    server.wait(async {
        let mut session = server.db("bank").client().start_session().await.unwrap();
        session.start_transaction().await.unwrap();
        let large = server.db("bank").collection::<Document>("large");
        for number in 0..24 {
            let change = doc! { "$set": { "text": &text, "n": 1 } };
            large
                .update_one(doc! { "_id": number }, change)
                .session(&mut session)
                .await
                .unwrap();
        }
        session.commit_transaction().await.unwrap();
    });
    let (summary, snapshot) = lab.snapshot(&server);
    assert_eq!(summary.deployments[0].documents_read, 24);
    same(
        &lab.content(&snapshot),
        &on_server(&server, &["bank"], None),
    );
}

#[test]
fn patterns_databases_and_users_are_chosen() {
    let (server, lab) = (Mongod::guarded(), Lab::new());
    for (database, collection) in [("shop", "quotes"), ("shop", "tmp1"), ("chat", "sessions")] {
        server.insert(database, collection, vec![doc! { "_id": 1 }]);
    }
    let backup = doc! { "createUser": "backup", "pwd": "b", "roles": ["backup"] };
    server.run("admin", backup);
    let address = server.address_as("backup", "b");
    let names = |address: &str, selection: &Selection| {
        lab.take(address, selection)
            .unwrap_or_else(|error| panic!("{}", error.detail()));
        let content = lab.content(&lab.latest());
        content.into_keys().collect::<Vec<_>>()
    };
    let all = Selection::default();
    assert_eq!(
        names(&address, &all),
        ["chat.sessions", "shop.quotes", "shop.tmp1"]
    );
    let without = Selection {
        exclude: vec!["shop.tmp*".into()],
        ..all.clone()
    };
    assert_eq!(names(&address, &without), ["chat.sessions", "shop.quotes"]);
    let some = Selection {
        include: vec!["*.sessions".into()],
        ..all.clone()
    };
    assert_eq!(names(&address, &some), ["chat.sessions"]);
    let one = server.address_of("shop");
    assert_eq!(names(&one, &all), ["shop.quotes", "shop.tmp1"]);
    let users = Selection {
        users: true,
        ..all.clone()
    };
    let with_users = names(&address, &users);
    assert_eq!(with_users[0], "admin.system.users");
    let wrong = server.address_as("backup", "wrong");
    let error = lab.take(&wrong, &all).unwrap_err();
    assert_eq!(error.kind(), Kind::Permission);
    let told = format!("{} {:?}", error.detail(), lab.latest());
    assert!(
        !told.contains("wrong@") && !told.contains(":b@") && !told.contains("secret"),
        "{told}"
    );
}

/// Another server under the same name, or an oplog that does not lead on: everything is read, and nothing is mixed.
#[test]
fn where_the_oplog_does_not_lead_on_everything_is_read() {
    let (one, other, lab) = (Mongod::set(), Mongod::set(), Lab::new());
    one.insert(
        "shop",
        "quotes",
        (0..50).map(|number| doc! { "_id": number }).collect(),
    );
    other.insert(
        "shop",
        "quotes",
        (20..30)
            .map(|number| doc! { "_id": number, "x": 1 })
            .collect(),
    );
    let (first, _) = lab.snapshot(&one);
    let options = ops::snapshot::SnapshotOptions {
        parent: Some(first.id.unwrap().hex()),
        ..options(&other.address())
    };
    let summary = ops::snapshot::run(&lab.open(), &options, &Silent).unwrap();
    let own = &summary.deployments[0];
    assert_eq!((own.documents_read, own.collections_read), (10, 1));
    same(
        &lab.content(&lab.latest()),
        &on_server(&other, &["shop"], None),
    );
}

#[test]
fn a_server_that_stands_alone_is_taken_and_said_to_be_no_point_in_time() {
    let (server, lab) = (Mongod::alone(), Lab::new());
    torture(&server);
    let (_, snapshot) = lab.snapshot(&server);
    same(
        &lab.content(&snapshot),
        &on_server(&server, &["torture"], None),
    );
    let deployment = snapshot.deployments().next().unwrap();
    assert!(matches!(deployment.moment, Moment::Between { from, to } if from <= to));
    lab.check();
}

/// The notes of a snapshot of the server.
fn noted(place: &Place, server: &Mongod) -> Vec<String> {
    let run = place.run(["snapshot", &server.address()]).ok();
    let said = String::from_utf8(run.stderr).unwrap();
    let notes = said
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let notes = notes.filter(|note| note["message_type"] == "note");
    notes
        .map(|note| note["message"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn a_server_that_stands_alone_is_read_twice() {
    let (server, place) = (Mongod::alone(), Place::new("mongo-alone"));
    server.insert(
        "shop",
        "still",
        (0..500).map(|id| doc! { "_id": id }).collect(),
    );
    let twice = "all of it was read twice and was the same both times";
    assert_eq!(noted(&place, &server).last().unwrap(), twice);
    let stop = std::sync::atomic::AtomicBool::new(false);
    let notes = std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut number = 0;
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                number += 1;
                let all = (0..200).map(|id| doc! { "n": number, "id": id });
                server.insert("shop", "busy", all.collect());
            }
        });
        // Once it is there at all.
        while server.listed("shop").len() < 2 {}
        let notes = noted(&place, &server);
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        notes
    });
    let busy = "written to while they were read, three times: shop.busy";
    assert_eq!(notes.last().unwrap(), busy);
    // The other one is stored once.
    assert_eq!(noted(&place, &server).last().unwrap(), twice);
    place.assert_clean();
}

#[test]
fn files_and_databases_stand_in_one_snapshot() {
    let (server, lab) = (Mongod::set(), Lab::new());
    server.insert("shop", "quotes", vec![doc! { "_id": 1 }]);
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("file"), b"content").unwrap();
    let options = ops::snapshot::SnapshotOptions {
        input: ops::snapshot::Input::Paths(vec![folder.path().to_owned()]),
        ..options(&server.address())
    };
    for documents_read in [1, 0] {
        let summary = ops::snapshot::run(&lab.open(), &options, &Silent).unwrap();
        assert_eq!(summary.deployments[0].documents_read, documents_read);
        let snapshot = lab.latest();
        same(
            &lab.content(&snapshot),
            &on_server(&server, &["shop"], None),
        );
        let path = folder.path().join("file");
        let path = path.as_os_str().as_encoded_bytes();
        assert!(lab.open().find(&snapshot, path).is_ok());
    }
    lab.check();
}

#[test]
fn prune_keeps_what_runs_need_and_drops_the_rest() {
    let (server, lab) = (Mongod::set(), Lab::new());
    let text = |seed: i32| blake3::hash(&seed.to_le_bytes()).to_hex().to_string();
    let quote = |number: i32| doc! { "_id": number, "text": text(number) };
    server.insert("shop", "quotes", (0..5000).map(quote).collect());
    server.insert(
        "shop",
        "gone",
        (0..5000).map(|number| quote(number + 9000)).collect(),
    );
    let (first, _) = lab.snapshot(&server);
    server.run("shop", doc! { "drop": "gone" });
    for night in 0..12 {
        let change = doc! { "$set": { "text": text(20_000 + night) } };
        server.run(
            "shop",
            doc! { "update": "quotes", "updates": [
            { "q": { "_id": { "$mod": [500, night] } }, "u": change, "multi": true } ] },
        );
        lab.snapshot(&server);
    }
    let latest = lab.latest();
    let runs = lab.collections(&latest)[0].runs.len();
    assert!((2..12).contains(&runs), "{runs} runs");
    let repository = lab.open();
    let all = ops::select::list(&repository, &ops::select::Filter::default()).unwrap();
    let others = all.iter().filter(|each| each.id != latest.id);
    let names: Vec<String> = others.map(|each| each.id.hex()).collect();
    assert!(names.contains(&first.id.unwrap().hex()));
    let filter = ops::select::Filter::default();
    ops::forget::named(&repository, &names, &filter, false).unwrap();
    for _ in 0..3 {
        ops::prune::run(&lab.open(), &Default::default(), false, &Silent).unwrap();
    }
    same(&lab.content(&latest), &on_server(&server, &["shop"], None));
    lab.check();
}
