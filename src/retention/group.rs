//! Which snapshots compete for the same places.

use std::str::FromStr;

use super::decide::Verdict;
use super::judge::Candidate;
use crate::error::{Error, Kind};
use crate::format::snapshot::PathBytes;

/// What snapshots of one group have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grouping {
    /// The host.
    pub host: bool,
    /// The set of paths.
    pub paths: bool,
    /// The set of tags.
    pub tags: bool,
}

impl Default for Grouping {
    /// By host and paths.
    fn default() -> Self {
        Self {
            host: true,
            paths: true,
            tags: false,
        }
    }
}

impl FromStr for Grouping {
    type Err = Error;

    /// `host`, `paths` and `tags`, comma separated; nothing puts all into one group.
    fn from_str(text: &str) -> Result<Self, Error> {
        let mut grouping = Self {
            host: false,
            paths: false,
            tags: false,
        };
        for word in text
            .split(',')
            .map(str::trim)
            .filter(|word| !word.is_empty())
        {
            match word {
                "host" | "hosts" => grouping.host = true,
                "path" | "paths" => grouping.paths = true,
                "tag" | "tags" => grouping.tags = true,
                _ => {
                    return Err(Error::new(Kind::Usage, "snapshots cannot be grouped by this")
                        .subject(word)
                        .hint("give host, paths, tags, several of them with commas, or '' for one group"));
                }
            }
        }
        Ok(grouping)
    }
}

/// What the snapshots of a group have in common; none for what they were not grouped by.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct GroupKey {
    /// The host.
    pub host: Option<String>,
    /// The paths, sorted.
    pub paths: Option<Vec<PathBytes>>,
    /// The tags, sorted.
    pub tags: Option<Vec<String>>,
}

impl GroupKey {
    pub(super) fn of(candidate: &Candidate, by: Grouping) -> Self {
        let sorted = |mut paths: Vec<PathBytes>| {
            paths.sort();
            paths
        };
        Self {
            host: by.host.then(|| candidate.host.clone()),
            paths: by.paths.then(|| sorted(candidate.paths.clone())),
            tags: by.tags.then(|| candidate.tags.clone()),
        }
    }
}

/// One group, decided.
#[derive(Clone, Debug)]
pub struct Group {
    /// What its snapshots have in common.
    pub key: GroupKey,
    /// What becomes of each, oldest first.
    pub verdicts: Vec<Verdict>,
}
