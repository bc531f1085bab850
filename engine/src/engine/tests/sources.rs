//! Sources whose broker has gone, and sources that a view begins while another is suspended.

use super::*;
use crate::source::{Cluster, Offsets, delivery};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(60);

async fn until(engine: &Engine, sql: &str, expected: &[&str]) {
    let begun = std::time::Instant::now();
    loop {
        let found = run(engine, sql).await;
        if found == expected {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "{sql}: {found:?} instead of {expected:?}");
        tokio::task::yield_now().await;
    }
}

fn create_source(cluster: &Cluster, name: &str, columns: &str) -> String {
    let brokers = cluster.mock.bootstrap_servers();
    format!(
        "CREATE SOURCE {name} ({columns}) WITH (connector = 'kafka', topic = 't', \
         properties.bootstrap.servers = '{brokers}', properties.fetch.wait.max.ms = '1', \
         scan.startup.mode = 'earliest') FORMAT PLAIN ENCODE JSON;"
    )
}

/// A join makes too much of what one source has brought, whose broker goes then: the other is taken in as ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_is_away_holds_up_no_other() {
    const SENT: i64 = 3000;
    let (near, away) = (Cluster::new(1), Cluster::new(1));
    let directory = tempfile::tempdir().unwrap();
    let options = EngineOptions::new(directory.path()).with_memory_limit(100 << 20);
    let memory_gauge = MemoryGauge::Manual(ManualMemory::default());
    let engine = Engine::open(EngineOptions { step_threads: 1, query_threads: 1, memory_gauge, ..options }).unwrap();
    run(&engine, &(create_source(&away, "away", "a int") + &create_source(&near, "near", "a int"))).await;
    run(&engine, "CREATE TABLE d (a int, s text)").await;
    run(&engine, "CREATE MATERIALIZED VIEW v AS SELECT count(*) AS c, sum(length(s)) AS l FROM away JOIN d USING (a)")
        .await;
    run(&engine, "CREATE MATERIALIZED VIEW w AS SELECT count(*) AS c, sum(a) AS s FROM near").await;
    run(&engine, "INSERT INTO d SELECT 1, repeat('x', 100000) FROM generate_series(1, 20)").await;
    run(&engine, "FLUSH").await;
    drop(away);
    // The first reader that was started. Of each row the join makes 2 MB, and may make 64.
    let source = table(&engine, "away");
    let ends: Offsets = [(0, 100)].into_iter().collect();
    let brought = delivery(source, rows(&engine, source, vec![1; 100]).batch().clone(), ends);
    let before = engine.0.snapshot().epoch;
    engine.0.requests.send(Request::Delivery(1, Box::new(brought))).unwrap();
    // A step that fails has an epoch as well.
    while engine.0.snapshot().epoch == before {
        tokio::task::yield_now().await;
    }
    assert_eq!(run(&engine, "SELECT c FROM v").await, ["0"]);

    let before = engine.0.snapshot().epoch;
    for n in 0..SENT {
        near.send(0, None, Some(&format!("{{\"a\": {n}}}")));
    }
    near.flush();
    until(&engine, "SELECT c, s FROM w", &[&format!("{SENT}|{}", SENT * (SENT - 1) / 2)]).await;
    // Of a few rows each there would be hundreds.
    let steps = engine.0.snapshot().epoch.0 - before.0;
    assert!(steps < SENT as u64 / 20, "{steps} steps");
    assert_eq!(run(&engine, "SELECT name FROM levada_catalog.views WHERE hydration <> 'hydrated'").await, [""; 0]);
}

/// A view is made while the only one that reads its source is suspended: the transaction knows nothing of it, and the source
/// begins anew all the same. One that is read goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_view_begins_a_source_whose_last_reader_is_suspended_meanwhile() {
    let cluster = Cluster::new(1);
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path());
    let columns = "a int, at timestamp, WATERMARK FOR at AS at - INTERVAL '0 seconds'";
    run(&engine, &create_source(&cluster, "s", columns)).await;
    let send = |a: i32| {
        cluster.send(0, None, Some(&format!("{{\"a\":{a},\"at\":\"2020-01-01T00:00:{a:02}\"}}")));
        cluster.flush();
    };
    send(1);
    run(&engine, "CREATE MATERIALIZED VIEW first AS SELECT sum(a) AS s FROM s").await;
    let hydration = "SELECT name, hydration FROM levada_catalog.views ORDER BY name";
    until(&engine, hydration, &["first|hydrated"]).await;
    send(2);
    until(&engine, "SELECT s FROM first", &["3"]).await;

    let mut second = session(&engine);
    let closing = "CREATE MATERIALIZED VIEW second AS SELECT window_start, sum(a) AS s \
                   FROM TUMBLE(s, at, INTERVAL '10 seconds') GROUP BY window_start EMIT ON WINDOW CLOSE";
    second.begin_implicit();
    let statement = second.parse(closing).await.unwrap().remove(0);
    second.simple(&statement).await.unwrap();
    let relations = [table(&engine, "first")].into();
    commit(&engine, vec![Operation::Suspend { relations, why: "because".into() }]).await.unwrap();
    second.end_implicit(true).await.unwrap();
    until(&engine, hydration, &["first|suspended", "second|hydrated"]).await;
    send(3);
    send(11);
    until(&engine, "SELECT s FROM second", &["6"]).await;

    // In a transaction that takes away the last that reads it, and makes the next.
    second.begin_implicit();
    let third = "DROP MATERIALIZED VIEW second; CREATE MATERIALIZED VIEW third AS SELECT sum(a) AS s FROM s";
    for statement in second.parse(third).await.unwrap() {
        second.simple(&statement).await.unwrap();
    }
    second.end_implicit(true).await.unwrap();
    drop(second);
    until(&engine, hydration, &["first|suspended", "third|hydrated"]).await;
    send(12);
    until(&engine, "SELECT s FROM third", &["29"]).await;
}

/// The ends are asked for before the catalog is locked. What the last reader has brought between that and its end is there
/// already: it counts once, as does what is no row.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_is_no_row_counts_once_however_a_source_begins() {
    let cluster = Cluster::new(1);
    let directory = tempfile::tempdir().unwrap();
    let mut engine = open(directory.path());
    run(&engine, &create_source(&cluster, "s", "a int")).await;
    let send = |text: &str| {
        cluster.send(0, None, Some(text));
        cluster.flush();
    };
    send("{\"a\":1}");
    run(&engine, "CREATE MATERIALIZED VIEW first AS SELECT sum(a) AS s FROM s").await;
    until(&engine, "SELECT s FROM first", &["1"]).await;

    // Its ends are those before the message that is no row.
    let mut second = session(&engine);
    second.begin_implicit();
    let statement =
        second.parse("CREATE MATERIALIZED VIEW second AS SELECT sum(a) AS s FROM s").await.unwrap().remove(0);
    second.simple(&statement).await.unwrap();
    send("no row");
    const ERRORS: &str = "SELECT count(*) FROM levada_catalog.source_errors";
    until(&engine, ERRORS, &["1"]).await;
    let relations = [table(&engine, "first")].into();
    commit(&engine, vec![Operation::Suspend { relations, why: "because".into() }]).await.unwrap();
    second.end_implicit(true).await.unwrap();
    drop(second);
    send("{\"a\":2}");
    until(&engine, "SELECT s FROM second", &["3"]).await;
    assert_eq!(run(&engine, ERRORS).await, ["1"]);

    // From the log it begins where it did.
    drop(engine);
    engine = open(directory.path());
    send("{\"a\":4}");
    until(&engine, "SELECT s FROM second", &["7"]).await;
    assert_eq!(run(&engine, ERRORS).await, ["1"]);
}
