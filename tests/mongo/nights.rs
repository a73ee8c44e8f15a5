//! Deployments as sources of a configuration, as cron meets them.

use std::fs;

use mongodb::bson::doc;
use serde_json::Value;

use crate::common::mongod::Mongod;
use crate::common::place::{Place, Run};

fn told(place: &Place, config: &std::path::Path, args: &[&str]) -> Run {
    let mut command = place.bare();
    command.arg("--config").arg(config).args(args).arg("--json");
    Run::of(command)
}

#[test]
fn a_run_takes_deployments() {
    let (server, place) = (Mongod::guarded(), Place::new("mongo-nights"));
    server.insert(
        "shop",
        "quotes",
        (0..20).map(|id| doc! { "_id": id }).collect(),
    );
    let user = doc! { "createUser": "backup", "pwd": "p@ss of backup", "roles": ["backup"] };
    server.run("admin", user);
    server.insert("shop", "cache", vec![doc! { "_id": 1 }]);
    let tree = place.scratch.folder("tree");
    fs::write(tree.join("letter"), "Dear Ann").unwrap();
    let secret = place.scratch.at("secret");
    fs::write(&secret, "p@ss of backup\n").unwrap();
    // The user without its password: that stands in a file of its own.
    let address = server.address_as("backup", "x").replace(":x@", "@");
    let config = place.scratch.at("duramen.toml");
    let write = |more: &str| {
        let text = format!(
            "repository = {:?}\nkey-file = {:?}\n[sources.shop]\npaths = {tree:?}\nmongodb = {address:?}\nns-exclude = [\"*.cache\"]\n{more}",
            place.repository, place.key
        );
        fs::write(&config, text).unwrap();
    };
    write("");
    let lacking = told(&place, &config, &["run", "shop", "--force"]);
    assert_ne!(lacking.code, Some(0), "{lacking}");
    write(&format!("mongodb-password-file = {secret:?}\n"));
    told(&place, &config, &["config", "check"]).ok();
    let shown = told(&place, &config, &["config", "show"]).ok().all_text();
    assert!(
        shown.contains("mongodb://127.0.0.1") && !shown.contains("backup"),
        "{shown}"
    );
    told(&place, &config, &["run", "shop", "--force"]).ok();
    let snapshots: Vec<Value> = place.snapshots();
    let tags = snapshots.last().unwrap()["tags"].to_string();
    assert!(tags.contains("source:shop"), "{tags}");
    let found = place.run(["cat", "latest:shop.quotes"]).ok().objects();
    assert_eq!(found.len(), 20);
    place
        .run(["cat", "latest:shop.cache"])
        .fails(1, "not_found");
    let letter = format!("latest:{}", tree.join("letter").display());
    assert!(
        place
            .run(["cat", &letter])
            .ok()
            .all_text()
            .contains("Dear Ann")
    );
}
