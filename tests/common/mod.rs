//! What the tests that drive the real program share: seeded randomness, trees to take snapshots of, a comparer that
//! knows nothing of the program, and the running of the program itself.
//!
//! Every test binary uses a part of it only.
#![allow(dead_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

pub mod compare;
pub mod compare_file;
pub mod facility;
pub mod harm;
#[cfg(feature = "mongodb")]
pub mod mongod;
pub mod place;
pub mod random;
pub mod scratch;
pub mod seen;
pub mod tree;
pub mod tree_parts;

/// How much a test does: little in the ordinary run, all of it where `DURAMEN_SOAK=1` says so.
pub fn rounds(ordinary: usize, soak: usize) -> usize {
    if is_soak() { soak } else { ordinary }
}

/// Whether `DURAMEN_SOAK=1` asks for all of it.
pub fn is_soak() -> bool {
    std::env::var_os("DURAMEN_SOAK").is_some_and(|value| value == "1")
}

/// The seed of a randomised test: from `DURAMEN_SEED` to run one again, otherwise from the clock. Printed, so that a
/// failure can be repeated.
pub fn seed(test: &str) -> u64 {
    let seed = match std::env::var("DURAMEN_SEED") {
        Ok(text) => text.parse().expect("DURAMEN_SEED is a number"),
        Err(_) => {
            let now = std::time::SystemTime::now()
                .duration_since(std::time::UNIX_EPOCH)
                .unwrap();
            now.as_nanos() as u64 ^ (u64::from(std::process::id()) << 40)
        }
    };
    println!("{test}: seed {seed} (DURAMEN_SEED={seed} runs it again)");
    seed
}
