//! Sealed records: a 64-byte header, the sealed body, the hash of all before. The seal binds the header and the
//! file's name, so the store can neither change a record nor move it to another name.

use super::Keys;
use crate::crypto::aead::TAG;
use crate::crypto::derive::Purpose;
use crate::crypto::random;
use crate::error::{Error, Kind, Result};
use crate::format::file::{FileType, HEADER, RecordHeader, TRAILER, finish};

fn purpose(file_type: FileType) -> Result<Purpose> {
    Ok(match file_type {
        FileType::Config => Purpose::Config,
        FileType::Segment => Purpose::Segment,
        FileType::Snapshot => Purpose::Snapshot,
        FileType::Session => Purpose::Session,
        FileType::Tombstone => Purpose::Tombstone,
        FileType::Annotation => Purpose::Annotation,
        FileType::Slot | FileType::Ring | FileType::Pack => {
            return Err(Error::new(
                Kind::Failed,
                format!("a {} is no record", file_type.word()),
            ));
        }
    })
}

/// The whole file for `body`, to be stored as `name` (empty for a segment, whose name is its hash).
///
/// # Errors
/// [`Kind::Limit`] where the body is too long, or without randomness.
pub fn seal_record(
    keys: &Keys,
    file_type: FileType,
    name: &str,
    body: &[u8],
    max: usize,
) -> Result<Vec<u8>> {
    if body.len() + TAG + HEADER + TRAILER > max {
        return Err(Error::new(
            Kind::Limit,
            format!(
                "a {} of {} bytes is too long to store",
                file_type.word(),
                body.len()
            ),
        ));
    }
    let sealed_len = u32::try_from(body.len() + TAG)
        .map_err(|_| Error::new(Kind::Limit, "a record too long to store"))?;
    let header = RecordHeader {
        file_type,
        sealed_len,
        repository: keys.repository,
        epoch: keys.epoch,
        nonce: random::array()?,
    };
    let mut file = header.encode().to_vec();
    let aad = [&file[..], name.as_bytes()].concat();
    file.extend_from_slice(body);
    keys.record(header.epoch, purpose(file_type)?)?.seal_with(
        &header.nonce,
        &aad,
        &mut file,
        HEADER,
    )?;
    Ok(finish(file))
}

/// The body of a whole stored file that was read as `name`.
///
/// # Errors
/// [`Kind::Damage`] naming the file, or [`Kind::Unsupported`].
pub fn open_record(
    keys: &Keys,
    file_type: FileType,
    name: &str,
    file: &[u8],
    max: usize,
) -> Result<Vec<u8>> {
    let open = || {
        let (header_bytes, header, sealed) = RecordHeader::split(file_type, file, max)?;
        if header.repository != keys.repository {
            return Err(Error::damage(format!(
                "belongs to another repository ({})",
                header.repository.short()
            )));
        }
        let aad = [header_bytes, name.as_bytes()].concat();
        keys.record(header.epoch, purpose(file_type)?)?
            .open_with(&header.nonce, &aad, sealed)
    };
    open().map_err(|error: Error| error.or_subject(|| name.to_owned()))
}
