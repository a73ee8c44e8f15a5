#![no_main]

use duramen::format::keys::Ring;

libfuzzer_sys::fuzz_target!(|data: &[u8]| duramen_fuzz::record(data, Ring::check));
