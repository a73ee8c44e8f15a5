#![no_main]

use duramen::format::{frame::FrameInfo, wire::Reader};

libfuzzer_sys::fuzz_target!(|data: &[u8]| duramen_fuzz::fixed(
    data,
    |bytes| {
        let mut reader = Reader::new(bytes);
        let frame = FrameInfo::decode(&mut reader)?;
        reader.end()?;
        Ok(frame)
    },
    |frame| {
        let mut bytes = Vec::new();
        frame.encode(&mut bytes);
        bytes
    },
));
