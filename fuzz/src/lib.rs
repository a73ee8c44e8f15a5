//! What every target asks of a decoder: it must not panic, must not allocate what a hostile length asks for (the
//! fuzzer's memory limit sees to that), and what it accepts must be the only encoding of what it read.

use std::sync::LazyLock;

use duramen::error::Result;
use duramen::format::keys::{Ring, RingSlot, SealRoot, SlotKind};
use duramen::format::{codec, file};
use duramen::id::{RepositoryId, SlotId};
use duramen::seal::Keys;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A structured record, which is held against its chapter too.
pub fn record<T: Serialize + DeserializeOwned>(data: &[u8], check: impl Fn(&T) -> Result<()>) {
    // What an older program reads of a record that it does not understand as a whole.
    let _ = codec::decode_prefix::<T>(data);
    if let Ok(record) = codec::decode::<T>(data, 1 << 20, "input") {
        // Whether the chapter accepts it is its own affair; it must only not panic.
        let _ = check(&record);
        same(data, &written(codec::encode(&record)));
    }
}

/// A fixed layout.
pub fn fixed<T>(data: &[u8], decode: impl Fn(&[u8]) -> Result<T>, encode: impl Fn(&T) -> Vec<u8>) {
    if let Ok(read) = decode(data) {
        same(data, &encode(&read));
    }
}

/// A whole stored file. No fuzzer finds a hash, so the right one is put behind the input.
pub fn file<T>(data: &[u8], decode: impl Fn(&[u8]) -> Result<T>, encode: impl Fn(&T) -> Vec<u8>) {
    fixed(&file::finish(data.to_vec()), decode, encode);
}

/// What was read can be written.
pub fn written(encoded: Result<Vec<u8>>) -> Vec<u8> {
    match encoded {
        Ok(encoded) => encoded,
        Err(error) => panic!("what was read cannot be written: {error}"),
    }
}

fn same(data: &[u8], encoded: &[u8]) {
    assert!(data == encoded, "two encodings of one record");
}

/// Keys of a repository: what is read behind a seal is what somebody with the keys wrote there.
pub static KEYS: LazyLock<Keys> = LazyLock::new(|| {
    let slot = RingSlot {
        id: SlotId([3; 16]),
        kind: SlotKind::KeyFile,
        public: [4; 32],
        created: 5,
        label: String::new(),
        host: String::new(),
        user: String::new(),
    };
    let ring = Ring {
        generation: 1,
        dedup_root: [1; 32],
        seal_roots: vec![SealRoot {
            epoch: 1,
            root: [2; 32],
        }],
        slots: vec![slot],
        extensions: Vec::new(),
    };
    Keys::new(RepositoryId([0x5E; 32]), &ring).unwrap()
});
