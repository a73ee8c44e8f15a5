#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;

fn patterns(patterns: &[&str]) -> Excludes {
    Excludes {
        patterns: patterns.iter().map(|&pattern| pattern.to_owned()).collect(),
        ..Excludes::default()
    }
}

fn rules(given: &[&str]) -> Rules {
    Rules::new(&patterns(given)).unwrap()
}

fn out(rules: &Rules, path: impl AsRef<[u8]>) -> bool {
    let path = path.as_ref();
    let (path, is_directory) = match path.strip_suffix(b"/") {
        Some(path) => (path, true),
        None => (path, false),
    };
    rules.leave_out(path, is_directory, std::iter::empty())
}

#[test]
fn patterns_mean_what_restic_and_git_users_expect() {
    // Pattern, what it leaves out, what it does not; a path that ends with a slash is a directory.
    let cases: [(&str, &[&str], &[&str]); 14] = [
        (
            "*.pyc",
            &["/a.pyc", "/x/y/b.pyc", "/d.pyc/"],
            &["/a.pyc.txt", "/a.PYC"],
        ),
        (
            "node_modules",
            &["/node_modules", "/a/node_modules/"],
            &["/a/node_modules2"],
        ),
        (
            "/home/*/.cache",
            &["/home/u/.cache/"],
            &["/home/u/x/.cache/", "/x/home/u/.cache"],
        ),
        ("/tmp", &["/tmp/"], &["/a/tmp/", "/tmpx"]),
        ("/a/**/z", &["/a/z", "/a/b/c/z"], &["/b/a/z"]),
        // With a slash inside but none in front: at any depth, as with restic.
        (
            "target/debug",
            &["/target/debug", "/a/b/target/debug/"],
            &["/target/x/debug"],
        ),
        ("**/x/y", &["/x/y", "/a/x/y"], &["/x/b/y"]),
        ("logs/", &["/logs/", "/a/logs/"], &["/logs", "/a/logs"]),
        ("a/logs/", &["/a/logs/", "/x/a/logs/"], &["/a/logs"]),
        ("/a/**", &["/a/b", "/a/b/c"], &["/a/", "/b"]),
        ("?.o", &["/a.o"], &["/ab.o"]),
        ("[ab].o", &["/a.o", "/x/b.o"], &["/c.o"]),
        ("#save#", &["/#save#", "/x/#save#"], &["/save"]),
        ("#d/f", &["/#d/f", "/x/#d/f"], &["/d/f"]),
    ];
    for (pattern, leaves_out, keeps) in cases {
        let rules = rules(&[pattern]);
        assert!(rules.match_paths());
        for path in leaves_out {
            assert!(out(&rules, path), "{pattern} leaves out {path}");
        }
        for path in keeps {
            assert!(!out(&rules, path), "{pattern} keeps {path}");
        }
    }
    assert!(!rules(&[]).match_paths());
}

#[test]
fn the_last_match_decides() {
    let rules = rules(&["*.log", "!keep.log", "!a/*.log", "a/no.log"]);
    assert!(out(&rules, "/x.log"));
    assert!(!out(&rules, "/b/keep.log"));
    assert!(!out(&rules, "/b/a/x.log"));
    assert!(out(&rules, "/b/a/no.log"));
}

#[test]
fn any_case() {
    let excludes = Excludes {
        patterns: vec!["*.c".into()],
        patterns_any_case: vec!["*.JPG".into(), "!Keep.jpg".into()],
        ..Excludes::default()
    };
    let rules = Rules::new(&excludes).unwrap();
    assert!(out(&rules, "/a.jPg") && out(&rules, "/a.jpg") && out(&rules, "/a.c"));
    assert!(!out(&rules, "/KEEP.JPG") && !out(&rules, "/a.C"));
}

#[test]
fn names_that_are_no_text() {
    let rules = rules(&["*.o", "/raw/*", "x?y"]);
    assert!(out(&rules, b"/\xff\xfe.o"));
    assert!(out(&rules, b"/raw/\x80\x81"));
    assert!(out(&rules, b"/d/x\xffy"));
    assert!(!out(&rules, b"/\xff\xfe.c"));
    assert!(!out(&rules, b"/rAw/\x80\x81"));
}

#[test]
fn bad_rules_are_named() {
    for bad in ["[a", "a{b", "[z-a]", "!/x/[", "./a", "!../a"] {
        for any_case in [false, true] {
            let mut excludes = patterns(&["*.o"]);
            if any_case {
                excludes.patterns_any_case.push(bad.into());
            } else {
                excludes.patterns.push(bad.into());
            }
            let error = Rules::new(&excludes).unwrap_err();
            assert_eq!(error.kind(), Kind::Usage, "{bad}");
            assert_eq!(error.subject_text(), Some(bad));
        }
    }
    for bad in ["", ":x", "a/b", ".."] {
        let excludes = Excludes {
            if_present: vec![bad.into()],
            ..Excludes::default()
        };
        assert_eq!(
            Rules::new(&excludes).unwrap_err().kind(),
            Kind::Usage,
            "{bad}"
        );
    }
}

#[test]
fn files_of_patterns() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("patterns");
    std::fs::write(
        &file,
        "\u{feff}# comment\n\n*.o\r\n!main.o\n\\#x\n/abs/y  \n",
    )
    .unwrap();
    let mut excludes = Excludes {
        pattern_files: vec![file.clone()],
        ..Excludes::default()
    };
    let rules = Rules::new(&excludes).unwrap();
    for path in ["/a.o", "/d/#x", "/abs/y"] {
        assert!(out(&rules, path), "{path}");
    }
    for path in ["/main.o", "/# comment", "/x/abs/y"] {
        assert!(!out(&rules, path), "{path}");
    }
    // What is typed goes after, so it wins.
    excludes.patterns.push("main.o".into());
    assert!(out(&Rules::new(&excludes).unwrap(), "/main.o"));
    std::fs::write(&file, "ok\n[bad\n").unwrap();
    let error = Rules::new(&excludes).unwrap_err();
    assert_eq!(error.subject_text(), Some("[bad"));
    assert!(error.hint_text().unwrap().contains("patterns"));
    std::fs::write(&file, b"\xff\n").unwrap();
    assert_eq!(Rules::new(&excludes).unwrap_err().kind(), Kind::Usage);
    std::fs::remove_file(&file).unwrap();
    assert_eq!(Rules::new(&excludes).unwrap_err().kind(), Kind::NotFound);
}

#[test]
fn size() {
    let excludes = Excludes {
        larger_than: Some(10),
        ..Excludes::default()
    };
    let rules = Rules::new(&excludes).unwrap();
    assert!(rules.too_large(11) && !rules.too_large(10));
    assert!(
        !super::Rules::new(&Excludes::default())
            .unwrap()
            .too_large(u64::MAX)
    );
}
