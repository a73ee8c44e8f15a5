//! Which paths of the snapshot are wanted.
//!
//! Patterns are written as in a `.gitignore` and matched against the whole path in the snapshot, byte for byte, so a
//! name that is not UTF-8 can be meant too (by `?` or `*`). Whatever lies below a matched directory belongs to it.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};

use crate::error::{Error, Kind, Result};

/// What the patterns say of one path whose parents are known not to be excluded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Wanted, and everything below it unless that is excluded by itself.
    Take,
    /// A directory that is not wanted itself, though something below it may be.
    Look,
    /// Neither it nor anything below it.
    Leave,
}

/// The include and exclude patterns of a restore.
#[derive(Debug)]
pub struct Filter {
    include: Vec<Gitignore>,
    exclude: Vec<Gitignore>,
    /// The unchanging beginnings of all include patterns; none where one may match anywhere.
    below: Option<Vec<Vec<u8>>>,
}

impl Filter {
    /// Reads the patterns; `iinclude` and `iexclude` hold whatever the case of letters.
    ///
    /// # Errors
    /// [`Kind::Usage`] naming a pattern that cannot be read.
    pub fn new(
        include: &[String],
        iinclude: &[String],
        exclude: &[String],
        iexclude: &[String],
    ) -> Result<Self> {
        let matchers = |plain: &[String], any_case: &[String]| -> Result<Vec<Gitignore>> {
            let mut made = Vec::new();
            for (patterns, any_case) in [(plain, false), (any_case, true)] {
                if !patterns.is_empty() {
                    made.push(matcher(patterns, any_case)?);
                }
            }
            Ok(made)
        };
        Ok(Self {
            include: matchers(include, iinclude)?,
            exclude: matchers(exclude, iexclude)?,
            below: if iinclude.is_empty() {
                include.iter().map(|pattern| beginning(pattern)).collect()
            } else {
                None
            },
        })
    }

    /// Whether everything is wanted.
    #[must_use]
    pub fn takes_all(&self) -> bool {
        self.include.is_empty() && self.exclude.is_empty()
    }

    /// Judges the absolute raw `path`; `inside` says that a directory above it is taken.
    #[must_use]
    pub fn judge(&self, path: &[u8], is_dir: bool, inside: bool) -> Verdict {
        let relative = path.strip_prefix(b"/").unwrap_or(path);
        let relative = Path::new(OsStr::from_bytes(relative));
        let hit = |sets: &[Gitignore]| {
            sets.iter().map(|set| set.matched(relative, is_dir)).fold(
                None,
                |found, one| match one {
                    Match::None => found,
                    Match::Ignore(_) => Some(true),
                    Match::Whitelist(_) => Some(found.unwrap_or(false)),
                },
            )
        };
        // The root has no name that a pattern could mean.
        let root = relative.as_os_str().is_empty();
        if !root && hit(&self.exclude) == Some(true) {
            return Verdict::Leave;
        }
        if self.include.is_empty() {
            return Verdict::Take;
        }
        let included = if root { None } else { hit(&self.include) };
        if included.unwrap_or(inside) {
            Verdict::Take
        } else if is_dir && (inside || self.may_hold(relative.as_os_str().as_bytes())) {
            Verdict::Look
        } else {
            Verdict::Leave
        }
    }

    /// Whether an include pattern could match something below the directory.
    fn may_hold(&self, directory: &[u8]) -> bool {
        let Some(below) = &self.below else {
            return true;
        };
        let within = |inner: &[u8], outer: &[u8]| {
            outer.is_empty()
                || inner
                    .strip_prefix(outer)
                    .is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
        };
        below
            .iter()
            .any(|fixed| within(fixed, directory) || within(directory, fixed))
    }
}

fn matcher(patterns: &[String], any_case: bool) -> Result<Gitignore> {
    let wrong = |pattern: &str, error: ignore::Error| {
        Error::new(Kind::Usage, "a pattern that cannot be read")
            .subject(pattern)
            .cause(error)
            .hint("patterns are written as in a .gitignore file")
    };
    let mut builder = GitignoreBuilder::new("");
    builder
        .case_insensitive(any_case)
        .map_err(|error| wrong("", error))?;
    for pattern in patterns {
        builder
            .add_line(None, pattern)
            .map_err(|error| wrong(pattern, error))?;
    }
    builder
        .build()
        .map_err(|error| wrong(&patterns.join(" "), error))
}

/// The leading names of an anchored pattern in which no character is special, joined by `/`; none for a pattern that
/// can match at any depth.
fn beginning(pattern: &str) -> Option<Vec<u8>> {
    let pattern = pattern.trim_end();
    if pattern.starts_with('#') || pattern.starts_with('!') {
        // A comment matches nothing; a pattern that takes back brings no directory in.
        return Some(b"\0".to_vec());
    }
    let body = pattern.trim_end_matches('/');
    if !body.contains('/') {
        return None;
    }
    let fixed: Vec<&str> = body
        .trim_start_matches('/')
        .split('/')
        .take_while(|name| !name.contains(['*', '?', '[', '{', '\\']))
        .collect();
    Some(fixed.join("/").into_bytes())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    fn filter(include: &[&str], exclude: &[&str]) -> Filter {
        let own = |list: &[&str]| list.iter().map(|p| (*p).to_string()).collect::<Vec<_>>();
        Filter::new(&own(include), &[], &own(exclude), &[]).unwrap()
    }

    #[test]
    fn without_patterns_everything_is_taken() {
        let all = filter(&[], &[]);
        assert!(all.takes_all());
        assert_eq!(all.judge(b"/a/\xff", false, false), Verdict::Take);
        assert_eq!(all.judge(b"/", true, false), Verdict::Take);
    }

    #[test]
    fn anchored_includes_look_only_where_they_can_match() {
        let only = filter(&["/etc/ssh/*.conf"], &[]);
        assert_eq!(only.judge(b"/", true, false), Verdict::Look);
        assert_eq!(only.judge(b"/etc", true, false), Verdict::Look);
        assert_eq!(only.judge(b"/etc/ssh", true, false), Verdict::Look);
        assert_eq!(only.judge(b"/etc/ssh/a.conf", false, false), Verdict::Take);
        assert_eq!(only.judge(b"/etc/ssh/key", false, false), Verdict::Leave);
        assert_eq!(only.judge(b"/etcetera", true, false), Verdict::Leave);
        assert_eq!(only.judge(b"/usr", true, false), Verdict::Leave);
    }

    #[test]
    fn what_lies_below_an_included_directory_is_taken_unless_excluded() {
        let some = filter(&["docs/"], &["*.tmp", "!keep.tmp"]);
        assert_eq!(some.judge(b"/a", true, false), Verdict::Look);
        assert_eq!(some.judge(b"/a/docs", true, false), Verdict::Take);
        assert_eq!(some.judge(b"/a/docs", false, false), Verdict::Leave);
        assert_eq!(some.judge(b"/a/docs/x", false, true), Verdict::Take);
        assert_eq!(some.judge(b"/a/docs/x.tmp", false, true), Verdict::Leave);
        assert_eq!(some.judge(b"/a/docs/keep.tmp", false, true), Verdict::Take);
    }

    #[test]
    fn an_include_can_be_taken_back_and_looked_into_again() {
        let some = filter(&["/data", "!/data/cache"], &[]);
        assert_eq!(some.judge(b"/data/x", true, true), Verdict::Take);
        assert_eq!(some.judge(b"/data/cache", true, true), Verdict::Look);
        assert_eq!(some.judge(b"/other", true, false), Verdict::Leave);
    }

    #[test]
    fn case_and_bytes() {
        let any = Filter::new(&[], &["*.JPG".into()], &[], &["Raw".into()]).unwrap();
        assert_eq!(any.judge(b"/p/\xfe.jpg", false, false), Verdict::Take);
        assert_eq!(any.judge(b"/p/rAW", true, false), Verdict::Leave);
        assert_eq!(
            filter(&["?.x"], &[]).judge(b"/\xff.x", false, false),
            Verdict::Take
        );
    }

    #[test]
    fn a_broken_pattern_is_named() {
        let error = Filter::new(&[], &[], &["a{b".into()], &[]).unwrap_err();
        assert_eq!(error.kind(), Kind::Usage);
        assert_eq!(error.subject_text(), Some("a{b"));
    }
}
