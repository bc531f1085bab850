//! Sinks over restarts, and what EXPLAIN says of a dataflow.

use crate::database::{open, run, session, value};

async fn taken(session: &mut levada_engine::Session) -> Vec<String> {
    run(session, "SELECT name, inserted, deleted FROM levada_catalog.sinks ORDER BY name").await
}

#[tokio::test]
async fn a_sink_goes_on_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path());
    let mut ada = session(&engine);
    run(&mut ada, "CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t VALUES (1, 10), (2, 20)").await;
    run(&mut ada, "CREATE SINK mapped AS SELECT id, v * 2 AS w FROM t WITH (connector = 'blackhole')").await;
    let grouped = "CREATE SINK grouped AS SELECT v, count(*) AS n FROM t GROUP BY v WITH (connector = 'blackhole')";
    run(&mut ada, grouped).await;
    run(&mut ada, "CREATE SINK gone FROM t WITH (connector = 'blackhole')").await;
    run(&mut ada, "FLUSH").await;
    run(&mut ada, "DROP SINK gone; INSERT INTO t VALUES (3, 10)").await;
    assert_eq!(taken(&mut ada).await, ["grouped|3|1", "mapped|3|0"]);
    drop((ada, engine));

    // As after a crash: the log's tail is applied again, and counted from what the checkpoint has.
    let engine = open(directory.path());
    let mut ada = session(&engine);
    assert_eq!(taken(&mut ada).await, ["grouped|3|1", "mapped|3|0"]);
    assert_eq!(run(&mut ada, "SHOW SINKS").await, ["grouped", "mapped"]);
    drop(ada);
    engine.shutdown().await.unwrap();
    drop(engine);

    let engine = open(directory.path());
    let mut ada = session(&engine);
    assert_eq!(taken(&mut ada).await, ["grouped|3|1", "mapped|3|0"]);
    run(&mut ada, "DELETE FROM t WHERE id = 1").await;
    assert_eq!(taken(&mut ada).await, ["grouped|4|2", "mapped|3|1"]);
    let state = "SELECT string_agg(name || CASE WHEN state_bytes > 0 THEN '+' ELSE '-' END, ' ' ORDER BY name) \
                 FROM levada_catalog.sinks";
    run(&mut ada, "FLUSH").await;
    assert_eq!(value(&mut ada, state).await, "grouped+ mapped-");
    run(&mut ada, "DROP TABLE t CASCADE").await;
    assert!(taken(&mut ada).await.is_empty());
}

#[tokio::test]
async fn explain_tells_what_nodes_keep() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path());
    let mut ada = session(&engine);
    run(&mut ada, "CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t VALUES (1, 10), (2, 10)").await;
    run(&mut ada, "CREATE MATERIALIZED VIEW mv AS SELECT v, count(*) AS n FROM t GROUP BY v").await;
    let lines = run(&mut ada, "EXPLAIN MATERIALIZED VIEW mv").await;
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert!(lines[0].starts_with("Materialized View mv  (key: v)  (rows=1 bytes="), "{lines:?}");
    assert!(lines[1].starts_with("  ->  Aggregate by v: count(*)  (key: v)  (rows="), "{lines:?}");
    // The table's rows are the table's.
    assert_eq!(lines[2], "        ->  Table t  (key: id)");
    // Asking what a view would be makes none.
    let plan = "EXPLAIN CREATE MATERIALIZED VIEW other AS SELECT v, sum(id) AS s FROM t GROUP BY v";
    assert!(run(&mut ada, plan).await[1].starts_with("  ->  Aggregate by v: sum("));
    run(&mut ada, "INSERT INTO t VALUES (3, 20)").await;
    assert_eq!(run(&mut ada, "SELECT * FROM mv ORDER BY v").await, ["10|2", "20|1"]);
    assert_eq!(run(&mut ada, "SHOW MATERIALIZED VIEWS").await, ["mv"]);
}
