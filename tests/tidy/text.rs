//! Rust source as the rules see it: without comments, without the insides of literals, without test code.
//!
//! No parser: the few shapes that matter are blanked out character by character, so that every line stays on its
//! number and a rule can point at it.

/// One identifier, number or single punctuation mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token<'t> {
    pub text: &'t str,
    pub line: usize,
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// `text` with comments and the insides of string and character literals turned into spaces.
pub fn code(text: &str) -> String {
    let source: Vec<char> = text.chars().collect();
    let mut out = source.clone();
    let at = |i: usize| source.get(i).copied().unwrap_or('\0');
    let blank = |out: &mut Vec<char>, from: usize, to: usize| {
        for c in &mut out[from..to.min(source.len())] {
            if *c != '\n' {
                *c = ' ';
            }
        }
    };
    let mut i = 0;
    while i < source.len() {
        let start = i;
        match source[i] {
            '/' if at(i + 1) == '/' => {
                while i < source.len() && source[i] != '\n' {
                    i += 1;
                }
                blank(&mut out, start, i);
            }
            '/' if at(i + 1) == '*' => {
                let mut depth = 0;
                loop {
                    match (at(i), at(i + 1)) {
                        ('/', '*') => (depth, i) = (depth + 1, i + 2),
                        ('*', '/') => (depth, i) = (depth - 1, i + 2),
                        _ => i += 1,
                    }
                    if depth == 0 || i >= source.len() {
                        break;
                    }
                }
                blank(&mut out, start, i);
            }
            '"' => {
                i += 1;
                while i < source.len() && source[i] != '"' {
                    i += if source[i] == '\\' { 2 } else { 1 };
                }
                blank(&mut out, start + 1, i);
                i += 1;
            }
            'r' if raw_string_opens(&source, i) => {
                let hashes = source[i + 1..].iter().take_while(|c| **c == '#').count();
                let inside = i + 2 + hashes;
                i = inside;
                while i < source.len()
                    && !(source[i] == '"' && (1..=hashes).all(|n| at(i + n) == '#'))
                {
                    i += 1;
                }
                blank(&mut out, inside, i);
                i += 1 + hashes;
            }
            '\'' if at(i + 1) == '\\' => {
                i += 3;
                while i < source.len() && source[i] != '\'' {
                    i += 1;
                }
                blank(&mut out, start + 1, i);
                i += 1;
            }
            '\'' if at(i + 2) == '\'' => {
                blank(&mut out, start + 1, i + 2);
                i += 3;
            }
            _ => i += 1,
        }
    }
    out.into_iter().collect()
}

/// Whether the `r` at `i` begins a raw string, and is not the end of a word or a raw identifier.
fn raw_string_opens(source: &[char], i: usize) -> bool {
    let after = source[i + 1..].iter().find(|c| **c != '#');
    let before = |n: usize| i.checked_sub(n).map_or(' ', |k| source[k]);
    let prefixed = matches!(before(1), 'b' | 'c') && !is_word(before(2));
    after == Some(&'"') && (prefixed || !is_word(before(1)))
}

/// [`code`] without the items that are compiled for tests only.
pub fn production(text: &str) -> String {
    let mut code = code(text);
    if code.contains("#![cfg(test)]") {
        return String::new();
    }
    while let Some(start) = ["#[cfg(test)]", "#[cfg(all(test"]
        .iter()
        .filter_map(|attribute| code.find(attribute))
        .min()
    {
        let end = start + item_length(&code[start..]);
        let blanked: String = code[start..end]
            .chars()
            .map(|c| if c == '\n' { '\n' } else { ' ' })
            .collect();
        code.replace_range(start..end, &blanked);
    }
    code
}

/// Bytes of the item at the start of `code`, its attributes included.
fn item_length(code: &str) -> usize {
    const ITEMS: &[&str] = &[
        "pub",
        "fn",
        "mod",
        "impl",
        "use",
        "struct",
        "enum",
        "const",
        "static",
        "type",
        "trait",
        "unsafe",
        "extern",
        "async",
        "macro_rules",
    ];
    let mut rest = code;
    while rest.starts_with("#[") {
        let mut depth = 0;
        let mut end = rest.len();
        for (i, c) in rest.char_indices() {
            match c {
                '[' => depth += 1,
                ']' => depth -= 1,
                _ => continue,
            }
            if depth == 0 {
                end = i + 1;
                break;
            }
        }
        rest = rest[end..].trim_start();
    }
    let first: &str = rest.split(|c| !is_word(c)).next().unwrap_or_default();
    let comma_ends = !ITEMS.contains(&first);
    let mut depth = 0_i32;
    for (i, c) in rest.char_indices() {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            _ => {}
        }
        let from_start = code.len() - rest.len() + i;
        match c {
            '}' if depth < 0 => return from_start,
            '}' | ';' if depth == 0 => return from_start + 1,
            ',' if depth == 0 && comma_ends => return from_start + 1,
            _ => {}
        }
    }
    code.len()
}

/// The tokens of `code`.
pub fn tokens(code: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    for (number, line) in code.lines().enumerate() {
        let mut rest = line.trim_start();
        while let Some(first) = rest.chars().next() {
            let length = if is_word(first) {
                rest.find(|c| !is_word(c)).unwrap_or(rest.len())
            } else {
                first.len_utf8()
            };
            tokens.push(Token {
                text: &rest[..length],
                line: number + 1,
            });
            rest = rest[length..].trim_start();
        }
    }
    tokens
}

/// Every place in `tokens` where `pattern` stands, as the line of its first token. `*` in the pattern is any token.
pub fn places(tokens: &[Token<'_>], pattern: &str) -> Vec<usize> {
    let pattern: Vec<&str> = pattern.split(' ').collect();
    tokens
        .windows(pattern.len())
        .filter(|window| {
            window
                .iter()
                .zip(&pattern)
                .all(|(token, wanted)| *wanted == "*" || token.text == *wanted)
        })
        .map(|window| window[0].line)
        .collect()
}

#[test]
fn code_keeps_lines_and_drops_what_is_not_code() {
    let text = "let a = \"x // \\\" y\"; // panic!()\n/* one /* two */\n still */ let b = 'x';\nlet c = r#\"\"TO\"\n\"#;\nlet d: &'static str = b\"z\"; let e = '\\''; f(r#type);\n";
    let code = code(text);
    assert_eq!(code.lines().count(), text.lines().count());
    for gone in ["panic", "x //", "two", "still", "TO", "z"] {
        assert!(!code.contains(gone), "{gone} stayed in {code:?}");
    }
    for kept in [
        "let a",
        "let b",
        "let c",
        "&'static str",
        "let e",
        "f(r#type)",
    ] {
        assert!(code.contains(kept), "{kept} went from {code:?}");
    }
}

#[test]
fn production_drops_test_items_and_nothing_else() {
    let text = "fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() { if x { y } }\n}\nfn c() {}\n#[cfg(test)]\nmod tests;\n#[cfg(test)]\n#[allow(clippy::panic)]\nfn d<A, B>(a: A, b: B) { }\nstruct S { #[cfg(test)] e: u8, f: u8 }\n#[cfg(all(test, unix))]\nuse g;\nfn h() {}\n";
    let code = production(text);
    let names: Vec<&str> = tokens(&code).iter().map(|token| token.text).collect();
    for gone in ["b", "d", "e", "g", "tests"] {
        assert!(!names.contains(&gone), "{gone} stayed in {code:?}");
    }
    for kept in ["a", "c", "f", "h"] {
        assert!(names.contains(&kept), "{kept} went from {code:?}");
    }
    assert_eq!(production("#![cfg(test)]\nfn a() {}"), "");
}
