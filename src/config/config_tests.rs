#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
use crate::format::snapshot::SnapshotKind;
use crate::ops::level::Compression;
use crate::retention::Policy;

fn parse(text: &str) -> std::result::Result<Config, Vec<Finding>> {
    let base = Base {
        folder: Path::new("/etc/duramen"),
        home: Some(Path::new("/home/ann")),
    };
    Config::parse(text, base)
}

/// The example with every line of settings that is commented out taken in.
fn example_with_everything() -> String {
    let mut text = String::new();
    for line in EXAMPLE.lines() {
        let rest = line.strip_prefix("# ").unwrap_or(line);
        let key = rest.split([' ', '=']).next().unwrap_or_default();
        let is_setting = rest.contains(" = ")
            && key.chars().all(|c| c.is_ascii_lowercase() || c == '-')
            || rest.starts_with('[');
        text.push_str(if is_setting { rest } else { line });
        text.push('\n');
    }
    text
}

#[test]
fn the_example_passes_its_own_check() {
    let config = parse(EXAMPLE).unwrap();
    assert_eq!(config.sources.len(), 2);
    assert_eq!(config.key_file, Some("/home/ann/duramen.key".into()));
    assert_eq!(config.retention, Retention::default());
    assert_eq!(config.schedule, Schedule::default());
    assert_eq!(config.hooks, Hooks::default());
}

#[test]
fn what_the_example_has_commented_out_passes_too() {
    let text = example_with_everything();
    let config = parse(&text).unwrap_or_else(|found| panic!("{found:#?}\n{text}"));
    assert_eq!(config.sources.len(), 4, "{text}");
    assert_eq!(config.hooks.on_failure.len(), 2);
    assert_eq!(config.schedule.jitter, 600);
    assert_eq!(config.schedule.check_read, ReadData::Percent(5.0));
    assert_eq!(config.log, Some("/var/log/duramen.log".into()));
    assert_eq!(config.nice, Some(10));
    assert_eq!(config.rates.upload, Some(20 << 20));
    assert_eq!(config.rates.download, Some(20 << 20));
    let home = &config.sources[0];
    assert_eq!(home.excludes.larger_than, Some(2 << 30));
    assert_eq!(home.excludes.if_present, [".nobackup"]);
    assert!(home.ignore_inode && home.ignore_ctime && home.excludes.one_file_system);
    let database = &config.sources[2];
    assert!(matches!(&database.what, What::Command { filename, .. } if filename == "all.sql"));
    assert_eq!(database.hooks.before.len(), 1);
    let shop = &config.sources[3];
    assert_eq!(shop.what, What::Paths(Vec::new()));
    let mongo = shop.mongo.as_ref().unwrap();
    assert!(mongo.users && mongo.reading.no_oplog && mongo.address.contains("backup@"));
    assert_eq!(mongo.include, ["shop.*"]);
    assert_eq!(mongo.exclude, ["shop.cache"]);
    assert_eq!(
        mongo.password_file,
        Some("/etc/duramen/mongodb-password".into())
    );
    let policy = Policy {
        daily: 14,
        ..Policy::default()
    };
    assert_eq!(database.retention, Some(Retention(policy)));
}

#[test]
fn nothing_is_a_configuration_of_defaults() {
    let config = parse("").unwrap();
    assert!(config.sources.is_empty());
    assert_eq!(config.repository, None);
    assert_eq!(config.retention.0, Policy::standard());
}

#[test]
fn paths_are_absolute_and_sources_in_order() {
    let config = parse(
        "repository = \"../store\"\nkey-file = \"key\"\n[sources.z]\npaths = [\"~\", \"/x\"]\n\
         type = \"full\"\ncompression = 9\n[sources.a]\npaths = \"y\"\nschedule = \"never\"\n",
    )
    .unwrap();
    assert_eq!(config.repository.as_deref(), Some("/etc/duramen/../store"));
    assert_eq!(config.key_file, Some("/etc/duramen/key".into()));
    let names: Vec<&str> = config.sources.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(names, ["z", "a"]);
    let paths = vec!["/home/ann".into(), "/x".into()];
    assert_eq!(config.sources[0].what, What::Paths(paths));
    assert_eq!(config.sources[0].kind, SnapshotKind::Full);
    assert_eq!(config.sources[0].compression, Compression::Level(9));
    assert_eq!(config.sources[0].tag(), "source:z");
    assert_eq!(config.sources[1].schedule, Some(None));
    let config = parse("repository = \"scheme://host/x\"").unwrap();
    assert_eq!(config.repository.as_deref(), Some("scheme://host/x"));
}

#[test]
fn what_makes_no_sense_is_named_with_place_and_cure() {
    for (text, line, column, what, cure) in [
        (
            "\nrespository = \"/x\"",
            2,
            1,
            "respository",
            "did you mean repository?",
        ),
        (
            "[sources.a]\npaths = \"/x\"\n  excldue = \"y\"",
            3,
            3,
            "in [sources.a]",
            "did you mean exclude?",
        ),
        ("[retension]", 1, 2, "retension", "did you mean retention?"),
        (
            "[retention]\nkeep_daily = 3",
            2,
            1,
            "keep_daily",
            "did you mean keep-daily?",
        ),
        (
            "[retention]\nkeep-daily = -3",
            2,
            14,
            "keep-daily must be a number",
            "keep-daily = 7",
        ),
        (
            "[retention]\nkeep-daily = \"3\"",
            2,
            14,
            "keep-daily must be a number",
            "keep-daily = 7",
        ),
        (
            "[retention]\nkeep-within = \"3x\"",
            2,
            15,
            "\"3x\": not a duration",
            "1y5m7d2h",
        ),
        ("[retention]\n", 1, 1, "keeps nothing", "keep-last"),
        (
            "[schedule]\nsnapshot = \"dayly\"",
            2,
            12,
            "\"dayly\": not a schedule",
            "daily at 02:30",
        ),
        ("[schedule]\njitter = \"2d\"", 2, 10, "delay", "10m"),
        (
            "[schedule]\ncheck-read-data = true\ncheck-read-data-subset = \"5%\"",
            3,
            26,
            "already",
            "take out",
        ),
        (
            "[schedule]\ncheck-read-data-subset = \"9/3\"",
            2,
            26,
            "1 <= n <= m",
            "20G",
        ),
        (
            "[schedule]\nbackup = \"daily\"",
            2,
            1,
            "unknown key \"backup\"",
            "known in [schedule]: check",
        ),
        (
            "[sources.prune]\npaths = \"/x\"",
            1,
            10,
            "cannot be the name",
            "none of snapshot",
        ),
        (
            "[sources.\"a b\"]\npaths = \"/x\"",
            1,
            10,
            "cannot be the name",
            "letters",
        ),
        (
            "[sources.a]\n",
            1,
            10,
            "says nothing of what to read",
            "paths =",
        ),
        ("[sources.a]\npaths = []", 1, 10, "has no path", "paths ="),
        (
            "[sources.a]\npaths = \"/x\"\ncommand = \"y\"",
            1,
            10,
            "both",
            "two sources",
        ),
        (
            "[sources.a]\ncommand = [\"y\"]",
            1,
            10,
            "no name",
            "filename =",
        ),
        (
            "[sources.a]\npaths = \"~ann/x\"",
            2,
            9,
            "other users",
            "whole path",
        ),
        (
            "[sources.a]\npaths = \"/x\"\ntags = \"a,b\"",
            3,
            8,
            "cannot be a tag",
            "array",
        ),
        (
            "[sources.a]\npaths = \"/x\"\ncompression = 40",
            3,
            15,
            "not a level",
            "0 to 22",
        ),
        (
            "[sources.a]\npaths = \"/x\"\nexclude-larger-than = \"big\"",
            3,
            23,
            "not a size",
            "500K",
        ),
        (
            "[sources.a]\npaths = \"/x\"\nexclude-caches = \"yes\"",
            3,
            18,
            "true or false",
            "exclude-caches = true",
        ),
        (
            "key-file = \"\"",
            1,
            12,
            "key-file is empty",
            "leave the line out",
        ),
        ("sources = 3", 1, 11, "must be a table", "[sources]"),
    ] {
        let found = parse(text).map(|_| ()).unwrap_err();
        assert_eq!(found.len(), 1, "{text}: {found:?}");
        let Finding {
            line: l,
            column: c,
            what: w,
            hint,
        } = &found[0];
        assert_eq!((*l, *c), (line, column), "{text}: {w}");
        assert!(w.contains(what), "{text}: {w}");
        let hint = hint.as_deref().unwrap_or_default();
        assert!(hint.contains(cure), "{text}: {hint}");
    }
}

#[test]
fn what_is_no_toml_has_its_line_and_everything_is_found_at_once() {
    let found = parse("repository = \"/x\"\nkey-file = oops\n")
        .map(|_| ())
        .unwrap_err();
    assert_eq!(found[0].line, 2);
    assert!(found[0].what.starts_with("not TOML"), "{found:?}");
    let found = parse("a = 1\n\n[hooks]\nb = 2\nbefore = 3\n")
        .map(|_| ())
        .unwrap_err();
    let lines: Vec<usize> = found.iter().map(|finding| finding.line).collect();
    assert_eq!(lines, [1, 4, 5]);
}

#[test]
fn a_deployment_is_a_source_or_a_part_of_one() {
    let both = parse("[sources.a]\npaths = \"/etc\"\nmongodb = \"mongodb://h\"\n").unwrap();
    assert_eq!(both.sources[0].what, What::Paths(vec!["/etc".into()]));
    assert_eq!(
        both.sources[0].mongo.as_ref().unwrap().address,
        "mongodb://h"
    );
    for wrong in [
        "mongodb = \"localhost\"",
        "mongodb = \"mongodb://h\"\ncommand = [\"x\"]\nfilename = \"y\"",
        "paths = \"/etc\"\nusers = true",
        "paths = \"/etc\"\nns-include = [\"a.*\"]",
        "mongodb = 5",
    ] {
        let found = parse(&format!("[sources.a]\n{wrong}\n")).unwrap_err();
        assert_eq!(found.len(), 1, "{wrong}: {found:?}");
    }
}
