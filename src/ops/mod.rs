//! One use case a file: options in, summary out. Everything above calls nothing else.

pub mod check;
pub mod export;
pub mod init;
pub mod key;
pub mod look;
pub mod open;
pub mod prune;
pub mod repair;
pub mod restore;
pub mod select;
pub mod snapshot;
