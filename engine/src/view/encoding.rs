//! The durable bytes of chunks and of the deletions in them.
//!
//! | what | key (big-endian) | value (little-endian) |
//! |---|---|---|
//! | chunk | chunk u64 | version u8, order u64, times of [arrival](Arrivals::encode), one [batch](codec::write_batch): the columns, then the weights unless all are 1 |
//! | deletions | chunk u64, part u32 | 0u8 and row u16 each; or 1u8 and a bitmap of the rows, the lowest bit first |
//!
//! The deleted rows of a chunk are those of all its parts. Names and metadata of columns are not kept: the catalog has them.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{AsArray, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};

use super::arrival::Arrivals;
use super::chunk::{CHUNK_ROWS, Chunk, ChunkId};
use super::gather::batch_of;
use crate::data::codec;
use crate::error::{Error, Result};

/// How chunks are written. Another number is refused.
const VERSION: u8 = 3;
const LIST: u8 = 0;
const BITMAP: u8 = 1;

/// What the value of a chunk says.
pub(super) struct StoredRows {
    pub(super) order: u64,
    pub(super) arrivals: Arrivals,
    pub(super) batch: RecordBatch,
    pub(super) weights: Option<Int64Array>,
}

pub(super) fn chunk_key(chunk: ChunkId) -> [u8; 8] {
    chunk.0.to_be_bytes()
}

pub(super) fn read_chunk_key(key: &[u8]) -> Result<ChunkId> {
    let bytes = key.try_into().map_err(|_| Error::corrupt("the key of a chunk has a wrong length"))?;
    Ok(ChunkId(u64::from_be_bytes(bytes)))
}

pub(super) fn part_key(chunk: ChunkId, part: u32) -> [u8; 12] {
    let mut key = [0; 12];
    key[..8].copy_from_slice(&chunk_key(chunk));
    key[8..].copy_from_slice(&part.to_be_bytes());
    key
}

pub(super) fn read_part_key(key: &[u8]) -> Result<(ChunkId, u32)> {
    let (chunk, part) = key.split_at_checked(8).ok_or_else(|| Error::corrupt("the key of deletions is too short"))?;
    let part = part.try_into().map_err(|_| Error::corrupt("the key of deletions has a wrong length"))?;
    Ok((read_chunk_key(chunk)?, u32::from_be_bytes(part)))
}

pub(super) fn encode_chunk(chunk: &Chunk) -> Result<Vec<u8>> {
    let mut fields: Vec<Field> = chunk.batch.schema_ref().fields().iter().map(|field| bare(field)).collect();
    let mut columns = chunk.batch.columns().to_vec();
    if let Some(weights) = chunk.weights() {
        fields.push(Field::new("", DataType::Int64, false));
        columns.push(Arc::new(weights.clone()));
    }
    let batch = batch_of(Arc::new(Schema::new(fields)), columns, chunk.rows())?;
    let mut bytes = vec![VERSION];
    bytes.extend_from_slice(&chunk.order.to_le_bytes());
    chunk.arrivals().encode(&mut bytes);
    codec::write_batch(&batch, &mut bytes)?;
    Ok(bytes)
}

/// The field without its name and metadata.
fn bare(field: &Field) -> Field {
    field.clone().with_name("").with_metadata(HashMap::new())
}

/// The rows of a chunk, under the schema of the store.
///
/// # Errors
/// XX001 for anything that [`encode_chunk`] did not write for such a schema.
pub(super) fn decode_chunk(bytes: &[u8], schema: &SchemaRef) -> Result<StoredRows> {
    let damaged = || Error::corrupt("a chunk of rows cannot be read");
    let (version, rest) = bytes.split_first().ok_or_else(damaged)?;
    if *version != VERSION {
        return Err(Error::corrupt(format!("a chunk of rows has format {version}, not {VERSION}")));
    }
    let (order, rest) = rest.split_first_chunk().ok_or_else(damaged)?;
    let (arrivals, batch) = Arrivals::decode(rest).ok_or_else(damaged)?;
    let batch = codec::read_batch(batch)?;
    let rows = batch.num_rows();
    let mut columns = batch.columns().to_vec();
    let weights = match columns.len().checked_sub(schema.fields().len()) {
        Some(0) => None,
        Some(1) => columns.pop().and_then(|column| column.as_primitive_opt::<Int64Type>().cloned()),
        _ => return Err(damaged()),
    };
    if rows == 0 || rows > CHUNK_ROWS || !arrivals.is_empty() && arrivals.rows() != rows {
        return Err(damaged());
    }
    let batch = batch_of(schema.clone(), columns, rows).map_err(|error| damaged().with_source(error))?;
    Ok(StoredRows { order: u64::from_le_bytes(*order), arrivals, batch, weights })
}

/// A set of rows of a chunk, in whichever form is shorter. Sorts them.
pub(super) fn encode_rows(rows: &mut Vec<u16>) -> Vec<u8> {
    rows.sort_unstable();
    rows.dedup();
    let bitmap = rows.last().map_or(0, |last| usize::from(*last) / 8 + 1);
    if 2 * rows.len() <= bitmap {
        let mut bytes = vec![LIST];
        rows.iter().for_each(|row| bytes.extend_from_slice(&row.to_le_bytes()));
        return bytes;
    }
    let mut bytes = vec![0; 1 + bitmap];
    bytes[0] = BITMAP;
    rows.iter().for_each(|row| bytes[1 + usize::from(*row) / 8] |= 1 << (row % 8));
    bytes
}

/// The rows of a set that [`encode_rows`] made, in order.
///
/// # Errors
/// XX001 for other bytes.
pub(super) fn decode_rows(bytes: &[u8]) -> Result<Vec<u16>> {
    match bytes {
        [LIST, list @ ..] if list.len() % 2 == 0 && list.len() <= 2 * CHUNK_ROWS => {
            Ok(list.as_chunks().0.iter().map(|row| u16::from_le_bytes(*row)).collect())
        }
        [BITMAP, bitmap @ ..] if bitmap.len() <= CHUNK_ROWS / 8 => {
            let set = |row: &usize| bitmap[row / 8] >> (row % 8) & 1 == 1;
            Ok((0..8 * bitmap.len()).filter(set).map(|row| row as u16).collect())
        }
        _ => Err(Error::corrupt("the deletions of a chunk cannot be read")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// If this fails, data directories written before do not read any more: raise the format of the state.
    #[test]
    fn golden_bytes() {
        assert_eq!(chunk_key(ChunkId(0x0102)), [0, 0, 0, 0, 0, 0, 1, 2]);
        assert_eq!(part_key(ChunkId(1), 0x0304), [0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 3, 4]);
        assert_eq!(encode_rows(&mut vec![0x0201, 3]), [0, 3, 0, 1, 2]);
        assert_eq!(encode_rows(&mut vec![9, 0, 1, 3, 9]), [1, 0b1011, 0b10]);
    }

    #[test]
    fn sets_and_keys_read_back() {
        for rows in [vec![], vec![0], vec![u16::MAX], (0..=u16::MAX).collect(), (0..u16::MAX).step_by(77).collect()] {
            assert_eq!(decode_rows(&encode_rows(&mut rows.clone())).unwrap(), rows);
        }
        assert_eq!(read_part_key(&part_key(ChunkId(1 << 40), 9)).unwrap(), (ChunkId(1 << 40), 9));
        for bytes in [&[][..], &[2], &[0, 1], &[1; 9000]] {
            assert_eq!(decode_rows(bytes).unwrap_err().sqlstate().code(), "XX001");
        }
        assert!(read_chunk_key(&[1, 2]).is_err() && read_part_key(&[1; 9]).is_err());
    }

    #[test]
    fn damaged_chunks_are_refused() {
        let schema = Arc::new(Schema::new(vec![Field::new("a", DataType::Int64, true)]));
        let batch = RecordBatch::try_new(schema.clone(), vec![Arc::new(Int64Array::from(vec![1, 2]))]).unwrap();
        let weights = Some(Int64Array::from(vec![1, 5]));
        let created = super::super::chunk::Created::All(crate::data::Epoch(1));
        let arrivals = Arrivals::all(2, 77);
        let chunk = Chunk::new(ChunkId(3), 2, batch.clone(), weights.clone(), created).with_arrivals(arrivals.clone());
        let bytes = encode_chunk(&chunk).unwrap();
        assert_eq!(bytes[..13], [3, 2, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0]);
        let read = decode_chunk(&bytes, &schema).unwrap();
        assert_eq!((read.order, read.arrivals, read.batch, read.weights), (2, arrivals, batch, weights));
        for length in 0..bytes.len() {
            assert!(decode_chunk(&bytes[..length], &schema).is_err(), "{length} of {} bytes", bytes.len());
        }
        let other = Arc::new(Schema::new(vec![Field::new("a", DataType::Utf8, true)]));
        assert_eq!(decode_chunk(&bytes, &other).err().unwrap().sqlstate().code(), "XX001");
    }
}
