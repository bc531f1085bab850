//! Messages that are no rows: kept as rows of `levada_catalog.source_errors`.

use std::sync::Arc;

use arrow::array::{
    Array, AsArray, BinaryArray, BooleanArray, Int32Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray, UInt32Array,
};
use arrow::compute::filter_record_batch;
use arrow::datatypes::Int64Type;

use crate::catalog::{SOURCE_ERRORS, source_errors};
use crate::data::{Epoch, ObjectId, ZSet};
use crate::engine::Operation;
use crate::engine::dataflows::Stores;
use crate::error::Result;
use crate::source::{BadRecord, LostRange};
use crate::view::RowStore;

/// Messages that are kept; older ones go.
const KEPT: u64 = 100_000;
/// Epochs and the messages of one of them share the number of a row.
const NUMBERS_PER_EPOCH: i64 = 1 << 24;

/// What messages that are no rows write, to a step that follows `epoch`; older ones make room.
pub fn operations(stores: &Stores, epoch: Epoch, bad: &[(ObjectId, String, BadRecord)]) -> Result<Vec<Operation>> {
    let Some(store) = stores.get(&SOURCE_ERRORS).filter(|_| !bad.is_empty()) else { return Ok(Vec::new()) };
    let write = |change| Operation::Write { table: SOURCE_ERRORS, change };
    let mut operations = vec![write(ZSet::inserts(rows(epoch.next(), bad)?))];
    operations.extend(expired(store, epoch)?.map(write));
    Ok(operations)
}

/// What is kept of messages that are lost: where they were.
pub fn lost(range: &LostRange) -> BadRecord {
    let (partition, offset, error) = (range.partition, range.from, range.to_string());
    BadRecord { partition, offset, timestamp_ms: None, key: None, value: None, error }
}

/// The rows of messages that came in at an epoch.
fn rows(epoch: Epoch, bad: &[(ObjectId, String, BadRecord)]) -> Result<RecordBatch> {
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

/// Bytes of keys, values and errors that are kept.
const KEPT_BYTES: u64 = 64 << 20;

/// The change that makes room when there are too many, or too large ones: the oldest go, down to what is kept.
fn expired(store: &Arc<RowStore>, at: Epoch) -> Result<Option<ZSet>> {
    if store.rows() < KEPT + KEPT / 8 && store.bytes() < 2 * KEPT_BYTES {
        return Ok(None);
    }
    older(store, at, KEPT, KEPT_BYTES)
}

/// The change that leaves the newest messages, as many as both limits allow; None when that is all of them.
fn older(store: &Arc<RowStore>, at: Epoch, most: u64, most_bytes: u64) -> Result<Option<ZSet>> {
    let batches = store.snapshot(at).batches().collect::<Result<Vec<_>>>()?;
    let mut all: Vec<(i64, u64)> = batches.iter().flat_map(sizes).collect();
    all.sort_unstable_by_key(|(number, _)| std::cmp::Reverse(*number));
    let (mut count, mut bytes) = (0, 0);
    let first_gone = all.iter().find(|(_, size)| {
        count += 1;
        bytes += size;
        count > most || bytes > most_bytes
    });
    let Some((newest_gone, _)) = first_gone else { return Ok(None) };
    let mut gone = Vec::with_capacity(batches.len());
    for batch in &batches {
        let numbers = batch.column(0).as_primitive::<Int64Type>();
        let old: BooleanArray = numbers.values().iter().map(|number| Some(number <= newest_gone)).collect();
        gone.push(ZSet::inserts(filter_record_batch(batch, &old)?).negate());
    }
    Ok(Some(ZSet::concat(store.schema(), &gone)?))
}

/// The number of each row, and the bytes of its key, value and error.
fn sizes(batch: &RecordBatch) -> Vec<(i64, u64)> {
    let numbers = batch.column(0).as_primitive::<Int64Type>();
    let (keys, values) = (batch.column(6).as_binary::<i32>(), batch.column(7).as_binary::<i32>());
    let errors = batch.column(8).as_string::<i32>();
    let size = |row| keys.value_length(row) + values.value_length(row) + errors.value_length(row);
    (0..batch.num_rows()).map(|row| (numbers.value(row), size(row).unsigned_abs().into())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::Identity;

    fn numbers(change: &ZSet) -> Vec<i64> {
        let mut numbers = change.column(0).as_primitive::<Int64Type>().values().to_vec();
        numbers.sort_unstable();
        numbers
    }

    fn record(at: i64) -> BadRecord {
        BadRecord {
            partition: 0,
            offset: at,
            timestamp_ms: None,
            key: None,
            value: Some(vec![b'x'; 90].into()),
            error: "not JSON ..".into(),
        }
    }

    #[test]
    fn the_newest_are_kept() {
        let store = Arc::new(RowStore::new(source_errors().schema.arrow(), Identity::Key(vec![0])));
        for epoch in 1..=3 {
            let bad: Vec<_> = (0..4).map(|at| (ObjectId(20_000), "s".to_owned(), record(at))).collect();
            store.apply(&ZSet::inserts(rows(Epoch(epoch), &bad).unwrap()), Epoch(epoch)).unwrap();
        }
        let number = |epoch: i64, at: i64| epoch * NUMBERS_PER_EPOCH + at;
        // Each has 101 bytes.
        assert!(older(&store, Epoch(3), 12, 12 * 101).unwrap().is_none());
        let first: Vec<i64> = (0..4).map(|at| number(1, at)).collect();
        assert_eq!(numbers(&older(&store, Epoch(3), 8, u64::MAX).unwrap().unwrap()), first);
        assert_eq!(numbers(&older(&store, Epoch(3), 100, 8 * 101 + 50).unwrap().unwrap()), first);
        let change = older(&store, Epoch(3), 100, 7 * 101).unwrap().unwrap();
        assert_eq!(numbers(&change).last(), Some(&number(2, 0)));
        store.apply(&change, Epoch(4)).unwrap();
        assert_eq!(store.rows(), 7);
        assert!(expired(&store, Epoch(4)).unwrap().is_none());
    }
}
