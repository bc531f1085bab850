//! Internal consistency: money moves between accounts, and no reader ever sees a total that is not 0.
//!
//! The test is Jamie Brandon's, <https://www.scattered-thoughts.net/writing/internal-consistency-in-streaming-systems/>.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::database::{open, run, session, sql, value};

const ACCOUNTS: i64 = 10;
const TRANSFERS: i64 = 60;
const WRITERS: i64 = 3;

const SCHEMA: &str = "
    CREATE TABLE transfer (id int PRIMARY KEY, source int, target int, amount int);
    CREATE MATERIALIZED VIEW credit AS SELECT target AS account, sum(amount) AS credits FROM transfer GROUP BY target;
    CREATE MATERIALIZED VIEW debit AS SELECT source AS account, sum(amount) AS debits FROM transfer GROUP BY source;
    CREATE MATERIALIZED VIEW balance AS
        SELECT credit.account, credits - debits AS balance FROM credit JOIN debit ON credit.account = debit.account;
    CREATE MATERIALIZED VIEW total AS SELECT sum(balance) AS total FROM balance;";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_read_sees_the_same_money() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path());
    let mut ada = session(&engine);
    run(&mut ada, SCHEMA).await;
    // So that every account has a row in both views from the start.
    let seed = "INSERT INTO transfer SELECT -n, n, n, 1 FROM generate_series(1, 10) AS g(n)";
    run(&mut ada, seed).await;
    let done = Arc::new(AtomicBool::new(false));
    let reader = {
        let (engine, done) = (engine.clone(), done.clone());
        tokio::spawn(async move {
            let mut eve = session(&engine);
            let mut reads = 0;
            while !done.load(Ordering::Acquire) || reads < 10 {
                let together = "SELECT (SELECT sum(balance) FROM balance), (SELECT total FROM total), \
                                (SELECT sum(credits) FROM credit) - (SELECT sum(debits) FROM debit)";
                assert_eq!(value(&mut eve, together).await, "0|0|0");
                reads += 1;
            }
        })
    };
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let engine = engine.clone();
            tokio::spawn(async move {
                let mut bob = session(&engine);
                for n in 0..TRANSFERS {
                    let (id, source) = (writer * 1000 + n, (n * 7 + writer) % ACCOUNTS + 1);
                    let (target, amount) = ((n * 3 + 2 * writer) % ACCOUNTS + 1, n * 13 % 50);
                    let insert = format!("INSERT INTO transfer VALUES ({id}, {source}, {target}, {amount})");
                    run(&mut bob, &insert).await;
                    assert_eq!(value(&mut bob, &format!("SELECT count(*) FROM transfer WHERE id = {id}")).await, "1");
                    if n % 5 == 0 {
                        let update = format!("UPDATE transfer SET amount = amount + 1 WHERE id = {id}");
                        run(&mut bob, &update).await;
                    }
                    if n % 11 == 0 {
                        run(&mut bob, &format!("DELETE FROM transfer WHERE id = {id}")).await;
                    }
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    done.store(true, Ordering::Release);
    reader.await.unwrap();
    let left = TRANSFERS - (TRANSFERS + 10) / 11;
    assert_eq!(value(&mut ada, "SELECT count(*) FROM transfer").await, (left * WRITERS + 10).to_string());
    engine.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_updates_are_all_counted() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path());
    let mut ada = session(&engine);
    run(&mut ada, "CREATE TABLE counter (id int PRIMARY KEY, n int); INSERT INTO counter VALUES (1, 0)").await;
    let writers: Vec<_> = (0..4)
        .map(|_| {
            let engine = engine.clone();
            tokio::spawn(async move {
                let mut bob = session(&engine);
                for _ in 0..25 {
                    run(&mut bob, "UPDATE counter SET n = n + 1").await;
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    assert_eq!(value(&mut ada, "SELECT n FROM counter").await, "100");
}

#[tokio::test]
async fn of_two_blocks_that_change_a_row_one_fails() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path());
    let (mut ada, mut bob) = (session(&engine), session(&engine));
    run(&mut ada, "CREATE TABLE t (id int PRIMARY KEY, n int); INSERT INTO t VALUES (1, 0)").await;
    run(&mut ada, "BEGIN").await;
    assert_eq!(value(&mut ada, "SELECT n FROM t").await, "0");
    run(&mut bob, "UPDATE t SET n = 5").await;
    assert_eq!(value(&mut ada, "SELECT n FROM t").await, "0");
    let error = sql(&mut ada, "UPDATE t SET n = n + 1").await.unwrap_err();
    assert_eq!(error.sqlstate().code(), "40001");
    let error = sql(&mut ada, "SELECT 1").await.unwrap_err();
    assert_eq!(error.sqlstate().code(), "25P02");
    run(&mut ada, "ROLLBACK").await;
    run(&mut ada, "UPDATE t SET n = n + 1").await;
    assert_eq!(value(&mut bob, "SELECT n FROM t").await, "6");
}
