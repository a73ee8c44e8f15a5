#![no_main]

use duramen::repository::Memory;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Some(memory) = Memory::decode(data) {
        assert!(
            Memory::decode(&memory.encode()) == Some(memory),
            "a memory that does not come back"
        );
    }
});
