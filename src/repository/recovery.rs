//! Recovery words: a key file written as 24 words, for paper.
//!
//! Paper outlives disks, but hands misread it. The words are those of BIP 39 (English): no two share their first four
//! letters, and the last word carries a checksum. They are another way of writing the same 256 bits, so nothing in
//! the repository knows whether a key lies in a file or in a drawer.

use bip39::{Language, Mnemonic};
use zeroize::Zeroizing;

use super::key_file;
use crate::crypto::Secret;
use crate::error::{Error, Kind, Result};

/// Words that stand for one key.
pub const RECOVERY_WORDS: usize = 24;

/// A text with more bytes than this holds something else; checked before anything is read from it.
const TEXT_BYTES_MAX: usize = 4096;

/// Letters that tell a word of the list from all others.
const TELLING_LETTERS: usize = 4;

/// The words of a key file's text, blanks between them.
///
/// # Errors
/// [`Kind::WrongKey`] for what is no key file.
pub fn recovery_words(key_file: &[u8]) -> Result<Zeroizing<String>> {
    let key = key_file::parse(key_file)?;
    let words = Mnemonic::from_entropy(&*key)
        .map_err(|error| Error::new(Kind::Failed, "a key without words").cause(error))?;
    // All room at once: a text that grows leaves copies of the secret behind.
    let mut text = Zeroizing::new(String::with_capacity(TEXT_BYTES_MAX));
    for word in words.words() {
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(word);
    }
    Ok(text)
}

/// The word of the list that `typed` means: the word itself, or its first four letters or more, in any case.
#[must_use]
pub fn recovery_word(typed: &str) -> Option<&'static str> {
    let typed = Zeroizing::new(typed.to_ascii_lowercase());
    let list = Language::English.word_list();
    if let Some(at) = Language::English.find_word(&typed) {
        return list.get(usize::from(at)).copied();
    }
    if typed.len() < TELLING_LETTERS {
        return None;
    }
    list.iter().copied().find(|word| word.starts_with(&**typed))
}

/// Whether a number stands here: `7`, and where `marked`, only `7.`, `7)` and `7:`.
fn is_number(typed: &str, marked: bool) -> bool {
    let digits = typed.trim_end_matches(['.', ')', ':']);
    let digits_only = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits_only && (digits.len() < typed.len() || !marked)
}

/// What stands for words in `text`: whatever is no number; or, where there are marked numbers, as on the page that is
/// printed, whatever stands behind one of those.
fn typed_words(text: &str) -> Vec<&str> {
    let all: Vec<&str> = text.split_whitespace().collect();
    if all.iter().any(|typed| is_number(typed, true)) {
        let behind = all.windows(2).filter(|pair| is_number(pair[0], true));
        behind.map(|pair| pair[1]).collect()
    } else {
        all.into_iter()
            .filter(|typed| !is_number(typed, false))
            .collect()
    }
}

/// The key file's text that 24 words stand for; the words alone, or the page that `key export` printed.
///
/// # Errors
/// [`Kind::WrongKey`] naming the word by its number, never by what was typed.
pub fn from_recovery_words(text: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
    let wrong = |what: String| {
        Error::new(Kind::WrongKey, what)
            .subject("the recovery words")
            .hint("compare every word with the paper; the first four letters of each are enough")
    };
    if text.len() > TEXT_BYTES_MAX {
        return Err(wrong(format!("more than {RECOVERY_WORDS} words")));
    }
    let text = std::str::from_utf8(text).map_err(|_| wrong("not text".into()))?;
    let typed = typed_words(text);
    let mut words = Zeroizing::new(String::with_capacity(TEXT_BYTES_MAX));
    let mut unknown = Vec::new();
    for (at, typed) in typed.iter().enumerate() {
        match recovery_word(typed) {
            Some(word) => {
                words.push_str(word);
                words.push(' ');
            }
            None => unknown.push((at + 1).to_string()),
        }
    }
    let count = typed.len();
    if count != RECOVERY_WORDS {
        return Err(wrong(format!(
            "{count} words; there must be {RECOVERY_WORDS}"
        )));
    }
    if !unknown.is_empty() {
        let (noun, verb) = if unknown.len() == 1 {
            ("word", "is")
        } else {
            ("words", "are")
        };
        return Err(wrong(format!(
            "{noun} {} {verb} not in the list of words that can be",
            unknown.join(", ")
        )));
    }
    let mnemonic = Mnemonic::parse_in_normalized(Language::English, words.trim_end()).map_err(|_| {
        wrong(
            "each word is one of the list, but the checksum does not fit: one of them is another than on the paper, \
             or two have changed places"
                .into(),
        )
    })?;
    let (bytes, _) = mnemonic.to_entropy_array();
    let bytes = Zeroizing::new(bytes);
    let mut key: Secret = Zeroizing::new([0; 32]);
    key.copy_from_slice(&bytes[..32]);
    Ok(key_file::text(&key))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn words_are_a_key_file_and_back() {
        let file = key_file::new_key_file().unwrap();
        let words = recovery_words(&file).unwrap();
        assert_eq!(words.split(' ').count(), RECOVERY_WORDS);
        let short: Vec<String> = words
            .split(' ')
            .enumerate()
            .map(|(at, word)| format!("{}. {}", at + 1, word.chars().take(4).collect::<String>()))
            .collect();
        for same in [
            words.to_string(),
            words.to_uppercase(),
            format!("\n {}\r\n", words.replace(' ', "\t")),
            short.join("\n"),
            format!("of 1234 5678\n\n{}\nKeep it", short.join(" ")),
            words.replace(' ', " 7 "),
        ] {
            assert_eq!(from_recovery_words(same.as_bytes()).unwrap(), file);
        }
        assert!(recovery_words(b"no key file").is_err());
    }

    #[test]
    fn the_words_are_those_of_the_standard() {
        // BIP 39's own vector for 256 zero bits: whoever has another program can read the paper too.
        let zero = key_file::text(&Zeroizing::new([0; 32]));
        let words = recovery_words(&zero).unwrap();
        assert_eq!(*words, format!("{}art", "abandon ".repeat(23)));
    }

    #[test]
    fn a_wrong_word_is_named_by_its_number_and_never_shown() {
        let file = key_file::new_key_file().unwrap();
        let words = recovery_words(&file).unwrap();
        let all: Vec<&str> = words.split(' ').collect();
        let with = |changes: &[(usize, &str)]| {
            let mut all = all.clone();
            for (at, word) in changes {
                all[at - 1] = word;
            }
            let error = from_recovery_words(all.join(" ").as_bytes()).unwrap_err();
            assert_eq!(error.kind(), Kind::WrongKey);
            error.to_string()
        };
        let one = with(&[(7, "qwertyuiop")]);
        assert!(
            one.contains("word 7 is not") && !one.contains("qwerty"),
            "{one}"
        );
        assert!(with(&[(2, "xx"), (24, "xx")]).contains("words 2, 24 are not"));
        assert!(
            from_recovery_words(b"")
                .unwrap_err()
                .to_string()
                .contains("0 words")
        );
        assert!(from_recovery_words(&[0xff]).is_err());
        assert!(from_recovery_words(&vec![b'a'; TEXT_BYTES_MAX + 1]).is_err());
        // 255 of 256 other words are told by the checksum; of 40, all but a few.
        let told = Language::English.word_list()[..40]
            .iter()
            .filter(|word| **word != all[4])
            .filter(|word| {
                let mut all = all.clone();
                all[4] = word;
                from_recovery_words(all.join(" ").as_bytes()).is_err()
            })
            .count();
        assert!(told >= 34, "{told}");
    }
}
