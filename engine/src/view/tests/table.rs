//! Snapshots under DataFusion's eyes.

use std::sync::Arc;

use arrow::array::{AsArray, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::common::stats::Precision;
use datafusion::prelude::{SessionConfig, SessionContext};

use crate::data::{Epoch, ZSet};
use crate::view::{Identity, RowStore, SnapshotTable};

const ROWS: i64 = 200_000;

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("a", DataType::Int64, true), Field::new("b", DataType::Int64, true)]))
}

fn rows(range: std::ops::Range<i64>) -> RecordBatch {
    let a = Int64Array::from_iter_values(range.clone());
    let b = Int64Array::from_iter_values(range.map(|value| value % 7));
    RecordBatch::try_new(schema(), vec![Arc::new(a), Arc::new(b)]).unwrap()
}

/// 200,000 rows of which every seventh is gone at epoch 2, then one row that stands three times.
fn table(at: u64) -> SnapshotTable {
    let store = Arc::new(RowStore::new(schema(), Identity::FullRow));
    let all = rows(0..ROWS);
    store.apply(&ZSet::inserts(all.clone()), Epoch(1)).unwrap();
    let sevenths = Int64Array::from_iter_values((0..ROWS).map(|value| i64::from(value % 7 == 0)));
    let mask = sevenths.values().iter().map(|value| *value == 1).collect::<Vec<_>>();
    store.apply(&ZSet::inserts(all).filter(&mask.into()).unwrap().negate(), Epoch(2)).unwrap();
    store.apply(&ZSet::new(rows(-1..0), Int64Array::from(vec![3])), Epoch(3)).unwrap();
    SnapshotTable(store.snapshot(Epoch(at)))
}

async fn query(table: SnapshotTable, sql: &str) -> Vec<RecordBatch> {
    let context = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(4));
    context.register_table("t", Arc::new(table)).unwrap();
    // The SQL planner of DataFusion is not compiled in: plans are built.
    let data = context.table("t").await.unwrap();
    let data = match sql {
        "all" => data,
        "b" => data.select_columns(&["b"]).unwrap(),
        "limit" => data.limit(10, Some(100)).unwrap(),
        "count" => data
            .aggregate(vec![], vec![datafusion::functions_aggregate::expr_fn::count(datafusion::prelude::lit(1))])
            .unwrap(),
        other => panic!("no query {other}"),
    };
    data.collect().await.unwrap()
}

fn sum(batches: &[RecordBatch], column: usize) -> i64 {
    let columns = batches.iter().map(|batch| batch.column(column).as_primitive::<Int64Type>().values().to_vec());
    columns.flatten().sum()
}

fn count(batches: &[RecordBatch]) -> usize {
    batches.iter().map(RecordBatch::num_rows).sum()
}

#[tokio::test]
async fn queries_see_their_epoch() {
    let all: i64 = (0..ROWS).sum();
    let gone: i64 = (0..ROWS).filter(|value| value % 7 == 0).sum();
    let batches = query(table(1), "all").await;
    assert_eq!((count(&batches), sum(&batches, 0)), (ROWS as usize, all));
    let batches = query(table(2), "all").await;
    assert_eq!(sum(&batches, 0), all - gone);
    let batches = query(table(3), "all").await;
    assert_eq!(sum(&batches, 0), all - gone - 3);
    let batches = query(table(3), "b").await;
    assert_eq!(batches[0].num_columns(), 1);
    assert_eq!(sum(&batches, 0), (0..ROWS).map(|value| value % 7).sum::<i64>() - 3);
}

#[tokio::test]
async fn limits_and_counts_are_exact() {
    assert_eq!(count(&query(table(2), "limit").await), 100);
    let left = ROWS - (0..ROWS).filter(|value| value % 7 == 0).count() as i64 + 3;
    assert_eq!(sum(&query(table(3), "count").await, 0), left);
    assert_eq!(table(3).statistics().unwrap().num_rows, Precision::Exact(left as usize));
    let context = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(4));
    let scan = table(3).scan(&context.state(), Some(&vec![]), &[], None).await.unwrap();
    assert_eq!(scan.properties().partitioning.partition_count(), 4);
    let batches = datafusion::physical_plan::collect(scan, context.task_ctx()).await.unwrap();
    assert_eq!(count(&batches), left as usize);
}
