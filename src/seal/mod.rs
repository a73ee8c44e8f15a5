//! Compressing and sealing: frames (many, large) and records (few, small), and the keys for both.

mod compression;
mod frame;
mod keys;
mod record;

pub use compression::Compression;
pub use frame::{FrameOpener, FrameSealer, SealedFrame};
pub use keys::Keys;
pub use record::{open_record, seal_record};
