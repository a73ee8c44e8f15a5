//! One use case a file: options in, summary out. Everything above calls nothing else.

pub mod annotate;
pub mod check;
pub mod checkout;
pub mod diff;
pub mod documents;
pub mod export;
pub mod find;
pub mod forget;
pub mod history;
pub mod init;
pub mod key;
pub mod level;
pub mod look;
pub mod open;
pub mod prune;
pub mod recall;
pub mod repair;
pub mod restore;
pub mod restore_deployment;
pub mod scrub;
pub mod select;
pub mod snapshot;
pub mod snapshots;
pub mod stats;
