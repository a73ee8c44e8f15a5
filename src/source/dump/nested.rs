//! JSON as older scripts left it: an array of records, an object that holds such arrays, or a single record; none of it with
//! an `_id`. Here it becomes collections of documents.
//!
//! | the file | its collections |
//! |---|---|
//! | `[{...}, {...}]` | one, named after the file |
//! | `{"exported_at": ..., "quotes": [{...}], "sessions": {"a1": {...}}}` | one for each array and each object of objects, and one named after the file for what else there is (`NAME.rest` where that is taken) |
//! | `{"session_id": ..., "messages": [...]}` | one, named after the file, of one record |
//!
//! A record becomes the `_id` that it says itself where all of its collection say one by the same name and none says the same
//! twice; otherwise one that is worked out from its content, so that the same record read twice is the same document.

use std::collections::HashSet;

use serde_json::{Map, Value};

use crate::error::{Error, Kind, Result};

/// Fields by which a record says which it is, the surest first.
pub const IDENTITIES: [&str; 9] = [
    "_id",
    "session_id",
    "sessionId",
    "conversation_id",
    "conversationId",
    "chat_id",
    "chatId",
    "id",
    "uuid",
];
/// How many of them say so beyond doubt: exports have an `id` of their own.
const SURE: usize = 7;
/// Arrays that are what a record says, and not records.
const TALK: [&str; 8] = [
    "messages",
    "mensajes",
    "turns",
    "history",
    "historial",
    "events",
    "items",
    "messages_log",
];
/// Objects that hold objects that hold arrays.
const DEPTH_MAX: usize = 4;
/// About how many values a file may have: each takes some hundred bytes.
const VALUES_MAX: usize = 2_000_000;
/// The longest name of a collection that is made of a name in a file.
const NAME_MAX: usize = 120;

/// Records of one collection.
#[derive(Clone, Debug, PartialEq)]
pub struct Records {
    /// Its name.
    pub name: String,
    /// Documents, each with an `_id`.
    pub documents: Vec<Value>,
}

/// The values of a JSON text, one behind the other.
///
/// # Errors
/// [`Kind::Damage`] for what is no JSON, [`Kind::Limit`] for more values than are held.
pub fn values(text: &[u8]) -> Result<Vec<Value>> {
    // What some programs begin a text with.
    let text = text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(text);
    let many = memchr::memchr3_iter(b',', b'{', b'[', text);
    if many.count() > VALUES_MAX {
        let what = "too many values for a file without _ids";
        return Err(Error::new(Kind::Limit, what));
    }
    let all = serde_json::Deserializer::from_slice(text).into_iter();
    all.collect::<std::result::Result<_, _>>()
        .map_err(|error| Error::damage("not JSON from its beginning to its end").cause(error))
}

/// What a file of these values holds, `stem` being its name without endings; in the order in which it stands there.
#[must_use]
pub fn collections(values: Vec<Value>, stem: &str) -> Vec<Records> {
    let stem = name(stem);
    let mut all = Vec::new();
    for value in values {
        match value {
            Value::Array(own) => gather(&mut all, &stem, own),
            Value::Object(own) => object(&mut all, &stem, own),
            _ => {}
        }
    }
    for own in &mut all {
        own.documents = identified(std::mem::take(&mut own.documents));
    }
    all
}

fn object(all: &mut Vec<Records>, stem: &str, own: Map<String, Value>) {
    if is_record(&own) {
        return gather(all, stem, vec![Value::Object(own)]);
    }
    let mut parts = Vec::new();
    let rest = divided(&mut parts, "", own, DEPTH_MAX);
    // An export of nothing but numbers and words is a record of its own, too.
    if !rest.is_empty() || parts.is_empty() {
        // Beside its records, not among them.
        let taken = parts.iter().any(|own: &Records| own.name == stem);
        let name = if taken {
            format!("{stem}.rest")
        } else {
            stem.to_owned()
        };
        gather(&mut parts, &name, vec![Value::Object(rest)]);
    }
    for Records { name, documents } in parts {
        gather(all, &name, documents);
    }
}

/// Whether an object is one record, and no container of records.
fn is_record(own: &Map<String, Value>) -> bool {
    let says = |names: &[&str]| names.iter().any(|name| own.contains_key(*name));
    let (sure, perhaps) = IDENTITIES.split_at(SURE);
    let others = own
        .iter()
        .any(|(key, value)| !TALK.contains(&key.as_str()) && holds_records(value));
    says(sure) || (!others && (says(perhaps) || says(&TALK)))
}

fn holds_records(value: &Value) -> bool {
    match value {
        Value::Array(own) => are_records(own.iter()),
        Value::Object(own) => are_records(own.values()),
        _ => false,
    }
}

fn are_records<'v>(mut all: impl ExactSizeIterator<Item = &'v Value>) -> bool {
    all.len() > 0 && all.all(Value::is_object)
}

/// Takes the collections out of a container; what is left of it.
fn divided(
    all: &mut Vec<Records>,
    above: &str,
    own: Map<String, Value>,
    depth: usize,
) -> Map<String, Value> {
    let mut rest = Map::new();
    for (key, value) in own {
        let path = match above {
            "" => key.clone(),
            above => format!("{above}.{key}"),
        };
        match value {
            Value::Array(own) if are_records(own.iter()) => gather(all, &name(&path), own),
            Value::Object(own) if are_records(own.values()) => {
                let named = own.into_iter().map(|(key, value)| match value {
                    Value::Object(value) => {
                        let id = value.get("_id").cloned();
                        with_id(id.unwrap_or(Value::String(key)), value)
                    }
                    value => value,
                });
                gather(all, &name(&path), named.collect());
            }
            Value::Object(own) if depth > 0 && own.values().any(holds_records) => {
                let left = divided(all, &path, own, depth - 1);
                if !left.is_empty() {
                    rest.insert(key, Value::Object(left));
                }
            }
            value => drop(rest.insert(key, value)),
        }
    }
    rest
}

fn gather(all: &mut Vec<Records>, name: &str, values: Vec<Value>) {
    // What is no object can be no document, but must not be lost either.
    let document = |value| match value {
        Value::Object(_) => value,
        value => Value::Object(Map::from_iter([("value".to_owned(), value)])),
    };
    let documents = values.into_iter().map(document);
    match all.iter_mut().find(|own| own.name == name) {
        Some(own) => own.documents.extend(documents),
        None => all.push(Records {
            name: name.to_owned(),
            documents: documents.collect(),
        }),
    }
}

/// A name as a collection may have it.
fn name(text: &str) -> String {
    let plain = |c: char| match c {
        '$' | '\0' => '_',
        c => c,
    };
    let mut own: String = text.chars().map(plain).collect();
    while own.len() > NAME_MAX {
        own.pop();
    }
    let own = own.trim_matches('.');
    match own {
        "" => "records".into(),
        own if own.starts_with("system.") => format!("_{own}"),
        own => own.to_owned(),
    }
}

/// The record with that `_id` before all else.
fn with_id(id: Value, record: Map<String, Value>) -> Value {
    let mut own = Map::from_iter([("_id".to_owned(), id)]);
    own.extend(record.into_iter().filter(|(key, _)| key != "_id"));
    Value::Object(own)
}

/// All of them with an `_id`, each its own but for records that are the same.
fn identified(documents: Vec<Value>) -> Vec<Value> {
    let id_by = |own: &Value, name: &str| match own.get("_id").or_else(|| own.get(name)) {
        Some(id @ (Value::String(_) | Value::Number(_))) => Some(id.clone()),
        _ => None,
    };
    let says = |name: &str| {
        let mut all = HashSet::new();
        let mut ids = documents.iter().map(|own| id_by(own, name));
        ids.all(|id| id.is_some_and(|id| all.insert(id.to_string())))
    };
    let named = IDENTITIES[1..].iter().copied().find(|name| says(name));
    let mut seen = HashSet::new();
    documents
        .into_iter()
        .map(|own| {
            let id = match named {
                Some(name) => id_by(&own, name),
                None => own
                    .get("_id")
                    .filter(|id| seen.insert(id.to_string()))
                    .cloned(),
            };
            let Value::Object(own) = own else {
                return own;
            };
            let id = id.unwrap_or_else(|| {
                let hash = blake3::hash(Value::Object(own.clone()).to_string().as_bytes());
                let hex = hash.to_hex();
                Value::Object(Map::from_iter([("$oid".to_owned(), hex[..24].into())]))
            });
            with_id(id, own)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    /// Names, and the `_id`s of each.
    fn found(value: Value) -> Vec<(String, Vec<String>)> {
        let ids = |own: Records| {
            let ids = own.documents.iter().map(|own| match &own["_id"] {
                Value::Object(own) => {
                    assert_eq!(own["$oid"].as_str().unwrap().len(), 24);
                    "hash".to_owned()
                }
                id => id.to_string(),
            });
            (own.name.clone(), ids.collect())
        };
        let values = vec![value];
        collections(values, "file").into_iter().map(ids).collect()
    }

    fn of(all: &[(&str, &[&str])]) -> Vec<(String, Vec<String>)> {
        let own = |(name, ids): &(&str, &[&str])| {
            let ids = ids.iter().map(|id| (*id).to_owned());
            ((*name).to_owned(), ids.collect())
        };
        all.iter().map(own).collect()
    }

    #[test]
    fn arrays_are_collections_named_after_the_file() {
        let talks = json!([{"session_id": "a", "n": 1}, {"session_id": "b"}]);
        assert_eq!(found(talks), of(&[("file", &["\"a\"", "\"b\""])]));
        // One that is said twice says nothing; nor does one that some do not say.
        let lines = json!([{"session_id": "a", "id": 1}, {"session_id": "a", "id": 2}]);
        assert_eq!(found(lines), of(&[("file", &["1", "2"])]));
        let none = json!([{"id": 1}, {"text": "x"}]);
        assert_eq!(found(none), of(&[("file", &["hash", "hash"])]));
        let own = json!([{"_id": 7, "id": 1}, {"id": 2}]);
        assert_eq!(found(own), of(&[("file", &["7", "2"])]));
        let twice = json!([{"_id": 1, "id": 5}, {"id": 1}, {"_id": 1, "id": 6}]);
        assert_eq!(found(twice), of(&[("file", &["1", "hash", "hash"])]));
        assert_eq!(found(json!([])), of(&[("file", &[])]));
        assert_eq!(found(json!("words")), of(&[]));
    }

    #[test]
    fn containers_are_divided_and_nothing_of_them_is_lost() {
        let export = json!({
            "exported_at": "2025-10-11T14:30:00",
            "conversations": [{"session_id": "a", "messages": [{"role": "user"}]}],
            "data": { "quotes": [{"id": 5}], "version": 2 },
            "sessions": { "x": {"phone": "1"}, "y": {"phone": "2"} },
            "empty": [],
            "words": ["a", "b"],
        });
        let all = collections(vec![export], "backup");
        let names: Vec<&str> = all.iter().map(|own| own.name.as_str()).collect();
        assert_eq!(
            names,
            ["conversations", "data.quotes", "sessions", "backup"]
        );
        assert_eq!(all[2].documents[0]["_id"], "x");
        let mut rest = all[3].documents[0].clone();
        rest.as_object_mut().unwrap().remove("_id");
        let expected = json!({
            "exported_at": "2025-10-11T14:30:00",
            "data": { "version": 2 },
            "empty": [],
            "words": ["a", "b"],
        });
        assert_eq!(rest, expected);
        // One that is named like its file is no reason to mix its records with the rest.
        let export = json!({"file": [{"session_id": "a"}], "total": 1});
        let expected = of(&[("file", &["\"a\""]), ("file.rest", &["hash"])]);
        assert_eq!(found(export), expected);
        // An export may have an `id` of its own.
        let export = json!({"id": "backup-1", "quotes": [{"id": 5}]});
        assert_eq!(
            found(export),
            of(&[("quotes", &["5"]), ("file", &["\"backup-1\""])])
        );
    }

    #[test]
    fn single_records_stay_whole() {
        for (record, id) in [
            (json!({"session_id": "a", "quotes": [{"id": 1}]}), "\"a\""),
            (json!({"id": 3, "messages": [{"text": "x"}]}), "3"),
            (json!({"messages": [{"text": "x"}]}), "hash"),
            (json!({"total": 3}), "hash"),
        ] {
            assert_eq!(found(record), of(&[("file", &[id])]));
        }
    }

    #[test]
    fn the_same_record_is_the_same_document() {
        let once = collections(vec![json!([{"a": 1}])], "x");
        let again = collections(vec![json!([{"b": 0}, {"a": 1}])], "y");
        assert_eq!(once[0].documents[0], again[0].documents[1]);
        assert_eq!(once[0].documents[0].as_object().unwrap().len(), 2);
    }

    #[test]
    fn names_are_such_as_a_collection_may_have() {
        for (text, own) in [
            ("quotes", "quotes"),
            ("$a.b", "_a.b"),
            ("..", "records"),
            ("system.users", "_system.users"),
        ] {
            assert_eq!(name(text), own);
        }
        assert_eq!(name(&"\u{e4}".repeat(200)).len(), NAME_MAX);
    }
}
