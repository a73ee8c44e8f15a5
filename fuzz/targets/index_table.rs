#![no_main]

use std::sync::LazyLock;

use duramen::index::Table;

/// A file of this process alone.
static FILE: LazyLock<std::path::PathBuf> =
    LazyLock::new(|| std::env::temp_dir().join(format!("duramen-fuzz-{}", std::process::id())));

const BLOCK: usize = 4096;

// No fuzzer finds a checksum, so the right ones are put in: behind each block that the input has room for, and at its end.
// Whatever such a file says, it must be opened or refused, and read to its end, without a panic.
libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let mut file = data.to_vec();
    for (number, block) in file.chunks_exact_mut(BLOCK).enumerate() {
        let mut sum = crc32fast::Hasher::new();
        sum.update(&(number as u32).to_le_bytes());
        sum.update(&block[..BLOCK - 4]);
        block[BLOCK - 4..].copy_from_slice(&sum.finalize().to_le_bytes());
    }
    let blocks = file.len() / BLOCK * BLOCK;
    let sum = crc32fast::hash(&file[blocks..]);
    file.extend_from_slice(&sum.to_le_bytes());
    std::fs::write(&*FILE, &file).unwrap();
    if let Ok(table) = Table::open(&FILE) {
        for (id, _) in table.iter().flatten() {
            let _ = table.places(&id);
        }
    }
});
