//! The engine in process, over storages that can be stopped, filled up and tampered with: what every storage must
//! keep, what a death at any write may leave behind, and what becomes of every kind of damage.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "../common/mod.rs"]
mod common;

mod annotations;
mod cache;
mod crash;
mod damage;
mod documents;
mod dumps;
mod forget;
mod key_changes;
mod keys;
mod lab;
mod links;
mod look;
mod matrix;
mod memory;
mod moved;
mod prune;
mod repair;
mod scrub;
mod storage;
mod trust;
