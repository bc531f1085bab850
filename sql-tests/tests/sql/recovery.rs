//! `kill -9` at any moment: what was acknowledged is there afterwards, and the views agree with the tables.

use std::time::Duration;

use sqllogictest::{AsyncDB, DBOutput};

use crate::server::Server;
use crate::wire::{Options, Wire};

/// Times at which the server is killed, after the first write of a round.
const ROUNDS: [Duration; 5] = [
    Duration::from_millis(40),
    Duration::from_millis(300),
    Duration::from_millis(1100),
    Duration::from_millis(5),
    Duration::from_millis(1600),
];

async fn connect(server: &Server) -> Wire {
    Wire::connect(server.port(), "levada", Options::default()).await.expect("a connection")
}

async fn answer(wire: &mut Wire, sql: &str) -> String {
    match wire.run(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}")) {
        DBOutput::Rows { rows, .. } => rows.last().expect("a row").join("|"),
        DBOutput::StatementComplete(count) => count.to_string(),
        _ => panic!("{sql}: an answer of another kind"),
    }
}

/// Inserts rows one by one, two tables in one transaction, until the server is gone; returns the last id acknowledged.
async fn insert(mut wire: Wire, first: i64) -> i64 {
    let mut id = first;
    loop {
        let insert = format!("INSERT INTO t VALUES ({id}, {}, {id}); INSERT INTO u VALUES ({id})", id % 7);
        if wire.run(&insert).await.is_err() {
            return id - 1;
        }
        id += 1;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost() {
    let data = tempfile::tempdir().expect("a temporary folder");
    let mut server = Server::start(data.path());
    let mut wire = connect(&server).await;
    for sql in [
        "CREATE TABLE t (id bigint PRIMARY KEY, g int, v bigint)",
        "CREATE TABLE u (id bigint PRIMARY KEY)",
        "CREATE MATERIALIZED VIEW grouped AS SELECT g, count(*) AS n, sum(v) AS s, max(id) AS last FROM t GROUP BY g",
        "CREATE MATERIALIZED VIEW joined AS SELECT t.id FROM t JOIN u ON u.id = t.id",
    ] {
        wire.run(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }
    let mut next = 1;
    for round in ROUNDS {
        let writer = tokio::spawn(insert(connect(&server).await, next));
        tokio::time::sleep(round).await;
        server.kill();
        let acknowledged = writer.await.expect("a writer that ends well");
        server = Server::start(data.path());
        let mut wire = connect(&server).await;
        let last: i64 = answer(&mut wire, "SELECT count(*) FROM t").await.parse().expect("a number");
        // The one on its way when the server died may be there, or not.
        assert!((acknowledged..=acknowledged + 1).contains(&last), "{acknowledged} acknowledged, {last} there");
        let expected = format!("{last}|{}|{last}", last * (last + 1) / 2);
        assert_eq!(answer(&mut wire, "SELECT count(*), sum(v)::bigint, max(id) FROM t").await, expected);
        assert_eq!(answer(&mut wire, "SELECT sum(n)::bigint, sum(s)::bigint, max(last) FROM grouped").await, expected);
        assert_eq!(answer(&mut wire, "SELECT count(*) FROM u").await, last.to_string());
        assert_eq!(answer(&mut wire, "SELECT count(*) FROM joined").await, last.to_string());
        next = last + 1;
    }
    assert!(next > 1, "nothing was written");
}
