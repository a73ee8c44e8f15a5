//! Looking at what is stored with the real program: what it finds, what differs, and how it ends.

use std::fs;

use crate::common::place::{Place, Run, inside, number, text};

/// Two snapshots of a small folder with a name that is not UTF-8.
fn two(place: &Place) -> std::path::PathBuf {
    use std::os::unix::ffi::OsStrExt;
    let root = place.at("source");
    fs::create_dir_all(root.join("d")).unwrap();
    fs::write(root.join("d/a.txt"), "one\ntwo\nthree\n").unwrap();
    fs::write(root.join("d/moves"), "the same content in another place").unwrap();
    let raw = std::ffi::OsStr::from_bytes(b"\xff\n.txt");
    fs::write(root.join(raw), "raw").unwrap();
    place.snapshot(&root);
    fs::write(root.join("d/a.txt"), "one\n2\nthree\n").unwrap();
    fs::rename(root.join("d/moves"), root.join("moved")).unwrap();
    fs::remove_file(root.join(raw)).unwrap();
    place.snapshot(&root);
    root
}

#[test]
fn differences_and_how_they_end() {
    let place = Place::new("diff");
    let root = two(&place);
    let (old, new) = (inside("latest~1", &root), inside("latest", &root));
    let diff = |more: &[&str]| {
        let mut command = place.command();
        command.arg("diff").arg(&old).arg(&new).args(more);
        Run::of(command)
    };
    let objects = diff(&["--content"]).ok().objects();
    let of = |modifier: &str| -> Vec<&serde_json::Value> {
        let found = objects.iter().filter(|it| it["modifier"] == modifier);
        found.collect()
    };
    assert_eq!(of("M").len(), 1, "{objects:?}");
    assert!(text(of("M")[0], "path").ends_with("/d/a.txt"));
    assert_eq!(
        text(of("M")[0], "diff"),
        "@@ -1,3 +1,3 @@\n one\n-two\n+2\n three\n"
    );
    assert_eq!((of("+").len(), of("-").len()), (1, 2), "{objects:?}");
    let raw = of("-")
        .into_iter()
        .find(|it| it.get("path_bytes_hex").is_some());
    assert!(text(raw.unwrap(), "path_bytes_hex").ends_with("2fff0a2e747874"));
    let renames: Vec<_> = objects
        .iter()
        .filter(|it| it["message_type"] == "rename")
        .collect();
    assert_eq!(renames.len(), 1, "{objects:?}");
    assert!(text(renames[0], "source_path").ends_with("/d/moves"));
    assert!(text(renames[0], "target_path").ends_with("/moved"));
    let end = objects.last().unwrap();
    assert_eq!(text(end, "message_type"), "statistics");
    assert_eq!(number(end, "changed_files"), 1);
    assert_eq!(
        (&end["added"]["files"], &end["removed"]["files"]),
        (&1.into(), &2.into())
    );

    diff(&["--exit-code"]).exits(1);
    // A path that is given for one is meant in both, and files can be compared too.
    let file = inside("latest", &root.join("moved"));
    let same = place.run([
        "diff".as_ref(),
        file.as_os_str(),
        "latest".as_ref(),
        "--exit-code".as_ref(),
    ]);
    assert_eq!(same.ok().objects().len(), 1);
    let gone = inside("latest", &root.join("d/moves"));
    place
        .run(["diff".as_ref(), "latest~1".as_ref(), gone.as_os_str()])
        .fails(1, "not_found");
}

#[test]
fn names_and_versions_are_found() {
    let place = Place::new("find");
    let root = two(&place);
    let found = place
        .run(["find", "*.TXT", "--ignore-case", "--type", "f"])
        .ok()
        .objects();
    let counts: Vec<u64> = found
        .iter()
        .map(|it| number(it, "snapshot_count"))
        .collect();
    assert_eq!(
        counts,
        [1, 1, 1],
        "two versions of one file and the one with the raw name"
    );
    assert!(place.run(["find", "*.TXT"]).ok().objects().is_empty());
    let content = inside("latest", &root.join("moved"));
    let same = place
        .run([
            "find".as_ref(),
            "--content-of".as_ref(),
            content.as_os_str(),
        ])
        .ok()
        .objects();
    let paths: Vec<&str> = same.iter().map(|it| text(it, "path")).collect();
    assert!(
        paths[0].ends_with("/d/moves") && paths[1].ends_with("/moved"),
        "{paths:?}"
    );
    assert_eq!(
        place
            .run(["find", "moved", "-s", "latest~1"])
            .ok()
            .objects()
            .len(),
        0
    );
    place.run(["find"]).fails(2, "usage");
    place.run(["find", "["]).fails(2, "usage");
    place.run(["find", "x", "--size", "+big"]).fails(2, "usage");

    let path = root.join("d/moves");
    let history = place
        .run(["history".as_ref(), path.as_os_str()])
        .ok()
        .objects();
    let words: Vec<&str> = history.iter().map(|it| text(it, "message_type")).collect();
    assert_eq!(words, ["version", "gone"]);
    place
        .run(["history", "/no/such/path"])
        .fails(1, "not_found");

    let stats = place.run(["stats"]).ok().objects();
    assert_eq!(number(&stats[0], "snapshots_count"), 2);
    assert_eq!(number(&stats[0], "total_size"), place.stored());
    let empty = Place::new("stats");
    assert_eq!(
        number(&empty.run(["stats"]).ok().objects()[0], "snapshots_count"),
        0
    );
}
