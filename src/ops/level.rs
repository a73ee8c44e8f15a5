//! How hard to compress, as people say it.

use crate::error::{Error, Kind, Result};

/// The level where nobody says anything.
pub const DEFAULT: i32 = 3;

/// zstd levels behind the words.
const WORDS: [(&str, i32); 4] = [("off", 0), ("fast", 1), ("default", DEFAULT), ("small", 9)];

/// Highest level that zstd has.
const LEVEL_MAX: i32 = 22;

/// `off`, `fast`, `default`, `small`, or a zstd level from 0 (off) to 22.
///
/// # Errors
/// [`Kind::Usage`] for anything else.
pub fn parse(text: &str) -> Result<i32> {
    if let Some((_, level)) = WORDS.iter().find(|(word, _)| *word == text) {
        return Ok(*level);
    }
    text.parse()
        .ok()
        .filter(|level| (0..=LEVEL_MAX).contains(level))
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
            ("off", Some(0)),
            ("fast", Some(1)),
            ("default", Some(3)),
            ("small", Some(9)),
            ("0", Some(0)),
            ("22", Some(22)),
            ("23", None),
            ("-1", None),
            ("best", None),
        ] {
            assert_eq!(parse(text).ok(), expected, "{text}");
        }
    }
}
