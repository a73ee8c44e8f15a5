#![no_main]

use duramen::format::file::FileType;
use duramen::index::{read_segment, segment_id, segment_name};
use duramen::limits::SEGMENT_BYTES_MAX;
use duramen::seal::seal_record;
use duramen::storage::{MemoryStorage, Storage};
use duramen_fuzz::KEYS;

// The input is what stands behind the seal of a stored segment: its raw length, and what zstd gets to read.
libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let file = seal_record(&KEYS, FileType::Segment, "", data, SEGMENT_BYTES_MAX).unwrap();
    let id = segment_id(&file).unwrap();
    let storage = MemoryStorage::new();
    storage.put_new(&segment_name(&id), &file).unwrap();
    let _ = read_segment(&storage, &KEYS, &id);
});
