//! The program killed at random moments of a snapshot: nothing that was committed may be lost, the repository checks
//! clean, and the next snapshot just works.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "../common/mod.rs"]
mod common;

mod rounds;

#[test]
fn kills_at_random_moments_lose_nothing() {
    rounds::run(common::rounds(8, 50));
}
