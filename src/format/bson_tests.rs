#![allow(clippy::unwrap_used)]
use super::*;

/// A document of elements that are written out byte by byte.
fn document(elements: &[&[u8]]) -> Vec<u8> {
    let body = elements.concat();
    let mut bytes = (body.len() as i32 + 5).to_le_bytes().to_vec();
    bytes.extend_from_slice(&body);
    bytes.push(0);
    bytes
}

/// One element of each type that there is, named `a`, with its type and the length of its value.
fn each_type() -> Vec<(Vec<u8>, u8, usize)> {
    let nested = document(&[b"\x0Aa\0"]);
    let mut scoped = (4 + 6 + 5 + 8i32).to_le_bytes().to_vec();
    scoped.extend_from_slice(b"\x02\0\0\0x\0");
    scoped.extend_from_slice(&[0; 13]);
    let values: Vec<(u8, Vec<u8>)> = vec![
        (kind::DOUBLE, 1.5f64.to_le_bytes().to_vec()),
        (kind::STRING, b"\x04\0\0\0a\0b\0".to_vec()),
        (kind::DOCUMENT, nested.clone()),
        (kind::ARRAY, nested),
        (kind::BINARY, b"\x02\0\0\0\x04\xFF\0".to_vec()),
        (kind::UNDEFINED, vec![]),
        (kind::OBJECT_ID, vec![7; 12]),
        (kind::BOOLEAN, vec![1]),
        (kind::DATE, (-1i64).to_le_bytes().to_vec()),
        (kind::NULL, vec![]),
        (kind::REGEX, b"^a\0i\0".to_vec()),
        (kind::DB_POINTER, [&b"\x01\0\0\0\0"[..], &[7; 12]].concat()),
        (kind::CODE, b"\x02\0\0\0x\0".to_vec()),
        (kind::SYMBOL, b"\x01\0\0\0\0".to_vec()),
        (kind::CODE_WITH_SCOPE, scoped),
        (kind::INT32, vec![1, 0, 0, 0]),
        (kind::TIMESTAMP, vec![0; 8]),
        (kind::INT64, vec![0xFF; 8]),
        (kind::DECIMAL128, vec![3; 16]),
        (kind::MIN_KEY, vec![]),
        (kind::MAX_KEY, vec![]),
    ];
    values
        .into_iter()
        .map(|(kind, value)| {
            let mut element = vec![kind, b'a', 0];
            element.extend_from_slice(&value);
            (element, kind, value.len())
        })
        .collect()
}

#[test]
fn every_type_ends_where_the_next_begins() {
    let all = each_type();
    let elements: Vec<&[u8]> = all.iter().map(|(bytes, _, _)| bytes.as_slice()).collect();
    let bytes = document(&elements);
    let read: Vec<Element<'_>> = Document::whole(&bytes)
        .unwrap()
        .elements()
        .map(Result::unwrap)
        .collect();
    assert_eq!(read.len(), all.len());
    for (element, (_, kind, len)) in read.iter().zip(&all) {
        assert_eq!((element.kind, element.value.len()), (*kind, *len));
        assert_eq!(element.name, b"a");
    }
}

#[test]
fn what_is_cut_short_or_unknown_is_an_error_and_ends_the_walk() {
    for (element, kind, len) in each_type().into_iter().filter(|(_, _, len)| *len > 0) {
        for short in 1..=len {
            let bytes = document(&[&element[..element.len() - short]]);
            let read: Vec<_> = Document::whole(&bytes).unwrap().elements().collect();
            assert!(
                matches!(&read[..], [Err(_)]),
                "type {kind:#x} cut by {short}"
            );
        }
    }
    let bytes = document(&[b"\x14a\0\0\0\0\0", b"\x0Ab\0"]);
    let read: Vec<_> = Document::whole(&bytes).unwrap().elements().collect();
    assert!(matches!(&read[..], [Err(_)]));
}

#[test]
fn lengths_that_lie() {
    let empty = document(&[]);
    assert_eq!(empty, b"\x05\0\0\0\0");
    assert!(Document::whole(&empty).unwrap().elements().next().is_none());
    for bytes in [
        &b""[..],
        b"\x05\0\0",
        b"\x04\0\0\0\0",
        b"\x05\0\0\0\x01",
        b"\x06\0\0\0\0",
        b"\xFF\xFF\xFF\xFF\0",
        b"\x00\0\0\x7F\0",
        b"\x05\0\0\0\0\0",
    ] {
        assert!(Document::whole(bytes).is_err(), "{bytes:?}");
    }
    // Inner ones: a string, a binary and a document that reach beyond their document, a string without its zero.
    for element in [
        &b"\x02a\0\xFF\0\0\0x\0"[..],
        b"\x02a\0\0\0\0\0",
        b"\x02a\0\x02\0\0\0xy",
        b"\x05a\0\xFF\xFF\xFF\x7F\0",
        b"\x05a\0\xFF\xFF\xFF\xFF\0",
        b"\x03a\0\x09\0\0\0\0",
        b"\x03a\0\x04\0\0\0",
        b"\x0Ba\0abc",
        b"\x10no end of the name",
    ] {
        let bytes = document(&[element]);
        let read: Vec<_> = Document::whole(&bytes).unwrap().elements().collect();
        assert!(matches!(&read[..], [Err(_)]), "{element:?}");
    }
}

#[test]
fn duplicates_and_empty_names_stand_as_they_are() {
    let bytes = document(&[
        b"\x10\0\x01\0\0\0",
        b"\x10a\0\x02\0\0\0",
        b"\x10a\0\x03\0\0\0",
    ]);
    let document = Document::whole(&bytes).unwrap();
    assert_eq!(document.elements().count(), 3);
    let first = document.get(b"a").unwrap().unwrap();
    assert_eq!(first.value, [2, 0, 0, 0]);
    assert_eq!(document.get(b"").unwrap().unwrap().value, [1, 0, 0, 0]);
    assert_eq!(document.get(b"b").unwrap(), None);
}

#[test]
fn documents_follow_each_other() {
    let one = document(&[b"\x0Aa\0"]);
    let two = document(&[]);
    let bytes = [one.clone(), two.clone(), one.clone()].concat();
    let read: Vec<&[u8]> = documents(&bytes)
        .map(|document| document.unwrap().bytes())
        .collect();
    assert_eq!(read, [&one[..], &two, &one]);
    let read: Vec<_> = documents(&bytes[..bytes.len() - 1]).collect();
    assert_eq!(read.len(), 3);
    assert!(read[2].is_err());
}
