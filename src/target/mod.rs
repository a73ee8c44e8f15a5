//! Where data goes to.
//!
//! The restore room decides what to write and in which order; a target knows how to write it.

pub mod files;
