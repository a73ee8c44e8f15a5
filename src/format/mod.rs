//! Pure encoders and decoders of everything that is stored: no I/O, no keys, limits before allocation.
//!
//! Each file here has a chapter in `format-spec/`; where the two differ, mend one of them in the same change.

pub mod codec;
pub mod entry;
pub mod extension;
pub mod page;
pub mod snapshot;
