#![no_main]

use duramen::format::run::RunPage;

libfuzzer_sys::fuzz_target!(|data: &[u8]| duramen_fuzz::record(data, RunPage::check));
