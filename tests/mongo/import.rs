//! What older scripts left behind, imported and brought to a server.

use std::fs;
use std::path::Path;

use mongodb::bson::{Document, doc};
use serde_json::{Value, json};

use crate::common::mongod::Mongod;
use crate::common::place::{Place, below};

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn write(path: &Path, value: &Value) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, serde_json::to_string_pretty(value).unwrap()).unwrap();
}

/// A file's name, the time that it states and where, and how many records of what it holds.
type Told = (String, String, String, Vec<(String, u64)>);

fn told(summary: &Value) -> Vec<Told> {
    let files = summary["files"].as_array().unwrap();
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let own = |file: &Value| {
        let path = word(&file["path"]);
        let all = file["collections"].as_array().unwrap().iter();
        let all = all.map(|own| (word(&own["name"]), own["records"].as_u64().unwrap()));
        let name = path.rsplit('/').next().unwrap().to_owned();
        let time = word(&file["time"])[..19].to_owned();
        (name, time, word(&file["time_from"]), all.collect())
    };
    files.iter().map(own).collect()
}

#[test]
fn files_of_older_scripts_become_snapshots_of_their_times() {
    let (server, place) = (Mongod::set(), Place::new("mongo-import"));
    let home = place.scratch.folder("bot");
    let talk = |id: &str, words: &str| json!({ "session_id": id, "phone": "51999", "messages": [{ "role": "user", "text": words }] });
    // The three shapes, in places where such files are left.
    write(
        &home.join("exportaciones/conversations_2025-10-11T08-00-00.json"),
        &json!([talk("a", "one"), talk("b", "two")]),
    );
    write(
        &home.join("backups/all.json"),
        &json!({
            "exported_at": "2025-10-12T09:30:00Z",
            "conversations": [talk("a", "one and more"), talk("b", "two"), talk("c", "three")],
            "quotes": [{ "id": 7, "total": 12.5 }, { "id": 8, "total": 3 }],
        }),
    );
    let zipped = home.join("backups/one.json");
    write(
        &zipped,
        &json!({ "session_id": "z", "updated_at": "2025-10-10T00:00:00Z", "messages": [] }),
    );
    let gzip = std::process::Command::new("gzip").arg(&zipped).status();
    assert!(gzip.unwrap().success());
    // What is none of them.
    write(
        &home.join("package.json"),
        &json!({ "name": "bot", "version": "1.0.0" }),
    );
    write(
        &home.join("node_modules/x/sessions.json"),
        &json!([{ "session_id": 1 }]),
    );
    fs::write(home.join("notes.txt"), "[{\"session_id\": 1}]").unwrap();
    let expected = [
        (
            "one.json.gz",
            "2025-10-10T00:00:00",
            "field",
            vec![("one", 1)],
        ),
        (
            "conversations_2025-10-11T08-00-00.json",
            "2025-10-11T08:00:00",
            "name",
            vec![("conversations_2025-10-11T08-00-00", 2)],
        ),
        (
            "all.json",
            "2025-10-12T09:30:00",
            "field",
            vec![("conversations", 3), ("quotes", 2), ("all", 1)],
        ),
    ];
    let expected: Vec<_> = expected
        .into_iter()
        .map(|(name, time, from, all)| {
            let all = all
                .into_iter()
                .map(|(name, count)| (name.to_owned(), count));
            (
                name.to_owned(),
                time.to_owned(),
                from.to_owned(),
                all.collect::<Vec<_>>(),
            )
        })
        .collect();
    let import = |more: &[&str]| {
        let mut command = place.command();
        command
            .env("TZ", "UTC")
            .args(["import", text(&home)])
            .args(more);
        crate::common::place::Run::of(command)
    };
    let dry = import(&["--dry-run"]).ok().summary();
    assert_eq!(told(&dry), expected);
    assert!(place.snapshots().is_empty());
    let summary = import(&["--tag", "bot"]).ok().summary();
    assert_eq!(told(&summary), expected);
    assert_eq!(summary["files_left"], 1);
    let times: Vec<String> = place
        .snapshots()
        .iter()
        .map(|own| own["time"].as_str().unwrap()[..19].to_owned())
        .collect();
    let stated: Vec<String> = expected.iter().map(|own| own.1.clone()).collect();
    assert_eq!(times, stated);
    let tags = place.snapshots()[0]["tags"].clone();
    assert_eq!(tags, json!(["bot", "import"]));
    // Once is enough; what changed is another one.
    let again = import(&[]).ok().summary();
    let files = again["files"].as_array().unwrap();
    assert!(files.iter().all(|own| own["already"] == true));
    write(
        &home.join("exportaciones/conversations_2025-10-11T08-00-00.json"),
        &json!([talk("a", "one"), talk("b", "two"), talk("d", "four")]),
    );
    import(&[]).ok();
    assert_eq!(place.snapshots().len(), 4);
    // Byte for byte.
    let path = home.join("backups/all.json");
    let back = place.scratch.at("back");
    place
        .run(["restore", "latest", "--target", text(&back)])
        .ok();
    assert_eq!(
        fs::read(below(&back, &path)).unwrap(),
        fs::read(&path).unwrap()
    );
    // As documents, to look at and to bring back.
    let found = place
        .run([
            "cat",
            "latest:backups.quotes",
            "--dump",
            text(&path),
            "--id",
            "8",
        ])
        .ok();
    assert_eq!(found.objects(), [json!({ "_id": 8, "id": 8, "total": 3 })]);
    server.insert(
        "backups",
        "conversations",
        vec![doc! { "_id": "b", "phone": "other" }],
    );
    place
        .run([
            "restore",
            "latest:backups.conversations",
            "--dump",
            text(&path),
            "--target",
            &server.address(),
            "--conflict",
            "skip",
        ])
        .ok();
    let documents = server.raw("backups", "conversations", None);
    let mut phones: Vec<(String, String)> = documents
        .iter()
        .map(|own| {
            let own = Document::from_reader(&own[..]).unwrap();
            let word = |name: &str| own.get_str(name).unwrap().to_owned();
            (word("_id"), word("phone"))
        })
        .collect();
    phones.sort();
    let pair = |id: &str, phone: &str| (id.to_owned(), phone.to_owned());
    assert_eq!(
        phones,
        [pair("a", "51999"), pair("b", "other"), pair("c", "51999")]
    );
    place.assert_clean();
}

#[test]
fn what_holds_no_records_is_said() {
    let place = Place::new("mongo-import-none");
    let home = place.scratch.folder("bot");
    fs::write(home.join("settings.json"), "{\"a\": 1}").unwrap();
    place.run(["import", text(&home)]).fails(1, "not_found");
    place
        .run(["import", text(&home.join("gone"))])
        .fails(1, "not_found");
    // A file that is named by its user is one, whatever it looks like; one that should be and is broken is a problem.
    place
        .run(["import", text(&home.join("settings.json"))])
        .ok();
    fs::write(home.join("backup.json"), "[{\"a\": 1},").unwrap();
    fs::write(home.join("chats.json"), "[{\"text\": \"x\"}]").unwrap();
    let run = place.run(["import", text(&home)]).exits(1);
    let summary = run.summary();
    assert_eq!(summary["problem_count"], 1);
    let names = |key: &str| {
        let files = summary[key].as_array().unwrap().iter();
        let path = |own: &Value| own["path"].as_str().or(own.as_str()).unwrap().to_owned();
        let names = files.map(|own| path(own).rsplit('/').next().unwrap().to_owned());
        names.collect::<Vec<_>>()
    };
    let mut taken = names("files");
    taken.sort();
    assert_eq!(taken, ["backup.json", "chats.json"]);
    assert_eq!(names("left"), ["settings.json"]);
    assert_eq!(summary["files"][0]["time_from"], "modified");
    // What is no JSON is stored byte for byte.
    let broken = home.join("backup.json");
    let files = summary["files"].as_array().unwrap();
    let own = files.iter().find(|own| own["path"] == text(&broken));
    let id = own.unwrap()["snapshot_id"].as_str().unwrap();
    let back = place.run(["cat", &format!("{id}:{}", text(&broken))]).ok();
    assert_eq!(back.stdout, fs::read(&broken).unwrap());
}
