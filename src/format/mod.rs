//! Pure encoders and decoders of everything that is stored: no I/O, no keys, limits before allocation.
//!
//! Each file here has a chapter in `format-spec/`; where the two differ, mend one of them in the same change.

pub mod bson;
pub mod choice;
pub mod codec;
pub mod deployment;
pub mod document_key;
pub mod entry;
pub mod extended_json;
pub mod extension;
pub mod file;
pub mod frame;
pub mod keys;
pub mod number;
pub mod pack;
pub mod page;
pub mod placed;
pub mod records;
pub mod run;
pub mod segment;
pub mod slice;
pub mod snapshot;
pub mod undo;
pub mod wire;
