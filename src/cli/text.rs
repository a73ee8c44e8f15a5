//! Text for people: names made safe for a terminal, numbers with separators, tables.
//!
//! File names come from anywhere, and a name can hold the bytes that move a cursor, clear a screen or answer a
//! terminal's question. Whatever reaches a terminal goes through [`safe`] or [`safe_bytes`] first.

use std::fmt::Write as _;

/// Whether a terminal would obey the character instead of showing it, or show what follows out of order.
fn is_dangerous(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn push_safe(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if is_dangerous(c) && c.is_ascii() => {
                // Writing to a string cannot fail.
                let _ = write!(out, "\\x{:02x}", u32::from(c));
            }
            c if is_dangerous(c) => {
                let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
            }
            c => out.push(c),
        }
    }
}

/// One line in which every control character is written as an escape.
pub fn safe(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    push_safe(&mut out, text);
    out
}

/// As [`safe`]; bytes that are not UTF-8 are written as `\xNN`.
pub fn safe_bytes(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        push_safe(&mut out, chunk.valid());
        for byte in chunk.invalid() {
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    out
}

/// Safe on a terminal, raw everywhere else.
pub fn raw_or_safe(bytes: &[u8], terminal: bool) -> Vec<u8> {
    if terminal {
        safe_bytes(bytes).into_bytes()
    } else {
        bytes.to_vec()
    }
}

/// `1,234,567`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1 file`, `2 files`.
pub fn plural(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(number), if number == 1 { one } else { many })
}

/// Columns side by side, two blanks between them, those marked in `right` flush right, no blanks at line ends.
pub fn table(rows: &[Vec<String>], right: &[bool]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut out = String::new();
    for row in rows {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let pad = widths[column].saturating_sub(cell.chars().count());
            let (before, after) = if right.get(column).copied().unwrap_or(false) {
                (pad, 0)
            } else {
                (0, pad)
            };
            line.extend(std::iter::repeat_n(' ', before));
            line.push_str(cell);
            line.extend(std::iter::repeat_n(' ', after + 2));
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// A path as a person would type it into a shell.
pub fn shell(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%,=".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.into()
    } else {
        format!("'{}'", safe(text).replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_obeys_gets_through() {
        assert_eq!(safe("a\x1b[2Jb\n"), "a\\x1b[2Jb\\n");
        assert_eq!(
            safe("\u{9b}31m \u{202e}gpj.exe"),
            "\\u{9b}31m \\u{202e}gpj.exe"
        );
        assert_eq!(safe_bytes(b"caf\xc3\xa9 \xff\x07"), "caf\u{e9} \\xff\\x07");
        for byte in (0..32u8).chain([127]) {
            assert!(safe_bytes(&[byte]).starts_with('\\'), "{byte}");
        }
    }

    #[test]
    fn numbers_have_separators() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(1000), "1,000");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(plural(1, "file", "files"), "1 file");
        assert_eq!(plural(1200, "file", "files"), "1,200 files");
    }

    #[test]
    fn tables_line_up() {
        let rows = [
            vec!["id".to_string(), "size".into(), "host".into()],
            vec!["1a2b".to_string(), "7 B".into(), String::new()],
        ];
        assert_eq!(
            table(&rows, &[false, true]),
            "id    size  host\n1a2b   7 B\n"
        );
    }

    #[test]
    fn shell_words() {
        assert_eq!(shell("/a/b-c.d"), "/a/b-c.d");
        assert_eq!(shell("/a b"), "'/a b'");
        assert_eq!(shell("it's"), "'it'\\''s'");
        assert_eq!(shell(""), "''");
    }
}
