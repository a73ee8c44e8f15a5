//! What a prune leaves for later, and for what it waits.

use super::PruneOptions;
use crate::clock::Nanos;
use crate::id::{SessionId, SnapshotId};
use crate::repository::LiveSession;

/// Something that will go, and not yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wait {
    /// What, in words.
    pub what: String,
    /// For what.
    pub until: Until,
}

/// For what it waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Until {
    /// The grace is over.
    Time(Nanos),
    /// A session that began before has ended.
    Session {
        /// The session.
        id: SessionId,
        /// `user@host`, process and purpose; none where its record cannot be read.
        who: Option<Who>,
    },
}

/// Who is at work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Who {
    /// User name.
    pub user: String,
    /// Host name.
    pub host: String,
    /// Process on that host.
    pub process: u32,
    /// When it began.
    pub started: Nanos,
    /// When it was last heard of.
    pub renewed: Nanos,
}

impl Wait {
    pub(super) fn grace(what: String, since: Nanos, options: &PruneOptions) -> Self {
        let grace = i64::try_from(options.grace.as_nanos()).unwrap_or(i64::MAX);
        Self {
            what,
            until: Until::Time(since.saturating_add(grace)),
        }
    }

    pub(super) fn grace_of_snapshot(
        snapshot: SnapshotId,
        since: Nanos,
        options: &PruneOptions,
    ) -> Self {
        Self::grace(
            format!("snapshot {}, forgotten", snapshot.short()),
            since,
            options,
        )
    }

    pub(super) fn session(session: &LiveSession, what: &str) -> Self {
        Self {
            what: what.to_owned(),
            until: Until::Session {
                id: session.id,
                who: session.seen.as_ref().map(|seen| Who {
                    user: seen.user.clone(),
                    host: seen.host.clone(),
                    process: seen.process,
                    started: seen.started,
                    renewed: seen.renewed,
                }),
            },
        }
    }
}
