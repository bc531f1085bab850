//! A view that keeps failing its step is suspended, and nothing else.

use arrow::array::Int64Array;

use super::*;

const VIEWS: &str = "
    CREATE TABLE t (a int);
    CREATE TABLE u (a int);
    CREATE MATERIALIZED VIEW pairs AS SELECT x.a FROM t x JOIN t y ON x.a = y.a;
    CREATE MATERIALIZED VIEW shifted AS SELECT x.a + 1 AS b FROM t x JOIN t y ON x.a = y.a;
    CREATE MATERIALIZED VIEW over AS SELECT count(*) AS c FROM pairs;
    CREATE VIEW plain AS SELECT * FROM pairs;
    CREATE SINK gone FROM pairs WITH (connector = 'blackhole');
    CREATE MATERIALIZED VIEW counted AS SELECT count(*) AS c FROM t;
    CREATE MATERIALIZED VIEW both AS SELECT t.a FROM t JOIN u ON t.a = u.a;";

/// Rows so often that how often a pair of them stands has no number.
fn too_often(engine: &Engine, table: ObjectId) -> Vec<Operation> {
    let change = rows(engine, table, vec![7]);
    vec![Operation::Write { table, change: ZSet::new(change.batch().clone(), Int64Array::from(vec![1_i64 << 40])) }]
}

async fn refusal(engine: &Engine, sql: &str) -> Error {
    let mut session = session(engine);
    let statements = session.parse(sql).await.unwrap();
    match session.simple(&statements[0]).await {
        Ok(Response::Rows { rows, .. }) => rows.try_collect::<Vec<RecordBatch>>().await.unwrap_err(),
        Ok(_) => panic!("{sql} is accepted"),
        Err(error) => error,
    }
}

/// What is suspended says so; what is not, is as if the others had never been.
async fn check(engine: &Engine, counted: i64) {
    let suspended =
        "SELECT name, hydration_error FROM levada_catalog.views WHERE hydration = 'suspended' ORDER BY name";
    let why = "the weight of a joined row overflows";
    let names = ["over", "pairs", "shifted"];
    assert_eq!(run(engine, suspended).await, names.map(|name| format!("{name}|{why}")));
    let sinks = "SELECT name, hydration, hydration_error FROM levada_catalog.sinks";
    assert_eq!(run(engine, sinks).await, [format!("gone|suspended|{why}")]);
    for (read, named) in [("pairs", "pairs"), ("shifted", "shifted"), ("over", "over"), ("plain", "pairs")] {
        let error = refusal(engine, &format!("SELECT * FROM {read}")).await;
        let expected = format!("materialized view \"{named}\" is suspended: {why}");
        assert_eq!((error.sqlstate().code(), error.message()), ("55000", expected.as_str()));
        assert!(error.hint().is_some_and(|hint| hint.contains("DROP")));
    }
    let error = refusal(engine, "CREATE MATERIALIZED VIEW late AS SELECT a FROM plain").await;
    assert_eq!(error.sqlstate().code(), "55000", "{error}");
    assert_eq!(run(engine, "SELECT c FROM counted").await, [counted.to_string()]);
    assert_eq!(run(engine, "SELECT a FROM both").await, ["2"]);
}

#[tokio::test]
async fn a_view_that_keeps_failing_is_suspended() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path());
    run(&engine, VIEWS).await;
    run(&engine, "INSERT INTO t VALUES (1), (2)").await;
    run(&engine, "INSERT INTO u VALUES (2)").await;
    let (t, mut counted) = (table(&engine, "t"), 2);
    let ones = commit(&engine, vec![Operation::Write { table: t, change: rows(&engine, t, vec![3]) }]);
    // The transaction can be, once the views are out of its way; as can those beside it.
    let (often, one) = tokio::join!(commit(&engine, too_often(&engine, t)), ones);
    assert!(often.is_ok() && one.is_ok(), "{:?} {:?}", often.err(), one.err());
    counted += (1 << 40) + 1;
    check(&engine, counted).await;
    // As after kill -9: from the log, and then from a checkpoint.
    for statement in ["INSERT INTO t VALUES (4)", "FLUSH", "INSERT INTO t VALUES (5)"] {
        run(&engine, statement).await;
        counted += i64::from(statement != "FLUSH");
        check(&engine, counted).await;
    }
    drop(engine);
    let engine = open(directory.path());
    check(&engine, counted).await;
    run(&engine, "FLUSH").await;
    engine.shutdown().await.unwrap();
    drop(engine);
    let engine = open(directory.path());
    check(&engine, counted).await;

    run(&engine, "DROP SINK gone; DROP VIEW plain; DROP MATERIALIZED VIEW over, pairs, shifted").await;
    assert_eq!(run(&engine, "SELECT count(*) FROM levada_catalog.views WHERE hydration = 'suspended'").await, ["0"]);
    run(&engine, "CREATE MATERIALIZED VIEW pairs AS SELECT x.a FROM u x JOIN u y ON x.a = y.a").await;
    run(&engine, "INSERT INTO u VALUES (2)").await;
    assert_eq!(run(&engine, "SELECT count(*) FROM pairs").await, ["4"]);
    drop(engine);
    let engine = open(directory.path());
    assert_eq!(run(&engine, "SELECT count(*) FROM pairs").await, ["4"]);
    assert_eq!(run(&engine, "SELECT c FROM counted").await, [counted.to_string()]);
}
