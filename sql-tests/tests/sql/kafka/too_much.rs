//! Messages of which a join makes more than there is memory for.

use levada_engine::{EngineOptions, ManualClock, ManualMemory, MemoryGauge};

use super::Broker;
use super::database::Database;
use super::tables::{connect, rows, send, try_rows, until};
use crate::server::Server;

/// With so little, a join may make as few bytes as it ever may: 64 MB.
const LITTLE: u64 = 100 << 20;

fn messages(range: std::ops::Range<i64>, k: i32, bytes: usize) -> impl Iterator<Item = (String, Option<String>)> {
    let text = "x".repeat(bytes);
    range.map(move |n| (n.to_string(), Some(format!(r#"{{"n":{n},"k":{k},"text":"{text}"}}"#))))
}

fn create_source(broker: &Broker, name: &str) -> String {
    let broker = broker.address();
    format!(
        "CREATE SOURCE {name} (n bigint, k int, text text) WITH (connector = 'kafka', topic = '{name}', \
         properties.bootstrap.server = '{broker}') FORMAT PLAIN ENCODE JSON"
    )
}

/// Makes a row of each message and each row of `r` that fits it.
fn longer(source: &str) -> String {
    format!("SELECT n, length(text || b) AS bytes FROM {source} m JOIN r ON m.k = r.k")
}

/// Many messages are taken in a few at a time. Where one alone is too much, the views that need it are suspended, and the
/// others lack nothing and have nothing twice.
#[tokio::test(flavor = "multi_thread")]
async fn a_view_that_makes_too_much_of_a_message_is_suspended() {
    let broker = Broker::shared();
    broker.create_topic("multiplied", 2).await;
    let data = tempfile::tempdir().expect("a temporary folder");
    let open = || {
        let memory_gauge = MemoryGauge::Manual(ManualMemory::default());
        let options = EngineOptions::new(data.path()).with_memory_limit(LITTLE);
        Database::open_with(EngineOptions { memory_gauge, ..options }, &ManualClock::default())
    };
    let mut database = open();
    database.rows(&create_source(broker, "multiplied")).await;
    database.rows("CREATE TABLE r (k int, b text)").await;
    database.rows(&format!("CREATE MATERIALIZED VIEW longer AS {}", longer("multiplied"))).await;
    database.rows("CREATE MATERIALIZED VIEW sums AS SELECT count(*) AS c, sum(bytes) AS s FROM longer").await;
    database.rows("CREATE MATERIALIZED VIEW totals AS SELECT count(*) AS c, sum(n) AS s FROM multiplied").await;
    let filling = "SELECT name FROM levada_catalog.views WHERE hydration <> 'hydrated'";
    database.until(filling, &[]).await;
    // Of a view that no checkpoint has, a failed step leaves nothing.
    database.rows("SET wait_for_hydration = on").await;
    database.rows("INSERT INTO r SELECT 1, repeat('y', 1000) FROM generate_series(1, 4000)").await;

    // Of each, 8 MB.
    send(broker, "multiplied", messages(0..40, 1, 1000));
    database.until("SELECT c, s FROM sums", &["160000|320000000"]).await;
    database.until("SELECT c, s FROM totals", &["40|780"]).await;
    let suspended = "SELECT name FROM levada_catalog.views WHERE hydration = 'suspended' ORDER BY name";
    assert!(database.rows(suspended).await.is_empty());

    // Of this one, 84 MB.
    send(broker, "multiplied", messages(40..41, 1, 20_000));
    send(broker, "multiplied", messages(41..60, 2, 1000));
    database.until(suspended, &["longer", "sums"]).await;
    database.until("SELECT c, s FROM totals", &["60|1770"]).await;
    let refusal = database.refusal("SELECT * FROM sums").await;
    assert!(refusal.contains("55000") && refusal.contains("a join makes more than 64 MB"), "{refusal}");
    // What is left goes on over a restart that comes like a crash.
    drop(database);
    let mut database = open();
    assert_eq!(database.rows(suspended).await, ["longer", "sums"]);
    send(broker, "multiplied", messages(60..70, 1, 20_000));
    database.until("SELECT c, s FROM totals", &["70|2415"]).await;
    database.rows("INSERT INTO r VALUES (2, 'z')").await;
    database.rows("DROP MATERIALIZED VIEW longer CASCADE").await;
    let few = format!("{} AND m.k > 1", longer("multiplied"));
    database.rows(&format!("CREATE MATERIALIZED VIEW longer AS {few}")).await;
    database.until("SELECT hydration FROM levada_catalog.views WHERE name = 'longer'", &["hydrated"]).await;
    assert_eq!(database.rows("SELECT count(*), sum(bytes) FROM longer").await, ["19|19019"]);
    database.engine.shutdown().await.expect("a last checkpoint");
}

/// A process that is killed has its views suspended when it comes back, and says why; nothing else has suffered.
#[tokio::test(flavor = "multi_thread")]
async fn a_suspension_outlives_the_process() {
    let broker = Broker::shared();
    broker.create_topic("outlived", 2).await;
    let data = tempfile::tempdir().expect("a temporary folder");
    // The most with which a join may make no more than 64 MB.
    let start = || Server::run(&["serve", "--memory-limit", "640MB"], data.path());
    let mut server = start();
    let mut client = connect(&server).await;
    rows(&client, &create_source(broker, "outlived")).await;
    rows(&client, "SET wait_for_hydration = on").await;
    rows(&client, "CREATE TABLE r (k int, b text)").await;
    rows(&client, &format!("CREATE MATERIALIZED VIEW longer AS {}", longer("outlived"))).await;
    rows(&client, "CREATE MATERIALIZED VIEW sums AS SELECT count(*) AS c, sum(bytes) AS s FROM longer").await;
    rows(&client, "CREATE MATERIALIZED VIEW totals AS SELECT count(*) AS c, sum(n) AS s FROM outlived").await;
    rows(&client, "CREATE MATERIALIZED VIEW others AS SELECT k, count(*) AS c FROM r GROUP BY k").await;
    rows(&client, "INSERT INTO r SELECT 1, repeat('y', 1000) FROM generate_series(1, 4000)").await;
    send(broker, "outlived", messages(0..40, 2, 1000));
    until(&client, "SELECT c, s FROM totals", &["40|780"]).await;

    send(broker, "outlived", messages(40..41, 1, 20_000).chain(messages(41..60, 2, 1000)));
    let suspended =
        "SELECT name, hydration_error FROM levada_catalog.views WHERE hydration = 'suspended' ORDER BY name";
    let names = format!("SELECT string_agg(name, ',' ORDER BY name) FROM ({suspended}) AS s");
    until(&client, &names, &["longer,sums"]).await;
    let reasons = rows(&client, suspended).await;
    assert!(reasons.iter().all(|reason| reason.contains("a join makes more than 64 MB")), "{reasons:?}");
    for (seen, k) in [(60, 1), (70, 2), (80, 1)] {
        // With the suspension in the log at first, then in a checkpoint.
        server.kill();
        server = start();
        client = connect(&server).await;
        rows(&client, "SET wait_for_hydration = on").await;
        assert_eq!(rows(&client, suspended).await, reasons);
        let refused = try_rows(&client, "SELECT * FROM sums").await.expect_err("a suspended view");
        assert_eq!(refused.code().map(|code| code.code()), Some("55000"), "{refused:?}");
        until(&client, "SELECT c, s FROM totals", &[&format!("{seen}|{}", seen * (seen - 1) / 2)]).await;
        send(broker, "outlived", messages(seen..seen + 10, k, 20_000));
        rows(&client, "INSERT INTO r VALUES (2, 'z')").await;
        rows(&client, "FLUSH").await;
    }
    until(&client, "SELECT c, s FROM totals", &["90|4005"]).await;
    assert_eq!(rows(&client, "SELECT k, c FROM others ORDER BY k").await, ["1|4000", "2|3"]);

    rows(&client, "DROP MATERIALIZED VIEW longer CASCADE").await;
    assert!(rows(&client, suspended).await.is_empty());
    let few = format!("{} AND m.k > 1", longer("outlived"));
    rows(&client, &format!("CREATE MATERIALIZED VIEW longer AS {few}")).await;
    server.kill();
    server = start();
    client = connect(&server).await;
    rows(&client, "SET wait_for_hydration = on").await;
    send(broker, "outlived", messages(90..100, 2, 1000));
    until(&client, "SELECT count(*), count(DISTINCT n) FROM longer", &["237|79"]).await;
    until(&client, "SELECT c, s FROM totals", &["100|4950"]).await;
}
