//! Looking at what is stored: two trees compared, names found in all snapshots, every version of one path, and what
//! takes the space.
//!
//! People look when something is lost or doubtful, and a repository of ten years holds thousands of snapshots of
//! millions of files. So nothing here walks a snapshot that it need not walk: pages have the same id exactly where
//! they hold the same entries, and a pair of equal pages is passed over unread. Comparing two snapshots reads what
//! differs between them, and looking through a thousand reads the first and what changed since.

mod compare;
mod diff;
mod documents;
mod find;
mod history;
mod largest;
mod lines;
mod pages;
mod renames;

pub use compare::{Differences, content_key};
pub use diff::{Change, Walk, changes};
pub use documents::{DocumentChange, FieldChange, document_changes, field_changes};
pub use find::{Found, Names, Wanted, find};
pub use history::{Stretch, Version, history};
pub use largest::{Largest, Part, largest};
pub use lines::unified;
pub use renames::{Rename, Renames};

#[cfg(test)]
mod tests {
    use crate::format::snapshot::{Counters, Features, Snapshot, SnapshotKind, State};
    use crate::id::{RepositoryId, SessionId};

    /// A snapshot record with nothing in it.
    pub fn sample() -> Snapshot {
        Snapshot {
            id: SessionId([1; 16]),
            repository: RepositoryId([1; 32]),
            features: Features::default(),
            time: 0,
            started: 0,
            finished: 0,
            kind: SnapshotKind::Full,
            parent: None,
            host: "host".into(),
            user: String::new(),
            tags: Vec::new(),
            paths: Vec::new(),
            excludes: Vec::new(),
            sources: Vec::new(),
            state: State::Complete,
            problems: Vec::new(),
            problem_count: 0,
            counters: Counters::default(),
            program: String::new(),
            git: None,
            seen: [0; 32],
            extensions: Vec::new(),
        }
    }
}
