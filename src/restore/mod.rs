//! Bringing back.
pub mod filter;
