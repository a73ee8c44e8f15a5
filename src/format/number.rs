//! What a number is worth, whatever its type: to the server `5`, `5.0` and the decimal `5.00` are one, as `_id` and as value.
//!
//! A worth is bytes that are equal where the server takes two numbers for equal, and that sort as it sorts them: what is no
//! number first, then from minus infinity upwards. As there, of a double no more than 34 digits count.

use super::bson::{Element, kind};

/// Digits of a decimal.
const DIGITS: usize = 34;
/// What is taken off the exponent of a decimal as it is stored.
const BIAS: i32 = 6176;

/// What a number is worth; none for what is of no numeric type.
#[must_use]
pub fn worth(of: &Element<'_>) -> Option<Vec<u8>> {
    let value = of.value;
    Some(match of.kind {
        kind::INT32 => whole(i64::from(i32::from_le_bytes(*value.first_chunk()?))),
        kind::INT64 => whole(i64::from_le_bytes(*value.first_chunk()?)),
        kind::DOUBLE => double(f64::from_le_bytes(*value.first_chunk()?)),
        kind::DECIMAL128 => decimal(u128::from_le_bytes(*value.first_chunk()?)),
        _ => return None,
    })
}

fn whole(value: i64) -> Vec<u8> {
    finite(value < 0, value.unsigned_abs().to_string().as_bytes(), 0)
}

fn double(value: f64) -> Vec<u8> {
    if value.is_nan() {
        return vec![0];
    }
    if value.is_infinite() {
        return vec![if value < 0.0 { 1 } else { 5 }];
    }
    // One digit, a point, the others, the exponent.
    let text = format!("{:.*e}", DIGITS - 1, value.abs());
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let digits: Vec<u8> = digits.bytes().filter(u8::is_ascii_digit).collect();
    let exponent: i32 = exponent.parse().unwrap_or(0);
    finite(value < 0.0, &digits, exponent - (DIGITS as i32 - 1))
}

fn decimal(bits: u128) -> Vec<u8> {
    let negative = bits >> 127 == 1;
    match (bits >> 122) & 0x1F {
        0x1F => return vec![0],
        0x1E => return vec![if negative { 1 } else { 5 }],
        _ => {}
    }
    // Where these two bits are set the number has more digits than it may, and is zero.
    let digits = match (bits >> 125) & 3 {
        3 => 0,
        _ => bits & ((1 << 113) - 1),
    };
    let digits = if digits < 10u128.pow(DIGITS as u32) {
        digits
    } else {
        0
    };
    let exponent = ((bits >> 113) & 0x3FFF) as i32 - BIAS;
    finite(negative, digits.to_string().as_bytes(), exponent)
}

/// Of digits as text, the last of which stands for ten to the `exponent`.
fn finite(negative: bool, digits: &[u8], exponent: i32) -> Vec<u8> {
    let zeros = digits.iter().take_while(|digit| **digit == b'0').count();
    let digits = &digits[zeros..];
    if digits.is_empty() {
        return vec![3];
    }
    // Where its first digit stands.
    let place = (exponent + digits.len() as i32).cast_unsigned() ^ (1 << 31);
    let end = digits.iter().rposition(|digit| *digit != b'0');
    let mut magnitude: Vec<u8> = place.to_le_bytes().into_iter().rev().collect();
    magnitude.extend_from_slice(&digits[..=end.unwrap_or(0)]);
    let mut worth = vec![if negative { 2 } else { 4 }];
    match negative {
        false => worth.extend_from_slice(&magnitude),
        true => {
            worth.extend(magnitude.iter().map(|byte| !byte));
            // The longer is the smaller.
            worth.push(0xFF);
        }
    }
    worth
}

/// The same number in all types that hold it exactly, as kind and value; nothing for what is no finite number.
#[must_use]
pub fn alike(of: &Element<'_>) -> Vec<(u8, Vec<u8>)> {
    let Some(worth) = worth(of) else {
        return Vec::new();
    };
    let (negative, magnitude) = match worth.split_first() {
        Some((3, _)) => return zeros(),
        Some((4, rest)) => (false, rest.to_vec()),
        Some((2, rest)) => {
            let rest = rest.strip_suffix(&[0xFF]).unwrap_or(rest);
            (true, rest.iter().map(|byte| !byte).collect())
        }
        _ => return Vec::new(),
    };
    let Some((place, digits)) = magnitude.split_first_chunk::<4>() else {
        return Vec::new();
    };
    let mut place = *place;
    place.reverse();
    let exponent = (u32::from_le_bytes(place) ^ (1 << 31)).cast_signed() - digits.len() as i32;
    let text = String::from_utf8_lossy(digits);
    let mut all = Vec::new();
    let mut coefficient: u128 = text.parse().unwrap_or(0);
    let scale = u32::try_from(exponent).ok().filter(|scale| *scale < 19);
    let whole = scale.and_then(|scale| coefficient.checked_mul(10u128.pow(scale)));
    let signed = whole.and_then(|whole| i128::try_from(whole).ok());
    let signed = signed.map(|whole| if negative { -whole } else { whole });
    if let Some(long) = signed.and_then(|whole| i64::try_from(whole).ok()) {
        all.push((kind::INT64, long.to_le_bytes().to_vec()));
        if let Ok(short) = i32::try_from(long) {
            all.push((kind::INT32, short.to_le_bytes().to_vec()));
        }
    }
    let sign = if negative { "-" } else { "" };
    if let Ok(double) = format!("{sign}{text}e{exponent}").parse::<f64>() {
        all.push((kind::DOUBLE, double.to_le_bytes().to_vec()));
    }
    let sign = u128::from(negative) << 127;
    for more in 0..=(DIGITS - digits.len().min(DIGITS)) as i32 {
        let biased = exponent - more + BIAS;
        if (0..=12_287).contains(&biased) && coefficient < 10u128.pow(DIGITS as u32) {
            let bits = sign | (biased.cast_unsigned() as u128) << 113 | coefficient;
            all.push((kind::DECIMAL128, bits.to_le_bytes().to_vec()));
        }
        coefficient = coefficient.saturating_mul(10);
    }
    all.retain(|(kind, value)| {
        let name = b"";
        let kind = *kind;
        self::worth(&Element { kind, name, value }).as_ref() == Some(&worth)
    });
    all
}

/// Zeros as people write them: of decimals there are thousands.
fn zeros() -> Vec<(u8, Vec<u8>)> {
    let mut all = vec![
        (kind::INT32, vec![0; 4]),
        (kind::INT64, vec![0; 8]),
        (kind::DOUBLE, 0f64.to_le_bytes().to_vec()),
        (kind::DOUBLE, (-0f64).to_le_bytes().to_vec()),
    ];
    for exponent in -(DIGITS as i32)..=DIGITS as i32 {
        for sign in [0, 1u128 << 127] {
            let bits = sign | ((exponent + BIAS).cast_unsigned() as u128) << 113;
            all.push((kind::DECIMAL128, bits.to_le_bytes().to_vec()));
        }
    }
    all
}

#[cfg(all(test, feature = "mongodb"))]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use mongodb::bson::Decimal128;

    fn of(kind: u8, value: &[u8]) -> Vec<u8> {
        worth(&Element {
            kind,
            name: b"",
            value,
        })
        .unwrap()
    }

    fn int32(value: i32) -> Vec<u8> {
        of(kind::INT32, &value.to_le_bytes())
    }

    fn int64(value: i64) -> Vec<u8> {
        of(kind::INT64, &value.to_le_bytes())
    }

    fn double(value: f64) -> Vec<u8> {
        of(kind::DOUBLE, &value.to_le_bytes())
    }

    fn bits(text: &str) -> [u8; 16] {
        text.parse::<Decimal128>().unwrap().bytes()
    }

    fn decimal(text: &str) -> Vec<u8> {
        of(kind::DECIMAL128, &bits(text))
    }

    #[test]
    fn worths_rise_as_the_server_sorts() {
        let rising = [
            double(f64::NAN),
            double(f64::NEG_INFINITY),
            decimal("-9E+6000"),
            double(f64::MIN),
            int64(i64::MIN),
            int64(i64::MIN + 1),
            decimal("-100.5"),
            int32(-100),
            decimal("-20.5"),
            decimal("-2"),
            double(-1.5),
            decimal("-1"),
            double(-f64::MIN_POSITIVE),
            decimal("-1E-6000"),
            int32(0),
            decimal("1E-6100"),
            double(5e-324),
            decimal("0.1"),
            // A tenth as a double is more than a tenth.
            double(0.1),
            int32(1),
            decimal("1.000000000000000000000000000000001"),
            double(1.5),
            decimal("9"),
            decimal("9.5"),
            int32(10),
            decimal("20.5"),
            int64(100),
            decimal("1700000000.123"),
            double(1_700_000_001.5),
            int64((1 << 53) + 1),
            int64(i64::MAX - 1),
            int64(i64::MAX),
            double(2f64.powi(63)),
            double(f64::MAX),
            decimal("1E+400"),
            decimal("Infinity"),
        ];
        for (number, pair) in rising.windows(2).enumerate() {
            assert!(pair[0] < pair[1], "{number}: {pair:?}");
        }
    }

    #[test]
    fn one_worth_has_many_names_and_each_is_found() {
        let fives = ["5", "5.0", "5.00", "0.5E+1", "500E-2"];
        for text in fives {
            assert_eq!(decimal(text), int32(5), "{text}");
        }
        assert_eq!(double(5.0), int64(5));
        assert_eq!(decimal("NaN"), double(f64::NAN));
        assert_eq!(decimal("-Infinity"), double(f64::NEG_INFINITY));
        let zeros = ["0", "-0", "0.000", "0E+10"].map(decimal);
        assert!(
            zeros
                .iter()
                .all(|zero| *zero == int32(0) && *zero == double(-0.0))
        );
        for (kind, value) in [
            (kind::INT32, 5i32.to_le_bytes().to_vec()),
            (kind::DECIMAL128, bits("5.00").to_vec()),
            (kind::DECIMAL128, bits("6.5").to_vec()),
            (kind::DECIMAL128, bits("-1E+20").to_vec()),
            (kind::INT64, i64::MIN.to_le_bytes().to_vec()),
            (kind::INT64, (i64::MAX - 1).to_le_bytes().to_vec()),
            (kind::INT64, ((1i64 << 53) + 1).to_le_bytes().to_vec()),
            (kind::DOUBLE, 0.1f64.to_le_bytes().to_vec()),
            (kind::DOUBLE, 1e300f64.to_le_bytes().to_vec()),
            (kind::DECIMAL128, bits("0.000").to_vec()),
        ] {
            let name = b"";
            let value = &value[..];
            let own = Element { kind, name, value };
            let all = alike(&own);
            assert!(all.contains(&(kind, value.to_vec())), "{own:?}");
            for (kind, value) in &all {
                assert_eq!(of(*kind, value), worth(&own).unwrap());
            }
        }
        let value = &5i32.to_le_bytes()[..];
        let (kind, name) = (kind::INT32, b"");
        let five = alike(&Element { kind, name, value });
        // Three others, and a decimal for each place of its 34 that the digit may have.
        assert_eq!(five.len(), 3 + DIGITS);
        assert!(five.contains(&(kind::DECIMAL128, bits("5.00").to_vec())));
    }
}
