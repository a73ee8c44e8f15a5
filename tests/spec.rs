//! The format, held from outside: every vector of `format-spec/vectors/` against this crate, the same vectors and the
//! golden repositories of `tests/golden/` against a second reader in Python that knows nothing but the specification.
//!
//! A change of bytes that nobody meant fails here. One that is meant is written down in `format-spec/changes.md`, the
//! vectors are written again with `DURAMEN_WRITE_VECTORS=1 cargo test --test spec`, and the golden repositories of
//! released versions stay as they are.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "spec/chunking.rs"]
mod chunking;
#[path = "spec/deployments.rs"]
mod deployments;
#[path = "spec/documents.rs"]
mod documents;
#[path = "spec/files.rs"]
mod files;
#[path = "spec/golden.rs"]
mod golden;
#[path = "spec/keys.rs"]
mod keys;
#[path = "spec/make.rs"]
mod make;
#[path = "spec/records.rs"]
mod records;
#[path = "spec/support.rs"]
mod support;
