#![no_main]

use duramen::format::segment::Segment;

libfuzzer_sys::fuzz_target!(
    |data: &[u8]| duramen_fuzz::fixed(data, Segment::decode, |segment| duramen_fuzz::written(
        segment.encode()
    ))
);
