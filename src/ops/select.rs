//! Snapshot names as people type them.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::clock::Nanos;
use crate::error::{Error, Kind, Result};
use crate::format::snapshot::Snapshot;
use crate::repository::{Facts, Repository, Standing};
use crate::retention::wears;

/// Fewest digits of an id that name a snapshot.
const PREFIX_MIN: usize = 4;

/// Which snapshots.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Any of these hosts.
    pub hosts: Vec<String>,
    /// Any of these; each a comma-separated list of tags that must all be there.
    pub tags: Vec<String>,
    /// Absolute raw paths, and addresses without what is secret in them, that must all be among the snapshot's.
    pub paths: Vec<Vec<u8>>,
}

impl Filter {
    /// Whether the filter keeps the snapshot; its tags are those by now.
    #[must_use]
    pub fn keeps(&self, snapshot: &Snapshot, facts: &Facts) -> bool {
        let has_all = |list: &String| wears(&facts.tags(snapshot), list);
        (self.hosts.is_empty() || self.hosts.contains(&snapshot.host))
            && (self.tags.is_empty() || self.tags.iter().any(has_all))
            && self
                .paths
                .iter()
                .all(|path| snapshot.paths.iter().any(|held| same_path(&held.0, path)))
    }
}

/// Whether two paths, or addresses, are the same but for slashes at their ends.
fn same_path(left: &[u8], right: &[u8]) -> bool {
    let bare = |path: &[u8]| {
        let end = path.iter().rposition(|byte| *byte != b'/');
        end.map_or(0, |end| end + 1)
    };
    left[..bare(left)] == right[..bare(right)]
}

/// Living snapshots that the filter keeps, oldest first.
///
/// # Errors
/// Whatever the storage says, and [`Kind::Damage`] naming a record that cannot be read.
pub fn list(repository: &Repository, filter: &Filter) -> Result<Vec<Snapshot>> {
    let (snapshots, mut broken) = list_readable(repository, filter)?;
    match broken.pop() {
        Some(error) if error.hint_text().is_none() => {
            Err(error
                .hint("name another snapshot by its id; `duramen check` shows what is affected"))
        }
        Some(error) => Err(error),
        None => Ok(snapshots),
    }
}

/// Living snapshots that the filter keeps, oldest first, and the records that cannot be read.
///
/// # Errors
/// Whatever the storage says.
pub fn list_readable(
    repository: &Repository,
    filter: &Filter,
) -> Result<(Vec<Snapshot>, Vec<Error>)> {
    let (standing, broken) = standing(repository)?;
    let snapshots = standing
        .into_iter()
        .filter(|(snapshot, facts)| {
            facts.standing == Standing::Living && filter.keeps(snapshot, facts)
        })
        .map(|(snapshot, _)| snapshot)
        .collect();
    Ok((snapshots, broken))
}

/// A snapshot with what was said of it.
pub type WithFacts = (Snapshot, Facts);

/// Living and forgotten snapshots, oldest first, with what was said of each, and the records that cannot be read.
///
/// # Errors
/// Whatever the storage says.
pub fn standing(repository: &Repository) -> Result<(Vec<WithFacts>, Vec<Error>)> {
    let mut broken = Vec::new();
    let standing = repository.standing(&mut |_, error| {
        broken.push(error);
        Ok(())
    })?;
    Ok((standing, broken))
}

/// `latest`, `latest~2`, a prefix of the id (at least 4 digits), `@2026-11-20T14:00` (the latest at or before; local
/// time unless it says otherwise).
///
/// # Errors
/// [`Kind::NotFound`], [`Kind::Usage`] for a prefix of several, and whatever [`list`] says.
pub fn one(repository: &Repository, name: &str, filter: &Filter) -> Result<Snapshot> {
    let missing = |what: &str| {
        Error::new(Kind::NotFound, what)
            .subject(name)
            .hint("`duramen snapshots` lists them")
    };
    let steps = match name {
        "latest" => Some(0),
        _ => match name.strip_prefix("latest~") {
            Some(steps) => Some(steps.parse::<usize>().map_err(|_| {
                Error::new(Kind::Usage, "behind `latest~` stands a number").subject(name)
            })?),
            None => None,
        },
    };
    if let Some(steps) = steps {
        let snapshots = shown(repository, filter)?;
        let found = snapshots
            .len()
            .checked_sub(steps.saturating_add(1))
            .and_then(|at| snapshots.get(at));
        return found.cloned().ok_or_else(|| {
            missing("there is no such snapshot yet, or none that the filter keeps")
        });
    }
    if let Some(text) = name.strip_prefix('@') {
        let at = time(text)?;
        let snapshots = shown(repository, filter)?;
        let found = snapshots.iter().rev().find(|snapshot| snapshot.time <= at);
        return found
            .cloned()
            .ok_or_else(|| missing("there is no snapshot as old as that"));
    }
    by_prefix(repository, name, filter)?.ok_or_else(|| missing("there is no such snapshot"))
}

/// Those that show anything: who says `latest` means no stretch of an oplog.
fn shown(repository: &Repository, filter: &Filter) -> Result<Vec<Snapshot>> {
    let mut snapshots = list(repository, filter)?;
    snapshots.retain(Snapshot::shows);
    Ok(snapshots)
}

/// The snapshot whose id begins so; whoever names a forgotten one by its id may still read it. Ids are the names of
/// files: only records that match are read, so one that cannot be read is in nobody's way.
fn by_prefix(repository: &Repository, name: &str, filter: &Filter) -> Result<Option<Snapshot>> {
    if name.len() < PREFIX_MIN || !name.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(Error::new(Kind::Usage, "not the name of a snapshot")
            .subject(name)
            .hint(
                "write `latest`, `latest~1`, at least four digits of an id, or `@2026-11-20T14:00`",
            ));
    }
    let prefix = name.to_ascii_lowercase();
    let mut found = Vec::new();
    for id in repository
        .snapshot_ids()?
        .into_iter()
        .filter(|id| id.hex().starts_with(&prefix))
    {
        match repository.snapshot(&id) {
            Ok(snapshot) => {
                let facts = repository.facts(&id)?;
                if facts.standing != Standing::Gone && filter.keeps(&snapshot, &facts) {
                    found.push(snapshot);
                }
            }
            // Never committed.
            Err(error) if error.kind() == Kind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    if found.len() > 1 {
        return Err(Error::new(Kind::Usage, "several snapshots begin so")
            .subject(name)
            .hint("write more digits of the id"));
    }
    Ok(found.pop())
}

/// A time as people type it: RFC 3339, or without a zone (local), down to a date alone (its last moment).
fn time(text: &str) -> Result<Nanos> {
    let saturate = |stamp: Timestamp| i64::try_from(stamp.as_nanosecond()).unwrap_or(i64::MAX);
    if let Ok(stamp) = text.parse::<Timestamp>() {
        return Ok(saturate(stamp));
    }
    let local = |civil: DateTime| {
        civil
            .to_zoned(TimeZone::system())
            .map(|zoned| zoned.timestamp())
    };
    let whole_day = |date: jiff::civil::Date| date.at(23, 59, 59, 999_999_999);
    let civil = match text.parse::<jiff::civil::Date>() {
        Ok(date) if !text.contains([':', 'T', ' ']) => Ok(whole_day(date)),
        _ => text.parse::<DateTime>(),
    };
    civil.and_then(local).map(saturate).map_err(|error| {
        Error::new(Kind::Usage, "not a time")
            .subject(text)
            .cause(error)
            .hint("write it as 2026-11-20T14:00")
    })
}

/// Splits `SNAP[:PATH]`; the path comes back absolute and raw. A colon within `@...` times belongs to the time.
#[must_use]
pub fn split(name: &[u8]) -> (String, Option<Vec<u8>>) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    // A time has colons of its own: there the path begins at the first colon that a slash follows.
    let is_time = name.first() == Some(&b'@');
    let colon = match is_time {
        false => name.iter().position(|byte| *byte == b':'),
        true => name.windows(2).position(|pair| pair == b":/"),
    };
    match colon {
        None => (text(name), None),
        Some(at) => {
            let path = &name[at + 1..];
            let absolute = if path.first() == Some(&b'/') {
                path.to_vec()
            } else {
                [b"/", path].concat()
            };
            (text(&name[..at]), Some(absolute))
        }
    }
}

/// Whether `SNAP:PATH` has a path that does not begin with a slash.
#[must_use]
pub fn is_relative(name: &[u8]) -> bool {
    let colon = name.iter().position(|byte| *byte == b':');
    let path = colon.and_then(|at| name.get(at + 1..));
    name.first() != Some(&b'@') && path.is_some_and(|path| !path.starts_with(b"/"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn names_split_at_the_first_colon_but_times_keep_theirs() {
        let split = |name: &str| {
            let (snapshot, path) = split(name.as_bytes());
            (snapshot, path.map(|path| String::from_utf8(path).unwrap()))
        };
        assert_eq!(split("latest"), ("latest".into(), None));
        assert_eq!(
            split("latest:/etc/x:y"),
            ("latest".into(), Some("/etc/x:y".into()))
        );
        assert_eq!(split("abcd:etc"), ("abcd".into(), Some("/etc".into())));
        assert_eq!(
            split("@2026-11-20T14:00"),
            ("@2026-11-20T14:00".into(), None)
        );
        assert_eq!(
            split("@2026-11-20T14:00:/etc"),
            ("@2026-11-20T14:00".into(), Some("/etc".into()))
        );
    }

    #[test]
    fn times_are_read_as_people_write_them() {
        assert_eq!(time("1970-01-01T00:00:01Z").unwrap(), 1_000_000_000);
        assert_eq!(
            time("1970-01-02T00:00:00+24:00").is_ok(),
            time("1970-01-01T00:00:00Z").is_ok()
        );
        assert!(time("2026-11-20").unwrap() > time("2026-11-20T14:00").unwrap());
        assert_eq!(time("yesterday").unwrap_err().kind(), Kind::Usage);
    }
}
