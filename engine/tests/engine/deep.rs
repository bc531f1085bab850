//! Statements that are as deep as they may be: every thread that meets them has stack enough.

use crate::database::{open, run, session};

/// What the server's threads have.
const STACK: usize = 16 << 20;

async fn views_of_deep_queries() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path());
    let mut ada = session(&engine);
    run(&mut ada, "CREATE TABLE t (a int); INSERT INTO t VALUES (1), (2)").await;
    let unions = format!("SELECT a FROM t{}", " UNION ALL SELECT a FROM t".repeat(199));
    run(&mut ada, &format!("CREATE MATERIALIZED VIEW many AS {unions}")).await;
    run(&mut ada, &format!("CREATE MATERIALIZED VIEW sum AS SELECT a{} AS b FROM t", " + 1".repeat(100))).await;
    run(&mut ada, "INSERT INTO t VALUES (3)").await;
    drop((ada, engine));
    let engine = open(directory.path());
    let mut ada = session(&engine);
    assert_eq!(run(&mut ada, "SELECT count(*), sum(a) FROM many").await, ["600|1200"]);
    assert_eq!(run(&mut ada, "SELECT max(b) FROM sum").await, ["103"]);
}

/// Runs statements on threads such as the server's.
fn with_stack<F: Future<Output = ()>>(statements: impl FnOnce() -> F + Send + 'static) {
    let body = || {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().enable_all().thread_stack_size(STACK).build().unwrap();
        runtime.block_on(statements());
    };
    std::thread::Builder::new().stack_size(STACK).spawn(body).unwrap().join().unwrap();
}

#[test]
fn deep_queries_are_kept_up_to_date() {
    with_stack(views_of_deep_queries);
}

/// Hundreds of relations in one FROM clause, and hundreds of operators in a row, are planned without time growing out of
/// hand; the test would not end by far if they were not.
#[test]
fn wide_queries_are_planned() {
    with_stack(wide_queries);
}

async fn wide_queries() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path());
    let mut ada = session(&engine);
    run(&mut ada, "CREATE TABLE t (a int PRIMARY KEY, b int); INSERT INTO t VALUES (1, 10), (2, 20)").await;
    let list: String = (1..100).map(|at| format!(", t x{at}")).collect();
    let keys: String = (1..100).map(|at| format!(" AND x{at}.a = x{}.a", at - 1)).collect();
    let joins: String = (1..100).map(|at| format!(" JOIN t x{at} ON x{at}.a = x{}.a", at - 1)).collect();
    for from in [format!("t x0{list} WHERE true{keys}"), format!("t x0{joins}")] {
        assert_eq!(run(&mut ada, &format!("SELECT count(*), sum(x99.b) FROM {from}")).await, ["2|30"]);
    }
    let sum = " + 1".repeat(390);
    assert_eq!(run(&mut ada, &format!("SELECT a{sum} FROM t ORDER BY 1")).await, ["391", "392"]);
    let ctes: String = (1..100).map(|at| format!(", c{at} AS (SELECT a + 1 AS a FROM c{})", at - 1)).collect();
    assert_eq!(run(&mut ada, &format!("WITH c0 AS (SELECT a FROM t){ctes} SELECT max(a) FROM c99")).await, ["101"]);
}
