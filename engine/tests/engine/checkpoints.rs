//! When checkpoints are begun.

use std::time::{Duration, Instant};

use levada_engine::{Engine, EngineOptions};

use crate::database::{open, run, session, value};

const SUMS: &str = "SELECT k, count(*) AS n, sum(v) AS s FROM t GROUP BY k";

/// Changes that take as much memory as they may do not wait for the time of the next checkpoint; and where another is being
/// written, those who bring more of them wait, and nobody else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_no_checkpoint_has_is_bounded() {
    let directory = tempfile::tempdir().unwrap();
    let options = EngineOptions { unsaved_memory: 1, query_threads: 1, ..EngineOptions::new(directory.path()) };
    let engine = Engine::open(options).unwrap();
    let mut ada = session(&engine);
    run(&mut ada, "CREATE TABLE t (k int, v int)").await;
    run(&mut ada, &format!("CREATE MATERIALIZED VIEW sums AS {SUMS}")).await;
    // Without a bound there is one a second at most.
    let soon = "SELECT count(*) FROM levada_catalog.checkpoints a JOIN levada_catalog.checkpoints b
        ON a.began_at > b.finished_at AND a.began_at - b.began_at < '0.9 s'";
    let (begun, mut rounds) = (Instant::now(), 0);
    while value(&mut ada, soon).await == "0" {
        assert!(begun.elapsed() < Duration::from_secs(60));
        let writers = (0..4).map(|writer| {
            let mut writer_session = session(&engine);
            tokio::spawn(async move {
                for part in 0..20 {
                    let first = (writer * 20 + part) * 100;
                    let rows = format!("SELECT n, 1 FROM generate_series({first}, {first} + 99) AS g(n)");
                    run(&mut writer_session, &format!("INSERT INTO t {rows}")).await;
                }
            })
        });
        for writer in writers.collect::<Vec<_>>() {
            writer.await.unwrap();
        }
        rounds += 1;
        assert_eq!(value(&mut ada, "SELECT count(*) FROM t").await, (8000 * rounds).to_string());
    }
    drop((ada, engine));
    let engine = open(directory.path());
    let mut ada = session(&engine);
    let right = format!("SELECT count(*) FROM sums WHERE n = {rounds} AND s = {rounds}");
    assert_eq!(value(&mut ada, &right).await, "8000");
}

/// Transactions that wait for a checkpoint get an answer when the server stops.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_for_a_checkpoint_is_told_of_the_end() {
    let directory = tempfile::tempdir().unwrap();
    let options = EngineOptions { unsaved_memory: 0, query_threads: 1, ..EngineOptions::new(directory.path()) };
    let engine = Engine::open(options).unwrap();
    let mut ada = session(&engine);
    run(&mut ada, "CREATE TABLE t (k int, v int)").await;
    let writers = (0..8).map(|writer| {
        let mut writer_session = session(&engine);
        tokio::spawn(async move {
            for part in 0.. {
                let insert = format!("INSERT INTO t VALUES ({writer}, {part})");
                if let Err(error) = crate::database::sql(&mut writer_session, &insert).await {
                    return (part, error.sqlstate().code().to_owned());
                }
            }
            unreachable!("integers end")
        })
    });
    let writers: Vec<_> = writers.collect();
    let begun = Instant::now();
    while value(&mut ada, "SELECT count(*) > 20 FROM t").await != "t" {
        assert!(begun.elapsed() < Duration::from_secs(60));
    }
    engine.shutdown().await.unwrap();
    let mut acknowledged = 0;
    for writer in writers {
        let (rows, code) = writer.await.unwrap();
        assert_eq!(code, "57P01");
        acknowledged += rows;
    }
    drop((ada, engine));
    let engine = open(directory.path());
    assert_eq!(value(&mut session(&engine), "SELECT count(*) FROM t").await, acknowledged.to_string());
}

/// What comes while a checkpoint is being written waits for it where there is too much: of two transactions, the first is
/// durable before the second is made.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_come_no_faster_than_they_are_written() {
    let directory = tempfile::tempdir().unwrap();
    let options = EngineOptions { unsaved_memory: 0, query_threads: 1, ..EngineOptions::new(directory.path()) };
    let engine = Engine::open(options).unwrap();
    let mut ada = session(&engine);
    run(&mut ada, "CREATE TABLE t (k int)").await;
    for k in 0..200 {
        run(&mut ada, &format!("INSERT INTO t VALUES ({k})")).await;
        let behind = "SELECT epoch - durable_epoch <= 1 FROM levada_catalog.engine";
        assert_eq!(value(&mut ada, behind).await, "t", "after {k}");
    }
}
