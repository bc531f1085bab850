//! Rows as bytes: an Arrow IPC stream behind a hash of it. Of Z-sets whose rows have weights, the last column is the weight.

use std::io::Cursor;
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use arrow::ipc::CompressionType;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::{IpcWriteOptions, StreamWriter};
use xxhash_rust::xxh3::xxh3_64;

use crate::data::ZSet;
use crate::error::{Error, Result};

const WEIGHT: &str = "levada.weight";

/// Bytes of the hash.
const HASH: usize = 8;

/// Appends a batch: XXH3 of what follows, little-endian, and the Arrow IPC stream of it, compressed with LZ4.
pub fn write_batch(batch: &RecordBatch, out: &mut Vec<u8>) -> Result<()> {
    let start = out.len();
    out.extend([0; HASH]);
    let options = IpcWriteOptions::default().try_with_compression(Some(CompressionType::LZ4_FRAME))?;
    let mut writer = StreamWriter::try_new_with_options(&mut *out, batch.schema_ref(), options)?;
    writer.write(batch)?;
    writer.finish()?;
    drop(writer);
    let hash = xxh3_64(&out[start + HASH..]);
    out[start..start + HASH].copy_from_slice(&hash.to_le_bytes());
    Ok(())
}

/// Reads what [`write_batch`] wrote.
///
/// Nothing is made of bytes that were not written so: Arrow's reader takes as much memory as they ask for, and panics where
/// they contradict themselves.
///
/// # Errors
/// XX001 when the bytes are something else.
pub fn read_batch(bytes: &[u8]) -> Result<RecordBatch> {
    let broken = || Error::corrupt("stored rows cannot be read");
    let (hash, stream) = bytes.split_first_chunk::<HASH>().ok_or_else(broken)?;
    if u64::from_le_bytes(*hash) != xxh3_64(stream) {
        return Err(broken().with_detail("They are not the bytes that were written."));
    }
    let unread = |error| broken().with_source(error);
    let mut reader = StreamReader::try_new(Cursor::new(stream), None).map_err(unread)?;
    reader.next().ok_or_else(broken)?.map_err(unread)
}

/// Appends a Z-set to a buffer.
pub fn encode(zset: &ZSet, out: &mut Vec<u8>) -> Result<()> {
    write_batch(&with_weight_column(zset)?, out)
}

fn with_weight_column(zset: &ZSet) -> Result<RecordBatch> {
    if zset.weights().is_none() {
        return Ok(zset.batch().clone());
    }
    let mut fields = zset.schema().fields().to_vec();
    fields.push(Arc::new(Field::new(WEIGHT, DataType::Int64, false)));
    let mut columns = zset.batch().columns().to_vec();
    columns.push(Arc::new(zset.weight_array()));
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
}

/// Reads what [`encode`] wrote.
///
/// # Errors
/// XX001 when the bytes are something else.
pub fn decode(bytes: &[u8]) -> Result<ZSet> {
    let batch = read_batch(bytes)?;
    let last = batch.num_columns().wrapping_sub(1);
    if batch.schema().fields().get(last).is_none_or(|field| field.name() != WEIGHT) {
        return Ok(ZSet::inserts(batch));
    }
    let weights = batch.column(last).as_primitive_opt::<Int64Type>().cloned();
    let weights = weights.ok_or_else(|| Error::corrupt("stored weights cannot be read"))?;
    let columns: Vec<usize> = (0..last).collect();
    Ok(ZSet::new(batch.project(&columns)?, weights))
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int32Array, Int64Array, StringArray};

    use super::*;

    fn batch() -> RecordBatch {
        let ids = Int32Array::from(vec![Some(1), None, Some(3)]);
        let names = StringArray::from(vec![Some("a"), Some(""), None]);
        RecordBatch::try_from_iter_with_nullable([
            ("id", Arc::new(ids) as _, true),
            ("levada", Arc::new(names) as _, true),
        ])
        .unwrap()
    }

    #[test]
    fn rows_come_back_with_and_without_weights() {
        for zset in [ZSet::inserts(batch()), ZSet::new(batch(), Int64Array::from(vec![1, -1, 7]))] {
            let mut bytes = Vec::new();
            encode(&zset, &mut bytes).unwrap();
            let back = decode(&bytes).unwrap();
            assert_eq!(back.batch(), zset.batch());
            assert_eq!(back.weights(), zset.weights());
        }
    }

    #[test]
    fn rubbish_is_refused() {
        for bytes in [&b""[..], b"rubbish", &[0xff; 64]] {
            assert!(decode(bytes).is_err());
        }
    }
}
