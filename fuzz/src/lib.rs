//! What every target asks of a decoder: it must not panic, must not allocate what a hostile length asks for (the
//! fuzzer's memory limit sees to that), and what it accepts must be the only encoding of what it read.

use duramen::error::Result;
use duramen::format::codec;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Decodes a structured record, holds it against its chapter, and compares its encoding with the input.
pub fn record<T: Serialize + DeserializeOwned>(data: &[u8], check: impl Fn(&T) -> Result<()>) {
    let Ok(record) = codec::decode::<T>(data, 1 << 20, "input") else {
        return;
    };
    let _ = check(&record);
    same(data, codec::encode(&record));
}

/// What was accepted must be written as it was read.
pub fn same(data: &[u8], encoded: Result<Vec<u8>>) {
    match encoded {
        Ok(encoded) => assert!(encoded == data, "two encodings of one record"),
        Err(error) => panic!("what was read cannot be written: {error}"),
    }
}
