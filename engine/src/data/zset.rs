//! Rows with integer weights: a relation, or a change to one.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Int64Array, RecordBatch, RecordBatchOptions, UInt32Array, make_comparator};
use arrow::compute::{SortOptions, concat, concat_batches, filter, filter_record_batch, take};
use arrow::datatypes::SchemaRef;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use crate::data::hash::{Equality, hash_columns};
use crate::error::{Error, Result};

/// A Z-set: each row of the batch with its weight. Insert is +1, delete -1, an update both.
///
/// A row may stand several times; its weight is then the sum. Absent weights mean +1 for every row, which lets
/// append-only data pass without a multiplication anywhere.
///
/// Source: Budiu et al., "DBSP: Automatic Incremental View Maintenance", VLDB 2023, section 4.
#[derive(Clone, Debug)]
pub struct ZSet {
    batch: RecordBatch,
    weights: Option<Int64Array>,
}

impl ZSet {
    /// Rows with weights, one a row.
    pub fn new(batch: RecordBatch, weights: Int64Array) -> ZSet {
        debug_assert_eq!(batch.num_rows(), weights.len());
        ZSet { batch, weights: Some(weights) }
    }

    /// Rows that are all inserted once.
    pub fn inserts(batch: RecordBatch) -> ZSet {
        ZSet { batch, weights: None }
    }

    /// No rows.
    pub fn empty(schema: SchemaRef) -> ZSet {
        ZSet::inserts(RecordBatch::new_empty(schema))
    }

    pub fn batch(&self) -> &RecordBatch {
        &self.batch
    }

    pub fn column(&self, index: usize) -> &ArrayRef {
        self.batch.column(index)
    }

    pub fn schema(&self) -> SchemaRef {
        self.batch.schema()
    }

    /// Rows, not the sum of their weights.
    pub fn len(&self) -> usize {
        self.batch.num_rows()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of the rows, which may be a small part of what their arrays point into.
    pub fn bytes(&self) -> usize {
        let size = |column: &ArrayRef| {
            column.to_data().get_slice_memory_size().unwrap_or_else(|_| column.get_array_memory_size())
        };
        self.batch.columns().iter().map(size).sum()
    }

    /// The weights, or None where all are +1.
    pub fn weights(&self) -> Option<&[i64]> {
        self.weights.as_ref().map(|weights| weights.values().as_ref())
    }

    /// The weight of a row.
    pub fn weight(&self, row: usize) -> i64 {
        self.weights.as_ref().map_or(1, |weights| weights.value(row))
    }

    /// The weights written out.
    pub fn weight_array(&self) -> Int64Array {
        self.weights.clone().unwrap_or_else(|| Int64Array::from(vec![1; self.len()]))
    }

    /// The same rows with every weight negated.
    pub fn negate(&self) -> ZSet {
        let weights = match self.weights() {
            Some(weights) => weights.iter().map(|weight| -weight).collect::<Vec<_>>(),
            None => vec![-1; self.len()],
        };
        ZSet::new(self.batch.clone(), Int64Array::from(weights))
    }

    /// Other columns for the same rows, as a projection gives them.
    pub fn with_batch(&self, batch: RecordBatch) -> ZSet {
        debug_assert_eq!(batch.num_rows(), self.len());
        ZSet { batch, weights: self.weights.clone() }
    }

    /// The rows where the mask is true (NULL is not).
    pub fn filter(&self, mask: &BooleanArray) -> Result<ZSet> {
        let weights = match &self.weights {
            Some(weights) => Some(filter(weights, mask)?.as_any().downcast_ref::<Int64Array>().cloned()),
            None => None,
        };
        Ok(ZSet { batch: filter_record_batch(&self.batch, mask)?, weights: weights.flatten() })
    }

    /// The rows at these positions, in this order.
    pub fn take(&self, rows: &UInt32Array) -> Result<ZSet> {
        let weights = match &self.weights {
            Some(weights) => take(weights, rows, None)?.as_any().downcast_ref::<Int64Array>().cloned(),
            None => None,
        };
        Ok(ZSet { batch: take_rows(&self.batch, rows)?, weights })
    }

    /// A run of rows, without copying them.
    pub fn slice(&self, offset: usize, length: usize) -> ZSet {
        ZSet {
            batch: self.batch.slice(offset, length),
            weights: self.weights.as_ref().map(|weights| weights.slice(offset, length)),
        }
    }

    /// The sum of several Z-sets of one schema.
    pub fn concat(schema: &SchemaRef, parts: &[ZSet]) -> Result<ZSet> {
        let parts: Vec<&ZSet> = parts.iter().filter(|part| !part.is_empty()).collect();
        match parts.as_slice() {
            [] => return Ok(ZSet::empty(schema.clone())),
            [one] => return Ok((*one).clone()),
            _ => {}
        }
        let batch = concat_batches(schema, parts.iter().map(|part| &part.batch))?;
        if parts.iter().all(|part| part.weights.is_none()) {
            return Ok(ZSet::inserts(batch));
        }
        let weights: Vec<Int64Array> = parts.iter().map(|part| part.weight_array()).collect();
        let weights = concat(&weights.iter().map(|array| array as &dyn arrow::array::Array).collect::<Vec<_>>())?;
        let weights = weights.as_any().downcast_ref::<Int64Array>().cloned();
        Ok(ZSet { batch, weights })
    }

    /// The same Z-set with each row once and none of weight 0; the order of first appearance is kept.
    ///
    /// Rows are the same when nothing tells them apart ([`Equality::Exact`]): NULL is NULL, but -0.0 is not 0.0. They are
    /// compared only where their hashes are equal, and copied only if some of them go.
    pub fn consolidate(&self) -> Result<ZSet> {
        if self.len() <= 1 {
            return self.filter(&self.nonzero());
        }
        let columns: Vec<ArrayRef> = self.batch.columns().iter().map(|column| Equality::Exact.form(column)).collect();
        if columns.is_empty() {
            return self.consolidate_unit();
        }
        let hashes = hash_columns(&columns, self.len())?;
        let compare = columns.iter().map(|column| make_comparator(column, column, SortOptions::default()));
        let compare = compare.collect::<std::result::Result<Vec<_>, _>>()?;
        let mut first: HashTable<u32> = HashTable::with_capacity(self.len());
        let mut kept: Vec<(u32, i64)> = Vec::with_capacity(self.len());
        for (row, hash) in hashes.iter().enumerate() {
            let weight = self.weight(row);
            let same = |slot: &u32| {
                let other = kept[*slot as usize].0 as usize;
                hashes[other] == *hash && compare.iter().all(|compare| compare(other, row).is_eq())
            };
            match first.entry(*hash, same, |slot| hashes[kept[*slot as usize].0 as usize]) {
                Entry::Occupied(slot) => kept[*slot.get() as usize].1 += weight,
                Entry::Vacant(slot) => {
                    slot.insert(kept.len() as u32);
                    kept.push((row as u32, weight));
                }
            }
        }
        kept.retain(|(_, weight)| *weight != 0);
        if kept.len() == self.len() {
            return Ok(self.clone());
        }
        let rows = UInt32Array::from_iter_values(kept.iter().map(|(row, _)| *row));
        let weights = Int64Array::from_iter_values(kept.iter().map(|(_, weight)| *weight));
        Ok(ZSet::new(take_rows(&self.batch, &rows)?, weights))
    }

    /// Rows without columns are all equal.
    fn consolidate_unit(&self) -> Result<ZSet> {
        let sum: i64 = (0..self.len()).map(|row| self.weight(row)).sum();
        let rows = UInt32Array::from_iter_values((sum != 0).then_some(0));
        let batch = take_rows(&self.batch, &rows)?;
        Ok(ZSet::new(batch, Int64Array::from_iter_values((sum != 0).then_some(sum))))
    }

    fn nonzero(&self) -> BooleanArray {
        BooleanArray::from_iter((0..self.len()).map(|row| Some(self.weight(row) != 0)))
    }

    /// The relation that the Z-set is: each row as often as its weight says.
    ///
    /// # Errors
    /// XX000 when a weight is negative: a relation has no such row.
    pub fn expand(&self) -> Result<RecordBatch> {
        let Some(weights) = self.weights() else { return Ok(self.batch.clone()) };
        if weights.iter().all(|weight| *weight == 1) {
            return Ok(self.batch.clone());
        }
        let mut rows = Vec::with_capacity(weights.len());
        for (row, weight) in weights.iter().enumerate() {
            let times = usize::try_from(*weight).map_err(|_| Error::internal("a row has a negative weight"))?;
            rows.extend(std::iter::repeat_n(row as u32, times));
        }
        take_rows(&self.batch, &UInt32Array::from(rows))
    }

    /// The same rows under another schema that has the same Arrow types.
    pub fn with_schema(&self, schema: SchemaRef) -> Result<ZSet> {
        if Arc::ptr_eq(&schema, self.batch.schema_ref()) {
            return Ok(self.clone());
        }
        let options = RecordBatchOptions::new().with_row_count(Some(self.len()));
        let batch = RecordBatch::try_new_with_options(schema, self.batch.columns().to_vec(), &options)?;
        Ok(self.with_batch(batch))
    }
}

/// The rows at these positions, also of a batch without columns.
fn take_rows(batch: &RecordBatch, rows: &UInt32Array) -> Result<RecordBatch> {
    let columns = batch.columns().iter().map(|column| take(column, rows, None)).collect::<Result<Vec<_>, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
    Ok(RecordBatch::try_new_with_options(batch.schema(), columns, &options)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_rows_become_one_and_rows_that_differ_stay_as_they_are() {
        let schema = SchemaRef::new(arrow::datatypes::Schema::new(vec![
            arrow::datatypes::Field::new("a", arrow::datatypes::DataType::Float64, true),
            arrow::datatypes::Field::new("b", arrow::datatypes::DataType::Utf8, true),
        ]));
        let zset = |rows: &[(Option<f64>, &str, i64)]| {
            let floats: arrow::array::Float64Array = rows.iter().map(|(float, ..)| *float).collect();
            let texts: arrow::array::StringArray = rows.iter().map(|(_, text, _)| Some(*text)).collect();
            let batch = RecordBatch::try_new(schema.clone(), vec![Arc::new(floats), Arc::new(texts)]).unwrap();
            ZSet::new(batch, rows.iter().map(|(.., weight)| *weight).collect::<Vec<_>>().into())
        };
        let rows = [(Some(0.0), "x", 2), (None, "y", 1), (Some(1.0), "x", 1), (Some(0.0), "x", -3), (None, "y", -1)];
        let sum = zset(&rows).consolidate().unwrap();
        assert_eq!(
            (sum.batch(), sum.weights()),
            (zset(&[(Some(0.0), "x", -1), (Some(1.0), "x", 1)]).batch(), Some(&[-1, 1][..]))
        );
        // Equal is not the same, but no NaN differs from another.
        let rows = [(Some(0.0), "x", 1), (Some(-0.0), "x", -1), (Some(f64::NAN), "x", 1), (Some(-f64::NAN), "x", -1)];
        let sum = zset(&rows).consolidate().unwrap();
        assert_eq!((sum.batch(), sum.weights()), (zset(&rows[..2]).batch(), Some(&[1, -1][..])));
        let all = zset(&[(None, "x", 1), (Some(2.0), "x", -1), (None, "z", 3)]);
        let same = all.consolidate().unwrap();
        assert_eq!((same.batch(), same.weights()), (all.batch(), all.weights()));
        assert!(Arc::ptr_eq(same.column(0), all.column(0)), "nothing is copied");
        let zero = zset(&[(None, "x", 0), (None, "y", 1)]).consolidate().unwrap();
        assert_eq!((zero.len(), zero.weight(0)), (1, 1));
    }

    #[test]
    fn rows_without_columns_are_rows() {
        let options = RecordBatchOptions::new().with_row_count(Some(3));
        let schema = SchemaRef::new(arrow::datatypes::Schema::empty());
        let batch = RecordBatch::try_new_with_options(schema, vec![], &options).unwrap();
        let rows = ZSet::new(batch, Int64Array::from(vec![2, -1, 1]));
        let sum = rows.consolidate().unwrap();
        assert_eq!((sum.len(), sum.weight(0)), (1, 2));
        assert_eq!(sum.expand().unwrap().num_rows(), 2);
    }
}
