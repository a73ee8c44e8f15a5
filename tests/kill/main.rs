//! The program killed at random moments of a snapshot, a forget, a prune or a repair: nothing that was committed may be lost, the repository checks
//! clean, and the next snapshot just works.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "../common/mod.rs"]
mod common;

mod rounds;

/// What every change must pass.
const SHORT: rounds::Size = rounds::Size {
    kills: 8,
    files: 400,
    large: 8_000_000,
    change: 2_000_000,
};

#[test]
fn kills_at_random_moments_lose_nothing() {
    rounds::run(if common::is_soak() {
        &rounds::LONG
    } else {
        &SHORT
    });
}
