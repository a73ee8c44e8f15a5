#![no_main]

use duramen::format::deployment::CataloguePage;

libfuzzer_sys::fuzz_target!(|data: &[u8]| duramen_fuzz::record(data, CataloguePage::check));
