//! What was acknowledged is there again.

use crate::database::{open, run, session, sql, value};

const VIEWS: &str = "
    CREATE TABLE item (id int PRIMARY KEY, category text NOT NULL, price numeric(10, 2), note text DEFAULT 'none');
    CREATE MATERIALIZED VIEW per_category AS
        SELECT category, count(*) AS items, sum(price) AS total, min(price) AS least FROM item GROUP BY category;
    CREATE MATERIALIZED VIEW pairs AS
        SELECT a.id AS a, b.id AS b FROM item a JOIN item b ON a.category = b.category AND a.id < b.id;
    CREATE VIEW dear AS SELECT * FROM per_category WHERE total > 10;";

async fn state(session: &mut levada_engine::Session) -> Vec<Vec<String>> {
    let mut all = Vec::new();
    for query in [
        "SELECT * FROM item ORDER BY id",
        "SELECT * FROM per_category ORDER BY category",
        "SELECT * FROM pairs ORDER BY a, b",
        "SELECT * FROM dear ORDER BY category",
    ] {
        all.push(run(session, query).await);
    }
    all
}

/// Views equal the batch answer to their own queries.
async fn check_views(session: &mut levada_engine::Session) {
    let batch = "SELECT category, count(*), sum(price), min(price) FROM item GROUP BY category ORDER BY category";
    assert_eq!(run(session, "SELECT * FROM per_category ORDER BY category").await, run(session, batch).await);
    let batch = "SELECT a.id, b.id FROM item a JOIN item b ON a.category = b.category AND a.id < b.id ORDER BY 1, 2";
    assert_eq!(run(session, "SELECT * FROM pairs ORDER BY a, b").await, run(session, batch).await);
}

#[tokio::test]
async fn a_restart_brings_everything_back() {
    let directory = tempfile::tempdir().unwrap();
    let mut expected = Vec::new();
    // In turn: closed in order, left as a crash leaves it, with and without a checkpoint between.
    for round in 0..6 {
        let engine = open(directory.path());
        let mut ada = session(&engine);
        if round == 0 {
            run(&mut ada, VIEWS).await;
        } else {
            assert_eq!(state(&mut ada).await, expected, "round {round}");
        }
        let first = round * 100;
        let insert = format!(
            "INSERT INTO item (id, category, price) SELECT {first} + n, 'c' || n % 7, n * 1.25 FROM generate_series(1, 40) AS g(n)"
        );
        run(&mut ada, &insert).await;
        if round % 3 == 1 {
            run(&mut ada, "FLUSH").await;
        }
        run(&mut ada, &format!("UPDATE item SET price = price + 1, category = 'moved' WHERE id % 10 = {round}")).await;
        run(&mut ada, &format!("DELETE FROM item WHERE id % 9 = {round}")).await;
        check_views(&mut ada).await;
        expected = state(&mut ada).await;
        drop(ada);
        if round % 2 == 0 {
            engine.shutdown().await.unwrap();
        }
    }
}

#[tokio::test]
async fn what_was_dropped_stays_dropped() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path());
    let mut ada = session(&engine);
    run(&mut ada, VIEWS).await;
    run(&mut ada, "INSERT INTO item VALUES (1, 'a', 2.50, NULL)").await;
    run(&mut ada, "FLUSH").await;
    run(&mut ada, "DROP TABLE item CASCADE").await;
    drop((ada, engine));
    let engine = open(directory.path());
    let mut ada = session(&engine);
    for name in ["item", "per_category", "pairs", "dear"] {
        let error = sql(&mut ada, &format!("SELECT * FROM {name}")).await.unwrap_err();
        assert_eq!(error.sqlstate().code(), "42P01", "{name}");
    }
    run(&mut ada, VIEWS).await;
    assert_eq!(value(&mut ada, "SELECT count(*) FROM item").await, "0");
    engine.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_rolled_back_block_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path());
    let mut ada = session(&engine);
    run(&mut ada, VIEWS).await;
    run(&mut ada, "BEGIN").await;
    run(&mut ada, "INSERT INTO item VALUES (1, 'a', 2.50, NULL)").await;
    assert_eq!(value(&mut ada, "SELECT count(*) FROM item").await, "1");
    run(&mut ada, "ROLLBACK").await;
    assert_eq!(value(&mut ada, "SELECT count(*) FROM item").await, "0");
    drop((ada, engine));
    let mut ada = session(&open(directory.path()));
    assert_eq!(value(&mut ada, "SELECT count(*) FROM item").await, "0");
}

#[tokio::test]
async fn two_engines_do_not_share_a_directory() {
    let directory = tempfile::tempdir().unwrap();
    let _first = open(directory.path());
    let error = levada_engine::Engine::open(levada_engine::EngineOptions::new(directory.path())).err().unwrap();
    assert_eq!(error.sqlstate().code(), "55006");
}

/// The log's tail drops views, and the next start is cut short before any checkpoint.
#[tokio::test]
async fn a_start_that_is_cut_short_loses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path());
    let mut ada = session(&engine);
    run(&mut ada, VIEWS).await;
    run(&mut ada, "INSERT INTO item SELECT n, 'c' || n % 3, 1, NULL FROM generate_series(1, 90) AS g(n)").await;
    run(&mut ada, "FLUSH").await;
    run(&mut ada, "DELETE FROM item WHERE id <= 45").await;
    run(&mut ada, "DROP MATERIALIZED VIEW per_category CASCADE").await;
    run(&mut ada, "DROP MATERIALIZED VIEW pairs").await;
    drop((ada, engine));
    for _ in 0..3 {
        let mut ada = session(&open(directory.path()));
        assert_eq!(value(&mut ada, "SELECT count(*) FROM item").await, "45");
        assert!(run(&mut ada, "SHOW MATERIALIZED VIEWS").await.is_empty());
    }
}

/// A block that begins before the first step of a start reads one epoch too.
#[tokio::test]
async fn the_first_snapshot_stays_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path());
    let mut ada = session(&engine);
    run(&mut ada, "CREATE TABLE t (id int PRIMARY KEY)").await;
    run(&mut ada, "INSERT INTO t SELECT n FROM generate_series(1, 20000) AS g(n)").await;
    drop((ada, engine));
    let engine = open(directory.path());
    let (mut ada, mut bob) = (session(&engine), session(&engine));
    run(&mut ada, "BEGIN").await;
    assert_eq!(value(&mut ada, "SELECT count(*) FROM t").await, "20000");
    run(&mut bob, "DELETE FROM t WHERE id > 10").await;
    for id in 30_000..30_020 {
        run(&mut bob, &format!("INSERT INTO t VALUES ({id})")).await;
    }
    assert_eq!(value(&mut ada, "SELECT count(*) FROM t").await, "20000");
    run(&mut ada, "COMMIT").await;
    assert_eq!(value(&mut ada, "SELECT count(*) FROM t").await, "30");
}

/// Too much for a step is refused before it is in the log, which would bring it up again at every start.
#[tokio::test]
async fn a_transaction_that_is_too_large_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path());
    let mut ada = session(&engine);
    run(&mut ada, "CREATE TABLE t (text text)").await;
    let error =
        sql(&mut ada, "INSERT INTO t SELECT repeat('x', 100000000) FROM generate_series(1, 6)").await.unwrap_err();
    assert_eq!(error.sqlstate().code(), "54000");
    run(&mut ada, "INSERT INTO t VALUES ('y')").await;
    drop((ada, engine));
    let mut ada = session(&open(directory.path()));
    assert_eq!(value(&mut ada, "SELECT count(*) FROM t").await, "1");
}
