//! Savepoints: what ROLLBACK TO undoes, and what it keeps.

use crate::database::{open, run, session, sql, value};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rollback_to_undoes_rows_keys_failures_and_settings() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path());
    let mut ada = session(&engine);
    run(&mut ada, "CREATE TABLE t (id int PRIMARY KEY)").await;
    for statement in [
        "BEGIN",
        "INSERT INTO t VALUES (1)",
        "SAVEPOINT a",
        "SET application_name = 'inner'",
        "INSERT INTO t VALUES (2)",
        "SAVEPOINT a",
        "DELETE FROM t",
    ] {
        run(&mut ada, statement).await;
    }
    // The inner one is hidden no longer once it is released.
    run(&mut ada, "ROLLBACK TO a").await;
    assert_eq!(value(&mut ada, "SELECT count(*) FROM t").await, "2");
    run(&mut ada, "RELEASE a").await;
    run(&mut ada, "ROLLBACK TO a").await;
    assert_eq!(value(&mut ada, "SHOW application_name").await, "");
    assert_eq!(sql(&mut ada, "SELECT * FROM u").await.unwrap_err().sqlstate().code(), "42P01");
    // The failure is undone as well; the key 2 is free again, 1 is not.
    run(&mut ada, "ROLLBACK TO a").await;
    assert_eq!(sql(&mut ada, "INSERT INTO t VALUES (1)").await.unwrap_err().sqlstate().code(), "23505");
    run(&mut ada, "ROLLBACK TO SAVEPOINT a").await;
    run(&mut ada, "INSERT INTO t VALUES (2), (3)").await;
    run(&mut ada, "COMMIT").await;
    assert_eq!(value(&mut ada, "SELECT sum(id) FROM t").await, "6");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_another_commits_after_rollback_to_is_seen() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path());
    let (mut ada, mut bob) = (session(&engine), session(&engine));
    run(&mut ada, "CREATE TABLE t (id int PRIMARY KEY, v int)").await;
    run(&mut ada, "BEGIN").await;
    run(&mut ada, "SAVEPOINT a").await;
    run(&mut ada, "INSERT INTO t VALUES (1, 1)").await;
    run(&mut ada, "ROLLBACK TO a").await;
    run(&mut bob, "INSERT INTO t VALUES (1, 2)").await;
    assert_eq!(sql(&mut ada, "INSERT INTO t VALUES (1, 3)").await.unwrap_err().sqlstate().code(), "23505");
    run(&mut ada, "ROLLBACK TO a").await;
    run(&mut ada, "UPDATE t SET v = v + 10").await;
    run(&mut ada, "COMMIT").await;
    assert_eq!(value(&mut bob, "SELECT v FROM t").await, "12");
}
