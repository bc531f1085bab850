//! Statements that sleep end when they are told to, and leave their threads to others.

use crate::database::{open, run, session, sql};

/// More than there are query threads.
const SLEEPERS: usize = 40;
/// Seconds, far more than anything here takes: who is not woken has no error.
const LONG: u32 = 60;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sleeping_statement_ends_when_its_time_is_up() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path());
    let mut ada = session(&engine);
    run(&mut ada, "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1), (2)").await;
    assert_eq!(run(&mut ada, "SELECT id, pg_sleep(0.001) FROM t WHERE id = 1").await, ["1|"]);
    run(&mut ada, "SET statement_timeout = 5").await;
    for asleep in 0..SLEEPERS {
        let of_row = if asleep % 2 == 0 { "" } else { "FROM t WHERE id = 1" };
        let error = sql(&mut ada, &format!("SELECT pg_sleep({LONG}) {of_row}")).await.unwrap_err();
        assert_eq!(error.sqlstate().code(), "57014");
    }
    run(&mut ada, "RESET statement_timeout").await;
    assert_eq!(run(&mut ada, "SELECT count(*) FROM t").await, ["2"]);
    let cancel = ada.cancel_handle();
    let asleep = tokio::spawn(async move { sql(&mut ada, &format!("SELECT pg_sleep({LONG})")).await });
    while !asleep.is_finished() {
        cancel.cancel();
        tokio::task::yield_now().await;
    }
    assert_eq!(asleep.await.unwrap().unwrap_err().sqlstate().code(), "57014");
    let error =
        sql(&mut session(&engine), "CREATE MATERIALIZED VIEW v AS SELECT pg_sleep(1) FROM t").await.unwrap_err();
    assert_eq!(error.sqlstate().code(), "0A000");
    engine.shutdown().await.unwrap();
}
