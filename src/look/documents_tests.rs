#![allow(clippy::unwrap_used)]
use super::*;
use crate::source::mongo::command::Builder;

fn document(fields: &[(u8, &str, &[u8])]) -> Vec<u8> {
    let fields = fields.iter();
    fields
        .fold(Builder::new(), |built, (kind, name, value)| {
            built.raw(*kind, name.as_bytes(), value)
        })
        .finish()
}

fn number(value: i32) -> [u8; 4] {
    value.to_le_bytes()
}

/// Paths of what differs, with `-` and `+` for what one of them has.
fn paths(before: &[u8], after: &[u8]) -> Vec<String> {
    let (before, after) = (
        Document::whole(before).unwrap(),
        Document::whole(after).unwrap(),
    );
    let changes = field_changes(before, after).unwrap();
    let signed = changes
        .iter()
        .map(|change| match (&change.before, &change.after) {
            (Some(_), None) => format!("-{}", change.path),
            (None, _) => format!("+{}", change.path),
            _ => change.path.clone(),
        });
    signed.collect()
}

#[test]
fn fields_are_told_by_their_names() {
    let (one, two) = (number(1), number(2));
    let flat = |value: &[u8]| document(&[(kind::INT32, "a", value), (kind::INT32, "b", &one)]);
    assert_eq!(paths(&flat(&one), &flat(&one)), [""; 0]);
    assert_eq!(paths(&flat(&one), &flat(&two)), ["a"]);
    let more = document(&[(kind::INT32, "b", &one), (kind::INT32, "c", &one)]);
    assert_eq!(paths(&flat(&one), &more), ["-a", "+c"]);
    // Another type of the same bytes, and another order.
    let typed = document(&[(kind::INT32, "a", &one), (kind::OBJECT_ID, "b", &[1; 12])]);
    assert_eq!(paths(&flat(&one), &typed), ["b"]);
    let turned = document(&[(kind::INT32, "b", &one), (kind::INT32, "a", &one)]);
    assert_eq!(paths(&flat(&one), &turned), [""]);
}

#[test]
fn what_nests_is_looked_into() {
    let (one, two) = (number(1), number(2));
    let nested = |last: &[u8]| {
        let array = document(&[(kind::INT32, "0", &one), (kind::INT32, "1", last)]);
        let inner = document(&[(kind::ARRAY, "list", &array), (kind::INT32, "same", &one)]);
        document(&[(kind::DOCUMENT, "in", &inner)])
    };
    assert_eq!(paths(&nested(&one), &nested(&two)), ["in.list.1"]);
    let other = document(&[(kind::INT32, "in", &one)]);
    assert_eq!(paths(&nested(&one), &other), ["in"]);
    // Of an inner document of which only the order differs, the whole.
    let order = |names: [&str; 2]| {
        let inner = document(&names.map(|name| (kind::INT32, name, &one[..])));
        document(&[(kind::DOCUMENT, "in", &inner)])
    };
    assert_eq!(paths(&order(["a", "b"]), &order(["b", "a"])), ["in"]);
}

#[test]
fn names_that_come_twice_are_told_apart() {
    let (one, two) = (number(1), number(2));
    let twice = |second: &[u8]| document(&[(kind::INT32, "a", &one), (kind::INT32, "a", second)]);
    assert_eq!(paths(&twice(&one), &twice(&two)), ["a"]);
    let once = document(&[(kind::INT32, "a", &one)]);
    assert_eq!(paths(&twice(&two), &once), ["-a"]);
}

#[test]
fn neither_depth_nor_number_is_without_end() {
    let deep = |value: i32| {
        (0..3000).fold(
            document(&[(kind::INT32, "x", &number(value))]),
            |inner, _| document(&[(kind::DOCUMENT, "d", &inner)]),
        )
    };
    let found = paths(&deep(1), &deep(2));
    assert_eq!(found.len(), 1);
    assert!(found[0].split('.').count() <= DEPTH_MAX + 1);
    let names: Vec<String> = (0..3000).map(|name| name.to_string()).collect();
    let wide = |value: i32| {
        let value = number(value);
        let fields: Vec<(u8, &str, &[u8])> = names
            .iter()
            .map(|name| (kind::INT32, &name[..], &value[..]))
            .collect();
        document(&fields)
    };
    assert_eq!(paths(&wide(1), &wide(2)).len(), FIELDS_MAX);
}
