#![no_main]

use duramen::format::page::HintPage;

libfuzzer_sys::fuzz_target!(|data: &[u8]| duramen_fuzz::record(data, HintPage::check));
