//! Key files: 256 random bits as one line of text that survives copying, printing and a trailing newline.

use zeroize::Zeroizing;

use crate::crypto::{Secret, random};
use crate::error::{Error, Kind, Result};
use crate::id::{from_hex, to_hex};

const PREFIX: &str = "duramen-key-1";

fn checksum(key: &[u8; 32]) -> String {
    to_hex(&blake3::hash(key).as_bytes()[..4])
}

/// The text of a fresh key file; whoever has it opens the slot that is made with it.
///
/// # Errors
/// Without randomness.
pub fn new_key_file() -> Result<Zeroizing<Vec<u8>>> {
    Ok(text(&*random::secret()?))
}

/// A key as the text of a key file.
pub fn text(key: &[u8; 32]) -> Zeroizing<Vec<u8>> {
    let digits = Zeroizing::new(to_hex(key));
    Zeroizing::new(format!("{PREFIX} {} {}\n", *digits, checksum(key)).into_bytes())
}

/// The key in a key file's text.
///
/// # Errors
/// [`Kind::WrongKey`] saying what is wrong with the file, never what stands in it.
pub fn parse(text: &[u8]) -> Result<Secret> {
    let wrong = |what: &str| {
        Error::new(Kind::WrongKey, format!("the key file {what}"))
            .hint("a key file is one line that begins with `duramen-key-1`")
    };
    let text = std::str::from_utf8(text).map_err(|_| wrong("is not text"))?;
    let mut words = text.split_ascii_whitespace();
    let (Some(PREFIX), Some(digits), Some(check), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(wrong("is not one of duramen's"));
    };
    let bytes =
        Zeroizing::new(from_hex(digits).ok_or_else(|| wrong("has a character that is no digit"))?);
    let key: [u8; 32] = bytes
        .as_slice()
        .try_into()
        .map_err(|_| wrong("is too short or too long"))?;
    let key = Zeroizing::new(key);
    if checksum(&key) != check {
        return Err(wrong("has a digit that is wrong"));
    }
    Ok(key)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_key_survives_copying_and_a_wrong_digit_is_noticed() {
        let text = new_key_file().unwrap();
        let key = parse(&text).unwrap();
        let line = String::from_utf8(text.to_vec()).unwrap();
        for same in [
            line.trim_end().to_owned(),
            format!("  {line}\r\n"),
            line.replace(' ', "\t"),
        ] {
            assert_eq!(parse(same.as_bytes()).unwrap(), key);
        }
        for at in 0..line.trim_end().len() {
            let mut changed = text.to_vec();
            changed[at] = if changed[at] == b'0' { b'1' } else { b'0' };
            let error = parse(&changed).unwrap_err();
            assert_eq!(error.kind(), Kind::WrongKey, "byte {at}");
            assert!(!error.to_string().contains(&line[14..30]), "tells the key");
        }
        for bad in [
            &b""[..],
            b"\xff",
            b"duramen-key-1",
            b"duramen-key-1 00 00",
            b"a passphrase",
        ] {
            assert_eq!(parse(bad).unwrap_err().kind(), Kind::WrongKey);
        }
        assert!(parse(format!("{} more", line.trim_end()).as_bytes()).is_err());
    }
}
