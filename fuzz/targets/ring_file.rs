#![no_main]

use duramen::format::keys::RingFile;

libfuzzer_sys::fuzz_target!(|data: &[u8]| duramen_fuzz::file(
    data,
    RingFile::decode,
    RingFile::encode
));
