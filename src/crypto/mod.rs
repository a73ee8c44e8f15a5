//! STUB of the keys' room, replaced by the real one.
pub mod random;
