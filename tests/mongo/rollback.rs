//! Taking a restore back: exactly what it changed, and nothing that somebody has written since.

use duramen::error::Kind;
use duramen::format::snapshot::Snapshot;
use duramen::ops;
use duramen::ops::restore_deployment::{
    self, Conflict, DeploymentRestoreOptions, DeploymentRestoreSummary,
};
use duramen::ops::rollback::{self, RollbackReport, RollbackSummary};
use duramen::ops::select::Filter;
use duramen::progress::Silent;
use mongodb::bson::{Document, doc};

use crate::capture::torture;
use crate::common::mongod::Mongod;
use crate::lab::{Lab, on_server, same};

fn restore(lab: &Lab, options: &DeploymentRestoreOptions) -> DeploymentRestoreSummary {
    restore_deployment::run(&lab.open(), &lab.latest(), options, &Silent)
        .unwrap_or_else(|error| panic!("{}", error.detail()))
}

fn into(server: &Mongod, conflict: Conflict) -> DeploymentRestoreOptions {
    DeploymentRestoreOptions {
        address: server.address(),
        conflict,
        ..DeploymentRestoreOptions::default()
    }
}

fn kept(lab: &Lab, summary: &DeploymentRestoreSummary) -> Snapshot {
    let id = summary.undo.unwrap().hex();
    ops::select::one(&lab.open(), &id, &Filter::default()).unwrap()
}

fn back(lab: &Lab, server: &Mongod, undo: &Snapshot, dry_run: bool) -> RollbackSummary {
    rollback::run(&lab.open(), undo, &server.address(), dry_run, &Silent)
        .unwrap_or_else(|error| panic!("{}", error.detail()))
}

fn of<'s>(summary: &'s RollbackSummary, target: &str) -> &'s RollbackReport {
    summary
        .collections
        .iter()
        .find(|own| own.target == target)
        .unwrap()
}

fn set(server: &Mongod, id: i32, to: i32) {
    let change = doc! { "q": { "_id": id }, "u": { "$set": { "x": to } } };
    server.run("shop", doc! { "update": "quotes", "updates": [ change ] });
}

fn remove(server: &Mongod, id: i32) {
    let gone = doc! { "q": { "_id": id }, "limit": 1 };
    server.run("shop", doc! { "delete": "quotes", "deletes": [ gone ] });
}

#[test]
fn overwritten_documents_become_what_they_were() {
    for conflict in [
        Conflict::Overwrite,
        Conflict::Merge,
        Conflict::Newest("x".into()),
    ] {
        let (server, lab) = (Mongod::set(), Lab::new());
        let all = (0..50).map(|id| doc! { "_id": id, "x": id, "only": "then" });
        server.insert("shop", "quotes", all.collect());
        lab.snapshot(&server);
        for id in 0..20 {
            let change = doc! { "q": { "_id": id }, "u": { "_id": id, "x": -1, "now": true } };
            server.run("shop", doc! { "update": "quotes", "updates": [ change ] });
        }
        (40..50).for_each(|id| remove(&server, id));
        let before = on_server(&server, &["shop"], None);
        let summary = restore(&lab, &into(&server, conflict.clone()));
        assert!(summary.is_well());
        let undo = kept(&lab, &summary);
        assert!(lab.latest().shows() && !undo.shows());
        assert_ne!(before, on_server(&server, &["shop"], None), "{conflict:?}");
        // A rehearsal counts the same and changes nothing.
        let there = on_server(&server, &["shop"], None);
        let rehearsed = back(&lab, &server, &undo, true);
        same(&there, &on_server(&server, &["shop"], None));
        let done = back(&lab, &server, &undo, false);
        let own = of(&done, "shop.quotes");
        assert!(done.is_well());
        assert_eq!(
            (own.restored.count, own.removed.count),
            (20, 10),
            "{conflict:?}"
        );
        let counted = of(&rehearsed, "shop.quotes");
        assert_eq!((counted.restored.count, counted.removed.count), (20, 10));
        same(&before, &on_server(&server, &["shop"], None));
        // Once more there is nothing to do.
        let again = back(&lab, &server, &undo, false);
        let own = of(&again, "shop.quotes");
        assert_eq!(
            (own.restored.count, own.removed.count, own.unchanged),
            (0, 0, 30)
        );
        lab.check();
    }
}

#[test]
fn what_somebody_has_written_since_is_theirs() {
    let (server, lab) = (Mongod::set(), Lab::new());
    let all = (0..10).map(|id| doc! { "_id": id, "x": id });
    server.insert("shop", "quotes", all.collect());
    server.insert("shop", "made", vec![doc! { "_id": 1 }, doc! { "_id": 2 }]);
    lab.snapshot(&server);
    (0..5).for_each(|id| set(&server, id, 100));
    (5..8).for_each(|id| remove(&server, id));
    server.run("shop", doc! { "drop": "made" });
    let summary = restore(&lab, &into(&server, Conflict::Overwrite));
    let undo = kept(&lab, &summary);
    // Meanwhile: one that was overwritten, one that came, one that is gone, one in what was made.
    set(&server, 0, 7);
    set(&server, 5, 7);
    remove(&server, 1);
    server.insert("shop", "made", vec![doc! { "_id": 3 }]);
    let rehearsed = back(&lab, &server, &undo, true);
    assert_eq!(of(&rehearsed, "shop.made").removed.count, 2);
    let done = back(&lab, &server, &undo, false);
    let own = of(&done, "shop.quotes");
    assert_eq!(
        (own.restored.count, own.removed.count, own.skipped.count),
        (3, 2, 3)
    );
    let made = of(&done, "shop.made");
    assert!(!made.dropped && made.removed.count == 2 && made.problems.len() == 1);
    let left = |name: &str| {
        let all = server.raw("shop", name, None);
        let id = |bytes: &Vec<u8>| {
            let document = Document::from_reader(&bytes[..]).unwrap();
            let x = document.get("x").and_then(mongodb::bson::Bson::as_i32);
            (document.get_i32("_id").unwrap(), x)
        };
        let mut ids: Vec<(i32, Option<i32>)> = all.iter().map(id).collect();
        ids.sort_unstable();
        ids
    };
    assert_eq!(left("made"), [(3, None)]);
    let expected = [(0, 7), (2, 100), (3, 100), (4, 100), (5, 7), (8, 8), (9, 9)];
    assert_eq!(left("quotes"), expected.map(|(id, x)| (id, Some(x))));
}

#[test]
fn what_was_made_goes_again() {
    let (server, other, lab) = (Mongod::set(), Mongod::set(), Lab::new());
    torture(&server);
    lab.snapshot(&server);
    other.insert("mine", "own", vec![doc! { "_id": 1 }]);
    let summary = restore(&lab, &into(&other, Conflict::Skip));
    assert!(summary.is_well());
    assert!(!other.listed("torture").is_empty());
    let named = |(listed, _): &(Document, Vec<Document>)| {
        listed.get_str("name").unwrap() == "duramen_restoring"
    };
    assert!(!other.listed("torture").iter().any(named));
    let done = back(&lab, &other, &kept(&lab, &summary), false);
    for own in &done.collections {
        assert!(own.is_well(), "{own:?}");
    }
    let left: Vec<String> = other
        .listed("torture")
        .iter()
        .map(|(listed, _)| listed.get_str("name").unwrap().to_owned())
        .filter(|name| !name.starts_with("system."))
        .collect();
    assert!(left.is_empty(), "{left:?}");
    assert_eq!(other.listed("mine").len(), 1);
}

/// Single documents into a collection that was not there: they go again too, and no others.
#[test]
fn a_part_of_a_collection_that_was_not_there_goes_again() {
    let (server, other, lab) = (Mongod::set(), Mongod::set(), Lab::new());
    let all = (0..10).map(|id| doc! { "_id": id });
    server.insert("shop", "quotes", all.collect());
    lab.snapshot(&server);
    let part = |ids: &[&str]| {
        let mut options = into(&other, Conflict::Skip);
        options.documents.ids = ids.iter().map(|id| (*id).to_owned()).collect();
        restore(&lab, &options)
    };
    let first = part(&["1", "2"]);
    let second = part(&["3"]);
    let left = || {
        let all = other.raw("shop", "quotes", None);
        let id = |bytes: &Vec<u8>| {
            let document = Document::from_reader(&bytes[..]).unwrap();
            document.get_i32("_id").unwrap()
        };
        let mut ids: Vec<i32> = all.iter().map(id).collect();
        ids.sort_unstable();
        ids
    };
    assert_eq!(left(), [1, 2, 3]);
    let done = back(&lab, &other, &kept(&lab, &first), false);
    assert_eq!(of(&done, "shop.quotes").removed.count, 2);
    assert_eq!(left(), [3]);
    back(&lab, &other, &kept(&lab, &second), false);
    assert!(left().is_empty());
}

/// What a restore that was killed left half is named until the same restore has made it whole.
#[test]
fn what_is_half_there_is_named_until_it_is_whole() {
    let (server, other, lab) = (Mongod::set(), Mongod::set(), Lab::new());
    let all = (0..10).map(|id| doc! { "_id": id });
    server.insert("shop", "quotes", all.collect());
    lab.snapshot(&server);
    // As it stands when it was killed.
    other.insert("shop", "quotes", vec![doc! { "_id": 0 }]);
    let named = vec![doc! { "_id": "quotes" }, doc! { "_id": "other" }];
    other.insert("shop", "duramen_restoring", named);
    assert!(restore(&lab, &into(&other, Conflict::Skip)).is_well());
    let left = other.raw("shop", "duramen_restoring", None);
    assert_eq!(left.len(), 1);
    let left = Document::from_reader(&left[0][..]).unwrap();
    assert_eq!(left.get_str("_id"), Ok("other"));
}

#[test]
fn nothing_is_kept_where_nothing_is_to_be_changed() {
    let (server, lab) = (Mongod::set(), Lab::new());
    server.insert("shop", "quotes", vec![doc! { "_id": 1 }]);
    lab.snapshot(&server);
    assert_eq!(
        restore(&lab, &into(&server, Conflict::Overwrite)).undo,
        None
    );
    set(&server, 1, 5);
    assert_eq!(restore(&lab, &into(&server, Conflict::Skip)).undo, None);
    let unsafely = DeploymentRestoreOptions {
        no_safety: true,
        ..into(&server, Conflict::Overwrite)
    };
    assert_eq!(restore(&lab, &unsafely).undo, None);
    assert_eq!(
        rollback::newest(&lab.open()).unwrap_err().kind(),
        Kind::NotFound
    );
    let error = rollback::run(
        &lab.open(),
        &lab.latest(),
        &server.address(),
        false,
        &Silent,
    );
    assert_eq!(error.unwrap_err().kind(), Kind::Usage);
}

#[test]
fn indexes_that_let_documents_expire_are_left_to_whoever_asks_for_that() {
    let (server, other, lab) = (Mongod::set(), Mongod::set(), Lab::new());
    server.insert("shop", "quotes", vec![doc! { "_id": 1 }]);
    let index = doc! { "key": { "at": 1 }, "name": "at", "expireAfterSeconds": 60 };
    server.run(
        "shop",
        doc! { "createIndexes": "quotes", "indexes": [ index ] },
    );
    lab.snapshot(&server);
    let options = DeploymentRestoreOptions {
        defer_ttl: true,
        ..into(&other, Conflict::Skip)
    };
    let summary = restore(&lab, &options);
    assert!(summary.is_well());
    let own = &summary.collections[0];
    assert_eq!((own.indexes, own.deferred.len()), (0, 1));
    assert!(
        own.deferred[0].contains("\"expireAfterSeconds\":60"),
        "{}",
        own.deferred[0]
    );
}

#[test]
fn without_a_name_it_is_the_newest_that_was_not_taken_back() {
    let (server, lab) = (Mongod::set(), Lab::new());
    let all = (0..10).map(|id| doc! { "_id": id, "x": id });
    server.insert("shop", "quotes", all.collect());
    lab.snapshot(&server);
    let before = on_server(&server, &["shop"], None);
    // As of a restore that was killed in the middle: two of the same snapshot.
    let mut kept = Vec::new();
    for half in [0..5, 5..10] {
        half.clone().for_each(|id| remove(&server, id));
        let summary = restore(&lab, &into(&server, Conflict::Skip));
        kept.push(summary.undo.unwrap());
    }
    for (number, id) in kept.iter().enumerate().rev() {
        let newest = rollback::newest(&lab.open()).unwrap();
        assert_eq!(newest.id, *id);
        // A rehearsal takes nothing back.
        back(&lab, &server, &newest, true);
        assert_eq!(rollback::newest(&lab.open()).unwrap().id, *id);
        let done = back(&lab, &server, &newest, false);
        assert_eq!(done.earlier, number.checked_sub(1).map(|at| kept[at]));
    }
    assert_ne!(on_server(&server, &["shop"], None), before);
    assert_eq!(server.raw("shop", "quotes", None).len(), 0);
    let none = rollback::newest(&lab.open()).unwrap_err();
    assert_eq!(none.kind(), Kind::NotFound);
    // By its name it can be asked for again, and there is nothing to do.
    let first = ops::select::one(&lab.open(), &kept[0].hex(), &Filter::default()).unwrap();
    let again = back(&lab, &server, &first, false);
    assert_eq!(of(&again, "shop.quotes").unchanged, 5);
}
