//! Which snapshots stay and which may go: pure, from what is known of them, with a reason for every one.
//!
//! A rule that counts is easily cheated out of good snapshots. A disk that is not mounted makes an empty snapshot every
//! night, and after thirty nights "keep 30 daily" has thrown away the last one that held anything; a clock that ran
//! ahead fills tomorrow's places today. So here
//! - **good** snapshots fill the rules as if no other were there. One that was stored long after its time, is partial, or
//!   abnormally small (each worse than the one before) is kept where its hour, day, ... has no better one and the rule
//!   would reach it, but takes no better one's place;
//! - one whose time cannot be believed, because it lies ahead of the storage's clock or of ours, is kept, said so, and
//!   counts nowhere;
//! - what is held stays, and so does the last good one of every source.
//!
//! Nothing here reads a clock, a repository or the environment: the same input always gives the same answer.

mod decide;
mod group;
mod judge;
mod period;
mod policy;
mod span;
#[cfg(test)]
mod tests;

pub use decide::{Verdict, decide};
pub use group::{Group, GroupKey, Grouping};
pub use judge::{ACCEPTED, Candidate, Flaw, Judged, Shrunken, judge};
pub use policy::{Policy, UNLIMITED, wears};
pub use span::Span;
