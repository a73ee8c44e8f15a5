//! How hard to compress, as people say it.

use crate::error::{Error, Kind, Result};

pub use crate::seal::Compression;

/// What the words mean. `small` is the first level that searches for the best parse: a fifth smaller than the
/// default on text, at a fiftieth of its speed (5 to 12 MB/s a core; `docs/benchmarks.md`).
const WORDS: [(&str, Compression); 4] = [
    ("off", Compression::Off),
    ("fast", Compression::Level(1)),
    ("default", Compression::Default),
    ("small", Compression::Level(16)),
];

/// Highest level that zstd has.
const LEVEL_MAX: i32 = 22;

/// `off`, `fast`, `default`, `small`, or a zstd level from 0 (off) to 22.
///
/// # Errors
/// [`Kind::Usage`] for anything else.
pub fn parse(text: &str) -> Result<Compression> {
    if let Some((_, level)) = WORDS.iter().find(|(word, _)| *word == text) {
        return Ok(*level);
    }
    text.parse()
        .ok()
        .filter(|level| (0..=LEVEL_MAX).contains(level))
        .map(|level| match level {
            0 => Compression::Off,
            level => Compression::Level(level),
        })
        .ok_or_else(|| {
            Error::new(Kind::Usage, "not a level of compression")
                .subject(text)
                .hint("give off, fast, default, small, or a number from 0 to 22")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compression_levels() {
        for (text, expected) in [
            ("off", Some(Compression::Off)),
            ("fast", Some(Compression::Level(1))),
            ("default", Some(Compression::Default)),
            ("small", Some(Compression::Level(16))),
            ("0", Some(Compression::Off)),
            ("22", Some(Compression::Level(22))),
            ("23", None),
            ("-1", None),
            ("best", None),
        ] {
            assert_eq!(parse(text).ok(), expected, "{text}");
        }
    }
}
