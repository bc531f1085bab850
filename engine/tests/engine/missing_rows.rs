//! Rows that views lack because an expression failed on them: told to readers, and there again after a restart.

use levada_engine::{Session, Severity};

use crate::database::{open, run, session, sql};

const VIEWS: &str = "
    CREATE TABLE t (id int PRIMARY KEY, v int);
    CREATE MATERIALIZED VIEW shares AS SELECT id, 100 / v AS share FROM t;
    CREATE MATERIALIZED VIEW total AS SELECT sum(share) AS total FROM shares;
    CREATE MATERIALIZED VIEW careful WITH (strict = true) AS SELECT count(share) AS n FROM shares;
    CREATE VIEW large AS SELECT * FROM shares WHERE share > 10;";

const ERRORS: &str = "SELECT view_name, sqlstate, error, failing_row, count FROM levada_catalog.view_errors ORDER BY 4";

/// The notices of a query that must succeed.
async fn notices(session: &mut Session, text: &str) -> Vec<String> {
    session.take_notices();
    run(session, text).await;
    let notices = session.take_notices();
    assert!(notices.iter().all(|notice| notice.severity == Severity::Notice));
    notices.into_iter().map(|notice| notice.message).collect()
}

#[tokio::test]
async fn readers_are_told_what_a_view_lacks() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path());
    let mut ada = session(&engine);
    run(&mut ada, VIEWS).await;
    for view in ["shares", "total", "careful", "large"] {
        assert_eq!(notices(&mut ada, &format!("SELECT * FROM {view}")).await, Vec::<String>::new());
    }
    run(&mut ada, "INSERT INTO t VALUES (1, 0), (2, 5)").await;
    let one = "materialized view \"shares\" lacks 1 row on which an expression failed";
    for view in ["shares", "total", "large"] {
        assert_eq!(notices(&mut ada, &format!("SELECT * FROM {view}")).await, [one], "{view}");
    }
    let both = "SELECT 1 FROM t WHERE EXISTS (SELECT FROM shares) AND id < (SELECT total FROM total)";
    assert_eq!(notices(&mut ada, both).await, [one]);
    assert_eq!(notices(&mut ada, "SELECT * FROM t").await, Vec::<String>::new());
    // A block sees the errors of its epoch, as it sees the rows.
    let mut bob = session(&engine);
    run(&mut bob, "BEGIN").await;
    assert_eq!(notices(&mut bob, "SELECT * FROM shares").await, [one]);
    run(&mut ada, "INSERT INTO t VALUES (3, 0)").await;
    assert_eq!(notices(&mut bob, "SELECT * FROM total").await, [one]);
    run(&mut bob, "COMMIT").await;
    let two = "materialized view \"shares\" lacks 2 rows on which an expression failed";
    assert_eq!(notices(&mut bob, "SELECT * FROM total").await, [two]);

    let error = sql(&mut ada, "SELECT * FROM careful").await.unwrap_err();
    assert_eq!((error.sqlstate().code(), error.message()), ("22012", "division by zero"));
    let detail = "Materialized view \"careful\" is strict, and \"shares\" behind it lacks 2 rows on which an expression \
                  failed, such as (1, 0).";
    assert_eq!(error.detail(), Some(detail));
    assert!(error.hint().unwrap().contains("levada_catalog.view_errors"));

    run(&mut ada, "UPDATE t SET v = 1").await;
    assert_eq!(notices(&mut ada, "SELECT * FROM shares").await, Vec::<String>::new());
    assert_eq!(run(&mut ada, "SELECT * FROM careful").await, ["3"]);
}

#[tokio::test]
async fn what_a_view_lacks_survives_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path());
    let mut ada = session(&engine);
    run(&mut ada, VIEWS).await;
    run(&mut ada, "INSERT INTO t VALUES (1, 0), (2, 5), (3, 0)").await;
    run(&mut ada, "FLUSH").await;
    // This one is in the log only.
    run(&mut ada, "INSERT INTO t VALUES (4, 0)").await;
    run(&mut ada, "DELETE FROM t WHERE id = 1").await;
    let expected = ["shares|22012|division by zero|(3, 0)|1", "shares|22012|division by zero|(4, 0)|1"];
    assert_eq!(run(&mut ada, ERRORS).await, expected);
    drop((ada, engine));
    for _ in 0..2 {
        let engine = open(directory.path());
        let mut ada = session(&engine);
        assert_eq!(run(&mut ada, ERRORS).await, expected);
        let error = sql(&mut ada, "SELECT * FROM careful").await.unwrap_err();
        assert_eq!(error.sqlstate().code(), "22012");
        engine.shutdown().await.unwrap();
    }
    let engine = open(directory.path());
    let mut ada = session(&engine);
    run(&mut ada, "DELETE FROM t WHERE v = 0").await;
    assert_eq!(run(&mut ada, "SELECT * FROM careful").await, ["1"]);
    drop((ada, engine));
    let mut ada = session(&open(directory.path()));
    assert_eq!(run(&mut ada, ERRORS).await, Vec::<String>::new());
}

/// More failing rows than are kept as text: the count is exact, before and after a restart, and they can all go.
#[tokio::test]
async fn many_missing_rows_are_counted() {
    let directory = tempfile::tempdir().unwrap();
    let count = "SELECT sum(count), count(*), count(failing_row) FROM levada_catalog.view_errors";
    let engine = open(directory.path());
    let mut ada = session(&engine);
    run(&mut ada, VIEWS).await;
    run(&mut ada, "INSERT INTO t SELECT n, 0 FROM generate_series(1, 5000) AS g(n)").await;
    assert_eq!(run(&mut ada, count).await, ["5000|1001|1000"]);
    run(&mut ada, "FLUSH").await;
    run(&mut ada, "UPDATE t SET v = 1 WHERE id > 4000").await;
    drop((ada, engine));
    let engine = open(directory.path());
    let mut ada = session(&engine);
    assert_eq!(run(&mut ada, "SELECT sum(count) FROM levada_catalog.view_errors").await, ["4000"]);
    run(&mut ada, "UPDATE t SET v = 1").await;
    assert_eq!(run(&mut ada, "SELECT count(*) FROM levada_catalog.view_errors").await, ["0"]);
    assert_eq!(run(&mut ada, "SELECT * FROM careful").await, ["5000"]);
}
