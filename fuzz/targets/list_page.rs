#![no_main]

use duramen::format::page::ListPage;

libfuzzer_sys::fuzz_target!(|data: &[u8]| duramen_fuzz::record(data, ListPage::check));
