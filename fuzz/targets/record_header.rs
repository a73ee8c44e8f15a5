#![no_main]

use duramen::format::file::{FileType, RecordHeader};
use duramen_fuzz::file;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    for file_type in FileType::ALL {
        file(
            data,
            |bytes| {
                let (start, header, sealed) = RecordHeader::split(file_type, bytes, 1 << 20)?;
                Ok((start.to_vec(), header, sealed.to_vec()))
            },
            |(start, header, sealed)| {
                assert!(header.encode() == start[..]);
                duramen::format::file::finish([start.as_slice(), sealed].concat())
            },
        );
    }
});
