//! MongoDB: a real server, real writers, and what a snapshot says of them held against what the server itself says of the
//! same moment.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "../common/mod.rs"]
mod common;

#[path = "../spec/support.rs"]
#[allow(dead_code)]
mod support;

mod again;
mod alike;
mod broken;
mod capture;
mod changes;
mod difference;
mod dumps;
mod import;
mod killed;
mod lab;
mod moment;
mod nights;
mod program;
mod repaired;
mod restore;
mod rollback;
mod scrub;
mod segments;
mod writers;
