//! Messages that are no rows: kept as rows of `levada_catalog.source_errors`.

use std::sync::Arc;

use arrow::array::{
    Array, AsArray, BinaryArray, BooleanArray, Int32Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray, UInt32Array,
};
use arrow::compute::filter_record_batch;
use arrow::datatypes::Int64Type;

use crate::catalog::source_errors;
use crate::data::{Epoch, ObjectId, ZSet};
use crate::error::Result;
use crate::source::BadRecord;
use crate::view::RowStore;

/// Messages that are kept; older ones go.
const KEPT: u64 = 100_000;
/// Epochs and the messages of one of them share the number of a row.
const NUMBERS_PER_EPOCH: i64 = 1 << 24;

/// The rows of messages that came in at an epoch.
pub fn rows(epoch: Epoch, bad: &[(ObjectId, &str, BadRecord)]) -> Result<RecordBatch> {
    let first = (epoch.0 as i64).wrapping_mul(NUMBERS_PER_EPOCH);
    let each = || bad.iter().map(|(_, _, record)| record);
    let columns: Vec<Arc<dyn Array>> = vec![
        Arc::new(Int64Array::from_iter_values((0..bad.len() as i64).map(|number| first + number))),
        Arc::new(UInt32Array::from_iter_values(bad.iter().map(|(id, _, _)| id.0))),
        Arc::new(StringArray::from_iter_values(bad.iter().map(|(_, name, _)| name))),
        Arc::new(Int32Array::from_iter_values(each().map(|record| record.partition))),
        Arc::new(Int64Array::from_iter_values(each().map(|record| record.offset))),
        Arc::new(
            TimestampMicrosecondArray::from_iter(
                each().map(|record| record.timestamp_ms.and_then(|ms| ms.checked_mul(1000))),
            )
            .with_timezone("UTC"),
        ),
        Arc::new(BinaryArray::from_iter(each().map(|record| record.key.as_deref()))),
        Arc::new(BinaryArray::from_iter(each().map(|record| record.value.as_deref()))),
        Arc::new(StringArray::from_iter_values(each().map(|record| record.error.as_str()))),
    ];
    Ok(RecordBatch::try_new(source_errors().schema.arrow(), columns)?)
}

/// The change that makes room when there are too many: the oldest go, down to what is kept.
pub fn expired(store: &Arc<RowStore>, at: Epoch) -> Result<Option<ZSet>> {
    if store.rows() < KEPT + KEPT / 8 {
        return Ok(None);
    }
    let batches = store.snapshot(at).batches().collect::<Result<Vec<_>>>()?;
    let numbers = |batch: &RecordBatch| batch.column(0).as_primitive::<Int64Type>().clone();
    let mut all: Vec<i64> = batches.iter().flat_map(|batch| numbers(batch).values().to_vec()).collect();
    all.sort_unstable();
    let Some(oldest_kept) = all.len().checked_sub(KEPT as usize).and_then(|first| all.get(first)) else {
        return Ok(None);
    };
    let mut gone = Vec::with_capacity(batches.len());
    for batch in &batches {
        let old: BooleanArray = numbers(batch).values().iter().map(|number| Some(number < oldest_kept)).collect();
        gone.push(ZSet::inserts(filter_record_batch(batch, &old)?).negate());
    }
    Ok(Some(ZSet::concat(store.schema(), &gone)?))
}
