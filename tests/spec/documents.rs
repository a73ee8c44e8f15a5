//! Keys of documents, and where leaves end.

use duramen::chunk::Cutter;
use duramen::crypto::derive::{Purpose, gear_table};
use duramen::error::Result;
use duramen::format::bson::{Document, Element, kind};
use duramen::format::codec;
use duramen::format::document_key::key;
use duramen::format::records::Chunking;
use duramen::format::run::RunPage;
use duramen::id::{ChunkId, to_hex};
use duramen::repository::ChunkKind;
use duramen::snapshot::{Put, RunBuilder};
use serde_json::{Value, json};

use crate::support::{fixed, hold};

/// Documents whose leaves and pages are held.
const COUNT: u32 = 12_000;

/// Values of `_id`, of every type.
fn ids() -> Vec<(u8, Vec<u8>)> {
    let mut ids: Vec<(u8, Vec<u8>)> = vec![
        (kind::MIN_KEY, vec![]),
        (kind::UNDEFINED, vec![]),
        (kind::NULL, vec![]),
        (kind::DECIMAL128, vec![3; 16]),
        (kind::STRING, b"\x04\0\0\0a\0b\0".to_vec()),
        (kind::SYMBOL, b"\x02\0\0\0a\0".to_vec()),
        (kind::DOCUMENT, b"\x05\0\0\0\0".to_vec()),
        (kind::ARRAY, b"\x05\0\0\0\0".to_vec()),
        (
            kind::BINARY,
            b"\x02\x01\0\0\x04\xFF\0"[..]
                .iter()
                .copied()
                .chain([1; 256])
                .collect(),
        ),
        (kind::OBJECT_ID, (1..=12).collect()),
        (kind::BOOLEAN, vec![1]),
        (kind::REGEX, b"^a\0i\0".to_vec()),
        (kind::DB_POINTER, [&b"\x01\0\0\0\0"[..], &[7; 12]].concat()),
        (kind::CODE, b"\x02\0\0\0x\0".to_vec()),
        (kind::CODE_WITH_SCOPE, vec![9; 14]),
        (kind::MAX_KEY, vec![]),
    ];
    let two_to_53 = 9_007_199_254_740_992_i64;
    for whole in [
        0,
        1,
        -1,
        256,
        two_to_53 + 1,
        -two_to_53 - 1,
        i64::MIN,
        i64::MAX,
        i64::MAX - 513,
    ] {
        ids.push((kind::INT64, whole.to_le_bytes().to_vec()));
        ids.push((kind::DATE, whole.to_le_bytes().to_vec()));
        ids.push((kind::TIMESTAMP, whole.to_le_bytes().to_vec()));
        ids.push((kind::DOUBLE, (whole as f64).to_le_bytes().to_vec()));
    }
    for small in [0, 1, -1, i32::MIN] {
        ids.push((kind::INT32, small.to_le_bytes().to_vec()));
    }
    for double in [
        -0.0,
        1.5,
        -1.5,
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::MIN_POSITIVE,
    ] {
        ids.push((kind::DOUBLE, double.to_le_bytes().to_vec()));
    }
    ids
}

/// Keeps what is put, and cuts pages as the keys of the vectors do.
#[derive(Default)]
struct Kept(Vec<(ChunkKind, Vec<u8>)>);

impl Put for Kept {
    fn put(&mut self, kind: ChunkKind, bytes: &[u8]) -> Result<ChunkId> {
        self.0.push((kind, bytes.to_vec()));
        Ok(ChunkId(*blake3::hash(bytes).as_bytes()))
    }

    fn page_cut(&self, name: &[u8]) -> u64 {
        let key = Purpose::PageCut.derive(&[&fixed::<32>("dedup root")]);
        let hash = blake3::keyed_hash(&key, name);
        u64::from_le_bytes(*hash.as_bytes().first_chunk().unwrap())
    }
}

/// A document of that number: its `_id` and filling.
fn document(number: u32, len: usize) -> Vec<u8> {
    let mut body = vec![kind::OBJECT_ID];
    body.extend_from_slice(b"_id\0");
    body.extend_from_slice(&[0; 8]);
    let mut number = number.to_le_bytes();
    number.reverse();
    body.extend_from_slice(&number);
    body.extend_from_slice(b"\x05a\0");
    body.extend_from_slice(&(len as u32).to_le_bytes());
    body.push(0);
    body.resize(body.len() + len, b'x');
    let mut bytes = (body.len() as u32 + 5).to_le_bytes().to_vec();
    bytes.extend_from_slice(&body);
    bytes.push(0);
    bytes
}

#[test]
fn keys_and_leaves_are_those_of_the_vectors() {
    let keys: Vec<Value> = ids()
        .iter()
        .map(|(kind, value)| {
            let (kind, name) = (*kind, &b"_id"[..]);
            let key = key(&Element { kind, name, value });
            json!({"type": kind, "value": to_hex(value), "key": to_hex(&key)})
        })
        .collect();
    // Short ones, long ones, and some that are leaves of their own; over and over.
    let fillings: Vec<usize> = (0..150)
        .map(|of| match of {
            149 => 70_000,
            100..=109 => 9_000,
            of => 20 * of,
        })
        .collect();
    let cutter = Cutter::new(Chunking::default(), gear_table(&fixed::<32>("dedup root")));
    let mut kept = Kept::default();
    let mut builder = RunBuilder::new(&cutter);
    // Their keys are `24`, 8 zero bytes, and the number with its most significant byte first.
    let mut lengths = Vec::new();
    for number in 0..COUNT {
        let bytes = document(number, fillings[number as usize % fillings.len()]);
        let document = Document::whole(&bytes).unwrap();
        let key = key(&document.get(b"_id").unwrap().unwrap());
        if lengths.len() < fillings.len() {
            lengths.push(bytes.len());
        }
        builder.push(&mut kept, key, document).unwrap();
    }
    builder.finish(&mut kept).unwrap();
    let (mut leaves, mut pages) = (Vec::new(), Vec::new());
    for (kind, bytes) in &kept.0 {
        if *kind == ChunkKind::Run
            && let RunPage::Leaf { leaves: of, .. } = codec::decode(bytes, 1 << 20, "page").unwrap()
        {
            pages.push(of.len());
            leaves.extend(of.iter().map(|leaf| leaf.documents));
        }
    }
    assert!(pages.len() > 3, "too few pages to say where they end");
    hold(
        "documents.json",
        &json!({
            "dedup_root": to_hex(&fixed::<32>("dedup root")),
            "keys": keys, "count": COUNT, "lengths": lengths, "leaves": leaves, "pages": pages,
        }),
    );
}
