#![no_main]

use duramen::repository::{from_recovery_words, recovery_words};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Ok(key) = from_recovery_words(data) {
        let words = recovery_words(&key).unwrap_or_default();
        let again = from_recovery_words(words.as_bytes());
        assert!(
            again.is_ok_and(|again| again == key),
            "words that lead to another key"
        );
    }
});
