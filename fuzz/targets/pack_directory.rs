#![no_main]

use duramen::format::{frame::PackClass, pack::PackDirectory};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    // The class and the directory's place stand elsewhere in a pack; here they are the first nine bytes.
    let Some((&[class, ref place @ ..], body)) = data.split_first_chunk::<9>() else {
        return;
    };
    let Ok(class) = PackClass::from_byte(class) else {
        return;
    };
    let frames_end = u64::from_le_bytes(*place);
    duramen_fuzz::fixed(
        body,
        |bytes| PackDirectory::decode(bytes, class, frames_end),
        |directory| duramen_fuzz::written(directory.encode()),
    );
});
