#![no_main]

use duramen::format::records::Session;

libfuzzer_sys::fuzz_target!(|data: &[u8]| duramen_fuzz::record(data, Session::check));
