#![no_main]

use duramen::format::page::TreePage;

libfuzzer_sys::fuzz_target!(|data: &[u8]| duramen_fuzz::record(data, TreePage::check));
