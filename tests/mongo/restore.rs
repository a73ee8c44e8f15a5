//! What comes back to a server is what was there: documents, options, indexes; and what is there is lost only where somebody
//! asked for it.

use duramen::error::Kind;
use duramen::format::extended_json;
use duramen::ops::documents::DocumentFilter;
use duramen::ops::restore_deployment::{
    self, CollectionReport, Conflict, DeploymentRestoreOptions, DeploymentRestoreSummary, Selection,
};
use duramen::progress::Silent;
use mongodb::bson::{Bson, Document, doc};

use crate::capture::torture;
use crate::common::mongod::Mongod;
use crate::lab::{Content, Lab, on_server, same};

fn into(server: &Mongod) -> DeploymentRestoreOptions {
    DeploymentRestoreOptions {
        address: server.address(),
        ..Default::default()
    }
}

fn restore(lab: &Lab, options: &DeploymentRestoreOptions) -> DeploymentRestoreSummary {
    restore_deployment::run(&lab.open(), &lab.latest(), options, &Silent)
        .unwrap_or_else(|error| panic!("{}", error.detail()))
}

fn of<'s>(summary: &'s DeploymentRestoreSummary, namespace: &str) -> &'s CollectionReport {
    let mut all = summary.collections.iter();
    all.find(|own| own.namespace == namespace).unwrap()
}

fn documents(server: &Mongod, database: &str, name: &str) -> Vec<Document> {
    let mut all: Vec<Document> = server
        .raw(database, name, None)
        .iter()
        .map(|bytes| Document::from_reader(&bytes[..]).unwrap())
        .collect();
    all.sort_by_key(|each| each.get("_id").unwrap().to_string());
    all
}

fn renamed(content: Content, from: &str, to: &str) -> Content {
    let rename = |namespace: String| match namespace.strip_prefix(from) {
        Some(rest) => format!("{to}{rest}"),
        None => namespace,
    };
    content
        .into_iter()
        .map(|(namespace, documents)| (rename(namespace), documents))
        .collect()
}

/// To another server, under another name: all of it, byte for byte, with options and indexes as they are listed.
#[test]
fn whatever_a_server_can_hold_goes_back_to_another() {
    let (one, other, lab) = (Mongod::set(), Mongod::set(), Lab::new());
    torture(&one);
    lab.snapshot(&one);
    let options = DeploymentRestoreOptions {
        names_from: vec!["torture.*".into()],
        names_to: vec!["again.*".into()],
        ..into(&other)
    };
    let dry = DeploymentRestoreOptions {
        dry_run: true,
        ..options.clone()
    };
    let told = restore(&lab, &dry);
    assert!(other.listed("again").is_empty());
    let summary = restore(&lab, &options);
    assert!(summary.is_well(), "{:?}", summary.collections);
    // What a rehearsal says is what happens.
    for (dry, own) in told.collections.iter().zip(&summary.collections) {
        assert_eq!(
            (dry.restored.count, dry.indexes),
            (own.restored.count, own.indexes),
            "{own:?}"
        );
    }
    let before = renamed(on_server(&one, &["torture"], None), "torture.", "again.");
    same(&before, &on_server(&other, &["again"], None));
    // But for what each server gives itself.
    let bare = |server: &Mongod, database: &str| {
        let mut listed = server.listed(database);
        listed.retain(|(each, _)| each.get_str("name").unwrap() != "system.views");
        for (each, indexes) in &mut listed {
            each.remove("info");
            // A failing order of keys is no difference.
            indexes.sort_by_key(|index| index.get_str("name").unwrap().to_owned());
        }
        listed
    };
    assert_eq!(bare(&one, "torture"), bare(&other, "again"));
    // The same command again finds all of it there.
    let again = restore(&lab, &options);
    for own in &again.collections {
        assert_eq!((own.restored.count, own.created), (0, false), "{own:?}");
        let stored = of(&summary, &own.namespace).restored.count;
        assert_eq!(own.unchanged, stored, "{}", own.namespace);
    }
    same(&before, &on_server(&other, &["again"], None));
}

/// A collection with documents that are the same, that differ, that are missing and that are only on the server.
fn conflict(server: &Mongod, lab: &Lab, how: Conflict) -> (CollectionReport, Vec<Document>) {
    server.insert(
        "shop",
        "quotes",
        vec![
            doc! { "_id": 1, "same": true },
            doc! { "_id": 2, "text": "stored", "only": 1, "at": 5 },
            doc! { "_id": 3, "text": "stored", "at": 5 },
            doc! { "_id": 4, "gone": true },
        ],
    );
    lab.snapshot(server);
    server.run(
        "shop",
        doc! { "delete": "quotes", "deletes": [ { "q": { "_id": { "$gte": 2 } }, "limit": 0 } ] },
    );
    server.insert(
        "shop",
        "quotes",
        vec![
            doc! { "_id": 2, "text": "live", "at": 4, "more": 2 },
            doc! { "_id": 3, "text": "live", "at": 6 },
            doc! { "_id": 5, "new": true },
        ],
    );
    let options = DeploymentRestoreOptions {
        conflict: how,
        ..into(server)
    };
    let dry = DeploymentRestoreOptions {
        dry_run: true,
        ..options.clone()
    };
    let before = documents(server, "shop", "quotes");
    let told = restore(lab, &dry).collections.remove(0);
    assert_eq!(documents(server, "shop", "quotes"), before);
    let own = restore(lab, &options).collections.remove(0);
    let counts = |own: &CollectionReport| {
        let counted = [&own.restored, &own.replaced, &own.merged, &own.skipped];
        counted.map(|each| (each.count, each.ids.clone()))
    };
    assert_eq!(counts(&told), counts(&own));
    assert_eq!((own.unchanged, own.failed_count), (1, 0));
    assert_eq!(
        (own.restored.count, &own.restored.ids[..]),
        (1, &["4".to_owned()][..])
    );
    let after = documents(server, "shop", "quotes");
    assert_eq!(after.len(), 5);
    (own, after[1..3].to_vec())
}

#[test]
fn what_is_there_is_left_unless_somebody_says_otherwise() {
    let stored = [
        doc! { "_id": 2, "text": "stored", "only": 1, "at": 5 },
        doc! { "_id": 3, "text": "stored", "at": 5 },
    ];
    let live = [
        doc! { "_id": 2, "text": "live", "at": 4, "more": 2 },
        doc! { "_id": 3, "text": "live", "at": 6 },
    ];
    let server = Mongod::set();
    let run = |how: Conflict| {
        server.run("shop", doc! { "dropDatabase": 1 });
        conflict(&server, &Lab::new(), how)
    };
    let (own, after) = run(Conflict::Skip);
    assert_eq!((after, own.skipped.count), (live.to_vec(), 2));
    let (own, after) = run(Conflict::Overwrite);
    assert_eq!((after, own.replaced.count), (stored.to_vec(), 2));
    assert_eq!(own.verified, 3);
    let (own, after) = run(Conflict::Newest("at".into()));
    assert_eq!(after, [stored[0].clone(), live[1].clone()]);
    assert_eq!((own.replaced.count, own.skipped.count), (1, 1));
    let (own, after) = run(Conflict::Merge);
    let mut both = live[0].clone();
    both.insert("only", 1);
    let sorted = |document: &Document| {
        let mut fields: Vec<_> = document
            .iter()
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        fields.sort_by(|left, right| left.0.cmp(&right.0));
        fields
    };
    assert_eq!((sorted(&after[0]), &after[1]), (sorted(&both), &live[1]));
    assert_eq!((own.merged.count, own.skipped.count), (1, 1));
}

#[test]
fn single_documents_and_those_of_a_field_or_a_time_come_back() {
    let (server, lab) = (Mongod::set(), Lab::new());
    let day =
        |number: i64| mongodb::bson::DateTime::from_millis(1_700_000_000_000 + number * 86_400_000);
    let quote = |number: i64| doc! { "_id": number, "status": if number % 2 == 0 { "open" } else { "closed" }, "at": day(number), "customer": { "id": number % 10 } };
    server.insert("shop", "quotes", (0..200).map(quote).collect());
    server.insert(
        "shop",
        "texts",
        ["a", "b"].map(|id| doc! { "_id": id }).to_vec(),
    );
    lab.snapshot(&server);
    let nanos = |number: i64| (1_700_000_000_000 + number * 86_400_000) * 1_000_000;
    let base = into(&server);
    let cases: [(DeploymentRestoreOptions, &[i64]); 6] = [
        // Whatever the type of the number.
        (
            DeploymentRestoreOptions {
                documents: DocumentFilter {
                    ids: vec!["7".into(), "150.0".into(), "999".into()],
                    ..Default::default()
                },
                ..base.clone()
            },
            &[7, 150],
        ),
        (
            DeploymentRestoreOptions {
                documents: DocumentFilter {
                    conditions: vec!["customer.id=3".into(), "status=closed".into()],
                    since: Some(nanos(0)),
                    until: Some(nanos(30)),
                    date_field: "at".into(),
                    ..Default::default()
                },
                ..base.clone()
            },
            &[3, 13, 23],
        ),
        (
            DeploymentRestoreOptions {
                documents: DocumentFilter {
                    since: Some(nanos(198)),
                    date_field: "at".into(),
                    ..Default::default()
                },
                ..base.clone()
            },
            &[198, 199],
        ),
        (
            DeploymentRestoreOptions {
                documents: DocumentFilter {
                    until: Some(nanos(2)),
                    date_field: "at".into(),
                    ..Default::default()
                },
                ..base.clone()
            },
            &[0, 1],
        ),
        (
            DeploymentRestoreOptions {
                documents: DocumentFilter {
                    ids: vec!["5".into()],
                    conditions: vec!["status=open".into()],
                    ..Default::default()
                },
                ..base.clone()
            },
            &[],
        ),
        (
            DeploymentRestoreOptions {
                documents: DocumentFilter {
                    conditions: vec!["_id=9".into()],
                    ..Default::default()
                },
                ..base.clone()
            },
            &[9],
        ),
    ];
    for (options, expected) in cases {
        server.run("shop", doc! { "dropDatabase": 1 });
        let options = DeploymentRestoreOptions {
            collections: Selection {
                include: vec!["shop.quotes".into()],
                ..Selection::default()
            },
            ..options
        };
        if expected.is_empty() {
            let none = restore_deployment::run(&lab.open(), &lab.latest(), &options, &Silent);
            assert_eq!(none.unwrap_err().kind(), Kind::NotFound);
            continue;
        }
        restore(&lab, &options);
        let found: Vec<i64> = documents(&server, "shop", "quotes")
            .iter()
            .map(|each| each.get_i64("_id").unwrap())
            .collect();
        let mut found = found;
        found.sort_unstable();
        assert_eq!(found, expected, "{options:?}");
    }
    let text = DeploymentRestoreOptions {
        documents: DocumentFilter {
            ids: vec!["b".into()],
            ..Default::default()
        },
        ..base
    };
    restore(&lab, &text);
    assert_eq!(documents(&server, "shop", "texts"), [doc! { "_id": "b" }]);
    assert_eq!(
        extended_json::parse("b").unwrap(),
        extended_json::parse("\"b\"").unwrap()
    );
}

/// A unique index of the server's that refuses a document: it is named, and the rest comes back.
#[test]
fn what_the_server_refuses_is_named_and_the_rest_comes_back() {
    let (server, lab) = (Mongod::set(), Lab::new());
    server.insert(
        "shop",
        "users",
        (0..20)
            .map(|number| doc! { "_id": number, "mail": format!("m{number}") })
            .collect(),
    );
    lab.snapshot(&server);
    server.run("shop", doc! { "drop": "users" });
    server.run("shop", doc! { "createIndexes": "users", "indexes": [ { "key": { "mail": 1 }, "name": "mail", "unique": true } ] });
    server.insert("shop", "users", vec![doc! { "_id": 100, "mail": "m7" }]);
    let summary = restore(&lab, &into(&server));
    let own = of(&summary, "shop.users");
    assert_eq!((own.restored.count, own.failed_count), (19, 1));
    assert_eq!(own.failed[0].id, "7");
    assert!(
        own.failed[0].why.contains("duplicate key"),
        "{}",
        own.failed[0].why
    );
    assert!(!summary.is_well());
}

/// The roles that docs/mongodb.md names are enough.
#[test]
fn the_named_roles_are_enough() {
    let (server, lab) = (Mongod::guarded(), Lab::new());
    server.insert(
        "shop",
        "quotes",
        (0..50).map(|number| doc! { "_id": number }).collect(),
    );
    server.run(
        "shop",
        doc! { "createIndexes": "quotes", "indexes": [ { "key": { "n": 1 }, "name": "n" } ] },
    );
    for (user, roles) in [
        ("taker", Bson::from(vec!["backup"])),
        (
            "bringer",
            Bson::from(vec!["restore", "readWriteAnyDatabase"]),
        ),
    ] {
        server.run(
            "admin",
            doc! { "createUser": user, "pwd": "p", "roles": roles },
        );
    }
    lab.take(&server.address_as("taker", "p"), &Selection::default())
        .unwrap_or_else(|error| panic!("{}", error.detail()));
    server.run("shop", doc! { "drop": "quotes" });
    let options = DeploymentRestoreOptions {
        address: server.address_as("bringer", "p"),
        conflict: Conflict::Overwrite,
        ..Default::default()
    };
    let summary = restore(&lab, &options);
    assert!(summary.is_well(), "{:?}", summary.collections);
    server.run("shop", doc! { "update": "quotes", "updates": [ { "q": { "_id": 5 }, "u": { "$set": { "x": 1 } } } ] });
    let summary = restore(&lab, &options);
    assert_eq!(of(&summary, "shop.quotes").replaced.count, 1);
    assert!(summary.is_well());
}

#[test]
fn users_and_roles_come_back() {
    let (server, lab) = (Mongod::guarded(), Lab::new());
    server.insert("shop", "quotes", vec![doc! { "_id": 1 }]);
    let role = doc! { "createRole": "looker", "privileges": [ { "resource": { "db": "shop", "collection": "" }, "actions": ["find", "listCollections"] } ], "roles": [] };
    server.run("admin", role);
    let ann = doc! { "createUser": "ann", "pwd": "p", "roles": ["looker", "backup"] };
    server.run("admin", ann.clone());
    server.run(
        "admin",
        doc! { "createUser": "bea", "pwd": "p", "roles": ["backup"] },
    );
    // Of another database.
    server.run(
        "shop",
        doc! { "createUser": "bea", "pwd": "p", "roles": [] },
    );
    let with_users = Selection {
        users: true,
        ..Selection::default()
    };
    lab.take(&server.address_as("bea", "p"), &with_users)
        .unwrap_or_else(|error| panic!("{}", error.detail()));
    server.run("admin", doc! { "dropUser": "ann" });
    server.run("admin", doc! { "dropRole": "looker" });
    server.run(
        "admin",
        doc! { "updateUser": "bea", "roles": ["backup", "restore"] },
    );
    let roles = ["restore", "readWriteAnyDatabase", "userAdminAnyDatabase"];
    server.run(
        "admin",
        doc! { "createUser": "bringer", "pwd": "p", "roles": Bson::from(roles.to_vec()) },
    );
    // Not without being asked for.
    let options = DeploymentRestoreOptions {
        address: server.address_as("bringer", "p"),
        ..Default::default()
    };
    assert_eq!(restore(&lab, &options).collections.len(), 1);
    let options = DeploymentRestoreOptions {
        collections: with_users.clone(),
        ..options
    };
    let summary = restore(&lab, &options);
    assert!(summary.is_well(), "{:?}", summary.collections);
    let own = of(&summary, "admin.system.users");
    assert_eq!(own.restored.ids, ["\"admin.ann\""]);
    assert_eq!(own.skipped.ids, ["\"admin.bea\""]);
    assert_eq!((own.unchanged, own.verified), (2, 1));
    assert_eq!(
        of(&summary, "admin.system.roles").restored.ids,
        ["\"admin.looker\""]
    );
    // Who came back can log in, with the rights that were there.
    lab.take(&server.address_as("ann", "p"), &Selection::default())
        .unwrap_or_else(|error| panic!("{}", error.detail()));
    let options = DeploymentRestoreOptions {
        conflict: Conflict::Overwrite,
        ..options
    };
    // The latest snapshot holds no users; the first one does.
    lab.take(&server.address(), &with_users).unwrap();
    server.run("admin", doc! { "updateUser": "bea", "roles": ["backup"] });
    server.run(
        "admin",
        doc! { "createRole": "other", "privileges": [], "roles": [] },
    );
    server.run("admin", doc! { "updateRole": "looker", "privileges": [] });
    let summary = restore(&lab, &options);
    assert!(summary.is_well(), "{:?}", summary.collections);
    let own = of(&summary, "admin.system.roles");
    assert_eq!(own.replaced.ids, ["\"admin.looker\""]);
    let roles = doc! { "rolesInfo": 1, "showPrivileges": true };
    let roles = server.run("admin", roles);
    let roles = roles.get_array("roles").unwrap().iter();
    let roles: Vec<(&str, usize)> = roles
        .map(|role| role.as_document().unwrap())
        .map(|role| {
            (
                role.get_str("role").unwrap(),
                role.get_array("privileges").unwrap().len(),
            )
        })
        .collect();
    assert!(
        roles.contains(&("looker", 1)) && roles.contains(&("other", 0)),
        "{roles:?}"
    );
    let own = of(&summary, "admin.system.users");
    assert_eq!(own.replaced.ids, ["\"admin.bea\""]);
    assert_eq!(own.verified, 1);
    // And nobody else is gone: root, ann and the one who brings them back.
    let there = server.run("admin", doc! { "usersInfo": { "forAllDBs": true } });
    let there = there.get_array("users").unwrap().iter();
    let mut there: Vec<&str> = there
        .map(|user| user.as_document().unwrap().get_str("user").unwrap())
        .collect();
    there.sort_unstable();
    assert_eq!(there, ["ann", "bea", "bea", "bringer", "root"]);
    let left = server.listed("admin");
    assert!(
        left.iter()
            .all(|(each, _)| !each.get_str("name").unwrap().starts_with("duramen"))
    );
}

/// What is live is not lost for what comes back.
#[test]
fn what_is_live_is_not_driven_out() {
    let (server, lab) = (Mongod::set(), Lab::new());
    let line = |number: i32| doc! { "_id": number };
    server.run(
        "shop",
        doc! { "create": "log", "capped": true, "size": 65536, "max": 50 },
    );
    server.insert("shop", "log", (0..50).map(line).collect());
    let expires = doc! { "key": { "at": 1 }, "name": "at", "expireAfterSeconds": 10 };
    let by_n = doc! { "key": { "n": 1 }, "name": "n" };
    server.run(
        "shop",
        doc! { "createIndexes": "quotes", "indexes": [&expires, &by_n] },
    );
    let long_ago = mongodb::bson::DateTime::from_millis(0);
    let zero = mongodb::bson::Timestamp {
        time: 0,
        increment: 0,
    };
    server.insert(
        "shop",
        "quotes",
        vec![doc! { "_id": 1, "n": 1 }, doc! { "_id": 2, "n": 2 }],
    );
    server.run("shop", doc! { "update": "quotes", "updates": [ { "q": { "_id": 1 }, "u": { "$set": { "stamp": zero } } } ] });
    lab.snapshot(&server);
    server.insert("shop", "log", (50..90).map(line).collect());
    server.run(
        "shop",
        doc! { "dropIndexes": "quotes", "index": ["at", "n"] },
    );
    let live = mongodb::bson::Timestamp {
        time: 9,
        increment: 9,
    };
    server.run("shop", doc! { "update": "quotes", "updates": [ { "q": { "_id": 1 }, "u": { "_id": 1.0, "stamp": live } } ] });
    server.insert("shop", "quotes", vec![doc! { "_id": 3, "at": long_ago }]);
    server.run(
        "shop",
        doc! { "delete": "quotes", "deletes": [ { "q": { "_id": 2 }, "limit": 1 } ] },
    );
    let before = server.raw("shop", "log", None);
    let one = DeploymentRestoreOptions {
        documents: DocumentFilter {
            ids: vec!["2".into()],
            ..Default::default()
        },
        collections: Selection {
            include: vec!["shop.quotes".into()],
            ..Selection::default()
        },
        ..into(&server)
    };
    let summary = restore(&lab, &one);
    assert!(summary.is_well() && of(&summary, "shop.quotes").indexes == 0);
    let summary = restore(&lab, &into(&server));
    assert!(!summary.is_well());
    let log = of(&summary, "shop.log");
    assert_eq!(
        (log.restored.count, log.skipped.count, log.unchanged),
        (0, 40, 10)
    );
    assert_eq!(server.raw("shop", "log", None), before);
    let quotes = of(&summary, "shop.quotes");
    assert_eq!(
        (quotes.indexes, quotes.skipped.count, quotes.problems.len()),
        (1, 1, 1)
    );
    let names: Vec<String> = server
        .listed("shop")
        .iter()
        .flat_map(|(_, indexes)| indexes)
        .map(|index| index.get_str("name").unwrap().to_owned())
        .collect();
    assert!(!names.contains(&"at".to_owned()), "{names:?}");
    let stamp = documents(&server, "shop", "quotes")[0]
        .get_timestamp("stamp")
        .unwrap();
    assert_eq!(stamp, live);
    // And where it is asked for, the zeros come back as they were.
    let options = DeploymentRestoreOptions {
        conflict: Conflict::Overwrite,
        collections: one.collections.clone(),
        ..into(&server)
    };
    let summary = restore(&lab, &options);
    assert_eq!(
        of(&summary, "shop.quotes").failed_count,
        0,
        "{:?}",
        summary.collections
    );
    let stamps: Vec<_> = documents(&server, "shop", "quotes")
        .iter()
        .filter_map(|each| each.get_timestamp("stamp").ok())
        .collect();
    assert_eq!(stamps, [zero]);
}
