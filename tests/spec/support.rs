//! Fixed inputs, vector files, and the Python reader.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// `N` fixed bytes that `label` stands for: the extended output of BLAKE3 of `"duramen vector "` and the label.
pub fn fixed<const N: usize>(label: &str) -> [u8; N] {
    let mut bytes = [0; N];
    blake3::Hasher::new()
        .update(b"duramen vector ")
        .update(label.as_bytes())
        .finalize_xof()
        .fill(&mut bytes);
    bytes
}

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub fn writing() -> bool {
    std::env::var_os("DURAMEN_WRITE_VECTORS").is_some()
}

fn vector_path(name: &str) -> PathBuf {
    root().join("format-spec/vectors").join(name)
}

/// A vector file as it is committed.
pub fn committed(name: &str) -> Value {
    let path = vector_path(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| {
        panic!(
            "{}: {error}; write it with DURAMEN_WRITE_VECTORS=1",
            path.display()
        )
    });
    serde_json::from_str(&text).unwrap()
}

/// Holds what the crate makes against the committed vector, or writes it where that is asked for.
pub fn hold(name: &str, made: &Value) {
    if writing() {
        // By name, whatever order the crate keeps fields in.
        let mut made = made.clone();
        made.sort_all_objects();
        let text = serde_json::to_string_pretty(&made).unwrap() + "\n";
        std::fs::write(vector_path(name), ascii(&compact(&text))).unwrap();
        return;
    }
    if let Some(difference) = differ("", &committed(name), made) {
        panic!("format-spec/vectors/{name}{difference}");
    }
}

/// Anything beyond ASCII as JSON's escapes.
fn ascii(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        if c.is_ascii() {
            out.push(c);
        } else {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    out
}

/// Number lists on one line: byte strings would otherwise take a line a byte.
fn compact(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('[') {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let end = from.find(']').unwrap();
        let inner = &from[1..end];
        if inner
            .bytes()
            .all(|byte| byte.is_ascii_digit() || b" ,\n".contains(&byte))
        {
            out.push('[');
            out.extend(inner.chars().filter(|c| !c.is_whitespace()));
            out.push(']');
            rest = &from[end + 1..];
        } else {
            out.push('[');
            rest = &from[1..];
        }
    }
    out + rest
}

/// Where the two part, as deep down as can be said.
fn differ(at: &str, old: &Value, new: &Value) -> Option<String> {
    if old == new {
        return None;
    }
    let deeper = match (old, new) {
        (Value::Object(a), Value::Object(b)) => a
            .iter()
            .find_map(|(key, old)| differ(&format!("{at}/{key}"), old, b.get(key)?)),
        (Value::Array(a), Value::Array(b)) => a
            .iter()
            .zip(b)
            .enumerate()
            .find_map(|(n, (old, new))| differ(&format!("{at}/{n}"), old, new)),
        _ => None,
    };
    deeper.or_else(|| Some(format!("{at}: is {old}, made {new}")))
}

#[test]
fn a_difference_is_found_wherever_it_is() {
    let old = serde_json::json!({"a": [1, {"b": 2}], "c": null});
    for new in [
        serde_json::json!({"a": [1, {"b": 3}], "c": null}),
        serde_json::json!({"a": [1], "c": null}),
        serde_json::json!({"a": [1, {"d": 2}], "c": null}),
        serde_json::json!({"a": [1, {"b": 2}]}),
        serde_json::json!({"a": [1, {"b": 2}], "c": null, "d": 1}),
    ] {
        assert!(differ("", &old, &new).is_some(), "{new}");
    }
    assert_eq!(differ("", &old, &old), None);
}

/// The Python to use.
pub fn interpreter() -> String {
    std::env::var("DURAMEN_PYTHON").unwrap_or_else(|_| "python3".into())
}

/// Runs a script of `tests/reader/`.
pub fn python(script: &str, arguments: &[&str]) -> Output {
    let interpreter = interpreter();
    let output = Command::new(&interpreter)
        .arg(root().join("tests/reader").join(script))
        .args(arguments)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .unwrap_or_else(|error| panic!("cannot run {interpreter}: {error}"));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        !stderr.contains("ModuleNotFoundError") && !stderr.contains("ImportError"),
        "the second reader lacks its modules: run `{interpreter} -m pip install -r tests/reader/requirements.txt`, or \
         name an interpreter that has them in DURAMEN_PYTHON\n{stderr}"
    );
    output
}

/// As [`python`], where it must succeed: what it printed.
pub fn python_ok(script: &str, arguments: &[&str]) -> String {
    let output = python(script, arguments);
    assert!(
        output.status.success(),
        "{script} {arguments:?}: {}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}
