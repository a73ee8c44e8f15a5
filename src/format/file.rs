//! What every stored file has: a magic at its start, the hash of all before at its end. So any machine can scrub a
//! repository without a key, and a truncated, swapped or text-mangled file is known before anything in it is used.

use super::wire::Reader;
use crate::error::{Error, Kind, Result};
use crate::id::RepositoryId;

/// Bytes of a magic.
pub const MAGIC: usize = 8;
/// Bytes of the BLAKE3 hash behind every file.
pub const TRAILER: usize = 32;
/// Bytes of the header of packs and sealed records.
pub const HEADER: usize = 64;
/// The version that this program writes, of every file type.
pub const VERSION: u16 = 1;

/// Type of a stored file, by the fourth byte of its magic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FileType {
    /// `config`
    Config,
    /// `keys/<id>`
    Slot,
    /// `keyring/<generation>`
    Ring,
    /// `packs/<2 hex>/<id>`
    Pack,
    /// `index/<id>`
    Segment,
    /// `snapshots/<session id>`
    Snapshot,
    /// `sessions/<session id>.<n>`
    Session,
    /// `tombstones/<id>`
    Tombstone,
    /// `annotations/<session id>/<id>`
    Annotation,
}

impl FileType {
    /// All types.
    pub const ALL: [FileType; 9] = [
        FileType::Config,
        FileType::Slot,
        FileType::Ring,
        FileType::Pack,
        FileType::Segment,
        FileType::Snapshot,
        FileType::Session,
        FileType::Tombstone,
        FileType::Annotation,
    ];

    /// PNG's idea: a byte with the high bit set, letters, both kinds of line end and a DOS end of file.
    #[must_use]
    pub fn magic(self) -> [u8; MAGIC] {
        let letter = match self {
            FileType::Config => b'C',
            FileType::Slot => b'K',
            FileType::Ring => b'R',
            FileType::Pack => b'P',
            FileType::Segment => b'I',
            FileType::Snapshot => b'S',
            FileType::Session => b'W',
            FileType::Tombstone => b'T',
            FileType::Annotation => b'A',
        };
        [0x89, b'D', b'U', letter, 0x0D, 0x0A, 0x1A, 0x0A]
    }

    /// The word for messages.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            FileType::Config => "config",
            FileType::Slot => "key slot",
            FileType::Ring => "key ring",
            FileType::Pack => "pack",
            FileType::Segment => "segment",
            FileType::Snapshot => "snapshot",
            FileType::Session => "session",
            FileType::Tombstone => "tombstone",
            FileType::Annotation => "annotation",
        }
    }

    /// Holds the first bytes of a file against this type and returns its version's place as read.
    ///
    /// # Errors
    /// [`Kind::Damage`] for another magic, [`Kind::Unsupported`] for a newer version.
    pub fn check_start(self, reader: &mut Reader<'_>) -> Result<()> {
        let magic = reader.array::<MAGIC>()?;
        if magic != self.magic() {
            let other = FileType::ALL
                .iter()
                .find(|file_type| file_type.magic() == magic);
            return Err(Error::damage(match other {
                Some(other) => format!("this is a {}, not a {}", other.word(), self.word()),
                None => format!("does not begin as a {} does", self.word()),
            }));
        }
        let version = reader.u16()?;
        if version != VERSION {
            return Err(Error::new(
                Kind::Unsupported,
                format!(
                    "{} of version {version}, newer than this program knows",
                    self.word()
                ),
            )
            .hint("use a newer version of duramen"));
        }
        Ok(())
    }
}

/// Appends the trailer.
#[must_use]
pub fn finish(mut file: Vec<u8>) -> Vec<u8> {
    let hash = blake3::hash(&file);
    file.extend_from_slice(hash.as_bytes());
    file
}

/// The file without its trailer, which must be the hash of it.
///
/// # Errors
/// [`Kind::Damage`].
pub fn verified(file: &[u8]) -> Result<&[u8]> {
    let (body, trailer) = file
        .split_last_chunk::<TRAILER>()
        .ok_or_else(|| Error::damage("shorter than its own hash"))?;
    if blake3::hash(body).as_bytes() != trailer {
        return Err(Error::damage(
            "its bytes are not those that were stored (hash differs)",
        ));
    }
    Ok(body)
}

/// Header of a sealed record and of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordHeader {
    /// Its type.
    pub file_type: FileType,
    /// Bytes sealed, tag included.
    pub sealed_len: u32,
    /// The repository that it belongs to.
    pub repository: RepositoryId,
    /// Sealing root that its key is derived from.
    pub epoch: u32,
    /// Nonce of the seal.
    pub nonce: [u8; 12],
}

impl RecordHeader {
    /// The 64 bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[..8].copy_from_slice(&self.file_type.magic());
        bytes[8..10].copy_from_slice(&VERSION.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.sealed_len.to_le_bytes());
        bytes[16..48].copy_from_slice(&self.repository.0);
        bytes[48..52].copy_from_slice(&self.epoch.to_le_bytes());
        bytes[52..64].copy_from_slice(&self.nonce);
        bytes
    }

    /// Splits a whole stored record of at most `max` bytes into header bytes, header and sealed bytes.
    ///
    /// # Errors
    /// [`Kind::Damage`], or [`Kind::Unsupported`] for a newer version.
    pub fn split(
        file_type: FileType,
        file: &[u8],
        max: usize,
    ) -> Result<(&[u8], RecordHeader, &[u8])> {
        if file.len() > max {
            return Err(Error::damage(format!(
                "{} bytes, more than a {} may have",
                file.len(),
                file_type.word()
            )));
        }
        let body = verified(file)?;
        let mut reader = Reader::new(body);
        file_type.check_start(&mut reader)?;
        reader.zeros(2)?;
        let sealed_len = reader.u32()?;
        let repository = RepositoryId(reader.array()?);
        let epoch = reader.u32()?;
        let nonce = reader.array()?;
        let sealed = reader.bytes(sealed_len as usize)?;
        reader.end()?;
        Ok((
            &body[..HEADER],
            RecordHeader {
                file_type,
                sealed_len,
                repository,
                epoch,
                nonce,
            },
            sealed,
        ))
    }
}
