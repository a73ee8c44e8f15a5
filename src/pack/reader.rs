//! Reading a pack, or its directory alone.

use super::{about, pack_name};
use crate::error::{Error, Result};
use crate::format::file::{HEADER, verified};
use crate::format::pack::{FOOTER, PackDirectory, PackFooter, PackHeader};
use crate::id::PackId;
use crate::limits;
use crate::seal::Keys;
use crate::storage::Storage;

/// A pack whose header and directory were read.
#[derive(Clone, Debug)]
pub struct OpenedPack {
    /// Its header.
    pub header: PackHeader,
    /// Its frames and their chunks.
    pub directory: PackDirectory,
}

fn open(
    keys: &Keys,
    header: &[u8],
    sealed: &[u8],
    footer: PackFooter,
    size: u64,
) -> Result<OpenedPack> {
    let header: &[u8; HEADER] = header
        .try_into()
        .map_err(|_| Error::damage("a pack without a header"))?;
    let opened = PackHeader::decode(header)?;
    if opened.repository != keys.repository {
        return Err(Error::damage(format!(
            "belongs to another repository ({})",
            opened.repository.short()
        )));
    }
    let plain = keys
        .directory(footer.epoch)?
        .open(&footer.aad(header), sealed)?;
    let frames_end = size - FOOTER as u64 - u64::from(footer.directory_len);
    let directory = PackDirectory::decode(&plain, opened.class, frames_end)?;
    Ok(OpenedPack {
        header: opened,
        directory,
    })
}

/// Checks a whole pack's bytes against its name and opens its directory.
///
/// # Errors
/// [`crate::error::Kind::Damage`] or `Unsupported`, naming the pack.
pub fn open_pack(keys: &Keys, id: &PackId, bytes: &[u8]) -> Result<OpenedPack> {
    about(id, open_whole(keys, id, bytes))
}

fn open_whole(keys: &Keys, id: &PackId, bytes: &[u8]) -> Result<OpenedPack> {
    let body = verified(bytes)?;
    if bytes[body.len()..] != id.0 {
        return Err(Error::damage("its bytes are those of another pack"));
    }
    let footer_at = bytes.len().checked_sub(FOOTER).filter(|at| *at >= HEADER);
    let footer_at = footer_at.ok_or_else(|| Error::damage("shorter than any pack"))?;
    let footer = PackFooter::decode(&bytes[footer_at..body.len()])?;
    let directory_at = footer_at
        .checked_sub(footer.directory_len as usize)
        .filter(|at| *at >= HEADER);
    let directory_at =
        directory_at.ok_or_else(|| Error::damage("a directory longer than its pack"))?;
    open(
        keys,
        &bytes[..HEADER],
        &bytes[directory_at..footer_at],
        footer,
        bytes.len() as u64,
    )
}

/// Reads a pack's directory alone: three small reads, however large the pack.
///
/// # Errors
/// `NotFound`, [`crate::error::Kind::Damage`] or `Unsupported`, naming the pack.
pub fn read_directory(
    storage: &dyn Storage,
    keys: &Keys,
    id: &PackId,
    size: u64,
) -> Result<OpenedPack> {
    let name = pack_name(id);
    let read = || {
        if size > limits::PACK_BYTES_MAX || size < (HEADER + FOOTER) as u64 {
            return Err(Error::damage(format!(
                "{size} bytes, which no pack can have"
            )));
        }
        let header = storage.read_range(&name, 0, HEADER)?;
        let footer =
            PackFooter::decode(&storage.read_range(&name, size - FOOTER as u64, FOOTER - 32)?)?;
        let directory_at = (size - FOOTER as u64).checked_sub(u64::from(footer.directory_len));
        let directory_at = directory_at.filter(|at| *at >= HEADER as u64);
        let directory_at =
            directory_at.ok_or_else(|| Error::damage("a directory longer than its pack"))?;
        let sealed = storage.read_range(&name, directory_at, footer.directory_len as usize)?;
        open(keys, &header, &sealed, footer, size)
    };
    about(id, read())
}
