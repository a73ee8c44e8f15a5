//! Random sequences of edits, snapshots, forgetting, taking back, holding, pruning, damage, repair and restores, held
//! against a plain map that remembers what was there.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "../common/mod.rs"]
mod common;

mod life;
mod model;
mod retention;
mod sequence;

#[test]
fn retention_does_what_a_simple_oracle_says() {
    retention::run(common::rounds(3_000, 100_000));
}

#[test]
fn whatever_was_snapshotted_comes_back() {
    sequence::run(common::rounds(60, 1_000));
}
