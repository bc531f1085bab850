//! Reading durable values: fixed-width integers, little-endian, one after the other.

use crate::error::{Error, Result};

/// The format of the values that keyed state writes. Another one is refused.
pub const VERSION: u8 = 2;

/// What is left of a durable value.
#[derive(Debug)]
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// A reader of a value that starts with [`VERSION`].
    ///
    /// # Errors
    /// XX001 for another version.
    pub fn new(value: &'a [u8]) -> Result<Reader<'a>> {
        match value.split_first() {
            Some((&VERSION, rest)) => Ok(Reader(rest)),
            Some((version, _)) => Err(Error::corrupt(format!("operator state has format {version}, not {VERSION}"))),
            None => Err(Error::corrupt("operator state is empty")),
        }
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        let (taken, rest) =
            self.0.split_at_checked(length).ok_or_else(|| Error::corrupt("operator state ends too early"))?;
        self.0 = rest;
        Ok(taken)
    }

    pub fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        self.take(N)?.try_into().map_err(|_| Error::internal("a slice of another length"))
    }

    pub fn i64(&mut self) -> Result<i64> {
        Ok(i64::from_le_bytes(self.array()?))
    }

    pub fn f64(&mut self) -> Result<f64> {
        Ok(f64::from_le_bytes(self.array()?))
    }

    pub fn flag(&mut self) -> Result<bool> {
        let [byte] = self.array()?;
        Ok(byte != 0)
    }

    /// Bytes after their length as u32.
    pub fn bytes(&mut self) -> Result<&'a [u8]> {
        let length = u32::from_le_bytes(self.array()?);
        self.take(length as usize)
    }

    /// That nothing is left.
    ///
    /// # Errors
    /// XX001 when something is.
    pub fn end(self) -> Result<()> {
        if self.0.is_empty() { Ok(()) } else { Err(Error::corrupt("operator state is longer than it should be")) }
    }
}
