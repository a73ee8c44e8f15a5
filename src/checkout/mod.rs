//! A folder that shows a snapshot and can be switched to another.
//!
//! What makes a folder a checkout is one small file in it ([`State`]). It is there, durably, before anything else is
//! written, and it goes last: so whatever stands in such a folder was put there by a checkout, or by somebody who
//! wrote into it, and a checkout that was killed is known as one. Nothing else is ever emptied: a folder without that
//! file, and a copy of a folder with it, are left alone.

mod changed;
mod remove;
mod state;

pub use changed::{Changed, changed};
pub use remove::{Removed, remove_all};
pub use state::{NAME, STANDING_MAX, Stand, State};
