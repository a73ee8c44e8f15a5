//! Every derived key, Argon2id, the key file, and X25519.

use duramen::crypto::derive::Purpose;
use duramen::crypto::passphrase::{FLOOR, stretch};
use duramen::crypto::wrap::public_key;
use duramen::format::frame::ChunkKind;
use duramen::id::to_hex;
use duramen::repository::{from_recovery_words, recovery_words};
use duramen::seal::Keys;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::make::ring;
use crate::support::{fixed, hold};

const PURPOSES: [Purpose; 19] = [
    Purpose::ChunkId,
    Purpose::ChunkCut,
    Purpose::PageCut,
    Purpose::LinkGroup,
    Purpose::DataFrame,
    Purpose::MetadataFrame,
    Purpose::PackDirectory,
    Purpose::Segment,
    Purpose::Config,
    Purpose::Snapshot,
    Purpose::Session,
    Purpose::Tombstone,
    Purpose::Annotation,
    Purpose::SlotKey,
    Purpose::SlotCheck,
    Purpose::RingWrap,
    Purpose::RingBody,
    Purpose::RingMac,
    Purpose::RootMark,
];

#[test]
fn derived_keys_are_those_of_the_vectors() {
    let material = fixed::<32>("derivation material");
    let derived: Vec<Value> = PURPOSES
        .iter()
        .map(|purpose| {
            json!({
                "context": purpose.context(),
                "key": to_hex(&*purpose.derive(&[&material])),
            })
        })
        .collect();
    for (n, purpose) in PURPOSES.iter().enumerate() {
        assert!(
            PURPOSES[..n]
                .iter()
                .all(|other| other.context() != purpose.context()),
            "two purposes share {}",
            purpose.context()
        );
    }
    let salt = fixed::<32>("salt");
    let stretched = stretch(b"correct horse", &salt, FLOOR).unwrap();
    let private = Zeroizing::new(fixed::<32>("private key"));
    let keys = Keys::new(ring().0, &ring().1).unwrap();
    let chunks: Vec<Value> = [&b""[..], b"a", b"duramen", &[0; 1024]]
        .iter()
        .flat_map(|bytes| {
            ChunkKind::ALL.map(|kind| {
                json!({"kind": kind as u8, "bytes": to_hex(bytes), "id": keys.chunk_id(kind, bytes).hex()})
            })
        })
        .collect();
    let key = fixed::<32>("recovery key");
    let check = &blake3::hash(&key).to_hex()[..8];
    let file = format!("duramen-key-1 {} {check}\n", to_hex(&key)).into_bytes();
    let words = recovery_words(&file).unwrap();
    assert_eq!(*from_recovery_words(words.as_bytes()).unwrap(), file);
    let names: Vec<Value> = ["a", "etc", "file 17", "\u{e9}t\u{e9}"]
        .iter()
        .map(|name| json!({"name": name, "page_cut": keys.page_cut(name.as_bytes()), "link_group": keys.link_group(name.as_bytes())}))
        .collect();
    hold(
        "keys.json",
        &json!({
            "material": to_hex(&material),
            "derived": derived,
            "argon2id": {
                "passphrase": "correct horse", "salt": to_hex(&salt), "memory_kib": FLOOR.memory_kib, "passes": FLOOR.passes,
                "lanes": FLOOR.lanes, "secret": to_hex(&*stretched),
            },
            "x25519": {"private": to_hex(&*private), "public": to_hex(&public_key(&private))},
            "dedup_root": to_hex(&fixed::<32>("dedup root")),
            "recovery_words": {"key": to_hex(&fixed::<32>("recovery key")), "words": &*words},
            "chunk_ids": chunks,
            "names": names,
        }),
    );
}
