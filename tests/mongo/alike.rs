//! What is the same to the server but not by its bytes, and what only looks the same: numbers of many types, documents too
//! large to be merged, series and indexes of other kinds. Nothing of it is lost, broken or passed over in silence.

use duramen::error::Kind;
use duramen::ops;
use duramen::ops::restore_deployment::{
    self, CollectionReport, Conflict, DeploymentRestoreOptions, DeploymentRestoreSummary,
};
use duramen::ops::rollback;
use duramen::ops::select::Filter;
use duramen::progress::Silent;
use mongodb::bson::{Bson, DateTime, Decimal128, Document, RawDocumentBuf, doc};

use crate::common::mongod::Mongod;
use crate::lab::{Lab, on_server, same};

fn decimal(text: &str) -> Bson {
    Bson::Decimal128(text.parse::<Decimal128>().unwrap())
}

fn options(server: &Mongod, conflict: Conflict) -> DeploymentRestoreOptions {
    DeploymentRestoreOptions {
        address: server.address(),
        conflict,
        ..DeploymentRestoreOptions::default()
    }
}

fn restore(lab: &Lab, options: &DeploymentRestoreOptions) -> DeploymentRestoreSummary {
    restore_deployment::run(&lab.open(), &lab.latest(), options, &Silent)
        .unwrap_or_else(|error| panic!("{}", error.detail()))
}

/// Under another database's name.
fn renamed(server: &Mongod, from: &str, to: &str, conflict: Conflict) -> DeploymentRestoreOptions {
    let mut options = options(server, conflict);
    options.names_from = vec![format!("{from}.*")];
    options.names_to = vec![format!("{to}.*")];
    options.collections.include = vec![format!("{from}.*")];
    options
}

fn of<'s>(summary: &'s DeploymentRestoreSummary, target: &str) -> &'s CollectionReport {
    let mut all = summary.collections.iter();
    all.find(|own| own.target == target).unwrap()
}

fn roll_back(lab: &Lab, server: &Mongod, summary: &DeploymentRestoreSummary) {
    let id = summary.undo.unwrap().hex();
    let undo = ops::select::one(&lab.open(), &id, &Filter::default()).unwrap();
    let done = rollback::run(&lab.open(), &undo, &server.address(), false, &Silent);
    assert!(done.unwrap().is_well());
}

#[test]
fn numbers_of_other_types_are_the_same_documents() {
    for conflict in [
        Conflict::Overwrite,
        Conflict::Merge,
        Conflict::Newest("n".into()),
    ] {
        let (server, lab) = (Mongod::set(), Lab::new());
        let pairs = [
            (Bson::Int32(1), Bson::Int64(1)),
            (Bson::Int64(2), Bson::Double(2.0)),
            (Bson::Double(3.0), decimal("3")),
            (decimal("4.00"), Bson::Int32(4)),
            (Bson::Int32(5), decimal("5.0")),
            (decimal("6.5"), Bson::Double(6.5)),
            (decimal("70"), decimal("7.0E+1")),
        ];
        // Within a document, too; what came of it is not found by its number.
        let nested = |user: Bson| doc! { "_id": { "user": user, "of": [1] }, "n": 10 };
        server.insert("more", "nested", vec![nested(Bson::Int32(5))]);
        let then = pairs
            .iter()
            .map(|(id, _)| doc! { "_id": id, "n": 10, "then": 1 });
        server.insert("shop", "quotes", then.collect());
        lab.snapshot(&server);
        let all = doc! { "q": {}, "limit": 0 };
        server.run("shop", doc! { "delete": "quotes", "deletes": [all] });
        let now = pairs
            .iter()
            .map(|(_, id)| doc! { "_id": id, "n": decimal("9.5"), "now": 1 });
        server.insert("shop", "quotes", now.collect());
        server.run(
            "more",
            doc! { "delete": "nested", "deletes": [ { "q": {}, "limit": 0 } ] },
        );
        server.insert(
            "more",
            "nested",
            vec![doc! { "_id": { "user": 5.0, "of": [1] }, "n": 9, "now": 1 }],
        );
        let before = on_server(&server, &["shop"], None);
        let rehearsed = DeploymentRestoreOptions {
            dry_run: true,
            ..options(&server, conflict.clone())
        };
        let rehearsed = restore(&lab, &rehearsed);
        let summary = restore(&lab, &options(&server, conflict.clone()));
        for summary in [&rehearsed, &summary] {
            let own = of(summary, "shop.quotes");
            assert_eq!(own.failed_count, 0, "{conflict:?}: {:?}", own.failed);
            assert_eq!(own.replaced.count + own.merged.count, 7, "{conflict:?}");
        }
        assert_eq!(of(&summary, "shop.quotes").verified, 7);
        let nested = of(&summary, "more.nested");
        let changed = nested.replaced.count + nested.merged.count;
        assert_eq!(
            (changed, nested.failed_count),
            (if conflict == Conflict::Merge { 0 } else { 1 }, 0),
            "{nested:?}"
        );
        roll_back(&lab, &server, &summary);
        let after = on_server(&server, &["shop"], None);
        same(&after, &before);
    }
}

#[test]
fn the_newest_is_told_as_the_server_would() {
    let (server, lab) = (Mongod::set(), Lab::new());
    // The snapshot's, the server's, and whether the first is greater.
    let pairs = [
        (Bson::Int32(10), decimal("5"), true),
        (decimal("1E+1"), decimal("9"), true),
        (decimal("100"), decimal("20.5"), true),
        (decimal("-1"), decimal("-2"), true),
        (
            Bson::Double(1_700_000_001.5),
            decimal("1700000000.123"),
            true,
        ),
        (decimal("9.5"), Bson::Int32(10), false),
        (decimal("-5"), Bson::Int32(1), false),
        (Bson::Int64(7), decimal("7.00"), false),
        (decimal("NaN"), Bson::Int32(-1), false),
        (Bson::Int32(-1), decimal("NaN"), true),
        (Bson::String("a".into()), decimal("9E+99"), true),
    ];
    let with = |which: fn(&(Bson, Bson, bool)) -> Bson| -> Vec<Document> {
        let all = pairs.iter().enumerate();
        all.map(|(id, own)| doc! { "_id": id as i32, "u": which(own) })
            .collect()
    };
    server.insert("then", "c", with(|own| own.0.clone()));
    server.insert("now", "c", with(|own| own.1.clone()));
    lab.snapshot(&server);
    let newest = Conflict::Newest("u".into());
    let summary = restore(&lab, &renamed(&server, "then", "now", newest));
    let own = of(&summary, "now.c");
    assert_eq!(own.failed_count, 0, "{:?}", own.failed);
    let greater = (0..pairs.len()).filter(|at| pairs[*at].2);
    let greater: Vec<String> = greater.map(|at| at.to_string()).collect();
    assert_eq!(own.replaced.ids, greater);
}

#[test]
fn a_document_too_large_to_be_merged_is_named_and_the_rest_comes_back() {
    let (server, lab) = (Mongod::set(), Lab::new());
    let large = |field: &str| doc! { "_id": 4, field: "l".repeat(9 << 20) };
    server.insert(
        "then",
        "a",
        vec![large("then"), doc! { "_id": 5, "then": 1 }],
    );
    server.insert("then", "b", vec![doc! { "_id": 1 }]);
    server.insert("now", "a", vec![large("now"), doc! { "_id": 5, "now": 1 }]);
    lab.snapshot(&server);
    for dry_run in [true, false] {
        let mut options = renamed(&server, "then", "now", Conflict::Merge);
        options.dry_run = dry_run;
        let summary = restore(&lab, &options);
        let own = of(&summary, "now.a");
        assert_eq!((own.failed_count, own.merged.count), (1, 1), "{own:?}");
        assert!(own.failed[0].why.contains("16 MiB"), "{own:?}");
        assert_eq!(of(&summary, "now.b").restored.count, 1);
    }
}

#[test]
fn fields_that_stand_twice_are_merged_and_put_back() {
    let (server, lab) = (Mongod::set(), Lab::new());
    // An `_id`, and fields whose names may be the same.
    let twice = |id: i32, fields: &[(&str, i32)]| {
        let mut raw = RawDocumentBuf::new();
        raw.append("_id", id);
        for (name, value) in fields {
            raw.append(*name, *value);
        }
        raw
    };
    let then = [
        twice(1, &[("a", 1), ("a", 2), ("x", 1)]),
        twice(2, &[("a", 1), ("x", 1)]),
    ];
    let now = [twice(1, &[("b", 1)]), twice(2, &[("b", 1), ("b", 2)])];
    server.insert_raw("then", "c", &then);
    server.insert_raw("now", "c", &now);
    let before = on_server(&server, &["now"], None);
    lab.snapshot(&server);
    let summary = restore(&lab, &renamed(&server, "then", "now", Conflict::Merge));
    let own = of(&summary, "now.c");
    assert_eq!((own.failed_count, own.merged.count), (0, 2), "{own:?}");
    let after = on_server(&server, &["now"], None);
    for document in after.values().flatten() {
        let document = RawDocumentBuf::from_bytes(document.clone()).unwrap();
        let names: Vec<_> = document
            .iter()
            .map(|field| field.unwrap().0.to_string())
            .collect();
        // Nothing that was there is gone.
        let id = document.get_i32("_id").unwrap();
        let expected: &[&str] = if id == 1 {
            &["a", "a", "b", "x"]
        } else {
            &["a", "b", "b", "x"]
        };
        let mut sorted = names;
        sorted.sort();
        assert_eq!(sorted[1..], *expected);
    }
    roll_back(&lab, &server, &summary);
    same(&on_server(&server, &["now"], None), &before);
}

fn names(server: &Mongod, database: &str) -> Vec<String> {
    let database = server.db(database);
    let names = server.wait(database.list_collection_names().into_future());
    names.unwrap()
}

#[test]
fn buckets_come_only_to_a_series_of_their_kind() {
    let (server, lab) = (Mongod::set(), Lab::new());
    let series = |database: &str, like: Document| {
        server.run(database, doc! { "create": "ts", "timeseries": like });
        let at = |day: i64| DateTime::from_millis(1_700_000_000_000 + day * 86_400_000);
        let some = (0..4).map(|day| doc! { "t": at(day), "m": database, "v": day });
        server.insert(database, "ts", some.collect());
    };
    series("then", doc! { "timeField": "t", "metaField": "m" });
    series("other", doc! { "timeField": "t" });
    series("alike", doc! { "timeField": "t", "metaField": "m" });
    server.insert("plain", "ts", vec![doc! { "_id": 1 }]);
    lab.snapshot(&server);
    let count = |database: &str| server.raw(database, "ts", None).len();
    for (into, count_after) in [("other", 4), ("plain", 1)] {
        for dry_run in [true, false] {
            let mut options = renamed(&server, "then", into, Conflict::Skip);
            options.dry_run = dry_run;
            let summary = restore(&lab, &options);
            assert!(!summary.is_well(), "{into}");
            let restored = summary.collections.iter().map(|own| own.restored.count);
            assert_eq!(restored.sum::<u64>(), 0, "{into}");
        }
        assert_eq!(count(into), count_after);
    }
    assert_eq!(names(&server, "plain"), ["ts"]);
    let summary = restore(&lab, &renamed(&server, "then", "alike", Conflict::Skip));
    assert!(summary.is_well());
    assert_eq!(count("alike"), 8);
    let summary = restore(&lab, &renamed(&server, "then", "made", Conflict::Skip));
    assert!(summary.is_well());
    assert_eq!(count("made"), 4);
}

#[test]
fn indexes_of_another_kind_are_named() {
    let (server, lab) = (Mongod::set(), Lab::new());
    let index = |database: &str, more: Document| {
        let mut index = doc! { "key": { "mail": 1 }, "name": "mail_1" };
        index.extend(more);
        server.insert(database, "c", vec![doc! { "_id": 1, "mail": "a" }]);
        server.run(database, doc! { "createIndexes": "c", "indexes": [index] });
    };
    index("then", doc! { "unique": true });
    index("same", doc! { "unique": true });
    index("other", doc! {});
    lab.snapshot(&server);
    let summary = restore(&lab, &renamed(&server, "then", "same", Conflict::Skip));
    assert!(summary.is_well());
    let summary = restore(&lab, &renamed(&server, "then", "other", Conflict::Skip));
    let own = of(&summary, "other.c");
    assert!(own.problems[0].contains("mail_1"), "{own:?}");
}

#[test]
fn what_fits_nothing_is_an_error_and_makes_nothing() {
    let (server, lab) = (Mongod::set(), Lab::new());
    server.insert(
        "shop",
        "quotes",
        vec![doc! { "_id": decimal("5.0"), "p": decimal("10.00") }],
    );
    lab.snapshot(&server);
    server.run("shop", doc! { "dropDatabase": 1 });
    let run = |options: &DeploymentRestoreOptions| {
        restore_deployment::run(&lab.open(), &lab.latest(), options, &Silent)
    };
    let mut missed = options(&server, Conflict::Skip);
    missed.documents.ids = vec!["nosuch".into()];
    for dry_run in [true, false] {
        missed.dry_run = dry_run;
        assert_eq!(run(&missed).unwrap_err().kind(), Kind::NotFound);
    }
    // A pattern for names with a slip in it: all would go where it is live.
    let slip = DeploymentRestoreOptions {
        names_from: vec!["shpo.*".into()],
        names_to: vec!["back.*".into()],
        ..options(&server, Conflict::Overwrite)
    };
    assert_eq!(run(&slip).unwrap_err().kind(), Kind::Usage);
    assert!(names(&server, "shop").is_empty());
    for (ids, conditions) in [(vec!["5".into()], vec![]), (vec![], vec!["p=10".into()])] {
        let mut found = options(&server, Conflict::Overwrite);
        (found.documents.ids, found.documents.conditions) = (ids, conditions);
        found.dry_run = true;
        assert_eq!(of(&run(&found).unwrap(), "shop.quotes").restored.count, 1);
    }
}
