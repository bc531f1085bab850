//! What no statement can bring about, and must not hurt all the same.

mod corruption;
mod damage;
mod indexes;
mod sources;
mod suspension;

use std::path::Path;
use std::sync::Arc;

use arrow::array::{Int32Array, RecordBatch, RecordBatchOptions};
use arrow::datatypes::Schema;
use futures::TryStreamExt;

use super::*;
use crate::data::ZSet;
use crate::engine::storage::{Storage, StorageSizes};
use crate::session::Response;

fn open(directory: &Path) -> Engine {
    let options = EngineOptions { step_threads: 1, query_threads: 1, ..EngineOptions::new(directory) };
    Engine::open(options).unwrap()
}

fn session(engine: &Engine) -> Session {
    let params = SessionParams { user: "ada".into(), database: "levada".into(), ..SessionParams::default() };
    engine.session(params).unwrap()
}

/// The rows of a statement, each value as text.
async fn run(engine: &Engine, sql: &str) -> Vec<String> {
    let mut session = session(engine);
    let mut found = Vec::new();
    for statement in session.parse(sql).await.unwrap() {
        if let Response::Rows { rows, .. } = session.simple(&statement).await.unwrap() {
            let batches: Vec<RecordBatch> = rows.try_collect().await.unwrap();
            for batch in batches {
                let text =
                    |row, column| arrow::util::display::array_value_to_string(batch.column(column), row).unwrap();
                let line = |row| (0..batch.num_columns()).map(|column| text(row, column)).collect::<Vec<_>>().join("|");
                found.extend((0..batch.num_rows()).map(line));
            }
        }
    }
    found
}

/// The error of a statement.
async fn refusal(engine: &Engine, sql: &str) -> Error {
    let mut session = session(engine);
    let statements = session.parse(sql).await.unwrap();
    match session.simple(&statements[0]).await {
        Ok(Response::Rows { rows, .. }) => rows.try_collect::<Vec<RecordBatch>>().await.unwrap_err(),
        Ok(_) => panic!("{sql} is accepted"),
        Err(error) => error,
    }
}

fn table(engine: &Engine, name: &str) -> ObjectId {
    engine.0.snapshot().catalog.by_name(name).unwrap().id
}

/// Rows of one integer column.
fn rows(engine: &Engine, table: ObjectId, values: Vec<i32>) -> ZSet {
    let schema = engine.0.snapshot().catalog.by_id(table).unwrap().schema.arrow();
    ZSet::inserts(RecordBatch::try_new(schema, vec![Arc::new(Int32Array::from(values))]).unwrap())
}

/// A row goes that is not there: nothing refuses it before the step.
fn impossible(engine: &Engine, table: ObjectId) -> Vec<Operation> {
    vec![Operation::Write { table, change: rows(engine, table, vec![-1]).negate() }]
}

async fn commit(engine: &Engine, operations: Vec<Operation>) -> Result<Arc<Snapshot>> {
    engine.0.commit(operations, Locks::default()).await
}

/// How many entries the log ever had, of a database that is closed.
fn logged(directory: &Path) -> u64 {
    Storage::open(directory, StorageSizes::default()).unwrap().log.last().0
}

#[tokio::test]
async fn a_transaction_that_cannot_be_is_not_logged() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path());
    run(&engine, "CREATE TABLE t (a int); CREATE MATERIALIZED VIEW v AS SELECT sum(a) AS s FROM t").await;
    let t = table(&engine, "t");
    for round in 1..=6 {
        let insert = |value| vec![Operation::Write { table: t, change: rows(&engine, t, vec![value]) }];
        // Together in one step, as likely as not.
        let (before, failed, after) = tokio::join!(
            commit(&engine, insert(1)),
            commit(&engine, impossible(&engine, t)),
            commit(&engine, insert(10))
        );
        assert!(before.is_ok() && after.is_ok());
        let error = failed.err().unwrap();
        assert_eq!(error.sqlstate().code(), "XX000", "{error}");
        assert_eq!(run(&engine, "SELECT s FROM v").await, [(11 * round).to_string()]);
    }
    run(&engine, "INSERT INTO t VALUES (100)").await;
    drop(engine);
    // The table, the view, two a round, and the last.
    assert_eq!(logged(directory.path()), 2 + 6 * 2 + 1);
    let engine = open(directory.path());
    assert_eq!(run(&engine, "SELECT s FROM v").await, ["166"]);
    run(&engine, "FLUSH").await;
    assert_eq!(run(&engine, "SELECT s FROM v").await, ["166"]);
}

/// Steps that fail again and again, less than a second apart, go back to ever later checkpoints.
#[tokio::test]
async fn failures_do_not_put_checkpoints_off() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path());
    run(&engine, "CREATE TABLE t (a int)").await;
    let t = table(&engine, "t");
    let begun = std::time::Instant::now();
    while run(&engine, "SELECT count(*) > 1 FROM levada_catalog.checkpoints").await != ["true"] {
        assert!(begun.elapsed() < Duration::from_secs(60), "there is no checkpoint");
        run(&engine, "INSERT INTO t VALUES (1)").await;
        assert!(commit(&engine, impossible(&engine, t)).await.is_err());
    }
}

/// A key that only a transaction before makes free is not free when that one fails.
#[tokio::test]
async fn what_follows_one_that_cannot_be_is_looked_at_anew() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path());
    run(&engine, "CREATE TABLE k (a int PRIMARY KEY); CREATE TABLE t (a int); INSERT INTO k VALUES (1)").await;
    let (k, t) = (table(&engine, "k"), table(&engine, "t"));
    let gone = Operation::Write { table: k, change: rows(&engine, k, vec![1]).negate() };
    let first = [vec![gone], impossible(&engine, t)].concat();
    let again = vec![Operation::Write { table: k, change: rows(&engine, k, vec![1]) }];
    let (first, again) = tokio::join!(commit(&engine, first), commit(&engine, again));
    assert_eq!(first.err().unwrap().sqlstate().code(), "XX000");
    assert_eq!(again.err().unwrap().sqlstate().code(), "23505");
    assert_eq!(run(&engine, "SELECT a FROM k").await, ["1"]);
}

#[tokio::test]
async fn what_is_logged_is_not_given_up() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path());
    run(&engine, "CREATE TABLE t (a int)").await;
    let t = table(&engine, "t");
    let group = [impossible(&engine, t)];
    drop(engine);
    let records = record::transactions(group.iter().map(Vec::as_slice)).unwrap();
    Storage::open(directory.path(), StorageSizes::default()).unwrap().log.append(&records).unwrap();
    for _ in 0..2 {
        let error = Engine::open(EngineOptions::new(directory.path())).err().unwrap();
        assert!(error.detail().is_some_and(|detail| detail.contains("cannot be applied")), "{error}");
    }
}

#[tokio::test]
async fn a_panic_is_an_error_of_its_statement() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path());
    run(&engine, "CREATE TABLE k (a int PRIMARY KEY); INSERT INTO k VALUES (1)").await;
    let k = table(&engine, "k");
    // Rows without columns have no key to look at.
    let options = RecordBatchOptions::new().with_row_count(Some(1));
    let empty = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), Vec::new(), &options).unwrap();
    let operations = vec![Operation::Write { table: k, change: ZSet::inserts(empty) }];
    let error = commit(&engine, operations).await.err().unwrap();
    assert_eq!(error.sqlstate().code(), "XX000");
    assert!(error.message().contains("panicked"), "{error}");
    run(&engine, "INSERT INTO k VALUES (2)").await;
    assert_eq!(run(&engine, "SELECT a FROM k ORDER BY a").await, ["1", "2"]);
    engine.shutdown().await.unwrap();
    drop(engine);
    assert_eq!(logged(directory.path()), 3);
}
