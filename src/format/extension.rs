//! Tagged extensions: how a record of version 1 can say more later without a new version.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Kind, Result};
use crate::limits::EXTENSIONS_MAX;

/// One tagged extension. Unknown critical ones are refused, others are kept when the record is copied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extension {
    /// Which extension; ascending and unique within a record.
    pub tag: u32,
    /// A reader that does not know the tag must refuse the record.
    pub critical: bool,
    /// The extension's own bytes.
    #[serde(with = "serde_bytes")]
    pub body: Vec<u8>,
}

/// Refuses extensions that this version must not pass over: it knows none yet.
///
/// # Errors
/// [`Kind::Unsupported`] for a critical tag, [`Kind::Damage`] for unsorted or too many tags.
pub fn check(extensions: &[Extension]) -> Result<()> {
    if extensions.len() > EXTENSIONS_MAX
        || !extensions.windows(2).all(|pair| pair[0].tag < pair[1].tag)
    {
        return Err(Error::damage("extensions out of order or too many"));
    }
    match extensions.iter().find(|extension| extension.critical) {
        Some(unknown) => Err(Error::new(
            Kind::Unsupported,
            format!("unknown critical extension {}", unknown.tag),
        )
        .hint("use a newer version of duramen")),
        None => Ok(()),
    }
}
