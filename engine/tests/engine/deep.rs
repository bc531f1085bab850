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

#[test]
fn deep_queries_are_kept_up_to_date() {
    let body = || {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().enable_all().thread_stack_size(STACK).build().unwrap();
        runtime.block_on(views_of_deep_queries());
    };
    std::thread::Builder::new().stack_size(STACK).spawn(body).unwrap().join().unwrap();
}
