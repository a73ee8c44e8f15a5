#![no_main]

use duramen::format::bson::documents;
use duramen::format::extended_json::{Style, document};
use duramen::source::mongo::{changes, oplog};

// What a server sends is no more to be trusted than what a disk gives back.
libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    for entry in documents(data).map_while(Result::ok) {
        let _ = oplog::effects(entry, &mut |_| Ok(()));
        let _ = changes::effects(entry, &mut |_| Ok(()));
        let _ = (
            oplog::time(entry),
            oplog::previous(entry),
            oplog::is_part(entry),
        );
        let _ = document(entry, Style::Canonical);
        let _ = document(entry, Style::Relaxed);
    }
});
