//! Bringing rows of many chunks together, and copying rows out of batches that are not ours to keep.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, Int64Array, MutableArrayData, RecordBatch, RecordBatchOptions, UInt32Array, make_array,
};
use arrow::compute::{interleave, take};
use arrow::datatypes::SchemaRef;

use super::chunk::{Chunk, ChunkList, RowAddress};
use crate::data::ZSet;
use crate::error::Result;

/// Rows by address, resolved to chunks and positions as `interleave` takes them.
pub(super) struct Picked<'a> {
    chunks: Vec<&'a Arc<Chunk>>,
    rows: Vec<(usize, usize)>,
}

impl<'a> Picked<'a> {
    /// None if a row's chunk is not in the list.
    pub(super) fn resolve(list: &'a ChunkList, addresses: &[RowAddress]) -> Option<Picked<'a>> {
        let mut finder = list.finder();
        let mut numbers = vec![u32::MAX; list.positions()];
        let mut picked = Picked { chunks: Vec::new(), rows: Vec::with_capacity(addresses.len()) };
        for address in addresses {
            let (position, chunk) = finder.find(*address)?;
            if numbers[position] == u32::MAX {
                numbers[position] = picked.chunks.len() as u32;
                picked.chunks.push(chunk);
            }
            picked.rows.push((numbers[position] as usize, address.row()));
        }
        Some(picked)
    }

    /// One column of the rows; `schema` is the store's.
    pub(super) fn column(&self, schema: &SchemaRef, column: usize) -> Result<ArrayRef> {
        if self.rows.is_empty() {
            return Ok(arrow::array::new_empty_array(schema.field(column).data_type()));
        }
        if let [(chunk, row)] = self.rows.as_slice() {
            // Of a look-up, which is on its way to a client: nothing is copied.
            return Ok(self.chunks[*chunk].batch.column(column).slice(*row, 1));
        }
        let arrays: Vec<&dyn Array> = self.chunks.iter().map(|chunk| chunk.batch.column(column).as_ref()).collect();
        Ok(interleave(&arrays, &self.rows)?)
    }

    /// Some columns of the rows, or all of them, as often as they stand.
    pub(super) fn rows(&self, schema: &SchemaRef, columns: Option<&[usize]>) -> Result<ZSet> {
        let (schema, arrays) = match columns {
            None => {
                let all = (0..schema.fields().len()).map(|column| self.column(schema, column));
                (schema.clone(), all.collect::<Result<Vec<_>>>()?)
            }
            Some(columns) => {
                let some = columns.iter().map(|column| self.column(schema, *column));
                (Arc::new(schema.project(columns)?), some.collect::<Result<Vec<_>>>()?)
            }
        };
        let batch = batch_of(schema, arrays, self.rows.len())?;
        if self.chunks.iter().all(|chunk| chunk.weights().is_none()) {
            return Ok(ZSet::inserts(batch));
        }
        let weights = self.rows.iter().map(|(chunk, row)| self.chunks[*chunk].weight(*row));
        Ok(ZSet::new(batch, Int64Array::from_iter_values(weights)))
    }
}

/// A batch that may have no columns.
pub(super) fn batch_of(schema: SchemaRef, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(schema, columns, &options)?)
}

/// A run of a batch's rows in buffers of their own.
pub(super) fn copy_run(batch: &RecordBatch, schema: &SchemaRef, offset: usize, length: usize) -> Result<RecordBatch> {
    let copy = |column: &ArrayRef| {
        let data = column.to_data();
        let mut copy = MutableArrayData::new(vec![&data], false, length);
        copy.try_extend(0, offset, offset + length)?;
        Ok(make_array(copy.freeze()))
    };
    batch_of(schema.clone(), batch.columns().iter().map(copy).collect::<Result<Vec<_>>>()?, length)
}

/// Some of a batch's rows in buffers of their own.
pub(super) fn copy_rows(batch: &RecordBatch, schema: &SchemaRef, rows: &[u32]) -> Result<RecordBatch> {
    let picked = UInt32Array::from(rows.to_vec());
    let columns = batch.columns().iter().map(|column| Ok(take(column, &picked, None)?));
    batch_of(schema.clone(), columns.collect::<Result<Vec<_>>>()?, rows.len())
}
