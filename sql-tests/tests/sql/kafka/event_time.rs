//! Watermarks of topics, and windows that close by them.

use rdkafka::producer::{BaseRecord, Producer};

use super::Broker;
use super::broker::PATIENCE;
use super::tables::{connect, rows, try_rows, until};
use crate::server::Server;

/// Sends rows of the minute 12:00 to a partition: the seconds and what each counts.
pub fn send(broker: &Broker, topic: &str, partition: i32, messages: &[(u32, u32)]) {
    let producer = broker.producer(&[]);
    for (second, n) in messages {
        let value = format!(r#"{{"at":"2026-01-01T12:00:{second:02}Z","n":{n}}}"#);
        let record = BaseRecord::to(topic).partition(partition).key("k").payload(&value);
        producer.send(record).expect("room in the producer's queue");
    }
    producer.flush(PATIENCE).expect("a broker that takes them");
}

fn create(broker: &Broker, name: &str, more: &str) -> String {
    let address = broker.address();
    format!(
        "CREATE TABLE {name} (at timestamptz, n int, WATERMARK FOR at AS at - INTERVAL '5 seconds') WITH (\
         connector = 'kafka', topic = '{name}', properties.bootstrap.server = '{address}'{more}) FORMAT PLAIN ENCODE JSON"
    )
}

pub const IDLE: &str = ", scan.watermark.idle_timeout = '1 second'";
pub const SUMS: &str =
    "SELECT window_end, sum(n) AS s FROM TUMBLE({}, at, INTERVAL '10 seconds') GROUP BY window_start, window_end";

/// A view's rows: the second at which the window ended, and its sum.
pub const SEEN: &str = "SELECT extract(second FROM window_end)::int, s FROM sums ORDER BY 1";

/// One of two partitions is silent: windows close without it; when it wakes, what is late is dropped and can be read; a kill
/// changes nothing of what was emitted.
#[tokio::test(flavor = "multi_thread")]
async fn windows_close_though_a_partition_is_silent() {
    let broker = Broker::shared();
    broker.create_topic("clicks", 2).await;
    let data = tempfile::tempdir().expect("a temporary folder");
    let mut server = Server::start(data.path());
    let mut client = connect(&server).await;
    rows(&client, &create(broker, "clicks", IDLE)).await;
    let view = SUMS.replace("{}", "clicks");
    rows(&client, &format!("CREATE MATERIALIZED VIEW sums AS {view} EMIT ON WINDOW CLOSE")).await;
    rows(&client, &format!("CREATE MATERIALIZED VIEW current AS {view}")).await;
    send(broker, "clicks", 0, &[(1, 1), (9, 2), (4, 4), (21, 8)]);
    until(&client, SEEN, &["10|7"]).await;
    let status = "SELECT partition, extract(second FROM watermark)::int, extract(second FROM source_watermark)::int, idle, \
                  late_rows FROM levada_catalog.sources WHERE name = 'clicks' ORDER BY 1";
    until(&client, status, &["0|16|16|t|0", "1|NULL|16|t|0"]).await;
    // Below the watermark at which the partition joins: one in a closed window, one in an open one.
    send(broker, "clicks", 1, &[(5, 16), (12, 32), (27, 64)]);
    send(broker, "clicks", 0, &[(28, 128)]);
    until(&client, SEEN, &["10|7", "20|32"]).await;
    let late = "SELECT view_name, reason, sum(count) FROM levada_catalog.late_rows GROUP BY 1, 2";
    until(&client, late, &["sums|the window is closed|1"]).await;
    until(&client, "SELECT late_rows FROM levada_catalog.views WHERE name = 'sums'", &["1"]).await;
    // What keeps its groups takes every row.
    until(&client, "SELECT sum(s) FROM current", &["255"]).await;
    rows(&client, "FLUSH").await;
    server.kill();
    server = Server::start(data.path());
    client = connect(&server).await;
    assert_eq!(rows(&client, SEEN).await, ["10|7", "20|32"]);
    assert_eq!(rows(&client, late).await, ["sums|the window is closed|1"]);
    send(broker, "clicks", 0, &[(59, 256), (2, 512)]);
    until(&client, SEEN, &["10|7", "20|32", "30|200"]).await;
    until(&client, late, &["sums|the window is closed|2"]).await;
    // A view that is made now has the history; all of it counts as in time.
    rows(&client, "DROP MATERIALIZED VIEW sums").await;
    rows(&client, &format!("CREATE MATERIALIZED VIEW sums AS {view} EMIT ON WINDOW CLOSE")).await;
    until(&client, SEEN, &["10|535", "20|32", "30|200"]).await;
    assert!(rows(&client, late).await.is_empty());
}

/// Without the option a silent partition holds the watermark, for ever; once it speaks, windows close.
#[tokio::test(flavor = "multi_thread")]
async fn a_silent_partition_holds_the_watermark() {
    let broker = Broker::shared();
    broker.create_topic("visits", 2).await;
    let data = tempfile::tempdir().expect("a temporary folder");
    let server = Server::start(data.path());
    let client = connect(&server).await;
    rows(&client, &create(broker, "visits", "")).await;
    let view = SUMS.replace("{}", "visits");
    rows(&client, &format!("CREATE MATERIALIZED VIEW sums AS {view} EMIT ON WINDOW CLOSE")).await;
    send(broker, "visits", 0, &[(1, 1), (55, 2)]);
    until(&client, "SELECT count(*) FROM visits", &["2"]).await;
    let watermark = "SELECT DISTINCT extract(second FROM source_watermark)::int FROM levada_catalog.sources";
    assert_eq!(rows(&client, watermark).await, ["NULL"]);
    assert!(rows(&client, SEEN).await.is_empty());
    send(broker, "visits", 1, &[(7, 4), (22, 8)]);
    until(&client, SEEN, &["10|5"]).await;
    assert_eq!(rows(&client, watermark).await, ["17"]);
    let shown = rows(&client, "SHOW CREATE TABLE visits").await;
    assert!(shown[0].contains("WATERMARK FOR at AS at - INTERVAL '5 seconds'"), "{shown:?}");
    let shown = rows(&client, "SHOW CREATE MATERIALIZED VIEW sums").await;
    assert!(shown[0].ends_with(" EMIT ON WINDOW CLOSE"), "{shown:?}");
    let joined = "CREATE MATERIALIZED VIEW j AS SELECT l.at, count(*) FROM visits l JOIN visits r ON l.n = r.n \
                  GROUP BY l.at EMIT ON WINDOW CLOSE";
    let error = try_rows(&client, joined).await.expect_err("no watermark");
    assert_eq!(error.code().map(|code| code.code()), Some("0A000"), "{error}");
}
