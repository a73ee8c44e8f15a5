//! The rules of the house as functions of a path and a text, so that each can be shown an offence.

use super::text::{Token, places, production, tokens};

/// What a rule found: a line of the file (0 for the file as a whole) and why that must not be.
pub type Findings = Vec<(usize, String)>;

/// Rooms from the ground up; a room imports only from layers below its own.
const LAYERS: &[&[&str]] = &[
    &[
        "id", "error", "progress", "clock", "pace", "limits", "size", "merge", "seen",
    ],
    &["storage", "crypto", "format", "fs"],
    &["chunk", "seal", "pack", "index"],
    &["repository", "source", "target"],
    &[
        "snapshot",
        "restore",
        "replay",
        "gc",
        "check",
        "checkout",
        "retention",
        "recover",
        "look",
    ],
    &["repair"],
    &["ops"],
    &["config"],
    &["server", "schedule", "alert"],
    &["cli"],
    &["main"],
];

/// Neighbours in one layer that may look left: each arrow of the flow is a type owned by the room to its left.
const NEIGHBOURS: &[(&str, &str)] = &[
    ("seal", "chunk"),
    ("pack", "chunk"),
    ("pack", "seal"),
    ("index", "seal"),
    ("index", "pack"),
    // Temporary files have random names, and randomness comes from crypto alone.
    ("storage", "crypto"),
    ("fs", "crypto"),
    // Reads of whole packs leave the page cache as it was.
    ("storage", "fs"),
    // One connection to MongoDB, whichever way the documents go.
    ("target", "source"),
    // What is overwritten is kept before, as what was taken is.
    ("restore", "snapshot"),
    // What was replayed becomes runs as what was taken does.
    ("replay", "snapshot"),
    // Two states of a capped collection are brought into one order before they are compared.
    ("look", "snapshot"),
    // A run tells of what failed.
    ("schedule", "alert"),
];

/// All that the command line may use: options in, summaries out, and the records that are shown.
const CLI_MAY_USE: &[&str] = &[
    "id",
    "error",
    "progress",
    "clock",
    "limits",
    "size",
    "ops",
    "config",
    "schedule",
    "alert",
    "cli",
    "repository",
    "format::snapshot",
    "format::entry",
];

/// Crates that one room owns, so that replacing them touches that room alone.
const OWNED_CRATES: &[(&str, &[&str])] = &[
    ("bincode", &["src/format/codec.rs"]),
    ("fastcdc", &["src/chunk"]),
    ("crc32fast", &["src/index"]),
    ("getrandom", &["src/crypto"]),
    ("rand", &[]),
    (
        "mongodb",
        &[
            "src/source/mongo/driver.rs",
            "src/format/choice.rs",
            "src/format/extended_json.rs",
        ],
    ),
    ("tokio", &["src/source/mongo/driver.rs"]),
    ("futures_util", &["src/source/mongo/driver.rs"]),
    ("clap", &["src/cli", "src/main.rs"]),
    ("clap_complete", &["src/cli", "src/main.rs"]),
    ("clap_mangen", &["src/cli", "src/main.rs"]),
    ("indicatif", &["src/cli"]),
    ("rpassword", &["src/cli"]),
    ("toml", &["src/config"]),
    ("croner", &["src/config"]),
    ("ureq", &["src/alert"]),
    ("bip39", &["src/repository/recovery.rs"]),
];

/// Lines in one file; beyond that it holds more than one noun.
const LINES_MAX: usize = 600;

/// Whether `path` holds test code alone.
pub fn is_test(path: &str) -> bool {
    !path.starts_with("src/")
        || path.ends_with("/tests.rs")
        || path.ends_with("_tests.rs")
        || path.contains("/tests/")
}

/// Whether `path` is `place` or lies in it (`src/chunk` is also `src/chunk.rs`).
fn lies_in(path: &str, place: &str) -> bool {
    path.strip_prefix(place)
        .is_some_and(|rest| rest.is_empty() || rest == ".rs" || rest.starts_with('/'))
}

fn prints(path: &str) -> bool {
    lies_in(path, "src/cli") || path == "src/main.rs"
}

fn layer_of(room: &str) -> Option<usize> {
    LAYERS.iter().position(|rooms| rooms.contains(&room))
}

/// `src/format/page.rs` is `["format", "page"]`; the root of a crate is empty.
fn module_of(path: &str) -> Vec<&str> {
    let path = path.strip_prefix("src/").unwrap_or(path);
    let path = path.strip_suffix(".rs").unwrap_or(path);
    let path = path.strip_suffix("/mod").unwrap_or(path);
    match path {
        "lib" | "main" => Vec::new(),
        path => path.split('/').collect(),
    }
}

/// Everything below `prefix` that the tokens from `at` on name, groups taken apart: `a::{b, c::d}` is two paths.
fn paths_from(tokens: &[Token<'_>], at: &mut usize, prefix: &str, out: &mut Vec<String>) {
    let text = |i: usize| tokens.get(i).map_or("", |token| token.text);
    let mut path = prefix.to_owned();
    loop {
        if text(*at) == "{" {
            *at += 1;
            while *at < tokens.len() && text(*at) != "}" {
                if text(*at) == "," {
                    *at += 1;
                } else {
                    paths_from(tokens, at, &path, out);
                }
            }
            *at += 1;
            return;
        }
        if !path.is_empty() {
            path.push_str("::");
        }
        path.push_str(text(*at));
        *at += 1;
        if text(*at) == ":" && text(*at + 1) == ":" && text(*at + 2) != "<" {
            *at += 2;
        } else {
            break;
        }
    }
    if text(*at) == "as" {
        *at += 2;
    }
    out.push(path);
}

/// Every path of this crate that the code of `path` names, from the crate's root, with its line.
fn crate_paths(path: &str, code: &str) -> Vec<(usize, String)> {
    let tokens = tokens(code);
    let module = module_of(path);
    let mut found = Vec::new();
    let mut at = 0;
    while at + 3 < tokens.len() {
        let start = at;
        let joins = |i: usize| {
            tokens.get(i + 1).is_some_and(|t| t.text == ":")
                && tokens.get(i + 2).is_some_and(|t| t.text == ":")
        };
        let inside = start > 0 && tokens[start - 1].text == ":";
        let prefix = match tokens[start].text {
            _ if inside || !joins(start) => None,
            "crate" | "duramen" => Some(String::new()),
            "super" => {
                let mut ups = 1;
                while tokens.get(at + 3).is_some_and(|t| t.text == "super") && joins(at + 3) {
                    ups += 1;
                    at += 3;
                }
                Some(module[..module.len().saturating_sub(ups)].join("::"))
            }
            _ => None,
        };
        match prefix {
            Some(prefix) => {
                at += 3;
                let mut paths = Vec::new();
                paths_from(&tokens, &mut at, &prefix, &mut paths);
                found.extend(paths.into_iter().map(|path| (tokens[start].line, path)));
            }
            None => at = start + 1,
        }
    }
    found
}

/// Which room may import which.
pub fn imports(path: &str, text: &str) -> Findings {
    if path == "src/lib.rs" || is_test(path) {
        return Vec::new();
    }
    let room = match path {
        "src/main.rs" => "main",
        _ => module_of(path)[0],
    };
    let Some(layer) = layer_of(room) else {
        return vec![(0, format!("room {room} stands in no layer"))];
    };
    let mut findings = Vec::new();
    for (line, used) in crate_paths(path, &production(text)) {
        let other = used.split("::").next().unwrap_or_default();
        let allowed = match layer_of(other) {
            // A macro or a re-export at the crate's root.
            None => continue,
            _ if room == "main" || room == "cli" => CLI_MAY_USE
                .iter()
                .any(|may| used == *may || used.starts_with(&format!("{may}::"))),
            Some(other_layer) => {
                other == room
                    || other_layer < layer
                    || (other_layer == layer && (layer == 0 || NEIGHBOURS.contains(&(room, other))))
            }
        };
        if !allowed {
            findings.push((line, format!("{room} must not use {used}")));
        }
    }
    findings
}

/// Nothing that outside bytes reach may panic.
pub fn panics(path: &str, text: &str) -> Findings {
    if is_test(path) {
        return Vec::new();
    }
    let code = production(text);
    let tokens = tokens(&code);
    let mut findings = Vec::new();
    for pattern in [
        ". unwrap (",
        ". unwrap_err (",
        // `Progress::expect` takes numbers; the one that panics takes a message.
        ". expect ( \"",
        ". expect ( &",
        ". expect_err (",
        "panic !",
        "unreachable !",
        "todo !",
        "unimplemented !",
        "clippy : : unwrap_used",
        "clippy : : expect_used",
        "clippy : : panic",
    ] {
        for line in places(&tokens, pattern) {
            findings.push((line, format!("{} outside tests", pattern.replace(' ', ""))));
        }
    }
    findings
}

/// Time, chance, the environment and the terminal each have one door.
pub fn doors(path: &str, text: &str) -> Findings {
    if is_test(path) {
        return Vec::new();
    }
    let code = production(text);
    let tokens = tokens(&code);
    let mut findings = Vec::new();
    let mut refuse = |lines: Vec<usize>, why: &str| {
        findings.extend(lines.into_iter().map(|line| (line, why.to_owned())));
    };
    if path != "src/clock.rs" && !lies_in(path, "src/cli/progress") {
        refuse(
            places(&tokens, ": : now ("),
            "the time comes from clock alone",
        );
    }
    if !lies_in(path, "src/crypto") {
        for chance in ["OsRng", "thread_rng", "fastrand"] {
            refuse(
                places(&tokens, chance),
                "randomness comes from crypto alone",
            );
        }
    }
    if !prints(path) {
        for print in ["println !", "eprintln !", "print !", "eprint !", "dbg !"] {
            refuse(places(&tokens, print), "only the command line prints");
        }
        for stream in ["io : : stdout", "io : : stderr"] {
            refuse(places(&tokens, stream), "only the command line prints");
        }
        let why = "only the command line reads the environment";
        // A relative path means the folder of the process; that is no setting.
        let mut lines = places(&tokens, "env : : *");
        let here = places(&tokens, "env : : current_dir");
        lines.retain(|line| !here.contains(line));
        refuse(lines, why);
        for import in [", env ,", "{ env ,", ", env }", ": env ;"] {
            refuse(places(&tokens, import), why);
        }
    }
    findings
}

/// Crates that one room owns stand in that room alone.
pub fn owned_crates(path: &str, text: &str) -> Findings {
    if !path.starts_with("src/") {
        return Vec::new();
    }
    let code = production(text);
    let tokens = tokens(&code);
    let mut findings = Vec::new();
    for (name, places_allowed) in OWNED_CRATES {
        if places_allowed.iter().any(|place| lies_in(path, place)) {
            continue;
        }
        let mut lines = places(&tokens, &format!("{name} : :"));
        lines.extend(places(&tokens, &format!("use {name} ;")));
        for line in lines {
            findings.push((line, format!("{name} belongs to {places_allowed:?} alone")));
        }
    }
    findings
}

/// A file of tests inside `src` is compiled for tests alone.
pub fn test_files_are_for_tests(path: &str, text: &str) -> Findings {
    if !path.starts_with("src/") {
        return Vec::new();
    }
    let code = production(text);
    tokens(&code)
        .windows(3)
        .filter(|window| {
            let name = window[1].text;
            window[0].text == "mod" && (name == "tests" || name.ends_with("_tests"))
        })
        .map(|window| (window[0].line, "tests without #[cfg(test)]".to_owned()))
        .collect()
}

/// Files below `src` that the file at `path` includes for tests alone.
pub fn files_for_tests(path: &str, text: &str) -> Vec<String> {
    let stem = path.strip_suffix(".rs").unwrap_or(path);
    let folder = match stem.rsplit_once('/') {
        Some((folder, "mod" | "lib" | "main")) => folder,
        _ => stem,
    };
    let modules = |code: &str| -> Vec<String> {
        tokens(code)
            .windows(3)
            .filter(|window| window[0].text == "mod" && window[2].text == ";")
            .map(|window| window[1].text.to_owned())
            .collect()
    };
    let kept = modules(&production(text));
    modules(&super::text::code(text))
        .into_iter()
        .filter(|name| !kept.contains(name))
        .flat_map(|name| {
            [
                format!("{folder}/{name}.rs"),
                format!("{folder}/{name}/mod.rs"),
            ]
        })
        .collect()
}

/// No test is switched off.
pub fn ignored_tests(_path: &str, text: &str) -> Findings {
    let code = super::text::code(text);
    let tokens = tokens(&code);
    ["# [ ignore", ", ignore )", ", ignore ="]
        .iter()
        .flat_map(|pattern| places(&tokens, pattern))
        .map(|line| (line, "a test that is switched off".to_owned()))
        .collect()
}

/// No file so long that it holds more than one noun.
pub fn length(_path: &str, text: &str) -> Findings {
    let lines = text.lines().count();
    if lines > LINES_MAX {
        vec![(0, format!("{lines} lines, more than {LINES_MAX}"))]
    } else {
        Vec::new()
    }
}

/// Sources are plain ASCII: what a reader sees is what the compiler sees.
pub fn ascii(_path: &str, text: &str) -> Findings {
    lines_where(text, |line| !line.is_ascii(), "not plain ASCII")
}

/// Nothing is left for later in a comment: it is done, or it is an issue.
pub fn open_work(_path: &str, text: &str) -> Findings {
    const MARKS: [&str; 3] = [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("XX", "X"),
    ];
    lines_where(
        text,
        |line| {
            line.split(|c: char| !c.is_alphanumeric())
                .any(|word| MARKS.contains(&word))
        },
        "work left for later",
    )
}

/// No path of the machine that somebody worked on.
pub fn machine_paths(_path: &str, text: &str) -> Findings {
    const PLACES: [&str; 3] = [
        concat!("/wo", "rk/"),
        concat!("/fa", "rm/"),
        concat!("/tmp", "/wt/"),
    ];
    lines_where(
        text,
        |line| PLACES.iter().any(|place| line.contains(place)),
        "a path of one machine",
    )
}

fn lines_where(text: &str, offends: impl Fn(&str) -> bool, why: &str) -> Findings {
    text.lines()
        .enumerate()
        .filter(|(_, line)| offends(line))
        .map(|(number, _)| (number + 1, why.to_owned()))
        .collect()
}

/// Files that none of the `readers` mentions, by their name or, in quotes, by its stem.
pub fn unread<'f>(files: &[&'f str], readers: &[&str]) -> Vec<&'f str> {
    files
        .iter()
        .copied()
        .filter(|file| {
            let name = file.rsplit('/').next().unwrap_or(file);
            let stem = format!("\"{}\"", name.split('.').next().unwrap_or(name));
            !readers
                .iter()
                .any(|text| text.contains(name) || text.contains(&stem))
        })
        .collect()
}

/// Files that the links of a Markdown text point to, as they stand there, without anchors and without other sites.
pub fn links(markdown: &str) -> Vec<&str> {
    markdown
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split([')', '#']).next())
        .filter(|link| !link.is_empty() && !link.contains("://"))
        .collect()
}

/// Names of the crates that `package` depends on, as a lock file says.
pub fn locked_dependencies(lock: &str, package: &str) -> Vec<String> {
    let name = format!("\nname = \"{package}\"\n");
    let entry = lock
        .split("[[package]]")
        .find(|entry| entry.contains(&name));
    entry
        .unwrap_or_default()
        .lines()
        .filter_map(|line| line.strip_prefix(" \""))
        .filter_map(|line| line.split([' ', '"']).next())
        .map(ToOwned::to_owned)
        .collect()
}
