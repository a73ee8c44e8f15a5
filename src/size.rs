//! Sizes as people write and read them.

use crate::error::{Error, Kind, Result};

/// Reads `10M`, `1.5GiB`, `200`: K, M, G, T and KiB, MiB, GiB, TiB are powers of 1024; KB, MB, GB, TB of 1000.
///
/// # Errors
/// [`Kind::Usage`] for anything else, and for sizes that no file can have.
pub fn parse(text: &str) -> Result<u64> {
    let wrong = || {
        Error::new(Kind::Usage, "not a size")
            .subject(text)
            .hint("write it like 500K, 10M, 1.5GiB or 2000000")
    };
    let trimmed = text.trim();
    let digits = trimmed
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(trimmed.len());
    let (number, unit) = trimmed.split_at(digits);
    let factor: u64 = match unit.trim_start().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        "t" | "tib" => 1 << 40,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        _ => return Err(wrong()),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || fraction.contains('.') || fraction.len() > 12 {
        return Err(wrong());
    }
    let whole: u128 = whole.parse().map_err(|_| wrong())?;
    let mut bytes = whole.checked_mul(factor.into()).ok_or_else(wrong)?;
    if !fraction.is_empty() {
        let parts: u128 = fraction.parse().map_err(|_| wrong())?;
        // At most 12 digits times 2^40 stay far below u128.
        bytes += parts * u128::from(factor) / 10u128.pow(fraction.len() as u32);
    }
    u64::try_from(bytes)
        .ok()
        .filter(|bytes| *bytes <= i64::MAX as u64)
        .ok_or_else(wrong)
}

/// Reads a rate: `500` for KiB a second, as other tools have it, or a size with its unit, `10M`, for that a second; 0 for
/// no limit, which is none.
///
/// # Errors
/// [`Kind::Usage`] for anything else.
pub fn parse_rate(text: &str) -> Result<Option<u64>> {
    let text = text.trim();
    let bare = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let parsed = if bare {
        parse(&format!("{text}K"))
    } else {
        parse(text.strip_suffix("/s").unwrap_or(text))
    };
    let rate = parsed.map_err(|error| {
        Error::new(error.kind(), "not a rate")
            .subject(text)
            .hint("write it like 10M (a second), or 500 for KiB a second")
    })?;
    Ok((rate > 0).then_some(rate))
}

/// Three significant digits and a binary unit: `0 B`, `999 B`, `1.21 KiB`, `34.5 MiB`, `678 GiB`.
pub fn show(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let decimals = match value {
        v if v < 9.995 => 2,
        v if v < 99.95 => 1,
        _ => 0,
    };
    format!("{value:.decimals$} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        for (text, bytes) in [
            ("0", 0),
            ("2000", 2000),
            ("2000b", 2000),
            ("10M", 10 << 20),
            ("10m", 10 << 20),
            ("1G", 1 << 30),
            ("1GiB", 1 << 30),
            ("1.5 GiB", 3 << 29),
            ("1kb", 1000),
            ("2TB", 2_000_000_000_000),
            ("0.5K", 512),
        ] {
            assert_eq!(parse(text).unwrap(), bytes, "{text}");
        }
    }

    #[test]
    fn rates_are_sizes_a_second() {
        for (text, rate) in [
            ("500", Some(500 << 10)),
            ("10M", Some(10 << 20)),
            ("1.5MiB/s", Some(3 << 19)),
            ("0", None),
        ] {
            assert_eq!(parse_rate(text).unwrap(), rate, "{text}");
        }
        for text in ["", "fast", "10M/h", "-1"] {
            assert_eq!(parse_rate(text).unwrap_err().kind(), Kind::Usage, "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for text in [
            "",
            "M",
            "-1",
            "1X",
            "1.2.3M",
            ".5M",
            "1e9",
            "99999999T",
            "1 0",
            "0x10",
        ] {
            assert_eq!(parse(text).unwrap_err().kind(), Kind::Usage, "{text}");
        }
    }

    #[test]
    fn sizes_are_shown_with_three_digits() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.00 KiB"),
            (1240, "1.21 KiB"),
            (10 << 20, "10.0 MiB"),
            (1023 << 20, "1.00 GiB"),
            (678 << 30, "678 GiB"),
            (u64::MAX, "16.0 EiB"),
        ] {
            assert_eq!(show(bytes), text, "{bytes}");
        }
    }
}
