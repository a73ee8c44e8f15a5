//! Reading fixed layouts: little-endian, bounds checked, reserved bytes held to zero.

use crate::error::{Error, Result};

/// A cursor over bytes that came from outside.
pub struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    /// At the start of `bytes`.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// The next `count` bytes.
    ///
    /// # Errors
    /// [`crate::error::Kind::Damage`] where there are fewer.
    pub fn bytes(&mut self, count: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self
            .bytes
            .split_at_checked(count)
            .ok_or_else(|| Error::damage("ends too early"))?;
        self.bytes = rest;
        Ok(taken)
    }

    /// The next `N` bytes.
    ///
    /// # Errors
    /// As [`Reader::bytes`].
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (taken, rest) = self
            .bytes
            .split_first_chunk::<N>()
            .ok_or_else(|| Error::damage("ends too early"))?;
        self.bytes = rest;
        Ok(*taken)
    }

    /// One byte.
    ///
    /// # Errors
    /// As [`Reader::bytes`].
    pub fn u8(&mut self) -> Result<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// Two bytes.
    ///
    /// # Errors
    /// As [`Reader::bytes`].
    pub fn u16(&mut self) -> Result<u16> {
        self.array().map(u16::from_le_bytes)
    }

    /// Four bytes.
    ///
    /// # Errors
    /// As [`Reader::bytes`].
    pub fn u32(&mut self) -> Result<u32> {
        self.array().map(u32::from_le_bytes)
    }

    /// Eight bytes.
    ///
    /// # Errors
    /// As [`Reader::bytes`].
    pub fn u64(&mut self) -> Result<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// `count` reserved bytes, all zero.
    ///
    /// # Errors
    /// [`crate::error::Kind::Damage`] where one is not.
    pub fn zeros(&mut self, count: usize) -> Result<()> {
        if self.bytes(count)?.iter().any(|byte| *byte != 0) {
            return Err(Error::damage("reserved bytes are not zero"));
        }
        Ok(())
    }

    /// Bytes that are left.
    #[must_use]
    pub fn left(&self) -> usize {
        self.bytes.len()
    }

    /// Nothing may be left.
    ///
    /// # Errors
    /// [`crate::error::Kind::Damage`].
    pub fn end(self) -> Result<()> {
        if self.bytes.is_empty() {
            Ok(())
        } else {
            Err(Error::damage(format!(
                "{} bytes behind its end",
                self.bytes.len()
            )))
        }
    }
}
