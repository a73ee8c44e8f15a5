#![allow(clippy::unwrap_used)]
use super::*;
use proptest::prelude::*;

/// A document of nothing but `_id: <number>` and a string.
fn bson(number: i32, text: &str) -> Vec<u8> {
    let mut body = vec![0x10];
    body.extend_from_slice(b"_id\0");
    body.extend_from_slice(&number.to_le_bytes());
    body.push(0x02);
    body.extend_from_slice(b"t\0");
    body.extend_from_slice(&(text.len() as i32 + 1).to_le_bytes());
    body.extend_from_slice(text.as_bytes());
    body.extend_from_slice(&[0, 0]);
    let mut document = (body.len() as i32 + 4).to_le_bytes().to_vec();
    document.extend(body);
    document
}

/// Records of `bytes` when they come in portions of `step`.
fn records(layout: Layout, bytes: &[u8], step: usize) -> Vec<&[u8]> {
    let mut splitter = Splitter::new(layout);
    let (mut at, mut end, mut records) = (0, 0, Vec::new());
    loop {
        let last = end == bytes.len();
        match splitter.record(&bytes[at..end], last) {
            Some(len) => {
                assert!((1..=RECORD_BYTES_MAX).contains(&len));
                records.push(&bytes[at..at + len]);
                at += len;
            }
            None if last => break,
            None => end = bytes.len().min(end + step),
        }
    }
    assert_eq!(records.concat(), bytes);
    records
}

#[test]
fn what_dumps_look_like() {
    let one = bson(1, "hello");
    assert_eq!(recognise(&one), Some(Layout::Bson));
    assert_eq!(
        recognise(&[one.clone(), b"rest".to_vec()].concat()),
        Some(Layout::Bson)
    );
    let long = bson(1, &"x".repeat(200_000));
    assert_eq!(recognise(&long[..RECOGNISED_BY]), Some(Layout::Bson));
    assert_eq!(
        recognise(&[&ARCHIVE[..], &one].concat()),
        Some(Layout::Archive)
    );
    assert_eq!(
        recognise(b"{\"_id\":1}\n{\"_id\":2}\n"),
        Some(Layout::JsonLines)
    );
    assert_eq!(recognise(b"\n { }"), Some(Layout::JsonLines));
    assert_eq!(
        recognise(b"[{\"_id\":1},\n{\"_id\":2}]"),
        Some(Layout::JsonArray)
    );
    for other in [
        &b""[..],
        b"{",
        b"[1, 2]",
        b"{% if %}",
        b"#!/bin/sh",
        b"\x7fELF\x02\x01\x01\0\0\0\0\0",
        b"\x05\0\0\0\0\x05\0\0\0\0",
        b"\x1f\x8b\x08\0",
    ] {
        assert_eq!(recognise(other), None, "{other:?}");
    }
}

#[test]
fn a_record_is_a_document() {
    let documents: Vec<Vec<u8>> = (0..50)
        .map(|n| bson(n, &"y".repeat(n as usize * 7)))
        .collect();
    for step in [1, 3, 64, 1 << 20] {
        let all = documents.concat();
        assert_eq!(records(Layout::Bson, &all, step), documents);
        // An archive: its mark, a header, blocks that end.
        let archive = [&ARCHIVE[..], &all, &END_OF_BLOCK, &all, &END_OF_BLOCK].concat();
        let found = records(Layout::Archive, &archive, step);
        assert_eq!(found.len(), 3 + 2 * documents.len());
        assert_eq!(found[1..51], documents);
        let lines = [
            "{\"_id\":1,\"a\":{\"b\":[1,{}]}}",
            "\n{\"s\":\"}\\\"}{\\\\\"}",
            "\n{}",
            "\n",
        ];
        assert_eq!(
            records(Layout::JsonLines, lines.concat().as_bytes(), step),
            lines.map(str::as_bytes)
        );
        let array = [
            "[{\"_id\":1}",
            ",\n {\"_id\":[{}]}",
            ",{\"t\":\"]}\"}",
            "]",
            "\n",
        ];
        assert_eq!(
            records(Layout::JsonArray, array.concat().as_bytes(), step),
            array.map(str::as_bytes)
        );
    }
}

#[test]
fn what_is_long_is_several_records() {
    let long = bson(1, &"x".repeat(600_000));
    let all = [long.clone(), bson(2, "short")].concat();
    let found = records(Layout::Bson, &all, 100_000);
    let lengths: Vec<usize> = found.iter().map(|record| record.len()).collect();
    let rest = long.len() - 2 * RECORD_BYTES_MAX;
    assert_eq!(lengths[..3], [RECORD_BYTES_MAX, RECORD_BYTES_MAX, rest]);
    assert_eq!(found[3], bson(2, "short"));
    let text = format!("{{\"t\":\"{}\"}}\n{{}}", "z".repeat(700_000));
    let found = records(Layout::JsonLines, text.as_bytes(), 100_000);
    assert_eq!(found.last().unwrap(), b"\n{}");
}

proptest! {
    #[test]
    fn no_bytes_are_lost(
        bytes in prop::collection::vec(prop::sample::select(&b"{}[]\"\\a\0\x05\xFF\n"[..]), 0..3000),
        step in 1usize..5000,
    ) {
        for layout in [Layout::Bson, Layout::Archive, Layout::JsonLines, Layout::JsonArray] {
            let found = records(layout, &bytes, step);
            // However they come.
            prop_assert_eq!(&found, &records(layout, &bytes, 7));
        }
    }
}
