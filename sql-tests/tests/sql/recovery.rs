//! `kill -9` at any moment: what was acknowledged is there afterwards, and the views agree with the tables.

use std::time::Duration;

use levada_testing::Dice;
use sqllogictest::{AsyncDB, DBOutput};
use tokio::sync::watch;

use crate::server::Server;
use crate::wire::{Options, Wire};

const ROUNDS: usize = 5;

/// How long the server may take for what it acknowledges in a round.
const PATIENCE: Duration = Duration::from_secs(60);

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

/// Inserts rows one by one, two tables in one transaction, until the server is gone; tells the last id acknowledged.
async fn insert(mut wire: Wire, acknowledged: watch::Sender<i64>) {
    loop {
        let id = *acknowledged.borrow() + 1;
        let insert = format!("INSERT INTO t VALUES ({id}, {}, {id}); INSERT INTO u VALUES ({id})", id % 7);
        if wire.run(&insert).await.is_err() {
            return;
        }
        acknowledged.send_replace(id);
    }
}

/// Waits until so many more are acknowledged.
async fn more(acknowledged: &mut watch::Receiver<i64>, count: usize) {
    let last = *acknowledged.borrow() + count as i64;
    let waited = tokio::time::timeout(PATIENCE, acknowledged.wait_for(|id| *id >= last)).await;
    waited.expect("a server that takes rows in time").expect("a writer that goes on");
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
    let (mut next, mut dice) = (1, Dice::new(9));
    for round in 0..ROUNDS {
        let (sender, mut acknowledged) = watch::channel(next - 1);
        let writer = tokio::spawn(insert(connect(&server).await, sender));
        more(&mut acknowledged, dice.below(150)).await;
        if round % 2 == 1 {
            // A checkpoint within the round: what came after it is in the log alone.
            answer(&mut connect(&server).await, "FLUSH").await;
            more(&mut acknowledged, dice.below(20)).await;
        }
        server.kill();
        writer.await.expect("a writer that ends well");
        let acknowledged = *acknowledged.borrow();
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
