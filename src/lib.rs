//! Duramen: a content-addressed, deduplicating, encrypted snapshot store.
//!
//! The rooms stand in layers; a module imports only from layers below its own (`tests/tidy.rs` holds that):
//!
//! ```text
//! L7  main.rs  cli/            arguments, terminal, exit codes: the only place that prints
//! L6  schedule/ alert/         when things run, and who is told of it
//! L6  config/                  what a configuration file says
//! L5  ops/                     one use case a file: options in, summary out
//!     repair/                  mends with all of the below
//! L4  snapshot/ restore/       the two lines of flow, and checkout/, a restore that can be switched
//! L4  gc/ check/ look/ retention/   whole-repository work
//! L3  repository/              an opened repository: keys in hand, sessions, put chunk, get chunk, commit
//! L3  source/  target/         where data comes from and goes to
//! L2  chunk/ seal/ pack/ index/
//! L1  storage/ crypto/ format/ fs/
//! L0  id error progress clock limits size merge seen
//! ```

pub mod alert;
pub mod check;
pub mod checkout;
pub mod chunk;
pub mod clock;
pub mod config;
pub mod crypto;
pub mod error;
pub mod format;
pub mod fs;
pub mod gc;
pub mod id;
pub mod index;
pub mod limits;
pub mod look;
mod merge;
pub mod ops;
mod pace;
pub mod pack;
pub mod progress;
pub mod repair;
pub mod replay;
pub mod repository;
pub mod restore;
pub mod retention;
pub mod schedule;
pub mod seal;
mod seen;
pub mod size;
pub mod snapshot;
pub mod source;
pub mod storage;
pub mod target;
