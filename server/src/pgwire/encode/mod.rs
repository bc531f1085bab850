//! Rows to DataRow messages.
//!
//! A batch's columns are cast down to their arrays once; then each row is written straight into the output buffer, with
//! no allocation per value.

mod binary;
mod numeric;
mod text;

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::buffer::NullBuffer;
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::DataType;
use bytes::{BufMut, BytesMut};
use levada_engine::OutputColumn;
use levada_engine::error::{Error, Result, SqlState};
use levada_engine::format::FormatSettings;

use self::binary::Binary;
pub use self::binary::{EPOCH_DAYS, EPOCH_MICROS, JSONB_VERSION};
use self::text::Text;
use super::frontend::Format;

/// Longest row, as in PostgreSQL: the length of a message is a signed word, and clients allocate it at once.
const LONGEST_ROW: usize = (1 << 30) - 1;
/// Most columns of a result, as in PostgreSQL (`MaxTupleAttributeNumber`).
const MOST_COLUMNS: u16 = 1664;
/// The length of a value that is NULL.
const NULL: i32 = -1;

/// How the rows of a result are written.
pub struct RowEncoder {
    columns: Arc<[OutputColumn]>,
    formats: Vec<Format>,
    /// The Arrow types that carry the columns.
    carriers: Vec<DataType>,
    settings: FormatSettings,
}

impl RowEncoder {
    /// `formats` has one entry for each column.
    pub fn new(columns: Arc<[OutputColumn]>, formats: Vec<Format>, settings: FormatSettings) -> RowEncoder {
        let carriers = columns.iter().map(|column| column.ty.arrow()).collect();
        RowEncoder { columns, formats, carriers, settings }
    }

    /// The columns of a batch in the Arrow types that carry theirs.
    ///
    /// # Errors
    /// XX000 when the batch is not of this result.
    pub fn conform(&self, batch: &RecordBatch) -> Result<Vec<ArrayRef>> {
        if batch.num_columns() != self.columns.len() {
            let message = format!("a result of {} columns has {}", self.columns.len(), batch.num_columns());
            return Err(Error::internal(message));
        }
        let strict = CastOptions { safe: false, ..CastOptions::default() };
        let columns = batch.columns().iter().zip(&self.carriers).map(|(array, carrier)| match array.data_type() {
            same if same == carrier => Ok(array.clone()),
            // DataFusion answers some functions with views or dictionaries of what it was given.
            _ => Ok(cast_with_options(array, carrier, &strict)?),
        });
        columns.collect()
    }

    /// Prepares the columns that [`conform`](RowEncoder::conform) gave for being written.
    pub fn open<'a>(&'a self, arrays: &'a [ArrayRef]) -> Result<BatchEncoder<'a>> {
        let columns = arrays.iter().zip(self.columns.iter()).zip(&self.formats).map(|((array, column), format)| {
            let value = match format {
                Format::Text => Value::Text(Text::new(array, &column.ty)?),
                Format::Binary => Value::Binary(Binary::new(array, &column.ty)?),
            };
            Ok(Column { nulls: array.nulls(), value })
        });
        let columns = columns.collect::<Result<_>>()?;
        Ok(BatchEncoder { width: width(&self.columns)?, columns, settings: &self.settings, scratch: String::new() })
    }
}

/// A batch, ready to be written row by row.
pub struct BatchEncoder<'a> {
    width: u16,
    columns: Vec<Column<'a>>,
    settings: &'a FormatSettings,
    /// Where texts are put together.
    scratch: String,
}

struct Column<'a> {
    nulls: Option<&'a NullBuffer>,
    value: Value<'a>,
}

enum Value<'a> {
    Text(Text<'a>),
    Binary(Binary<'a>),
}

impl BatchEncoder<'_> {
    /// Appends a row as a DataRow message; nothing when it fails.
    ///
    /// # Errors
    /// 54000 when the row is too long, and whatever a value gives that cannot be written.
    pub fn row(&mut self, row: usize, out: &mut BytesMut) -> Result<()> {
        let start = out.len();
        out.put_u8(b'D');
        let written = sized(out, 4, |out| {
            out.put_u16(self.width);
            self.columns.iter().try_for_each(|column| column.write(row, self.settings, &mut self.scratch, out))
        });
        if written.is_err() {
            out.truncate(start);
        }
        written
    }
}

impl Column<'_> {
    fn write(&self, row: usize, settings: &FormatSettings, scratch: &mut String, out: &mut BytesMut) -> Result<()> {
        if self.nulls.is_some_and(|nulls| nulls.is_null(row)) {
            out.put_i32(NULL);
            return Ok(());
        }
        sized(out, 0, |out| match &self.value {
            Value::Text(text) => text.write(row, settings, scratch, out),
            Value::Binary(binary) => binary.write(row, out),
        })
    }
}

/// The number of a result's columns, as messages give it.
///
/// # Errors
/// 54000 when there are more than PostgreSQL's clients expect.
pub fn width(columns: &[OutputColumn]) -> Result<u16> {
    match u16::try_from(columns.len()) {
        Ok(width) if width <= MOST_COLUMNS => Ok(width),
        _ => {
            let message = format!("target lists can have at most {MOST_COLUMNS} entries");
            Err(Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message))
        }
    }
}

/// Writes the length of what `body` writes, plus `extra`, in front of it.
fn sized(out: &mut BytesMut, extra: usize, body: impl FnOnce(&mut BytesMut) -> Result<()>) -> Result<()> {
    let at = out.len();
    out.put_i32(0);
    body(out)?;
    let length = out.len() - at - 4 + extra;
    if length > LONGEST_ROW {
        let message = format!("a row of {length} bytes is too long");
        let detail = format!("Rows may have at most {LONGEST_ROW} bytes.");
        return Err(Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message).with_detail(detail));
    }
    out[at..at + 4].copy_from_slice(&(length as u32).to_be_bytes());
    Ok(())
}

#[cfg(test)]
mod tests;
