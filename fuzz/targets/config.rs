#![no_main]

use duramen::format::records::Config;

libfuzzer_sys::fuzz_target!(|data: &[u8]| duramen_fuzz::record(data, Config::check));
