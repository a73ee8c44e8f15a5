//! Structured records to bytes and back: bincode 2's standard encoding, owned here and written out in
//! `format-spec/conventions.md` as our own. Nothing else imports bincode, so replacing it touches this file.
//!
//! bincode by itself accepts padded integers and trailing bytes, and can allocate what a hostile length asks for.
//! Here every decode has a limit, and what was read must be byte for byte what would be written.

use bincode::config;
use serde::{Serialize, de::DeserializeOwned};

use crate::error::{Error, Result};

/// Decoding may not claim more memory than this beyond the input's own length; 64 MiB.
const CLAIM_MAX: usize = 64 << 20;

/// The canonical bytes of `record`.
///
/// # Errors
/// Only where a record cannot be encoded at all, which none of this crate's can be.
pub fn encode<T: Serialize>(record: &T) -> Result<Vec<u8>> {
    bincode::serde::encode_to_vec(record, config::standard()).map_err(|error| {
        Error::new(crate::error::Kind::Failed, "cannot encode a record").cause(error)
    })
}

/// Reads one record that fills `bytes` exactly, and is canonical.
///
/// # Errors
/// [`crate::error::Kind::Damage`] for anything else, or where `bytes` is longer than `max`.
pub fn decode<T: Serialize + DeserializeOwned>(bytes: &[u8], max: usize, what: &str) -> Result<T> {
    let damaged = |why: String| Error::damage(format!("{what}: {why}"));
    if bytes.len() > max {
        return Err(damaged(format!(
            "{} bytes, more than the {max} that are allowed",
            bytes.len()
        )));
    }
    let limited = config::standard().with_limit::<CLAIM_MAX>();
    let (record, used): (T, usize) = bincode::serde::decode_from_slice(bytes, limited)
        .map_err(|error| damaged(format!("cannot be decoded ({error})")))?;
    if used != bytes.len() {
        return Err(damaged(format!(
            "{} bytes behind its end",
            bytes.len() - used
        )));
    }
    if encode(&record)? != bytes {
        return Err(damaged("not in canonical form".into()));
    }
    Ok(record)
}

/// Reads the first fields of a record that as a whole is not understood: how an older program learns which feature it
/// lacks.
#[must_use]
pub fn decode_prefix<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let limited = config::standard().with_limit::<CLAIM_MAX>();
    bincode::serde::decode_from_slice(bytes, limited)
        .ok()
        .map(|(prefix, _)| prefix)
}
