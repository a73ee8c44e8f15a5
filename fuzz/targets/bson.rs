#![no_main]

use duramen::format::bson::{self, kind};
use duramen::format::document_key::{identity, key, prefix};
use duramen::format::number::{alike, worth};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let mut walked = 0;
    for document in bson::documents(data).map_while(Result::ok) {
        walked += document.bytes().len();
        let mut inside = 4 + 1;
        let mut whole = true;
        for element in document.elements() {
            let Ok(element) = element else {
                whole = false;
                break;
            };
            inside += 1 + element.name.len() + 1 + element.value.len();
            let key = key(&element);
            assert!(!key.is_empty() && prefix(&key).len() <= 64);
            let is_number = worth(&element).is_some();
            assert!(is_number == (identity(&key)[0] == 0x0B));
            for (kind, value) in alike(&element) {
                let other = bson::Element {
                    kind,
                    name: b"",
                    value: &value,
                };
                assert!(worth(&other) == worth(&element));
            }
            if element.kind == kind::STRING {
                assert!(key.len() + 4 == element.value.len());
            }
        }
        assert!(!whole || inside == document.bytes().len());
    }
    assert!(walked <= data.len());
});
