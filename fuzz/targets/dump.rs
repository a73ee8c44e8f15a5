#![no_main]

use duramen::source::dump::{
    Layout, RECORD_BYTES_MAX, Splitter, archive, nested, next_document, recognise, stated,
};

// The first byte says which layout is tried; what a dump holds is nobody's word.
libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some((first, bytes)) = data.split_first() else {
        return;
    };
    let _ = recognise(bytes);
    let layouts = [
        Layout::Bson,
        Layout::Archive,
        Layout::JsonLines,
        Layout::JsonArray,
    ];
    let layout = layouts[usize::from(*first) % layouts.len()];
    let mut splitter = Splitter::new(layout);
    let mut at = 0;
    while let Some(len) = splitter.record(&bytes[at..], true) {
        assert!((1..=RECORD_BYTES_MAX).contains(&len));
        at += len;
    }
    assert_eq!(at, bytes.len());
    let _ = archive::read(&mut &*bytes, &mut |_| Ok(()));
    if let Ok(values) = nested::values(bytes) {
        let _ = stated::stated(&values, &String::from_utf8_lossy(bytes), i64::MAX);
        let all = nested::collections(values, "file");
        assert!(all.iter().all(|own| !own.name.is_empty()));
    }
    let mut rest = bytes;
    while let Ok(Some(document)) = next_document(&mut rest) {
        assert!(document.len() <= bytes.len());
    }
});
