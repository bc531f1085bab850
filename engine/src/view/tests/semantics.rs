//! Single rules of the row store, each by an example.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use crate::data::{Epoch, ZSet};
use crate::error::SqlState;
use crate::view::chunk::CHUNK_ROWS;
use crate::view::{Identity, RowStore};

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("k", DataType::Int64, true), Field::new("v", DataType::Utf8, true)]))
}

fn rows(keys: std::ops::Range<i64>, value: &str) -> RecordBatch {
    let values = StringArray::from_iter_values(keys.clone().map(|key| format!("{value}{key}")));
    RecordBatch::try_new(schema(), vec![Arc::new(Int64Array::from_iter_values(keys)), Arc::new(values)]).unwrap()
}

fn inserts(keys: std::ops::Range<i64>, value: &str) -> ZSet {
    ZSet::inserts(rows(keys, value))
}

fn keyed() -> Arc<RowStore> {
    Arc::new(RowStore::new(schema(), Identity::Key(vec![0])))
}

fn key(key: i64) -> [ArrayRef; 1] {
    [Arc::new(Int64Array::from(vec![key]))]
}

fn all(store: &Arc<RowStore>, at: u64) -> Vec<RecordBatch> {
    store.snapshot(Epoch(at)).batches().map(Result::unwrap).collect()
}

#[test]
fn a_change_that_does_not_fit_is_refused() {
    let store = keyed();
    store.apply(&inserts(0..3, "a"), Epoch(1)).unwrap();
    let absent = store.apply(&inserts(7..8, "a").negate(), Epoch(2)).unwrap_err();
    assert_eq!(absent.message(), "a row is deleted that is not there");
    let second = keyed();
    second.apply(&inserts(0..3, "a"), Epoch(1)).unwrap();
    let error = second.apply(&inserts(2..3, "b"), Epoch(2)).unwrap_err();
    assert_eq!(error.message(), "a second live row has the same primary key");
    let twice = ZSet::concat(&schema(), &[inserts(0..1, "a"), inserts(0..1, "b")]).unwrap();
    assert_eq!(keyed().apply(&twice, Epoch(1)).unwrap_err().sqlstate(), SqlState::INTERNAL_ERROR);
    let heavy = ZSet::new(rows(0..1, "a"), Int64Array::from(vec![2]));
    assert_eq!(keyed().apply(&heavy, Epoch(1)).unwrap_err().sqlstate(), SqlState::INTERNAL_ERROR);
    let past = keyed();
    past.apply(&inserts(0..1, "a"), Epoch(5)).unwrap();
    assert!(past.apply(&inserts(1..2, "a"), Epoch(4)).is_err());
}

#[test]
fn part_of_a_repeated_row_can_be_deleted() {
    let store = Arc::new(RowStore::new(schema(), Identity::FullRow));
    store.apply(&ZSet::new(rows(0..1, "a"), Int64Array::from(vec![3])), Epoch(1)).unwrap();
    store.apply(&inserts(0..1, "a"), Epoch(2)).unwrap();
    store.apply(&ZSet::new(rows(0..1, "a"), Int64Array::from(vec![-2])), Epoch(3)).unwrap();
    let counts: Vec<u64> = (0..4).map(|at| store.snapshot(Epoch(at)).row_count().unwrap()).collect();
    assert_eq!(counts, [0, 3, 4, 2]);
    assert_eq!(store.rows(), 2);
    assert!(store.apply(&ZSet::new(rows(0..1, "a"), Int64Array::from(vec![-3])), Epoch(4)).is_err());
}

#[test]
fn rows_without_columns_are_counted() {
    let store = Arc::new(RowStore::new(Arc::new(Schema::empty()), Identity::FullRow));
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(5));
    let batch = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), vec![], &options).unwrap();
    store.apply(&ZSet::inserts(batch.clone()), Epoch(1)).unwrap();
    store.apply(&ZSet::inserts(batch), Epoch(2)).unwrap();
    while store.compact(Epoch(2)).unwrap() {}
    assert_eq!(all(&store, 2).iter().map(RecordBatch::num_rows).sum::<usize>(), 10);
    let one = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), vec![], &options.with_row_count(Some(1)));
    store.apply(&ZSet::inserts(one.unwrap()).negate(), Epoch(3)).unwrap();
    assert_eq!(store.snapshot(Epoch(3)).row_count().unwrap(), 9);
}

#[test]
fn nothing_of_a_batch_is_pinned() {
    let store = keyed();
    let batch = rows(0..10_000, "some text");
    let before = Arc::strong_count(batch.column(1));
    store.apply(&ZSet::inserts(batch.slice(100, 7)), Epoch(1)).unwrap();
    assert_eq!(Arc::strong_count(batch.column(1)), before);
    let kept = &all(&store, 1)[0];
    assert!(kept.column(1).get_buffer_memory_size() < 1000, "{}", kept.column(1).get_buffer_memory_size());
}

#[test]
fn a_hot_key_is_found_at_every_epoch_until_compacted() {
    let store = keyed();
    store.apply(&inserts(0..1, "v0-"), Epoch(1)).unwrap();
    for epoch in 2..=100 {
        let (old, new) = (format!("v{}-", epoch - 2), format!("v{}-", epoch - 1));
        let update = ZSet::concat(&schema(), &[inserts(0..1, &old).negate(), inserts(0..1, &new)]).unwrap();
        store.apply(&update, Epoch(epoch)).unwrap();
    }
    let index = store.primary_index().unwrap();
    for at in 1..=100 {
        let found = store.snapshot(Epoch(at)).lookup(&index, &key(0)).unwrap();
        assert_eq!(found, rows(0..1, &format!("v{}-", at - 1)));
    }
    let held = store.snapshot(Epoch(50));
    let bytes = store.bytes();
    while store.compact(Epoch(100)).unwrap() {}
    assert!(store.bytes() < bytes, "{} bytes, before {bytes}", store.bytes());
    assert_eq!(held.lookup(&index, &key(0)).unwrap(), rows(0..1, "v49-"));
    assert_eq!(store.snapshot(Epoch(100)).lookup(&index, &key(0)).unwrap(), rows(0..1, "v99-"));
    let late = store.snapshot(Epoch(50));
    assert_eq!(late.lookup(&index, &key(0)).unwrap_err().sqlstate(), SqlState::SNAPSHOT_TOO_OLD);
    assert_eq!(late.batches().next().unwrap().unwrap_err().sqlstate(), SqlState::SNAPSHOT_TOO_OLD);
}

#[test]
fn small_changes_end_in_few_chunks_in_the_order_they_came() {
    let store = keyed();
    for epoch in 0..2000 {
        store.apply(&inserts(epoch..epoch + 1, "v"), Epoch(epoch as u64 + 1)).unwrap();
        store.compact(Epoch(epoch as u64)).unwrap();
    }
    let batches = all(&store, 2000);
    assert!(batches.len() <= 36, "{} chunks", batches.len());
    assert_eq!(arrow::compute::concat_batches(&schema(), &batches).unwrap(), rows(0..2000, "v"));
}

#[test]
fn a_large_change_is_cut_and_halves_are_freed() {
    let store = keyed();
    let many = 3 * CHUNK_ROWS as i64 / 2;
    store.apply(&inserts(0..many, "v"), Epoch(1)).unwrap();
    assert_eq!(all(&store, 1).len(), 2);
    let before = store.bytes();
    store.apply(&inserts(0..many - 10, "v").negate(), Epoch(2)).unwrap();
    assert_eq!(store.snapshot(Epoch(1)).row_count().unwrap(), many as u64);
    while store.compact(Epoch(1)).unwrap() {}
    assert_eq!(store.snapshot(Epoch(1)).row_count().unwrap(), many as u64);
    while store.compact(Epoch(2)).unwrap() {}
    assert!(store.bytes() < before * 2 / 3, "{} bytes, before {before}", store.bytes());
    assert_eq!(all(&store, 2), [rows(many - 10..many, "v")]);
    let index = store.primary_index().unwrap();
    let found = store.probe(&index, &key(many - 1), Epoch(2), false).unwrap();
    assert_eq!(found.rows(0..found.len(), Some(&[1])).unwrap().column(0).len(), 1);
}

#[test]
fn many_pairs_are_found_a_part_at_a_time() {
    let store = Arc::new(RowStore::new(schema(), Identity::FullRow));
    let index = store.add_index(&[0]).unwrap();
    let rows: i64 = 1100;
    let values = StringArray::from_iter_values((0..rows).map(|row| row.to_string()));
    let columns: Vec<ArrayRef> = vec![Arc::new(Int64Array::from(vec![7; rows as usize])), Arc::new(values)];
    store.apply(&ZSet::inserts(RecordBatch::try_new(schema(), columns).unwrap()), Epoch(1)).unwrap();
    // Some of the probing rows have no key, some meet nothing.
    let key = |row: i64| if row % 50 == 0 { None } else { Some(7 + i64::from(row % 70 == 0)) };
    let keys: Vec<Option<i64>> = (0..1500).map(key).collect();
    let (mut met, mut first, mut parts) = (vec![0; keys.len()], 0, 0);
    while first < keys.len() {
        let rest: ArrayRef = Arc::new(Int64Array::from(keys[first..].to_vec()));
        let (found, probed) = store.probe_some(&index, &[rest], Epoch(1), false).unwrap();
        found.probe_rows().iter().for_each(|row| met[first + *row as usize] += 1);
        assert!(probed > 0 && found.probe_rows().iter().all(|row| (*row as usize) < probed));
        (first, parts) = (first + probed, parts + 1);
    }
    assert!(parts > 1);
    assert!(keys.iter().zip(met).all(|(key, met)| met == if *key == Some(7) { rows } else { 0 }));
}
