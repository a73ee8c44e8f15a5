//! The rules of sharing, by name, so that each can be found where it is kept, and so that the simulation
//! (`gc/tests/simulation`) can leave each out in turn and show that something is lost without it.

use super::Repository;

/// One rule of `format-spec/sharing.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// Tombstones are listed again after the session is put.
    Relist,
    /// Packs in tombstones do not exist for whoever writes.
    Absent,
    /// A sweep waits for every live session that does not name the tombstone.
    Wait,
    /// The end of a forgetting waits for every live session that does not name it.
    WaitForget,
    /// A sweep marks afresh and first copies what is needed.
    Fresh,
    /// A copy counts only in a pack that no tombstone names.
    Untombed,
    /// A snapshot and its void are one conditional put.
    CommitOnce,
    /// Undone and final are one conditional put.
    Fate,
    /// A forgotten snapshot is no parent.
    LiveParent,
    /// Packs that are not listed do not exist for whoever writes, and those relied on stand in a fresh listing before
    /// the commit.
    Relied,
    /// A tombstone stays until no segment names its packs.
    KeepTombstone,
    /// Packs that no segment names go through a tombstone too, and not while their session lives.
    Orphans,
    /// A hold is looked for once more before a snapshot goes for good.
    Held,
}

#[cfg(test)]
impl Rule {
    /// All of them.
    pub(crate) const ALL: [Rule; 13] = [
        Rule::Relist,
        Rule::Absent,
        Rule::Wait,
        Rule::WaitForget,
        Rule::Fresh,
        Rule::Untombed,
        Rule::CommitOnce,
        Rule::Fate,
        Rule::LiveParent,
        Rule::Relied,
        Rule::KeepTombstone,
        Rule::Orphans,
        Rule::Held,
    ];
}

impl Repository {
    /// Whether a rule is kept: always, but for a simulation of what happens without it.
    #[cfg(test)]
    pub(crate) fn keeps(&self, rule: Rule) -> bool {
        self.off != Some(rule)
    }

    /// Whether a rule is kept: always, but for a simulation of what happens without it.
    #[cfg(not(test))]
    pub(crate) const fn keeps(&self, _rule: Rule) -> bool {
        true
    }
}
