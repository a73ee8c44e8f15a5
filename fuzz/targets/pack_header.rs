#![no_main]

use duramen::format::pack::PackHeader;

libfuzzer_sys::fuzz_target!(|data: &[u8]| duramen_fuzz::fixed(
    data,
    PackHeader::decode,
    |header| header.encode().to_vec()
));
