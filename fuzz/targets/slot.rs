#![no_main]

use duramen::format::keys::Slot;

libfuzzer_sys::fuzz_target!(|data: &[u8]| duramen_fuzz::file(data, Slot::decode, Slot::encode));
