//! The program killed at random moments of a snapshot, a forget, a prune or a repair: nothing that was committed may be lost, the repository checks
//! clean, and the next snapshot just works.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "../common/mod.rs"]
mod common;

mod rounds;

/// What every change must pass.
const SHORT: rounds::Size = rounds::Size {
    rounds: 12,
    files: 500,
    large: 12_000_000,
    change: 3_000_000,
};

#[test]
fn kills_at_random_moments_lose_nothing() {
    rounds::run(if common::is_soak() {
        &rounds::LONG
    } else {
        &SHORT
    });
}
