#![no_main]

use duramen::format::pack::PackFooter;

libfuzzer_sys::fuzz_target!(|data: &[u8]| duramen_fuzz::fixed(
    data,
    PackFooter::decode,
    |footer| footer.encode().to_vec()
));
