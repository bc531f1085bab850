//! Tables with a connector and a primary key: of the messages with one key, the last one stands.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch, UInt32Array};
use arrow::compute::{filter_record_batch, not, take, take_record_batch};
use arrow::row::{RowConverter, SortField};

use crate::data::hash::canonical;
use crate::data::{Epoch, ZSet};
use crate::error::{Error, Result};
use crate::view::RowStore;

/// The change that messages make to a table: rows are put in place of those of the same key, or taken away.
///
/// A row that is put in place of itself stands twice in the change: it goes, and it comes.
///
/// `rows` are in the order of the messages; `deleted` marks those that take a key away, which need not be there.
pub fn change(
    store: &Arc<RowStore>,
    key: &[usize],
    rows: &RecordBatch,
    deleted: Option<&BooleanArray>,
    at: Epoch,
) -> Result<ZSet> {
    let last = last_of_each_key(key, rows)?;
    let rows = take_record_batch(rows, &last)?;
    let keys: Vec<ArrayRef> = key.iter().map(|column| rows.column(*column).clone()).collect();
    let index = store.add_index(key)?;
    let before = store.probe(&index, &keys, at, true)?;
    let before = before.rows(0..before.len(), None)?;
    let after = match deleted {
        Some(deleted) => {
            let deleted = take(deleted, &last, None)?;
            let deleted = deleted.as_any().downcast_ref::<BooleanArray>();
            let deleted = deleted.ok_or_else(|| Error::internal("deletions are not marked by booleans"))?;
            filter_record_batch(&rows, &not(deleted)?)?
        }
        None => rows,
    };
    let schema = store.schema().clone();
    let after = ZSet::inserts(after).with_schema(schema.clone())?;
    ZSet::concat(&schema, &[before.negate(), after])
}

/// Positions of the last row of each key, rising.
fn last_of_each_key(key: &[usize], rows: &RecordBatch) -> Result<UInt32Array> {
    let columns: Vec<ArrayRef> = key.iter().map(|column| canonical(rows.column(*column))).collect();
    let fields = columns.iter().map(|column| SortField::new(column.data_type().clone())).collect();
    let keys = RowConverter::new(fields)?.convert_columns(&columns)?;
    let mut last = HashMap::with_capacity(rows.num_rows());
    for (position, key) in keys.iter().enumerate() {
        last.insert(key, position as u32);
    }
    let mut positions: Vec<u32> = last.into_values().collect();
    positions.sort_unstable();
    Ok(UInt32Array::from(positions))
}
