//! Where data goes to.
//!
//! The restore room decides what to write and in which order; a target knows how to write it.

pub mod archive;
pub mod files;
pub mod mongo;
pub mod tar;
pub mod zip;
