//! What the user wants left out, as it was typed; [`crate::source::files`] has the rules that come of it.

use std::path::PathBuf;

/// What to leave out.
///
/// Patterns are those of gitignore, matched against absolute paths: one that begins with `/` is anchored there, any
/// other matches at any depth, whether it has a `/` inside or not; one that ends with `/` matches directories only;
/// `!` takes back what an earlier one left out; the last one that matches decides. What is left out is not entered.
/// They apply to the given paths as to everything below, but never to the directories above a given path.
#[derive(Debug, Clone, Default)]
pub struct Excludes {
    /// Patterns as gitignore writes them (restic's habit: a pattern without `/` matches a name at any depth); `!` takes back.
    pub patterns: Vec<String>,
    /// The same, whatever the case (of ASCII letters).
    pub patterns_any_case: Vec<String>,
    /// Files of patterns, a line each, `#` comments.
    pub pattern_files: Vec<PathBuf>,
    /// Leave out the members of a directory that holds a file of this name: `NAME[:HEADER]`. The file itself is kept;
    /// with a header, it must begin with these bytes.
    pub if_present: Vec<String>,
    /// Leave out the members of directories tagged by `CACHEDIR.TAG`; the tag is kept.
    pub caches: bool,
    /// Leave out regular files larger than so many bytes.
    pub larger_than: Option<u64>,
    /// Stay on the file systems of the given paths: a mount point is kept as an empty directory.
    pub one_file_system: bool,
    /// Names of files of patterns in the tree itself, read where they stand (`.gitignore`, `.duramenignore`); those
    /// above the given paths are not looked at.
    pub ignore_files: Vec<String>,
}

impl Excludes {
    /// What the user asked to leave out, as flags, for the snapshot's record.
    #[must_use]
    pub fn words(&self) -> Vec<String> {
        let with = |flag: &'static str, values: &[String]| -> Vec<String> {
            values
                .iter()
                .map(|value| format!("{flag}={value}"))
                .collect()
        };
        let mut words = with("--exclude", &self.patterns);
        words.extend(with("--iexclude", &self.patterns_any_case));
        words.extend(
            self.pattern_files
                .iter()
                .map(|file| format!("--exclude-file={}", file.display())),
        );
        words.extend(with("--exclude-if-present", &self.if_present));
        words.extend(with("--ignore-file", &self.ignore_files));
        words.extend(self.caches.then(|| "--exclude-caches".to_owned()));
        words.extend(
            self.larger_than
                .map(|bytes| format!("--exclude-larger-than={bytes}")),
        );
        words.extend(self.one_file_system.then(|| "--one-file-system".to_owned()));
        words
    }
}
