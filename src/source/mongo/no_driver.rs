//! In place of the driver, where the program was built without it.

use super::server::{Asked, Ways};
use crate::error::{Error, Kind, Result};

/// Never there.
pub enum Driver {}

/// Never there.
pub enum Batches {}

impl Driver {
    /// Says that there is none.
    ///
    /// # Errors
    /// [`Kind::Unsupported`], always.
    pub fn connect(_: &str, shown: &str) -> Result<(Self, Option<String>)> {
        Err(
            Error::new(Kind::Unsupported, "this program was built without MongoDB")
                .subject(shown)
                .hint("build it with the feature `mongodb`, which is on by default"),
        )
    }

    /// Cannot be called.
    ///
    /// # Errors
    /// None.
    pub fn command(&self, _: &str, _: Vec<u8>) -> Asked<Vec<u8>> {
        match *self {}
    }

    /// Cannot be called.
    ///
    /// # Errors
    /// None.
    pub fn cursor(&self, _: &str, _: Vec<u8>, _: Ways) -> Asked<Batches> {
        match *self {}
    }

    /// Cannot be called.
    ///
    /// # Errors
    /// None.
    pub fn next(&self, batches: &mut Batches) -> Asked<Option<Vec<u8>>> {
        match *batches {}
    }
}
