//! What to leave out, compiled once from [`Excludes`].
//!
//! A pattern that cannot be understood stops the command before anything is read: a snapshot that quietly held what
//! its owner wanted left out (secrets, or a cache of a terabyte) would be noticed too late.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};

use crate::error::{Error, Kind, Result};
use crate::fs::{Dir, Names};
use crate::source::excludes::Excludes;

use super::content;

/// What a cache directory's tag begins with, and its name (the Cache Directory Tagging Specification).
const CACHE_TAG: (&str, &[u8]) = (
    "CACHEDIR.TAG",
    b"Signature: 8a477f597d28d172789f06886806bc55",
);
/// Bytes of a file of patterns in the tree that are looked at: what is longer is no such file.
const IGNORE_FILE_BYTES_MAX: usize = 1 << 20;

/// A file whose presence leaves out the other members of its directory.
#[derive(Debug)]
struct Tag {
    name: Vec<u8>,
    header: Vec<u8>,
}

/// Compiled rules.
#[derive(Debug)]
pub struct Rules {
    patterns: Gitignore,
    tags: Vec<Tag>,
    ignore_files: Vec<Vec<u8>>,
    larger_than: u64,
    /// See [`Excludes::one_file_system`].
    pub one_file_system: bool,
}

impl Rules {
    /// Compiles.
    ///
    /// # Errors
    /// [`Kind::Usage`] naming the pattern that cannot be understood; a file of patterns that cannot be read.
    pub fn new(excludes: &Excludes) -> Result<Self> {
        let mut builder = GitignoreBuilder::new("/");
        // A forgotten `]` would match literally, so nothing at all.
        builder.allow_unclosed_class(false);
        for path in &excludes.pattern_files {
            let text = std::fs::read(path).map_err(|error| Error::io("read", path, error))?;
            let text = std::str::from_utf8(&text).map_err(|error| {
                Error::new(Kind::Usage, "a file of patterns must be UTF-8")
                    .subject(path.display().to_string())
                    .cause(error)
            })?;
            let lines = text.trim_start_matches('\u{feff}').lines();
            for line in lines.filter(|line| !line.starts_with('#')) {
                add(&mut builder, line).map_err(|error| {
                    error.hint(format!("the pattern stands in {}", path.display()))
                })?;
            }
        }
        for (patterns, any_case) in [
            (&excludes.patterns, false),
            (&excludes.patterns_any_case, true),
        ] {
            // (Returns a result for no reason; adding is what can fail.)
            let _ = builder.case_insensitive(any_case);
            for pattern in patterns {
                add(&mut builder, pattern)?;
            }
        }
        let patterns = builder.build().map_err(|error| {
            Error::new(
                Kind::Usage,
                "the patterns to leave out cannot be used together",
            )
            .cause(error)
        })?;
        let mut tags = Vec::new();
        for rule in &excludes.if_present {
            tags.push(tag(rule)?);
        }
        if excludes.caches {
            tags.push(Tag {
                name: CACHE_TAG.0.as_bytes().to_vec(),
                header: CACHE_TAG.1.to_vec(),
            });
        }
        for name in &excludes.ignore_files {
            plain_name(name)?;
        }
        Ok(Self {
            patterns,
            tags,
            ignore_files: excludes
                .ignore_files
                .iter()
                .map(|name| name.as_bytes().to_vec())
                .collect(),
            larger_than: excludes.larger_than.unwrap_or(u64::MAX),
            one_file_system: excludes.one_file_system,
        })
    }

    /// Whether a regular file of so many bytes is too large.
    pub fn too_large(&self, size: u64) -> bool {
        size > self.larger_than
    }

    /// Whether any path can match: where none can, none need be put together.
    pub fn match_paths(&self) -> bool {
        !self.patterns.is_empty() || !self.ignore_files.is_empty()
    }

    /// Whether the patterns leave out the absolute `path`; `nested` are those from [`Rules::nested`] of the
    /// directories above it, the nearest first. The user's own patterns go before those in the tree.
    pub fn leave_out<'a>(
        &'a self,
        path: &[u8],
        is_directory: bool,
        nested: impl Iterator<Item = &'a Gitignore>,
    ) -> bool {
        let path = Path::new(OsStr::from_bytes(path));
        for patterns in std::iter::once(&self.patterns).chain(nested) {
            match patterns.matched(path, is_directory) {
                Match::None => {}
                Match::Ignore(_) => return true,
                Match::Whitelist(_) => return false,
            }
        }
        false
    }

    /// Where `dir` with these `names` is tagged: the names to keep.
    ///
    /// # Errors
    /// A tag that cannot be read; the directory then counts as not tagged.
    pub fn tagged(&self, dir: &Arc<Dir>, names: &Names) -> Result<Option<Names>> {
        let mut keep = Vec::new();
        let mut failed = None;
        for tag in self.tags.iter().filter(|tag| names.contains(&tag.name)) {
            if tag.header.is_empty() {
                keep.push(&tag.name[..]);
                continue;
            }
            match content::head(dir, &tag.name, tag.header.len()) {
                Ok(head) if head == tag.header => keep.push(&tag.name[..]),
                Ok(_) => {}
                Err(error) => failed = Some(error),
            }
        }
        match failed {
            _ if !keep.is_empty() => Ok(Some(Names::new(keep))),
            Some(error) => Err(error),
            None => Ok(None),
        }
    }

    /// The patterns in the files of patterns that `dir` itself holds. Lines that cannot be understood are handed to
    /// `note` and passed over, as git does.
    ///
    /// # Errors
    /// A file of patterns that cannot be read.
    pub fn nested(
        &self,
        dir: &Arc<Dir>,
        names: &Names,
        mut note: impl FnMut(String),
    ) -> Result<Option<Gitignore>> {
        let mut builder = None;
        for name in self.ignore_files.iter().filter(|name| names.contains(name)) {
            let text = content::head(dir, name, IGNORE_FILE_BYTES_MAX)?;
            let text = String::from_utf8_lossy(&text);
            let builder = builder.get_or_insert_with(|| {
                GitignoreBuilder::new(Path::new(OsStr::from_bytes(&dir.path())))
            });
            for line in text.trim_start_matches('\u{feff}').lines() {
                if let Err(error) = builder.add_line(None, line) {
                    let path = dir.path_of(name);
                    note(format!(
                        "{}: passing over a pattern: {error}",
                        String::from_utf8_lossy(&path)
                    ));
                }
            }
        }
        let Some(builder) = builder else {
            return Ok(None);
        };
        builder.build().map(Some).map_err(|error| {
            Error::new(
                Kind::Failed,
                "the patterns in this directory cannot be used",
            )
            .subject(String::from_utf8_lossy(&dir.path()).into_owned())
            .cause(error)
        })
    }
}

/// Adds one pattern in the user's own words; none is a comment.
fn add(builder: &mut GitignoreBuilder, pattern: &str) -> Result<()> {
    let bad = |message: &str| Error::new(Kind::Usage, message).subject(pattern.to_owned());
    let (taking_back, body) = match pattern.strip_prefix('!') {
        Some(body) => ("!", body),
        None => ("", pattern),
    };
    if body.starts_with("./") || body.starts_with("../") {
        return Err(
            bad("a pattern that begins with a dot and a slash matches nothing")
                .hint("write the whole path, or the name alone to match it at any depth"),
        );
    }
    // Git would anchor a pattern with a slash inside to the folder of the pattern file; here there is none, so it
    // matches at any depth, as restic's do.
    let inside = body.trim_end_matches('/').contains('/');
    let floating = inside && !body.starts_with('/') && !body.starts_with("**/");
    let added = if floating {
        builder.add_line(None, &format!("{taking_back}**/{body}"))
    } else if pattern.starts_with('#') {
        builder.add_line(None, &format!("\\{pattern}"))
    } else {
        builder.add_line(None, pattern)
    };
    match added {
        Ok(_) => Ok(()),
        Err(ignore::Error::Glob { err, .. }) => Err(bad("not a pattern").cause(err)),
        Err(error) => Err(bad("not a pattern").cause(error)),
    }
}

fn tag(rule: &str) -> Result<Tag> {
    let (name, header) = rule.split_once(':').unwrap_or((rule, ""));
    plain_name(name)?;
    Ok(Tag {
        name: name.as_bytes().to_vec(),
        header: header.as_bytes().to_vec(),
    })
}

fn plain_name(name: &str) -> Result<()> {
    if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\0']) {
        return Err(Error::new(Kind::Usage, "not the name of a file in a directory").subject(name));
    }
    Ok(())
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
