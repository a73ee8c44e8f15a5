//! What goes in comes out: the real program run as a user would, on trees with every oddity, and the result held
//! against the original by a comparer that knows nothing of the program.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "../common/mod.rs"]
mod common;

mod archive;
mod checkout;
mod choice;
mod hidden;
mod hostile;
mod look;
mod restore;
mod round_trip;
mod stream;
mod trouble;
