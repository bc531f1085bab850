//! Files that cannot grow, as on a full disk: a statement fails, and the server goes on.

use std::time::{Duration, Instant};

use crate::kafka::tables::{connect, rows, try_rows, until};
use crate::server::Server;

/// How long the server may take to accept writes again.
const PATIENCE: Duration = Duration::from_secs(60);

/// Rows that hardly compress, of about 16 MB.
const MUCH: &str = "INSERT INTO t SELECT n, md5(n::text) || md5((n * 3)::text) || md5((n * 5)::text) || md5((n * 7)::text) \
                    FROM generate_series(1, 125000) AS s (n)";

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_fails_statements_and_not_the_server() {
    let data = tempfile::tempdir().expect("a temporary folder");
    let server = Server::with_small_files(8, data.path());
    let client = connect(&server).await;
    rows(&client, "CREATE TABLE t (n int, x text)").await;
    rows(&client, "CREATE MATERIALIZED VIEW v AS SELECT count(*) AS c FROM t").await;
    rows(&client, "INSERT INTO t VALUES (0, 'before')").await;
    for round in 1..=2 {
        let error = try_rows(&client, MUCH).await.expect_err("more than a file can hold");
        let error = error.as_db_error().expect("the server's error");
        assert_eq!(error.code().code(), "53100", "{error:?}");
        assert!(error.hint().is_some());
        assert_eq!(rows(&client, "SELECT count(*) FROM t").await, [round.to_string()]);
        let asked = Instant::now();
        while let Err(error) = try_rows(&client, "INSERT INTO t VALUES (-1, 'after')").await {
            assert_eq!(error.code().map(|code| code.code()), Some("53100"), "{error:?}");
            assert!(asked.elapsed() < PATIENCE, "{error:?}");
        }
        until(&client, "SELECT c FROM v", &[&(round + 1).to_string()]).await;
    }
}
