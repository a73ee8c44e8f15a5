//! More records than memory holds, brought into the order of their keys: sorted in parts, laid down, merged.
//!
//! What is laid down are people's documents, so the files have no name and are sealed with a key that nobody keeps: what
//! a disk or a copy of it holds afterwards is noise, and what a bad disk changed is noticed.

use std::fs::File;
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::crypto::aead::{OVERHEAD, SealKey};
use crate::crypto::random;
use crate::error::{Error, Kind, Result};
use crate::fs::nameless;
use crate::merge::merged;

/// Bytes of records in memory at which they are laid down.
const ROOM: usize = if cfg!(test) { 2 << 10 } else { 48 << 20 };
/// So many parts are merged into one.
const PARTS_MAX: usize = if cfg!(test) { 3 } else { 32 };
/// A block of a part is closed at so many bytes; one record may be longer.
const BLOCK: usize = if cfg!(test) { 256 } else { 64 << 10 };
/// What a record takes in memory beside its bytes.
const RECORD: usize = 48;

/// A key, and what belongs to it.
pub type Record = (Vec<u8>, Vec<u8>);

/// Records on their way into order.
pub struct Sorter {
    folder: Option<PathBuf>,
    held: Vec<Record>,
    bytes: usize,
    parts: Vec<File>,
    key: Option<SealKey>,
    count: u64,
}

fn failed(error: std::io::Error) -> Error {
    Error::new(
        Kind::Failed,
        "cannot lay down, or read back, what is being sorted",
    )
    .cause(error)
    .hint("look after the disk that holds the cache folder")
}

impl Sorter {
    /// An empty one, which lays down in `folder` what memory has no room for; without one, memory has to do.
    #[must_use]
    pub fn new(folder: Option<&Path>) -> Self {
        Self {
            folder: folder.map(Path::to_owned),
            held: Vec::new(),
            bytes: 0,
            parts: Vec::new(),
            key: None,
            count: 0,
        }
    }

    /// Records in it, doubles counted.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.count
    }

    /// Whether nothing is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Takes a record.
    ///
    /// # Errors
    /// Where memory is full and the folder takes no file.
    pub fn push(&mut self, key: Vec<u8>, value: Vec<u8>) -> Result<()> {
        self.bytes += key.len() + value.len() + RECORD;
        self.count += 1;
        self.held.push((key, value));
        if self.bytes >= ROOM
            && let Some(folder) = self.folder.clone()
        {
            self.lay_down(&folder)?;
        }
        Ok(())
    }

    /// Lays down what memory holds, where there is a folder: it will not be asked for soon.
    ///
    /// # Errors
    /// Where the folder takes no file.
    pub fn lay_by(&mut self) -> Result<()> {
        match self.folder.clone() {
            Some(folder) if !self.held.is_empty() => self.lay_down(&folder),
            _ => Ok(()),
        }
    }

    fn lay_down(&mut self, folder: &Path) -> Result<()> {
        let mut held = std::mem::take(&mut self.held);
        self.bytes = 0;
        // Stable: of equal keys the first stays first.
        held.sort_by(|left, right| left.0.cmp(&right.0));
        let key = match &self.key {
            Some(key) => key.clone(),
            None => self.key.insert(SealKey::new(&random::secret()?)).clone(),
        };
        let part = write(folder, &key, held.into_iter().map(Ok))?;
        self.parts.push(part);
        if self.parts.len() >= PARTS_MAX {
            let parts = std::mem::take(&mut self.parts);
            let all = merged(streams(parts, &key)?, |record: &Record| record.0.clone());
            self.parts.push(write(folder, &key, all)?);
        }
        Ok(())
    }

    /// All records in the order of their keys, equal ones in the order in which they came. An error ends them.
    ///
    /// # Errors
    /// Where what was laid down cannot be read back.
    pub fn sorted(mut self) -> Result<impl Iterator<Item = Result<Record>>> {
        let mut all: Vec<Box<dyn Iterator<Item = Result<Record>>>> = Vec::new();
        if let Some(key) = &self.key {
            let parts = streams(std::mem::take(&mut self.parts), key)?;
            all.extend(parts.into_iter().map(|part| Box::new(part) as Box<_>));
        }
        let mut held = self.held;
        held.sort_by(|left, right| left.0.cmp(&right.0));
        all.push(Box::new(held.into_iter().map(Ok)));
        Ok(merged(all, |record: &Record| record.0.clone()))
    }
}

/// Lays records down in a file of its own.
fn write(
    folder: &Path,
    key: &SealKey,
    records: impl Iterator<Item = Result<Record>>,
) -> Result<File> {
    let file = nameless(folder)?;
    let mut writer = BufWriter::with_capacity(256 << 10, file);
    let mut block = Vec::with_capacity(BLOCK);
    let mut close = |block: &mut Vec<u8>| -> Result<()> {
        let sealed = key.seal(b"", block)?;
        block.clear();
        let length = (sealed.len() as u64).to_le_bytes();
        writer.write_all(&length).map_err(failed)?;
        writer.write_all(&sealed).map_err(failed)
    };
    for record in records {
        let (key, value) = record?;
        for part in [&key, &value] {
            block.extend_from_slice(&(part.len() as u32).to_le_bytes());
            block.extend_from_slice(part);
        }
        if block.len() >= BLOCK {
            close(&mut block)?;
        }
    }
    if !block.is_empty() {
        close(&mut block)?;
    }
    let mut file = writer
        .into_inner()
        .map_err(|error| failed(error.into_error()))?;
    file.seek(SeekFrom::Start(0)).map_err(failed)?;
    Ok(file)
}

fn streams(parts: Vec<File>, key: &SealKey) -> Result<Vec<Part>> {
    parts
        .into_iter()
        .map(|file| {
            let left = file.metadata().map_err(failed)?.len();
            Ok(Part {
                file,
                key: key.clone(),
                left,
                block: Vec::new().into_iter(),
            })
        })
        .collect()
}

/// The records of a part.
struct Part {
    file: File,
    key: SealKey,
    /// Bytes of the file that were not read yet.
    left: u64,
    block: std::vec::IntoIter<Record>,
}

impl Part {
    fn read(&mut self) -> Result<()> {
        let mut length = [0; 8];
        self.file.read_exact(&mut length).map_err(failed)?;
        let length = u64::from_le_bytes(length);
        self.left = self
            .left
            .checked_sub(8)
            .and_then(|left| left.checked_sub(length))
            .ok_or_else(damaged)?;
        if length < OVERHEAD as u64 {
            return Err(damaged());
        }
        let mut sealed = vec![0; length as usize];
        self.file.read_exact(&mut sealed).map_err(failed)?;
        let plain = self.key.open(b"", &sealed).map_err(|_| damaged())?;
        let mut records = Vec::new();
        let mut rest = &plain[..];
        while !rest.is_empty() {
            let key = field(&mut rest).ok_or_else(damaged)?;
            let value = field(&mut rest).ok_or_else(damaged)?;
            records.push((key, value));
        }
        self.block = records.into_iter();
        Ok(())
    }
}

impl Iterator for Part {
    type Item = Result<Record>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(record) = self.block.next() {
                return Some(Ok(record));
            }
            if self.left == 0 {
                return None;
            }
            if let Err(error) = self.read() {
                self.left = 0;
                return Some(Err(error));
            }
        }
    }
}

fn field(rest: &mut &[u8]) -> Option<Vec<u8>> {
    let (length, behind) = rest.split_first_chunk()?;
    let (own, behind) = behind.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    *rest = behind;
    Some(own.to_vec())
}

fn damaged() -> Error {
    Error::new(
        Kind::Failed,
        "what was being sorted is not what was laid down",
    )
    .hint("look after the disk that holds the cache folder")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::FileExt;

    use proptest::prelude::*;

    use super::*;

    fn sorted(records: &[Record]) -> Vec<Record> {
        let folder = tempfile::tempdir().unwrap();
        let mut sorter = Sorter::new(Some(folder.path()));
        for (key, value) in records {
            sorter.push(key.clone(), value.clone()).unwrap();
        }
        assert_eq!(sorter.len(), records.len() as u64);
        let all = sorter.sorted().unwrap().map(Result::unwrap).collect();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        all
    }

    proptest! {
        #[test]
        fn records_come_in_the_order_of_their_keys_and_equals_as_they_came(
            keys in prop::collection::vec(prop::collection::vec(0u8..4, 0..4), 0..600),
            length in 0usize..90,
        ) {
            let records: Vec<Record> = keys
                .into_iter()
                .enumerate()
                .map(|(number, key)| {
                    let mut value = (number as u32).to_le_bytes().to_vec();
                    value.resize(length.max(4), 7);
                    (key, value)
                })
                .collect();
            let mut expected = records.clone();
            expected.sort_by(|left, right| left.0.cmp(&right.0));
            prop_assert_eq!(sorted(&records), expected);
        }
    }

    #[test]
    fn a_record_may_be_longer_than_a_block() {
        let records = vec![(vec![2], vec![9; 20_000]), (vec![1], vec![8; 20_000])];
        assert_eq!(sorted(&records), [records[1].clone(), records[0].clone()]);
    }

    /// What lies on the disk is sealed, and a changed bit of it an error.
    #[test]
    fn what_is_laid_down_is_neither_read_by_others_nor_changed() {
        let folder = tempfile::tempdir().unwrap();
        let mut sorter = Sorter::new(Some(folder.path()));
        for number in 0..200u32 {
            let key = number.to_le_bytes().to_vec();
            sorter.push(key, b"a secret of somebody".to_vec()).unwrap();
        }
        let part = sorter.parts.first().unwrap();
        let mut bytes = vec![0; part.metadata().unwrap().len() as usize];
        part.read_exact_at(&mut bytes, 0).unwrap();
        assert!(bytes.len() > 100 && !bytes.windows(6).any(|six| six == b"secret"));
        let last = bytes.len() - 1;
        part.write_all_at(&[bytes[last] ^ 1], last as u64).unwrap();
        assert!(sorter.sorted().unwrap().any(|record| record.is_err()));
    }
}
