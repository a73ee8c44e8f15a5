#![no_main]

use duramen::format::records::Tombstone;

libfuzzer_sys::fuzz_target!(|data: &[u8]| duramen_fuzz::record(data, Tombstone::check));
