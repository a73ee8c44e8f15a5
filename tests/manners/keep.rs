//! Forgetting and annotating as a script does it.

use serde_json::Value;

use super::common::place::{Place, Run, text};
use super::common::tree::everyday;

/// A place with a tree and a snapshot of each of so many days of January; ids, oldest first.
fn days(name: &str, count: u32) -> (Place, Vec<String>) {
    let place = Place::new(name);
    place.fill_index();
    let tree = place.at("tree");
    everyday(&tree, 5, 30);
    let ids = (1..=count).map(|day| {
        let time = format!("2026-01-{day:02}T12:00:00Z");
        let taken = place.run(["snapshot", tree.to_str().unwrap(), "--time", &time]);
        text(&taken.ok().summary(), "snapshot_id").to_owned()
    });
    let ids = ids.collect();
    (place, ids)
}

fn ids(snapshots: &Value) -> Vec<String> {
    let array = snapshots.as_array().unwrap().iter();
    array.map(|one| text(one, "id").to_owned()).collect()
}

fn array(run: &Run) -> Value {
    serde_json::from_slice(&run.stdout).unwrap()
}

#[test]
fn forgetting_by_rules_and_back() {
    let (place, all) = days("forget", 5);
    let dry = place.run(["forget", "--keep-daily", "2", "--dry-run"]).ok();
    let groups = array(&dry);
    assert_eq!(ids(&groups[0]["keep"]), all[3..]);
    assert_eq!(ids(&groups[0]["remove"]), all[..3]);
    let reason = &groups[0]["reasons"][1];
    assert_eq!(text(&reason["snapshot"], "id"), all[4]);
    assert_eq!(reason["matches"][0], "daily: last of 2026-01-05");
    assert_eq!(groups[0]["remove_reasons"].as_array().unwrap().len(), 3);
    assert_eq!(place.snapshots().len(), 5);
    place.run(["forget", "--keep-daily", "2"]).ok();
    assert_eq!(place.snapshots().len(), 2);
    let forgotten = array(&place.run(["snapshots", "--forgotten"]).ok());
    assert_eq!(ids(&forgotten), all[..3]);
    assert!(forgotten[0]["forgotten"].is_string());
    // The forgotten is no parent and no latest, and is back after the undo.
    let back = place.run(["forget", "--undo", &all[0], &all[1]]).ok();
    assert_eq!(back.summary()["undone"].as_array().unwrap().len(), 2);
    assert_eq!(place.snapshots().len(), 4);
    let named = place.run(["forget", &all[0][..8]]).ok().summary();
    assert_eq!(named["forgotten"][0], all[0].as_str());
    let rest = place.run(["forget", "--undo"]).ok().summary();
    assert_eq!(rest["undone"].as_array().unwrap().len(), 2);
    assert_eq!(place.snapshots().len(), 5);
    // Without grace a prune ends it, and there is no way back.
    let pruned = place
        .run(["forget", &all[1], "--prune", "--grace", "0"])
        .ok();
    assert_eq!(pruned.objects()[0]["forgotten"][0], all[1].as_str());
    assert_eq!(pruned.summary()["snapshots_gone"], 1, "{pruned}");
    place
        .run(["forget", "--undo", &all[1]])
        .fails(1, "not_found");
    assert_eq!(place.snapshots().len(), 4);
    place.assert_clean();
    // For people: a line a snapshot, and the way back.
    let mut command = place.bare();
    command.args(["-r", place.repository.to_str().unwrap(), "--key-file"]);
    command.args([place.key.to_str().unwrap(), "forget", "--keep-last", "1"]);
    let said = Run::of(command).ok().all_text();
    assert!(said.contains("last: number 1 of 1"), "{said}");
    assert!(said.contains("duramen forget --undo"), "{said}");
}

#[test]
fn wishes_that_make_no_sense_forget_nothing() {
    let (place, all) = days("forget-usage", 2);
    for wrong in [
        &["forget"][..],
        &["forget", "--keep-last", "0"],
        &["forget", "--keep-last", "many"],
        &["forget", "--keep-within", "7"],
        &["forget", "--keep-last", "1", &all[0]],
        &["forget", "--undo", "--keep-last", "1"],
        &["forget", "--keep-last", "1", "--group-by", "colour"],
        &["forget", "--keep-last", "1", "--grace", "0"],
        &["forget", "--keep-last", "1", "--prune", "--grace", "soon"],
        &["annotate", &all[0]],
        &["annotate", &all[0], "--hold", "--release"],
        &["tag", "--add", "x"],
        &["tag", &all[0], "--add", ""],
    ] {
        place.run(wrong).exits(2);
    }
    place
        .run(["forget", &all[0], "abcdef"])
        .fails(1, "not_found");
    assert_eq!(place.snapshots().len(), 2);
}

#[test]
fn holds_tags_and_notes() {
    let (place, all) = days("annotate", 3);
    let say = ["annotate", &all[0], "--hold", "claim 7", "--add-tag", "a,b"];
    let said = place.run(say).ok().summary();
    assert_eq!(said["changed_snapshots"], 1);
    assert_eq!(said["snapshots"][0]["holds"][0], "claim 7");
    place.run(["annotate", &all[0], "--note", "looked at"]).ok();
    place
        .run(["tag", "--tag", "a", "--remove", "b", "--add", "c"])
        .ok();
    let first = &place.snapshots()[0];
    assert_eq!(first["tags"], serde_json::json!(["a", "c"]));
    assert_eq!(first["notes"][0]["note"], "looked at");
    place.run(["forget", &all[0]]).fails(1, "conflict");
    place.run(["forget", "--keep-last", "1"]).ok();
    let left: Vec<String> = ids(&Value::Array(place.snapshots()));
    assert_eq!(left, [all[0].clone(), all[2].clone()]);
    place.run(["annotate", &all[0], "--release"]).ok();
    place.run(["forget", "--keep-last", "1"]).ok();
    assert_eq!(place.snapshots().len(), 1);
    place.run(["tag", &all[2], "--set", "x,y"]).ok();
    place.run(["tag", &all[2], "--set", ""]).ok();
    assert_eq!(place.snapshots()[0]["tags"], serde_json::json!([]));
}

#[test]
fn a_disk_that_is_not_mounted_is_named_even_to_cron() {
    let (place, all) = days("unmounted", 2);
    let tree = place.at("tree");
    std::fs::rename(&tree, place.at("elsewhere")).unwrap();
    std::fs::create_dir(&tree).unwrap();
    let run = place.run(["snapshot", tree.to_str().unwrap()]).ok();
    let summary = run.summary();
    assert_eq!(summary["shrunken"]["files"], 0);
    assert_eq!(summary["shrunken"]["normal_snapshot_id"], all[1].as_str());
    let problem = run.error();
    assert!(text(&problem, "message").contains("--accept"), "{problem}");
    assert_eq!(problem["during"], "snapshot");
    let mut quiet = place.bare();
    quiet.args(["-r", place.repository.to_str().unwrap(), "--key-file"]);
    quiet.args([place.key.to_str().unwrap(), "snapshot", "--quiet"]);
    quiet.arg(&tree);
    let quiet = Run::of(quiet).ok();
    assert!(quiet.stdout.is_empty(), "{quiet}");
    assert!(
        quiet.all_text().contains("is a disk not mounted?"),
        "{quiet}"
    );
    assert_eq!(place.snapshots()[3]["flaws"][0], "empty");
    place.run(["forget", "--keep-last", "1"]).ok();
    let left = ids(&Value::Array(place.snapshots()));
    assert_eq!(left.len(), 2);
    assert_eq!(left[0], all[1]);
    place.run(["annotate", "latest", "--accept"]).ok();
    assert_eq!(place.snapshots()[1]["flaws"], serde_json::json!([]));
    place.run(["forget", "--keep-last", "1"]).ok();
    assert_eq!(place.snapshots().len(), 1);
}
