//! State that is damaged: who needs it is told so before anything is logged, and all others go on.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::*;
use crate::data::{OperatorId, sealed};
use crate::engine::operators;
use crate::source::Cluster;
use crate::state::KeyKind;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(60);

async fn refused(engine: &Engine, sql: &str) -> Error {
    let mut session = session(engine);
    let statement = session.parse(sql).await.unwrap().remove(0);
    match session.simple(&statement).await {
        Ok(Response::Rows { rows, .. }) => rows.try_collect::<Vec<_>>().await.unwrap_err(),
        Ok(_) => panic!("{sql} is possible"),
        Err(error) => error,
    }
}

/// The operators of which something is saved.
fn saved(directory: &Path) -> BTreeSet<OperatorId> {
    let storage = Storage::open(directory, StorageSizes::default()).unwrap();
    operators::load(&storage.store).unwrap().into_values().collect()
}

/// Overwrites what operators have saved of a kind; how many values.
fn damage(directory: &Path, kind: KeyKind, operators: impl IntoIterator<Item = OperatorId>) -> usize {
    let Storage { store, .. } = Storage::open(directory, StorageSizes::default()).unwrap();
    let (mut checkpoint, mut damaged) = (store.checkpoint(), 0);
    for operator in operators {
        for pair in store.scan(kind, operator).unwrap() {
            checkpoint.put(kind, operator, &pair.unwrap().0, b"something else");
            damaged += 1;
        }
    }
    store.commit(checkpoint).unwrap();
    damaged
}

/// A database in which a view was damaged, and the number of entries of its log. Before the view it runs `setup`.
async fn with_damaged(directory: &Path, setup: &str, view: &str, kind: KeyKind) -> (Engine, u64) {
    let engine = open(directory);
    run(&engine, setup).await;
    engine.shutdown().await.unwrap();
    drop(engine);
    let before = saved(directory);
    let engine = open(directory);
    run(&engine, view).await;
    run(&engine, "FLUSH").await;
    engine.shutdown().await.unwrap();
    drop(engine);
    assert!(damage(directory, kind, saved(directory).difference(&before).copied()) > 0, "{view}: nothing to damage");
    let last = logged(directory);
    (open(directory), last)
}

const TABLES: &str = "CREATE TABLE t (a int); CREATE TABLE u (a int); INSERT INTO t VALUES (1), (2); INSERT INTO u VALUES (1);
    CREATE MATERIALIZED VIEW good AS SELECT sum(a) AS s FROM t; CREATE MATERIALIZED VIEW other AS SELECT count(*) FROM u";

#[tokio::test]
async fn what_a_damaged_view_cannot_take_in_is_refused_and_logged_nowhere() {
    let views = [
        ("CREATE MATERIALIZED VIEW v AS SELECT a, count(*) AS n FROM t GROUP BY a", KeyKind::Rows),
        ("CREATE MATERIALIZED VIEW v AS SELECT a, count(*) AS n FROM t GROUP BY a", KeyKind::Keyed),
        ("CREATE MATERIALIZED VIEW v AS SELECT a + 1 AS b FROM t", KeyKind::Rows),
        (
            "CREATE MATERIALIZED VIEW v AS SELECT x.a, y.n FROM t x JOIN (SELECT a, count(*) AS n FROM t GROUP BY a) y
            ON x.a = y.a",
            KeyKind::Rows,
        ),
    ];
    for (view, kind) in views {
        let directory = tempfile::tempdir().unwrap();
        let (mut engine, before) = with_damaged(directory.path(), TABLES, view, kind).await;
        // More often than steps may fail.
        for _ in 0..6 {
            let error = refused(&engine, "INSERT INTO t VALUES (3)").await;
            assert_eq!(error.sqlstate().code(), "XX001", "{view}: {error}");
            assert!(error.message().contains("\"v\"") && error.hint().is_some(), "{view}: {error}");
        }
        run(&engine, "INSERT INTO u VALUES (2)").await;
        assert_eq!(run(&engine, "SELECT * FROM other").await, ["2"]);
        assert_eq!(run(&engine, "SELECT s FROM good").await, ["3"]);
        drop(engine);
        assert_eq!(logged(directory.path()), before + 1, "{view}");
        engine = open(directory.path());
        assert_eq!(refused(&engine, "INSERT INTO t VALUES (3)").await.sqlstate().code(), "XX001");
        // It can be given up, and then all is well.
        run(&engine, "DROP MATERIALIZED VIEW v").await;
        run(&engine, "INSERT INTO t VALUES (3)").await;
        run(&engine, view).await;
        drop(engine);
        engine = open(directory.path());
        run(&engine, "INSERT INTO t VALUES (4)").await;
        assert_eq!(run(&engine, "SELECT s FROM good").await, ["10"]);
        assert_eq!(run(&engine, "SELECT count(*) FROM v").await, ["4"]);
        engine.shutdown().await.unwrap();
    }
}

/// The log has what a view whose state turns out damaged has yet to take in.
#[tokio::test]
async fn a_start_fills_anew_what_the_log_cannot_be_applied_to() {
    let views = [
        ("SELECT a, count(*) AS n FROM t GROUP BY a", KeyKind::Rows),
        ("SELECT a, count(*) AS n FROM t GROUP BY a", KeyKind::Keyed),
        ("SELECT x.a, y.a AS b FROM t x JOIN u y ON x.a = y.a", KeyKind::Rows),
        // Only the side that the log has nothing for is damaged besides the view.
        ("SELECT x.a, x.n FROM (SELECT a, count(*) AS n FROM u GROUP BY a) x JOIN t y ON x.a = y.a", KeyKind::Rows),
    ];
    for (query, kind) in views {
        let directory = tempfile::tempdir().unwrap();
        let view =
            format!("CREATE MATERIALIZED VIEW v AS {query}; CREATE MATERIALIZED VIEW w AS SELECT count(*) FROM v");
        let (engine, _) = with_damaged(directory.path(), TABLES, &view, kind).await;
        // What is made only by the log has numbers that are given out again.
        run(&engine, "CREATE MATERIALIZED VIEW more AS SELECT count(*) AS c FROM v").await;
        let (t, v) = (table(&engine, "t"), table(&engine, "v"));
        let groups = [vec![Operation::Write { table: t, change: rows(&engine, t, vec![3]) }]];
        drop(engine);
        let records = record::transactions(groups.iter().map(Vec::as_slice)).unwrap();
        Storage::open(directory.path(), StorageSizes::default()).unwrap().log.append(&records).unwrap();
        // The second time nothing that the first has made is durable yet.
        for round in 0..4 {
            let engine = open(directory.path());
            engine.0.hydrated(&[v, table(&engine, "w"), table(&engine, "more")]).await.unwrap();
            assert_eq!(run(&engine, "SELECT c - (SELECT count(*) FROM v) FROM more").await, ["0"], "{query}");
            assert_eq!(run(&engine, "SELECT * FROM good").await, [(6 + 3 * (round / 2)).to_string()], "{query}");
            let differences = format!("SELECT count(*) FROM (SELECT * FROM v EXCEPT {query}) AS d");
            assert_eq!(run(&engine, &differences).await, ["0"], "{query}");
            let counted = format!("SELECT (SELECT * FROM w) = (SELECT count(*) FROM ({query}) AS q)");
            assert_eq!(run(&engine, &counted).await, ["true"], "{query}");
            if round == 1 {
                run(&engine, "INSERT INTO t VALUES (3); FLUSH").await;
            }
        }
    }
}

#[tokio::test]
async fn a_start_says_which_table_the_log_cannot_be_applied_to() {
    let directory = tempfile::tempdir().unwrap();
    let (engine, _) =
        with_damaged(directory.path(), TABLES, "CREATE TABLE x (a int); INSERT INTO x VALUES (1)", KeyKind::Rows).await;
    let x = table(&engine, "x");
    let groups = [vec![Operation::Write { table: x, change: rows(&engine, x, vec![3]) }]];
    drop(engine);
    let records = record::transactions(groups.iter().map(Vec::as_slice)).unwrap();
    Storage::open(directory.path(), StorageSizes::default()).unwrap().log.append(&records).unwrap();
    let error = Engine::open(EngineOptions::new(directory.path())).err().unwrap();
    assert_eq!(error.sqlstate().code(), "XX001", "{error}");
    assert!(error.message().contains("\"x\"") && error.detail().unwrap().contains("cannot be applied"), "{error}");
}

async fn until(engine: &Engine, sql: &str, expected: &str) {
    let begun = Instant::now();
    loop {
        let found = run(engine, sql).await.join("; ");
        if found == expected {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "{sql}: {found} instead of {expected}");
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_whose_rows_would_come_to_a_damaged_view_pauses() {
    let cluster = Cluster::new(1);
    let directory = tempfile::tempdir().unwrap();
    let brokers = cluster.mock.bootstrap_servers();
    let setup = format!(
        "CREATE TABLE t (a int) WITH (connector = 'kafka', topic = 't', properties.bootstrap.servers = '{brokers}',
             properties.fetch.wait.max.ms = '1', scan.startup.mode = 'earliest') FORMAT PLAIN ENCODE JSON;
         CREATE TABLE u (a int); CREATE MATERIALIZED VIEW good AS SELECT sum(a) AS s FROM t"
    );
    let send = |a: i32| {
        cluster.send(0, None, Some(&format!("{{\"a\": {a}}}")));
        cluster.flush();
    };
    let engine = open(directory.path());
    run(&engine, &setup).await;
    send(1);
    until(&engine, "SELECT s FROM good", "1").await;
    engine.shutdown().await.unwrap();
    drop(engine);
    let view = "CREATE MATERIALIZED VIEW v AS SELECT a + 1 AS b FROM t";
    let (engine, _) = with_damaged(directory.path(), "", view, KeyKind::Rows).await;
    send(2);
    let status = "SELECT status, error LIKE '%\"v\" cannot be read back%' FROM levada_catalog.sources WHERE name = 't'";
    until(&engine, status, "paused: error|true").await;
    run(&engine, "INSERT INTO u VALUES (1)").await;
    assert_eq!(run(&engine, "SELECT s FROM good").await, ["1"]);
    run(&engine, "DROP MATERIALIZED VIEW v").await;
    until(&engine, "SELECT s FROM good", "3").await;
    send(3);
    until(&engine, "SELECT s FROM good", "6").await;
    assert_eq!(run(&engine, "SELECT count(*) FROM t").await, ["3"]);
    drop(engine);
}

/// Changes the text of the catalog's items on disk; keeps their hashes, or makes them right again.
fn alter_catalog(directory: &Path, from: &str, to: &str, resealed: bool) {
    let Storage { store, .. } = Storage::open(directory, StorageSizes::default()).unwrap();
    let (mut checkpoint, mut altered) = (store.checkpoint(), 0);
    for pair in store.scan(KeyKind::Catalog, OperatorId(0)).unwrap() {
        let (key, value) = pair.unwrap();
        let (hash, json) = value.split_at(8);
        let other = std::str::from_utf8(json).unwrap().replace(from, to);
        altered += usize::from(other.as_bytes() != json);
        let mut bytes = [hash, other.as_bytes()].concat();
        if resealed {
            bytes.clear();
            sealed::encode(&serde_json::from_str::<serde_json::Value>(&other).unwrap(), &mut bytes).unwrap();
        }
        checkpoint.put(KeyKind::Catalog, OperatorId(0), &key, &bytes);
    }
    assert_eq!(altered, 1);
    store.commit(checkpoint).unwrap();
}

#[tokio::test]
async fn an_item_of_the_catalog_that_was_altered_is_named() {
    for (from, to, resealed) in [("FROM t", "FROM u", false), ("FROM t", "FROM u", true), ("FROM t", "FORM t", true)] {
        let directory = tempfile::tempdir().unwrap();
        let engine = open(directory.path());
        run(&engine, "CREATE TABLE t (a int); INSERT INTO t VALUES (1)").await;
        run(&engine, "CREATE VIEW plain AS SELECT 1").await;
        run(&engine, "CREATE MATERIALIZED VIEW doubled AS SELECT 2 * a AS b FROM t").await;
        engine.shutdown().await.unwrap();
        drop(engine);
        alter_catalog(directory.path(), from, to, resealed);
        let error = Engine::open(EngineOptions::new(directory.path())).err().unwrap();
        assert_eq!(error.sqlstate().code(), "XX001", "{error}");
        let said = format!("{} {}", error.message(), error.detail().unwrap_or_default());
        assert!(said.contains("\"doubled\""), "{said}");
    }
}
