//! Reading TOML with the place of everything in mind, so that a complaint names line, column and cure.
//!
//! Every key that is asked for is remembered; what is left over at the end is a key that nobody knows, and is a
//! finding: a misspelt `exclude` that is passed over in silence fills a repository, a misspelt `keep-yearly` empties
//! it.

use std::cell::RefCell;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Something in a configuration that makes no sense.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Line in the file, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong, a sentence without a full stop.
    pub what: String,
    /// What to write instead.
    pub hint: Option<String>,
}

/// A text and what was found wrong with it so far.
pub struct Reader<'t> {
    text: &'t str,
    findings: RefCell<Vec<Finding>>,
}

impl<'t> Reader<'t> {
    /// Nothing is read yet.
    pub fn new(text: &'t str) -> Self {
        Self {
            text,
            findings: RefCell::default(),
        }
    }

    /// Notes a finding at a place of the text.
    pub fn find(&self, span: Range<usize>, what: impl Into<String>, hint: Option<String>) {
        let before = self.text.get(..span.start).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        self.findings.borrow_mut().push(Finding {
            line: before.matches('\n').count() + 1,
            column: before
                .get(line_start..)
                .map_or(0, |line| line.chars().count())
                + 1,
            what: what.into(),
            hint,
        });
    }

    /// All findings in the order of the text.
    pub fn findings(self) -> Vec<Finding> {
        let mut findings = self.findings.into_inner();
        findings.sort_by_key(|finding| (finding.line, finding.column));
        findings
    }
}

/// A value that is there, and where it stands.
pub struct At<T> {
    /// The value.
    pub value: T,
    /// Its place in the text.
    pub span: Range<usize>,
}

/// A table whose keys are taken one by one.
pub struct Table<'r, 't> {
    reader: &'r Reader<'t>,
    /// As a person would write its head; empty for the top of the file.
    name: String,
    map: &'r DeTable<'t>,
    span: Range<usize>,
    asked: RefCell<Vec<&'static str>>,
}

impl<'r, 't> Table<'r, 't> {
    /// The table at the top of a file.
    pub fn top(reader: &'r Reader<'t>, map: &'r DeTable<'t>) -> Self {
        Self {
            reader,
            name: String::new(),
            map,
            span: 0..0,
            asked: RefCell::default(),
        }
    }

    /// How much was found wrong so far.
    pub fn found(&self) -> usize {
        self.reader.findings.borrow().len()
    }

    /// Where it begins in the text.
    pub fn place(&self) -> Range<usize> {
        self.span.clone()
    }

    fn take(&self, key: &'static str) -> Option<&'r Spanned<DeValue<'t>>> {
        self.asked.borrow_mut().push(key);
        self.map
            .iter()
            .find(|(name, _)| name.get_ref() == key)
            .map(|(_, value)| value)
    }

    /// Notes a finding about a value.
    pub fn find(&self, span: Range<usize>, what: impl Into<String>, hint: impl Into<String>) {
        self.reader.find(span, what, Some(hint.into()));
    }

    fn wrong_type(&self, key: &str, value: &Spanned<DeValue<'_>>, wanted: &str, example: &str) {
        self.find(
            value.span(),
            format!("{key} must be {wanted}"),
            format!("write it like {key} = {example}"),
        );
    }

    /// A text.
    pub fn text(&self, key: &'static str) -> Option<At<String>> {
        let value = self.take(key)?;
        match value.get_ref() {
            DeValue::String(text) if text.contains('\0') => {
                self.find(
                    value.span(),
                    format!("{key} holds a NUL"),
                    "take it out: no path and no command can hold one",
                );
                None
            }
            DeValue::String(text) if text.trim().is_empty() => {
                self.find(
                    value.span(),
                    format!("{key} is empty"),
                    "write something between the quotes, or leave the line out",
                );
                None
            }
            DeValue::String(text) => Some(At {
                value: text.to_string(),
                span: value.span(),
            }),
            _ => {
                self.wrong_type(key, value, "a text", "\"...\"");
                None
            }
        }
    }

    /// One text, or an array of them.
    pub fn texts(&self, key: &'static str) -> Vec<At<String>> {
        let Some(value) = self.take(key) else {
            return Vec::new();
        };
        let whole = std::slice::from_ref(value);
        let items = match value.get_ref() {
            DeValue::Array(items) => items,
            _ => whole,
        };
        let mut texts = Vec::new();
        for item in items {
            match item.get_ref() {
                DeValue::String(text) if !text.trim().is_empty() && !text.contains('\0') => {
                    texts.push(At {
                        value: text.to_string(),
                        span: item.span(),
                    });
                }
                DeValue::String(_) => self.find(
                    item.span(),
                    format!("{key} holds a text that is empty or has a NUL in it"),
                    "take it out",
                ),
                _ => self.wrong_type(key, item, "a text or an array of texts", "[\"...\"]"),
            }
        }
        texts
    }

    /// true or false; false where it is not there.
    pub fn flag(&self, key: &'static str) -> bool {
        match self.take(key).map(|value| (value, value.get_ref())) {
            None => false,
            Some((_, DeValue::Boolean(flag))) => *flag,
            Some((value, _)) => {
                self.wrong_type(key, value, "true or false", "true");
                false
            }
        }
    }

    /// A number from 0 to `max`.
    pub fn number(&self, key: &'static str, max: u32) -> Option<u32> {
        let value = self.take(key)?;
        let number = match value.get_ref() {
            DeValue::Integer(number) => u32::from_str_radix(number.as_str(), number.radix()).ok(),
            _ => None,
        };
        if number.is_none_or(|number| number > max) {
            self.wrong_type(key, value, &format!("a number from 0 to {max}"), "7");
            return None;
        }
        number
    }

    /// A number or a text, as a text: sizes and levels are written either way.
    pub fn number_or_text(&self, key: &'static str) -> Option<At<String>> {
        let value = self.take(key)?;
        let text = match value.get_ref() {
            DeValue::String(text) => text.to_string(),
            DeValue::Integer(number) if number.radix() == 10 => number.as_str().to_owned(),
            _ => {
                self.wrong_type(key, value, "a number or a text", "\"10M\"");
                return None;
            }
        };
        Some(At {
            value: text,
            span: value.span(),
        })
    }

    /// A text that `parse` understands; what it says of others is a finding.
    pub fn parsed<T>(
        &self,
        text: Option<At<String>>,
        parse: impl FnOnce(&str) -> crate::error::Result<T>,
    ) -> Option<T> {
        let text = text?;
        match parse(&text.value) {
            Ok(value) => Some(value),
            Err(error) => {
                let what = format!("{:?}: {}", text.value, error.detail());
                let hint = error.hint_text().map(ToOwned::to_owned);
                self.reader.find(text.span, what, hint);
                None
            }
        }
    }

    /// A table within this one.
    pub fn table(&self, key: &'static str) -> Option<Table<'r, 't>> {
        let value = self.take(key)?;
        self.below(key, value)
    }

    fn below(&self, key: &str, value: &'r Spanned<DeValue<'t>>) -> Option<Table<'r, 't>> {
        let name = match self.name.as_str() {
            "" => key.to_owned(),
            name => format!("{name}.{key}"),
        };
        match value.get_ref() {
            DeValue::Table(map) => Some(Table {
                reader: self.reader,
                name,
                map,
                span: value.span(),
                asked: RefCell::default(),
            }),
            _ => {
                self.find(
                    value.span(),
                    format!("{key} must be a table"),
                    format!("write [{name}] on a line of its own, and its keys below"),
                );
                None
            }
        }
    }

    /// Every table within this one, by a name that the user chose, in the order of the text.
    pub fn named_tables(&self) -> Vec<(At<String>, Table<'r, 't>)> {
        let mut all: Vec<_> = self
            .map
            .iter()
            .filter_map(|(name, value)| {
                let at = At {
                    value: name.get_ref().to_string(),
                    span: name.span(),
                };
                Some((at, self.below(name.get_ref(), value)?))
            })
            .collect();
        all.sort_by_key(|(name, _)| name.span.start);
        all
    }

    /// Whether the key is there at all.
    pub fn has(&self, key: &str) -> bool {
        self.map.iter().any(|(name, _)| name.get_ref() == key)
    }

    /// Complains of every key that nobody asked for.
    pub fn finish(&self) {
        let asked = self.asked.borrow();
        for (name, _) in self.map {
            let key = name.get_ref().as_ref();
            if asked.contains(&key) {
                continue;
            }
            let place = match self.name.as_str() {
                "" => "at the top of the file".to_owned(),
                name => format!("in [{name}]"),
            };
            let hint = match nearest(key, &asked) {
                Some(word) => format!("did you mean {word}?"),
                None => {
                    let mut known = asked.clone();
                    known.sort_unstable();
                    format!("known {place}: {}", known.join(", "))
                }
            };
            self.reader.find(
                name.span(),
                format!("unknown key {key:?} {place}"),
                Some(hint),
            );
        }
    }
}

/// The word that somebody may have meant: few letters away, or the same but for `_`, `-` and a plural.
#[must_use]
pub fn nearest<'w>(typed: &str, words: &[&'w str]) -> Option<&'w str> {
    let plain = |word: &str| word.to_lowercase().replace(['_', ' '], "-");
    let typed = plain(typed);
    // A key is never so long; the comparison costs the square of it.
    if typed.len() > 64 {
        return None;
    }
    let best = words
        .iter()
        .map(|word| (distance(&typed, &plain(word)), *word))
        .min()?;
    (best.0 <= (best.1.chars().count() / 3).clamp(1, 3)).then_some(best.1)
}

/// Insertions, deletions, replacements and swaps of neighbours that turn `a` into `b`.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![(0..=b.len()).collect::<Vec<usize>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = replaced.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_meant() {
        let words = [
            "repository",
            "key-file",
            "keep-daily",
            "exclude",
            "paths",
            "log",
        ];
        for (typed, meant) in [
            ("respository", Some("repository")),
            ("repositroy", Some("repository")),
            ("key_file", Some("key-file")),
            ("keyfile", Some("key-file")),
            ("keep-dayly", Some("keep-daily")),
            ("excludes", Some("exclude")),
            ("path", Some("paths")),
            ("Log", Some("log")),
            ("retries", None),
            ("x", None),
        ] {
            assert_eq!(nearest(typed, &words), meant, "{typed}");
        }
    }
}
