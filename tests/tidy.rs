//! Holds the house in order: which room may import which, how long a file may be, who may panic, print, or ask for
//! the time. It reads sources as text, so it says so at once, long before a review would.
//!
//! Each rule is a function of a path and a text (`tidy/rules.rs`); here each is shown an offence that it must find and
//! an innocent text that it must pass, and then the whole house.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "tidy/markdown.rs"]
mod markdown;
#[path = "tidy/rules.rs"]
mod rules;
#[path = "tidy/text.rs"]
mod text;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use rules::Findings;

/// What may stand at the top of the repository.
const TOP: &[&str] = &[
    ".ci",
    ".gitignore",
    "CHANGELOG.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "benches",
    "deny.toml",
    "docs",
    "format-spec",
    "fuzz",
    "rust-toolchain.toml",
    "src",
    "tests",
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// What is kept in the repository but for the files of editors and builds.
fn is_kept(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let hidden = name.starts_with('.') && ![".ci", ".cargo", ".gitignore"].contains(&name);
    let built = ["target", "fuzz/target", "fuzz/corpus", "fuzz/artifacts"].contains(&path);
    !hidden && !built && name != "__pycache__"
}

/// Every kept file below the repository's root, by its path from there.
fn files() -> Vec<String> {
    fn walk(folder: &Path, prefix: &str, out: &mut Vec<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let path = format!("{prefix}{}", entry.file_name().to_str().unwrap());
            if !is_kept(&path) {
                continue;
            }
            if entry.file_type().unwrap().is_dir() {
                walk(&entry.path(), &format!("{path}/"), out);
            } else {
                out.push(path);
            }
        }
    }
    let mut out = Vec::new();
    walk(&root(), "", &mut out);
    out.sort();
    assert!(
        out.iter().any(|path| path == "src/lib.rs"),
        "the walk found no house"
    );
    out
}

/// The text of a kept file; none where it is not text.
fn read(path: &str) -> Option<String> {
    String::from_utf8(fs::read(root().join(path)).unwrap()).ok()
}

/// Files below `src` that are compiled for tests alone.
static FOR_TESTS: LazyLock<Vec<String>> = LazyLock::new(|| {
    files()
        .iter()
        .filter(|path| is_room(path))
        .flat_map(|path| rules::files_for_tests(path, &read(path).unwrap()))
        .collect()
});

/// Holds every text file that `chosen` picks against `rule`.
fn hold(rule: fn(&str, &str) -> Findings, chosen: fn(&str) -> bool) {
    let mut found = Vec::new();
    let mut seen = 0;
    let files = files();
    for path in files.iter().filter(|path| chosen(path)) {
        if let Some(text) = read(path) {
            // Rules of the rooms are for what ships; the others hold everywhere.
            let known_as = if FOR_TESTS.contains(path) {
                &path.replacen("src/", "src/tests/", 1)
            } else {
                path
            };
            seen += 1;
            for (line, why) in rule(known_as, &text) {
                found.push(format!("{path}:{line}: {why}"));
            }
        }
    }
    assert!(seen > 0, "the rule saw no file");
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

fn is_rust(path: &str) -> bool {
    path.ends_with(".rs")
}

fn is_room(path: &str) -> bool {
    path.starts_with("src/") && is_rust(path)
}

fn is_source(path: &str) -> bool {
    [".rs", ".py", ".toml", ".sh", ".ci/run", "tests/all"]
        .iter()
        .any(|end| path.ends_with(end))
}

fn is_any(path: &str) -> bool {
    path != "Cargo.lock"
}

/// `rule` must find something in each offence and nothing in any innocent text.
fn shows(rule: fn(&str, &str) -> Findings, offences: &[(&str, &str)], innocents: &[(&str, &str)]) {
    for (path, text) in offences {
        assert!(!rule(path, text).is_empty(), "passed {path}: {text}");
    }
    for (path, text) in innocents {
        assert_eq!(rule(path, text), Vec::new(), "refused {path}: {text}");
    }
}

#[test]
fn rooms_import_only_from_below() {
    shows(
        rules::imports,
        &[
            ("src/format/page.rs", "use crate::storage::Storage;"),
            ("src/chunk/mod.rs", "fn f() { crate::repository::open(); }"),
            ("src/source/mod.rs", "use crate::repository::Repository;"),
            (
                "src/target/mod.rs",
                "use crate::{error::Error, repository::Repository};",
            ),
            ("src/repository/mod.rs", "use crate::target::Target;"),
            ("src/check/mod.rs", "use crate::restore::plan;"),
            ("src/id.rs", "use crate::format::codec;"),
            ("src/index/mod.rs", "use super::repository::Repository;"),
            (
                "src/index/a.rs",
                "use super::super::repository::Repository;",
            ),
            ("src/seal/mod.rs", "use crate::pack::Pack;"),
            ("src/crypto/mod.rs", "use crate::storage::Storage;"),
            ("src/cli/ls.rs", "use crate::format::codec::decode;"),
            (
                "src/cli/ls.rs",
                "use duramen::format::{snapshot::Snapshot, page};",
            ),
            ("src/cli/ls.rs", "use crate::crypto::Key;"),
            ("src/main.rs", "use duramen::storage::Folder;"),
            ("src/attic/mod.rs", ""),
        ],
        &[
            (
                "src/format/page.rs",
                "use super::entry::Entry;\nuse crate::error::{Error, Result};",
            ),
            ("src/progress.rs", "use crate::error::Error;"),
            (
                "src/pack/mod.rs",
                "use crate::seal::Frame;\nuse crate::{limits, format::pack::Header as H};",
            ),
            (
                "src/ops/look.rs",
                "use crate::repository::{Listed, Repository};",
            ),
            (
                "src/cli/ls.rs",
                "use crate::format::snapshot::Snapshot; use crate::ops::look::ls;",
            ),
            (
                "src/chunk/mod.rs",
                "/// [`crate::repository::Repository`]\nfn f() {}",
            ),
            (
                "src/chunk/mod.rs",
                "#[cfg(test)]\nmod tests { use crate::repository::Repository; }",
            ),
            ("src/chunk/tests.rs", "use crate::repository::Repository;"),
        ],
    );
    hold(rules::imports, is_room);
}

#[test]
fn nothing_panics_on_outside_bytes() {
    shows(
        rules::panics,
        &[
            ("src/pack/mod.rs", "fn f() { a.unwrap(); }"),
            (
                "src/pack/mod.rs",
                "fn f() {\n    a\n        .expect(\"b\");\n}",
            ),
            ("src/pack/mod.rs", "fn f() { panic!(\"b\") }"),
            ("src/pack/mod.rs", "fn f() { unreachable!() }"),
            ("src/pack/mod.rs", "fn f() { todo!() }"),
            ("src/pack/mod.rs", "fn f() { unimplemented!() }"),
            (
                "src/pack/mod.rs",
                "#[allow(clippy::unwrap_used)]\nfn f() {}",
            ),
            (
                "src/pack/mod.rs",
                "#[cfg(test)]\nmod tests {}\nfn f() { a.unwrap(); }",
            ),
        ],
        &[
            (
                "src/pack/mod.rs",
                "// a.unwrap()\nfn f() { a.unwrap_or(\".unwrap()\"); p.expect(1, 2); }",
            ),
            (
                "src/pack/mod.rs",
                "#[cfg(test)]\nmod tests { fn f() { a.unwrap(); } }",
            ),
            ("src/pack/tests.rs", "fn f() { a.unwrap(); }"),
            ("src/pack/writer_tests.rs", "fn f() { a.unwrap(); }"),
            ("tests/files.rs", "fn f() { a.unwrap(); }"),
        ],
    );
    hold(rules::panics, is_room);
}

#[test]
fn time_chance_environment_and_terminal_have_one_door_each() {
    shows(
        rules::doors,
        &[
            ("src/pack/mod.rs", "fn f() { Instant::now(); }"),
            ("src/cli/ls.rs", "fn f() { std::time::SystemTime::now(); }"),
            ("src/pack/mod.rs", "use a::OsRng;"),
            ("src/ops/init.rs", "fn f() { std::env::var(\"HOME\"); }"),
            ("src/ops/init.rs", "use std::{env, fs};"),
            ("src/ops/init.rs", "use std::env;"),
            ("src/ops/init.rs", "fn f() { env::temp_dir(); }"),
            ("src/ops/init.rs", "fn f() { println!(); }"),
            ("src/ops/init.rs", "fn f() { eprintln!(); }"),
            ("src/ops/init.rs", "fn f() { io::stdout().lock(); }"),
        ],
        &[
            (
                "src/clock.rs",
                "fn f() { Instant::now(); SystemTime::now(); }",
            ),
            ("src/cli/progress.rs", "fn f() { Instant::now(); }"),
            (
                "src/cli/settings.rs",
                "fn f() { std::env::var(\"HOME\"); println!(); }",
            ),
            (
                "src/main.rs",
                "fn f() { std::env::args_os(); eprintln!(); }",
            ),
            (
                "src/ops/init.rs",
                "fn f() { env!(\"CARGO_PKG_VERSION\"); clock.now(); child.stdout(Stdio::piped()); std::env::current_dir(); }",
            ),
        ],
    );
    hold(rules::doors, is_room);
}

#[test]
fn each_owned_crate_stands_in_one_room() {
    shows(
        rules::owned_crates,
        &[
            ("src/format/page.rs", "use bincode::config;"),
            (
                "src/pack/mod.rs",
                "fn f() { fastcdc::v2020::FastCDC::new(); }",
            ),
            ("src/repository/mod.rs", "use crc32fast;"),
            ("src/storage/mod.rs", "fn f() { getrandom::fill(&mut a); }"),
            ("src/ops/init.rs", "#[derive(clap::Args)]\nstruct A;"),
            ("src/chunker/mod.rs", "use fastcdc::v2020;"),
        ],
        &[
            ("src/format/codec.rs", "use bincode::config;"),
            ("src/chunk/mod.rs", "use fastcdc::v2020;"),
            ("src/chunk.rs", "use fastcdc::v2020;"),
            ("src/index/cache.rs", "use crc32fast::Hasher;"),
            ("src/cli/mod.rs", "use clap::Parser;"),
            (
                "src/repository/mod.rs",
                "// crc32fast::Hasher\nfn f() { let crc32fast = 1; }",
            ),
        ],
    );
    hold(rules::owned_crates, is_room);
}

#[test]
fn files_that_are_for_tests_alone_are_known() {
    let text = "mod kept;\n#[cfg(test)]\nmod lab;\n#[cfg(test)]\nmod tests {}\n";
    assert_eq!(
        rules::files_for_tests("src/restore/mod.rs", text),
        ["src/restore/lab.rs", "src/restore/lab/mod.rs"]
    );
    assert_eq!(
        rules::files_for_tests("src/restore/plan.rs", text)[0],
        "src/restore/plan/lab.rs"
    );
}

#[test]
fn files_of_tests_are_compiled_for_tests_alone() {
    shows(
        rules::test_files_are_for_tests,
        &[
            ("src/pack/mod.rs", "mod tests;"),
            ("src/pack/mod.rs", "mod pack_tests;"),
        ],
        &[("src/pack/mod.rs", "#[cfg(test)]\nmod tests;")],
    );
    hold(rules::test_files_are_for_tests, is_room);
}

#[test]
fn no_test_is_switched_off() {
    shows(
        rules::ignored_tests,
        &[
            ("tests/a.rs", "#[test]\n#[ignore]\nfn f() {}"),
            ("tests/a.rs", "#[ignore = \"slow\"]\nfn f() {}"),
            ("tests/a.rs", "#[cfg_attr(unix, ignore)]\nfn f() {}"),
        ],
        &[("tests/a.rs", "use ignore::Walk; // #[ignore]\nfn f() {}")],
    );
    hold(rules::ignored_tests, is_rust);
}

#[test]
fn no_file_is_too_long() {
    let long = "fn f() {}\n".repeat(601);
    shows(
        rules::length,
        &[("src/a.rs", &long)],
        &[("src/a.rs", &long[10..])],
    );
    hold(rules::length, |path| is_rust(path) || path.ends_with(".py"));
}

#[test]
fn sources_are_ascii() {
    shows(
        rules::ascii,
        &[("src/a.rs", "// caf\u{e9}")],
        &[("src/a.rs", "// cafe")],
    );
    hold(rules::ascii, is_source);
}

#[test]
fn nothing_is_left_for_later() {
    shows(
        rules::open_work,
        &[
            ("src/a.rs", concat!("// TO", "DO: later")),
            ("docs/a.md", concat!("(FIX", "ME)")),
        ],
        &[("src/a.rs", "let todo_list = \"mastodon\";")],
    );
    hold(rules::open_work, is_any);
}

#[test]
fn no_machine_path_stands_anywhere() {
    shows(
        rules::machine_paths,
        &[("docs/a.md", concat!("see /wo", "rk/main"))],
        &[("docs/a.md", "see /etc and network/a")],
    );
    hold(rules::machine_paths, is_any);
}

#[test]
fn every_vector_is_read_by_a_test() {
    assert_eq!(
        rules::unread(
            &["v/cuts.json", "v/frame.json", "v/key.json"],
            &["open(\"frame.json\")", "hold(\"key\")", "cuts"]
        ),
        ["v/cuts.json"]
    );
    let files = files();
    let vectors: Vec<&str> = files
        .iter()
        .map(String::as_str)
        .filter(|path| path.starts_with("format-spec/vectors/") && !path.ends_with("README.md"))
        .collect();
    let readers: Vec<String> = files
        .iter()
        .filter(|path| {
            (path.starts_with("tests/") || path.starts_with("src/")) && !path.contains("tidy")
        })
        .filter_map(|path| read(path))
        .collect();
    let readers: Vec<&str> = readers.iter().map(String::as_str).collect();
    let unread = rules::unread(&vectors, &readers);
    assert!(unread.is_empty(), "no test reads {unread:?}");
}

#[test]
fn every_page_of_the_docs_can_be_found() {
    let files = files();
    let pages: Vec<&str> = files
        .iter()
        .map(String::as_str)
        .filter(|path| path.starts_with("docs/") && path.ends_with(".md"))
        .filter(|path| *path != "docs/README.md")
        .collect();
    let linked: Vec<String> = ["README.md", "docs/README.md"]
        .iter()
        .filter_map(|path| read(path))
        .collect();
    let linked: Vec<&str> = linked.iter().map(String::as_str).collect();
    assert!(!linked.is_empty(), "no README");
    let lost = rules::unread(&pages, &linked);
    assert!(lost.is_empty(), "no README links {lost:?}");
}

#[test]
fn every_link_leads_somewhere() {
    assert_eq!(
        rules::links("[a](b.md), [c](d/e.md#f) [g](#h) [i](https://j.k/l) (m)"),
        ["b.md", "d/e.md"]
    );
    let mut broken = Vec::new();
    for path in files().iter().filter(|path| path.ends_with(".md")) {
        let text = read(path).unwrap();
        let folder = root().join(path).parent().unwrap().to_owned();
        for link in rules::links(&text) {
            if !folder.join(link).exists() {
                broken.push(format!("{path}: {link}"));
            }
        }
    }
    assert!(broken.is_empty(), "links to nothing: {broken:#?}");
}

#[test]
fn the_fuzz_targets_lock_what_the_program_needs() {
    let lock = "[[package]]\nname = \"a\"\ndependencies = [\n \"b\",\n \"c 2.0\",\n]\n";
    assert_eq!(rules::locked_dependencies(lock, "a"), ["b", "c"]);
    let mut program = rules::locked_dependencies(&read("Cargo.lock").unwrap(), "duramen");
    let fuzz = rules::locked_dependencies(&read("fuzz/Cargo.lock").unwrap(), "duramen");
    assert!(!fuzz.is_empty());
    // What the program's own tests need beside that is nothing to the fuzz targets.
    let manifest = read("Cargo.toml").unwrap();
    let (_, tests_need) = manifest.split_once("[dev-dependencies]\n").unwrap();
    let tests_need = tests_need.split("\n[").next().unwrap();
    program.retain(|name| {
        !tests_need
            .lines()
            .any(|line| line.starts_with(&format!("{name} ")))
    });
    assert_eq!(
        program, fuzz,
        "run `cargo build` in fuzz/ and commit its Cargo.lock"
    );
}

#[test]
fn the_top_level_holds_what_it_should() {
    for file in files() {
        let top = file.split('/').next().unwrap_or(&file);
        assert!(TOP.contains(&top), "{top} does not belong there");
    }
}

#[test]
fn the_readme_has_two_commands_and_ci_runs_the_second() {
    assert_eq!(
        markdown::shell_blocks("a\n```sh\nb\nc\n```\nd\n```text\ne\n```\n```sh\nf\n```\n"),
        ["b\nc\n", "f\n"]
    );
    let blocks = markdown::shell_blocks(&read("README.md").unwrap());
    let [main_job, tests] = blocks.as_slice() else {
        panic!("README.md has {} shell blocks, not two", blocks.len());
    };
    for command in [main_job, tests] {
        assert_eq!(command.lines().count(), 1, "not one line: {command}");
    }
    let ci = read(".ci/run").unwrap();
    let last = ci.lines().last().unwrap();
    assert_eq!(
        last,
        tests.trim_end(),
        ".ci/run does not run README's tests"
    );
}
