#![no_main]

use duramen::format::records::Annotation;

libfuzzer_sys::fuzz_target!(|data: &[u8]| duramen_fuzz::record(data, Annotation::check));
